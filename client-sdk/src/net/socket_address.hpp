#pragma once
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/address.hpp"

namespace isthmus::net {

/// The system's form of an endpoint, for system calls that Asio has no word for.
/// @param v6_socket  an IPv6 socket that carries IPv4 too: addresses of IPv4 are mapped
///                   (RFC 4291 §2.5.5.2)
/// @return  how many bytes of `out` it takes
socklen_t to_sockaddr(const Endpoint& endpoint, sockaddr_storage& out, bool v6_socket = false);
in6_addr to_in6(const IpAddress& address);  ///< IPv4 is mapped

/// Mapped addresses become IPv4; what is neither IPv4 nor IPv6, an empty endpoint.
Endpoint from_sockaddr(const sockaddr_storage& from);
IpAddress from_in6(const in6_addr& address);

}  // namespace isthmus::net
