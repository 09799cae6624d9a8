#pragma once
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/basic_endpoint.hpp>

#include "base/address.hpp"

namespace isthmus::net {

/// IPv4-mapped IPv6 addresses, as a dual-stack socket reports them, become IPv4. Scope ids are
/// lost.
IpAddress from_asio(const boost::asio::ip::address& address);
boost::asio::ip::address to_asio(const IpAddress& address);

template <typename Protocol>
Endpoint from_asio(const boost::asio::ip::basic_endpoint<Protocol>& endpoint) {
  return {from_asio(endpoint.address()), endpoint.port()};
}

/// to_asio<asio::ip::udp>(endpoint).
template <typename Protocol>
typename Protocol::endpoint to_asio(const Endpoint& endpoint) {
  return {to_asio(endpoint.address), endpoint.port};
}

}  // namespace isthmus::net
