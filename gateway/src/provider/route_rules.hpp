#pragma once
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/network.hpp"
#include "call/router.hpp"
#include "provider/enum_cache.hpp"
#include "provider/user_pattern.hpp"
#include "sip/message.hpp"
#include "sip/uri.hpp"

namespace isthmus::provider {

/// Where a request may come from for a rule to look at it.
struct RouteSource {
  enum class Kind : std::uint8_t { links, any_provider, provider, network };
  Kind kind = Kind::links;
  std::string name{};  ///< of the provider
  Network network{};   ///< that the client's or the provider's address is in
  bool operator==(const RouteSource&) const = default;
};

/// What a rule looks at; empty parts match anything, but `sources`: empty is every link.
struct RouteMatch {
  std::vector<RouteSource> sources{};
  std::vector<std::string> users{};  ///< whose session it is
  std::vector<std::string> methods{};
  std::string domain{};                ///< of the Request-URI
  std::string user_prefix{};           ///< of its user part or number
  std::vector<UserPattern> numbers{};  ///< its user part or number
  std::vector<UserPattern> callers{};  ///< user part or number of From
  /// Nothing but, perhaps, where it comes from.
  bool matches_all() const {
    return users.empty() && methods.empty() && domain.empty() && user_prefix.empty() &&
           numbers.empty() && callers.empty();
  }
  bool operator==(const RouteMatch&) const = default;
};

/// Changes to a user part (or number) and domain, in this order.
struct UserRewrite {
  unsigned strip = 0;    ///< characters taken off the beginning
  std::string prefix{};  ///< put before what is left
  std::string user{};    ///< in place of all that: "\1" is what the pattern's first group matched
  std::string domain{};  ///< empty: as it was
  bool provider_domain = false;  ///< the first domain of the provider that it goes to, instead
  bool empty() const {
    return strip == 0 && prefix.empty() && user.empty() && domain.empty() && !provider_domain;
  }
  bool operator==(const UserRewrite&) const = default;
};

/// One rule. Without `to` and `reject` it changes the request, and the rules behind it decide.
struct RouteRule {
  std::string name{};  ///< for whoever wants to know what decided
  RouteMatch match{};
  UserRewrite rewrite{};  ///< of the Request-URI
  UserRewrite caller{};   ///< of From
  bool use_enum =
      false;  ///< the number's ENUM record takes the Request-URI's place; none: no match
  std::vector<std::string> to{};  ///< providers in the order to try them, or one of kTo…
  std::vector<int> failover_on{};
  std::optional<call::RouteRejection> reject{};
};
inline constexpr std::string_view kToLocal = "local", kToEcho = "service:echo",
                                  kToTone = "service:tone";

/// What rules decide on, and change.
struct RouteSubject {
  bool from_link = false;
  std::optional<std::uint64_t> session{};
  std::string session_user{};  ///< whose link
  std::string provider{};      ///< from the network: whose address it is; empty: nobody's
  std::optional<IpAddress> address{};
  std::string method{};
  sip::Uri uri{};                   ///< Request-URI
  bool own_domain = false;          ///< the Request-URI's domain is the gateway's
  sip::NameAddr from{};             ///< as the message has it
  bool wants_user_privacy = false;  ///< RFC 3323 §4.2: From shall not say who it is
  bool caller_signed = false;       ///< an Identity header (RFC 8224) signs From: it stays as it is
  bool uri_changed = false, from_changed = false;
  bool uri_takes_provider_domain = false, from_takes_provider_domain = false;

  std::string number() const;  ///< of the Request-URI, see user_or_number()
  std::string caller() const;  ///< of From
};

/// The decoded user part, or the number of a tel URI (RFC 3966) and of a user part that is one
/// ("user=phone"): without its parameters and visual separators.
std::string user_or_number(const sip::Uri& uri);
/// Puts another user part or number there.
void set_user_or_number(sip::Uri& uri, std::string_view text);

/// What was considered, rule by rule, and why: filled by the code that routes.
struct RouteTrace {
  struct Step {
    std::string rule;  ///< its name; empty: not a rule but what follows them
    bool matched = false;
    std::string text;  ///< why not, or what it did
  };
  std::vector<Step> steps{};
  std::string decided_by{};  ///< the last word on where it goes

  void note(std::string rule, bool matched, std::string text) {
    steps.push_back({std::move(rule), matched, std::move(text)});
  }
};

/// The ordered rules. Pure: the decision is the first rule's that matches and has a place to go.
class RouteRules {
 public:
  RouteRules() = default;
  explicit RouteRules(std::vector<RouteRule> rules) : rules_(std::move(rules)) {}

  struct Decision {
    const RouteRule* rule = nullptr;  ///< null: no rule decided
    std::string lookup{};             ///< not empty: this must be known first
  };
  /// @param subject  is changed by the rules that match
  /// @param is_own   whether a domain is the gateway's own
  /// @param trace    may be null
  Decision decide(RouteSubject& subject, const EnumCache& numbers,
                  const std::function<bool(const sip::Uri&)>& is_own, Instant now,
                  RouteTrace* trace) const;
  const std::vector<RouteRule>& rules() const { return rules_; }

 private:
  std::vector<RouteRule> rules_;
};

/// A number, or a pattern of them, and the users who answer it: calls ring at all of them.
struct NumberMapping {
  UserPattern number;
  std::vector<std::string> users;
};

}  // namespace isthmus::provider
