#include "report.hpp"

#include <unistd.h>

#include <array>
#include <cmath>
#include <cstdio>

namespace phone {
namespace {

/// What others sent may hold anything; a terminal gets printable ASCII.
std::string printable(std::string_view text) {
  std::string out;
  for (const char c : text) out += c >= ' ' && c <= '~' ? c : '?';
  return out;
}

template <typename... Values>
std::string format(const char* pattern, Values... values) {
  std::array<char, 256> text{};
  const int size = std::snprintf(text.data(), text.size(), pattern, values...);
  return std::string(
      text.data(),
      size < 0 ? 0 : std::min<std::size_t>(static_cast<std::size_t>(size), text.size() - 1));
}

std::string clock(std::chrono::milliseconds duration) {
  const long long all = duration.count() / 1000;
  return format("%02lld:%02lld", all / 60, all % 60);
}

double seconds_of(std::chrono::milliseconds duration) {
  return static_cast<double>(duration.count()) / 1000.0;
}

double milliseconds_of(std::chrono::microseconds duration) {
  return static_cast<double>(duration.count()) / 1000.0;
}

void say(const std::string& text) {
  std::fputs((text + '\n').c_str(), stdout);
  std::fflush(stdout);
}

void add_statistics(Json& json, const isthmus::CallStatistics& all) {
  json.add("codec", all.codec)
      .add("duration_s", seconds_of(all.duration))
      .add("packets_sent", all.packets_sent)
      .add("packets_received", all.packets_received)
      .add("packets_lost", all.packets_lost)
      .add("packets_late", all.packets_late)
      .add("loss_ratio", all.loss_ratio)
      .add("jitter_ms", all.jitter_ms)
      .add("jitter_buffer_ms", all.jitter_buffer_ms)
      .add("mos", all.mos)
      .add("wire_bytes_per_packet_sent", all.wire_bytes_per_packet_sent)
      .add("wire_bytes_per_packet_received", all.wire_bytes_per_packet_received);
  if (all.round_trip_ms) json.add("round_trip_ms", *all.round_trip_ms);
  if (all.remote_loss_ratio) json.add("remote_loss_ratio", *all.remote_loss_ratio);
  if (all.remote_jitter_ms) json.add("remote_jitter_ms", *all.remote_jitter_ms);
}

void add_session(Json& json, const isthmus::SessionInfo& session) {
  json.add("link", isthmus::to_text(session.link))
      .add("gateway", session.gateway)
      .add("local_address", session.local_address)
      .add("gateway_address", session.gateway_address)
      .add("links", session.links)
      .add("keep_alive_s", seconds_of(session.keep_alive))
      .add("keep_alive_adapts", session.keep_alive_adapts)
      .add("way_back_lost", session.way_back_lost);
}

}  // namespace

Json& Json::raw(std::string_view name, const std::string& value) {
  if (!members_.empty()) members_ += ',';
  members_.append("\"").append(name).append("\":").append(value);
  return *this;
}

Json& Json::add(std::string_view name, std::string_view value) {
  std::string text = "\"";
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      text.append({'\\', c});
    } else if (byte < 0x20 || byte >= 0x7F) {
      text += format("\\u%04x", unsigned{byte});  // bytes that are no ASCII as Latin-1
    } else {
      text += c;
    }
  }
  return raw(name, text + '"');
}

Json& Json::add(std::string_view name, double value) {
  return raw(name, std::isfinite(value) ? format("%.3f", value) : "null");
}
Json& Json::add(std::string_view name, std::uint64_t value) {
  return raw(name, std::to_string(value));
}
Json& Json::add(std::string_view name, int value) {
  return raw(name, std::to_string(value));
}
Json& Json::add(std::string_view name, bool value) {
  return raw(name, value ? "true" : "false");
}

Report::Report(bool json, bool quiet)
    : json_(json), quiet_(quiet), live_(!json && !quiet && ::isatty(STDOUT_FILENO) == 1) {}

Report::~Report() {
  clear_status();
}

void Report::clear_status() {
  if (!status_shown_) return;
  std::fputs("\r\033[K", stdout);
  std::fflush(stdout);
  status_shown_ = false;
}

void Report::line(const std::string& plain, const Json& json) {
  if (json_) return say(json.text());
  if (quiet_) return;
  clear_status();
  say(plain);
}

void Report::connection(const isthmus::ConnectionEvent& event,
                        const isthmus::SessionInfo& session) {
  std::string text = isthmus::to_text(event.state);
  Json json;
  json.add("event", "connection").add("state", text);
  if (event.state == isthmus::ConnectionState::connected) {
    text += std::string(" over ") + isthmus::to_text(session.link) + " to " +
            printable(session.gateway) + " at " + session.gateway_address + " from " +
            session.local_address + " as " + printable(session.user);
    if (event.resumed_after) {
      text += format(" (the session goes on after %.3f s without a link)",
                     seconds_of(*event.resumed_after));
      json.add("resumed_after_s", seconds_of(*event.resumed_after));
      if (!event.move_reason.empty()) text += ": " + printable(event.move_reason);
      json.add("move_reason", event.move_reason);
    }
    add_session(json, session);
    json.add("observed_address", session.observed_address)
        .add("user", session.user)
        .add("sip_domain", session.sip_domain);
  }
  if (!event.error.text.empty() && event.error.kind != isthmus::ErrorKind::none) {
    text += ": " + printable(event.error.text);
    json.add("error", isthmus::to_text(event.error.kind)).add("text", event.error.text);
  }
  if (event.retry_in) {
    text += format(" (next attempt in %.1f s)", seconds_of(*event.retry_in));
    json.add("retry_in_s", seconds_of(*event.retry_in));
  }
  // A final error is said by error(), a retry here.
  if (json_ || event.state != isthmus::ConnectionState::disconnected) line(text, json);
}

