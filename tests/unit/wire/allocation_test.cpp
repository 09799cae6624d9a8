// Media may not allocate (architecture: two planes). counting_new.cpp replaces operator new to
// count.
#include <gtest/gtest.h>

#include "base/limits.hpp"
#include "counting_new.hpp"
#include "wire/frame.hpp"
#include "wire/send_queue.hpp"

namespace isthmus::wire {
namespace {

// Pushes and pops 20 ms of `calls` at 50 packets a second; returns the frames that came out again.
std::size_t carry(SendQueue& queue, const Bytes& packet, std::size_t calls, Instant now) {
  for (std::size_t i = 0; i < calls; ++i) {
    queue.push_media(static_cast<Channel>(16 + 2 * i), packet, now);
  }
  std::size_t frames = 0;
  while (const auto message = queue.pop(now, limits::kMediaMessageBytes)) {
    FrameReader reader(*message);
    while (reader.next()) ++frames;
  }
  return frames;
}

TEST(Allocation, a_warm_queue_carries_media_without_allocating) {
  SendQueue queue;
  const Bytes packet(172, 0x80);
  Instant now{seconds(1)};
  constexpr std::size_t kCalls = 100;
  for (int i = 0; i < 10; ++i) carry(queue, packet, kCalls, now += milliseconds(20));

  const std::size_t before = testing::allocations();
  std::size_t frames = 0;
  for (int i = 0; i < 1000; ++i) frames += carry(queue, packet, kCalls, now += milliseconds(20));
  EXPECT_EQ(testing::allocations() - before, 0u);
  EXPECT_EQ(frames, 1000 * kCalls);
}

TEST(Allocation, reliable_frames_between_do_not_take_the_media_buffer_away) {
  SendQueue queue;
  const Bytes packet(172, 0x80), sip(500, 'x');
  Instant now{seconds(1)};
  for (int i = 0; i < 100; ++i) carry(queue, packet, 5, now += milliseconds(20));
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(queue.push_reliable(kSipChannel, sip));
    queue.push_media(16, packet, now);
    ASSERT_TRUE(queue.pop(now, 1200));  // the SIP frame
    const std::size_t before = testing::allocations();
    EXPECT_EQ(carry(queue, packet, 4, now += milliseconds(20)), 5u);
    EXPECT_EQ(testing::allocations() - before, 0u);
  }
}

TEST(Allocation, the_counter_counts) {
  const std::size_t before = testing::allocations();
  SendQueue queue;
  queue.push_media(16, Bytes(172, 0x80), Instant{});
  EXPECT_GT(testing::allocations(), before);
}

}  // namespace
}  // namespace isthmus::wire
