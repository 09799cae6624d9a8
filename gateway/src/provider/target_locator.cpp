#include "provider/target_locator.hpp"

#include <algorithm>
#include <tuple>

#include "base/limits.hpp"
#include "base/text.hpp"
#include "dns/srv_order.hpp"

namespace isthmus::provider {

using sip::Transport;

namespace {

constexpr std::uint16_t kSipPort = 5060, kSipsPort = 5061;  // RFC 3261 §19.1.2
constexpr Duration kAskSoon = seconds(5);                   // again, when nothing is known at all
constexpr Duration kAskLater = seconds(30);  // again, when what is known stays in use

std::uint16_t default_port(Transport transport) {
  return transport == Transport::tls ? kSipsPort : kSipPort;
}

std::string srv_name(Transport transport, const std::string& domain) {
  // RFC 3263 §4.1; "_sips._tcp" for sips and for transport=tls alike.
  const char* prefix = transport == Transport::tls   ? "_sips._tcp."
                       : transport == Transport::tcp ? "_sip._tcp."
                                                     : "_sip._udp.";
  return prefix + domain;
}

/// RFC 3263 §4.1: the services that NAPTR records offer and we know.
std::optional<Transport> transport_of_service(std::string_view service) {
  if (service == "sip+d2u") return Transport::udp;
  if (service == "sip+d2t") return Transport::tcp;
  if (service == "sips+d2t") return Transport::tls;
  return std::nullopt;
}

std::optional<Transport> transport_of_parameter(std::string_view text) {
  if (iequals(text, "udp")) return Transport::udp;
  if (iequals(text, "tcp")) return Transport::tcp;
  if (iequals(text, "tls")) return Transport::tls;
  return std::nullopt;
}

std::uint32_t rank_of(std::size_t service, std::uint16_t priority) {
  return static_cast<std::uint32_t>(service) << 16 | priority;
}

}  // namespace

std::optional<TargetName> TargetName::of_uri(const sip::Uri& uri) {
  if (!uri.is_sip()) return std::nullopt;
  TargetName name;
  name.secure = uri.is_secure();
  name.port = uri.port;
  std::string_view host = uri.params.get("maddr").value_or("");
  if (host.empty()) host = uri.host;
  if (std::optional<IpAddress> address = IpAddress::parse(host)) {
    name.host = address->to_string();
  } else {
    name.host = isthmus::to_lower(host);
    if (name.host.ends_with('.')) name.host.pop_back();
  }
  if (name.host.empty()) return std::nullopt;
  if (std::optional<std::string_view> transport = uri.params.get("transport")) {
    name.transport = transport_of_parameter(*transport);
    if (!name.transport) return std::nullopt;
  }
  return name;
}

std::string TargetName::to_string() const {
  std::string text = secure ? "sips:" : "sip:";
  std::optional<IpAddress> address = IpAddress::parse(host);
  text += address ? address->to_uri_host() : host;
  if (port != 0) text += ":" + std::to_string(port);
  if (transport) text += ";transport=" + isthmus::to_lower(sip::to_text(*transport));
  return text;
}

bool Reach::supports(Transport transport) const {
  if (transport == Transport::tcp) return tcp;
  if (transport == Transport::tls) return tls;
  return transport == Transport::udp;
}

std::vector<Candidate> in_order(const std::vector<TargetGroup>& groups, Random& random) {
  if (groups.size() == 1 && groups.front().endpoints.size() == 1) {  // nothing to draw
    const TargetGroup& only = groups.front();
    return {{only.transport, only.endpoints.front(), only.tls_name}};
  }
  std::map<std::uint32_t, std::vector<const TargetGroup*>> ranks;
  for (const TargetGroup& group : groups) ranks[group.rank].push_back(&group);
  std::vector<Candidate> candidates;
  for (auto& [rank, equals] : ranks) {
    dns::draw_order(
        equals, [](const TargetGroup* group) { return group->weight; }, random);
    for (const TargetGroup* group : equals) {
      for (const Endpoint& endpoint : group->endpoints) {
        bool known =
            std::any_of(candidates.begin(), candidates.end(), [&](const Candidate& candidate) {
              return candidate.transport == group->transport && candidate.endpoint == endpoint;
            });
        if (!known) candidates.push_back({group->transport, endpoint, group->tls_name});
      }
    }
  }
  return candidates;
}

Transport TargetName::default_transport() const {
  if (secure) return Transport::tls;  // with transport=tcp too: RFC 3261 §26.2.2
  return transport.value_or(Transport::udp);
}

std::vector<TargetGroup> groups_at(const IpAddress& address, const TargetName& name, Reach reach) {
  const Transport transport = name.default_transport();
  if (!reach.supports(transport) || !reach.supports(address)) return {};
  const std::uint16_t port = name.port != 0 ? name.port : default_port(transport);
  return {{transport, 0, 0, name.host, {Endpoint{address, port}}, name.host}};
}

TargetLocator::TargetLocator(TargetName name, Reach reach) : name_(std::move(name)), reach_(reach) {
  if (name_.secure && name_.transport) name_.transport = Transport::tls;
}

Transport TargetLocator::default_transport() const {
  return name_.default_transport();
}

void TargetLocator::on_timeout(Instant now, std::vector<dns::Question>& out) {
  if (asking() || now < ask_at_) return;
  Transport transport = default_transport();
  round_ = Round{};
  round_.ttl = limits::kDnsMostLife;
  std::optional<IpAddress> address = IpAddress::parse(name_.host);
  if (address || !reach_.supports(transport)) {
    settled_ = true;
    expires_ = ask_at_ = Instant::max();
    if (address) groups_ = groups_at(*address, name_, reach_);
    if (groups_.empty()) {
      problem_ = "there is no socket for its transport or kind of address";
      return;
    }
  } else if (name_.port != 0) {
    fall_back_to_name();
    ask_hosts(out);
  } else if (name_.transport) {
    round_.services = {{transport, srv_name(transport, name_.host)}};
    ask_services(out);
  } else {
    ask(dns::Type::naptr, name_.host, out);
  }
  if (!settled_ && !asking()) finish(now);
}

void TargetLocator::ask(dns::Type type, const std::string& name, std::vector<dns::Question>& out) {
  if (pending_.insert({type, name}).second) out.push_back({type, name});
}

bool TargetLocator::on_answer(const dns::Question& question, const dns::Answer& answer, Instant now,
                              std::vector<dns::Question>& out) {
  if (pending_.erase(question) == 0) return false;
  if (answer.status == dns::Status::found) round_.ttl = std::min(round_.ttl, answer.ttl);
  switch (question.type) {
    case dns::Type::naptr:
      on_naptr(answer, out);
      break;
    case dns::Type::srv:
      on_srv(question.name, answer, out);
      break;
    case dns::Type::a:
    case dns::Type::aaaa:
      on_addresses(question, answer);
      break;
  }
  if (asking()) return false;
  finish(now);
  return true;
}

/// Takes the records of the lowest order that offers anything we know (RFC 3403 §4.1), in order of
/// preference. Without any, all services that we know are asked for (RFC 3263 §4.1); so they are
/// when the DNS failed, since some servers fail at NAPTR alone.
void TargetLocator::on_naptr(const dns::Answer& answer, std::vector<dns::Question>& out) {
  std::vector<dns::NaptrRecord> records = answer.naptr;
  std::stable_sort(records.begin(), records.end(),
                   [](const dns::NaptrRecord& a, const dns::NaptrRecord& b) {
                     return std::tie(a.order, a.preference) < std::tie(b.order, b.preference);
                   });
  std::optional<std::uint16_t> order;
  for (const dns::NaptrRecord& record : records) {
    std::optional<Transport> transport = transport_of_service(record.services);
    bool usable = transport && record.flags == "s" && !record.replacement.empty() &&
                  reach_.supports(*transport) && (!name_.secure || *transport == Transport::tls);
    if (!usable || (order && record.order != *order)) continue;
    if (round_.services.size() == limits::kNaptrServices) break;
    order = record.order;
    round_.services.push_back({*transport, record.replacement});
  }
  round_.by_naptr = order.has_value();
  if (!round_.by_naptr) {
    for (Transport transport : {Transport::udp, Transport::tcp, Transport::tls}) {
      if (!reach_.supports(transport) || (name_.secure && transport != Transport::tls)) continue;
      round_.services.push_back({transport, srv_name(transport, name_.host)});
    }
  }
  ask_services(out);
}

void TargetLocator::ask_services(std::vector<dns::Question>& out) {
  for (const Service& service : round_.services) ask(dns::Type::srv, service.srv_name, out);
}

void TargetLocator::on_srv(const std::string& name, const dns::Answer& answer,
                           std::vector<dns::Question>& out) {
  for (Service& service : round_.services) {
    if (service.srv_name != name) continue;
    service.records = answer.srv;
    service.status = answer.status;
    if (answer.status == dns::Status::failed) round_.srv_failed = true;
  }
  if (asking()) return;
  take_srv_groups();
  if (!round_.by_srv) fall_back_to_name();
  ask_hosts(out);
}

/// Without NAPTR records to say what is preferred, the first transport that has SRV records is
/// taken alone: the same hosts over others would only make a dead one wait longer.
void TargetLocator::take_srv_groups() {
  for (std::size_t i = 0; i < round_.services.size(); ++i) {
    const Service& service = round_.services[i];
    if (service.status == dns::Status::found) round_.by_srv = true;
    for (const dns::SrvRecord& record : service.records) {
      if (record.target.empty() || record.port == 0) continue;  // RFC 2782: decidedly not there
      if (round_.groups.size() == limits::kSrvTargets) break;
      TargetGroup group{
          service.transport, rank_of(i, record.priority), record.weight, record.target, {},
          name_.host};
      group.endpoints = {Endpoint{{}, record.port}};  // the address is to come
      round_.groups.push_back(std::move(group));
    }
    if (!round_.by_naptr && !round_.groups.empty()) return;
  }
}

void TargetLocator::fall_back_to_name() {
  Transport transport = default_transport();
  std::uint16_t port = name_.port != 0 ? name_.port : default_port(transport);
  round_.groups = {{transport, 0, 0, name_.host, {Endpoint{{}, port}}, name_.host}};
}

void TargetLocator::ask_hosts(std::vector<dns::Question>& out) {
  for (const TargetGroup& group : round_.groups) {
    Host& host = round_.hosts[group.host];
    if (std::optional<IpAddress> address = IpAddress::parse(group.host)) {
      // Not allowed in SRV records, but met in zones.
      if (reach_.supports(*address)) (address->is_v4() ? host.v4 : host.v6).assign(1, *address);
      continue;
    }
    if (reach_.v4) ask(dns::Type::a, group.host, out);
    if (reach_.v6) ask(dns::Type::aaaa, group.host, out);
  }
}

void TargetLocator::on_addresses(const dns::Question& question, const dns::Answer& answer) {
  auto found = round_.hosts.find(question.name);
  if (found == round_.hosts.end()) return;
  Host& host = found->second;
  host.failed |= answer.status == dns::Status::failed;
  std::vector<IpAddress>& addresses = question.type == dns::Type::a ? host.v4 : host.v6;
  addresses = answer.addresses;
  if (addresses.size() > limits::kResolvedAddresses) addresses.resize(limits::kResolvedAddresses);
}

/// Gives each group its addresses: IPv4 first; those known before for a host that the DNS failed
/// at.
void TargetLocator::fill_endpoints() {
  for (TargetGroup& group : round_.groups) {
    std::uint16_t port = group.endpoints.front().port;
    group.endpoints.clear();
    const Host& host = round_.hosts[group.host];
    for (const IpAddress& address : host.v4) group.endpoints.push_back({address, port});
    for (const IpAddress& address : host.v6) group.endpoints.push_back({address, port});
    if (!group.endpoints.empty() || !host.failed) continue;
    for (const TargetGroup& known : groups_) {
      if (known.host != group.host) continue;
      for (const Endpoint& endpoint : known.endpoints)
        group.endpoints.push_back({endpoint.address, port});
      break;
    }
  }
  std::erase_if(round_.groups, [](const TargetGroup& group) { return group.endpoints.empty(); });
}

void TargetLocator::finish(Instant now) {
  fill_endpoints();
  settled_ = true;
  bool hosts_failed = std::any_of(round_.hosts.begin(), round_.hosts.end(),
                                  [](const auto& entry) { return entry.second.failed; });
  // Records that are there but out of reach at the moment are worth more than the bare name.
  bool worse = round_.srv_failed && groups_by_srv_ && !round_.by_srv;
  if (round_.groups.empty() || worse) {
    problem_ = round_.srv_failed || hosts_failed ? "the DNS failed" : "the DNS has no such name";
    ask_at_ = now + (groups_.empty() ? kAskSoon : kAskLater);
    return;
  }
  groups_ = std::move(round_.groups);
  groups_by_srv_ = round_.by_srv;
  problem_.clear();
  Duration life = std::clamp<Duration>(round_.ttl, limits::kDnsLeastLife, limits::kDnsMostLife);
  if (round_.srv_failed) life = std::min<Duration>(life, kAskLater);
  expires_ = now + life;
  ask_at_ = now + life * 9 / 10;
}

std::optional<Instant> TargetLocator::next_deadline() const {
  if (asking() || ask_at_ == Instant::max()) return std::nullopt;
  return ask_at_;
}

}  // namespace isthmus::provider