void Report::registration(const isthmus::RegistrationEvent& event) {
  Json json;
  json.add("event", "registration")
      .add("state", isthmus::to_text(event.state))
      .add("status", event.status)
      .add("reason", event.reason)
      .add("expires_s", static_cast<std::uint64_t>(event.expires.count()));
  std::string text =
      std::string("registration ") + isthmus::to_text(event.state) + ": " + printable(event.reason);
  if (event.expires.count() > 0) text += " for " + std::to_string(event.expires.count()) + " s";
  if (event.retry_in) {
    text += format(" (again in %.0f s)", seconds_of(*event.retry_in));
    json.add("retry_in_s", seconds_of(*event.retry_in));
  }
  line(text, json);
}

void Report::incoming(const isthmus::IncomingCallInfo& info) {
  Json json;
  json.add("event", "incoming")
      .add("from", info.from_uri)
      .add("display_name", info.from_display)
      .add("to", info.to_uri);
  std::string text = "call from " + printable(info.from_uri);
  if (!info.from_display.empty()) text += " (" + printable(info.from_display) + ")";
  line(text, json);
}

void Report::call(const isthmus::CallEvent& event) {
  std::string text = isthmus::to_text(event.state);
  Json json;
  json.add("event", "call")
      .add("state", text)
      .add("status", event.status)
      .add("reason", event.reason)
      .add("local_hold", event.local_hold)
      .add("remote_hold", event.remote_hold);
  if (event.state == isthmus::CallState::ended) json.add("cause", isthmus::to_text(event.cause));
  if (event.state == isthmus::CallState::held) {
    text += event.local_hold ? (event.remote_hold ? " by both ends" : " by this end")
                             : " by the other end";
  }
  if (!event.reason.empty()) text += ": " + printable(event.reason);
  // Of an ended call the summary says more.
  if (json_ || event.state != isthmus::CallState::ended) line(text, json);
}

void Report::digit(char digit) {
  Json json;
  json.add("event", "dtmf").add("digit", std::string_view(&digit, 1));
  line(std::string("digit ") + digit, json);
}

void Report::statistics(std::string_view state, const isthmus::CallStatistics& all,
                        const isthmus::SessionInfo& session) {
  if (json_) {
    if (quiet_) return;
    Json json;
    json.add("event", "statistics");
    add_statistics(json, all);
    add_session(json, session);
    return say(json.text());
  }
  if (!live_) return;
  clear_status();
  std::string text = std::string(state) + "  " + clock(all.duration) + "  " + all.codec +
                     format("  loss %.1f %%  jitter %.1f ms  MOS %.2f", all.loss_ratio * 100,
                            all.jitter_ms, all.mos);
  if (all.round_trip_ms) text += format("  round trip %.0f ms", *all.round_trip_ms);
  text += std::string("  ") + isthmus::to_text(session.link);
  if (session.links > 1) text += ", link " + std::to_string(session.links);
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
  status_shown_ = true;
}

void Report::note(std::string_view text) {
  Json json;
  json.add("event", "note").add("text", text);
  line(printable(text), json);
}

void Report::error(std::string_view text) {
  clear_status();
  if (json_) {
    Json json;
    json.add("event", "error").add("text", text);
    say(json.text());
  }
  std::fputs(("isthmus-phone: " + printable(text) + '\n').c_str(), stderr);
}

void Report::summary(const Summary& summary) {
  clear_status();
  const isthmus::CallStatistics& all = summary.statistics;
  if (json_) {
    Json json;
    json.add("event", "summary")
        .add("peer", summary.peer)
        .add("answered", summary.answered)
        .add("setup_ms", milliseconds_of(all.setup_time));
    add_statistics(json, all);
    json.add("dtmf_received", summary.dtmf_received)
        .add("sip_status", summary.sip_status)
        .add("end_reason", summary.end_reason)
        .add("exit_code", summary.exit_code);
    add_session(json, summary.session);
    return say(json.text());
  }
  std::string text = "ended: " + printable(summary.end_reason);
  if (summary.answered) {
    text += format("\nset up in %.1f ms, lasted %.1f s", milliseconds_of(all.setup_time),
                   seconds_of(all.duration));
    text += ", " + all.codec + ", over " + isthmus::to_text(summary.session.link) + " from " +
            summary.session.local_address;
    text += format("\nsent %llu packets, received %llu, lost %llu (%.2f %%), late %llu",
                   static_cast<unsigned long long>(all.packets_sent),
                   static_cast<unsigned long long>(all.packets_received),
                   static_cast<unsigned long long>(all.packets_lost), all.loss_ratio * 100,
                   static_cast<unsigned long long>(all.packets_late));
    text += format("\n%.0f bytes on the wire for each packet sent, %.0f received",
                   all.wire_bytes_per_packet_sent, all.wire_bytes_per_packet_received);
    text += format("\njitter %.1f ms, MOS %.2f", all.jitter_ms, all.mos);
    if (all.round_trip_ms) text += format(", round trip %.0f ms", *all.round_trip_ms);
  }
  say(text);
}

}  // namespace phone
