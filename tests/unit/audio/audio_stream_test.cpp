#include "audio/audio_stream.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <iostream>
#include <map>

#include "rtp/rtp_packet.hpp"
#include "unit/audio/signals.hpp"

namespace isthmus::audio {
namespace {

struct Path {
  double loss = 0;  ///< 0..1
  double delay_ms = 40;
  double jitter_ms = 0;   ///< mean of the exponential part; reorders when above the packet length
  double duplicates = 0;  ///< 0..1
};

/// Two streams over a virtual network, 10 ms steps, seeded.
class Call {
 public:
  Call(const std::string& codec, const Path& path, std::uint64_t seed, unsigned ptime_ms = 20)
      : path_(path), network_(seed), random_(seed + 1) {
    AudioStreamConfig config;
    config.codec = codec;
    config.cname = "abcdefgh";
    config.format.ptime_ms = ptime_ms;
    config.format.send_payload_type = config.format.receive_payload_type =
        codec[0] == 'o' ? 111 : 0;
    config.format.send_dtmf_payload_type = config.format.receive_dtmf_payload_type = 101;
    for (int end = 0; end < 2; ++end) {
      const int other = 1 - end;
      AudioStreamHandlers handlers;
      handlers.send_rtp = [this, other](ByteView packet) { carry(other, packet); };
      handlers.send_rtcp = [this, other](ByteView packet) { carry(other, packet); };
      handlers.on_dtmf = [this, end](char digit) { digits[end] += digit; };
      auto made = AudioStream::create(config, random_, std::move(handlers), now);
      EXPECT_TRUE(made) << made.error().message;
      streams[end] = std::move(*made);
    }
  }

  /// Both ends speak `audio` at `rate`, or are silent without; what end 1 hears is kept.
  void run(milliseconds duration, const Samples* audio = nullptr, unsigned rate = 8000) {
    const std::size_t step = rate / 100;
    Samples piece(step);
    for (milliseconds t{0}; t < duration; t += milliseconds(10)) {
      now += milliseconds(10);
      deliver();
      std::fill(piece.begin(), piece.end(), std::int16_t{0});
      if (audio != nullptr) {
        for (std::size_t i = 0; i < step; ++i) piece[i] = (*audio)[(position_ + i) % audio->size()];
        position_ += step;
      }
      for (int end = 0; end < 2; ++end) {
        EXPECT_TRUE(streams[end]->push_audio(piece, rate, now));
        if (streams[end]->next_deadline() <= now) streams[end]->on_timeout(now);
        Samples out(step);
        EXPECT_TRUE(streams[end]->pull_audio(out, rate, now));
        if (end == 1) heard.insert(heard.end(), out.begin(), out.end());
      }
    }
  }

