#include <gtest/gtest.h>

#include "base/random.hpp"
#include "sdp/session_description.hpp"
#include "unit/sdp/samples.hpp"

namespace isthmus::sdp {
namespace {

constexpr std::uint64_t kSeed = 20240611;

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size() - 1) + 1;
    lines.push_back(text.substr(at, end - at));
    at = end;
  }
  return lines;
}

std::string random_sample(SeededRandom& random) {
  const auto& all = samples::all();
  return all[random.below(all.size())].second;
}

/// Lines dropped, doubled, swapped, taken from another description, cut short, or with a byte
/// changed.
std::string mutated(SeededRandom& random) {
  auto lines = lines_of(random_sample(random));
  for (std::uint64_t i = 0, count = 1 + random.below(4); i < count && !lines.empty(); ++i) {
    const std::size_t at = random.below(lines.size());
    const auto here = lines.begin() + static_cast<std::ptrdiff_t>(at);
    const auto donor = lines_of(random_sample(random));
    switch (random.below(6)) {
      case 0:
        lines.erase(here);
        break;
      case 1:
        lines.insert(here, std::string(lines[at]));
        break;
      case 2:
        std::swap(lines[at], lines[random.below(lines.size())]);
        break;
      case 3:
        lines[at] = donor[random.below(donor.size())];
        break;
      case 4:
        lines[at].resize(random.below(lines[at].size() + 1));
        break;
      default:
        if (!lines[at].empty()) {
          lines[at][random.below(lines[at].size())] = static_cast<char>(random.below(256));
        }
    }
  }
  std::string text;
  for (const std::string& line : lines) text += line;
  return text;
}

/// Every reader and every setter, on whatever was parsed.
void exercise(SessionDescription& sdp, const std::string& text) {
  for (const auto& media : sdp.media()) {
    if (media.port() != 0) {
      ASSERT_TRUE(sdp.connection_of(media)) << text;
    }
    for (const RtpMap& map : media.rtpmaps()) {
      ASSERT_LT(map.payload_type, 128);
      ASSERT_GT(map.clock_rate, 0u);
      media.fmtp(map.payload_type);
    }
    if (media.rtcp_address()) {
      ASSERT_TRUE(media.rtcp_port()) << text;
    }
    media.ptime_ms();
    sdp.direction_of(media);
  }
  sdp.set_origin_version(sdp.origin_version().value_or(0) + 1);
  sdp.set_address(*IpAddress::parse("192.0.0.8"));
  for (auto& media : sdp.media()) {
    media.set_port(16);
    media.set_direction(Direction::inactive);
    if (media.formats().empty()) media.set_formats({"0"});
  }
}

TEST(SdpProperty, what_parses_is_written_back_as_it_came_and_stays_valid_when_edited) {
  SCOPED_TRACE("seed " + std::to_string(kSeed));
  SeededRandom random(kSeed);
  int accepted = 0, refused = 0;
  for (int i = 0; i < 20'000; ++i) {
    const std::string text = mutated(random);
    auto result = SessionDescription::parse(text);
    if (!result) {
      ++refused;
      ASSERT_EQ(result.error().reason().find_first_of("\r\n"), std::string::npos);
      continue;
    }
    ++accepted;
    ASSERT_EQ(result->to_string(), text);
    exercise(*result, text);
    const std::string edited = result->to_string();
    const auto again = SessionDescription::parse(edited);
    ASSERT_TRUE(again) << again.error().reason() << "\n" << text << "\n became \n" << edited;
    ASSERT_EQ(again->media().size(), result->media().size());
    for (const auto& media : again->media()) {
      ASSERT_EQ(media.port(), 16);
      ASSERT_EQ(again->direction_of(media), Direction::inactive);
      const auto connection = again->connection_of(media);
      ASSERT_TRUE(connection);
      if (connection->ip) {
        const bool ours = *connection->ip == *IpAddress::parse("192.0.0.8");
        ASSERT_TRUE(ours || connection->ip->is_unspecified()) << edited;
      }
    }
  }
  EXPECT_GT(accepted, 2000) << "mutations too harsh to test acceptance";
  EXPECT_GT(refused, 2000) << "mutations too mild to test refusal";
}

TEST(SdpProperty, any_bytes_at_all_are_refused_or_kept) {
  SCOPED_TRACE("seed " + std::to_string(kSeed));
  SeededRandom random(kSeed);
  const std::string alphabet = "vosctma=0 IN4P:/.\r\n\r\n1x";
  for (int i = 0; i < 50'000; ++i) {
    std::string text = i % 2 == 0 ? "v=0\no=- 1 1 IN IP4 1.2.3.4\n" : "";
    for (std::uint64_t n = random.below(40); n > 0; --n) {
      text += alphabet[random.below(alphabet.size())];
    }
    const auto result = SessionDescription::parse(text);
    if (result) {
      ASSERT_EQ(result->to_string(), text);
    }
  }
}

}  // namespace
}  // namespace isthmus::sdp
