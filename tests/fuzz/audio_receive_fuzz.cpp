// Drives an AudioStream as a hostile far end would: RTP with any sequence, time and payload, raw
// packets, RTCP, and a consumer that pulls at odd times. Checks that it neither breaks nor leaves
// its bounds.
#include <cstdlib>

#include "audio/audio_stream.hpp"
#include "base/bytes.hpp"
#include "base/random.hpp"
#include "rtp/rtp_packet.hpp"

namespace {

using namespace isthmus;
using namespace isthmus::audio;

void check(bool holds) {
  if (!holds) std::abort();
}

struct Player {
  explicit Player(bool opus) {
    AudioStreamConfig config;
    config.codec = opus ? "opus/48000/2" : "PCMA/8000";
    config.format.send_payload_type = config.format.receive_payload_type = opus ? 111 : 8;
    config.format.receive_dtmf_payload_type = 101;
    AudioStreamHandlers handlers;
    handlers.send_rtp = [](ByteView) {};
    handlers.send_rtcp = [](ByteView) {};
    handlers.on_dtmf = [](char digit) { check(rtp::event_of(digit).has_value()); };
    stream = *AudioStream::create(config, random, std::move(handlers), now);
    header.payload_type = config.format.receive_payload_type;
    header.ssrc = 1;
  }

  /// A packet near the one before, as most of a real stream's are.
  void rtp(Reader& in) {
    const std::uint8_t kind = in.u8();
    header.sequence = static_cast<std::uint16_t>(header.sequence + (kind & 1 ? in.u16() : 1));
    header.timestamp += kind & 2 ? in.u32() : 160;
    if (kind & 4) header.ssrc ^= in.u8();
    header.marker = kind & 8;
    rtp::RtpHeader sent = header;
    if (kind & 16) sent.payload_type = 101;
    if (kind & 32) sent.payload_type = 13;
    Bytes packet;
    rtp::write_rtp(sent, in.take(std::min<std::size_t>(in.u8(), in.remaining())), packet);
    stream->on_rtp(packet, now);
  }

  void step(Reader& in) {
    const std::uint8_t op = in.u8();
    now += milliseconds(op >> 3);
    switch (op & 7) {
      case 0:
      case 1:
      case 2:
        return rtp(in);
      case 3:
        return stream->on_rtp(in.take(std::min<std::size_t>(in.u8(), in.remaining())), now);
      case 4:
        return stream->on_rtcp(in.take(std::min<std::size_t>(in.u8(), in.remaining())), now);
      case 5:
        return stream->set_direction(true, op & 8);
      case 6:
        now += milliseconds(in.u16() % 4000);
        [[fallthrough]];
      default: {
        Samples out(op & 16 ? 160 : 320);
        check(static_cast<bool>(stream->pull_audio(out, 8000, now)));
        if (stream->next_deadline() <= now) stream->on_timeout(now);
        const AudioStreamStatistics all = stream->statistics(now);
        check(all.concealed_ratio >= 0 && all.concealed_ratio <= 1);
        check(all.mos >= 1 && all.mos <= 4.5);
        check(all.jitter_buffer_target_ms >= 20 && all.jitter_buffer_target_ms <= 300);
      }
    }
  }

  SeededRandom random{1};
  Instant now = Instant(seconds(1));
  std::unique_ptr<AudioStream> stream;
  rtp::RtpHeader header;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Reader in(ByteView(data, size));
  Player player(in.u8() & 1);
  for (int i = 0; i < 400 && in.remaining() > 0; ++i) player.step(in);
  return 0;
}
