#pragma once
#include <string>
#include <string_view>

struct x509_st;

namespace isthmus::transport {

/// Whether a certificate, valid in itself, is one of this SIP domain (RFC 5922 §7): by its URI
/// names "sip:domain", else by its DNS names, else, when it has no alternative names at all, by its
/// common name. An address is matched with address names only.
/// @param wildcards  let "*.example.com" stand for one label below example.com (not RFC 5922)
bool is_identity_of(const x509_st& certificate, std::string_view domain, bool wildcards);

/// The names of a certificate for a log line: printable, the first eight.
std::string identities_of(const x509_st& certificate);

}  // namespace isthmus::transport
