#include "net/socket_address.hpp"

#include <array>
#include <cstring>

#include "base/bytes.hpp"

namespace isthmus::net {

socklen_t to_sockaddr(const Endpoint& endpoint, sockaddr_storage& out, bool v6_socket) {
  if (endpoint.address.is_v4() && !v6_socket) {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(endpoint.port);
    std::memcpy(&v4.sin_addr, endpoint.address.bytes().data(), 4);
    std::memcpy(&out, &v4, sizeof v4);
    return sizeof v4;
  }
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(endpoint.port);
  v6.sin6_addr = to_in6(endpoint.address);
  std::memcpy(&out, &v6, sizeof v6);
  return sizeof v6;
}

in6_addr to_in6(const IpAddress& address) {
  in6_addr out{};
  if (address.is_v4()) {
    out.s6_addr[10] = out.s6_addr[11] = 0xff;
    std::memcpy(out.s6_addr + 12, address.bytes().data(), 4);
  } else {
    std::memcpy(out.s6_addr, address.bytes().data(), 16);
  }
  return out;
}

Endpoint from_sockaddr(const sockaddr_storage& from) {
  if (from.ss_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &from, sizeof v4);
    return {IpAddress::v4(ntohl(v4.sin_addr.s_addr)), ntohs(v4.sin_port)};
  }
  if (from.ss_family != AF_INET6) return {};
  sockaddr_in6 v6{};
  std::memcpy(&v6, &from, sizeof v6);
  return {from_in6(v6.sin6_addr), ntohs(v6.sin6_port)};
}

IpAddress from_in6(const in6_addr& address) {
  std::array<std::uint8_t, 16> bytes{};
  std::memcpy(bytes.data(), &address, bytes.size());
  if (IN6_IS_ADDR_V4MAPPED(&address)) {
    Reader reader(ByteView(bytes).last(4));
    return IpAddress::v4(reader.u32());
  }
  return IpAddress::v6(bytes);
}

}  // namespace isthmus::net
