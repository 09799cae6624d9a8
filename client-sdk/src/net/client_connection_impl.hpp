#pragma once
// The inside of ClientConnection: client_connection.cpp has the session and its links,
// client_attempts.cpp the ways to the next link or session.
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "net/client_connection.hpp"
#include "net/clock.hpp"
#include "net/deadline_timer.hpp"
#include "net/gateway_lookup.hpp"
#include "net/gateway_places.hpp"
#include "net/link_dialer.hpp"
#include "net/media_proof.hpp"
#include "net/network_watch.hpp"
#include "net/proxy.hpp"
#include "net/system_random.hpp"
#include "net/udp_trust.hpp"

namespace isthmus::net {

/// One link on its way from dialling to use, and the handshake on it.
class ClientConnection::LinkEnd final : public wire::LinkHandler {
 public:
  LinkEnd(boost::asio::io_context& io, Impl& connection)
      : owner(&connection), timer(io, [this] { on_timer(); }) {}

  void on_reliable(wire::Channel channel, ByteView bytes) override;
  void on_media(wire::Channel channel, ByteView bytes) override;
  void on_closed(wire::CloseCode code, const std::string& reason) override;
  void on_timer();

  Impl* owner;  ///< null: given up, nobody listens
  std::unique_ptr<LinkDialer> dialer;
  std::unique_ptr<wire::Link> link;
  std::optional<wire::ClientSession> greeting;  ///< until Welcome
  DeadlineTimer timer;                          ///< of the greeting
  bool upgrade = false;                         ///< an attempt at UDP while a WebSocket serves
};

class ClientConnection::Impl final : public std::enable_shared_from_this<Impl> {
 public:
  Impl(boost::asio::io_context& io, ConnectionOptions options, std::vector<Place> places,
       ProxyChoice proxies, std::shared_ptr<ClientTrust> trust, ConnectionHandler& handler)
      : io_(io),
        options_(std::move(options)),
        configured_(std::move(places)),
        places_(configured_),
        proxies_(std::move(proxies)),
        session_place_(places_.here()),
        trust_(std::move(trust)),
        handler_(&handler),
        session_timer_(io, [this] { on_session_timer(); }),
        quiet_timer_(io, [this] { on_quiet_timer(); }),
        leave_timer_(io, [this] { on_leave_timer(); }),
        upgrade_timer_(io, [this] { on_upgrade_timer(); }),
        proof_timer_(io, [this] { on_proof_timer(); }),
        retry_timer_(io) {
    wire::announce(options_.hello.capabilities, wire::kCompactRtpCapability, options_.compact_rtp);
    if (options_.watch_network) watch_.emplace(io, [this] { on_network_notice(); });
  }

  void start();
  void close(wire::CloseCode code, std::string_view reason);
  void detach();
  void on_network_changed();

  bool established() const { return session_ && !session_->closed(); }
  /// No attempt is under way, or one at a better link that has come to nothing yet.
  bool may_dial() const { return !attempt_ || (attempt_->upgrade && !attempt_->link); }
  bool send_sip(ByteView message);
  void send_media(wire::Channel channel, ByteView bytes);

  const wire::Link* link() const { return current_ ? current_->link.get() : nullptr; }
  wire::LinkCounters link_counters() const {
    wire::LinkCounters all = earlier_links_;
    if (current_) all += current_->link->counters();
    return all;
  }
  const wire::SessionStatistics& last_statistics() const { return last_statistics_; }
  const wire::ClientSession* session() const { return session_ ? &*session_ : nullptr; }
  wire::MediaFormCounters media_in() const {
    return session_ ? session_->media_in() : last_media_in_;
  }
  wire::MediaFormCounters media_out() const {
    return session_ ? session_->media_out() : last_media_out_;
  }
  std::uint64_t attempts() const { return attempts_; }
  LinkKind link_kind() const {
    if (!current_) return LinkKind::none;
    return on_udp() ? LinkKind::udp : LinkKind::websocket;
  }
  std::string gateway_text() const;
  const std::string& move_reason() const { return move_reason_; }

  void on_reliable(LinkEnd& end, wire::Channel channel, ByteView bytes);
  void on_media(LinkEnd& end, wire::Channel channel, ByteView bytes);
  void on_closed(LinkEnd& end, wire::CloseCode code, const std::string& reason);
  void on_greeting_timer(LinkEnd& end);

