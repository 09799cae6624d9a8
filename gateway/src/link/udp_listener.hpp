#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/address.hpp"
#include "base/result.hpp"
#include "link/certificate.hpp"
#include "quic/link_server.hpp"
#include "wire/link.hpp"

namespace boost::asio {
class io_context;
}

namespace isthmus::link {

struct UdpListenerOptions {
  Endpoint bind;  ///< [::] takes IPv4 as well
  quic::LinkServerOptions server;
  bool reuse_port = false;  ///< several listeners share the port; see steer()
  bool key_log = false;     ///< secrets go to where net::udp_key_logs() says
};

struct UdpListenerError {
  std::string text;
};

/// What became of datagrams and links on the socket.
struct UdpListenerCounters {
  quic::LinkServerCounters server;
  quic::UdpCounters links;     ///< of links that are over, and of those that stand
  std::uint64_t upgraded = 0;  ///< handed to the owner
  std::uint64_t handshakes_failed = 0;
  std::uint64_t not_sent = 0;        ///< the system took no more
  std::uint64_t early_replayed = 0;  ///< early data that was refused because it came before
  std::size_t open = 0;              ///< links and handshakes

  UdpListenerCounters& operator+=(const UdpListenerCounters& of);
};

/// Accepts clients on one UDP socket: QUIC and, beside it, media packets. Not thread-safe: used on
/// the thread that runs the io_context.
class UdpListener {
 public:
  using OnLink = std::function<void(std::unique_ptr<wire::Link> link)>;

  static Result<std::unique_ptr<UdpListener>, UdpListenerError> open(
      boost::asio::io_context& io, const UdpListenerOptions& options,
      const Certificate& certificate, OnLink on_link);
  /// Cuts the links.
  ~UdpListener();

  /// Of `shards` listeners on one port, in the order in which they were opened, each gets what its
  /// LinkServerOptions::shard says. To be asked of one of them once all are open.
  std::optional<UdpListenerError> steer(unsigned shards);
  /// Takes no new clients; links live on.
  void close();
  /// For clients that come from now on. @return what is wrong with it: the old one stays
  std::optional<CertificateError> set_certificate(const Certificate& certificate);

  Endpoint local() const;
  UdpListenerCounters counters() const;

 private:
  class Impl;
  explicit UdpListener(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<Impl> impl_;
};

}  // namespace isthmus::link
