#include "call/dialog_usages.hpp"

#include <algorithm>

#include "base/limits.hpp"
#include "base/text.hpp"
#include "sip/uri.hpp"

namespace isthmus::call {

using sip::HeaderId;
using sip::Method;

namespace {

/// Package and id that a request's subscription has: of a REFER its CSeq number, which an Event's
/// id repeats when there are several (RFC 3515 §2.4.6).
std::pair<std::string, std::string> key_of(const sip::Message& request) {
  if (request.method() == Method::refer) {
    auto cseq = request.cseq();
    return {"refer", cseq ? std::to_string(cseq->number) : std::string()};
  }
  std::string_view event = request.get(HeaderId::event).value_or("");
  std::size_t end = std::min(event.find(';'), event.size());
  std::optional<sip::Params> params = sip::Params::parse(trim(event.substr(end)));
  std::string id(params ? params->get("id").value_or("") : std::string_view());
  return {to_lower(trim(event.substr(0, end))), id};
}

Duration life(std::optional<std::uint32_t> expires_s) {
  Duration asked = expires_s ? Duration(seconds(*expires_s)) : Duration(limits::kReferUsageLife);
  return std::min(asked, Duration(limits::kUsageLife));
}

}  // namespace

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

DialogUsages::Subscription* DialogUsages::find(Side subscriber, const sip::Message& request) {
  auto [package, id] = key_of(request);
  for (Subscription& entry : open_) {
    // The NOTIFYs of a dialog's first REFER need no id.
    if (entry.subscriber == subscriber && entry.package == package &&
        (entry.id == id || (id.empty() && package == "refer")))
      return &entry;
  }
  return nullptr;
}

void DialogUsages::open(Side subscriber, const sip::Message& request, Instant until) {
  if (open_.size() >= limits::kRefersPerDialog) open_.erase(open_.begin());
  auto [package, id] = key_of(request);
  open_.push_back({subscriber, std::move(package), std::move(id), until});
}

void DialogUsages::close(const Subscription* subscription) {
  if (subscription) open_.erase(open_.begin() + (subscription - open_.data()));
}

void DialogUsages::on_request(const sip::Message& request, Side from, Instant now) {
  if (request.method() == Method::refer) {
    // One that waited for its next hop's address comes a second time.
    if (!find(from, request)) open(from, request, now + limits::kReferUsageLife);
  } else if (request.method() == Method::subscribe) {
    if (!find(from, request)) open(from, request, now + life(request.number(HeaderId::expires)));
  } else if (request.method() == Method::notify) {
    Subscription* known = find(other(from), request);
    if (!known) return;
    SubscriptionState state = SubscriptionState::of(request);
    if (state.terminated) {
      close(known);
    } else {
      known->until = now + life(state.expires_s);
    }
  }
}

void DialogUsages::on_response(const sip::Message& request, Side from, const sip::Message& response,
                               Instant now) {
  bool refer = request.method() == Method::refer;
  if (request.method() == Method::notify && response.status() == 481) {
    close(find(other(from), request));  // the subscriber knows of none (RFC 6665 §4.1.3)
    return;
  }
  if ((!refer && request.method() != Method::subscribe) || response.status() < 200) return;
  Subscription* known = find(from, request);
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
