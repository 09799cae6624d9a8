#pragma once
#include <string>
#include <vector>

#include "base/random.hpp"
#include "base/time.hpp"
#include "dns/records.hpp"
#include "net/gateway_url.hpp"

namespace isthmus::net {

/// Where the DNS says that a domain's gateways are (RFC 2782). Pure.
///
/// | URL without a port       | is asked for                                     |
/// |--------------------------|--------------------------------------------------|
/// | `isthmus://example.com`  | `_isthmus._udp.example.com`, `_isthmus._tcp.…`   |
/// | `udp://example.com`      | `_isthmus._udp.example.com`                      |
/// | `wss://example.com`      | `_isthmus._tcp.example.com`                      |
///
/// Without records, or without an answer, the gateway is at the name itself. For isthmus://, where
/// one of the two services has no records, those of the other hold for both; a record whose target
/// is "." says that there is decidedly no such service.
///
/// The certificate is judged by the name in the URL, never by a record's target: who can write
/// answers of the DNS must not choose whom we trust (RFC 9525 §6.1, RFC 6125 §6.2.1: the reference
/// identifier is the source domain, as the user gave it).
struct SrvQuestions {
  std::string udp, tcp;  ///< names; empty: not asked for
  bool none() const { return udp.empty() && tcp.empty(); }
};

/// Nothing to ask for an address, a URL with a port, a name of one label, "….localhost" (RFC 6761)
/// or "….local" (RFC 6762), which the DNS does not know.
SrvQuestions srv_questions(const GatewayUrl& url);

struct LocatedGateways {
  std::vector<GatewayUrl> urls;  ///< in the order to be tried; none: the domain has no gateway
  Duration life{};               ///< how long that holds
  bool failed = false;           ///< no question was answered
};

/// @param udp, tcp  answers; of a question that was not asked, `none`
/// @param random    draws among gateways of one priority
LocatedGateways locate_gateways(const GatewayUrl& url, const dns::Answer& udp,
                                const dns::Answer& tcp, Random& random);

}  // namespace isthmus::net
