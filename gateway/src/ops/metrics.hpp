#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace isthmus::ops {

/// A number that only grows. One thread writes (its shard's), any may read: no locked instruction
/// is needed.
class Counter {
 public:
  void add(std::uint64_t amount = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }
  /// For a figure that is counted elsewhere and copied before a scrape. Must not go down.
  void set(std::uint64_t value) { value_.store(value, std::memory_order_relaxed); }
  std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

/// A number that goes up and down. One writer.
class Gauge {
 public:
  void set(double value) { value_.store(value, std::memory_order_relaxed); }
  void add(double amount) { set(value() + amount); }
  double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

/// Counts observations by upper bound. One writer; `observe` does not allocate.
class Histogram {
 public:
  /// @param bounds  ascending upper bounds; what is above all of them is counted too
  explicit Histogram(std::vector<double> bounds);
  void observe(double value);

  const std::vector<double>& bounds() const { return bounds_; }
  std::uint64_t in_bucket(std::size_t index) const { return counts_[index].value(); }
  double sum() const { return sum_.value(); }

 private:
  std::vector<double> bounds_;
  std::vector<Counter> counts_;  ///< one more than bounds
  Gauge sum_;
};

using Labels = std::vector<std::pair<std::string, std::string>>;

/// The counters of one process (or shard), and their text in Prometheus' exposition format 0.0.4.
/// Objects live as long as the registry; asking again with the same name and labels gives the same
/// one. Asking takes a mutex and allocates: keep the reference. Label values must come from a
/// closed set in the code; past limits::kMetricSeries a nameless object is handed out and
/// `isthmus_metrics_series_refused_total` counts it.
class Metrics {
 public:
  Metrics();
  /// @param name  [a-zA-Z_:][a-zA-Z0-9_:]*, counters end in _total. One name has one kind: anything
  /// else is a bug
  ///              in the caller and asserts.
  Counter& counter(std::string_view name, std::string_view help, const Labels& labels = {});
  Gauge& gauge(std::string_view name, std::string_view help, const Labels& labels = {});
  Histogram& histogram(std::string_view name, std::string_view help, std::vector<double> bounds,
                       const Labels& labels = {});

  /// Drops all series of a name: for figures of things that come and go, which a collector writes
  /// anew at each scrape. References to them end.
  void forget(std::string_view name);

  /// Called at the start of each `prometheus()`, on the thread that calls it: to copy figures that
  /// are kept elsewhere.
  void before_scrape(std::function<void()> collect) { collectors_.push_back(std::move(collect)); }
  std::string prometheus();

 private:
  using Series =
      std::variant<std::unique_ptr<Counter>, std::unique_ptr<Gauge>, std::unique_ptr<Histogram>>;
  struct Family {
    std::string help;
    std::map<std::string, Series> series;  ///< by rendered labels: "" or "a=\"b\",c=\"d\""
  };

  template <typename Kind, typename Make>
  Kind& find(std::string_view name, std::string_view help, const Labels& labels, Make make);

  std::mutex mutex_;
  std::map<std::string, Family, std::less<>> families_;
  std::size_t series_ = 0;
  std::vector<Series> nameless_;
  Counter* refused_ = nullptr;
  std::vector<std::function<void()>> collectors_;
};

}  // namespace isthmus::ops
