#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/address.hpp"
#include "base/limits.hpp"
#include "base/time.hpp"
#include "sip/flow.hpp"

/// The part of the configuration that says where SIP is spoken, and over what.
namespace isthmus::ops {

struct SipUdpConfig {
  IpAddress address;
  std::uint16_t port = 5060;  ///< 0: any free port
  std::optional<IpAddress>
      advertised_address;  ///< for Via and Contact; absent: found from the route
  /// Requests above this go by TCP (RFC 3261 §18.1.1); 0: never.
  std::uint32_t datagram_bytes = limits::kSipDatagramSwitchBytes;
  bool operator==(const SipUdpConfig&) const = default;
};

struct SipTcpConfig {
  bool enabled = true;
  std::optional<IpAddress> address;   ///< absent: as sip.udp
  std::optional<std::uint16_t> port;  ///< absent: as sip.udp
  std::optional<IpAddress> advertised_address;
  std::uint32_t max_connections = limits::kSipConnections;  ///< of TCP and TLS together
  std::uint32_t max_connections_per_source = limits::kSipConnectionsPerSource;
  seconds idle_timeout{7200};  ///< without a SIP message
  seconds keep_alive{30};      ///< CRLF pings on connections that we opened; 0: none
  bool operator==(const SipTcpConfig&) const = default;
};

/// The TLS listener; there is one when a certificate is given. Toward providers TLS needs none.
struct SipTlsConfig {
  std::optional<IpAddress> address;  ///< absent: as sip.udp
  std::uint16_t port = 5061;
  std::optional<IpAddress> advertised_address;
  std::string certificate, private_key;  ///< PEM files; both or none
  std::string client_ca;                 ///< PEM; empty: no certificate is asked of clients
  bool require_client_certificate = false;
  bool enabled() const { return !certificate.empty(); }
  bool operator==(const SipTlsConfig&) const = default;
};

/// One more address to listen on, as for IPv6 beside IPv4.
struct SipListenerConfig {
  sip::Transport transport = sip::Transport::udp;
  IpAddress address;
  std::uint16_t port = 5060;
  std::optional<IpAddress> advertised_address;
  bool operator==(const SipListenerConfig&) const = default;
};

struct SipConfig {
  SipUdpConfig udp;
  SipTcpConfig tcp;
  SipTlsConfig tls;
  std::vector<SipListenerConfig> listeners;
  bool operator==(const SipConfig&) const = default;
};

/// Where a provider is reached: "sip:host:port;transport=udp", or "sips:host" (TLS).
struct SipTarget {
  std::string host;        ///< name or address, IPv6 without brackets
  std::uint16_t port = 0;  ///< 0: none written
  /// Absent: none written. Of a sips URI: tls.
  std::optional<sip::Transport> transport = std::nullopt;
  /// As written, or UDP.
  sip::Transport transport_or_default() const { return transport.value_or(sip::Transport::udp); }
  /// As written, or 5060, or 5061 for TLS (RFC 3261 §19.1.2).
  std::uint16_t port_or_default() const;
  std::string to_string() const;
  bool operator==(const SipTarget&) const = default;
};

/// TLS toward a provider. Its certificate is judged by the SIP domain that was asked for (RFC
/// 5922), not by the host that DNS named in its place.
struct ProviderTlsConfig {
  std::string name;         ///< expected in its certificate; empty: the target's host
  std::string ca_file;      ///< PEM; empty: the system's authorities
  std::string certificate;  ///< ours, PEM chain; empty: none is presented
  std::string private_key;  ///< PEM; empty together with `certificate`
  bool wildcards = false;   ///< *.example.com stands for a name in its certificate
  bool insecure = false;    ///< any certificate will do
  bool operator==(const ProviderTlsConfig&) const = default;
};

}  // namespace isthmus::ops
