#include "ops/log.hpp"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <mutex>

#include "base/limits.hpp"
#include "ops/event_limiter.hpp"
#include "ops/utf8.hpp"

namespace isthmus::ops {
namespace {

constexpr char kHex[] = "0123456789abcdef";

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::trace:
      return spdlog::level::trace;
    case LogLevel::debug:
      return spdlog::level::debug;
    case LogLevel::info:
      return spdlog::level::info;
    case LogLevel::warning:
      return spdlog::level::warn;
    case LogLevel::error:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

/// "<6>" and its kind (sd-daemon(3)): the journal turns it into the priority of the entry.
class PriorityFlag final : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&,
              spdlog::memory_buf_t& out) override {
    std::string_view priority = message.level >= spdlog::level::err    ? "<3>"
                                : message.level == spdlog::level::warn ? "<4>"
                                : message.level == spdlog::level::info ? "<6>"
                                                                       : "<7>";
    out.append(priority.data(), priority.data() + priority.size());
  }
  std::unique_ptr<spdlog::custom_flag_formatter> clone() const override {
    return std::make_unique<PriorityFlag>();
  }
};

/// systemd sets JOURNAL_STREAM to "device:inode" of the stream; it is inherited, so it must be
/// compared with what standard error is now.
bool stderr_is_journal() {
  const char* stream = std::getenv("JOURNAL_STREAM");
  struct stat status {};
  if (stream == nullptr || ::fstat(STDERR_FILENO, &status) != 0) return false;
  return std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino) == stream;
}

std::string pattern(LogFormat format, bool journal) {
  std::string time = journal ? "" : "%Y-%m-%dT%H:%M:%S.%eZ ";
  if (format == LogFormat::text) return (journal ? "%*" : "") + time + "%l %v";
  return std::string(journal ? "%*" : "") + R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l",%v})";
}

bool plain(std::string_view text) {
  if (text.empty()) return false;
  for (char c : text) {
    if (static_cast<std::uint8_t>(c) <= ' ' || c == '"' || c == '\\' || c == '=' || c == '\x7f')
      return false;
  }
  return true;
}

/// In quotes, with JSON's escapes: whatever a remote party sent stays on its line and inside its
/// value.
void append_quoted(std::string& out, std::string_view text) {
  out += '"';
  for (char c : text) {
    auto byte = static_cast<std::uint8_t>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (byte < 0x20 || byte == 0x7f) {
      out += "\\u00";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    } else {
      out += c;
    }
  }
  out += '"';
}

std::string number(double value) {
  std::array<char, 32> text;
  auto [end, error] = std::to_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} ? std::string(text.data(), end) : std::string("0");
}

/// Bounded and well-formed.
std::string clean(std::string_view text) {
  if (text.size() <= limits::kLogValueBytes) return valid_utf8(text);
  return valid_utf8(text.substr(0, limits::kLogValueBytes)) + "…";
}

std::string hidden(std::string_view text) {
  return "…" + std::string(text.size() > 4 ? text.substr(text.size() - 2) : "");
}

/// The network, which tells providers and access networks apart, without the subscriber.
std::string network_of(const Endpoint& endpoint) {
  if (endpoint.address.is_loopback()) return endpoint.address.to_string();
  if (endpoint.address.is_v4()) return Network(endpoint.address, 24).to_string();
  return Network(endpoint.address, 48).to_string();
}

}  // namespace

std::string Field::shown(bool redact) const {
  if (const auto* text = std::get_if<std::string>(&value_)) {
    return redact && personal_ ? valid_utf8(hidden(*text)) : clean(*text);
  }
  if (const auto* endpoint = std::get_if<Endpoint>(&value_)) {
    if (redact) return network_of(*endpoint);
    return endpoint->port == 0 ? endpoint->address.to_string() : endpoint->to_string();
  }
  if (const auto* flag = std::get_if<bool>(&value_)) return *flag ? "true" : "false";
  if (const auto* real = std::get_if<double>(&value_)) return number(*real);
  if (const auto* whole = std::get_if<std::int64_t>(&value_)) return std::to_string(*whole);
  return std::to_string(std::get<std::uint64_t>(value_));
}

void Field::append_text(std::string& out, bool redact) const {
  out += ' ';
  out += key_;
  out += '=';
  std::string text = shown(redact);
  if (plain(text)) {
    out += text;
  } else {
    append_quoted(out, text);
  }
}

void Field::append_json(std::string& out, bool redact) const {
  out += ',';
  append_quoted(out, key_);
  out += ':';
  const auto* real = std::get_if<double>(&value_);
  bool quoted = std::holds_alternative<std::string>(value_) ||
                std::holds_alternative<Endpoint>(value_) ||
                (real != nullptr && !std::isfinite(*real));
  std::string text = shown(redact);
  if (quoted) {
    append_quoted(out, text);
  } else {
    out += text;
  }
}

struct Log::Core {
  std::unique_ptr<spdlog::logger> logger;
  LogConfig config;
  std::function<Instant()> clock;
  std::mutex mutex;  ///< of the limiter; logging is no part of a packet's path
  EventLimiter limiter;
};

Log::Log(const LogConfig& config, std::shared_ptr<spdlog::sinks::sink> sink,
         std::function<Instant()> clock)
    : core_(std::make_shared<Core>()) {
  bool journal = !sink && stderr_is_journal();
  if (!sink) sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  auto formatter = std::make_unique<spdlog::pattern_formatter>(spdlog::pattern_time_type::utc);
  formatter->add_flag<PriorityFlag>('*').set_pattern(pattern(config.format, journal));
  core_->logger = std::make_unique<spdlog::logger>("isthmus", std::move(sink));
  core_->logger->set_formatter(std::move(formatter));
  core_->logger->set_level(to_spdlog(config.level));
  core_->logger->flush_on(spdlog::level::trace);
  core_->config = config;
  core_->clock = std::move(clock);
}

Log Log::none() {
  return Log();
}

Log Log::with(Fields fields) const {
  Log out = *this;
  out.context_.insert(out.context_.end(), fields.begin(), fields.end());
  return out;
}

bool Log::enabled(LogLevel level) const {
  return core_ && core_->logger->should_log(to_spdlog(level));
}

void Log::write(LogLevel level, std::string_view event, Fields fields) const {
  if (!enabled(level)) return;
  EventLimiter::Verdict verdict;
  {
    std::lock_guard lock(core_->mutex);
    verdict = core_->limiter.admit(event, core_->clock());
  }
  if (!verdict.pass) return;
  bool json = core_->config.format == LogFormat::json, redact = core_->config.redact;
  std::string line;
  if (json) line = "\"event\":";
  if (json) {
    append_quoted(line, event);
  } else {
    line += event;
  }
  auto append = [&](const Field& field) {
    if (json) {
      field.append_json(line, redact);
    } else {
      field.append_text(line, redact);
    }
  };
  for (const Field& field : context_) append(field);
  for (const Field& field : fields) append(field);
  if (verdict.suppressed > 0) append(Field("suppressed", verdict.suppressed));
  core_->logger->log(to_spdlog(level), spdlog::string_view_t(line.data(), line.size()));
}

}  // namespace isthmus::ops
