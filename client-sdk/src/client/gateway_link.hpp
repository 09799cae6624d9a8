#pragma once
#include <optional>
#include <string>

#include "isthmus/gateway.hpp"
#include "net/client_connection.hpp"

/// Between the public words and the connection's. Private to the SDK.
namespace isthmus::detail {

Outcome<net::ConnectionOptions> connection_options(const GatewayOptions& options);
Error connection_error(wire::CloseCode code, const std::string& reason);
ConnectionEvent closed_event(wire::CloseCode code, const std::string& reason,
                             std::optional<Duration> will_retry_in);
ConnectionEvent link_lost_event(wire::CloseCode code, const std::string& reason,
                                Duration will_retry_in);
ConnectionEvent link_back_event(Duration gap, const std::string& move_reason);
ConnectionEvent go_away_event(const std::string& reason, Duration deadline);
SessionInfo session_info(const net::ClientConnection& connection, const wire::WelcomeInfo& welcome);

}  // namespace isthmus::detail
