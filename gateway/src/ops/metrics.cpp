#include "ops/metrics.hpp"

#include <algorithm>
#include <array>
#include <cassert>
#include <charconv>
#include <cmath>

#include "base/limits.hpp"
#include "ops/utf8.hpp"

namespace isthmus::ops {
namespace {

[[maybe_unused]] bool valid_name(std::string_view name, bool colon_allowed) {
  if (name.empty() || (name[0] >= '0' && name[0] <= '9')) return false;
  return std::all_of(name.begin(), name.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           (colon_allowed && c == ':');
  });
}

std::string escaped(std::string_view text, bool quotes) {
  std::string out;
  for (char c : valid_utf8(text)) {
    if (c == '\n') {
      out += "\\n";
      continue;
    }
    if (c == '\\' || (quotes && c == '"')) out += '\\';
    out += c;
  }
  return out;
}

std::string rendered(const Labels& labels) {
  std::string out;
  for (const auto& [name, value] : labels) {
    assert(valid_name(name, false));
    if (!out.empty()) out += ',';
    out += name + "=\"" + escaped(value, true) + "\"";
  }
  return out;
}

std::string number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  std::array<char, 32> text;
  auto [end, error] = std::to_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} ? std::string(text.data(), end) : std::string("NaN");
}

void append_sample(std::string& out, std::string_view name, std::string_view suffix,
                   const std::string& labels, const std::string& value) {
  out += name;
  out += suffix;
  if (!labels.empty()) out += "{" + labels + "}";
  out += ' ' + value + '\n';
}

void append_series(std::string& out, const std::string& name, const std::string& labels,
                   const Counter& counter) {
  append_sample(out, name, "", labels, std::to_string(counter.value()));
}

void append_series(std::string& out, const std::string& name, const std::string& labels,
                   const Gauge& gauge) {
  append_sample(out, name, "", labels, number(gauge.value()));
}

void append_series(std::string& out, const std::string& name, const std::string& labels,
                   const Histogram& histogram) {
  const std::string before = labels.empty() ? "le=\"" : labels + ",le=\"";
  std::uint64_t below = 0;
  for (std::size_t i = 0; i <= histogram.bounds().size(); ++i) {
    below += histogram.in_bucket(i);
    std::string bound = i < histogram.bounds().size() ? number(histogram.bounds()[i]) : "+Inf";
    append_sample(out, name, "_bucket", before + bound + "\"", std::to_string(below));
  }
  append_sample(out, name, "_sum", labels, number(histogram.sum()));
  append_sample(out, name, "_count", labels, std::to_string(below));
}

}  // namespace

Histogram::Histogram(std::vector<double> bounds)
    : bounds_(std::move(bounds)), counts_(bounds_.size() + 1) {
  assert(std::is_sorted(bounds_.begin(), bounds_.end()));
}

void Histogram::observe(double value) {
  if (std::isnan(value)) return;
  auto bucket = std::lower_bound(bounds_.begin(), bounds_.end(), value) - bounds_.begin();
  counts_[static_cast<std::size_t>(bucket)].add();
  sum_.add(value);
}

Metrics::Metrics() {
  refused_ = &counter("isthmus_metrics_series_refused_total",
                      "Time series that were asked for beyond the limit; a label takes values it "
                      "should not.");
}

template <typename Kind, typename Make>
Kind& Metrics::find(std::string_view name, std::string_view help, const Labels& labels, Make make) {
  assert(valid_name(name, true));
  std::lock_guard lock(mutex_);
  auto family = families_.find(name);
  if (family == families_.end()) {
    family = families_.emplace(name, Family{std::string(help), {}}).first;
  }
  std::string key = rendered(labels);
  auto found = family->second.series.find(key);
  if (found != family->second.series.end()) {
    auto* same = std::get_if<std::unique_ptr<Kind>>(&found->second);
    assert(same != nullptr && "one metric name, two kinds");
    if (same != nullptr) return **same;
  } else if (series_ < limits::kMetricSeries) {
    ++series_;
    auto& slot = family->second.series[key] = make();
    return *std::get<std::unique_ptr<Kind>>(slot);
  }
  refused_->add();
  for (Series& spare : nameless_) {
    if (auto* same = std::get_if<std::unique_ptr<Kind>>(&spare)) return **same;
  }
  nameless_.push_back(make());
  return *std::get<std::unique_ptr<Kind>>(nameless_.back());
}

Counter& Metrics::counter(std::string_view name, std::string_view help, const Labels& labels) {
  return find<Counter>(name, help, labels, [] { return std::make_unique<Counter>(); });
}

Gauge& Metrics::gauge(std::string_view name, std::string_view help, const Labels& labels) {
  return find<Gauge>(name, help, labels, [] { return std::make_unique<Gauge>(); });
}

Histogram& Metrics::histogram(std::string_view name, std::string_view help,
                              std::vector<double> bounds, const Labels& labels) {
  return find<Histogram>(name, help, labels,
                         [&] { return std::make_unique<Histogram>(std::move(bounds)); });
}

void Metrics::forget(std::string_view name) {
  std::lock_guard lock(mutex_);
  auto family = families_.find(name);
  if (family == families_.end()) return;
  series_ -= family->second.series.size();
  families_.erase(family);
}

std::string Metrics::prometheus() {
  for (const auto& collect : collectors_) collect();
  std::lock_guard lock(mutex_);
  std::string out;
  for (const auto& [name, family] : families_) {
    if (family.series.empty()) continue;
    static constexpr const char* kKinds[] = {"counter", "gauge", "histogram"};
    out += "# HELP " + name + " " + escaped(family.help, false) + "\n";
    out += "# TYPE " + name + " " + kKinds[family.series.begin()->second.index()] + "\n";
    for (const auto& [labels, series] : family.series) {
      // Clang 14 cannot capture structured bindings by reference.
      std::visit([&out, &metric = name,
                  &text = labels](const auto& one) { append_series(out, metric, text, *one); },
                 series);
    }
  }
  return out;
}

}  // namespace isthmus::ops
