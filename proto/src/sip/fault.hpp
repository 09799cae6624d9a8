#pragma once
#include <cstdint>
#include <string>

#include "sip/names.hpp"

namespace isthmus::sip {

enum class FaultCode : std::uint8_t {
  empty,             ///< nothing but line ends (a keep-alive, RFC 5626 §4.4.1)
  too_large,         ///< limits::kSipMessageBytes
  too_many_headers,  ///< limits::kSipHeaders
  header_too_long,   ///< limits::kSipHeaderBytes
  bad_start_line,
  bad_version,      ///< 505: a SIP version that is not SIP/2.0
  bad_header_line,  ///< no colon, or a name that is not a token
  no_end_of_headers,
  missing_header,
  duplicate_header,  ///< a header that may stand once stands twice
  bad_header_value,
  bad_content_length,  ///< larger than what arrived (datagrams), or not a number
  cseq_method_mismatch,
  bad_request_uri,
};

/// What is wrong with a message, and where.
struct Fault {
  FaultCode code = FaultCode::empty;
  HeaderId header = HeaderId::other;  ///< the header at fault, when one is
  std::size_t offset = 0;             ///< byte in the message where it was noticed

  /// Status that answers a request with this fault: 400, 505, 513 (RFC 3261 §21).
  int status() const;
  /// Reason phrase naming the fault and the header, as "Missing Call-ID" or "Malformed CSeq".
  std::string reason() const;
};

}  // namespace isthmus::sip
