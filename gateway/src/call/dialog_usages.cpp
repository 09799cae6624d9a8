#include "call/dialog_usages.hpp"

#include <algorithm>

#include "base/limits.hpp"
#include "base/text.hpp"
#include "sip/uri.hpp"

namespace isthmus::call {

using sip::HeaderId;
using sip::Method;

namespace {

Duration life(std::optional<std::uint32_t> expires_s) {
  Duration asked = expires_s ? Duration(seconds(*expires_s)) : Duration(limits::kReferUsageLife);
  return std::min(asked, Duration(limits::kUsageLife));
}

}  // namespace

SubscriptionKey SubscriptionKey::of(const sip::Message& request, Side from,
                                    const DialogIdentity* identity) {
  if (request.method() == Method::refer) {
    auto cseq = request.cseq();
    return {"refer", cseq ? std::to_string(cseq->number) : std::string()};
  }
  std::string_view event = request.get(HeaderId::event).value_or("");
  std::size_t end = std::min(event.find(';'), event.size());
  std::optional<sip::Params> params = sip::Params::parse(trim(event.substr(end)));
  SubscriptionKey key{to_lower(trim(event.substr(0, end))),
                      std::string(params ? params->get("id").value_or("") : std::string_view())};
  if (identity && request.method() == Method::notify && key.package == "refer") {
    if (auto number = parse_number<std::uint32_t>(key.id))
      key.id = std::to_string(identity->numbers[index_of(from)].came_as(*number));
  }
  return key;
}

bool SubscriptionKey::is_meant_by(const SubscriptionKey& later) const {
  if (later.package.empty()) return true;
  return package == later.package && (id == later.id || (later.id.empty() && package == "refer"));
}

SubscriptionState SubscriptionState::of(const sip::Message& notify) {
  std::string_view value = notify.get(HeaderId::subscription_state).value_or("");
  std::size_t end = std::min(value.find(';'), value.size());
  SubscriptionState state;
  state.terminated = iequals(trim(value.substr(0, end)), "terminated");
  std::optional<sip::Params> params = sip::Params::parse(trim(value.substr(end)));
  auto expires = params ? params->get("expires") : std::nullopt;
  if (expires) state.expires_s = parse_number<std::uint32_t>(*expires);
  return state;
}

DialogUsages::Subscription* DialogUsages::find(Side subscriber, const SubscriptionKey& key) {
  for (Subscription& entry : open_) {
    if (entry.subscriber == subscriber && entry.key.is_meant_by(key)) return &entry;
  }
  return nullptr;
}

void DialogUsages::open(Side subscriber, SubscriptionKey key, Instant until) {
  if (open_.size() >= limits::kRefersPerDialog) open_.erase(open_.begin());
  open_.push_back({subscriber, std::move(key), until});
}

void DialogUsages::close(const Subscription* subscription) {
  if (subscription) open_.erase(open_.begin() + (subscription - open_.data()));
}

void DialogUsages::on_request(const sip::Message& request, Side from,
                              const DialogIdentity& identity, Instant now) {
  const Method method = request.method();
  if (method != Method::refer && method != Method::subscribe && method != Method::notify) return;
  SubscriptionKey key = SubscriptionKey::of(request, from, &identity);
  if (method == Method::notify) {
    Subscription* known = find(other(from), key);
    if (!known) return;
    SubscriptionState state = SubscriptionState::of(request);
    if (state.terminated) {
      close(known);
    } else {
      known->until = now + life(state.expires_s);
    }
  } else if (!find(from, key)) {  // one that waited for its next hop's address comes a second time
    const bool refer = method == Method::refer;
    open(from, std::move(key),
         now + (refer ? limits::kReferUsageLife : life(request.number(HeaderId::expires))));
  }
}

void DialogUsages::on_response(const sip::Message& request, Side from,
                               const DialogIdentity& identity, const sip::Message& response,
                               Instant now) {
  const Method method = request.method();
  const bool refer = method == Method::refer;
  if (!refer && method != Method::subscribe && method != Method::notify) return;
  const SubscriptionKey key = SubscriptionKey::of(request, from, &identity);
  if (method == Method::notify) {
    // The subscriber knows of none (RFC 6665 §4.1.3).
    if (response.status() == 481) close(find(other(from), key));
    return;
  }
  if (response.status() < 200) return;
  Subscription* known = find(from, key);
  if (!known) return;
  // RFC 4488: no subscription comes of a REFER whose 2xx says so.
  bool without = refer && iequals(trim(response.get("Refer-Sub").value_or("")), "false");
  bool none = response.status() >= 300 || without;
  if (none && (refer || response.status() == 481)) {
    close(known);
  } else if (!refer && !none) {
    known->until = now + life(response.number(HeaderId::expires));
  }
}

std::optional<Instant> DialogUsages::last_until(Instant now) const {
  std::optional<Instant> last;
  for (const Subscription& entry : open_) {
    if (entry.until > now && (!last || entry.until > *last)) last = entry.until;
  }
  return last;
}

}  // namespace isthmus::call
