#pragma once
// GnuTLS as this room uses it. Included by this room's sources only.
#include <gnutls/gnutls.h>

#include "base/bytes.hpp"

namespace isthmus::quic {

/// GnuTLS takes input as writable, and does not write to it.
inline gnutls_datum_t datum(ByteView bytes) {
  return {const_cast<unsigned char*>(bytes.data()), static_cast<unsigned>(bytes.size())};
}

}  // namespace isthmus::quic
