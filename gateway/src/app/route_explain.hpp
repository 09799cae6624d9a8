#pragma once
#include <boost/json/object.hpp>
#include <optional>
#include <string>
#include <vector>

#include "ops/config.hpp"
#include "provider/gateway_router.hpp"

namespace isthmus::app {

/// A request that nobody sent, to see where it would go.
struct RouteQuestion {
  std::string uri;
  std::string from;    ///< URI; empty: the source's own
  std::string source;  ///< "link:USER", "provider:NAME" or "ADDRESS[:PORT]"; empty: the first user
  std::string method = "INVITE";
  std::vector<std::string> headers{};  ///< "Name: value"
};

/// Routes the question by the router's own code and tells each rule, why it matched or did not,
/// what decided, and what the request would be like at each target.
/// @param router  as it runs, or one made for this; a session of its own is added and removed
/// @return what to show: "result" says how it ended, "fault" that the question cannot be asked.
boost::json::object explain_route(provider::GatewayRouter& router, const ops::GatewayConfig& config,
                                  const RouteQuestion& question, Instant now);

/// The same for people, a line each.
std::string to_text(const boost::json::object& explanation);

/// `isthmus-gateway route explain`: by the configuration alone, without a running gateway: devices
/// that registered and numbers that ENUM would find are not known.
/// @return exit code: 0 it goes somewhere, 1 it is refused or cannot be asked.
int route_explain_command(const ops::GatewayConfig& config, const RouteQuestion& question,
                          bool as_json);

}  // namespace isthmus::app
