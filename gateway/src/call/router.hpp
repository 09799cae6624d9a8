#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/time.hpp"
#include "call/event_terms.hpp"
#include "call/media_plane.hpp"
#include "sip/flow.hpp"
#include "sip/message.hpp"

namespace isthmus::call {

/// One place that a request goes to. The Request-URI there may differ from the one that came.
struct RouteTarget {
  sip::Flow flow;
  std::string request_uri;  ///< empty: as it came
  /// Where the request goes when this place fails, one after the other, in this order: another host
  /// of the same provider after a timeout, a transport fault or a 503 (RFC 3263 §4.3), another
  /// provider also after the statuses of `RouteTargets::failover_on`.
  std::vector<RouteTarget> alternatives{};
  bool other_provider =
      false;  ///< of an alternative: it is not the same provider as the one before
  /// Headers to put on the request for this place, replacing those of the same name.
  std::vector<std::pair<std::string, std::string>> headers{};
};

/// Forked in parallel when there are several (RFC 3261 §16.6).
struct RouteTargets {
  std::vector<RouteTarget> targets;
  std::vector<int> failover_on{};  ///< final statuses that move on to another provider
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
/// The decision needs something that is not known yet (a DNS name, an ENUM number). The bridge
/// keeps the request, asks its host by a `Lookup` action, and routes it again at `on_lookup_done`.
struct RoutePending {
  std::string lookup;  ///< "enum:+4930123456", "sip:host:port;transport=tcp"
};
/// The user has no device now, but may be woken: the bridge keeps the request, emits `WakeUser`,
/// and routes it again at `on_user_available`, or answers 480 after `limit`.
struct RouteWait {
  std::string user;
  Duration limit{};
  unsigned retry_after_s = 0;  ///< of that 480
};
using Route = std::variant<RouteTargets, RouteToService, RouteToRegistrar, RouteRejection,
                           RoutePending, RouteWait>;

/// How the bridge behaves on one leg; by provider, or for all links.
struct LegPolicy {
  bool topology_hiding =
      false;  ///< Call-ID, tags, software and hosts of the other leg are not shown
  DtmfForm dtmf = DtmfForm::pass;  ///< in which form digits go to it and come from it
  bool follow_redirects = false;   ///< a 3xx is followed here, not passed to the caller
  /// Silence after which an INVITE moves on to the next place, if there is one; other requests wait
  /// twice as long. RFC 3263 §4.3 leaves it free. Zero: as long as the transaction lives (32 s).
  Duration failover_after = seconds(4);
  /// RFC 4028 on this leg. Nothing: session timers are between the end points, and pass.
  std::optional<seconds> session_expires;
  seconds min_session_expires{90};
  /// REGISTERs that pass to there: a device is told to come back after this, and what changes
  /// nothing is answered here while the registrar's binding lasts. Zero: every one passes as it is.
  seconds client_refresh{0};
  seconds register_expires{3600};     ///< asked of the registrar then, if the device asks for less
  std::size_t datagram_bytes = 1300;  ///< a larger request goes by TCP (RFC 3261 §18.1.1); 0: never
};

struct Credentials {
  std::string user, password;
};

/// What became of a request sent to a provider's host, for its health.
enum class HopOutcome : std::uint8_t { answered, timeout, unreachable, unavailable };

/// Decides where requests outside dialogs go. The gateway and the connector each bring their own;
/// the bridge is the same in both. Pure; called from the shard's thread.
class Router {
 public:
  virtual ~Router() = default;
  virtual Route route(const sip::Message& request, const sip::Flow& from, Instant now) = 0;

  /// Asked once for each new request outside dialogs, before it is routed: whether limits allow it.
  /// @return nothing: they do; else the answer.
  virtual std::optional<RouteRejection> admit(const sip::Message& request, const sip::Flow& from,
                                              Instant now) {
    static_cast<void>(request);
    static_cast<void>(from);
    static_cast<void>(now);
    return std::nullopt;
  }

  /// A call stands between these flows (told again when another place answers), or is over.
  virtual void on_call(std::uint64_t call, const sip::Flow& caller, const sip::Flow& callee,
                       bool over) {
    static_cast<void>(call);
    static_cast<void>(caller);
    static_cast<void>(callee);
    static_cast<void>(over);
  }

  /// Whether requests inside a dialog go where its route set or remote target says (a provider), or
  /// back on the flow that its messages come from (a phone, which may sit behind a NAT of its own).
  virtual bool follows_targets(const sip::Flow& flow) const = 0;

  /// Whether a request to a SIPS URI may leave by that flow (RFC 3261 §26.2.2).
  virtual bool is_secure(const sip::Flow& flow) const {
    return flow.is_link() || flow.transport == sip::Transport::tls;
  }

  /// Who the flow belongs to, for tokens, limits and records: a user, a provider's name, a phone's
  /// address.
  virtual std::string owner_of(const sip::Flow& flow) const = 0;

  /// Last changes to a message on its way out there, by policy: requests and responses, inside
  /// dialogs too. `from`: where it came from; nothing for one that is our own.
  virtual void dress(sip::Message& message, const sip::Flow& to, const sip::Flow* from) const {
    static_cast<void>(message);
    static_cast<void>(to);
    static_cast<void>(from);
  }
  virtual LegPolicy policy_of(const sip::Flow& flow) const {
    static_cast<void>(flow);
    return {};
  }
  /// Credentials that we hold for challenges from there to requests of that caller; nothing:
  /// challenges pass to the client.
  /// @param caller_uri  of From, which may say nothing of who calls (RFC 3323 §4.1.1.3)
  /// @param on_behalf  of whose leg; nothing: not known
  virtual std::optional<Credentials> credentials_for(const sip::Flow& to,
                                                     std::string_view caller_uri,
                                                     const sip::Flow* on_behalf) const {
    static_cast<void>(to);
    static_cast<void>(caller_uri);
    static_cast<void>(on_behalf);
    return std::nullopt;
  }
  /// Whether a URI means this program itself, which sends no request of its own there.
  virtual bool leads_here(std::string_view uri) const {
    static_cast<void>(uri);
    return false;
  }
  /// Places where a URI of a Contact, Route or Refer-To leads, best first (RFC 3263), for a request
  /// whose dialog runs over `near`. Empty: not known; `lookup` then names what to ask the host for,
  /// or stays empty when there is no such place.
  virtual std::vector<sip::Flow> locate(std::string_view uri, const sip::Flow& near, Instant now,
                                        std::string& lookup) {
    static_cast<void>(uri);
    static_cast<void>(near);
    static_cast<void>(now);
    static_cast<void>(lookup);
    return {};
  }
  /// A request left a place that failed it for the next one (RFC 3263 §4.3, or the route's list).
  virtual void on_moved(const sip::Flow& from, const sip::Flow& to, HopOutcome why) {
    static_cast<void>(from);
    static_cast<void>(to);
    static_cast<void>(why);
  }
  /// A request sent there got its final response, or none.
  virtual void on_outcome(const sip::Flow& to, HopOutcome outcome, unsigned retry_after_s,
                          Instant now) {
    static_cast<void>(to);
    static_cast<void>(outcome);
    static_cast<void>(retry_after_s);
    static_cast<void>(now);
  }
};

}  // namespace isthmus::call
