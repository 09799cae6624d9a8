#include "call/session_timer.hpp"

#include <algorithm>

#include "base/text.hpp"

namespace isthmus::call {

using sip::HeaderId;

namespace {

constexpr std::uint32_t kLongest_s = 7 * 86'400;  // an interval beyond a week is none

void take_out(sip::Message& message, HeaderId id, std::string_view token) {
  if (!message.lists(id, token)) return;
  std::string left;
  for (std::string_view value : message.values(id)) {
    if (iequals(value, token)) continue;
    if (!left.empty()) left += ", ";
    left += value;
  }
  if (left.empty()) {
    message.remove(id);
  } else {
    message.set(id, left);
  }
}

void put_in(sip::Message& message, HeaderId id, std::string_view token) {
  if (!message.lists(id, token)) message.add(id, token);
}

}  // namespace

std::optional<SessionExpires> SessionExpires::of(const sip::Message& message) {
  std::optional<std::string_view> value = message.get(HeaderId::session_expires);
  if (!value) return std::nullopt;
  std::size_t end = value->find(';');
  std::optional<std::uint32_t> number = parse_number<std::uint32_t>(trim(value->substr(0, end)));
  if (!number || *number == 0) return std::nullopt;
  SessionExpires out{seconds(std::min(*number, kLongest_s)), std::nullopt};
  if (end != std::string_view::npos) {
    std::optional<sip::Params> params = sip::Params::parse(value->substr(end));
    std::string_view refresher =
        params ? params->get("refresher").value_or("") : std::string_view();
    if (iequals(refresher, "uac")) out.uac_refreshes = true;
    if (iequals(refresher, "uas")) out.uac_refreshes = false;
  }
  return out;
}

std::string SessionExpires::to_string() const {
  std::string text = std::to_string(interval.count());
  if (uac_refreshes) text += *uac_refreshes ? ";refresher=uac" : ";refresher=uas";
  return text;
}

void SessionTimer::restart(Instant now) {
  refresh_at = now + interval / 2;
  lapses_at = now + interval - std::min<Duration>(seconds(32), interval / 3);
}

void SessionTimer::grant(seconds granted, bool by_us, Instant now) {
  interval = std::max(granted, least);
  we_refresh = by_us;
  restart(now);
  refresh_at = now + granted / 2;
}

void take_off_timer(sip::Message& message) {
  message.remove(HeaderId::session_expires);
  message.remove(HeaderId::min_se);
  take_out(message, HeaderId::supported, "timer");
  take_out(message, HeaderId::require, "timer");
}

void ask_for_timer(sip::Message& request, seconds interval, seconds least,
                   std::optional<bool> uac_refreshes) {
  request.set(HeaderId::session_expires, SessionExpires{interval, uac_refreshes}.to_string());
  request.set(HeaderId::min_se, std::to_string(least.count()));
  put_in(request, HeaderId::supported, "timer");
}

void grant_timer(sip::Message& response, const SessionTimer& timer, bool supported) {
  response.set(HeaderId::session_expires,
               SessionExpires{timer.interval, !timer.we_refresh}.to_string());
  if (!timer.we_refresh) put_in(response, HeaderId::require, "timer");  // RFC 4028 §9
  if (supported) put_in(response, HeaderId::supported, "timer");
}

std::optional<seconds> too_small(const sip::Message& request, const LegPolicy& policy) {
  std::optional<SessionExpires> asked = SessionExpires::of(request);
  if (!asked || asked->interval >= policy.min_session_expires ||
      !request.lists(HeaderId::supported, "timer")) {
    return std::nullopt;
  }
  return policy.min_session_expires;
}

}  // namespace isthmus::call
