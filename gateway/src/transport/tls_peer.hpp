#pragma once
#include <string>

namespace isthmus::transport {

/// How the other end of a TLS connection that we open is judged, and what we present to it.
struct TlsPeer {
  /// SIP domain that its certificate must bear (RFC 5922): what was asked for, not the host that
  /// DNS named in its place. Also sent as SNI. An address stands for itself.
  std::string name;
  std::string ca_file;                   ///< PEM; empty: the system's authorities
  std::string certificate, private_key;  ///< PEM files of ours; empty: none is presented
  bool wildcards = false;                ///< *.example.com stands for a name below it
  bool insecure = false;                 ///< any certificate will do
  bool operator==(const TlsPeer&) const = default;
};

}  // namespace isthmus::transport
