#include "audio/rtp_sender.hpp"

#include <gtest/gtest.h>

#include "audio/g711.hpp"
#include "rtp/rtp_packet.hpp"
#include "unit/audio/signals.hpp"

namespace isthmus::audio {
namespace {

struct Sent {
  rtp::RtpHeader header;
  Bytes payload;
};

class RtpSenderTest : public ::testing::Test {
 protected:
  RtpSender make(Codec& codec, RtpFormat format) {
    return RtpSender(codec, format, random_, [this](ByteView packet) {
      const auto view = rtp::RtpView::parse(packet);
      ASSERT_TRUE(view);
      sent_.push_back({{.marker = view->marker(),
                        .payload_type = view->payload_type(),
                        .sequence = view->sequence(),
                        .timestamp = view->timestamp(),
                        .ssrc = view->ssrc()},
                       to_bytes(view->payload())});
    });
  }
  /// Pushes silence in 20 ms pieces.
  void push_for(RtpSender& sender, milliseconds duration) {
    for (milliseconds t{0}; t < duration; t += milliseconds(20)) {
      now_ += milliseconds(20);
      ASSERT_TRUE(sender.push(Samples(160, 0), 8000, now_));
    }
  }

  SeededRandom random_{42};
  std::vector<Sent> sent_;
  Instant now_ = Instant(seconds(1000));
  G711Codec codec_{G711Law::mu};
};

TEST_F(RtpSenderTest, any_amounts_at_any_rate_become_even_packets) {
  RtpSender sender = make(codec_, {.send_payload_type = 0, .ptime_ms = 20});
  const Samples second = testing::voice(130, 48'000, 1, 1);
  for (SampleView rest(second); !rest.empty();) {
    const SampleView piece = rest.first(std::min<std::size_t>(rest.size(), 333));
    ASSERT_TRUE(sender.push(piece, 48'000, now_));
    rest = rest.subspan(piece.size());
  }
  ASSERT_GE(sent_.size(), 49u);
  for (std::size_t i = 0; i < sent_.size(); ++i) {
    EXPECT_EQ(sent_[i].payload.size(), 160u);
    EXPECT_EQ(sent_[i].header.marker, i == 0);
    EXPECT_EQ(sent_[i].header.ssrc, sender.ssrc());
    if (i == 0) continue;
    EXPECT_EQ(sent_[i].header.sequence,
              static_cast<std::uint16_t>(sent_[i - 1].header.sequence + 1));
    EXPECT_EQ(sent_[i].header.timestamp, sent_[i - 1].header.timestamp + 160);
  }
  EXPECT_EQ(sender.packets(), sent_.size());
  EXPECT_EQ(sender.payload_bytes(), sent_.size() * 160);
}

TEST_F(RtpSenderTest, wished_packet_length_is_kept) {
  RtpSender sender = make(codec_, {.ptime_ms = 40});
  push_for(sender, milliseconds(400));
  ASSERT_EQ(sent_.size(), 10u);
  EXPECT_EQ(sent_[3].payload.size(), 320u);
  EXPECT_EQ(sent_[3].header.timestamp - sent_[2].header.timestamp, 320u);
}

TEST_F(RtpSenderTest, timestamps_go_on_through_a_pause_and_speech_begins_with_a_marker) {
  RtpSender sender = make(codec_, {});
  push_for(sender, milliseconds(100));
  const Sent before = sent_.back();
  sender.set_sending(false);
  push_for(sender, milliseconds(5'000));
  EXPECT_EQ(sent_.size(), 5u);
  sender.set_sending(true);
  push_for(sender, milliseconds(40));
  ASSERT_EQ(sent_.size(), 7u);
  EXPECT_TRUE(sent_[5].header.marker);
  EXPECT_FALSE(sent_[6].header.marker);
  EXPECT_EQ(sent_[5].header.sequence, static_cast<std::uint16_t>(before.header.sequence + 1));
  EXPECT_EQ(sent_[5].header.timestamp - before.header.timestamp, 8u * 5'020u);
}

TEST_F(RtpSenderTest, slow_sound_card_is_no_pause) {
  RtpSender sender = make(codec_, {});
  for (int i = 0; i < 3000; ++i) {  // 1 % slow: 600 ms behind after a minute
    now_ += std::chrono::microseconds(20'200);
    ASSERT_TRUE(sender.push(Samples(160, 0), 8000, now_));
  }
  EXPECT_EQ(sent_.back().header.timestamp - sent_.front().header.timestamp, 2999u * 160u);
}

TEST_F(RtpSenderTest, digits_replace_audio_and_share_one_timestamp) {
  RtpSender sender = make(codec_, {.send_dtmf_payload_type = 101});
  push_for(sender, milliseconds(100));
  ASSERT_TRUE(sender.send_dtmf("5#", milliseconds(100), now_));
  push_for(sender, milliseconds(1000));
  EXPECT_FALSE(sender.dtmf_active());
  EXPECT_FALSE(sender.next_deadline());

  std::vector<std::pair<std::uint32_t, char>> digits;
  int ends = 0;
  for (std::size_t i = 0; i < sent_.size(); ++i) {
    if (i > 0) {
      EXPECT_EQ(sent_[i].header.sequence,
                static_cast<std::uint16_t>(sent_[i - 1].header.sequence + 1));
    }
    if (sent_[i].header.payload_type != 101) continue;
    const auto event = rtp::TelephoneEvent::parse(sent_[i].payload);
    ASSERT_TRUE(event);
    const std::pair digit(sent_[i].header.timestamp, rtp::digit_of(event->event));
    if (digits.empty() || digits.back() != digit) {
      EXPECT_TRUE(sent_[i].header.marker);
      digits.push_back(digit);
    }
    if (event->end) ++ends;
  }
  ASSERT_EQ(digits.size(), 2u);
  EXPECT_EQ(digits[0].second, '5');
  EXPECT_EQ(digits[1].second, '#');
  EXPECT_EQ(ends, 6);
  // Audio is back on the same clock.
  EXPECT_EQ(sent_.back().header.payload_type, 0);
  EXPECT_EQ(sent_.back().header.timestamp - sent_.front().header.timestamp, 54u * 160u);
}

TEST_F(RtpSenderTest, digits_go_out_by_timer_when_no_audio_does) {
  RtpSender sender = make(codec_, {.send_dtmf_payload_type = 101});
  ASSERT_TRUE(sender.send_dtmf("1", milliseconds(100), now_));
  const Instant begun = now_;
  while (const auto due = sender.next_deadline()) {
    ASSERT_GE(*due, now_);
    now_ = *due;
    sender.on_timeout(now_);
  }
  EXPECT_LT(now_ - begun, milliseconds(300));
  ASSERT_GE(sent_.size(), 7u);
  for (const Sent& each : sent_) EXPECT_EQ(each.header.timestamp, sent_.front().header.timestamp);
}

TEST_F(RtpSenderTest, bad_digits_and_missing_agreement_are_named) {
  RtpSender with = make(codec_, {.send_dtmf_payload_type = 101});
  EXPECT_NE(with.send_dtmf("12x", milliseconds(100), now_).error().message.find("'x'"),
            std::string::npos);
  EXPECT_FALSE(with.send_dtmf("1", milliseconds(0), now_));
  EXPECT_FALSE(with.send_dtmf(std::string(1000, '1'), milliseconds(100), now_));
  RtpSender without = make(codec_, {});
  EXPECT_NE(without.send_dtmf("1", milliseconds(100), now_).error().message.find("telephone event"),
            std::string::npos);
  EXPECT_FALSE(without.push(Samples(10), 0, now_));
}

}  // namespace
}  // namespace isthmus::audio
