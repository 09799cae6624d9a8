// CallManager: DTMF digits between INFO and RFC 4733 telephone events, where a leg's policy asks
// for one form (call/event_terms.hpp has the descriptions, the media plane the events).
#include "base/limits.hpp"
#include "call/call_manager.hpp"
#include "call/crossing.hpp"

namespace isthmus::call {

using sip::HeaderId;
using sip::Method;

std::array<DtmfForm, 2> CallManager::forms_of(const Branch& branch) const {
  return {core_.router.policy_of(branch.flow[0]).dtmf, core_.router.policy_of(branch.flow[1]).dtmf};
}

/// An INFO with a digit for a leg that takes telephone events is answered here, once the digit
/// waits to be played. @return false: it passes, as does one that is not understood.
bool CallManager::take_digit(const DialogRef& ref, sip::TransactionId server,
                             const sip::Message& request) {
  MediaSession* media = ref.branch->media.get();
  Side to = other(ref.from);
  if (request.method() != Method::info || !media || !media->plays_digits(to)) return false;
  std::optional<DtmfInfo> digit = DtmfInfo::of(request);
  if (!digit) return false;
  if (!media->play_digit(to, digit->digit, digit->duration_ms)) {
    ++core_.counters.rejected_over_limit;
    core_.reject(server, request, 503, "Too many digits wait", 1);
    return true;
  }
  ++core_.counters.digits_converted;
  sip::Message ok = sip::Message::response_to(request, 200);
  ok.add(HeaderId::server, core_.config.software);
  core_.respond(server, std::move(ok));
  return true;
}

void CallManager::on_digit(CallId id, MediaEndpointId from, const DtmfInfo& digit) {
  auto found = calls_.find(id);
  if (found == calls_.end() || found->second->usages_only) return;
  Call& call = *found->second;
  for (auto& branch : call.branches) {
    std::optional<Side> side = branch->media ? branch->media->side_of(from) : std::nullopt;
    if (!side) continue;
    std::vector<DtmfInfo>& waiting = branch->digits[index_of(other(*side))].waiting;
    if (waiting.size() >= limits::kDtmfQueueDigits) return;
    waiting.push_back(digit);
    send_next_digit(call, *branch, other(*side));
    return;
  }
}

/// Early dialogs take digits too, for whoever answers without a 2xx: the one heard of last.
void CallManager::send_next_digit(Call& call, Branch& branch, Side to) {
  Branch::Digits& digits = branch.digits[index_of(to)];
  if (digits.sending || digits.waiting.empty()) return;
  DialogPair* dialog = nullptr;
  for (auto& entry : branch.dialogs) {
    if (!dialog || entry->confirmed || !dialog->confirmed) dialog = entry.get();
  }
  if (!dialog || call.state == CallState::ending) {
    digits.waiting.clear();
    return;
  }
  DtmfInfo digit = digits.waiting.front();
  digits.waiting.erase(digits.waiting.begin());
  sip::Message info = own_request(*dialog, to, "INFO");
  info.set_body(digit.to_body(), DtmfInfo::kType);
  DigitUse use{call.id, branch.token[index_of(to)], to, next_hop(branch, *dialog, to)};
  sip::TransactionId client =
      core_.send(std::move(info), use.hop, nullptr, &use.sent, &branch.flow[index_of(other(to))]);
  if (client == 0) return;
  ++core_.counters.digits_converted;
  digits.sending = true;
  digits_.add(client, call.id, std::move(use));
}

bool CallManager::answer_digit_challenge(DigitUse& use, const sip::Message& response) {
  auto token = tokens_.find(use.token);
  if (!use.sent || use.challenges == limits::kDigestAttempts || token == tokens_.end())
    return false;
  Branch& branch = *token->second.branch;
  std::optional<sip::Message> again =
      core_.credentials.answer(*use.sent, response, use.hop, &branch.flow[index_of(other(use.to))]);
  if (!again) return false;
  // The dialog is known by the names that the INFO bears on its leg.
  for (auto& dialog : branch.dialogs) {
    const DialogNames& names = dialog->identity.names[index_of(use.to)];
    std::size_t far = index_of(use.to);
    if (names.call_id != again->call_id() || names.tag[far] != again->to_tag()) continue;
    set_cseq(*again, dialog->identity.numbers[far].next_own());
    use.sent = *again;
    ++use.challenges;
    sip::TransactionId client = core_.send_again(std::move(*again), use.hop);
    if (client == 0) return false;
    const CallId call = use.call;
    digits_.add(client, call, std::move(use));
    return true;
  }
  return false;
}

bool CallManager::on_digit_response(sip::TransactionId client, const sip::Message& response) {
  DigitUse* found = digits_.find(client);
  if (!found) return false;
  int status = response.status();
  if (status < 200) return true;
  DigitUse use = std::move(*found);
  digits_.erase(client);
  if ((status == 401 || status == 407) && answer_digit_challenge(use, response)) return true;
  Call& call = *calls_.at(use.call);
  if (status == 481) {  // it knows no such dialog (RFC 5057 §5.1)
    hang_up(call, use.to, status, "The dialog is gone");
    return true;
  }
  auto token = tokens_.find(use.token);
  if (token == tokens_.end()) return true;
  Branch& branch = *token->second.branch;
  branch.digits[index_of(use.to)].sending = false;
  send_next_digit(call, branch, use.to);
  return true;
}

bool CallManager::on_digit_failed(sip::TransactionId client) {
  const DigitUse* found = digits_.find(client);
  if (!found) return false;
  auto token = tokens_.find(found->token);
  if (token != tokens_.end()) {
    // What was pressed half a minute ago means nothing any more.
    token->second.branch->digits[index_of(found->to)] = {};
  }
  digits_.erase(client);
  return true;
}

}  // namespace isthmus::call
