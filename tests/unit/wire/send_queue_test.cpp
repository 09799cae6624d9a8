#include "wire/send_queue.hpp"

#include <gtest/gtest.h>

#include <deque>
#include <string>
#include <vector>

#include "base/limits.hpp"
#include "base/random.hpp"

namespace isthmus::wire {
namespace {

constexpr std::size_t kBundle = 1200;
const Instant kStart{seconds(100)};

Bytes packet(std::uint8_t mark, std::size_t size = 172) {
  return Bytes(size, mark);
}

// "r1" a reliable frame whose first byte is 1; "m1+2" media frames 1 and 2 in one message; ""
// nothing.
std::string pop(SendQueue& queue, Instant now, std::size_t bundle = kBundle) {
  const auto message = queue.pop(now, bundle);
  if (!message) return "";
  std::string text;
  FrameReader reader(*message);
  while (const auto frame = reader.next()) {
    const bool media = frame->channel >= limits::kFirstMediaChannel;
    text += (text.empty() ? (media ? "m" : "r") : "+") + std::to_string(frame->bytes[0]);
  }
  EXPECT_FALSE(reader.error());
  return text;
}

TEST(SendQueue, reliable_and_media_take_turns_while_both_wait) {
  SendQueue queue;
  for (std::uint8_t i = 1; i <= 4; ++i) ASSERT_TRUE(queue.push_reliable(kSipChannel, packet(i)));
  for (std::uint8_t i = 1; i <= 3; ++i) queue.push_media(16, packet(i), kStart);
  EXPECT_EQ(pop(queue, kStart, 1), "r1");
  EXPECT_EQ(pop(queue, kStart, 1), "m1");
  EXPECT_EQ(pop(queue, kStart, 1), "r2");
  EXPECT_EQ(pop(queue, kStart, 1), "m2");
  EXPECT_EQ(pop(queue, kStart, 1), "r3");
  EXPECT_EQ(pop(queue, kStart, 1), "m3");
  EXPECT_EQ(pop(queue, kStart, 1), "r4");
  EXPECT_EQ(pop(queue, kStart, 1), "");
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.reliable_bytes(), 0u);
  EXPECT_EQ(queue.media_dropped(), 0u);
}

TEST(SendQueue, media_that_waits_is_bundled_up_to_the_bound) {
  SendQueue queue;
  for (std::uint8_t i = 1; i <= 5; ++i) queue.push_media(16 + 2u * i, packet(i), kStart);
  EXPECT_EQ(pop(queue, kStart, 3 * 175 - 1), "m1+2+3");
  EXPECT_EQ(pop(queue, kStart, 3 * 175 - 1), "m4+5");
}

TEST(SendQueue, a_frame_larger_than_the_bundle_goes_alone) {
  SendQueue queue;
  queue.push_media(65535, packet(1, limits::kMediaFrameBytes), kStart);
  queue.push_media(16, packet(2), kStart);
  EXPECT_EQ(pop(queue, kStart, 100), "m1");
  EXPECT_EQ(pop(queue, kStart, 100), "m2");
}

TEST(SendQueue, media_past_its_deadline_is_dropped_and_the_rest_leaves) {
  SendQueue queue;
  queue.push_media(16, packet(1), kStart);
  queue.push_media(16, packet(2), kStart + milliseconds(20));
  ASSERT_TRUE(queue.push_reliable(kSipChannel, packet(9)));
  EXPECT_EQ(pop(queue, kStart + limits::kMediaDeadline + milliseconds(1)), "r9");
  EXPECT_EQ(queue.media_dropped(), 1u);
  EXPECT_EQ(pop(queue, kStart + limits::kMediaDeadline + milliseconds(1)), "m2");
}

TEST(SendQueue, media_leaves_at_its_deadline_and_not_a_tick_later) {
  SendQueue queue;
  queue.push_media(16, packet(1), kStart);
  EXPECT_EQ(pop(queue, kStart + limits::kMediaDeadline), "m1");
  queue.push_media(16, packet(2), kStart);
  EXPECT_EQ(pop(queue, kStart + limits::kMediaDeadline + Duration(1)), "");
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.media_dropped(), 1u);
}

