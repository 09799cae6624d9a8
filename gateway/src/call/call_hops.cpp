// CallManager: where requests inside a dialog go, and elsewhere when a place fails.
#include <algorithm>
#include <memory>
#include <utility>

#include "base/limits.hpp"
#include "call/call_manager.hpp"
#include "call/crossing.hpp"

namespace isthmus::call {

namespace {

// Of those that one name leads to: there is room for the other leg's.
constexpr std::size_t kPeersPerPlace = limits::kPeersPerCall / 2;

}  // namespace

/// Where a request in a dialog goes whose first messages came from `flow` (RFC 3261 §12.2.1.1, RFC
/// 3263): best first. Empty: `lookup` names what has to be found out.
std::vector<sip::Flow> CallManager::next_hops(const sip::Flow& flow, const std::string& target,
                                              const std::vector<std::string>& route_set,
                                              std::string& lookup) const {
  if (flow.is_link() || !core_.router.follows_targets(flow)) return {flow};
  std::string text = target;
  if (!route_set.empty()) {
    Result<sip::NameAddr, sip::Fault> first = sip::NameAddr::parse(route_set.front());
    if (first) text = first->uri;
  }
  std::vector<sip::Flow> hops = core_.router.locate(text, flow, core_.now, lookup);
  if (hops.size() == 1 && hops.front().transport == sip::Transport::tcp &&
      flow.transport == sip::Transport::udp) {
    if (core_.large.refused(hops.front(), core_.now)) return {flow};
    core_.ways_back.note(hops.front(), flow);
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

/// The best of what is known at once.
sip::Flow CallManager::next_hop(const sip::Flow& flow, const std::string& target,
                                const std::vector<std::string>& route_set) const {
  std::string lookup;
  std::vector<sip::Flow> hops = next_hops(flow, target, route_set, lookup);
  return hops.empty() ? flow : hops.front();
}

sip::Flow CallManager::next_hop(const Branch& branch, const DialogPair& dialog, Side to) const {
  return next_hop(branch.flow[index_of(to)], dialog.remote_target[index_of(to)],
                  dialog.route_set[index_of(to)]);
}

/// Finds out where that side's Contact or route leads, once it is known: what that side sends in
/// the dialog comes from there (RFC 3261 §12.2.1.1), and what goes to it need not wait as long.
void CallManager::look_ahead(Call& call, const Branch& branch, const DialogPair& dialog, Side to) {
  std::string lookup;
  std::size_t side = index_of(to);
  const sip::Flow& flow = branch.flow[side];
  const std::string& target = dialog.remote_target[side];
  const std::vector<std::string>& routes = dialog.route_set[side];
  std::vector<sip::Flow> hops = next_hops(flow, target, routes, lookup);
  if (!hops.empty()) {
    note_peers(call, hops);
    return;
  }
  core_.ask(lookup, [this, id = call.id, flow, target, routes](bool) {
    std::string unknown;
    if (auto found = calls_.find(id); found != calls_.end())
      note_peers(*found->second, next_hops(flow, target, routes, unknown));
  });
}

/// @param server 0: an ACK.
/// @return false: the request waits for a lookup, or was answered; it comes back as one that has
///   waited. `hops` has at least one otherwise.
bool CallManager::find_hops(const DialogRef& ref, sip::TransactionId server, const sip::Flow& flow,
                            sip::Message& request, bool waited, std::vector<sip::Flow>& hops) {
  std::size_t to = index_of(other(ref.from));
  const sip::Flow& near = ref.branch->flow[to];
  std::string lookup;
  hops = next_hops(near, ref.dialog->remote_target[to], ref.dialog->route_set[to], lookup);
  if (hops.empty() && waited) hops = {near};
  note_peers(*ref.call, hops);
  if (!hops.empty()) return true;
  CallId id = ref.call->id;
  auto kept = std::make_shared<sip::Message>(std::move(request));  // std::function is copied
  ++ref.call->transactions;
  bool asked = core_.ask(lookup, [this, id, server, flow, kept](bool) {
    if (auto call = calls_.find(id); call != calls_.end()) --call->second->transactions;
    if (server == 0) {
      on_ack(flow, *kept, true);
    } else if (!on_dialog_request(server, flow, *kept, true)) {
      core_.reject(server, *kept, kept->method() == sip::Method::bye ? 200 : 481, {});
    }
  });
  if (asked) return false;
  --ref.call->transactions;
  request = std::move(*kept);
  hops = {near};
  return true;
}

void CallManager::be_patient(sip::TransactionId client, const DialogUse& use) {
  if (use.places.more.empty()) return;
  bool invite = use.request.method() == sip::Method::invite;
  Duration limit = patience(core_.router.policy_of(use.places.hop), invite);
  if (limit > Duration::zero()) silent_.set(client, core_.now + limit);
}

/// RFC 3263 §4.3 inside a dialog: another address of the same peer, after silence, a transport
/// fault or a 503. Where the dialog's next hop is one address, there is none, and the failure is
/// the other side's to hear. @return false: there is none.
bool CallManager::try_next_hop(sip::TransactionId client, HopFailure failure,
                               unsigned retry_after_s) {
  DialogUse& use = *in_dialog_.find(client);
  InDialogPlaces& places = use.places;
  bool refused = failure == HopFailure::response;  // by a 503: a 100 before it changes nothing
  if (use.finished || (places.heard && !refused)) return false;
  // Where it is the only place, a 503 may be the end point's own word, and says nothing of the
  // host.
  if (refused && places.more.empty()) return false;
  core_.router.on_outcome(places.hop, outcome_of(failure, refused ? 503 : 0), retry_after_s,
                          core_.now);
  if (places.more.empty()) return false;
  places.heard = false;
  const sip::Flow left = std::exchange(places.hop, places.more.front());
  places.more.erase(places.more.begin());
  use.hop = places.hop;
  sip::Message out = *places.sent;
  std::size_t to = index_of(other(use.from));
  replace_contact(out, use.branch->token[to], core_.host_of(places.hop),
                  core_.contact_params_of(places.hop));
  silent_.clear(client);
  use.sent.reset();
  // Of an INVITE, should it wake up.
  if (!refused) core_.layer.cancel(client, {}, core_.now, core_.events);
  sip::TransactionId next =
      core_.send(std::move(out), places.hop, &use.branch->flow[index_of(use.from)], &use.sent);
  if (next == 0) return false;
  core_.router.on_moved(left, places.hop, outcome_of(failure, refused ? 503 : 0));
  note_peers(*use.call, {places.hop});
  in_dialog_.move(client, next);
  be_patient(next, use);
  return true;
}

/// Requests in the call's dialogs may come from there.
void CallManager::note_peers(Call& call, const std::vector<sip::Flow>& hops) {
  const std::size_t count = std::min(hops.size(), kPeersPerPlace);
  for (std::size_t i = 0; i < count; ++i) {
    if (!hops[i].is_link())
      core_.peers.hold(call.peers, hops[i].remote.address, core_.now, core_.rest_of_peers());
  }
}

}  // namespace isthmus::call
