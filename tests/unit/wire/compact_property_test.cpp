// Compact RTP over thousands of seeded schedules: whatever the source does and the network does to
// it, no packet comes out that did not go in, byte for byte.
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <unordered_set>

#include "compact_support.hpp"

namespace isthmus::wire {
namespace {

using namespace testing;

const Instant kStart{seconds(1000)};

/// One schedule: what the source and the network are like follows from the seed.
class Schedule {
 public:
  explicit Schedule(std::uint64_t seed) : random_(seed) {
    sender_.enable();
    receiver_.enable();
    loss_ = pick({0, 0, 1, 5, 15, 40});
    duplicates_ = pick({0, 0, 2, 10});
    jitter_ms_ = pick({0, 2, 30, 200, 480});
    control_ms_ = pick({5, 40, 300});
    trouble_ = pick({0, 1, 5, 20});
    interval_ms_ = pick({10, 20, 20, 30, 60});
    stream_.sequence = static_cast<std::uint16_t>(random_());
    stream_.timestamp = static_cast<std::uint32_t>(random_());
    stream_.ssrc = static_cast<std::uint32_t>(random_());
  }

  void run(int packets) {
    for (int i = 0; i < packets; ++i) {
      now_ += milliseconds(interval_ms_);
      deliver();
      if (chance(trouble_)) change();
      send(next());
    }
    now_ += seconds(5);
    deliver();
  }
  /// No trouble from here on: compact RTP must be back, and nothing lost.
  void calm(int packets) {
    loss_ = duplicates_ = trouble_ = 0;
    jitter_ms_ = 2;
    outage_until_ = {};
    const auto sent_before = sent_count_, received_before = received_;
    for (int i = 0; i < packets; ++i) {
      if (i == packets / 2) compact_before_ = sender_.counters().of(MediaKind::compact).frames;
      now_ += milliseconds(interval_ms_);
      deliver();
      send(next());
    }
    now_ += seconds(5);
    deliver();
    EXPECT_GE(received_ - received_before + 8, sent_count_ - sent_before);
    // Three packets a second less a whole one in 64 and what must rest: nearly all are compact.
    EXPECT_GE(sender_.counters().of(MediaKind::compact).frames - compact_before_,
              static_cast<std::uint64_t>(packets) / 2 * 9 / 10);
  }
  std::uint64_t received() const { return received_; }
  std::uint64_t compact() const { return receiver_.counters().of(MediaKind::compact).frames; }
  std::uint64_t stale() const { return receiver_.counters().dropped_stale; }

 private:
  struct Arrival {
    Bytes media;
    std::optional<CompactContext> context;
    std::optional<CompactAnswer> answer;
  };

  int pick(std::initializer_list<int> values) { return values.begin()[random_() % values.size()]; }
  bool chance(int percent) { return static_cast<int>(random_() % 100) < percent; }

  Bytes next() {
    ++stream_.sequence;
    stream_.timestamp += static_cast<std::uint32_t>(interval_ms_) * 8;
    Bytes payload;
    Writer writer(payload);
    writer.u64(++unique_);
    for (std::uint64_t i = random_() % 40; i > 0; --i) {
      writer.u8(static_cast<std::uint8_t>(random_()));
    }
    Bytes packet = rtp(stream_, payload);
    stream_.marker = false;
    stream_.first = 0x80;
    return packet;
  }

