// CallManager: answers of which nothing can be made.
#include "base/limits.hpp"
#include "call/call_manager.hpp"
#include "call/crossing.hpp"

namespace isthmus::call {

using sip::HeaderId;
using sip::Method;

/// The callee took the call in words that cannot be read. It gets an ACK and a BYE, as far as they
/// can be addressed, so that it does not go on repeating itself; the other branches go on.
bool CallManager::on_broken_answer(sip::TransactionId client, const sip::Message& response,
                                   const sip::Fault& fault) {
  const std::string reason = fault.reason() + " in the answer";
  if (auto initial = initial_.find(client); initial != initial_.end()) {
    Call& call = *initial->second.call;
    Branch& branch = *initial->second.branch;
    if (call.state != CallState::setup || branch.state != BranchState::calling) return false;
    ++core_.counters.broken_responses;
    silent_.clear(client);
    branch.heard = true;
    hang_up_answer(branch, response, reason);
    sip::Message refusal =
        sip::Message::response_to(call.request, 502, reason, core_.random.token(12));
    refusal.add(HeaderId::server, core_.config.software);
    on_refused(call, branch, std::move(refusal), true);
    return true;
  }
  DialogUse* use = in_dialog_.find(client);
  if (!use || use->finished) return false;
  ++core_.counters.broken_responses;
  refuse_answer(client, *use, response, reason);
  return true;
}

/// A 2xx inside a dialog, of which the other leg cannot be told: for that one its request failed
/// with 502, and all is as it was (RFC 3261 §14.1). The 2xx to an INVITE is acknowledged; if it
/// held an offer, the ACK would have to answer it, so the call ends (§13.2.2.4).
void CallManager::refuse_answer(sip::TransactionId client, DialogUse& use,
                                const sip::Message& response, std::string_view reason) {
  const Side answering = other(use.from);
  DialogPair& dialog = *use.dialog;
  if (use.branch->media)
    use.branch->media->rollback(use.had_offer ? use.from : answering, dialog.callee_tag);
  core_.reject(use.server, use.request, 502, reason);
  if (use.request.method() != Method::invite) {
    after_final(client, use, nullptr);
    return;
  }
  const std::size_t far = index_of(answering);
  auto cseq = response.cseq();
  DialogPair::Ack& kept = dialog.last_ack[far];
  kept.cseq = cseq ? cseq->number : 0;
  sip::Message ack = own_request(dialog, answering, "ACK", kept.cseq);
  for (const auto& [header, value] : dialog.identity.credentials[far]) ack.add(header, value);
  kept.sent = core_.send_ack(std::move(ack), next_hop(*use.branch, dialog, answering));
  silent_.clear(client);
  --use.call->transactions;
  use.finished = true;
  use.kept_until = core_.now + core_.config.timers.timeout();
  const bool asks = !use.had_offer && !dialog.answered_in_prack;
  if (asks) hang_up(*use.call, std::nullopt, 502, reason);
}

}  // namespace isthmus::call