 private:
  void dial();
  void with_places(std::function<void(Impl&)> next);
  void on_places(GatewayLookup::Found found, const std::function<void(Impl&)>& next);
  void dial_at(const Place& place, bool fresh, bool upgrade = false);
  std::optional<Bytes> early_hello(std::uint32_t media_id) const;
  void look_for_udp();
  bool on_udp() const { return current_ && current_->link->media_id() != 0; }
  void link_taken(const wire::WelcomeInfo& welcome);
  void link_left(wire::CloseCode code);
  void on_proof_timer();
  void ask_for_media(Instant now);
  void media_lost(Instant now, bool media_alone);
  void on_upgrade_timer();
  void dial_after(Duration delay);
  void on_dialed(LinkEnd& end, Result<std::unique_ptr<wire::Link>, DialError> result);
  void carry_out_greeting(wire::SessionEvents& events);
  void welcomed(const wire::WelcomeInfo& welcome);
  void refused(const wire::SessionClosed& why);
  void attempt_failed(wire::CloseCode code, const std::string& reason, Duration at_least);
  void drain();
  void act(wire::SendFrame& event);
  void act(wire::SessionEstablished&) {}  // a greeting's
  void act(wire::SipFrameReceived& event);
  void act(wire::GoAwayReceived& event);
  void act(wire::LinkLost& event);
  void act(wire::SessionClosed& event);
  void act(wire::AuthenticateHello&) {}  // a server's
  void on_session_timer();
  void on_quiet_timer();
  void on_network_notice();
  void on_leave_timer();
  void leave();
  void stay();
  void say_goodbye(wire::CloseCode code, std::string_view reason);
  bool give_up_session(wire::CloseCode code, const std::string& reason, Duration will_retry_in);
  void link_lost(wire::CloseCode code, const std::string& reason);
  void discard(std::shared_ptr<LinkEnd>& end, wire::CloseCode code, std::string_view reason);
  void keep_figures();
  void fail(wire::CloseCode code, const std::string& reason, Duration at_least);
  Duration next_delay(Duration at_least);
  Duration jittered(Duration delay) { return delay / 2 + part_of(delay / 2); }
  Duration part_of(Duration delay);

  boost::asio::io_context& io_;
  ConnectionOptions options_;
  std::vector<Place> configured_;
  GatewayPlaces places_;  ///< those, or what they were found to stand for
  std::unique_ptr<GatewayLookup> lookup_;
  Instant places_hold_until_{};
  bool places_found_ = false;  ///< by a look-up
  ProxyChoice proxies_;
  Place session_place_;  ///< where the session lives, which none but its gateway can resume
  std::shared_ptr<ClientTrust> trust_;
  ConnectionHandler* handler_;
  std::shared_ptr<quic::TicketBox> tickets_ = std::make_shared<quic::TicketBox>();
  SystemRandom random_;

  bool started_ = false;
  std::shared_ptr<LinkEnd> current_, attempt_;
  bool attempt_fresh_ = false;  ///< it begins a new session, whether or not one stands
  std::optional<wire::ClientSession> session_;
  wire::SessionStatistics last_statistics_;
  wire::LinkCounters earlier_links_;  ///< of the session
  wire::MediaFormCounters last_media_in_, last_media_out_;
  wire::SessionEvents events_;
  bool draining_ = false;
  DeadlineTimer session_timer_, quiet_timer_, leave_timer_, upgrade_timer_, proof_timer_;
  UdpTrust udp_trust_{random_};
  MediaProof proof_;
  Instant reliable_at_{};  ///< when something came by the reliable service
  int moves_failed_ = 0;   ///< attempts beside the link in use, in a row
  std::string move_reason_;
  std::optional<std::string> leaving_;  ///< why, as the gateway said
  bool quiet_armed_ = false;
  Instant media_sent_at_{}, heard_at_{};
  std::optional<Instant> probed_at_;
  boost::asio::steady_timer retry_timer_;
  std::optional<Instant> established_at_;
  Instant lost_at_{};
  int failures_ = 0, resume_failures_ = 0;
  bool absent_ = false;  ///< of the places of this round, one did not refuse us but was not there
  std::uint64_t attempts_ = 0;
  std::optional<NetworkWatch> watch_;
  std::optional<Endpoint> remote_;   ///< of the last link that carried a session
  std::optional<IpAddress> source_;  ///< from which we last spoke to it; nothing: no way there
};

}  // namespace isthmus::net
