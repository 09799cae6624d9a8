#include "ops/log.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>

#include <boost/json.hpp>
#include <cmath>
#include <limits>
#include <sstream>
#include <type_traits>

#include "base/limits.hpp"
#include "ops/event_limiter.hpp"
#include "ops/utf8.hpp"

namespace isthmus::ops {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;

static_assert(!std::is_constructible_v<Field, std::string_view, const Secret&>,
              "a secret must not become part of a log line");

struct Lines {
  explicit Lines(LogConfig config)
      : log(config, std::make_shared<spdlog::sinks::ostream_sink_mt>(text),
            [this] { return now; }) {}
  std::string take() {
    std::string out = text.str();
    text.str("");
    return out;
  }
  std::ostringstream text;
  Instant now{};
  Log log;
};

LogConfig json_format() {
  LogConfig config;
  config.format = LogFormat::json;
  return config;
}

LogConfig unredacted() {
  LogConfig config;
  config.redact = false;
  return config;
}

TEST(Log, a_text_line_is_time_level_event_and_pairs) {
  Lines lines({});
  lines.log.info(
      "call_started",
      {{"call", 12u}, {"delay_ms", -3}, {"ratio", 0.25}, {"late", true}, {"method", "INVITE"}});
  EXPECT_THAT(lines.take(),
              MatchesRegex("[0-9]+-[0-9]+-[0-9]+T[0-9]+:[0-9]+:[0-9]+\\.[0-9]+Z info call_started "
                           "call=12 delay_ms=-3 ratio=0.25 late=true method=INVITE\n"));
}

TEST(Log, a_json_line_is_one_object_with_typed_values) {
  Lines lines(json_format());
  lines.log.with({{"session", 7}})
      .warning("odd \"thing\"", {{"text", "a\"b\\c\nd\x01"},
                                 {"n", 3u},
                                 {"x", 1.5},
                                 {"ok", false},
                                 {"nan", std::nan("")},
                                 {"big", std::numeric_limits<std::uint64_t>::max()}});
  std::string line = lines.take();
  EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1);
  boost::json::object object = boost::json::parse(line).as_object();
  EXPECT_EQ(object["event"].as_string(), "odd \"thing\"");
  EXPECT_EQ(object["level"].as_string(), "warning");
  EXPECT_EQ(object["session"].as_int64(), 7);
  EXPECT_EQ(object["text"].as_string(), "a\"b\\c\nd\x01");
  EXPECT_EQ(object["n"].as_int64(), 3);
  EXPECT_EQ(object["x"].as_double(), 1.5);
  EXPECT_EQ(object["ok"].as_bool(), false);
  EXPECT_EQ(object["nan"].as_string(), "nan");
  EXPECT_EQ(object["big"].as_uint64(), std::numeric_limits<std::uint64_t>::max());
  EXPECT_THAT(std::string(object["time"].as_string()), MatchesRegex("....-..-..T..:..:..\\....Z"));
}

TEST(Log, remote_text_cannot_forge_a_line_or_a_pair) {
  Lines lines({});
  lines.log.info(
      "message_refused",
      {{"reason", "x\n2026-01-01T00:00:00.000Z info forged"}, {"from", "a call=99"}, {"none", ""}});
  std::string line = lines.take();
  EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1);
  EXPECT_THAT(
      line,
      HasSubstr(R"(reason="x\n2026-01-01T00:00:00.000Z info forged" from="a call=99" none="")"));
}

