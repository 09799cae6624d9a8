#pragma once
#include "base/bytes.hpp"
#include "dns/records.hpp"

namespace isthmus::dns {

/// Reads a DNS response (RFC 1035 §4) to that question: the records of its type whose owner is the
/// name asked for or what its CNAMEs lead to, at most limits::kDnsRecords of them. A response that
/// is cut or malformed is `failed`; a record with a name that is no host name is left out. Pure.
Answer parse_response(const Question& question, ByteView message);

}  // namespace isthmus::dns
