#pragma once
#include <concepts>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/address.hpp"
#include "base/time.hpp"
#include "ops/config.hpp"

namespace spdlog::sinks {
class sink;
}

namespace isthmus::ops {

/// A phone number, user name or SIP address in a log line: all but the last two characters are
/// hidden unless `log.redact` is off.
struct Personal {
  std::string_view text;
};

/// One key and value of a log line. Addresses show their network only (IPv4 /24, IPv6 /48) unless
/// `log.redact` is off. A Secret cannot be a field at all.
class Field {
 public:
  Field(std::string_view key, std::string_view value) : key_(key), value_(std::string(value)) {}
  Field(std::string_view key, const char* value) : Field(key, std::string_view(value)) {}
  Field(std::string_view key, const std::string& value) : Field(key, std::string_view(value)) {}
  Field(std::string_view key, bool value) : key_(key), value_(value) {}
  Field(std::string_view key, double value) : key_(key), value_(value) {}
  Field(std::string_view key, std::signed_integral auto value)
      : key_(key), value_(static_cast<std::int64_t>(value)) {}
  Field(std::string_view key, std::unsigned_integral auto value)
      : key_(key), value_(static_cast<std::uint64_t>(value)) {}
  Field(std::string_view key, Personal value)
      : key_(key), value_(std::string(value.text)), personal_(true) {}
  Field(std::string_view key, const IpAddress& value) : key_(key), value_(Endpoint{value, 0}) {}
  Field(std::string_view key, const Endpoint& value) : key_(key), value_(value) {}
  Field(std::string_view key, const Secret& value) = delete;

 private:
  friend class Log;
  void append_text(std::string& out, bool redact) const;
  void append_json(std::string& out, bool redact) const;
  std::string shown(bool redact) const;

  std::string key_;
  std::variant<std::string, bool, double, std::int64_t, std::uint64_t, Endpoint> value_;
  bool personal_ = false;
};

using Fields = std::initializer_list<Field>;

/// Structured logging to standard error. A cheap handle: copies share the destination, and `with`
/// gives one that writes the ids of a session or call into each of its lines.
///
///     log.with({{"session", id}}).info("session_established", {{"user", Personal{user}}});
///     2026-11-23T04:15:38.123Z info session_established session=7 user=…ce
///
/// Event names are literals in the code, never remote text; lines of one event are limited to
/// limits::kLogBurstPerEvent and then one per kLogRefillPerEvent, and the next that passes says how
/// many were held back. Under systemd, lines carry a priority in place of the time. Any thread.
class Log {
 public:
  /// @param sink   where lines go; none: standard error
  /// @param clock  for the rate limit
  explicit Log(const LogConfig& config, std::shared_ptr<spdlog::sinks::sink> sink = nullptr,
               std::function<Instant()> clock = std::chrono::steady_clock::now);
  /// Writes nothing.
  static Log none();

  Log with(Fields fields) const;
  bool enabled(LogLevel level) const;

  void trace(std::string_view event, Fields fields = {}) const {
    write(LogLevel::trace, event, fields);
  }
  void debug(std::string_view event, Fields fields = {}) const {
    write(LogLevel::debug, event, fields);
  }
  void info(std::string_view event, Fields fields = {}) const {
    write(LogLevel::info, event, fields);
  }
  void warning(std::string_view event, Fields fields = {}) const {
    write(LogLevel::warning, event, fields);
  }
  void error(std::string_view event, Fields fields = {}) const {
    write(LogLevel::error, event, fields);
  }
  void write(LogLevel level, std::string_view event, Fields fields = {}) const;

 private:
  struct Core;
  Log() = default;

  std::shared_ptr<Core> core_;
  std::vector<Field> context_;
};

}  // namespace isthmus::ops
