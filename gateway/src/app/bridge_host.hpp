#pragma once
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "app/sip_sockets.hpp"
#include "base/random.hpp"
#include "call/bridge.hpp"
#include "media/relay.hpp"
#include "net/deadline_timer.hpp"
#include "ops/config.hpp"
#include "ops/log.hpp"
#include "ops/metrics.hpp"
#include "provider/target_locator.hpp"
#include "transport/sip_handler.hpp"
#include "transport/tls_peer.hpp"

namespace isthmus::app {

/// One session's link as the bridge's host sees it.
class LinkPort : public media::MediaLink {
 public:
  virtual void send_sip(std::string_view message) = 0;
  virtual Endpoint remote() const = 0;
};

struct BridgeHostOptions {
  ops::SipConfig sip;
  ops::MediaConfig media;
  ops::TimersConfig timers;
  std::string link_host;  ///< our name on links, ending in .invalid
  std::size_t max_calls = 5000, max_calls_per_session = 256, max_bindings_per_session = 1024;
  std::optional<Endpoint>
      toward;  ///< whom the SIP socket will mostly speak to: finds our own address
};

/// Runs a Bridge on an io_context: the SIP sockets, the media relay, links by session, timers;
/// call records go to the log and the metrics. The gateway and the connector both own one. One
/// thread.
class BridgeHost final : private transport::SipHandler {
 public:
  using Allowed = std::function<bool(const Endpoint& source)>;

  BridgeHost(boost::asio::io_context& io, BridgeHostOptions options, Random& random, ops::Log log,
             ops::Metrics& metrics);
  ~BridgeHost() override;
  BridgeHost(const BridgeHost&) = delete;
  BridgeHost& operator=(const BridgeHost&) = delete;

  /// Opens the SIP sockets and starts. @param allowed whether a source may speak SIP to us, beside
  /// peers of dialogs.
  /// @return what failed, in words.
  std::optional<std::string> start(call::Router& router, call::BindingTable& bindings,
                                   call::RegisterHandler* registrar, Allowed allowed);
  void stop();

  /// `port` stays valid until session_closed().
  void session_opened(std::uint64_t session, LinkPort& port);
  void session_closed(std::uint64_t session);
  /// One SIP frame of a link. A malformed one is answered where it can be, and counted.
  void on_link_sip(std::uint64_t session, const std::string& bytes);
  void on_link_media(std::uint64_t session, std::uint32_t channel, ByteView bytes);

  /// Who is expected at an address when it is spoken to over TLS. Without it, the address itself
  /// must stand in the certificate.
  void set_tls_peer(const Endpoint& endpoint, transport::TlsPeer peer) {
    sockets_.set_tls_peer(endpoint, std::move(peer));
  }
  /// The same by Flow::identity.
  void set_tls_identity(std::uint32_t identity, transport::TlsPeer peer) {
    sockets_.set_tls_identity(identity, std::move(peer));
  }
  /// Certificates of SIP over TLS are read again. @return what is wrong with them
  std::optional<std::string> reload_certificates() { return sockets_.reload_certificates(); }
  using OwnHandler = std::function<void(call::OwnResponse&)>;
  /// Sends a request of our own (Bridge::send_own); `done` is called once with its end, perhaps
  /// before this returns, unless it is forgotten first or the host stops.
  call::OwnRequestId send_own(call::OwnRequest request, OwnHandler done);
  void forget_own(call::OwnRequestId id);

  /// Ends every call with BYE and the reason.
  void end_all_calls(std::string_view reason);

  call::Bridge& bridge() { return *bridge_; }
  const call::Bridge& bridge() const { return *bridge_; }
  const media::Relay& relay() const { return *relay_; }
  Endpoint sip_address() const;             ///< bound, of sip.udp
  const IpAddress& sip_advertised() const;  ///< of sip.udp
  provider::Reach reach() const;            ///< addresses and transports that there are sockets for
  std::vector<std::string> own_hosts() const;  ///< "host" and "host:port" that mean this program
  std::function<void()> on_tick;               ///< about once a second, for the owner's expiries
  /// Finds out what the bridge wants to know (call::Lookup), then calls lookup_done(). Without it,
  /// nothing is ever found.
  std::function<void(const std::string& key)> on_lookup;
  void lookup_done(std::string_view key);
  std::function<void()> after_input;  ///< after every input of the bridge was carried out
  /// Routes again what waits for a device of that user.
  void user_available(const std::string& user);
  std::function<void(const call::WakeUser&)> on_wake;  ///< a request waits for a user's device
  /// Something came that is not served. @param connection  it is one, which ends without a word;
  /// else a datagram. @return whether a datagram is answered 403, or not at all.
  std::function<bool(const Endpoint&, bool connection)> on_stranger;

 private:
  bool allowed(const Endpoint& source) override;
  void on_refused(std::string_view text, const Endpoint& source) override;
  void on_refused_connection(const Endpoint& source) override {
    if (on_stranger) on_stranger(source, true);
  }
  void on_message(sip::Message message, const sip::Flow& flow, Instant now) override;
  void on_broken_response(std::string_view text, const sip::Fault& fault, const sip::Flow& flow,
                          Instant now) override;
  void on_flow_failed(const sip::Flow& flow, Instant now) override;
  void on_flow_closed(const sip::Flow& flow, Instant now) override;
  void on_connection_trouble(const sip::Flow& flow, const std::string& text) override;
  media::RelayConfig relay_config() const;
  void carry_out(call::Actions& actions);
  void send(const sip::Flow& flow, const std::string& bytes);
  void report(const call::CallChanged& change);
  void on_timer();
  void arm_tick();
  void collect_metrics();

  boost::asio::io_context& io_;
  BridgeHostOptions options_;
  BatchedRandom random_;
  ops::Log log_;
  ops::Metrics& metrics_;
  Allowed allowed_;
  std::unique_ptr<media::Relay> relay_;
  SipSockets sockets_;
  std::unique_ptr<call::Bridge> bridge_;
  std::unordered_map<std::uint64_t, LinkPort*> links_;
  std::unordered_map<call::OwnRequestId, OwnHandler> own_requests_;
  net::DeadlineTimer timer_;
  boost::asio::steady_timer tick_;
  std::uint64_t malformed_from_links_ = 0, strangers_refused_ = 0;
  ops::Histogram& setup_seconds_;
};

}  // namespace isthmus::app
