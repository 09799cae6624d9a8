#pragma once
// A gateway's sessions over real sockets with nothing behind them, and a client that notes all it
// hears.
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/client_connection.hpp"
#include "unit/net/net_support.hpp"
#include "wire/session.hpp"

namespace isthmus::net::test {

using wire::CloseCode;

/// A gateway's sessions without anything behind them: judges passwords, sends SIP and media back.
class SessionServer {
 public:
  explicit SessionServer(Loop& loop, const TemporaryDirectory& state, std::uint16_t port = 0,
                         std::vector<std::string> names = {}) {
    link::ListenerOptions options;
    options.bind = {IpAddress::v4(0x7f000001), port};
    options.certificate.state_directory = state.path();
    options.certificate.names = std::move(names);
    auto opened = link::Listener::open(loop.io, options, [this](std::unique_ptr<wire::Link> link) {
      sessions.push_back(std::make_unique<Session>(*this, std::move(link)));
    });
    EXPECT_TRUE(opened) << opened.error().text;
    listener = std::move(*opened);
  }

  struct Session final : wire::LinkHandler {
    Session(SessionServer& of, std::unique_ptr<wire::Link> with)
        : server(of), link(std::move(with)), session(clock_now()) {
      link->start(*this);
    }
    void on_reliable(wire::Channel channel, ByteView bytes) override {
      session.on_frame(channel, bytes, clock_now(), events);
      drain();
    }
    void on_media(wire::Channel channel, ByteView bytes) override {
      link->send_media(channel, bytes);
    }
    void on_closed(CloseCode code, const std::string&) override { closed = code; }
    void close(CloseCode code, std::string_view reason) {
      session.close(code, reason, events);
      drain();
    }
    void go_away(const wire::GoAwayInfo& info) {
      session.go_away(info, events);
      drain();
    }
    void drain() {
      for (std::size_t i = 0; i < events.size(); ++i) {
        const wire::SessionEvent event = events[i];
        if (const auto* frame = std::get_if<wire::SendFrame>(&event)) {
          link->send_reliable(frame->channel, frame->bytes);
        } else if (const auto* hello = std::get_if<wire::AuthenticateHello>(&event)) {
          judge(hello->hello);
        } else if (const auto* sip = std::get_if<wire::SipFrameReceived>(&event)) {
          session.send_sip(as_bytes(sip->bytes), events);
        } else if (const auto* end = std::get_if<wire::SessionClosed>(&event)) {
          link->close(end->code, end->reason);
        }
      }
      events.clear();
    }
    void judge(const wire::HelloInfo& hello) {
      if (std::holds_alternative<wire::ResumeCredentials>(hello.credentials)) {
        ++server.resumes_refused;
        session.reject(CloseCode::resume_refused, "restarted", 0, events);
        return;
      }
      const auto* password = std::get_if<wire::PasswordCredentials>(&hello.credentials);
      if (password != nullptr && password->password == "right") {
        wire::WelcomeInfo welcome;
        welcome.user = password->user;
        welcome.session_id = 42;
        welcome.observed_address = link->remote().to_string();
        if (server.resume_window_ms != 0) welcome.resume_token = "token";
        welcome.resume_window_ms = server.resume_window_ms;
        session.accept(welcome, clock_now(), events);
      } else {
        session.reject(CloseCode::unauthorized, "wrong password", 0, events);
      }
    }
    SessionServer& server;
    std::unique_ptr<wire::Link> link;
    wire::ServerSession session;
    wire::SessionEvents events;
    std::optional<CloseCode> closed;
  };

  std::unique_ptr<link::Listener> listener;
  std::vector<std::unique_ptr<Session>> sessions;
  std::uint32_t resume_window_ms = 0;  ///< promised, and then refused as after a restart
  int resumes_refused = 0;
};

struct Closed {
  CloseCode code;
  std::string reason;
  std::optional<Duration> will_retry_in;
};

class Client final : public ConnectionHandler {
 public:
  Client(Loop& loop, ConnectionOptions options) {
    auto made = ClientConnection::make(loop.io, std::move(options), *this);
    EXPECT_TRUE(made) << made.error().text;
    if (made) connection = std::move(*made);
  }
  void on_established(const wire::WelcomeInfo& info) override {
    welcomes.push_back(info);
    if (on_event) on_event();
  }
  void on_sip(std::string message) override {
    sip.push_back(std::move(message));
    if (on_event) on_event();
  }
  void on_media(wire::Channel channel, ByteView bytes) override {
    media.push_back({channel, std::string(as_text(bytes))});
  }
  void on_go_away(const std::string& reason, Duration) override { go_aways.push_back(reason); }
  bool may_leave() const override { return !busy; }
  void on_link_lost(CloseCode code, const std::string& reason, Duration will_retry_in) override {
    lost.push_back({code, reason, will_retry_in});
    if (on_event) on_event();
  }
  void on_closed(CloseCode code, const std::string& reason,
                 std::optional<Duration> will_retry_in) override {
    closed.push_back({code, reason, will_retry_in});
    if (on_event) on_event();
  }

  std::unique_ptr<ClientConnection> connection;
  std::vector<wire::WelcomeInfo> welcomes;
  std::vector<std::string> sip;
  std::vector<ReceivedFrame> media;
  std::vector<Closed> closed, lost;
  std::vector<std::string> go_aways;
  bool busy = false;  ///< has calls
  std::function<void()> on_event;
};

inline ConnectionOptions options_for(std::uint16_t port, const std::string& pin,
                                     const std::string& password = "right") {
  ConnectionOptions options;
  options.url = "wss://127.0.0.1:" + std::to_string(port);
  options.hello.software = "net_test/1";
  options.hello.credentials = wire::PasswordCredentials{"alice", password};
  options.trust.pins = {pin};
  options.first_retry = milliseconds(20);
  options.last_retry = milliseconds(100);
  return options;
}

inline ConnectionOptions options_for(const SessionServer& server,
                                     const std::string& password = "right") {
  return options_for(server.listener->local().port, server.listener->certificate().pin, password);
}

}  // namespace isthmus::net::test
