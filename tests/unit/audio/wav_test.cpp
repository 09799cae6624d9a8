#include "audio/wav.hpp"

#include <gtest/gtest.h>
#include <sndfile.h>

#include <filesystem>
#include <fstream>

#include "audio/file_player.hpp"
#include "audio/file_recorder.hpp"
#include "unit/audio/signals.hpp"

namespace isthmus::audio {
namespace {

namespace fs = std::filesystem;

class WavTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(::testing::TempDir()) /
              ("isthmus_wav_" +
               std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::string file(const std::string& name) const { return (folder_ / name).string(); }

  void write_file(const std::string& path, unsigned rate, SampleView samples) {
    auto writer = WavWriter::create(path, rate);
    ASSERT_TRUE(writer) << writer.error().message;
    ASSERT_TRUE(writer->write(samples));
    ASSERT_TRUE(writer->close());
  }

  fs::path folder_;
};

TEST_F(WavTest, comes_back_sample_for_sample) {
  Samples original = testing::voice(150, 16'000, 1.5, 3);
  original[0] = -32768;
  original[1] = 32767;
  write_file(file("a.wav"), 16'000, original);
  const auto back = read_sound_file(file("a.wav"), 16'000);
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(*back, original);
}

TEST_F(WavTest, closed_file_is_plain_riff) {
  write_file(file("a.wav"), 8'000, Samples(8'000, 1));
  std::ifstream in(file("a.wav"), std::ios::binary);
  std::string magic(4, ' ');
  in.read(magic.data(), 4);
  EXPECT_EQ(magic, "RIFF");
}

TEST_F(WavTest, stereo_at_another_rate_becomes_mono_at_ours) {
  const Samples tone = testing::tone(440, 8000, 44'100, 44'100);
  std::vector<std::int16_t> stereo;
  for (const std::int16_t sample : tone) {
    stereo.push_back(sample);
    stereo.push_back(0);  // silent right channel: mono is half as loud
  }
  SF_INFO info{};
  info.samplerate = 44'100;
  info.channels = 2;
  info.format = SF_FORMAT_WAV | SF_FORMAT_PCM_16;
  SNDFILE* out = sf_open(file("stereo.wav").c_str(), SFM_WRITE, &info);
  ASSERT_NE(out, nullptr);
  sf_writef_short(out, stereo.data(), 44'100);
  sf_close(out);

  const auto mono = read_sound_file(file("stereo.wav"), 16'000);
  ASSERT_TRUE(mono) << mono.error().message;
  EXPECT_NEAR(static_cast<double>(mono->size()), 16'000, 160);
  EXPECT_NEAR(testing::rms(SampleView(*mono).subspan(1600, 12'800)), 4000 / std::sqrt(2), 60);
}

TEST_F(WavTest, errors_name_the_file) {
  const auto missing = read_sound_file(file("missing.wav"), 8'000);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().fault, AudioFault::file);
  EXPECT_NE(missing.error().message.find("missing.wav"), std::string::npos);

  std::ofstream(file("letter.wav")) << "Dear reader, this is no sound.";
  const auto letter = read_sound_file(file("letter.wav"), 8'000);
  ASSERT_FALSE(letter);
  EXPECT_NE(letter.error().message.find("letter.wav"), std::string::npos);

  write_file(file("empty.wav"), 8'000, {});
  EXPECT_FALSE(read_sound_file(file("empty.wav"), 8'000));

  const auto nowhere = WavWriter::create(file("no/such/folder.wav"), 8'000);
  ASSERT_FALSE(nowhere);
  EXPECT_NE(nowhere.error().message.find("folder.wav"), std::string::npos);
}

TEST_F(WavTest, recording_under_way_is_readable_as_after_a_crash) {
  auto writer = WavWriter::create(file("long.wav"), 8'000);
  ASSERT_TRUE(writer);
  const Samples block = testing::voice(120, 8'000, 1, 1);
  for (int second = 0; second < 600; ++second) ASSERT_TRUE(writer->write(block));
  fs::copy_file(file("long.wav"), file("crashed.wav"));
  const auto crashed = read_sound_file(file("crashed.wav"), 8'000);
  ASSERT_TRUE(crashed) << crashed.error().message;
  EXPECT_GE(crashed->size(), 595u * 8'000u);
  EXPECT_TRUE(std::equal(block.begin(), block.end(), crashed->begin()));
  ASSERT_TRUE(writer->close());
  EXPECT_EQ(writer->samples(), 600u * 8'000u);
  EXPECT_FALSE(writer->write(block));
  const auto whole = read_sound_file(file("long.wav"), 8'000);
  ASSERT_TRUE(whole);
  EXPECT_EQ(whole->size(), 600u * 8'000u);
}

TEST_F(WavTest, player_plays_once_then_silence) {
  const Samples original = testing::tone(300, 5000, 8'000, 1000);
  write_file(file("a.wav"), 8'000, original);
  auto player = FilePlayer::open(file("a.wav"), 8'000, FilePlayer::Mode::once);
  ASSERT_TRUE(player);
  Samples out(1300, 9);
  player->read(std::span(out).first(700));
  EXPECT_FALSE(player->finished());
  player->read(std::span(out).subspan(700));
  EXPECT_TRUE(player->finished());
  EXPECT_TRUE(std::equal(original.begin(), original.end(), out.begin()));
  EXPECT_EQ(testing::rms(SampleView(out).subspan(1000)), 0);
}

TEST_F(WavTest, player_loops_without_a_gap) {
  const Samples original = testing::tone(300, 5000, 8'000, 100);
  write_file(file("a.wav"), 8'000, original);
  auto player = FilePlayer::open(file("a.wav"), 8'000, FilePlayer::Mode::loop);
  ASSERT_TRUE(player);
  Samples out(350);
  player->read(out);
  for (std::size_t i = 0; i < out.size(); ++i) ASSERT_EQ(out[i], original[i % 100]) << i;
  EXPECT_FALSE(player->finished());
}

TEST_F(WavTest, recorder_takes_any_rate) {
  auto recorder = FileRecorder::create(file("r.wav"), 16'000);
  ASSERT_TRUE(recorder);
  const Samples tone = testing::tone(400, 8000, 48'000, 48'000);
  for (std::size_t at = 0; at < tone.size(); at += 960) {
    recorder->record(SampleView(tone).subspan(at, 960), 48'000);
  }
  ASSERT_TRUE(recorder->close());
  const auto back = read_sound_file(file("r.wav"), 16'000);
  ASSERT_TRUE(back);
  EXPECT_NEAR(static_cast<double>(back->size()), 16'000, 50);
  const Samples expected = testing::tone(400, 8000, 16'000, 16'000);
  EXPECT_GT(testing::snr(SampleView(expected).subspan(800, 14'000),
                         SampleView(*back).subspan(800, 14'000)),
            30);
}

TEST_F(WavTest, full_disk_ends_the_recording_with_an_error_that_names_the_file) {
  if (!fs::exists("/dev/full")) GTEST_SKIP() << "no /dev/full here";
  const std::string full = "/dev/full";
  auto recorder = FileRecorder::create(full, 8'000);
  if (!recorder) {
    EXPECT_NE(recorder.error().message.find(full), std::string::npos);
    return;
  }
  for (int i = 0; i < 100; ++i) recorder->record(Samples(800, 1), 8'000);
  const auto closed = recorder->close();
  ASSERT_FALSE(closed);
  EXPECT_NE(closed.error().message.find(full), std::string::npos);
}

}  // namespace
}  // namespace isthmus::audio
