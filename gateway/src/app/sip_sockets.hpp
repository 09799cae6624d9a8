#pragma once
#include <boost/asio/io_context.hpp>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.hpp"
#include "call/sent_by.hpp"
#include "ops/config.hpp"
#include "ops/metrics.hpp"
#include "transport/sip_stream.hpp"
#include "transport/sip_udp.hpp"

namespace isthmus::app {

/// The address that the system would use to send there; nothing when it has no route.
std::optional<IpAddress> source_address_toward(const Endpoint& destination);

/// Whom to expect when this provider is spoken to over TLS.
transport::TlsPeer tls_peer_of(const ops::ProviderConfig& provider);

/// Every SIP socket of a program: UDP sockets, TCP and TLS listeners and their connections. Knows
/// which of them a flow leaves by, and by which name others know each. One thread.
class SipSockets {
 public:
  /// A listener; its index is Flow::local. The first is sip.udp.
  struct Place {
    sip::Transport transport = sip::Transport::udp;
    Endpoint bound, advertised;
  };

  /// @param handler outlives the result.
  SipSockets(boost::asio::io_context& io, const ops::SipConfig& config,
             transport::SipHandler& handler);

  /// Opens all. @param toward  whom we will mostly speak to: finds our own address
  /// @return all that failed, in words that begin with the key at fault
  std::vector<std::string> open(const std::optional<Endpoint>& toward);
  void close();

  transport::SendOutcome send(const sip::Flow& flow, std::string_view bytes);
  void set_tls_peer(const Endpoint& endpoint, transport::TlsPeer peer) {
    streams_.set_tls_peer(endpoint, std::move(peer));
  }
  void set_tls_identity(std::uint32_t identity, transport::TlsPeer peer) {
    streams_.set_tls_identity(identity, std::move(peer));
  }
  std::optional<std::string> reload_certificates() { return streams_.reload_certificates(); }

  const std::vector<Place>& places() const { return places_; }
  std::vector<call::SentBy> sent_by() const;
  /// "host" and "host:port" that mean this program.
  std::vector<std::string> own_hosts() const;
  /// Of the first listener of a family: bound and advertised; nothing without one.
  const Place* first_of(bool ipv6) const;
  void collect_metrics(ops::Metrics& metrics) const;

 private:
  void listen(const char* key, sip::Transport transport, const Endpoint& bind,
              const std::optional<IpAddress>& advertised, const std::optional<Endpoint>& toward);
  void listen_tcp(const std::optional<Endpoint>& toward);
  transport::SipUdp* udp_for(const sip::Flow& flow);

  boost::asio::io_context& io_;
  ops::SipConfig config_;
  transport::SipHandler& handler_;
  std::vector<Place> places_;
  std::vector<std::unique_ptr<transport::SipUdp>> udp_;  ///< by place; none for streams
  transport::SipStream streams_;
  std::vector<std::string> faults_;
  std::shared_ptr<SipSockets*> self_;  ///< emptied on close, for posted reports
};

}  // namespace isthmus::app
