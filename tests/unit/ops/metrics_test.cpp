#include "ops/metrics.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <thread>

#include "base/limits.hpp"

namespace isthmus::ops {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Metrics, families_are_written_once_with_help_and_type) {
  Metrics metrics;
  metrics.counter("isthmus_drops_total", "Dropped\npackets \\ reasons.", {{"reason", "source"}})
      .add(3);
  metrics.counter("isthmus_drops_total", "ignored", {{"reason", "late"}}).add();
  metrics.gauge("isthmus_sessions", "Sessions now.").set(2.5);
  EXPECT_THAT(metrics.prometheus(),
              HasSubstr("# HELP isthmus_drops_total Dropped\\npackets \\\\ reasons.\n"
                        "# TYPE isthmus_drops_total counter\n"
                        "isthmus_drops_total{reason=\"late\"} 1\n"
                        "isthmus_drops_total{reason=\"source\"} 3\n"));
  EXPECT_THAT(metrics.prometheus(), HasSubstr("# HELP isthmus_sessions Sessions now.\n"
                                              "# TYPE isthmus_sessions gauge\n"
                                              "isthmus_sessions 2.5\n"));
}

TEST(Metrics, label_values_are_escaped) {
  Metrics metrics;
  metrics.counter("a_total", "A.", {{"x", "q\"b\\n\nz\xff"}, {"y", ""}}).add();
  EXPECT_THAT(metrics.prometheus(),
              HasSubstr("a_total{x=\"q\\\"b\\\\n\\nz\xef\xbf\xbd\",y=\"\"} 1\n"));
}

TEST(Metrics, a_histogram_counts_up_to_each_bound) {
  Metrics metrics;
  Histogram& histogram =
      metrics.histogram("setup_seconds", "Setup.", {0.1, 1, 10}, {{"way", "in"}});
  for (double value : {0.05, 0.1, 0.5, 20.0, std::nan("")}) histogram.observe(value);
  EXPECT_THAT(metrics.prometheus(), HasSubstr("# TYPE setup_seconds histogram\n"
                                              "setup_seconds_bucket{way=\"in\",le=\"0.1\"} 2\n"
                                              "setup_seconds_bucket{way=\"in\",le=\"1\"} 3\n"
                                              "setup_seconds_bucket{way=\"in\",le=\"10\"} 3\n"
                                              "setup_seconds_bucket{way=\"in\",le=\"+Inf\"} 4\n"
                                              "setup_seconds_sum{way=\"in\"} 20.65\n"
                                              "setup_seconds_count{way=\"in\"} 4\n"));
}

TEST(Metrics, numbers_beyond_the_usual_are_spelled_as_prometheus_wants) {
  Metrics metrics;
  Gauge& gauge = metrics.gauge("g", "G.");
  const std::pair<double, const char*> cases[] = {
      {std::numeric_limits<double>::infinity(), "g +Inf\n"},
      {-std::numeric_limits<double>::infinity(), "g -Inf\n"},
      {std::nan(""), "g NaN\n"},
      {-0.5, "g -0.5\n"},
      {1e300, "g 1e+300\n"}};
  for (auto [value, line] : cases) {
    gauge.set(value);
    EXPECT_THAT(metrics.prometheus(), HasSubstr(line));
  }
}

TEST(Metrics, asking_again_gives_the_same_object) {
  Metrics metrics;
  Counter& one = metrics.counter("a_total", "A.", {{"x", "1"}});
  EXPECT_EQ(&one, &metrics.counter("a_total", "A.", {{"x", "1"}}));
  EXPECT_NE(&one, &metrics.counter("a_total", "A.", {{"x", "2"}}));
}

TEST(Metrics, figures_kept_elsewhere_are_collected_before_a_scrape) {
  Metrics metrics;
  Counter& packets = metrics.counter("packets_total", "P.");
  std::uint64_t kept = 41;
  metrics.before_scrape([&] { packets.set(++kept); });
  EXPECT_THAT(metrics.prometheus(), HasSubstr("packets_total 42\n"));
  EXPECT_THAT(metrics.prometheus(), HasSubstr("packets_total 43\n"));
}

TEST(Metrics, a_label_that_takes_any_value_is_bounded_and_shows) {
  Metrics metrics;
  for (std::size_t i = 0; i < limits::kMetricSeries + 10; ++i) {
    metrics.counter("wild_total", "W.", {{"value", std::to_string(i)}}).add();
  }
  metrics.gauge("late", "Came too late.").set(1);
  std::string text = metrics.prometheus();
  EXPECT_LE(static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')),
            limits::kMetricSeries + 10);
  EXPECT_THAT(text, HasSubstr("isthmus_metrics_series_refused_total 12\n"));
  EXPECT_THAT(text, Not(HasSubstr("late")));
}

TEST(Metrics, what_comes_and_goes_can_be_forgotten) {
  Metrics metrics;
  for (std::size_t i = 0; i < 3 * limits::kMetricSeries; ++i) {
    metrics.forget("host_up");
    metrics.gauge("host_up", "H.", {{"host", std::to_string(i)}}).set(1);
  }
  std::string last = std::to_string(3 * limits::kMetricSeries - 1);
  EXPECT_THAT(metrics.prometheus(), HasSubstr("host_up{host=\"" + last + "\"} 1\n"));
  EXPECT_THAT(metrics.prometheus(), Not(HasSubstr("host_up{host=\"0\"}")));
  EXPECT_THAT(metrics.prometheus(), HasSubstr("isthmus_metrics_series_refused_total 0\n"));
  metrics.forget("no_such_name");
}

TEST(Metrics, a_scraper_may_read_while_the_shard_counts) {
  Metrics metrics;
  Counter& counter = metrics.counter("busy_total", "B.");
  Histogram& histogram = metrics.histogram("busy_seconds", "B.", {1});
  std::thread shard([&] {
    for (int i = 0; i < 100'000; ++i) {
      counter.add();
      histogram.observe(0.5);
    }
  });
  std::uint64_t last = 0;
  for (int i = 0; i < 100; ++i) {
    std::uint64_t value = counter.value();
    EXPECT_GE(value, last);
    last = value;
    EXPECT_THAT(metrics.prometheus(), HasSubstr("busy_total"));
  }
  shard.join();
  EXPECT_THAT(metrics.prometheus(), HasSubstr("busy_total 100000\n"));
  EXPECT_THAT(metrics.prometheus(), HasSubstr("busy_seconds_count 100000\n"));
}

}  // namespace
}  // namespace isthmus::ops
