#pragma once
#include <cstdint>
#include <string_view>

namespace isthmus::sip {

/// Methods that the code names (RFC 3261, 3262, 3311, 3428, 3515, 3903, 6086, 6665). Any other
/// token is `unknown` and travels by its text.
enum class Method : std::uint8_t {
  unknown,
  invite,
  ack,
  bye,
  cancel,
  options,
  register_,
  prack,
  update,
  info,
  refer,
  subscribe,
  notify,
  message,
  publish,
};

/// Methods are case-sensitive (RFC 3261 §7.1).
Method method_from(std::string_view text);
std::string_view to_text(Method method);  ///< empty for unknown

/// Header fields that the code names; all others are `other` and found by their text.
enum class HeaderId : std::uint8_t {
  other,
  accept,
  accept_contact,
  allow,
  allow_events,
  alert_info,
  authentication_info,
  authorization,
  call_id,
  call_info,
  contact,
  content_disposition,
  content_encoding,
  content_length,
  content_type,
  cseq,
  date,
  diversion,
  error_info,
  event,
  expires,
  from,
  history_info,
  identity,
  identity_info,
  join,
  max_forwards,
  min_expires,
  min_se,
  organization,
  p_asserted_identity,
  p_preferred_identity,
  path,
  priority,
  privacy,
  proxy_authenticate,
  proxy_authorization,
  proxy_require,
  rack,
  reason,
  record_route,
  refer_to,
  referred_by,
  reject_contact,
  replaces,
  request_disposition,
  require,
  retry_after,
  route,
  rseq,
  server,
  service_route,
  session_expires,
  subject,
  subscription_state,
  supported,
  target_dialog,
  to,
  unsupported,
  user_agent,
  via,
  warning,
  www_authenticate,
};

/// Case-insensitive; knows the compact forms (RFC 3261 §7.3.3 and the IANA table): "v", "f", "t",
/// "i", "m", "l", "c", "e", "k", "s", "o", "u", "r", "b", "x", "y", "d", "j", "a", "n".
HeaderId header_from(std::string_view name);
/// Canonical spelling, as "Call-ID"; empty for `other`.
std::string_view to_text(HeaderId id);

/// Default reason phrase of a status code (RFC 3261 §21 and extensions); "Unknown" when there is
/// none.
std::string_view reason_phrase(int status);

}  // namespace isthmus::sip
