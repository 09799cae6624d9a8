#include "call/bridge_core.hpp"

#include <algorithm>

#include "base/limits.hpp"
#include "call/dialog_identity.hpp"

namespace isthmus::call {

using sip::HeaderId;

namespace {

// Of those that one name leads to: there is room for the other leg's.
constexpr std::size_t kPeersPerPlace = limits::kPeersPerCall / 2;

}  // namespace

BridgeCore::BridgeCore(BridgeConfig configuration, Router& r, MediaPlane& m, BindingTable& b,
                       RegisterHandler* reg, Random& rnd)
    : config(std::move(configuration)),
      router(r),
      media(m),
      bindings(b),
      registrar(reg),
      random(rnd),
      layer(config.timers, rnd),
      credentials(r, rnd),
      aliases(rnd) {}

const std::string& BridgeCore::host_of(const sip::Flow& flow) const {
  if (flow.is_link() || config.network_sent_by.empty()) return config.link_host;
  return sent_by_of(config.network_sent_by, flow).host_port;
}

std::string BridgeCore::contact_uri(std::string_view token, const sip::Flow& flow,
                                    bool secure) const {
  const std::string& host = host_of(flow);
  std::string uri;
  uri.reserve(24 + token.size() + host.size());
  const bool tls = flow.is_link() || flow.transport == sip::Transport::tls;
  uri.append(secure && tls ? "sips:" : "sip:").append(token).append("@").append(host);
  if (flow.transport == sip::Transport::tcp) uri += ";transport=tcp";
  if (tls && !secure) uri += ";transport=tls";
  return uri;
}

void BridgeCore::put_contact(sip::Message& message, std::string_view token, const sip::Flow& flow,
                             bool secure) const {
  if (message.has(HeaderId::contact)) replace_contact(message, contact_uri(token, flow, secure));
}

DialogIdentity BridgeCore::name_legs(const sip::Message& request, const sip::Flow& from,
                                     const sip::Flow& to) const {
  DialogIdentity identity;
  identity.hides = {router.policy_of(from).topology_hiding, router.policy_of(to).topology_hiding};
  DialogNames& near = identity.names[0];
  DialogNames& far = identity.names[1];
  near = {std::string(request.call_id()), {request.from_tag(), {}}};
  far = near;
  if (identity.hides[1]) {
    std::string owner = router.owner_of(to);
    far.call_id = aliases.call_id(owner, near.call_id);
    far.tag[0] = aliases.tag(owner, near.call_id, near.tag[0]);
  }
  return identity;
}

std::string BridgeCore::tag_told(const DialogIdentity& identity, const sip::Flow& near,
                                 const std::string& tag) const {
  return identity.hides[0] ? aliases.tag(router.owner_of(near), identity.names[1].call_id, tag)
                           : tag;
}

void BridgeCore::translate(sip::Message& message, const Crossing& crossing) {
  if (identifiers) identifiers->map(message, crossing);
  if (!crossing.hides) return;
  std::string_view host = host_of(crossing.to);
  std::size_t colon = host.rfind(':');
  if (colon != std::string_view::npos && host.find(']', colon) == std::string_view::npos)
    host = host.substr(0, colon);
  hide_topology(message, {config.software, host, crossing.described});
}

sip::TransactionId BridgeCore::send(sip::Message request, const sip::Flow& flow,
                                    const sip::Flow* from, std::optional<sip::Message>* sent,
                                    const sip::Flow* on_behalf) {
  router.dress(request, flow, from);
  if (credentials.prepare(request, flow, from ? from : on_behalf) && sent) *sent = request;
  return transmit(std::move(request), flow);
}

sip::TransactionId BridgeCore::send_again(sip::Message request, const sip::Flow& flow) {
  return transmit(std::move(request), flow);
}

/// The flow, or, when the request is too large for UDP, TCP to the same place (RFC 3261 §18.1.1).
sip::Flow BridgeCore::way_of(const sip::Message& request, const sip::Flow& flow) {
  const std::size_t limit =
      flow.transport == sip::Transport::udp ? router.policy_of(flow).datagram_bytes : 0;
  if (!large.by_tcp(request, flow, limit, now)) return flow;
  return sip::Flow::to(sip::Transport::tcp, flow.remote);
}

sip::TransactionId BridgeCore::transmit(sip::Message request, const sip::Flow& flow) {
  const sip::Flow tcp = way_of(request, flow);
  if (tcp == flow) {
    std::optional<sip::FallbackFlow> back;
    if (const sip::Flow* way = ways_back.of(flow)) back = sip::FallbackFlow{*way, host_of(*way)};
    return layer.send_request(std::move(request), flow, host_of(flow), now, events,
                              std::move(back));
  }
  return layer.send_request(std::move(request), tcp, host_of(tcp), now, events,
                            sip::FallbackFlow{flow, host_of(flow)});
}

void BridgeCore::send_bye(sip::Message bye, const sip::Flow& flow, const sip::Flow* on_behalf) {
  std::optional<sip::Message> sent;
  sip::TransactionId client = send(std::move(bye), flow, nullptr, &sent, on_behalf);
  if (client == 0 || !sent) return;
  Bye kept{std::move(*sent), flow, std::nullopt};
  if (on_behalf) kept.on_behalf = *on_behalf;
  byes_.emplace(client, std::move(kept));
}

bool BridgeCore::on_bye_response(sip::TransactionId client, const sip::Message& response) {
  auto found = byes_.find(client);
  if (found == byes_.end()) return false;
  if (response.status() < 200) return true;
  Bye bye = std::move(found->second);
  byes_.erase(found);
  auto cseq = bye.sent.cseq();
  if (!cseq || bye.challenges++ == limits::kDigestAttempts) return true;
  std::optional<sip::Message> again =
      credentials.answer(bye.sent, response, bye.flow, bye.on_behalf ? &*bye.on_behalf : nullptr);
  if (!again) return true;
  set_cseq(*again, cseq->number + 1);
  bye.sent = *again;
  sip::TransactionId next = send_again(std::move(*again), bye.flow);
  if (next != 0) byes_.emplace(next, std::move(bye));
  return true;
}

SentAck BridgeCore::send_ack(sip::Message ack, const sip::Flow& hop, const sip::Flow* from) {
  router.dress(ack, hop, from);
  SentAck sent{hop, way_of(ack, hop)};
  if (const sip::Flow* way = ways_back.of(hop)) sent.hop = *way;
  layer.add_via(ack, sent.flow, host_of(sent.flow));
  sent.bytes = ack.serialize();
  emit(SendSip{sent.flow, sent.bytes});
  return sent;
}

/// No transaction moves an ACK on when TCP is refused: the next 2xx finds it moved.
void BridgeCore::repeat_ack(SentAck& ack) {
  if (ack.flow != ack.hop && large.refused(ack.flow, now)) {
    if (auto message = sip::Message::parse(ack.bytes)) {
      ack.flow = ack.hop;
      message->remove_first_value(HeaderId::via);
      layer.add_via(*message, ack.flow, host_of(ack.flow));
      ack.bytes = message->serialize();
    }
  }
  emit(SendSip{ack.flow, ack.bytes});
}

void BridgeCore::respond(sip::TransactionId server, sip::Message response, const sip::Flow* from) {
  if (response.status() >= 200) merged.end(server);
  if (const sip::Flow* to = layer.flow_of(server)) router.dress(response, *to, from);
  layer.respond(server, std::move(response), now, events);
}

std::vector<sip::Flow> BridgeCore::next_hops(const sip::Flow& flow, const std::string& target,
                                             const std::vector<std::string>& route_set,
                                             std::string& lookup) {
  if (flow.is_link() || !router.follows_targets(flow)) return {flow};
  std::string text = target;
  if (!route_set.empty()) {
    Result<sip::NameAddr, sip::Fault> first = sip::NameAddr::parse(route_set.front());
    if (first) text = first->uri;
  }
  std::vector<sip::Flow> hops = router.locate(text, flow, now, lookup);
  if (hops.size() == 1 && hops.front().transport == sip::Transport::tcp &&
      flow.transport == sip::Transport::udp) {
    if (large.refused(hops.front(), now)) return {flow};
    ways_back.note(hops.front(), flow);
  }
  if (!hops.empty()) return hops;
  if (!lookup.empty()) return {};
  Result<sip::Uri, sip::Fault> uri = sip::Uri::parse(text);
  if (!uri || !uri->is_sip()) return {flow};
  std::optional<IpAddress> address = IpAddress::parse(uri->params.get("maddr").value_or(uri->host));
  // A name that leads nowhere: the host that set the dialog up is asked to pass it on.
  if (!address) return {flow};
  sip::Flow hop = flow;
  hop.remote = Endpoint{*address, uri->port ? uri->port : std::uint16_t{5060}};
  hop.connection = 0;  // not the connection that the peer opened, but the place that it names
  return {hop};
}

sip::Flow BridgeCore::next_hop(const sip::Flow& flow, const std::string& target,
                               const std::vector<std::string>& route_set) {
  std::string lookup;
  std::vector<sip::Flow> hops = next_hops(flow, target, route_set, lookup);
  return hops.empty() ? flow : hops.front();
}

void BridgeCore::note_peers(DialogPeers::Held& held, const std::vector<sip::Flow>& hops) {
  const std::size_t count = std::min(hops.size(), kPeersPerPlace);
  for (std::size_t i = 0; i < count; ++i) {
    if (!hops[i].is_link()) peers.hold(held, hops[i].remote.address, now, rest_of_peers());
  }
}

bool BridgeCore::ask(const std::string& key, Lookups::Resume resume) {
  Lookups::Asked asked = lookups.ask(key, now, std::move(resume));
  if (asked == Lookups::Asked::first) emit(Lookup{key});
  return asked != Lookups::Asked::full;
}

void BridgeCore::reject(sip::TransactionId server, const sip::Message& request, int status,
                        std::string_view reason, unsigned retry_after_s) {
  sip::Message response = sip::Message::response_to(request, status, reason, random.token(12));
  response.add(HeaderId::server, config.software);
  if (status == 415) response.add("Accept-Encoding", "identity");  // RFC 3261 §8.2.3
  if (retry_after_s > 0) response.add(HeaderId::retry_after, std::to_string(retry_after_s));
  respond(server, std::move(response));
}

void BridgeCore::reject_sips(sip::TransactionId server, const sip::Message& request) {
  sip::Message response = sip::Message::response_to(request, 480, {}, random.token(12));
  response.add(HeaderId::server, config.software);
  response.add(HeaderId::warning, "380 " + config.software + " \"SIPS Not Allowed\"");
  respond(server, std::move(response));
}

bool BridgeCore::take_place(sip::TransactionId server, const sip::Message& request,
                            const sip::Flow& flow) {
  bool call = request.method() == sip::Method::invite;
  if (call && !takes_calls) {
    reject(server, request, 503, "Shutting down", 5);
    return false;
  }
  Load load;
  if (auto known = sessions_.find(flow.session); flow.is_link() && known != sessions_.end())
    load = known->second;
  // Subscriptions are counted apart: each phone behind a connector has one or two of them.
  bool over_session =
      flow.is_link() && (call ? load.calls >= config.max_calls_per_session
                              : load.subscriptions >= config.max_bindings_per_session);
  if (over_session || (call ? calls : subscriptions) >= config.max_calls) {
    ++counters.rejected_over_limit;
    reject(server, request, 503, over_session ? "Too many calls on this link" : "Too many calls",
           5);
    return false;
  }
  ++(call ? calls : subscriptions);
  if (flow.is_link()) {
    Load& of_session = sessions_[flow.session];
    ++(call ? of_session.calls : of_session.subscriptions);
  }
  return true;
}

void BridgeCore::give_place(bool call, const sip::Flow& flow) {
  --(call ? calls : subscriptions);
  auto known = flow.is_link() ? sessions_.find(flow.session) : sessions_.end();
  if (known == sessions_.end()) return;
  Load& load = known->second;
  --(call ? load.calls : load.subscriptions);
  if (load.calls + load.subscriptions == 0) sessions_.erase(known);
}

}  // namespace isthmus::call
