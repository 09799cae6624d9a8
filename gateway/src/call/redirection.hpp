#pragma once
#include <deque>
#include <string>
#include <vector>

#include "call/router.hpp"
#include "sip/message.hpp"

namespace isthmus::call {

/// Where the redirections of one request still lead, and where they led already (RFC 3261
/// §8.1.3.4). Bounded by limits::kAttemptsPerRequest.
class Redirection {
 public:
  /// Whether a response may be followed: 300, 301, 302 from a leg whose policy says so. 305 names
  /// a proxy to believe, 380 a service to choose, which are the caller's to judge.
  static bool follows(const sip::Message& response, const LegPolicy& policy);

  /// Takes the Contacts of a response to a request for `asked`, best first, before all that are
  /// left; but for those that lead to ourselves, which only the caller can ask.
  /// @return false: they only lead in a circle.
  bool take(const sip::Message& response, std::string_view asked, const Router& router);
  /// The next place to try. Nothing: there is none.
  std::optional<std::string> next();

 private:
  std::deque<std::string> left_;
  std::vector<std::string> tried_;
};

}  // namespace isthmus::call
