#include "net/gateway_srv.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "base/address.hpp"
#include "base/limits.hpp"
#include "base/text.hpp"
#include "dns/srv_order.hpp"

namespace isthmus::net {

using dns::SrvRecord;

namespace {

/// Asked again when the DNS gave no answer.
constexpr Duration kAfterFailure = seconds(30);

/// One gateway: what the two services say of a host, put together.
struct Gateway {
  std::string host;
  std::uint16_t udp_port = 0, tcp_port = 0;  ///< 0: not by this
  std::uint16_t priority = 0, weight = 0;
};

/// RFC 2782: the one record with "." as its target.
bool is_denied(const dns::Answer& answer) {
  return std::ranges::any_of(answer.srv, [](const SrvRecord& one) { return one.target.empty(); });
}

void take_udp(const std::vector<SrvRecord>& records, std::vector<Gateway>& out) {
  for (const SrvRecord& one : records) {
    out.push_back({one.target, one.port, 0, one.priority, one.weight});
  }
}

/// A record of the same host, best of the same port, is the same gateway's.
void take_tcp(const std::vector<SrvRecord>& records, std::vector<Gateway>& out) {
  for (const SrvRecord& one : records) {
    const auto same = [&](bool port_too) {
      return std::ranges::find_if(out, [&](const Gateway& known) {
        return known.tcp_port == 0 && known.host == one.target &&
               (!port_too || known.udp_port == one.port);
      });
    };
    auto known = same(true);
    if (known == out.end()) known = same(false);
    if (known == out.end()) {
      out.push_back({one.target, 0, one.port, one.priority, one.weight});
      continue;
    }
    known->tcp_port = one.port;
    known->priority = std::min(known->priority, one.priority);
    known->weight = std::max(known->weight, one.weight);
  }
}

std::vector<Gateway> in_order(const std::vector<Gateway>& all, Random& random) {
  std::map<std::uint16_t, std::vector<Gateway>> priorities;
  for (const Gateway& one : all) priorities[one.priority].push_back(one);
  std::vector<Gateway> ordered;
  for (auto& [priority, equals] : priorities) {
    dns::draw_order(
        equals, [](const Gateway& one) { return one.weight; }, random);
    ordered.insert(ordered.end(), equals.begin(), equals.end());
  }
  if (ordered.size() > limits::kLocatedGateways) ordered.resize(limits::kLocatedGateways);
  return ordered;
}

LinkKinds kinds_of(const Gateway& gateway) {
  if (gateway.udp_port == 0) return LinkKinds::websocket;
  return gateway.tcp_port == 0 ? LinkKinds::udp : LinkKinds::either;
}

Duration life_of(const dns::Answer& answer) {
  if (answer.status == dns::Status::failed) return kAfterFailure;
  return std::clamp(answer.ttl, limits::kDnsLeastLife, limits::kDnsMostLife);
}

}  // namespace

SrvQuestions srv_questions(const GatewayUrl& url) {
  std::string name = to_lower(url.host);
  if (name.ends_with('.')) name.pop_back();
  const bool asked = !url.port_given && name.find('.') != std::string::npos &&
                     !IpAddress::parse(name) && !name.ends_with(".localhost") &&
                     !name.ends_with(".local");
  SrvQuestions questions;
  if (!asked) return questions;
  if (url.kinds != LinkKinds::websocket) questions.udp = "_isthmus._udp." + name;
  if (url.kinds != LinkKinds::udp) questions.tcp = "_isthmus._tcp." + name;
  return questions;
}

LocatedGateways locate_gateways(const GatewayUrl& url, const dns::Answer& udp,
                                const dns::Answer& tcp, Random& random) {
  const SrvQuestions asked = srv_questions(url);
  LocatedGateways found;
  found.life = limits::kDnsMostLife;
  if (!asked.udp.empty()) found.life = std::min(found.life, life_of(udp));
  if (!asked.tcp.empty()) found.life = std::min(found.life, life_of(tcp));

  const auto unanswered = [](const std::string& question, const dns::Answer& answer) {
    return question.empty() || answer.status == dns::Status::failed;
  };
  found.failed = unanswered(asked.udp, udp) && unanswered(asked.tcp, tcp);

  const bool no_udp = asked.udp.empty() || is_denied(udp);
  const bool no_tcp = asked.tcp.empty() || is_denied(tcp);
  std::vector<Gateway> gateways;
  if (!no_udp) take_udp(udp.srv.empty() ? tcp.srv : udp.srv, gateways);
  if (!no_tcp) take_tcp(tcp.srv.empty() ? udp.srv : tcp.srv, gateways);
  std::erase_if(gateways, [](const Gateway& one) { return one.host.empty(); });
  for (const Gateway& gateway : in_order(gateways, random)) {
    GatewayUrl one = url;
    one.kinds = kinds_of(gateway);
    one.located = LocatedAt{gateway.host, gateway.udp_port, gateway.tcp_port};
    found.urls.push_back(std::move(one));
  }
  if (!found.urls.empty() || (no_udp && no_tcp)) return found;
  GatewayUrl itself = url;
  if (url.kinds == LinkKinds::either && no_udp) itself.kinds = LinkKinds::websocket;
  if (url.kinds == LinkKinds::either && no_tcp) itself.kinds = LinkKinds::udp;
  found.urls.push_back(std::move(itself));
  return found;
}

}  // namespace isthmus::net
