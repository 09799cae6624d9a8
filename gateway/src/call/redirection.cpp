#include "call/redirection.hpp"

#include <algorithm>
#include <cstdlib>

#include "base/limits.hpp"
#include "call/crossing.hpp"

namespace isthmus::call {

using sip::HeaderId;

namespace {

struct RankedContact {
  std::string uri;
  double q = 1;
};

/// Contacts that a request can go to, best first; those of one q stay in their order.
std::vector<std::string> contacts_by_q(const sip::Message& response) {
  std::vector<RankedContact> ranked;
  for (std::string_view value : response.values(HeaderId::contact)) {
    Result<sip::NameAddr, sip::Fault> contact = sip::NameAddr::parse(value);
    if (!contact || contact->star) continue;
    Result<sip::Uri, sip::Fault> uri = sip::Uri::parse(contact->uri);
    if (!uri || !uri->is_sip()) continue;
    // RFC 3261 §19.1.5: what a Request-URI must not bear. Headers of the URI are not taken over:
    // they would let the redirecting side write anything into the caller's request.
    uri->headers.clear();
    uri->params.remove("method");
    double q = 1;
    if (std::optional<std::string_view> text = contact->params.get("q"))
      q = std::strtod(std::string(*text).c_str(), nullptr);
    ranked.push_back({uri->to_string(), q});
  }
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const RankedContact& a, const RankedContact& b) { return a.q > b.q; });
  std::vector<std::string> uris;
  for (RankedContact& contact : ranked) uris.push_back(std::move(contact.uri));
  return uris;
}

bool same_uri(const std::string& a, const std::string& b) {
  Result<sip::Uri, sip::Fault> left = sip::Uri::parse(a), right = sip::Uri::parse(b);
  return left && right && sip::equivalent(*left, *right);
}

}  // namespace

bool Redirection::follows(const sip::Message& response, const LegPolicy& policy) {
  int status = response.status();
  return policy.follow_redirects && (status == 300 || status == 301 || status == 302);
}

bool Redirection::take(const sip::Message& response, std::string_view asked, const Router& router) {
  if (tried_.empty()) tried_.emplace_back(asked);
  std::vector<std::string> contacts = contacts_by_q(response);
  std::erase_if(contacts, [&](const std::string& uri) {
    // Whether to give up TLS is the caller's to say (RFC 3261 §8.1.3.4).
    return router.leads_here(uri) || (is_sips(asked) && !is_sips(uri));
  });
  std::size_t known = contacts.size();
  std::erase_if(contacts, [&](const std::string& uri) {
    return std::any_of(tried_.begin(), tried_.end(),
                       [&](const std::string& tried) { return same_uri(tried, uri); });
  });
  bool circle = contacts.empty() && known > 0 && left_.empty();
  left_.insert(left_.begin(), contacts.begin(), contacts.end());
  return !circle;
}

std::optional<std::string> Redirection::next() {
  if (left_.empty() || tried_.size() >= limits::kAttemptsPerRequest) return std::nullopt;
  std::string uri = std::move(left_.front());
  left_.pop_front();
  tried_.push_back(uri);
  return uri;
}

}  // namespace isthmus::call
