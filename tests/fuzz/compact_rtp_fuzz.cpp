// Compact RTP. First half of the meaning: a peer's contexts and frames, any bytes: nothing comes
// out that breaks its bounds. Second: our own sender over a channel that loses, repeats, holds back
// and reorders as the bytes say: only packets that were sent come out.
#include <cstdlib>
#include <deque>
#include <set>
#include <vector>

#include "wire/compact_rtp.hpp"

using namespace isthmus;
using namespace isthmus::wire;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

void hostile_peer(Reader in) {
  CompactRtpReceiver receiver;
  CompactRtpSender sender;
  receiver.enable();
  sender.enable();
  Instant now{seconds(1)};
  while (in.ok() && in.remaining() > 0) {
    const std::uint8_t what = in.u8();
    now += milliseconds(in.u8());
    const Channel channel = 16 + what / 8 % 4;
    switch (what % 3) {
      case 0: {
        CompactContext context{channel, in.u8(), in.u8(), in.u32(), in.u8(), in.u32()};
        context.base_sequence = in.u24();
        context.base_timestamp = in.u32();
        context.packets_per_second = in.u8();
        const CompactAnswer answer = receiver.on_context(context);
        require(answer.channel == channel && answer.id == context.id);
        break;
      }
      case 1: {
        const ByteView frame = in.take(std::min<std::size_t>(in.u8(), in.remaining()));
        if (const auto packet = receiver.read(channel, frame, now)) {
          require(!packet->empty() && packet->size() <= limits::kMediaFrameBytes);
          require(packet->size() <= frame.size() + 10);
          const ByteView again = sender.write(channel, *packet, now);
          require(!again.empty() && again.size() <= packet->size() + 1);
        }
        break;
      }
      default:
        sender.on_answer({channel, in.u8(), in.u8(), in.u8() % 2 == 0}, now);
    }
    receiver.take_refusal();
    sender.take_proposal();
  }
}

/// Delays of all that crosses differ by less than half a second, as PROTOCOL.md presumes.
class Crossing {
 public:
  void run(Reader in) {
    sender_.enable();
    receiver_.enable();
    while (in.ok() && in.remaining() > 0) step(in);
  }

 private:
  void step(Reader& in) {
    const std::uint8_t what = in.u8();
    now_ += milliseconds(what % 4 == 0 ? 20 : in.u8());
    expire();
    switch (what / 4 % 8) {
      case 0:
        sequence_ = static_cast<std::uint16_t>(sequence_ + static_cast<std::int8_t>(in.u8()));
        break;
      case 1:
        timestamp_ += in.u16();
        break;
      case 2:
        ssrc_ = in.u8() % 3;
        break;
      case 3:
        second_ = in.u8();
        break;
      case 4:
        first_ = static_cast<std::uint8_t>(0x80 | in.u8() % 64);
        break;
      default:
        break;
    }
    for (unsigned packets = what % 16 == 0 ? in.u8() : 1; packets > 0; --packets) {
      send(in);
      now_ += milliseconds(20);
      expire();
    }
  }

  void send(Reader& in) {
    Bytes packet;
    Writer writer(packet);
    writer.u8(first_);
    writer.u8(second_);
    writer.u16(++sequence_);
    writer.u32(timestamp_ += 160);
    writer.u32(ssrc_);
    writer.u32(++count_);
    first_ = 0x80;
    sent_.insert(packet);
    const Bytes frame = to_bytes(sender_.write(16, packet, now_));
    require(!frame.empty() && frame.size() <= packet.size() + 1);
    if (const auto proposal = sender_.take_proposal()) {
      sender_.on_answer(receiver_.on_context(*proposal), now_);
    }
    const std::uint8_t fate = in.u8();
    if (fate % 4 == 1) return;  // lost
    if (fate % 4 == 2) {
      held_.push_back({now_, frame});
    } else {
      arrive(frame);
    }
    if (fate % 16 == 4) arrive(frame);  // twice
    if (fate % 8 == 5 && !held_.empty()) {
      arrive(held_.back().frame);
      held_.pop_back();
    }
  }

  void expire() {
    while (!held_.empty() && now_ - held_.front().since >= milliseconds(480)) held_.pop_front();
  }

  void arrive(const Bytes& frame) {
    if (const auto packet = receiver_.read(16, frame, now_)) {
      require(sent_.contains(to_bytes(*packet)));
    }
    if (const auto refusal = receiver_.take_refusal()) sender_.on_answer(*refusal, now_);
  }

  struct Held {
    Instant since;
    Bytes frame;
  };
  CompactRtpSender sender_;
  CompactRtpReceiver receiver_;
  Instant now_{seconds(1)};
  std::deque<Held> held_;
  std::set<Bytes> sent_;
  std::uint16_t sequence_ = 65'500;
  std::uint32_t timestamp_ = 0, ssrc_ = 7, count_ = 0;
  std::uint8_t first_ = 0x80, second_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const ByteView rest = ByteView(data, size).subspan(1);
  if (data[0] % 2 == 0) {
    hostile_peer(Reader(rest));
  } else {
    Crossing().run(Reader(rest));
  }
  return 0;
}
