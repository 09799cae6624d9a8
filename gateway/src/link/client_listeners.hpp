#pragma once
#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "link/handover.hpp"
#include "link/listener.hpp"
#include "link/udp_listener.hpp"

namespace isthmus::link {

class LinkShard;

struct ClientListenersOptions {
  /// 1: all on the owner's thread. More: as many threads, each with sockets of its own on the same
  /// ports, and links handed over (Handover).
  unsigned shards = 1;
  ListenerOptions websocket;
  /// None: no UDP links. Its bind takes the WebSocket's address; max_links and retry_above are for
  /// all shards together, which have equal shares.
  std::optional<UdpListenerOptions> udp;
  std::optional<std::uint16_t> udp_port;  ///< without: the WebSocket's
};

struct ClientListenersCounters {
  ListenerCounters websocket;
  std::optional<UdpListenerCounters> udp;
  HandoverCounters handover;
  std::vector<std::size_t> open;  ///< by shard: sockets and UDP links, those shaking hands included
};

struct CertificateReload {
  std::optional<CertificateReport> report;  ///< none: it could not be read
  std::vector<std::string> faults;
};

/// All the sockets that clients come to. Used on the thread that runs the owner's io_context, and
/// so are the links: see LinkShard for those that live elsewhere.
class ClientListeners {
 public:
  using OnLink = std::function<void(std::unique_ptr<wire::Link> link)>;

  static Result<std::unique_ptr<ClientListeners>, ListenerError> open(
      boost::asio::io_context& owner, ClientListenersOptions options, const OnLink& on_link);
  /// Cuts the links.
  ~ClientListeners();

  /// Serves from now on; until then clients wait.
  void run();

  /// Why there are no UDP links although they were asked for.
  const std::optional<std::string>& udp_fault() const { return udp_fault_; }

  /// Takes no new clients; links live on.
  void close();
  /// Reads (or renews) the certificate again; links that stand keep theirs. Where something is
  /// wrong, the old one stays in use.
  CertificateReload reload_certificates();

  const CertificateReport& certificate() const { return certificate_; }
  Endpoint local() const { return local_; }
  std::optional<Endpoint> udp_local() const { return udp_local_; }  ///< none: no UDP links
  ClientListenersCounters counters() const;

 private:
  ClientListeners() = default;
  std::optional<ListenerError> open_websockets(boost::asio::io_context& owner,
                                               ClientListenersOptions& options,
                                               const OnLink& on_link);
  std::optional<std::string> open_udp(boost::asio::io_context& owner,
                                      const ClientListenersOptions& options);

  std::vector<std::unique_ptr<LinkShard>> shards_;
  CertificateReport certificate_;
  Endpoint local_;
  std::optional<Endpoint> udp_local_;
  std::optional<std::string> udp_fault_;
};

}  // namespace isthmus::link
