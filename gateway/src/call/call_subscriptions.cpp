// CallManager: subscriptions that a SUBSCRIBE or REFER outside any dialog makes. The 2xx and the
// NOTIFYs of a fork each make one, in a dialog of its own (RFC 6665 §4.1.4, §4.4.1); it ends for
// itself, and the call with the last of them.
//
//   open ──2xx to a SUBSCRIBE, NOTIFY that is accepted──▶ open, for longer
//     ├── NOTIFY with `terminated`, 481 ──▶ over ──no request waits in it──▶ (gone)
//     └── `until` ──▶ (gone)
//
// Others that a SUBSCRIBE or REFER inside the dialog makes (RFC 5057) are DialogUsages: what is
// said of them says nothing of the first, and a dialog with any of them is not gone.
#include <algorithm>

#include "call/call_manager.hpp"

namespace isthmus::call {

using sip::HeaderId;
using sip::Method;

namespace {

/// How long it is kept: the last NOTIFY may follow its time, and be repeated.
Duration life(std::optional<std::uint32_t> expires_s) {
  return Duration(seconds(expires_s.value_or(300)) + seconds(64));
}

}  // namespace

/// The 2xx to the first request.
void CallManager::begin_subscription(Call& call, DialogPair& dialog, const sip::Message& response) {
  // Its last NOTIFY may have overtaken the 2xx; then only repetitions of either may still come.
  dialog.until = core_.now + (dialog.over ? core_.config.timers.timeout()
                                          : life(response.number(HeaderId::expires)));
  for (const auto& branch : call.branches) {
    for (const auto& entry : branch->dialogs)
      call.expires = std::min(call.expires.value_or(entry->until), entry->until);
  }
}

/// A request inside the dialog was answered finally.
void CallManager::note_subscription(Call& call, DialogPair& dialog, Side from,
                                    const sip::Message& request, const sip::Message& response) {
  const bool notify = request.method() == Method::notify;
  if (dialog.over || (!notify && request.method() != Method::subscribe)) return;
  const auto first = SubscriptionKey::of(call.request, Side::caller, nullptr);
  if (from != (notify ? Side::callee : Side::caller) ||
      !first.is_meant_by(SubscriptionKey::of(request, from, &dialog.identity)))
    return;
  const Instant soon = core_.now + core_.config.timers.timeout();
  if (response.status() == 481) {
    // Who is told that its subscription does not exist takes it for over (RFC 6665 §4.1.2.2,
    // §4.2.2). Before the 2xx a subscriber may not know it yet.
    dialog.over = call.state == CallState::answered;
    dialog.until = soon;
    call.end_reason = "subscription unknown to its peer";
  } else if (response.status() < 300 && !notify) {
    dialog.until = core_.now + life(response.number(HeaderId::expires));
  } else if (response.status() < 300) {
    SubscriptionState state = SubscriptionState::of(request);
    dialog.over = state.terminated;
    if (state.terminated) {
      dialog.until = soon;
      call.end_reason = "subscription terminated";
    } else if (state.expires_s || !dialog.confirmed) {  // of a fork nothing else may tell
      auto expires_s = state.expires_s ? state.expires_s : call.request.number(HeaderId::expires);
      dialog.until = std::max(dialog.until, core_.now + life(expires_s));
    }
  }
}

/// Whether a request inside the dialog still waits for its final response.
bool CallManager::has_waiting(const Call& call, const DialogPair& dialog) const {
  return in_dialog_.any_of(
      call.id, [&](const DialogUse& use) { return use.dialog == &dialog && !use.finished; });
}

/// Forgets the dialogs whose subscription is over or lapsed; the call ends with the last one.
void CallManager::drop_subscriptions(Call& call) {
  if (call.state != CallState::answered) return;  // the SUBSCRIBE still waits for its answer
  std::optional<Instant> next;
  bool lapsed = false;
  for (auto& branch : call.branches) {
    std::vector<const DialogPair*> gone;
    for (const auto& dialog : branch->dialogs) {
      const std::optional<Instant> others = dialog->usages.last_until(core_.now);
      const Instant until = std::max(dialog->until, others.value_or(dialog->until));
      const bool late = until <= core_.now;
      if (late || (dialog->over && !others && !has_waiting(call, *dialog))) {
        lapsed = lapsed || (late && !dialog->over);
        gone.push_back(dialog.get());
      } else if (!next || until < *next) {
        next = until;
      }
    }
    for (const DialogPair* dialog : gone) forget_dialog(call, *branch, *dialog);
  }
  if (next) {
    call.expires = next;
  } else {
    end(call, lapsed ? std::string("subscription expired") : call.end_reason);
  }
}

}  // namespace isthmus::call
