#include "call/own_requests.hpp"

#include "call/crossing.hpp"
#include "call/failover.hpp"

namespace isthmus::call {

void OwnRequests::send(OwnRequestId id, OwnRequest request) {
  Open& open = requests_[id];
  open.request = std::move(request);
  if (!send_next(id, open)) finish(id, {id, {}, std::nullopt, sip::ClientFailure::transport});
}

/// Puts the request on the next flow of its list. @return false: there is none, or no room for
/// another transaction.
bool OwnRequests::send_next(OwnRequestId id, Open& open) {
  while (open.next_flow < open.request.flows.size()) {
    const sip::Flow& flow = open.request.flows[open.next_flow++];
    sip::Message out = open.request.request;
    if (!open.request.contact_token.empty()) {
      core_.put_contact(out, open.request.contact_token, flow);
    }
    open.client = core_.send(std::move(out), flow);
    if (open.client == 0) continue;
    clients_.emplace(open.client, id);
    return true;
  }
  return false;
}

bool OwnRequests::move_on(OwnRequestId id, Open& open, const sip::Flow& left, HopOutcome why) {
  if (!send_next(id, open)) return false;
  core_.router.on_moved(left, open.request.flows[open.next_flow - 1], why);
  return true;
}

bool OwnRequests::on_response(sip::TransactionId client, sip::Message& response) {
  auto found = clients_.find(client);
  if (found == clients_.end()) return false;
  if (response.status() < 200) return true;
  OwnRequestId id = found->second;
  clients_.erase(found);
  Open& open = requests_.at(id);
  sip::Flow flow = open.request.flows[open.next_flow - 1];
  bool unavailable = response.status() == 503;
  core_.router.on_outcome(flow, unavailable ? HopOutcome::unavailable : HopOutcome::answered,
                          unavailable ? retry_after_of(response) : 0, core_.now);
  // RFC 3263 §4.3: a 503 leads to the next server.
  if (unavailable && move_on(id, open, flow, HopOutcome::unavailable)) return true;
  finish(id, {id, flow, std::move(response), {}});
  return true;
}

bool OwnRequests::on_client_failed(sip::TransactionId client, sip::ClientFailure why) {
  auto found = clients_.find(client);
  if (found == clients_.end()) return false;
  OwnRequestId id = found->second;
  clients_.erase(found);
  Open& open = requests_.at(id);
  sip::Flow flow = open.request.flows[open.next_flow - 1];
  HopOutcome outcome =
      why == sip::ClientFailure::timeout ? HopOutcome::timeout : HopOutcome::unreachable;
  core_.router.on_outcome(flow, outcome, 0, core_.now);
  if (!move_on(id, open, flow, outcome)) finish(id, {id, flow, std::nullopt, why});
  return true;
}

void OwnRequests::finish(OwnRequestId id, OwnResponse response) {
  requests_.erase(id);
  core_.emit(std::move(response));
}

void OwnRequests::forget(OwnRequestId id) {
  auto found = requests_.find(id);
  if (found == requests_.end()) return;
  clients_.erase(found->second.client);
  requests_.erase(found);
}

}  // namespace isthmus::call
