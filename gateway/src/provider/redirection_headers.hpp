#pragma once
#include <cstdint>

#include "sip/message.hpp"

namespace isthmus::provider {

/// In which form a provider takes it who redirected a call: Diversion (RFC 5806) or History-Info
/// (RFC 7044).
enum class RedirectionForm : std::uint8_t {
  pass,          ///< as it comes
  diversion,     ///< Diversion and nothing else
  history_info,  ///< History-Info and nothing else
  both,          ///< the one that is missing is made of the other
};

/// Puts what an INVITE that sets a call up says of redirections into that form (RFC 7544): the
/// redirecting addresses, their reasons, counters and privacy. A header in the wished form stays as
/// it is; what cannot be read says nothing. Other messages stay as they are.
void put_redirections(sip::Message& message, RedirectionForm form);

}  // namespace isthmus::provider