  /// Something that sources do.
  void change() {
    switch (random_() % 14) {
      case 0:  // a talk spurt after a silence without packets
        now_ += milliseconds(random_() % 900);
        stream_.timestamp += static_cast<std::uint32_t>(random_() % 100'000);
        stream_.marker = true;
        return;
      case 1:
        stream_.ssrc = static_cast<std::uint32_t>(random_() % 3);
        return;
      case 2:
        stream_.payload_type = static_cast<std::uint8_t>(random_() % 3 * 48);  // 0, 48, 96
        return;
      case 3:  // lost before us
        stream_.sequence = static_cast<std::uint16_t>(stream_.sequence + random_() % 90);
        return;
      case 4:  // begins again somewhere
        stream_.sequence = static_cast<std::uint16_t>(random_());
        return;
      case 5:  // a little back: the worst place to begin again
        stream_.sequence = static_cast<std::uint16_t>(stream_.sequence - random_() % 400);
        return;
      case 6:
        stream_.first = static_cast<std::uint8_t>(0x80 | random_() % 64);
        return;
      case 7: {  // held up, then all at once
        const auto burst = random_() % 30;
        now_ += milliseconds(static_cast<int>(burst) * interval_ms_);
        for (std::uint64_t i = 0; i < burst; ++i) send(next());
        return;
      }
      case 8: {  // two swapped
        const Bytes first = next();
        send(next());
        send(first);
        return;
      }
      case 9:
        interval_ms_ = pick({10, 20, 30, 60});
        return;
      case 10: {  // no RTP
        Bytes bytes;
        Writer writer(bytes);
        writer.u8(static_cast<std::uint8_t>(random_() % 128));
        writer.u64(++unique_);
        send(bytes);
        return;
      }
      case 11:  // the network goes away
        outage_until_ = now_ + milliseconds(random_() % 6000);
        return;
      case 12:
        stream_.timestamp += static_cast<std::uint32_t>(random_());
        return;
      default:
        stream_.marker = true;
    }
  }

  void send(const Bytes& packet) {
    sent_.emplace(as_text(packet));
    ++sent_count_;
    const Bytes frame = to_bytes(sender_.write(16, packet, now_));
    ASSERT_FALSE(frame.empty());
    if (const auto proposal = sender_.take_proposal()) {
      control({{}, *proposal, {}}, to_receiver_);
    }
    const bool lost = chance(loss_) || now_ < outage_until_;
    for (int copies = (lost ? 0 : 1) + chance(duplicates_); copies > 0; --copies) {
      const auto delay = 10 + random_() % (static_cast<std::uint64_t>(jitter_ms_) + 1);
      arrivals_.emplace(now_ + milliseconds(delay), Arrival{frame, {}, {}});
    }
  }

  /// Reliable and in order.
  void control(Arrival what, Instant& last) {
    const auto delay = 10 + random_() % static_cast<std::uint64_t>(control_ms_);
    last = std::max(last, now_ + milliseconds(delay));
    arrivals_.emplace(last, std::move(what));
  }

  void deliver() {
    const Instant until = now_;
    while (!arrivals_.empty() && arrivals_.begin()->first <= until) {
      const auto node = arrivals_.extract(arrivals_.begin());
      now_ = node.key();  // answers leave when their question came
      arrive(node.mapped());
    }
    now_ = until;
  }

  std::string sent_with(ByteView payload) const {
    for (const std::string& packet : sent_) {
      if (packet.ends_with(as_text(payload))) return to_hex(as_bytes(packet));
    }
    return "nothing like it";
  }

  void arrive(const Arrival& arrival) {
    if (arrival.context) {
      control({{}, {}, receiver_.on_context(*arrival.context)}, to_sender_);
      return;
    }
    if (arrival.answer) return sender_.on_answer(*arrival.answer, now_);
    const auto packet = receiver_.read(16, arrival.media, now_);
    if (const auto refusal = receiver_.take_refusal()) control({{}, {}, *refusal}, to_sender_);
    if (!packet) return;
    ++received_;
    ASSERT_TRUE(sent_.contains(std::string(as_text(*packet))))
        << to_hex(*packet) << " was never sent; this was: " << sent_with(packet->subspan(12));
  }

  std::mt19937_64 random_;
  CompactRtpSender sender_;
  CompactRtpReceiver receiver_;
  Rtp stream_;
  int loss_, duplicates_, jitter_ms_, control_ms_, trouble_, interval_ms_;
  Instant now_ = kStart, outage_until_{}, to_receiver_{}, to_sender_{};
  std::multimap<Instant, Arrival> arrivals_;
  std::unordered_set<std::string> sent_;
  std::uint64_t unique_ = 0, sent_count_ = 0, received_ = 0, compact_before_ = 0;
};

TEST(CompactProperty, whatever_happens_only_packets_that_were_sent_come_out) {
  std::uint64_t compact = 0, received = 0, stale = 0;
  for (std::uint64_t seed = 1; seed <= 1000 && !HasFatalFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Schedule schedule(seed);
    schedule.run(250);
    schedule.calm(800);
    compact += schedule.compact();
    received += schedule.received();
    stale += schedule.stale();
  }
  EXPECT_GT(compact, received / 3) << "the test has become one of whole packets";
  EXPECT_GT(stale, 100u);
}

}  // namespace
}  // namespace isthmus::wire
