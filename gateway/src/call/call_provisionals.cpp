// CallManager: reliable provisional responses (RFC 3262) where the flows of the two legs differ.
#include <algorithm>

#include "base/limits.hpp"
#include "call/call_manager.hpp"
#include "call/crossing.hpp"

namespace isthmus::call {

using sip::HeaderId;

/// A reliable provisional response that came before (RFC 3262 §4). To a network it goes once more
/// as it went, over TCP too, since there may be UDP behind the next hop; over a link it arrived,
/// and the PRACK is on its way. One that comes again after a later one was acknowledged before
/// that, and is absorbed.
/// @return false: it is new, or none of that kind.
bool CallManager::repeat_provisional(ReliableProvisional& last, sip::TransactionId server,
                                     const sip::Flow& to, const sip::Flow& from,
                                     const sip::Message& response) {
  std::optional<std::uint32_t> rseq = response.number(HeaderId::rseq);
  if (!rseq || *rseq == 0 || !response.lists(HeaderId::require, "100rel")) return false;
  if (*rseq > last.rseq) {
    // §4: one that overtook another is not processed. Its sender repeats both, and the caller gets
    // them in their order; over a link or TCP, where nothing overtakes, a gap is the sender's way
    // of counting.
    if (last.rseq != 0 && *rseq != last.rseq + 1 && !from.reliable()) return true;
    last.rseq = *rseq;
    last.carried.reset();
    return false;
  }
  if (*rseq == last.rseq && last.carried && !to.is_link())
    core_.respond(server, *last.carried, &from);
  return true;
}

/// RFC 3262 §3 for a sender that says it once: over a link, which loses nothing, repetitions are
/// neither sent nor passed on, so a datagram lost on the other leg would leave the call without
/// its PRACK. A sender on a network repeats the response until the PRACK comes, and we with it.
void CallManager::repeat_until_prack(const Call& call, DialogPair& dialog, Side to,
                                     sip::TransactionId server, const sip::Message& response) {
  const Branch* branch = nullptr;
  for (const auto& candidate : call.branches) {
    bool owns = std::any_of(candidate->dialogs.begin(), candidate->dialogs.end(),
                            [&](const auto& entry) { return entry.get() == &dialog; });
    if (owns) branch = candidate.get();
  }
  if (!branch || branch->flow[index_of(to)].reliable() ||
      !branch->flow[index_of(other(to))].reliable())
    return;
  const sip::TransactionTimers& timers = core_.config.timers;
  if (dialog.repeated.size() >= limits::kRequestsPerCall)
    dialog.repeated.erase(dialog.repeated.begin());
  dialog.repeated.push_back({server, response.number(HeaderId::rseq).value_or(0), to, response,
                             timers.t1, core_.now + timers.t1, core_.now + timers.timeout()});
  on_provisional_due(call.id);
}

/// The response that it names has arrived (RFC 3262 §3).
void CallManager::on_prack(DialogPair& dialog, Side from, const sip::Message& prack) {
  Result<sip::RAck, sip::Fault> rack = sip::RAck::parse(prack.get(HeaderId::rack).value_or(""));
  if (!rack) return;
  std::erase_if(dialog.repeated, [&](const RepeatedProvisional& entry) {
    auto cseq = entry.response.cseq();
    return entry.to == from && entry.rseq == rack->rseq && cseq && cseq->number == rack->cseq;
  });
}

/// Whether the INVITE of that transaction still waits for its final response.
bool CallManager::waits_for_final(const Call& call, sip::TransactionId server) const {
  if (server == call.server) return call.state == CallState::setup;
  return in_dialog_.any_of(
      call.id, [&](const DialogUse& use) { return use.server == server && !use.finished; });
}

/// Repeats what is due, and says when to come back.
void CallManager::on_provisional_due(CallId id) {
  auto found = calls_.find(id);
  if (found == calls_.end()) return;
  Call& call = *found->second;
  std::optional<Instant> next;
  for (auto& branch : call.branches) {
    for (auto& dialog : branch->dialogs) {
      std::erase_if(dialog->repeated, [&](const RepeatedProvisional& entry) {
        return entry.give_up_at <= core_.now || !waits_for_final(call, entry.server);
      });
      for (RepeatedProvisional& entry : dialog->repeated) {
        if (entry.next <= core_.now) {
          core_.respond(entry.server, entry.response, &branch->flow[index_of(other(entry.to))]);
          entry.interval *= 2;
          entry.next = std::min(core_.now + entry.interval, entry.give_up_at);
        }
        if (!next || entry.next < *next) next = entry.next;
      }
    }
  }
  provisional_timers_.clear(id);
  if (next) provisional_timers_.set(id, *next);
}

}  // namespace isthmus::call
