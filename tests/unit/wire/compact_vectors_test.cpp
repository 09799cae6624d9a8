// proto/vectors/compact.txt against our reading of compact frames.
#include <gtest/gtest.h>

#include <sstream>

#include "compact_support.hpp"
#include "vector_file.hpp"
#include "wire/media_bundle.hpp"

namespace isthmus::wire {
namespace {

using namespace testing;

std::string drop_of(const MediaFormCounters& counters) {
  if (counters.dropped_malformed > 0) return "malformed";
  if (counters.dropped_without_context > 0) return "without_context";
  return counters.dropped_stale > 0 ? "stale" : "";
}

TEST(Vectors, compact_frames_become_these_packets) {
  const Instant now{seconds(10)};
  for (const Vector& vector : read_vectors("compact.txt")) {
    SCOPED_TRACE(vector.name);
    CompactRtpReceiver receiver;
    receiver.enable();
    CompactContext context;
    std::vector<std::string> expected, found;
    for (const std::string& fact : vector.facts) {
      const auto middle = fact.find(" = ");
      const std::string name = fact.substr(0, middle);
      std::istringstream value(fact.substr(middle + 3));
      if (name == "context") {
        value >> context.channel >> context.id >> std::hex >> context.ssrc >> std::dec >>
            context.payload_type >> context.timestamp_step >> context.base_sequence >>
            context.base_timestamp >> context.packets_per_second;
        ASSERT_TRUE(receiver.on_context(context).accepted);
      } else if (name == "reference") {
        unsigned sequence = 0;
        value >> sequence;
        const Bytes whole = rtp({static_cast<std::uint16_t>(sequence), 0, context.ssrc}, {});
        ASSERT_TRUE(receiver.read(context.channel, whole, now - milliseconds(20)));
      } else {
        expected.push_back(fact);
      }
      ASSERT_FALSE(value.fail()) << fact;
    }
    const auto error = read_media_frames(vector.message, [&](Channel channel, ByteView frame) {
      if (const auto packet = receiver.read(channel, frame, now)) {
        found.push_back("packet = " + std::to_string(channel) + " " + to_hex(*packet));
      } else {
        found.push_back("drop = " + drop_of(receiver.counters()));
      }
    });
    EXPECT_FALSE(error);
    EXPECT_EQ(found, expected);
  }
}

// The sender's side of the first ones: agreed over the same fields, it says the same bytes.
TEST(Vectors, a_sender_says_compact_frames_as_they_are_written) {
  CompactPair pair;
  ASSERT_TRUE(pair.warm_up());
  pair.payload = {0xd5, 0xd2};
  const auto low = [&] { return static_cast<std::uint8_t>(pair.next.sequence & 0xff); };
  EXPECT_EQ(to_hex(pair.frame()), to_hex(Bytes{0x00, low(), 0xd5, 0xd2}));
  pair.advance();
  pair.next.marker = true;
  EXPECT_EQ(to_hex(pair.frame()), to_hex(Bytes{0x20, low(), 0xd5, 0xd2}));
  pair.advance();
  pair.next.timestamp = 0x01020304;
  EXPECT_EQ(to_hex(pair.frame()), to_hex(Bytes{0x30, low(), 1, 2, 3, 4, 0xd5, 0xd2}));
}

}  // namespace
}  // namespace isthmus::wire
