#include "rtp/rtp_packet.hpp"

#include <gtest/gtest.h>

#include "base/random.hpp"

namespace isthmus::rtp {
namespace {

Bytes hex(std::string_view text) {
  return *from_hex(text);
}

TEST(RtpPacket, plain_packet_is_read) {
  const Bytes raw = hex("80 88 1234 01020304 a1b2c3d4 d5d5d5");
  const auto view = RtpView::parse(raw);
  ASSERT_TRUE(view);
  EXPECT_TRUE(view->marker());
  EXPECT_EQ(view->payload_type(), 8);
  EXPECT_EQ(view->sequence(), 0x1234);
  EXPECT_EQ(view->timestamp(), 0x01020304u);
  EXPECT_EQ(view->ssrc(), 0xa1b2c3d4u);
  EXPECT_EQ(view->csrc_count(), 0);
  EXPECT_FALSE(view->has_extension());
  EXPECT_EQ(to_hex(view->payload()), "d5d5d5");
  EXPECT_EQ(view->packet().size(), raw.size());
}

TEST(RtpPacket, contributors_extension_and_padding_are_passed_over) {
  const Bytes raw =
      hex("b2 00 0001 00000001 00000002"
          "00000003 00000004"   // two CSRCs
          "bede 0001 10ff0000"  // one word of extension
          "aabb 000003");       // payload, three bytes of padding
  const auto view = RtpView::parse(raw);
  ASSERT_TRUE(view);
  EXPECT_EQ(view->csrc_count(), 2);
  EXPECT_TRUE(view->has_extension());
  EXPECT_FALSE(view->marker());
  EXPECT_EQ(to_hex(view->payload()), "aabb");
}

TEST(RtpPacket, what_does_not_fit_is_refused) {
  const char* kBad[] = {
      "",
      "80",
      "80 00 0001 00000001 000000",                  // a byte short of a header
      "40 00 0001 00000001 00000002",                // version 1
      "c0 00 0001 00000001 00000002",                // version 3
      "81 00 0001 00000001 00000002 0000",           // half a CSRC
      "90 00 0001 00000001 00000002 bede",           // half an extension header
      "90 00 0001 00000001 00000002 bede0001 ffff",  // half an extension
      "a0 00 0001 00000001 00000002",                // padding bit, no byte that counts it
      "a0 00 0001 00000001 00000002 00",             // padding of 0
      "a0 00 0001 00000001 00000002 aa03",           // padding longer than what is there
  };
  for (const char* bad : kBad) EXPECT_FALSE(RtpView::parse(hex(bad))) << bad;
}

TEST(RtpPacket, padding_may_be_all_there_is) {
  const Bytes raw = hex("a0 00 0001 00000001 00000002 00000004");
  ASSERT_TRUE(RtpView::parse(raw));
  EXPECT_TRUE(RtpView::parse(raw)->payload().empty());
}

TEST(RtpPacket, header_is_written_as_rfc_3550_draws_it) {
  Bytes out = hex("ffff");
  write_rtp({true, 101, 0xfffe, 0xdeadbeef, 7}, hex("0a8a0320"), out);
  EXPECT_EQ(to_hex(out), "80e5fffedeadbeef000000070a8a0320");
  write_rtp({false, 0x80 | 9, 1, 2, 3}, {}, out);
  EXPECT_EQ(to_hex(out), "800900010000000200000003") << "a type's eighth bit is not the marker";
}

TEST(RtpPacket, random_headers_round_trip) {
  SeededRandom random(3550);
  Bytes out;
  for (int i = 0; i < 1000; ++i) {
    const RtpHeader header{random.below(2) == 1, static_cast<std::uint8_t>(random.below(128)),
                           static_cast<std::uint16_t>(random.u32()), random.u32(), random.u32()};
    Bytes payload(random.below(200));
    random.fill(payload);
    write_rtp(header, payload, out);
    const auto view = RtpView::parse(out);
    ASSERT_TRUE(view);
    EXPECT_EQ(view->marker(), header.marker);
    EXPECT_EQ(view->payload_type(), header.payload_type);
    EXPECT_EQ(view->sequence(), header.sequence);
    EXPECT_EQ(view->timestamp(), header.timestamp);
    EXPECT_EQ(view->ssrc(), header.ssrc);
    EXPECT_EQ(to_bytes(view->payload()), payload);
  }
}

TEST(RtpPacket, rtcp_is_told_from_rtp_by_its_second_byte) {
  for (int type = 0; type < 256; ++type) {
    const Bytes raw = {0x80, static_cast<std::uint8_t>(type)};
    EXPECT_EQ(is_rtcp(raw), type >= 192 && type <= 223) << type;
  }
  EXPECT_FALSE(is_rtcp(Bytes{0x80}));
  EXPECT_FALSE(is_rtcp({}));
}

}  // namespace
}  // namespace isthmus::rtp
