#include "provider/protected_headers.hpp"

#include <algorithm>
#include <array>

#include "base/text.hpp"
#include "sip/names.hpp"

namespace isthmus::provider {

using sip::HeaderId;

bool is_protected_header(std::string_view name) {
  static constexpr std::array kProtected = {"Via",
                                            "From",
                                            "To",
                                            "Call-ID",
                                            "CSeq",
                                            "Max-Forwards",
                                            "Contact",
                                            "Route",
                                            "Record-Route",
                                            "Path",
                                            "Service-Route",
                                            "Content-Length",
                                            "Content-Type",
                                            "Content-Encoding",
                                            "Require",
                                            "Proxy-Require",
                                            "Supported",
                                            "RAck",
                                            "RSeq",
                                            "Event",
                                            "Subscription-State",
                                            "Expires",
                                            "Min-Expires",
                                            "Session-Expires",
                                            "Min-SE",
                                            "Replaces",
                                            "Refer-To",
                                            "Target-Dialog",
                                            "Join",
                                            "Authorization",
                                            "Identity",
                                            "Date",
                                            "Proxy-Authorization",
                                            "Unsupported",
                                            "Timestamp",
                                            "WWW-Authenticate",
                                            "Allow-Events",
                                            "Retry-After",
                                            "Proxy-Authenticate",
                                            "SIP-ETag",
                                            "SIP-If-Match",
                                            "Authentication-Info"};
  HeaderId id = sip::header_from(name);
  std::string_view canonical = id == HeaderId::other ? name : sip::to_text(id);
  return std::any_of(kProtected.begin(), kProtected.end(),
                     [&](const char* entry) { return iequals(entry, canonical); });
}

}  // namespace isthmus::provider
