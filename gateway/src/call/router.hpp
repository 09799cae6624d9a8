#pragma once
#include <string>
#include <variant>
#include <vector>

#include "base/time.hpp"
#include "call/media_plane.hpp"
#include "sip/flow.hpp"
#include "sip/message.hpp"

namespace isthmus::call {

/// One place that a request goes to. The Request-URI there may differ from the one that came.
struct RouteTarget {
  sip::Flow flow;
  std::string request_uri;
};

/// Forked in parallel when there are several (RFC 3261 §16.6).
struct RouteTargets {
  std::vector<RouteTarget> targets;
};
struct RouteToService {
  MediaService service;
};
struct RouteToRegistrar {};  ///< a REGISTER that the built-in registrar answers
struct RouteRejection {
  int status = 404;
  std::string reason;
  unsigned retry_after_s = 0;  ///< Retry-After when not 0
};
using Route = std::variant<RouteTargets, RouteToService, RouteToRegistrar, RouteRejection>;

/// Decides where requests outside dialogs go. The gateway and the connector each bring their own;
/// the bridge is the same in both. Pure; called from the shard's thread.
class Router {
 public:
  virtual ~Router() = default;
  virtual Route route(const sip::Message& request, const sip::Flow& from, Instant now) = 0;

  /// Whether requests inside a dialog go where its route set or remote target says (a provider), or
  /// back on the flow that its messages come from (a phone, which may sit behind a NAT of its own).
  virtual bool follows_targets(const sip::Flow& flow) const = 0;

  /// Who the flow belongs to, for tokens, limits and records: a user, a provider's name, a phone's
  /// address.
  virtual std::string owner_of(const sip::Flow& flow) const = 0;

  /// Last changes to a request on its way out there, by policy.
  virtual void dress(sip::Message& request, const sip::Flow& to) const {
    static_cast<void>(request);
    static_cast<void>(to);
  }
};

}  // namespace isthmus::call
