// CallManager: where requests inside a dialog go, and elsewhere when a place fails.
#include <algorithm>
#include <memory>
#include <utility>

#include "base/limits.hpp"
#include "call/call_manager.hpp"
#include "call/crossing.hpp"

namespace isthmus::call {

sip::Flow CallManager::next_hop(const Branch& branch, const DialogPair& dialog, Side to) const {
  return core_.next_hop(branch.flow[index_of(to)], dialog.remote_target[index_of(to)],
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
  std::vector<sip::Flow> hops = core_.next_hops(flow, target, routes, lookup);
  if (!hops.empty()) {
    core_.note_peers(call.peers, hops);
    return;
  }
  core_.ask(lookup, [this, id = call.id, flow, target, routes](bool) {
    std::string unknown;
    if (auto found = calls_.find(id); found != calls_.end())
      core_.note_peers(found->second->peers, core_.next_hops(flow, target, routes, unknown));
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
  hops = core_.next_hops(near, ref.dialog->remote_target[to], ref.dialog->route_set[to], lookup);
  if (hops.empty() && waited) hops = {near};
  core_.note_peers(ref.call->peers, hops);
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
  core_.put_contact(out, use.branch->token[to], places.hop, asks_for_tls(out));
  silent_.clear(client);
  use.sent.reset();
  // Of an INVITE, should it wake up.
  if (!refused) core_.layer.cancel(client, {}, core_.now, core_.events);
  sip::TransactionId next =
      core_.send(std::move(out), places.hop, &use.branch->flow[index_of(use.from)], &use.sent);
  if (next == 0) return false;
  core_.router.on_moved(left, places.hop, outcome_of(failure, refused ? 503 : 0));
  core_.note_peers(use.call->peers, {places.hop});
  in_dialog_.move(client, next);
  be_patient(next, use);
  return true;
}

}  // namespace isthmus::call
