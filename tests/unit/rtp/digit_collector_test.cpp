#include "rtp/digit_collector.hpp"

#include <gtest/gtest.h>

#include <string>

namespace isthmus::rtp {
namespace {

struct DigitCollectorTest : testing::Test {
  DigitCollector collector;
  Instant now{std::chrono::hours(1)};
  std::string heard;  ///< "5:800 #:160 "

  void take(const std::optional<DigitCollector::Digit>& digit) {
    if (digit) heard += std::string(1, digit->digit) + ":" + std::to_string(digit->ticks) + " ";
  }
  void event(std::uint32_t timestamp, char digit, std::uint16_t duration, bool end = false) {
    now += milliseconds(20);
    for (const auto& each :
         collector.on_packet(timestamp, {*event_of(digit), end, 10, duration}, now)) {
      take(each);
    }
  }
  void audio(Duration later = milliseconds(20)) {
    now += later;
    take(collector.on_other(now));
  }
};

TEST_F(DigitCollectorTest, digit_is_told_once_when_it_is_over_with_its_length) {
  for (std::uint16_t i = 1; i <= 4; ++i) event(1000, '5', static_cast<std::uint16_t>(i * 160));
  EXPECT_EQ(heard, "");
  for (int i = 0; i < 3; ++i) event(1000, '5', 800, true);
  EXPECT_EQ(heard, "5:800 ");
  for (int i = 0; i < 20; ++i) audio();
  event(9000, '5', 160);
  event(9000, '5', 320, true);
  EXPECT_EQ(heard, "5:800 5:320 ");
}

TEST_F(DigitCollectorTest, lost_end_is_made_up_for_by_the_next_digit_or_by_the_stream_going_on) {
  event(1000, '1', 160);
  event(1000, '1', 320);
  event(5000, '2', 160);
  EXPECT_EQ(heard, "1:320 ");
  audio();
  EXPECT_EQ(heard, "1:320 ") << "audio beside the event says nothing yet";
  event(5000, '2', 480);
  audio(milliseconds(149));
  EXPECT_EQ(heard, "1:320 ");
  audio(milliseconds(1));
  EXPECT_EQ(heard, "1:320 2:480 ");
  event(5000, '2', 640, true);  // late
  EXPECT_EQ(heard, "1:320 2:480 ");
}

TEST_F(DigitCollectorTest, end_alone_tells_both_the_digit_before_and_its_own) {
  event(1000, '1', 160);
  event(5000, '#', 160, true);
  EXPECT_EQ(heard, "1:160 #:160 ");
}

TEST_F(DigitCollectorTest, reordered_packets_do_not_shorten_a_digit) {
  event(1000, '9', 160);
  event(1000, '9', 640);
  event(1000, '9', 480);
  event(1000, '9', 800, true);
  event(1000, '9', 320);
  EXPECT_EQ(heard, "9:800 ");
}

TEST_F(DigitCollectorTest, segments_of_a_long_event_are_one_digit) {
  event(1000, '*', 0x8000);
  event(1000, '*', 0xffff);
  event(1000 + 0xffff, '*', 160);
  event(1000 + 0xffff, '*', 320, true);
  EXPECT_EQ(heard, "*:" + std::to_string(0xffff + 320) + " ");
}

TEST_F(DigitCollectorTest, other_events_are_no_digits) {
  for (const auto& each : collector.on_packet(1, {16, true, 10, 160}, now)) take(each);  // flash
  for (const auto& each : collector.on_packet(9, {66, false, 10, 160}, now)) take(each);
  audio(seconds(1));
  EXPECT_EQ(heard, "");
}

}  // namespace
}  // namespace isthmus::rtp
