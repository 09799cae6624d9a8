#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/time.hpp"
#include "ops/secret.hpp"

/// The part of the gateway's configuration that says where requests go, as plain values.
namespace isthmus::ops {

/// Empty fields match anything, but `source`: empty is every link.
struct RouteMatchConfig {
  std::vector<std::string> source;  ///< "links", "providers", a provider's name, or a network
  std::vector<std::string> user, method;
  std::string domain, user_prefix;
  std::vector<std::string> number, caller;  ///< patterns (provider/user_pattern.hpp)
  bool operator==(const RouteMatchConfig&) const = default;
};

struct UserRewriteConfig {
  std::uint32_t strip = 0;
  std::string prefix, user;
  std::string domain;  ///< "provider": that of the provider it goes to
  bool operator==(const UserRewriteConfig&) const = default;
};

struct RejectConfig {
  std::uint32_t status = 0;  ///< 0: the rule does not reject
  std::string reason;
  seconds retry_after{0};
  bool operator==(const RejectConfig&) const = default;
};

struct RouteConfig {
  std::string name;
  RouteMatchConfig match;
  UserRewriteConfig rewrite, caller;
  bool use_enum = false;
  /// Providers in order, or one of "local", "service:echo", "service:tone"; empty: the rule only
  /// changes the request, or rejects it.
  std::vector<std::string> to;
  std::vector<std::uint32_t> failover_on = {500, 502, 503, 504};
  RejectConfig reject;
  bool operator==(const RouteConfig&) const = default;
};

struct NumberConfig {
  std::string number;  ///< a pattern
  std::vector<std::string> users;
  bool operator==(const NumberConfig&) const = default;
};

/// Waking clients that have no device now.
struct PushConfig {
  seconds wait{0};  ///< 0: nobody is waited for
  std::string url;  ///< empty: nobody is told, but clients that come by themselves are waited for
  Secret secret;
  std::string ca_file;  ///< empty: the system's authorities
  seconds timeout{5};
  std::uint32_t concurrency = 16;
  bool retry = true;
  bool operator==(const PushConfig&) const = default;
};

}  // namespace isthmus::ops
