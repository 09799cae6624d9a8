#include "wire/media_bundle.hpp"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace isthmus::wire {
namespace {

using Added = MediaBundler::Added;
const Instant kStart{seconds(1)};

struct Sent {
  Channel channel;
  Bytes bytes;
  bool operator==(const Sent&) const = default;
};

std::vector<Sent> frames_of(ByteView payload) {
  std::vector<Sent> frames;
  const auto error = read_media_frames(payload, [&](Channel channel, ByteView bytes) {
    frames.push_back({channel, to_bytes(bytes)});
  });
  EXPECT_FALSE(error);
  return frames;
}

TEST(MediaBundler, ten_calls_leave_in_one_payload) {
  MediaBundler bundler(1200);
  EXPECT_TRUE(bundler.empty());
  EXPECT_FALSE(bundler.due());
  std::vector<Sent> sent;
  for (Channel channel = 16; channel < 36; channel += 2) {
    sent.push_back({channel, Bytes(42, static_cast<std::uint8_t>(channel))});
    ASSERT_EQ(bundler.add(channel, sent.back().bytes, kStart + milliseconds(channel)),
              Added::added);
  }
  EXPECT_EQ(bundler.frames(), 10u);
  EXPECT_EQ(frames_of(bundler.payload()), sent);
  EXPECT_EQ(bundler.payload().size(), 10 * (1 + 1 + 42u));
  EXPECT_EQ(bundler.due(), kStart + milliseconds(16) + limits::kBundleWait);
  bundler.clear();
  EXPECT_TRUE(bundler.payload().empty());
  EXPECT_FALSE(bundler.due());
}

TEST(MediaBundler, says_full_and_keeps_what_it_has) {
  MediaBundler bundler(300);
  const Bytes packet(172, 0x80);
  ASSERT_EQ(bundler.add(16, packet, kStart), Added::added);
  EXPECT_EQ(bundler.add(18, packet, kStart), Added::full);
  EXPECT_EQ(frames_of(bundler.payload()), (std::vector<Sent>{{16, packet}}));
  bundler.clear();
  EXPECT_EQ(bundler.add(18, packet, kStart), Added::added);
}

TEST(MediaBundler, refuses_what_no_payload_could_take) {
  MediaBundler bundler(300);
  EXPECT_EQ(bundler.add(1, Bytes(10), kStart), Added::refused);
  EXPECT_EQ(bundler.add(65536, Bytes(10), kStart), Added::refused);
  EXPECT_EQ(bundler.add(16, {}, kStart), Added::refused);
  EXPECT_EQ(bundler.add(16, Bytes(299), kStart), Added::refused);
  ASSERT_EQ(bundler.add(16, Bytes(100), kStart), Added::added);
  EXPECT_EQ(bundler.add(16, Bytes(299), kStart), Added::refused);
  EXPECT_EQ(bundler.add(18, Bytes(298 - 102 - 1), kStart), Added::added);
}

TEST(MediaBundler, a_new_path_mtu_holds_from_the_next_payload) {
  MediaBundler bundler(1200);
  ASSERT_EQ(bundler.add(16, Bytes(500), kStart), Added::added);
  bundler.set_max_payload(400);
  bundler.clear();
  EXPECT_EQ(bundler.add(16, Bytes(500), kStart), Added::refused);
}

TEST(MediaBundler, random_frames_come_out_in_order_and_within_the_bound) {
  const std::uint64_t seed = 20;
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  std::vector<Sent> sent, received;
  MediaBundler bundler(600);
  const auto flush = [&] {
    ASSERT_LE(bundler.payload().size(), 600u);
    for (Sent& frame : frames_of(bundler.payload())) received.push_back(std::move(frame));
    bundler.clear();
  };
  for (int i = 0; i < 5000; ++i) {
    const auto channel = static_cast<Channel>(16 + random() % (random() % 4 == 0 ? 65520 : 40));
    Bytes bytes(1 + random() % 500);
    for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random());
    if (bundler.add(channel, bytes, kStart) == Added::full) {
      flush();
      ASSERT_EQ(bundler.add(channel, bytes, kStart), Added::added);
    }
    sent.push_back({channel, std::move(bytes)});
  }
  flush();
  EXPECT_EQ(received, sent);
}

TEST(MediaFrames, a_reliable_channel_in_a_media_payload_is_a_fault) {
  const Bytes sip{1, 'O', 'P'};
  int frames = 0;
  EXPECT_EQ(read_media_frames(sip, [&](Channel, ByteView) { ++frames; }),
            FrameError::reserved_channel);
  const Bytes then_sip{16, 1, 0x80, 1, 0, 'O'};
  EXPECT_EQ(read_media_frames(then_sip, [&](Channel, ByteView) { ++frames; }),
            FrameError::reserved_channel);
  EXPECT_EQ(frames, 1);
  EXPECT_EQ(read_media_frames({}, [](Channel, ByteView) {}), FrameError::empty);
}

}  // namespace
}  // namespace isthmus::wire
