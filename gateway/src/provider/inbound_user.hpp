#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "sip/message.hpp"

namespace isthmus::provider {

/// Where a provider writes the number that was called, in requests to a trunk.
enum class InboundUser : std::uint8_t { request_uri, to, p_called_party_id };

/// User part of the place that the option names, escapes decoded. Where that place is missing, or
/// holds the trunk's own Contact (which says nothing about who was called), the next one that says
/// more: P-Called-Party-ID (RFC 7315 §4.2), To, and at last the Request-URI.
std::string inbound_user(const sip::Message& request, InboundUser option,
                         std::string_view contact_user);

}  // namespace isthmus::provider
