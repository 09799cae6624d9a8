#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dns/records.hpp"

namespace isthmus::provider {

/// Applies the substitution expression of a NAPTR record (RFC 3402 §3.2) to a number: delimiter,
/// POSIX extended regular expression, replacement with "\1" to "\9", flag "i". Expressions come out
/// of the DNS, so their size and the memory of matching are bounded, and matching takes linear
/// time.
/// @return nothing if it is malformed or does not match.
std::optional<std::string> apply_substitution(std::string_view expression, std::string_view number);

/// The SIP URI that a number's records name: the first record by order and preference (RFC 3403
/// §4.1) whose service is E2U with "sip" among its types (RFC 6116 §3.4.3), whose flag is "u", and
/// whose expression gives a sip or sips URI. Records must be in that order.
/// @param number "+" and digits (RFC 6116 §3.3: the application unique string).
std::optional<std::string> sip_uri_of_number(std::string_view number,
                                             const std::vector<dns::NaptrRecord>& records);

}  // namespace isthmus::provider
