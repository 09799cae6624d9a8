#include "isthmus/raw_link.hpp"

#include "base/bytes.hpp"
#include "base/limits.hpp"
#include "client/gateway_link.hpp"
#include "client/io_thread.hpp"

namespace isthmus {

class RawLink::Impl final : public net::ConnectionHandler {
 public:
  explicit Impl(RawLinkHandlers handlers) : handlers_(std::move(handlers)) {}
  ~Impl() override { finish(); }

  Outcome<void> open(const GatewayOptions& options) {
    auto to = detail::connection_options(options);
    if (!to) return to.error();
    return thread_.run([&]() -> Outcome<void> {
      auto made = net::ClientConnection::make(thread_.io(), std::move(*to), *this);
      if (!made) return Error{ErrorKind::bad_argument, made.error().text};
      connection_ = std::move(*made);
      return {};
    });
  }
  void connect() {
    thread_.run([this] {
      report({ConnectionState::connecting, {}, {}});
      connection_->start();
    });
  }
  void disconnect() {
    thread_.run([this] { connection_->close(); });
  }
  void on_network_changed() {
    thread_.run([this] { connection_->on_network_changed(); });
  }
  void finish() {
    thread_.run([this] {
      handlers_ = {};
      connection_.reset();
    });
    thread_.finish();
  }
  Outcome<void> send_sip(std::string_view message) {
    if (message.empty() || message.size() > limits::kReliableFrameBytes) {
      return Error{ErrorKind::limit, "a SIP message has 1 to " +
                                         std::to_string(limits::kReliableFrameBytes) + " bytes"};
    }
    return thread_.run([&]() -> Outcome<void> {
      if (connection_ && connection_->send_sip(as_bytes(message))) return {};
      return Error{ErrorKind::not_connected, "no session with the gateway"};
    });
  }
  void send_media(std::uint32_t channel, std::span<const std::uint8_t> packet) {
    if (channel < limits::kFirstMediaChannel || channel > limits::kLastMediaChannel) return;
    if (packet.empty() || packet.size() > limits::kMediaFrameBytes) return;
    if (thread_.here()) {
      if (connection_) connection_->send_media(channel, packet);
      return;
    }
    thread_.post([this, channel, copy = to_bytes(packet)] {
      if (connection_) connection_->send_media(channel, copy);
    });
  }
  SessionInfo session() {
    return thread_.run([this] {
      if (!connection_ || !connection_->established()) return SessionInfo{};
      return detail::session_info(*connection_, welcome_);
    });
  }

  void on_established(const wire::WelcomeInfo& welcome) override {
    welcome_ = welcome;
    report({ConnectionState::connected, {}, {}});
  }
  void on_sip(std::string message) override {
    if (handlers_.on_sip) handlers_.on_sip(message);
  }
  void on_media(wire::Channel channel, ByteView bytes) override {
    if (handlers_.on_media) handlers_.on_media(channel, bytes);
  }
  void on_link_lost(wire::CloseCode code, const std::string& reason,
                    Duration will_retry_in) override {
    report(detail::link_lost_event(code, reason, will_retry_in));
  }
  void on_link_back(const wire::WelcomeInfo& welcome, Duration gap) override {
    welcome_ = welcome;
    report(detail::link_back_event(gap, connection_->move_reason()));
  }
  void on_go_away(const std::string& reason, Duration deadline) override {
    report(detail::go_away_event(reason, deadline));
  }
  bool may_leave() const override { return handlers_.may_leave && handlers_.may_leave(); }
  void on_closed(wire::CloseCode code, const std::string& reason,
                 std::optional<Duration> will_retry_in) override {
    report(detail::closed_event(code, reason, will_retry_in));
  }

 private:
  void report(const ConnectionEvent& event) {
    if (handlers_.on_connection) handlers_.on_connection(event);
  }

  RawLinkHandlers handlers_;
  detail::IoThread thread_;
  wire::WelcomeInfo welcome_;
  std::unique_ptr<net::ClientConnection> connection_;
};

RawLink::RawLink(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
RawLink::~RawLink() = default;

Outcome<std::unique_ptr<RawLink>> RawLink::create(const GatewayOptions& options,
                                                  RawLinkHandlers handlers) {
  auto impl = std::make_shared<Impl>(std::move(handlers));
  if (auto opened = impl->open(options); !opened) return opened.error();
  return std::unique_ptr<RawLink>(new RawLink(std::move(impl)));
}

void RawLink::connect() {
  impl_->connect();
}
void RawLink::disconnect() {
  impl_->disconnect();
}
void RawLink::on_network_changed() {
  impl_->on_network_changed();
}
Outcome<void> RawLink::send_sip(std::string_view message) {
  return impl_->send_sip(message);
}
void RawLink::send_media(std::uint32_t channel, std::span<const std::uint8_t> packet) {
  impl_->send_media(channel, packet);
}
SessionInfo RawLink::session() const {
  return impl_->session();
}

}  // namespace isthmus
