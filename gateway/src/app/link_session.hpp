#pragma once
#include <boost/asio/io_context.hpp>
#include <memory>
#include <optional>
#include <string>

#include "app/bridge_host.hpp"
#include "app/link_metrics.hpp"
#include "net/deadline_timer.hpp"
#include "session/authenticator.hpp"
#include "wire/link.hpp"
#include "wire/session.hpp"

namespace isthmus::app {

class LinkSession;

/// What a session asks of the gateway. From the io_context's thread.
class LinkSessionOwner {
 public:
  virtual ~LinkSessionOwner() = default;
  /// Judge and then call accept(), reject() or, on the session that it names, resume(), now or
  /// later.
  virtual void on_hello(LinkSession& session, const wire::HelloInfo& hello) = 0;
  virtual void on_sip(LinkSession& session, std::string message) = 0;
  virtual void on_media(LinkSession& session, std::uint32_t channel, ByteView bytes) = 0;
  /// The link is gone, the session waits for another.
  virtual void on_detached(LinkSession& session, wire::CloseCode code,
                           const std::string& reason) = 0;
  /// The last callback; the owner destroys the session later, not from within.
  virtual void on_over(LinkSession& session, wire::CloseCode code, const std::string& reason) = 0;
};

/// The gateway's end of one client: the protocol state, and the link that carries it at present. A
/// session that is detached has none: its SIP waits in the replay buffer, its media is dropped.
class LinkSession final : public LinkPort {
 public:
  LinkSession(boost::asio::io_context& io, std::uint64_t id, std::unique_ptr<wire::Link> link,
              LinkSessionOwner& owner);
  ~LinkSession() override;

  void start();
  void accept(wire::WelcomeInfo welcome, session::Identity identity);
  void reject(wire::CloseCode code, std::string_view reason, std::uint32_t retry_after_s);
  void close(wire::CloseCode code, std::string_view reason);
  void go_away(const wire::GoAwayInfo& info);  ///< ServerSession::go_away()

  bool can_resume(std::uint32_t generation, std::uint64_t sip_frames) const {
    return session_.can_resume(generation, sip_frames);
  }
  /// Takes over the link of a session that awaits its answer, and sends Welcome on it and what the
  /// client has not; an old link is closed with `replaced`. To be called when can_resume().
  /// `greeting` is over without on_over(): the caller destroys it, later.
  void resume(LinkSession& greeting, std::uint32_t generation, std::uint64_t sip_frames,
              wire::WelcomeInfo welcome, const wire::ResumeTokens& tokens);

  void send_sip(std::string_view message) override;
  void send_media(std::uint32_t channel, ByteView bytes) override;
  Endpoint remote() const override;  ///< of a detached session: where it was last

  std::uint64_t id() const { return id_; }
  bool established() const { return session_.established(); }
  bool detached() const { return session_.detached(); }
  bool over() const { return over_; }        ///< on_over() was called, or another has the link
  bool expired() const { return expired_; }  ///< over because no link came in time
  const session::Identity& identity() const { return identity_; }
  const std::string& software() const { return software_; }
  const std::string& instance() const { return instance_; }
  Instant opened() const { return opened_; }
  wire::SessionStatistics statistics() const { return session_.statistics(); }
  wire::LinkCounters link_counters() const;  ///< of all its links
  LinkTotals link_totals() const {
    return {link_counters(), session_.media_in(), session_.media_out()};
  }
  /// Packets for the client that came while it had no link.
  std::uint64_t media_without_link() const { return media_without_link_; }

 private:
  class Attachment;
  void on_reliable(wire::Channel channel, ByteView bytes);
  void on_media(wire::Channel channel, ByteView bytes);
  void on_link_closed(wire::CloseCode code, const std::string& reason);
  void carry_out(wire::SessionEvents& events);
  void drop_link(wire::CloseCode code, std::string_view reason);
  void discard_link();
  void arm_timer();
  void on_timer();
  void finish(wire::CloseCode code, const std::string& reason);

  boost::asio::io_context& io_;
  std::uint64_t id_;
  std::shared_ptr<Attachment> attachment_;  ///< null without a link
  LinkSessionOwner& owner_;
  Instant opened_;
  wire::ServerSession session_;
  session::Identity identity_;
  std::string software_, instance_;
  net::DeadlineTimer timer_;
  Endpoint last_remote_;
  wire::LinkCounters earlier_links_;
  std::uint64_t media_without_link_ = 0;
  /// Too much waited to be sent: told to the owner from the timer, not from within send_sip().
  std::optional<wire::SessionClosed> overflow_;
  bool over_ = false, expired_ = false;
};

}  // namespace isthmus::app