TEST(SendQueue, media_over_the_bound_drops_the_oldest) {
  SendQueue queue;
  for (std::size_t i = 0; i < limits::kMediaQueueFrames + 3; ++i) {
    queue.push_media(16, packet(static_cast<std::uint8_t>(i & 0x7f)), kStart);
  }
  EXPECT_EQ(queue.media_dropped(), 3u);
  EXPECT_EQ(pop(queue, kStart, 1), "m3");
}

TEST(SendQueue, media_that_no_reader_would_take_is_dropped_at_once) {
  SendQueue queue;
  queue.push_media(kSipChannel, packet(1), kStart);
  queue.push_media(limits::kLastMediaChannel + 1, packet(1), kStart);
  queue.push_media(16, {}, kStart);
  queue.push_media(16, packet(1, limits::kMediaFrameBytes + 1), kStart);
  EXPECT_EQ(queue.media_dropped(), 4u);
  EXPECT_TRUE(queue.empty());
}

TEST(SendQueue, a_slow_reader_is_told_apart_by_count_and_by_bytes) {
  SendQueue many;
  for (std::size_t i = 0; i < limits::kReliableQueueFrames; ++i) {
    ASSERT_TRUE(many.push_reliable(kSipChannel, packet(1, 1)));
  }
  EXPECT_FALSE(many.push_reliable(kSipChannel, packet(1, 1)));

  SendQueue large;
  std::size_t pushed = 0;
  while (large.push_reliable(kSipChannel, packet(1, limits::kReliableFrameBytes))) ++pushed;
  EXPECT_EQ(pushed, limits::kReliableQueueBytes / limits::kReliableFrameBytes - 1);
  EXPECT_LE(large.reliable_bytes(), limits::kReliableQueueBytes);
  EXPECT_EQ(pop(large, kStart), "r1");
  EXPECT_TRUE(large.push_reliable(kSipChannel, packet(1, limits::kReliableFrameBytes)));
}

TEST(SendQueue, a_frame_that_cannot_be_sent_is_refused) {
  SendQueue queue;
  EXPECT_FALSE(queue.push_reliable(kSipChannel, {}));
  EXPECT_FALSE(queue.push_reliable(kSipChannel, packet(1, limits::kReliableFrameBytes + 1)));
  EXPECT_FALSE(queue.push_reliable(16, packet(1)));
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.reliable_bytes(), 0u);
}

// The ring, its growth and its turns against a plain list, over random loads.
TEST(SendQueue, behaves_as_a_plain_list_would) {
  constexpr std::uint64_t kSeed = 77;
  SCOPED_TRACE(kSeed);
  SeededRandom random(kSeed);
  SendQueue queue;
  struct Waiting {
    std::uint8_t mark;
    Instant queued;
  };
  std::deque<Waiting> media;
  std::uint64_t dropped = 0;
  Instant now = kStart;
  std::uint8_t mark = 0;
  for (int step = 0; step < 50'000; ++step) {
    const bool burst = step / 500 % 2 != 0;
    now += Duration(random.below(burst ? 100'000 : 2'000'000));
    while (!media.empty() && now - media.front().queued > limits::kMediaDeadline) {
      media.pop_front();
      ++dropped;
    }
    if (random.below(burst ? 8 : 2) != 0) {
      mark = static_cast<std::uint8_t>((mark + 1) & 0x7f);
      if (media.size() == limits::kMediaQueueFrames) {
        media.pop_front();
        ++dropped;
      }
      media.push_back({mark, now});
      queue.push_media(16, packet(mark, 1 + random.below(300)), now);
    } else {
      const std::string expected = media.empty() ? "" : "m" + std::to_string(media.front().mark);
      if (!media.empty()) media.pop_front();
      ASSERT_EQ(pop(queue, now, 1), expected) << step;
      ASSERT_EQ(queue.media_dropped(), dropped) << step;
      ASSERT_EQ(queue.empty(), media.empty()) << step;
    }
  }
  EXPECT_GT(dropped, 0u) << "the load never reached a bound";
}

}  // namespace
}  // namespace isthmus::wire
