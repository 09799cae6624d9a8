#pragma once
#include <optional>

#include "base/address.hpp"
#include "base/bytes.hpp"

namespace isthmus::transport {

/// The answer to a STUN Binding request (RFC 8489 §6.3) on a SIP socket: by it a phone with
/// outbound flows keeps its NAT open, and sees whether its mapping has changed (RFC 5626 §3.5.2,
/// §8). The first byte tells STUN from SIP. Pure.
/// @param source  where it came from: XOR-MAPPED-ADDRESS
/// @return nothing when the datagram is no Binding request; a request with attributes that must be
///   understood and are not gets 420 (§6.3.1)
std::optional<Bytes> stun_answer(ByteView datagram, const Endpoint& source);

}  // namespace isthmus::transport
