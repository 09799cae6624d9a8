#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/address.hpp"
#include "base/limits.hpp"
#include "base/result.hpp"
#include "link/certificate.hpp"
#include "wire/link.hpp"

namespace boost::asio {
class io_context;
}

namespace isthmus::link {

struct ListenerOptions {
  /// Port 0 takes any free one. [::] takes IPv4 as well.
  Endpoint bind{IpAddress{}, 443};
  CertificateOptions certificate;
  /// Sockets of this listener alive at once, those still shaking hands included; more are closed as
  /// they come.
  std::size_t max_connections = 20'000;
  bool key_log = false;     ///< write TLS secrets to SSLKEYLOGFILE, if that is set
  bool reuse_port = false;  ///< several listeners share the port (SO_REUSEPORT)
  /// What several listeners have open together, to which max_connections applies then.
  std::shared_ptr<std::atomic<std::size_t>> open_together;
  /// Bounds TLS and the HTTP request, each.
  Duration handshake_limit = limits::kUnauthenticatedLife;
};

struct ListenerError {
  std::string text;
};

/// Every accepted socket ends in exactly one of upgraded and the lines below it, or is still
/// shaking hands.
struct ListenerCounters {
  std::uint64_t accepted = 0;
  std::uint64_t upgraded = 0;     ///< handed to the owner
  std::uint64_t over_limit = 0;   ///< closed at once: max_connections
  std::uint64_t tls_failed = 0;   ///< no TLS, no common version, certificate refused by the client
  std::uint64_t http_failed = 0;  ///< not HTTP, headers too large, the upgrade broke off
  std::uint64_t http_answered = 0;  ///< a request that is not for a link got its answer
  std::uint64_t timed_out = 0;
  std::uint64_t accept_errors =
      0;                 ///< accept() failed, such as for want of descriptors; not in accepted
  std::size_t open = 0;  ///< sockets alive now

  ListenerCounters& operator+=(const ListenerCounters& of);
};

/// What a certificate's owner should be told after loading it.
struct CertificateReport {
  std::string pin;  ///< "sha256//…"
  bool self_signed = false;
  bool made_now = false;
  WallSeconds not_after{};
  std::vector<std::string> warnings;
};

/// Accepts clients: TCP, TLS (1.2 or later), HTTP upgrade to WebSocket on /isthmus/v1. Everything
/// else that speaks HTTP gets a short answer. Not thread-safe: used on the thread that runs the
/// io_context.
class Listener {
 public:
  /// Gets each established link, to be started with Link::start().
  using OnLink = std::function<void(std::unique_ptr<wire::Link> link)>;

  static Result<std::unique_ptr<Listener>, ListenerError> open(boost::asio::io_context& io,
                                                               ListenerOptions options,
                                                               OnLink on_link);
  /// @return `bind` with its port, on which nobody listens; an error if somebody does, which open()
  /// with reuse_port would not notice.
  static Result<Endpoint, ListenerError> find_free(boost::asio::io_context& io,
                                                   const Endpoint& bind);
  /// As close().
  ~Listener();

  /// Stops listening and cuts sockets that are still shaking hands; links live on.
  void close();

  /// Reads (or renews) the certificate again. Links that stand keep theirs; on an error the old one
  /// stays in use.
  Result<CertificateReport, CertificateError> reload_certificates();

  /// For clients that come from now on. @return what is wrong with it: the old one stays
  std::optional<CertificateError> set_certificate(const Certificate& certificate);

  const CertificateReport& certificate() const;
  /// The certificate in use with its key, for other listeners of the same gateway.
  const Certificate& loaded() const;
  Endpoint local() const;
  ListenerCounters counters() const;

 private:
  class Impl;
  explicit Listener(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace isthmus::link
