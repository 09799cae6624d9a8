#include "call/call_manager.hpp"

#include "call/crossing.hpp"

namespace isthmus::call {

using sip::HeaderId;
using sip::Method;

bool CallManager::on_response(sip::TransactionId client, sip::Message& response) {
  if (auto initial = initial_.find(client); initial != initial_.end()) {
    on_initial_response(*initial->second.call, *initial->second.branch, response);
    return true;
  }
  if (DialogUse* use = in_dialog_.find(client)) {
    on_dialog_response(client, *use, response);
    return true;
  }
  return on_refresh_response(client, response) || on_digit_response(client, response);
}

bool CallManager::on_client_failed(sip::TransactionId client, sip::ClientFailure why) {
  if (auto initial = initial_.find(client); initial != initial_.end()) {
    InitialUse use = initial->second;
    on_hop_failed(
        *use.call, *use.branch,
        why == sip::ClientFailure::timeout ? HopFailure::timeout : HopFailure::unreachable);
    return true;
  }
  DialogUse* use = in_dialog_.find(client);
  if (!use) return on_refresh_failed(client) || on_digit_failed(client);
  HopFailure failure =
      why == sip::ClientFailure::timeout ? HopFailure::timeout : HopFailure::unreachable;
  if (try_next_hop(client, failure)) return true;
  if (!use->finished) {
    on_dialog_failed(*use, why);
    after_final(client, *use, nullptr);
  }
  return true;
}

/// Nobody acknowledged our final response. A 2xx that is never acknowledged ends the call (RFC 3261
/// §13.3.1.4).
void CallManager::on_server_failed(sip::TransactionId server) {
  answers_.end(server);
  Call* call = call_of_server(server);
  if (call && call->state == CallState::answered) hang_up(*call, std::nullopt, 408, "No ACK");
}

Call* CallManager::call_of_server(sip::TransactionId server) {
  auto found = servers_.find(server);
  if (found == servers_.end()) return nullptr;
  return calls_.at(found->second).get();
}

void CallManager::on_session_closed(std::uint64_t session) {
  std::vector<CallId> ids;
  for (auto entry = by_session_.lower_bound({session, 0});
       entry != by_session_.end() && entry->first == session; ++entry) {
    ids.push_back(entry->second);
  }
  for (CallId id : ids) {
    auto found = calls_.find(id);
    if (found == calls_.end()) continue;
    Call& call = *found->second;
    auto on_it = [&](const sip::Flow& flow) { return flow.is_link() && flow.session == session; };
    if (on_it(call.caller)) {
      hang_up(call, Side::caller, 503, "Link lost");
      continue;
    }
    if (call.winner) {
      if (on_it(call.winner->flow[1])) hang_up(call, Side::callee, 503, "Link lost");
      continue;
    }
    for (std::size_t i = 0; i < call.branches.size(); ++i) {
      Branch& branch = *call.branches[i];
      if (!on_it(branch.flow[1]) || branch.state == BranchState::lost) continue;
      if (try_next_place(call, branch, HopFailure::unreachable, 0)) continue;
      sip::Message gone =
          sip::Message::response_to(call.request, 480, "Link lost", core_.random.token(12));
      initial_.erase(branch.client);
      silent_.clear(branch.client);
      on_refused(call, branch, std::move(gone), true);
      if (!calls_.contains(id)) break;
    }
  }
}

bool CallManager::end_call(CallId id, std::string_view reason) {
  auto found = calls_.find(id);
  if (found == calls_.end() || found->second->usages_only) return false;
  hang_up(*found->second, std::nullopt, 503, reason);
  return true;
}

void CallManager::on_timeout() {
  while (auto client = silent_.take_due(core_.now)) on_silence(*client);
  answers_.on_timeout();
  while (auto call = provisional_timers_.take_due(core_.now)) on_provisional_due(*call);
  while (auto call = session_timers_.take_due(core_.now)) on_session_timer(*call);
}

std::optional<Instant> CallManager::next_deadline() const {
  std::optional<Instant> next = silent_.next();
  for (std::optional<Instant> other :
       {answers_.next_deadline(), provisional_timers_.next(), session_timers_.next()}) {
    if (other && (!next || *other < *next)) next = other;
  }
  return next;
}

void CallManager::sweep() {
  std::vector<CallId> silent, lapsed;
  Duration limit = core_.config.media_timeout;
  for (const auto& [id, call] : calls_) {
    if (call->expires && *call->expires <= core_.now) lapsed.push_back(id);
    if (!call->answered || !call->invite || call->state != CallState::answered ||
        limit == Duration::zero())
      continue;
    const Branch& branch = *call->winner;
    if (!branch.media || !branch.media->expects_media() || core_.now - *call->answered < limit)
      continue;
    std::optional<std::uint64_t> idle = branch.media->idle_ms();
    if (!idle || milliseconds(*idle) >= limit) silent.push_back(id);
  }
  for (CallId id : silent) {
    ++core_.counters.media_timeouts;
    hang_up(*calls_.at(id), std::nullopt, 408, "Media timeout");
  }
  for (CallId id : lapsed) {
    auto found = calls_.find(id);
    if (found == calls_.end()) continue;
    if (found->second->usages_only) {
      end(*found->second, "subscriptions lapsed");
    } else if (found->second->invite) {
      hang_up(*found->second, std::nullopt, 408, "BYE was not repeated");
    } else {
      drop_subscriptions(*found->second);
    }
  }
  identifiers_.expire();
  refreshes_.erase_if([&](const Refresh& refresh) {
    return !refresh.ack.empty() && refresh.kept_until <= core_.now;
  });
  in_dialog_.erase_if(
      [&](const DialogUse& use) { return use.finished && use.kept_until <= core_.now; });
}

/// A BYE ends the INVITE usage of a dialog, and the call with it; subscriptions that a REFER or
/// SUBSCRIBE made in it go on, and with them the dialog (RFC 5057 §4.1, §5.1).
void CallManager::end_invite_usage(Call& call) {
  std::optional<Instant> until;
  if (call.invite && call.winner) {
    for (auto& dialog : call.winner->dialogs) {
      std::optional<Instant> last = dialog->usages.last_until(core_.now);
      if (last && (!until || *last > *until)) until = last;
    }
  }
  // They count as no calls, so they are bounded for themselves.
  if (!until || usages_only_ >= core_.config.max_calls) {
    end(call, call.end_reason);
    return;
  }
  ++core_.counters.calls_ended;
  report(call, true);
  for (auto& branch : call.branches) branch->media.reset();
  core_.give_place(call.invite, call.caller);
  call.usages_only = true;
  call.expires = until;
  ++usages_only_;
}

void CallManager::end(Call& call, std::string_view reason) {
  call.state = CallState::ending;
  in_dialog_.for_each_of(call.id, [&](const DialogUse& use) { answer_waiting(use); });
  if (call.usages_only) {  // reported, and its place given back, when its INVITE usage ended
    remove(call);
    return;
  }
  call.end_reason = std::string(reason);
  if (call.invite) ++core_.counters.calls_ended;
  report(call, true);
  remove(call);
}

/// A request inside a dialog that is over gets an answer of ours: of two BYEs that cross, each
/// does.
void CallManager::answer_waiting(const DialogUse& use) {
  if (use.finished) return;
  Method method = use.request.method();
  int status = method == Method::bye ? 200 : method == Method::invite ? 487 : 481;
  core_.reject(use.server, use.request, status, {});
}

std::vector<DialogBook::Entry> CallManager::dialogs_of(std::string_view call_id) const {
  std::vector<Entry> entries;
  auto [first, last] = by_call_id_.equal_range(std::string(call_id));
  for (auto call = first; call != last; ++call) {
    for (const auto& branch : call->second->branches) {
      for (const auto& dialog : branch->dialogs) entries.push_back({branch.get(), dialog.get()});
    }
  }
  return entries;
}

std::optional<DialogBook::Place> CallManager::place_of(std::string_view token) const {
  auto found = tokens_.find(std::string(token));
  if (found == tokens_.end()) return std::nullopt;
  return Place{found->second.branch, found->second.side};
}

void CallManager::remove(Call& call) {
  session_timers_.clear(call.id);
  provisional_timers_.clear(call.id);
  const auto all = [](const auto&...) { return true; };
  refreshes_.erase_of(call.id, all);
  digits_.erase_of(call.id, all);
  identifiers_.remember(call);
  for (auto& branch : call.branches) {
    initial_.erase(branch->client);
    silent_.clear(branch->client);
    for (const std::string& token : branch->token) tokens_.erase(token);
    for (const auto& dialog : branch->dialogs) {
      for (auto& answer : dialog->unacknowledged) forget(call, answer);
    }
  }
  in_dialog_.erase_of(call.id, [&](sip::TransactionId client, const DialogUse&) {
    silent_.clear(client);
    return true;
  });
  core_.peers.release(call.peers, core_.now, core_.rest_of_peers());
  servers_.erase(call.server);
  for (const std::uint64_t session : call.sessions) by_session_.erase({session, call.id});
  for (const std::string& call_id : call.call_ids) {
    auto [first, last] = by_call_id_.equal_range(call_id);
    for (auto entry = first; entry != last; ++entry) {
      if (entry->second != &call) continue;
      by_call_id_.erase(entry);
      break;
    }
  }
  if (call.usages_only) {
    --usages_only_;
  } else {
    core_.give_place(call.invite, call.caller);
  }
  calls_.erase(call.id);
}

void CallManager::report(Call& call, bool ended) {
  if (call.invite) {
    const Branch* branch = call.winner;
    if (!branch && !call.branches.empty()) branch = call.branches.front().get();
    core_.router.on_call(call.id, call.caller, branch ? branch->flow[1] : call.caller, ended);
  }
  core_.emit(CallChanged{record_of(call), ended});
}

CallRecord CallManager::record_of(const Call& call) const {
  CallRecord record;
  record.id = call.id;
  record.call_id = call.request.call_id();
  record.from = party_uri(call.request, HeaderId::from);
  record.to = party_uri(call.request, HeaderId::to);
  record.owner = call.owner;
  record.state = call.state;
  if (call.answered) {
    record.setup_time = *call.answered - call.started;
    record.talk_time = core_.now - *call.answered;
  }
  record.status = call.final_status;
  record.end_reason = call.end_reason;
  if (call.winner && call.winner->media) {
    record.media = {call.winner->media->statistics(Side::caller),
                    call.winner->media->statistics(Side::callee)};
  }
  return record;
}

std::vector<CallRecord> CallManager::records() const {
  std::vector<CallRecord> out;
  out.reserve(calls_.size());
  for (const auto& [id, call] : calls_) {
    if (!call->usages_only) out.push_back(record_of(*call));
  }
  return out;
}

}  // namespace isthmus::call
