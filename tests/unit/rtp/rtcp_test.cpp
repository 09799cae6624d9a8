#include "rtp/rtcp.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/limits.hpp"
#include "base/random.hpp"

namespace isthmus::rtp {
namespace {

using testing::ElementsAre;

Bytes hex(std::string_view text) {
  return *from_hex(text);
}

std::optional<RtcpCompound> parsed(std::string_view text) {
  return RtcpCompound::parse(hex(text));
}

Bytes written(const RtcpCompound& compound) {
  Bytes out;
  compound.write(out);
  return out;
}

TEST(Rtcp, sender_report_with_block_name_and_bye_is_read) {
  const auto good = parsed(
      "81 c8 000c 11111111 83aa7e80 80000000 00003e80 00000064 00003e80"
      "22222222 40 fffffe 0001ffff 00000050 7e808000 00010000"
      "81 ca 0003 11111111 01 05 6140622e63 00"
      "81 cb 0001 11111111");
  ASSERT_TRUE(good);
  EXPECT_EQ(good->sender_ssrc, 0x11111111u);
  ASSERT_TRUE(good->sender);
  EXPECT_EQ(good->sender->ntp, 0x83aa7e8080000000u);
  EXPECT_EQ(good->sender->rtp_timestamp, 16000u);
  EXPECT_EQ(good->sender->packets, 100u);
  EXPECT_EQ(good->sender->octets, 16000u);
  ASSERT_EQ(good->reports.size(), 1u);
  const ReportBlock& block = good->reports[0];
  EXPECT_EQ(block.ssrc, 0x22222222u);
  EXPECT_EQ(block.fraction_lost, 64);
  EXPECT_EQ(block.cumulative_lost, -2) << "duplicates make it negative";
  EXPECT_EQ(block.highest_sequence, 0x1ffffu);
  EXPECT_EQ(block.jitter, 80u);
  EXPECT_EQ(block.last_sr, 0x7e808000u);
  EXPECT_EQ(block.delay_since_last_sr, 0x10000u);
  EXPECT_EQ(good->cname, "a@b.c");
  EXPECT_THAT(good->bye, ElementsAre(0x11111111u));
}

TEST(Rtcp, unknown_types_feedback_and_extensions_are_skipped) {
  const auto compound = parsed(
      "80 c9 0002 00000009 deadbeef"    // RR with a profile-specific extension
      "81 ce 0002 00000009 00000001"    // PSFB (RFC 4585)
      "80 cc 0002 00000009 6e616d65"    // APP
      "a0 cf 0002 00000009 00000004");  // XR, padded
  ASSERT_TRUE(compound);
  EXPECT_EQ(compound->sender_ssrc, 9u);
  EXPECT_FALSE(compound->sender);
  EXPECT_TRUE(compound->reports.empty());
}

TEST(Rtcp, lengths_that_do_not_add_up_are_refused) {
  const char* kBad[] = {
      "",
      "80",
      "80c900",
      "80 c9 0001",                                        // body missing
      "80 c9 0001 00000009 80",                            // a stray byte after it
      "40 c9 0001 00000009",                               // version 1
      "80 c9 0000",                                        // RR without an SSRC
      "81 c9 0001 00000009",                               // a block counted, none there
      "80 c8 0001 00000009",                               // SR without sender info
      "82 cb 0001 00000009",                               // BYE of two with one
      "81 ca 0002 00000009 01 09 6162",                    // item runs past the end
      "82 ca 0003 00000009 01 01 61 00 00000000",          // second chunk without an end
      "a0 c9 0001 00000009",                               // padding longer than the body
      "a0 c9 0002 00000009 00000003",                      // padding no multiple of four
      "a0 c9 0002 00000009 00000000",                      // padding of 0
      "a0 c9 0002 00000009 00000004 80 c9 0001 00000009",  // padding not on the last
  };
  for (const char* bad : kBad) EXPECT_FALSE(parsed(bad)) << bad;
}

TEST(Rtcp, oversized_packet_is_refused_before_anything_is_kept) {
  Bytes raw;
  while (raw.size() <= limits::kMediaFrameBytes) {
    const Bytes one = hex("80 c9 0001 00000009");
    raw.insert(raw.end(), one.begin(), one.end());
  }
  EXPECT_FALSE(RtcpCompound::parse(raw));
  raw.resize(limits::kMediaFrameBytes);
  EXPECT_TRUE(RtcpCompound::parse(raw));
}

TEST(Rtcp, name_of_the_sender_is_kept_among_those_a_mixer_lists) {
  const auto good = parsed(
      "80 c9 0001 00000009"
      "82 ca 0005 00000005 01 01 61 00 00000009 02 01 7a 01 01 62 00 00");
  ASSERT_TRUE(good);
  EXPECT_EQ(good->cname, "b");
}

TEST(Rtcp, receiver_report_is_written_to_the_byte) {
  RtcpCompound compound;
  compound.sender_ssrc = 0x0a0b0c0d;
  compound.reports = {{1, 2, -1, 3, 4, 5, 6}};
  compound.cname = "ab";
  compound.bye = {7};
  EXPECT_EQ(to_hex(written(compound)),
            "81c90007"
            "0a0b0c0d"
            "00000001"
            "02ffffff"
            "00000003"
            "00000004"
            "00000005"
            "00000006"
            "81ca0003"
            "0a0b0c0d"
            "01026162"
            "00000000"
            "81cb0001"
            "00000007");
}

TEST(Rtcp, lost_is_clipped_to_24_bits) {
  RtcpCompound compound;
  compound.reports = {{1, 0, 0x7fffffff, 0, 0, 0, 0}, {2, 0, -0x7fffffff, 0, 0, 0, 0}};
  const auto again = RtcpCompound::parse(written(compound));
  ASSERT_TRUE(again);
  EXPECT_EQ(again->reports[0].cumulative_lost, 0x7fffff);
  EXPECT_EQ(again->reports[1].cumulative_lost, -0x800000);
}

TEST(Rtcp, random_compounds_round_trip_also_past_31_of_a_kind) {
  SeededRandom random(1889);
  for (int i = 0; i < 500; ++i) {
    RtcpCompound compound;
    compound.sender_ssrc = random.u32();
    if (random.below(2) == 0) {
      compound.sender = SenderInfo{random.u64(), random.u32(), random.u32(), random.u32()};
    }
    for (std::uint64_t n = random.below(40); n > 0; --n) {
      compound.reports.push_back({random.u32(), static_cast<std::uint8_t>(random.u32()),
                                  static_cast<std::int32_t>(random.below(1 << 24)) - (1 << 23),
                                  random.u32(), random.u32(), random.u32(), random.u32()});
    }
    compound.cname = std::string(random.below(256), 'c');
    for (std::uint64_t n = random.below(70); n > 0; --n) compound.bye.push_back(random.u32());

    const Bytes raw = written(compound);
    EXPECT_EQ(raw.size() % 4, 0u);
    const auto again = RtcpCompound::parse(raw);
    ASSERT_TRUE(again) << "round " << i;
    EXPECT_EQ(again->sender_ssrc, compound.sender_ssrc);
    EXPECT_EQ(again->sender.has_value(), compound.sender.has_value());
    EXPECT_EQ(again->reports.size(), compound.reports.size());
    EXPECT_EQ(again->cname, compound.cname);
    EXPECT_EQ(again->bye, compound.bye);
    EXPECT_EQ(written(*again), raw);
  }
}

TEST(Rtcp, overlong_name_is_cut_and_writing_appends) {
  RtcpCompound compound;
  compound.cname = std::string(300, 'x');
  Bytes out = {0xaa};
  compound.write(out);
  EXPECT_EQ(out.front(), 0xaa);
  const auto again = RtcpCompound::parse(ByteView(out).subspan(1));
  ASSERT_TRUE(again);
  EXPECT_EQ(again->cname, std::string(255, 'x'));
}

}  // namespace
}  // namespace isthmus::rtp
