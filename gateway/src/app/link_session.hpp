#pragma once
#include <boost/asio/io_context.hpp>
#include <memory>
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
  /// Judge and then call accept() or reject() on the session, now or later.
  virtual void on_hello(LinkSession& session, const wire::HelloInfo& hello) = 0;
  virtual void on_sip(LinkSession& session, std::string message) = 0;
  virtual void on_media(LinkSession& session, std::uint32_t channel, ByteView bytes) = 0;
  /// The last callback; the owner destroys the session later, not from within.
  virtual void on_over(LinkSession& session, wire::CloseCode code, const std::string& reason) = 0;
};

/// The gateway's end of one client: its link, and the protocol state that runs over it.
class LinkSession final : public LinkPort, private wire::LinkHandler {
 public:
  LinkSession(boost::asio::io_context& io, std::uint64_t id, std::unique_ptr<wire::Link> link,
              LinkSessionOwner& owner);

  void start();
  void accept(wire::WelcomeInfo welcome, session::Identity identity);
  void reject(wire::CloseCode code, std::string_view reason, std::uint32_t retry_after_s);
  void close(wire::CloseCode code, std::string_view reason);

  void send_sip(std::string_view message) override;
  void send_media(std::uint32_t channel, ByteView packet) override;
  Endpoint remote() const override { return link_->remote(); }

  std::uint64_t id() const { return id_; }
  bool established() const { return session_.established(); }
  bool over() const { return over_; }  ///< on_over() was called
  const session::Identity& identity() const { return identity_; }
  const std::string& software() const { return software_; }
  const std::string& instance() const { return instance_; }
  Instant opened() const { return opened_; }
  wire::SessionStatistics statistics() const { return session_.statistics(); }
  LinkTotals link_totals() const {
    return {link_->counters(), session_.media_in(), session_.media_out()};
  }
  wire::LinkCounters link_counters() const { return link_->counters(); }

 private:
  void on_reliable(wire::Channel channel, ByteView bytes) override;
  void on_media(wire::Channel channel, ByteView bytes) override;
  void on_closed(wire::CloseCode code, const std::string& reason) override;
  void carry_out(wire::SessionEvents& events);
  void arm_timer();
  void on_timer();
  void finish(wire::CloseCode code, const std::string& reason);

  std::uint64_t id_;
  std::unique_ptr<wire::Link> link_;
  LinkSessionOwner& owner_;
  Instant opened_;
  wire::ServerSession session_;
  session::Identity identity_;
  std::string software_, instance_;
  net::DeadlineTimer timer_;
  bool over_ = false;
};

}  // namespace isthmus::app