TEST(Log, values_are_bounded_and_always_utf8) {
  Lines lines({});
  lines.log.info("event", {{"long", std::string(100'000, 'x')}, {"bytes", "\xff\xfe"}});
  std::string line = lines.take();
  EXPECT_LT(line.size(), limits::kLogValueBytes + 200);
  EXPECT_EQ(valid_utf8(line), line);
}

TEST(Log, personal_data_is_hidden_unless_configured) {
  Lines hidden({}), open(unredacted());
  for (Lines* lines : {&hidden, &open}) {
    lines->log.info("registered", {{"user", Personal{"+49301234567"}},
                                   {"short", Personal{"100"}},
                                   {"client", *Endpoint::parse("192.0.2.77:5060")},
                                   {"client6", *IpAddress::parse("2001:db8:1:2::77")},
                                   {"local", *IpAddress::parse("127.0.0.1")}});
  }
  std::string line = hidden.take();
  EXPECT_THAT(
      line,
      HasSubstr("user=…67 short=… client=192.0.2.0/24 client6=2001:db8:1::/48 local=127.0.0.1"));
  EXPECT_THAT(line, Not(HasSubstr("12345")));
  EXPECT_THAT(open.take(), HasSubstr("user=+49301234567 short=100 client=192.0.2.77:5060 "
                                     "client6=2001:db8:1:2::77 local=127.0.0.1"));
}

TEST(Log, lines_below_the_level_are_not_written) {
  LogConfig config;
  config.level = LogLevel::warning;
  Lines lines(config);
  lines.log.info("quiet");
  lines.log.debug("quiet");
  EXPECT_EQ(lines.take(), "");
  EXPECT_FALSE(lines.log.enabled(LogLevel::info));
  lines.log.error("loud");
  EXPECT_THAT(lines.take(), HasSubstr("error loud"));
  Log::none().error("nothing happens");
}

TEST(Log, context_adds_up_and_stays_with_its_handle) {
  Lines lines({});
  Log session = lines.log.with({{"session", 1}});
  session.with({{"call", 2}}).info("a");
  EXPECT_THAT(lines.take(), HasSubstr("a session=1 call=2\n"));
  session.info("b");
  EXPECT_THAT(lines.take(), HasSubstr("b session=1\n"));
}

TEST(Log, a_flood_of_one_event_is_held_back_and_counted) {
  Lines lines({});
  for (int i = 0; i < 10'000; ++i) lines.log.warning("scanner_refused");
  std::string text = lines.take();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'),
            static_cast<int>(limits::kLogBurstPerEvent));
  lines.log.warning("another_event");
  EXPECT_THAT(lines.take(), HasSubstr("another_event"));
  lines.now += limits::kLogRefillPerEvent;
  lines.log.warning("scanner_refused");
  EXPECT_THAT(lines.take(), HasSubstr("scanner_refused suppressed=9950\n"));
  lines.now += limits::kLogRefillPerEvent;
  lines.log.warning("scanner_refused");
  EXPECT_THAT(lines.take(), Not(HasSubstr("suppressed")));
}

TEST(EventLimiter, memory_stays_bounded_over_any_number_of_names) {
  EventLimiter limiter;
  for (unsigned i = 0; i < 2 * limits::kLogEvents; ++i) {
    for (unsigned j = 0; j <= limits::kLogBurstPerEvent; ++j) {
      limiter.admit("event" + std::to_string(i), Instant{});
    }
  }
  EXPECT_TRUE(limiter.admit("fresh", Instant{}).pass);
}

TEST(Utf8, well_formed_text_stays_and_every_bad_byte_is_replaced) {
  for (std::string good : {"", "abc", "ä€😀", "\xed\x9f\xbf", "\xf4\x8f\xbf\xbf"})
    EXPECT_EQ(valid_utf8(good), good);
  const std::string r = "\xef\xbf\xbd";
  EXPECT_EQ(valid_utf8("a\xff"
                       "b"),
            "a" + r + "b");
  EXPECT_EQ(valid_utf8("\xc3"), r) << "cut short";
  EXPECT_EQ(valid_utf8("\xc0\xaf"), r + r) << "overlong";
  EXPECT_EQ(valid_utf8("\xe0\x80\xaf"), r + r + r) << "overlong";
  EXPECT_EQ(valid_utf8("\xed\xa0\x80"), r + r + r) << "surrogate";
  EXPECT_EQ(valid_utf8("\xf4\x90\x80\x80"), r + r + r + r) << "beyond U+10FFFF";
}

}  // namespace
}  // namespace isthmus::ops
