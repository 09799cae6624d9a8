#include "net/asio_address.hpp"

#include <boost/asio/ip/address_v4.hpp>
#include <boost/asio/ip/address_v6.hpp>

namespace isthmus::net {

namespace ip = boost::asio::ip;

IpAddress from_asio(const ip::address& address) {
  if (address.is_v4()) return IpAddress::v4(address.to_v4().to_uint());
  const ip::address_v6 v6 = address.to_v6();
  if (v6.is_v4_mapped()) return IpAddress::v4(ip::make_address_v4(ip::v4_mapped, v6).to_uint());
  return IpAddress::v6(v6.to_bytes());
}

ip::address to_asio(const IpAddress& address) {
  if (address.is_v4()) return ip::address_v4(address.v4_host_order());
  return ip::address_v6(address.bytes());
}

}  // namespace isthmus::net
