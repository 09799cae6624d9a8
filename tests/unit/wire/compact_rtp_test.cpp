// Compact RTP, rule by rule (PROTOCOL.md §3). compact_property_test.cpp has the random schedules.
#include "wire/compact_rtp.hpp"

#include <gtest/gtest.h>

#include "compact_support.hpp"

namespace isthmus::wire {
namespace {

using namespace testing;

bool is_compact(ByteView frame) {
  return frame[0] >> 6 == 0;
}

TEST(CompactRtp, a_regular_stream_goes_in_two_bytes_for_twelve) {
  CompactPair pair;
  ASSERT_TRUE(pair.warm_up());
  for (int i = 0; i < 1000; ++i) {
    const Bytes sent = pair.packet(), frame = pair.frame();
    EXPECT_EQ(frame.size(), sent.size() - (is_compact(frame) ? 10 : 0));
    const auto read = pair.receiver.read(16, frame, pair.now);
    ASSERT_TRUE(read);
    ASSERT_EQ(to_bytes(*read), sent);
    pair.advance();
  }
  const auto& counters = pair.sender.counters();
  EXPECT_EQ(counters.contexts, 1u);
  EXPECT_GE(counters.of(MediaKind::compact).frames, 1000 * 63 / 64u);
}

TEST(CompactRtp, nothing_goes_compact_before_the_ack) {
  CompactPair pair;
  for (int i = 0; i < 200; ++i) {
    EXPECT_EQ(to_bytes(pair.sender.write(16, pair.packet(), pair.now)), pair.packet());
    pair.advance();
  }
  const auto proposal = pair.sender.take_proposal();
  ASSERT_TRUE(proposal);
  EXPECT_FALSE(pair.sender.take_proposal()) << "one at a time";
  EXPECT_EQ(proposal->ssrc, 0x12345678u);
  EXPECT_EQ(proposal->timestamp_step, 160u);
  EXPECT_EQ(proposal->packets_per_second, 64u);
}

TEST(CompactRtp, a_refused_context_is_not_used_and_not_proposed_again_soon) {
  CompactPair pair;
  int proposals = 0;
  for (int i = 0; i < 1000; ++i) {
    EXPECT_FALSE(is_compact(pair.sender.write(16, pair.packet(), pair.now)));
    if (const auto proposal = pair.sender.take_proposal()) {
      ++proposals;
      pair.sender.on_answer({proposal->channel, proposal->id, proposal->generation, false},
                            pair.now);
    }
    pair.advance();
  }
  EXPECT_EQ(proposals, 1);
}

TEST(CompactRtp, an_ack_of_an_earlier_use_of_the_id_agrees_nothing) {
  CompactPair pair;
  std::optional<CompactContext> proposal;
  while (!proposal) {
    pair.sender.write(16, pair.packet(), pair.now);
    proposal = pair.sender.take_proposal();
    pair.advance();
  }
  pair.sender.on_answer({16, proposal->id, proposal->generation - 1, true}, pair.now);
  pair.sender.on_answer({16, 9, proposal->generation, true}, pair.now);
  pair.sender.on_answer({18, proposal->id, proposal->generation, true}, pair.now);
  for (int i = 0; i < 10; ++i) {
    EXPECT_FALSE(is_compact(pair.sender.write(16, pair.packet(), pair.now)));
    pair.advance();
  }
}

TEST(CompactRtp, at_least_every_64th_packet_goes_whole) {
  CompactPair pair;
  ASSERT_TRUE(pair.warm_up());
  int in_a_row = 1, longest = 0;
  for (int i = 0; i < 1000; ++i) {
    in_a_row = is_compact(pair.frame()) ? in_a_row + 1 : 0;
    longest = std::max(longest, in_a_row);
    pair.advance();
  }
  EXPECT_EQ(longest, 63);
}

void goes(const char* what, void (*change)(CompactPair&), std::size_t bytes_in_front) {
  SCOPED_TRACE(what);
  CompactPair pair;
  ASSERT_TRUE(pair.warm_up());
  change(pair);
  const Bytes sent = pair.packet(), frame = pair.frame();
  EXPECT_EQ(frame.size(), sent.size() + bytes_in_front);
  const auto read = pair.receiver.read(16, frame, pair.now);
  ASSERT_TRUE(read);
  EXPECT_EQ(to_bytes(*read), sent);
}

TEST(CompactRtp, these_packets_go_whole) {
  goes(
      "after a gap", [](CompactPair& p) { p.now += milliseconds(500); }, 0);
  goes(
      "with padding", [](CompactPair& p) { p.next.first = 0xa0; }, 0);
  goes(
      "with a header extension", [](CompactPair& p) { p.next.first = 0x90; }, 0);
  goes(
      "with a CSRC", [](CompactPair& p) { p.next.first = 0x81; }, 0);
  goes(
      "another payload type", [](CompactPair& p) { p.next.payload_type = 101; }, 0);
  goes(
      "on a new link", [](CompactPair& p) { p.sender.reset(); }, 0);
}

// Behind a byte that keeps the receiver from reading others by them.
TEST(CompactRtp, packets_off_the_order_or_pace_of_their_stream_go_whole_and_apart) {
  goes(
      "another SSRC", [](CompactPair& p) { p.next.ssrc = 5; }, 1);
  goes(
      "late", [](CompactPair& p) { p.next.sequence -= 3; }, 1);
  goes(
      "again", [](CompactPair& p) { p.next.sequence -= 1; }, 1);
  goes(
      "far ahead", [](CompactPair& p) { p.next.sequence += 90; }, 1);
  goes(
      "a little ahead", [](CompactPair& p) { p.next.sequence += 9; }, 1);
  goes(
      "far back", [](CompactPair& p) { p.next.sequence -= 300; }, 1);
}

TEST(CompactRtp, a_timestamp_off_the_line_goes_with_the_frame_and_earns_a_context_of_its_own) {
  CompactPair pair;
  ASSERT_TRUE(pair.warm_up());
  pair.next.timestamp += 12'345;  // a pause without packets on the wire's sequence
  pair.next.marker = true;
  const Bytes sent = pair.packet(), frame = pair.frame();
  EXPECT_EQ(frame.size(), sent.size() - 6);
  EXPECT_EQ(frame[0] & 0xf0, 0x30);
  EXPECT_EQ(to_bytes(*pair.receiver.read(16, frame, pair.now)), sent);
  pair.next.marker = false;
  Bytes last;
  for (int i = 0; i < 40; ++i) {
    pair.advance();
    last = pair.frame();
    ASSERT_EQ(to_bytes(*pair.receiver.read(16, last, pair.now)), pair.packet());
  }
  EXPECT_EQ(last.size(), pair.packet().size() - 10);
  EXPECT_EQ(pair.sender.counters().contexts, 2u);
}

TEST(CompactRtp, sequence_and_timestamp_wrap) {
  CompactPair pair;
  pair.next.sequence = 65'400;
  pair.next.timestamp = 0xffffffff - 160 * 50;
  ASSERT_TRUE(pair.warm_up());
  for (int i = 0; i < 70'000; ++i) {  // more than once around, and past half of the range
    const Bytes frame = pair.frame();
    const auto read = pair.receiver.read(16, frame, pair.now);
    ASSERT_TRUE(read);
    ASSERT_EQ(to_bytes(*read), pair.packet()) << i;
    pair.advance();
  }
  EXPECT_GE(pair.sender.counters().of(MediaKind::compact).frames, 68'000u);
}

TEST(CompactRtp, however_many_packets_are_lost_nothing_wrong_comes_out_and_all_is_well_within_64) {
  for (std::uint16_t lost = 0; lost < 700; lost = static_cast<std::uint16_t>(lost + 1)) {
    SCOPED_TRACE(lost);
    CompactPair pair;
    ASSERT_TRUE(pair.warm_up());
    for (int i = 0; i < lost; ++i) {
      pair.frame();
      pair.advance();
    }
    int missing = 0;
    for (int i = 0; i < 200; ++i) {
      const Bytes frame = pair.frame();
      const auto read = pair.receiver.read(16, frame, pair.now);
      if (read) {
        ASSERT_EQ(to_bytes(*read), pair.packet());
      } else {
        ++missing;
        EXPECT_LT(i, 64);
      }
      pair.answer();
      pair.advance();
    }
    // The refusal makes the very next packet whole.
    EXPECT_LE(missing, 1);
    EXPECT_EQ(missing > 0, pair.receiver.counters().dropped_stale > 0);
    if (lost <= 100) {
      EXPECT_EQ(missing, 0) << "two seconds are nothing to wait for";
    }
  }
}

TEST(CompactRtp, without_refusals_a_receiver_is_right_again_at_the_next_whole_packet) {
  CompactPair pair;
  ASSERT_TRUE(pair.warm_up());
  const auto proposal_fields = pair.sender.counters().contexts;
  ASSERT_EQ(proposal_fields, 1u);
  CompactRtpReceiver late;  // it never held the context
  late.enable();
  int wholes = 0;
  for (int i = 0; i < 64; ++i) {
    const Bytes frame = pair.frame();
    const auto read = late.read(16, frame, pair.now);
    EXPECT_EQ(read.has_value(), !is_compact(frame));
    wholes += read.has_value();
    pair.advance();
  }
  EXPECT_GE(wholes, 1);
  EXPECT_FALSE(late.take_refusal()) << "of a context that it never held it says nothing";
  EXPECT_GE(late.counters().dropped_without_context, 62u);
}

TEST(CompactRtp, a_receiver_without_a_reference_gives_the_context_up_after_four_frames) {
  CompactPair pair;
  ASSERT_TRUE(pair.warm_up());
  CompactRtpReceiver fresh;
  fresh.enable();
  const CompactContext context{16, 0, 1, 0x12345678, 0, 160, 100, 16'000, 64};
  ASSERT_TRUE(fresh.on_context(context).accepted);
  const Bytes frame{0x00, 0x10, 0xd5};
  for (int i = 0; i < 3; ++i) {
    EXPECT_FALSE(fresh.read(16, frame, pair.now));
    EXPECT_FALSE(fresh.take_refusal());
  }
  EXPECT_FALSE(fresh.read(16, frame, pair.now));
  const auto refusal = fresh.take_refusal();
  ASSERT_TRUE(refusal);
  EXPECT_FALSE(refusal->accepted);
  EXPECT_EQ(refusal->generation, 1u);
  EXPECT_FALSE(fresh.read(16, frame, pair.now));
  EXPECT_FALSE(fresh.take_refusal()) << "once";
}

TEST(CompactRtp, two_ssrcs_on_one_channel_have_a_context_each) {
  CompactPair pair;
  Rtp other{9000, 5, 0xaabbccdd, 8};
  int compact_of_other = 0;
  for (int i = 0; i < 300; ++i) {
    for (const bool second : {false, true}) {
      const Bytes packet = rtp(second ? other : pair.next, pair.payload);
      const Bytes frame = to_bytes(pair.sender.write(16, packet, pair.now));
      pair.answer();
      const auto read = pair.receiver.read(16, frame, pair.now);
      ASSERT_TRUE(read);
      ASSERT_EQ(to_bytes(*read), packet);
      compact_of_other += second && is_compact(frame);
    }
    pair.advance();
    ++other.sequence;
    other.timestamp += 160;
  }
  EXPECT_EQ(pair.sender.counters().contexts, 2u);
  EXPECT_GT(compact_of_other, 150);
}

TEST(CompactRtp, a_stream_faster_than_128_packets_a_second_stays_whole) {
  CompactPair pair;
  for (int i = 0; i < 2000; ++i) {
    EXPECT_FALSE(is_compact(pair.frame()));
    ++pair.next.sequence;
    pair.next.timestamp += 3000;
    pair.now += milliseconds(4);
  }
  EXPECT_EQ(pair.sender.counters().contexts, 0u);
}

TEST(CompactRtp, a_stream_that_doubles_its_pace_is_agreed_anew) {
  CompactPair pair;
  ASSERT_TRUE(pair.warm_up());
  int compact = 0;
  for (int i = 0; i < 1000; ++i) {
    const Bytes frame = pair.frame();
    ASSERT_EQ(to_bytes(*pair.receiver.read(16, frame, pair.now)), pair.packet());
    if (i >= 500) compact += is_compact(frame);
    ++pair.next.sequence;
    pair.next.timestamp += 80;
    pair.now += milliseconds(10);
  }
  EXPECT_GT(compact, 480);
}

TEST(CompactRtp, what_is_not_rtp_crosses_as_it_is) {
  CompactPair pair;
  ASSERT_TRUE(pair.warm_up());
  const std::vector<Bytes> packets{{0x00, 0x05, 0x06, 0x01, 0x02},        // UDPTL
                                   {0x00, 0x01, 0x00, 0x00, 0x21, 0x12},  // STUN
                                   {0x16, 0xfe, 0xff},                    // DTLS
                                   {0x40},
                                   {0x41, 1},
                                   {0xc0, 1, 2},              // anything
                                   {0x80, 0x01, 0x06, 0x01},  // UDPTL that begins as RTP does
                                   {0x80, 0xc9, 0, 1, 0x12, 0x34, 0x56, 0x78},  // RTCP
                                   Bytes(2047, 0x11)};
  for (const Bytes& packet : packets) {
    for (const Channel channel : {16u, 17u, 40u}) {
      const Bytes frame = to_bytes(pair.sender.write(channel, packet, pair.now));
      EXPECT_LE(frame.size(), packet.size() + 1);
      const auto read = pair.receiver.read(channel, frame, pair.now);
      ASSERT_TRUE(read);
      EXPECT_EQ(to_bytes(*read), packet);
    }
  }
  EXPECT_TRUE(pair.sender.write(16, Bytes(2048, 0x11), pair.now).empty()) << "one byte too many";
  EXPECT_EQ(pair.sender.write(16, Bytes(2047, 0x80), pair.now).size(), 2048u) << "another SSRC";
}

TEST(CompactRtp, a_session_without_the_capability_passes_everything_through) {
  CompactRtpSender sender;
  CompactRtpReceiver receiver;
  CompactPair stream;
  for (int i = 0; i < 200; ++i) {
    EXPECT_EQ(to_bytes(sender.write(16, stream.packet(), stream.now)), stream.packet());
    EXPECT_FALSE(sender.take_proposal());
    stream.advance();
  }
  for (const Bytes& packet : {Bytes{0x00, 0x05}, Bytes{0x40}, Bytes{0xff, 1}}) {
    EXPECT_EQ(to_bytes(sender.write(16, packet, stream.now)), packet);
    EXPECT_EQ(to_bytes(*receiver.read(16, packet, stream.now)), packet);
  }
}

TEST(CompactRtp, a_receiver_refuses_contexts_that_make_no_sense_and_more_than_it_can_keep) {
  CompactRtpReceiver receiver;
  const CompactContext good{16, 0, 1, 7, 0, 160, 100, 16'000, 64};
  EXPECT_FALSE(receiver.on_context(good).accepted) << "no capability";
  receiver.enable();
  const auto refused = [&](auto change) {
    CompactContext context = good;
    change(context);
    const CompactAnswer answer = receiver.on_context(context);
    return !answer.accepted && answer.id == context.id && answer.generation == 1;
  };
  EXPECT_TRUE(refused([](CompactContext& c) { c.channel = 15; }));
  EXPECT_TRUE(refused([](CompactContext& c) { c.channel = 65'536; }));
  EXPECT_TRUE(refused([](CompactContext& c) { c.id = 16; }));
  EXPECT_TRUE(refused([](CompactContext& c) { c.payload_type = 128; }));
  EXPECT_TRUE(refused([](CompactContext& c) { c.base_sequence = 65'536; }));
  EXPECT_TRUE(refused([](CompactContext& c) { c.packets_per_second = 0; }));
  EXPECT_TRUE(refused([](CompactContext& c) { c.packets_per_second = 129; }));
  EXPECT_EQ(receiver.counters().contexts, 0u);
  for (Channel i = 0; i < limits::kCompactChannels; ++i) {
    CompactContext context = good;
    context.channel = 16 + i;
    EXPECT_TRUE(receiver.on_context(context).accepted);
  }
  EXPECT_TRUE(refused([](CompactContext& c) { c.channel = 60'000; }));
}

TEST(CompactRtp, malformed_frames_are_counted_and_dropped) {
  CompactPair pair;
  ASSERT_TRUE(pair.warm_up());
  const std::vector<Bytes> bad{{}, {0x00}, {0x10, 1, 2, 3, 4}, {0x40}, {0x41, 1}, {0xc0, 1}};
  for (const Bytes& frame : bad) EXPECT_FALSE(pair.receiver.read(16, frame, pair.now));
  Bytes long_one(2048, 0x00);  // with its header it would be longer than any packet
  EXPECT_FALSE(pair.receiver.read(16, long_one, pair.now));
  EXPECT_EQ(pair.receiver.counters().dropped_malformed, bad.size() + 1);
}

}  // namespace
}  // namespace isthmus::wire
