#include "client/gateway_link.hpp"

#include "base/limits.hpp"
#include "dns/server_address.hpp"
#include "isthmus/version.hpp"

namespace isthmus {

const char* to_text(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::none:
      return "none";
    case ErrorKind::bad_argument:
      return "bad argument";
    case ErrorKind::audio:
      return "audio";
    case ErrorKind::not_connected:
      return "not connected";
    case ErrorKind::wrong_state:
      return "wrong state";
    case ErrorKind::unknown_call:
      return "unknown call";
    case ErrorKind::limit:
      return "limit";
    case ErrorKind::unreachable:
      return "unreachable";
    case ErrorKind::timeout:
      return "timeout";
    case ErrorKind::untrusted:
      return "untrusted";
    case ErrorKind::authentication:
      return "authentication";
    case ErrorKind::protocol:
      return "protocol";
    case ErrorKind::refused:
      return "refused";
  }
  return "unknown";
}

const char* to_text(ConnectionState state) {
  switch (state) {
    case ConnectionState::disconnected:
      return "disconnected";
    case ConnectionState::connecting:
      return "connecting";
    case ConnectionState::connected:
      return "connected";
    case ConnectionState::waiting:
      return "waiting";
    case ConnectionState::resuming:
      return "resuming";
    case ConnectionState::leaving:
      return "leaving";
  }
  return "unknown";
}

// The public kinds of links are the connection's, value by value.
static_assert(static_cast<int>(LinkKind::none) == static_cast<int>(net::LinkKind::none));
static_assert(static_cast<int>(LinkKind::websocket) == static_cast<int>(net::LinkKind::websocket));
static_assert(static_cast<int>(LinkKind::udp) == static_cast<int>(net::LinkKind::udp));

const char* to_text(LinkKind kind) {
  return net::to_text(static_cast<net::LinkKind>(kind));
}

namespace detail {
namespace {

ErrorKind kind_of(wire::CloseCode code) {
  switch (code) {
    case wire::CloseCode::normal:
      return ErrorKind::none;
    case wire::CloseCode::unauthorized:
    case wire::CloseCode::credentials_expired:
      return ErrorKind::authentication;
    case wire::CloseCode::forbidden:
      return ErrorKind::untrusted;
    case wire::CloseCode::protocol_error:
    case wire::CloseCode::version_mismatch:
      return ErrorKind::protocol;
    case wire::CloseCode::timeout:
      return ErrorKind::timeout;
    case wire::CloseCode::going_away:
    case wire::CloseCode::resume_refused:
      return ErrorKind::unreachable;
    default:
      return ErrorKind::refused;
  }
}

}  // namespace

Outcome<net::ConnectionOptions> connection_options(const GatewayOptions& options) {
  if (options.user.empty() == options.token.empty()) {
    return Error{ErrorKind::bad_argument,
                 options.user.empty() ? "neither a user and password nor a token is given"
                                      : "a user and a token are given; the gateway takes one"};
  }
  net::ConnectionOptions to;
  to.url = options.url;
  to.other_urls = options.other_urls;
  for (const std::string& text : options.dns_servers) {
    const auto server = dns::parse_server_address(text);
    if (!server) {
      return Error{ErrorKind::bad_argument, "\"" + text + "\" is no DNS server's address"};
    }
    to.dns_servers.push_back(*server);
  }
  to.trust = {options.trust.ca_file, options.trust.pins, options.trust.insecure,
              options.trust.key_log};
  to.proxy = options.proxy;
  if (options.keep_alive != milliseconds(0) &&
      (options.keep_alive < limits::kMinKeepAlive || options.keep_alive > limits::kMaxKeepAlive)) {
    return Error{ErrorKind::bad_argument, "the keep-alive interval is not from 0.1 to 600 s"};
  }
  to.keep_alive = options.keep_alive;
  to.connect_timeout = options.connect_timeout;
  to.reconnect = options.reconnect;
  to.watch_network = options.watch_network;
  to.hello.software = options.software.empty() ? "isthmus-sdk/" ISTHMUS_VERSION : options.software;
  if (options.token.empty()) {
    to.hello.credentials = wire::PasswordCredentials{options.user, options.password};
  } else {
    to.hello.credentials = wire::TokenCredentials{options.token};
  }
  return to;
}

Error connection_error(wire::CloseCode code, const std::string& reason) {
  return {kind_of(code), reason.empty() ? wire::to_text(code) : reason};
}

ConnectionEvent closed_event(wire::CloseCode code, const std::string& reason,
                             std::optional<Duration> will_retry_in) {
  ConnectionEvent event;
  event.state = will_retry_in ? ConnectionState::waiting : ConnectionState::disconnected;
  event.error = connection_error(code, reason);
  if (will_retry_in) {
    event.retry_in = std::chrono::duration_cast<std::chrono::milliseconds>(*will_retry_in);
  }
  return event;
}

ConnectionEvent link_lost_event(wire::CloseCode code, const std::string& reason,
                                Duration will_retry_in) {
  ConnectionEvent event;
  event.state = ConnectionState::resuming;
  event.error = connection_error(code, reason);
  event.retry_in = std::chrono::duration_cast<std::chrono::milliseconds>(will_retry_in);
  return event;
}

ConnectionEvent link_back_event(Duration gap, const std::string& move_reason) {
  ConnectionEvent event;
  event.state = ConnectionState::connected;
  event.resumed_after = std::chrono::duration_cast<std::chrono::milliseconds>(gap);
  event.move_reason = move_reason;
  return event;
}

ConnectionEvent go_away_event(const std::string& reason, Duration deadline) {
  ConnectionEvent event;
  event.state = ConnectionState::leaving;
  event.error = connection_error(wire::CloseCode::going_away, reason);
  event.retry_in = std::chrono::duration_cast<std::chrono::milliseconds>(deadline);
  return event;
}

SessionInfo session_info(const net::ClientConnection& connection,
                         const wire::WelcomeInfo& welcome) {
  SessionInfo info{welcome.user,
                   welcome.sip_domain,
                   welcome.software,
                   connection.local_text(),
                   connection.remote_text(),
                   welcome.observed_address};
  const wire::SessionStatistics figures = connection.session_statistics();
  info.link = static_cast<LinkKind>(connection.link_kind());
  info.gateway = connection.gateway_text();
  info.links = figures.resumes + 1;
  info.keep_alive = std::chrono::duration_cast<milliseconds>(figures.keep_alive);
  info.keep_alive_adapts = figures.keep_alive_adapts;
  info.way_back_lost = figures.way_back_lost;
  if (figures.round_trip) {
    info.round_trip = std::chrono::duration_cast<std::chrono::microseconds>(*figures.round_trip);
  }
  return info;
}

}  // namespace detail
}  // namespace isthmus
