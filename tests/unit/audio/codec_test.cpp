#include "audio/codec.hpp"

#include <gtest/gtest.h>

#include "unit/audio/signals.hpp"

namespace isthmus::audio {
namespace {

using testing::best_correlation;
using testing::rms;
using testing::voice;

TEST(CodecRegistry, makes_every_codec_it_offers_by_its_sdp_name) {
  ASSERT_EQ(supported_codecs().size(), 3u);
  for (const CodecInfo& info : supported_codecs()) {
    const auto codec = make_codec(info.sdp_name());
    ASSERT_TRUE(codec) << codec.error().message;
    EXPECT_EQ((*codec)->info().sdp_name(), info.sdp_name());
  }
  EXPECT_EQ(supported_codecs()[0].sdp_name(), "opus/48000/2");
}

TEST(CodecRegistry, compares_without_case_and_with_implied_channel) {
  for (const char* name : {"pcmu/8000", "PCMA/8000/1", "OPUS/48000/2"}) {
    EXPECT_TRUE(make_codec(name)) << name;
  }
}

TEST(CodecRegistry, names_what_it_does_not_know) {
  for (const char* name :
       {"G729/8000", "PCMU/16000", "opus/48000", "PCMU", "PCMU/", "PCMU/8000/x", ""}) {
    const auto codec = make_codec(name);
    ASSERT_FALSE(codec) << name;
    EXPECT_EQ(codec.error().fault, AudioFault::unknown_codec);
    EXPECT_NE(codec.error().message.find(name), std::string::npos) << codec.error().message;
  }
}

TEST(CodecRegistry, static_payload_types) {
  ASSERT_NE(codec_of_payload_type(0), nullptr);
  EXPECT_EQ(codec_of_payload_type(0)->name, "PCMU");
  EXPECT_EQ(codec_of_payload_type(8)->name, "PCMA");
  EXPECT_EQ(codec_of_payload_type(18), nullptr);
}

class OpusTest : public ::testing::TestWithParam<unsigned> {};

TEST_P(OpusTest, carries_a_voice) {
  const unsigned rate = GetParam();
  const auto made = make_codec("opus/48000/2", {.opus_sample_rate = rate});
  ASSERT_TRUE(made);
  Codec& codec = **made;
  const Samples original = voice(140, rate, 2, 1);
  const std::size_t frame = rate / 50;
  Samples decoded;
  Bytes payload;
  std::size_t bytes = 0;
  for (std::size_t at = 0; at + frame <= original.size(); at += frame) {
    ASSERT_TRUE(codec.encode(SampleView(original).subspan(at, frame), payload));
    EXPECT_EQ(codec.packet_samples(payload), frame);
    ASSERT_TRUE(codec.decode(payload, decoded));
    bytes += payload.size();
  }
  EXPECT_EQ(decoded.size(), original.size());
  EXPECT_GT(best_correlation(original, decoded, rate / 50), 0.9);
  EXPECT_NEAR(static_cast<double>(bytes) * 8 / 2, 24'000, 12'000) << "bit/s";
}

INSTANTIATE_TEST_SUITE_P(Rates, OpusTest, ::testing::Values(16'000U, 48'000U));

/// Decodes all packets; every tenth is concealed, with or without the help of its successor.
Samples decode_with_losses(const std::vector<Bytes>& packets, bool lose, bool fec) {
  const auto made = make_codec("opus/48000/2");
  Samples decoded;
  for (std::size_t i = 0; i + 1 < packets.size(); ++i) {
    if (lose && i % 10 == 9) {
      (*made)->conceal(320, fec ? ByteView(packets[i + 1]) : ByteView(), decoded);
    } else {
      EXPECT_TRUE((*made)->decode(packets[i], decoded));
    }
    EXPECT_EQ(decoded.size(), (i + 1) * 320);
  }
  return decoded;
}

TEST(Opus, next_packet_recovers_the_lost_one_better_than_extrapolation) {
  const auto encoder = make_codec("opus/48000/2", {.opus_expected_loss = 25});
  ASSERT_TRUE(encoder);
  const Samples original = voice(120, 16'000, 4, 7);
  std::vector<Bytes> packets;
  for (std::size_t at = 0; at + 320 <= original.size(); at += 320) {
    (*encoder)->encode(SampleView(original).subspan(at, 320), packets.emplace_back());
  }
  const Samples whole = decode_with_losses(packets, false, false);
  const auto likeness = [&](const Samples& decoded) {
    double sum = 0;
    int losses = 0;
    for (std::size_t at = 9 * 320; at + 320 <= whole.size(); at += 3200, ++losses) {
      sum += testing::correlation(SampleView(whole).subspan(at, 320),
                                  SampleView(decoded).subspan(at, 320), 0);
    }
    return sum / losses;
  };
  const double recovered = likeness(decode_with_losses(packets, true, true));
  const double extrapolated = likeness(decode_with_losses(packets, true, false));
  EXPECT_GT(recovered, 0.6);
  EXPECT_GT(recovered, extrapolated + 0.15) << "extrapolated: " << extrapolated;
}

TEST(Opus, garbage_is_refused_without_output) {
  const auto made = make_codec("opus/48000/2");
  ASSERT_TRUE(made);
  Codec& codec = **made;
  SeededRandom random(3);
  RecordProperty("seed", 3);
  for (int round = 0; round < 5000; ++round) {
    Bytes garbage(random.below(200));
    random.fill(garbage);
    Samples out;
    const auto samples = codec.packet_samples(garbage);
    const bool decoded = codec.decode(garbage, out);
    EXPECT_EQ(out.empty(), !decoded);
    if (decoded) {
      ASSERT_TRUE(samples);
      EXPECT_EQ(out.size(), *samples);
    }
  }
  Samples out;
  EXPECT_FALSE(codec.decode({}, out));
}

TEST(Opus, packet_length_is_one_that_opus_has) {
  const auto made = make_codec("opus/48000/2");
  ASSERT_TRUE(made);
  EXPECT_EQ((*made)->usable_ptime(20), 20u);
  EXPECT_EQ((*made)->usable_ptime(30), 20u);
  EXPECT_EQ((*made)->usable_ptime(5), 10u);
  EXPECT_EQ((*made)->usable_ptime(200), 60u);
}

TEST(Opus, impossible_options_are_named) {
  EXPECT_NE(make_codec("opus/48000/2", {.opus_sample_rate = 44'100}).error().message.find("44100"),
            std::string::npos);
  EXPECT_NE(make_codec("opus/48000/2", {.opus_bitrate = 10}).error().message.find("bit rate 10"),
            std::string::npos);
  EXPECT_NE(
      make_codec("opus/48000/2", {.opus_complexity = 11}).error().message.find("complexity 11"),
      std::string::npos);
}

}  // namespace
}  // namespace isthmus::audio
