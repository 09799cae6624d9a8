#include "wire/frame.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/limits.hpp"
#include "base/random.hpp"
#include "wire/link.hpp"

namespace isthmus::wire {
namespace {

struct Read {
  std::vector<std::pair<Channel, Bytes>> frames;
  std::optional<FrameError> error;
};

Read read_all(ByteView message) {
  Read read;
  FrameReader reader(message);
  while (auto frame = reader.next())
    read.frames.emplace_back(frame->channel, to_bytes(frame->bytes));
  EXPECT_FALSE(reader.next()) << "nothing follows the end or an error";
  read.error = reader.error();
  return read;
}

TEST(Frame, reliable_frame_of_the_largest_size_passes_and_one_byte_more_does_not) {
  Bytes out;
  const Bytes largest(limits::kReliableFrameBytes, 'x');
  ASSERT_FALSE(write_reliable(kSipChannel, largest, out));
  auto read = read_all(out);
  ASSERT_EQ(read.frames.size(), 1u);
  EXPECT_EQ(read.frames[0].second, largest);
  EXPECT_FALSE(read.error);

  const Bytes message = out;
  out.push_back('x');
  EXPECT_EQ(read_all(out).error, FrameError::too_large);
  EXPECT_TRUE(read_all(out).frames.empty());
  Bytes too_large(limits::kReliableFrameBytes + 1, 'x');
  Bytes kept{1, 2, 3};
  EXPECT_EQ(write_reliable(kSipChannel, too_large, kept), FrameError::too_large);
  EXPECT_EQ(kept, (Bytes{1, 2, 3})) << "a refused frame leaves no bytes behind";
}

TEST(Frame, only_control_and_sip_are_written_on_the_reliable_service) {
  Bytes out;
  const Bytes one{1};
  EXPECT_EQ(write_reliable(2, one, out), FrameError::reserved_channel);
  EXPECT_EQ(write_reliable(15, one, out), FrameError::reserved_channel);
  EXPECT_EQ(write_reliable(16, one, out), FrameError::channel_out_of_range);
  EXPECT_EQ(write_reliable(kControlChannel, {}, out), FrameError::empty);
  EXPECT_TRUE(out.empty());
}

TEST(Frame, media_writer_refuses_what_no_reader_takes_and_leaves_the_payload_as_it_was) {
  Bytes out;
  MediaWriter writer(out, 100'000);
  const Bytes packet(20, 0x80);
  ASSERT_TRUE(writer.add(16, packet));
  const Bytes before = out;
  EXPECT_FALSE(writer.add(kSipChannel, packet));
  EXPECT_FALSE(writer.add(15, packet));
  EXPECT_FALSE(writer.add(limits::kLastMediaChannel + 1, packet));
  EXPECT_FALSE(writer.add(16, {}));
  EXPECT_FALSE(writer.add(16, Bytes(limits::kMediaFrameBytes + 1, 0)));
  EXPECT_EQ(out, before);
  EXPECT_EQ(writer.frames(), 1u);
  EXPECT_TRUE(writer.add(limits::kLastMediaChannel, Bytes(limits::kMediaFrameBytes, 0x80)));
  EXPECT_FALSE(read_all(out).error);
}

TEST(Frame, media_payload_stops_exactly_at_its_bound) {
  const Bytes packet(172, 0x80);
  // One frame: channel, length 0, 172 bytes. A second makes the first one's length two bytes long.
  for (std::size_t bound : {173u, 174u, 348u, 349u}) {
    Bytes out;
    MediaWriter writer(out, bound);
    writer.add(16, packet);
    writer.add(16, packet);
    EXPECT_EQ(writer.frames(), bound < 174 ? 0u : bound < 349 ? 1u : 2u) << bound;
    EXPECT_LE(out.size(), bound);
  }
}

TEST(Frame, a_writer_begins_where_the_bytes_end) {
  Bytes out{0xaa, 0xbb};
  MediaWriter writer(out, 40);
  ASSERT_TRUE(writer.add(16, Bytes(10, 1)));
  ASSERT_TRUE(writer.add(18, Bytes(10, 2)));
  EXPECT_EQ(out[0], 0xaa);
  const auto read = read_all(ByteView(out).subspan(2));
  ASSERT_EQ(read.frames.size(), 2u);
  EXPECT_EQ(read.frames[1], std::pair(Channel{18}, Bytes(10, 2)));
}

TEST(Frame, whatever_media_is_written_is_read_again) {
  constexpr std::uint64_t kSeed = 20240611;
  SCOPED_TRACE(kSeed);
  SeededRandom random(kSeed);
  for (int round = 0; round < 2000; ++round) {
    const std::size_t bound = 1 + random.below(6000);
    Bytes out;
    MediaWriter writer(out, bound);
    std::vector<std::pair<Channel, Bytes>> written;
    for (std::size_t i = random.below(12); i > 0; --i) {
      const auto channel =
          static_cast<Channel>(random.below(4) ? 16 + random.below(100) : random.below(70000));
      Bytes bytes(random.below(5) ? random.below(200) : random.below(2200));
      random.fill(bytes);
      if (writer.add(channel, bytes)) written.emplace_back(channel, bytes);
    }
    ASSERT_LE(out.size(), bound);
    const auto read = read_all(out);
    EXPECT_EQ(read.frames, written);
    EXPECT_EQ(read.error, written.empty() ? std::optional(FrameError::empty) : std::nullopt);
  }
}

TEST(Frame, every_prefix_of_a_bundle_is_read_without_harm) {
  Bytes out;
  MediaWriter writer(out, 4000);
  ASSERT_TRUE(writer.add(16, Bytes(20, 0x80)));
  ASSERT_TRUE(writer.add(300, Bytes(172, 0x80)));
  ASSERT_TRUE(writer.add(16, Bytes(1, 0x80)));
  std::size_t refused = 0;
  for (std::size_t size = 0; size < out.size(); ++size) {
    const auto read = read_all(ByteView(out).first(size));
    if (read.error) ++refused;
    for (const auto& [channel, bytes] : read.frames) EXPECT_LE(bytes.size(), size);
  }
  // Only a prefix that ends with a whole frame is no error: after the first and after the second.
  EXPECT_EQ(refused, out.size() - 2);
}

TEST(Frame, every_error_and_code_has_its_own_text) {
  std::vector<std::string> texts;
  for (int i = 0; i <= static_cast<int>(FrameError::empty); ++i) {
    texts.emplace_back(to_text(static_cast<FrameError>(i)));
  }
  const auto last = static_cast<std::uint32_t>(kLastCloseCode);
  for (std::uint32_t i = 0; i <= last; ++i) texts.emplace_back(to_text(static_cast<CloseCode>(i)));
  for (std::size_t i = 0; i < texts.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) EXPECT_NE(texts[i], texts[j]);
  }
  EXPECT_STREQ(to_text(static_cast<CloseCode>(last + 1)), "unknown");
}

}  // namespace
}  // namespace isthmus::wire
