#pragma once
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "transport/sip_stream.hpp"
#include "unit/transport/udp_peer.hpp"

namespace isthmus::test {

inline sockaddr_in6 mapped(const Endpoint& endpoint) {  // IPv4 as ::ffff:a.b.c.d
  sockaddr_in6 out{};
  out.sin6_family = AF_INET6;
  out.sin6_port = htons(endpoint.port);
  auto* bytes = out.sin6_addr.s6_addr;
  if (endpoint.address.is_v4()) {
    bytes[10] = bytes[11] = 0xff;
    std::memcpy(bytes + 12, endpoint.address.bytes().data(), 4);
  } else {
    std::memcpy(bytes, endpoint.address.bytes().data(), 16);
  }
  return out;
}

/// Somebody else's TCP connection: plain system calls, the event loop runs while it waits.
class TcpPeer {
 public:
  explicit TcpPeer(int fd) : fd_(fd) {}
  static std::unique_ptr<TcpPeer> connect(const Endpoint& to) {
    const int fd = ::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int off = 0, on = 1;
    ::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    const sockaddr_in6 address = mapped(to);
    EXPECT_EQ(0, ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address));
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return std::make_unique<TcpPeer>(fd);
  }
  ~TcpPeer() { close(); }
  TcpPeer(const TcpPeer&) = delete;
  TcpPeer& operator=(const TcpPeer&) = delete;

  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  void send(std::string_view text) {
    EXPECT_EQ(static_cast<ssize_t>(text.size()),
              ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL));
  }
  /// Everything that has come so far; notes the end of the stream.
  const std::string& take() {
    char buffer[65536];
    while (!closed_) {
      const auto count = ::recv(fd_, buffer, sizeof buffer, MSG_DONTWAIT);
      if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
      if (count <= 0) closed_ = true;
      if (count > 0) received_.append(buffer, static_cast<std::size_t>(count));
    }
    return received_;
  }
  bool closed() {
    take();
    return closed_;
  }
  void clear() { received_.clear(); }
  std::uint16_t port() const {
    sockaddr_in6 bound{};
    socklen_t size = sizeof bound;
    ::getsockname(fd_, reinterpret_cast<sockaddr*>(&bound), &size);
    return ntohs(bound.sin6_port);
  }

 private:
  int fd_;
  bool closed_ = false;
  std::string received_;
};

/// Somebody else's listening socket on loopback; with no room in its queue it answers nobody.
class TcpServer {
 public:
  explicit TcpServer(const std::string& address = "127.0.0.1") {
    fd_ = ::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const int off = 0;
    ::setsockopt(fd_, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    sockaddr_in6 bound = mapped({*IpAddress::parse(address), 0});
    EXPECT_EQ(0, ::bind(fd_, reinterpret_cast<const sockaddr*>(&bound), sizeof bound));
    socklen_t size = sizeof bound;
    ::getsockname(fd_, reinterpret_cast<sockaddr*>(&bound), &size);
    local_ = {*IpAddress::parse(address), ntohs(bound.sin6_port)};
    ::listen(fd_, 16);
  }
  ~TcpServer() { close(); }
  TcpServer(const TcpServer&) = delete;
  TcpServer& operator=(const TcpServer&) = delete;
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  const Endpoint& local() const { return local_; }
  std::unique_ptr<TcpPeer> take() {
    const int fd = ::accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC);
    return fd < 0 ? nullptr : std::make_unique<TcpPeer>(fd);
  }

 private:
  int fd_ = -1;
  Endpoint local_;
};

/// Keeps what a SipStream reports.
class StreamOwner final : public transport::SipHandler {
 public:
  bool allowed(const Endpoint& source) override { return !refuse || source.address != *refuse; }
  void on_refused_connection(const Endpoint& source) override { refused.push_back(source); }
  void on_message(sip::Message message, const sip::Flow& flow, Instant) override {
    messages.push_back(std::move(message));
    flows.push_back(flow);
    if (on_any_message) on_any_message();
  }
  void on_flow_failed(const sip::Flow& flow, Instant) override { failed.push_back(flow); }
  void on_flow_closed(const sip::Flow& flow, Instant) override { closed.push_back(flow); }
  void on_connection_trouble(const sip::Flow&, const std::string& text) override {
    trouble += text + "\n";
  }

  std::optional<IpAddress> refuse;
  std::vector<Endpoint> refused;
  std::function<void()> on_any_message;
  std::vector<sip::Message> messages;
  std::vector<sip::Flow> flows, failed, closed;
  std::string trouble;
};

inline std::string sip_options(std::string_view via, std::string_view extra = {},
                               std::string_view uri = "sip:gw.example") {
  std::string text = "OPTIONS ";
  text.append(uri).append(" SIP/2.0\r\nVia: ").append(via);
  text.append(
      "\r\nFrom: <sip:a@example.com>;tag=1\r\nTo: <sip:gw.example>\r\nCall-ID: c1\r\n"
      "CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\n");
  return text.append(extra).append("Content-Length: 0\r\n\r\n");
}

inline std::string sip_ok(std::string_view via) {
  std::string text = "SIP/2.0 200 OK\r\nVia: ";
  return text.append(via).append(
      "\r\nFrom: <sip:a@example.com>;tag=1\r\nTo: <sip:gw.example>;tag=2\r\nCall-ID: c1\r\n"
      "CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n");
}

}  // namespace isthmus::test
