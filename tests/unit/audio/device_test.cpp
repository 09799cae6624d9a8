#include "audio/device.hpp"

#include <gtest/gtest.h>

#include <thread>

#include "audio/sample_ring.hpp"

namespace isthmus::audio {
namespace {

TEST(SampleRing, gives_back_what_fits_in_order) {
  SampleRing ring(8);
  const Samples in = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
  EXPECT_EQ(ring.write(in), 8u);
  EXPECT_EQ(ring.size(), 8u);
  Samples out(3);
  EXPECT_EQ(ring.read(out), 3u);
  EXPECT_EQ(out, (Samples{1, 2, 3}));
  EXPECT_EQ(ring.write(SampleView(in).subspan(8)), 2u);
  Samples rest(20);
  EXPECT_EQ(ring.read(rest), 7u);
  EXPECT_EQ(rest[6], 10);
  EXPECT_EQ(ring.read(rest), 0u);
}

TEST(SampleRing, two_threads_lose_and_invent_nothing) {
  SampleRing ring(512);
  constexpr int kCount = 1'000'000;
  std::thread producer([&ring] {
    Samples piece(96);
    int next = 0;
    while (next < kCount) {
      const auto size = static_cast<std::size_t>(std::min(96, kCount - next));
      for (std::size_t i = 0; i < size; ++i) {
        piece[i] = static_cast<std::int16_t>((next + static_cast<int>(i)) % 30'011);
      }
      const std::size_t taken = ring.write(SampleView(piece).first(size));
      if (taken == 0) std::this_thread::yield();
      next += static_cast<int>(taken);
    }
  });
  Samples piece(160);
  int next = 0;
  int wrong = 0;
  while (next < kCount) {
    const std::size_t got = ring.read(piece);
    if (got == 0) std::this_thread::yield();
    for (std::size_t i = 0; i < got; ++i, ++next) {
      if (piece[i] != static_cast<std::int16_t>(next % 30'011)) ++wrong;
    }
  }
  producer.join();
  EXPECT_EQ(wrong, 0);
}

TEST(AudioDevice, missing_device_is_named) {
  const auto device = open_audio_device({.input = "no such microphone", .output = "none"});
  ASSERT_FALSE(device);
  EXPECT_EQ(device.error().fault, AudioFault::device);
#ifdef ISTHMUS_HAVE_PORTAUDIO
  EXPECT_NE(device.error().message.find("no such microphone"), std::string::npos);
#else
  EXPECT_NE(device.error().message.find("PortAudio"), std::string::npos);
#endif
}

#ifdef ISTHMUS_HAVE_PORTAUDIO
TEST(AudioDevice, list_holds_only_devices_that_do_something) {
  const auto devices = list_audio_devices();
  ASSERT_TRUE(devices) << devices.error().message;
  for (const DeviceDescription& device : *devices) {
    EXPECT_TRUE(device.input || device.output) << device.name;
    EXPECT_FALSE(device.name.empty());
  }
}

TEST(AudioDevice, impossible_rate_and_no_direction_are_refused) {
  EXPECT_NE(open_audio_device({.sample_rate = 11}).error().message.find("11 Hz"),
            std::string::npos);
  EXPECT_FALSE(open_audio_device({.input = "none", .output = "none"}));
}
#endif

}  // namespace
}  // namespace isthmus::audio
