#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "base/address.hpp"
#include "sip/fault.hpp"

namespace isthmus::transport {

/// Whether a message that could not be read begins as responses do.
bool is_response(std::string_view text);

/// The response to a request that is too broken for a Message or a transaction: the fault's status
/// and reason, and as much of Via, From, To, Call-ID and CSeq as can be copied (RFC 3261 §8.2.6),
/// the top Via with received and rport. The To tag is a function of the datagram, so that
/// retransmissions get the same answer (§8.2.7).
/// @return nothing when no answer is due or safe: a response, an ACK, not SIP at all, no Via,
/// control
///         characters in what would be copied, or more than limits::kFaultAnswerBytes.
std::optional<std::string> fault_answer(std::string_view datagram, const sip::Fault& fault,
                                        const Endpoint& source);

}  // namespace isthmus::transport
