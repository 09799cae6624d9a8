// What the forms of a media frame cost in processor time, one packet: sent and read again.
#include <benchmark/benchmark.h>

#include "unit/wire/compact_support.hpp"
#include "wire/media_bundle.hpp"

namespace isthmus {
namespace {

/// A packet of one of `calls` G.711 calls through sender and receiver.
void carry(benchmark::State& state, bool compact) {
  const auto calls = static_cast<std::size_t>(state.range(0));
  wire::CompactRtpSender sender;
  wire::CompactRtpReceiver receiver;
  if (compact) {
    sender.enable();
    receiver.enable();
  }
  wire::testing::Rtp header;
  Bytes packet = wire::testing::rtp(header, Bytes(160, 0xd5));
  Instant now{seconds(1)};
  std::uint16_t sequence = 0;
  std::uint32_t timestamp = 0;
  std::size_t call = 0;
  for (auto _ : state) {
    if (call++ == calls) {
      call = 1;
      ++sequence;
      timestamp += 160;
      now += milliseconds(20);
    }
    packet[2] = static_cast<std::uint8_t>(sequence >> 8);
    packet[3] = static_cast<std::uint8_t>(sequence);
    for (unsigned i = 0; i < 4; ++i) {
      packet[4 + i] = static_cast<std::uint8_t>(timestamp >> (24 - 8 * i));
    }
    const auto channel = static_cast<wire::Channel>(14 + 2 * call);
    const ByteView frame = sender.write(channel, packet, now);
    if (const auto proposal = sender.take_proposal()) {
      sender.on_answer(receiver.on_context(*proposal), now);
    }
    benchmark::DoNotOptimize(receiver.read(channel, frame, now));
  }
  state.counters["compact"] =
      static_cast<double>(sender.counters().of(wire::MediaKind::compact).frames) /
      static_cast<double>(sender.counters().frames());
}
void whole(benchmark::State& state) {
  carry(state, false);
}
void compact(benchmark::State& state) {
  carry(state, true);
}
BENCHMARK(whole)->Arg(1)->Arg(30)->Arg(300);
BENCHMARK(compact)->Arg(1)->Arg(30)->Arg(300);

void bundle_and_read_ten_frames(benchmark::State& state) {
  wire::MediaBundler bundler(1400);
  const Bytes frame(62, 0x00);
  for (auto _ : state) {
    for (wire::Channel channel = 16; channel < 36; channel += 2) {
      bundler.add(channel, frame, Instant{});
    }
    benchmark::DoNotOptimize(
        wire::read_media_frames(bundler.payload(), [](wire::Channel channel, ByteView bytes) {
          benchmark::DoNotOptimize(channel);
          benchmark::DoNotOptimize(bytes.data());
        }));
    bundler.clear();
  }
}
BENCHMARK(bundle_and_read_ten_frames);

}  // namespace
}  // namespace isthmus
