// CallManager: offers and answers across the bridge (RFC 3264, 3262, 3311, 6337), and the responses
// that are repeated until they are acknowledged.
#include "call/body_parts.hpp"
#include "call/call_manager.hpp"

namespace isthmus::call {

using sip::HeaderId;
using sip::Method;

/// Rewrites the session description in the body; all else passes.
std::optional<MediaFault> CallManager::carry_body(Branch& branch, std::string_view dialog,
                                                  Side from, sip::Message& message, bool offer) {
  if (!branch.media) return std::nullopt;
  if (has_encoded_description(message)) return encoded_body();
  if (std::optional<std::string> fault = leave_one_description(message))
    return MediaFault{offer ? 400 : 488, std::move(*fault)};
  std::optional<std::string_view> description = description_in(message);
  if (!description) return std::nullopt;
  Result<std::string, MediaFault> carried =
      branch.media->translate(from, *description, offer, dialog);
  if (!carried) return carried.error();
  if (branch.timers) (*branch.timers)[index_of(other(from))].described = *carried;
  replace_description(message, *carried);
  return std::nullopt;
}

/// Whether a request inside a dialog makes an offer. The description in a PRACK is the answer to
/// that of the reliable response, if there was an offer in it (RFC 3262 §5).
bool CallManager::is_offer(const DialogRef& ref, const sip::Message& request) const {
  if (!has_description(request)) return false;
  if (request.method() != Method::prack || !ref.branch->media) return true;
  return ref.branch->media->pending_offer(ref.dialog->callee_tag) != other(ref.from);
}

/// Two offers that cross would leave the streams in neither's terms. The end points would refuse
/// them too; the bridge, which sees both, does it first: 491 to an offer against one of the other
/// side (RFC 3261 §14.2), 500 with Retry-After to a second one of the same side (RFC 3311 §5.2).
/// A re-INVITE that has no offer asks for one, and is treated alike against another INVITE.
bool CallManager::refuse_glare(const DialogRef& ref, sip::TransactionId server,
                               const sip::Message& request) {
  if (!ref.branch->media) return false;
  std::optional<Side> pending;
  if (is_offer(ref, request)) pending = ref.branch->media->pending_offer(ref.dialog->callee_tag);
  if (!pending && request.method() == Method::invite) pending = inviting(ref);
  if (!pending) return false;
  if (*pending == ref.from) {
    core_.reject(server, request, 500, "An earlier offer is not answered yet",
                 static_cast<unsigned>(core_.random.u64() % 10) + 1);
  } else {
    core_.reject(server, request, 491, {});
  }
  return true;
}

/// The side whose re-INVITE has no final response yet.
std::optional<Side> CallManager::inviting(const DialogRef& ref) const {
  std::optional<Side> side;
  in_dialog_.for_each_of(ref.call->id, [&](const DialogUse& use) {
    if (use.dialog == ref.dialog && !use.finished && use.request.method() == Method::invite)
      side = use.from;
  });
  return side;
}

/// A 2xx to an INVITE went to that side (RFC 3261 §13.3.1.4).
void CallManager::wait_for_ack(Call& call, DialogPair& dialog, Side side, sip::TransactionId server,
                               const sip::Flow& to, const sip::Message& response,
                               const sip::Flow& from) {
  // That side asks anew: what it was told before is settled for it, though its ACK was lost.
  DialogPair::Unacknowledged& answer = dialog.unacknowledged[index_of(side)];
  if (answer.server != server) forget(call, answer);
  auto cseq = response.cseq();
  answer = {server, cseq ? cseq->number : 0};
  servers_.emplace(server, call.id);
  answers_.begin(server, to, response, &from);
}

/// A 2xx whose ACK is no longer waited for.
void CallManager::forget(const Call& call, DialogPair::Unacknowledged& answer) {
  answers_.end(answer.server);
  if (answer.server != call.server) servers_.erase(answer.server);
  answer = {};
}

/// Before we hang up: the 2xx of that side whose ACK never came from the other one gets ours, so
/// that it is not repeated to nobody.
void CallManager::acknowledge_for_peer(Branch& branch, DialogPair& dialog, Side to) {
  const DialogPair::Unacknowledged& answer = dialog.unacknowledged[index_of(other(to))];
  if (answer.server == 0) return;
  std::uint32_t number = dialog.identity.numbers[index_of(to)].sent_as(answer.cseq);
  sip::Message ack = own_request(dialog, to, "ACK", number);
  for (const auto& [header, value] : dialog.identity.credentials[index_of(to)])
    ack.add(header, value);  // RFC 3261 §13.2.2.4
  core_.send_ack(std::move(ack), next_hop(branch, dialog, to));
}

/// @return false: this ACK, or another of that INVITE, came before.
bool CallManager::on_acknowledged(const Call& call, DialogPair& dialog, Side side,
                                  const sip::Message& ack) {
  DialogPair::Unacknowledged& answer = dialog.unacknowledged[index_of(side)];
  auto cseq = ack.cseq();
  if (answer.server == 0 || !cseq || cseq->number != answer.cseq) return false;
  forget(call, answer);
  return true;
}

}  // namespace isthmus::call