  Instant now = Instant(seconds(10'000));
  std::unique_ptr<AudioStream> streams[2];
  std::string digits[2];
  Samples heard;

 private:
  void carry(int to, ByteView packet) {
    const auto chance = [this] { return static_cast<double>(network_.below(1'000'000)) / 1e6; };
    if (chance() < path_.loss) return;
    const int copies = chance() < path_.duplicates ? 2 : 1;
    for (int copy = 0; copy < copies; ++copy) {
      const double ms = path_.delay_ms - path_.jitter_ms * std::log(1 - chance());
      flying_.emplace(now + std::chrono::microseconds(static_cast<std::int64_t>(ms * 1000)),
                      std::pair(to, to_bytes(packet)));
    }
  }
  void deliver() {
    while (!flying_.empty() && flying_.begin()->first <= now) {
      const auto& [when, what] = *flying_.begin();
      if (rtp::is_rtcp(what.second)) {
        streams[what.first]->on_rtcp(what.second, when);
      } else {
        streams[what.first]->on_rtp(what.second, when);
      }
      flying_.erase(flying_.begin());
    }
  }

  Path path_;
  SeededRandom network_, random_;
  std::multimap<Instant, std::pair<int, Bytes>> flying_;
  std::size_t position_ = 0;
};

/// Mean of the best correlations of half-second pieces: time stretching moves the pieces, it must
/// not spoil them. The first second is left out: the buffer is still learning.
double piecewise_correlation(const Samples& spoken, const Samples& heard, unsigned rate) {
  const std::size_t piece = rate / 4;
  const std::size_t longest_lag = rate / 5;
  double sum = 0;
  int pieces = 0;
  for (std::size_t at = rate; at + piece + longest_lag < std::min(heard.size(), spoken.size());
       at += rate / 2) {
    sum +=
        testing::best_correlation(SampleView(spoken).subspan(at, piece),
                                  SampleView(heard).subspan(at, piece + longest_lag), longest_lag);
    ++pieces;
  }
  return sum / pieces;
}

struct Case {
  const char* codec;
  unsigned rate;
  Path path;
  double correlation;
};

class SpeechOverNetwork : public ::testing::TestWithParam<Case> {};

TEST_P(SpeechOverNetwork, is_heard_as_it_was_said) {
  const Case& test = GetParam();
  constexpr std::uint64_t kSeed = 31;
  const Samples spoken = testing::voice(125, test.rate, 12, 3);
  Call call(test.codec, test.path, kSeed);
  call.run(seconds(12), &spoken, test.rate);
  const double correlation = piecewise_correlation(spoken, call.heard, test.rate);
  const AudioStreamStatistics all = call.streams[1]->statistics(call.now);
  std::cout << test.codec << " seed " << kSeed << ": correlation " << correlation << ", concealed "
            << all.concealed_ratio << ", buffer " << all.jitter_buffer_ms << " ms, MOS " << all.mos
            << '\n';
  EXPECT_GT(correlation, test.correlation);
  EXPECT_EQ(all.ignored, 0u);
  EXPECT_EQ(all.undecodable, 0u);
  EXPECT_LT(all.concealed_ratio, test.path.loss + 0.05);
}

INSTANTIATE_TEST_SUITE_P(
    Codecs, SpeechOverNetwork,
    ::testing::Values(
        Case{"PCMU/8000", 8000, {}, 0.98}, Case{"PCMA/8000", 8000, {}, 0.98},
        Case{"opus/48000/2", 16'000, {}, 0.9},
        Case{"PCMU/8000", 8000, {.loss = 0.05, .jitter_ms = 8}, 0.9},
        Case{"opus/48000/2", 16'000, {.loss = 0.05, .jitter_ms = 8}, 0.85},
        Case{"PCMU/8000", 16'000, {.loss = 0.02, .jitter_ms = 15, .duplicates = 0.05}, 0.85}));

TEST(AudioStream, digits_arrive_exactly_once_and_in_order) {
  for (const std::uint64_t seed : {1, 2, 3, 4, 5}) {
    std::cout << "seed " << seed << '\n';
    Call call("PCMU/8000", {.loss = 0.08, .jitter_ms = 12, .duplicates = 0.1}, seed);
    call.run(seconds(1));
    ASSERT_TRUE(call.streams[0]->send_dtmf("0123456789*#ABCD", call.now));
    call.run(seconds(5));
    EXPECT_EQ(call.digits[1], "0123456789*#ABCD");
    EXPECT_EQ(call.digits[0], "");
    EXPECT_FALSE(call.streams[0]->dtmf_active());
  }
}

TEST(AudioStream, digits_with_opus_run_on_its_clock) {
  Call call("opus/48000/2", {.jitter_ms = 3}, 8);
  call.run(seconds(1));
  ASSERT_TRUE(call.streams[1]->send_dtmf("55", call.now));
  call.run(seconds(2));
  EXPECT_EQ(call.digits[0], "55");
  EXPECT_LT(call.streams[0]->statistics(call.now).jitter_ms, 15);
}

TEST(AudioStream, statistics_tell_of_the_path) {
  const Samples spoken = testing::voice(125, 8000, 10, 3);
  Call call("PCMU/8000", {.loss = 0.03, .delay_ms = 60, .jitter_ms = 5}, 77);
  call.run(seconds(60), &spoken);
  const AudioStreamStatistics all = call.streams[0]->statistics(call.now);
  EXPECT_NEAR(static_cast<double>(all.packets_sent), 3000, 2);
  EXPECT_NEAR(static_cast<double>(all.lost), 90, 40);
  EXPECT_NEAR(static_cast<double>(all.packets_received + all.lost), 3000, 15);
  EXPECT_NEAR(all.jitter_ms, 5, 4);
  ASSERT_TRUE(all.round_trip_ms);
  EXPECT_NEAR(*all.round_trip_ms, 130, 25);
  ASSERT_TRUE(all.remote_loss_ratio);
  EXPECT_NEAR(*all.remote_loss_ratio, 0.03, 0.03);
  EXPECT_GT(all.mos, 3.3);
  EXPECT_LT(all.mos, 4.3);
  EXPECT_GT(all.jitter_buffer_ms, 15);
}

TEST(AudioStream, loss_lowers_the_opinion_score) {
  double before = 4.5;
  for (const double loss : {0.0, 0.05, 0.2}) {
    Call call("PCMU/8000", {.loss = loss}, 5);
    call.run(seconds(20));
    const double mos = call.streams[1]->statistics(call.now).mos;
    EXPECT_LT(mos, before);
    before = mos - 0.3;
  }
}

TEST(AudioStream, hold_is_silent_and_resuming_is_clean) {
  const Samples spoken = testing::voice(125, 8000, 10, 3);
  Call call("PCMU/8000", {}, 6);
  call.run(seconds(2), &spoken);
  call.streams[0]->set_direction(false, false);
  call.run(seconds(1), &spoken);
  call.heard.clear();
  const auto sent = call.streams[0]->statistics(call.now).packets_sent;
  call.run(seconds(5), &spoken);
  EXPECT_EQ(call.streams[0]->statistics(call.now).packets_sent, sent);
  EXPECT_EQ(testing::rms(call.heard), 0);
  const auto concealed = call.streams[1]->statistics(call.now).concealed_ratio;
  call.streams[0]->set_direction(true, true);
  call.run(milliseconds(500), &spoken);
  call.heard.clear();
  call.run(seconds(2), &spoken);
  EXPECT_GT(testing::rms(call.heard), 500);
  EXPECT_EQ(call.streams[1]->statistics(call.now).lost, 0u);
  // What the far end sent meanwhile was not wanted, but neither was it lost.
  EXPECT_EQ(call.streams[0]->statistics(call.now).lost, 0u);
  EXPECT_EQ(call.streams[0]->statistics(call.now).ignored, 0u);
  EXPECT_LE(call.streams[1]->statistics(call.now).concealed_ratio, concealed + 0.01);
}

TEST(AudioStream, sixty_millisecond_packets_work_too) {
  const Samples spoken = testing::voice(125, 8000, 10, 3);
  Call call("PCMU/8000", {.jitter_ms = 4}, 9, 60);
  call.run(seconds(10), &spoken);
  EXPECT_NEAR(static_cast<double>(call.streams[0]->statistics(call.now).packets_sent), 166, 2);
  EXPECT_GT(piecewise_correlation(spoken, call.heard, 8000), 0.95);
}

class OneStream : public ::testing::Test {
 protected:
  void SetUp() override {
    AudioStreamConfig config;
    config.format.receive_dtmf_payload_type = 101;
    AudioStreamHandlers handlers;
    handlers.send_rtp = [](ByteView) {};
    handlers.on_dtmf = [this](char digit) { digits_ += digit; };
    auto made = AudioStream::create(config, random_, std::move(handlers), now_);
    ASSERT_TRUE(made);
    stream_ = std::move(*made);
  }
  void receive(std::uint8_t payload_type, std::uint16_t sequence, std::uint32_t timestamp,
               ByteView payload) {
    Bytes packet;
    rtp::write_rtp(
        {.payload_type = payload_type, .sequence = sequence, .timestamp = timestamp, .ssrc = 9},
        payload, packet);
    stream_->on_rtp(packet, now_);
  }

  SeededRandom random_{1};
  Instant now_ = Instant(seconds(100));
  std::string digits_;
  std::unique_ptr<AudioStream> stream_;
};

TEST_F(OneStream, comfort_noise_is_heard_at_its_level_until_speech_comes_back) {
  Samples heard;
  Samples piece(160);
  std::uint16_t sequence = 0;
  for (std::uint32_t i = 0; i < 300; ++i) {
    now_ += milliseconds(20);
    if (i < 100 || i >= 250) receive(0, sequence++, i * 160, Bytes(160, 0xff));
    if (i >= 100 && i < 250 && i % 25 == 0)
      receive(13, sequence++, i * 160, Bytes{50});  // -50 dBov
    ASSERT_TRUE(stream_->pull_audio(piece, 8000, now_));
    heard.insert(heard.end(), piece.begin(), piece.end());
  }
  const double noise = testing::rms(SampleView(heard).subspan(120 * 160, 100 * 160));
  EXPECT_NEAR(20 * std::log10(noise / 32768), -50, 1.5);
  EXPECT_EQ(testing::rms(SampleView(heard).subspan(280 * 160)), 0);
  EXPECT_EQ(stream_->statistics(now_).lost, 0u);
}

TEST_F(OneStream, packets_of_no_known_kind_are_counted_and_harmless) {
  stream_->on_rtp({}, now_);
  stream_->on_rtp(Bytes{0x80, 0, 0}, now_);
  receive(34, 1, 160, Bytes(160, 0));  // video
  receive(101, 2, 160, Bytes{1, 2});   // half an event
  receive(0, 3, 160, {});              // no audio
  receive(0, 4, 160, Bytes(1500, 0));  // 187 ms of it
  stream_->on_rtcp(Bytes(100, 0xff), now_);
  EXPECT_EQ(stream_->statistics(now_).ignored, 6u);
  EXPECT_EQ(stream_->statistics(now_).packets_received, 0u);
  Samples piece(160, 5);
  ASSERT_TRUE(stream_->pull_audio(piece, 8000, now_));
  EXPECT_EQ(testing::rms(piece), 0);
  EXPECT_FALSE(stream_->pull_audio(piece, 1, now_));
}

TEST_F(OneStream, random_bytes_never_break_it) {
  constexpr std::uint64_t kSeed = 5;
  std::cout << "seed " << kSeed << '\n';
  SeededRandom random(kSeed);
  Samples piece(160);
  for (int i = 0; i < 50'000; ++i) {
    Bytes packet(random.below(220));
    random.fill(packet);
    if (packet.size() > 12 && random.below(4) != 0) {
      packet[0] = 0x80;
      packet[1] = random.below(3) == 0 ? 101 : 0;
      if (random.below(8) != 0) std::fill(packet.begin() + 8, packet.begin() + 12, std::uint8_t{1});
      if (random.below(2) == 0) packet[2] = packet[4] = packet[5] = 0;
    }
    stream_->on_rtp(packet, now_);
    stream_->on_rtcp(packet, now_);
    now_ += milliseconds(random.below(40));
    ASSERT_TRUE(stream_->pull_audio(piece, 8000, now_));
  }
}

TEST(AudioStreamConfiguration, faults_are_named) {
  SeededRandom random(1);
  const auto message = [&random](const std::function<void(AudioStreamConfig&)>& change,
                                 bool sink = true) {
    AudioStreamConfig config;
    change(config);
    AudioStreamHandlers handlers;
    if (sink) handlers.send_rtp = [](ByteView) {};
    const auto made = AudioStream::create(config, random, std::move(handlers), Instant());
    return made ? std::string("made") : made.error().message;
  };
  EXPECT_EQ(message([](AudioStreamConfig&) {}), "made");
  EXPECT_NE(message([](AudioStreamConfig& c) { c.codec = "G729/8000"; }).find("G729"),
            std::string::npos);
  EXPECT_NE(message([](AudioStreamConfig& c) { c.format.send_payload_type = 128; }).find("128"),
            std::string::npos);
  EXPECT_NE(
      message([](AudioStreamConfig& c) { c.format.receive_dtmf_payload_type = 0; }).find("share"),
      std::string::npos);
  EXPECT_NE(
      message([](AudioStreamConfig& c) { c.jitter.max_delay = milliseconds(10); }).find("jitter"),
      std::string::npos);
  EXPECT_NE(message([](AudioStreamConfig& c) { c.format.dtmf_clock_rate = 8001; }).find("8001"),
            std::string::npos);
  EXPECT_NE(message([](AudioStreamConfig&) {}, false).find("send_rtp"), std::string::npos);
}

}  // namespace
}  // namespace isthmus::audio
