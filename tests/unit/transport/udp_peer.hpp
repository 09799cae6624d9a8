#pragma once
#include <arpa/inet.h>
#include <dirent.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstring>
#include <functional>
#include <optional>
#include <string>

#include "base/address.hpp"
#include "base/bytes.hpp"

namespace isthmus::test {

/// Somebody else's UDP socket on a loopback address.
class UdpPeer {
 public:
  explicit UdpPeer(const std::string& address = "127.0.0.1", std::uint16_t port = 0) {
    const auto parsed = *IpAddress::parse(address);
    fd_ = ::socket(parsed.is_v4() ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const auto [storage, length] = to_socket({parsed, port});
    EXPECT_EQ(0, ::bind(fd_, reinterpret_cast<const sockaddr*>(&storage), length));
    sockaddr_storage bound{};
    socklen_t size = sizeof bound;
    ::getsockname(fd_, reinterpret_cast<sockaddr*>(&bound), &size);
    local_ = from_socket(bound);
    const int on = 1;
    ::setsockopt(fd_, IPPROTO_IP, IP_RECVTOS, &on, sizeof on);
  }
  ~UdpPeer() { ::close(fd_); }
  UdpPeer(const UdpPeer&) = delete;
  UdpPeer& operator=(const UdpPeer&) = delete;

  const Endpoint& local() const { return local_; }

  void send(const Endpoint& to, ByteView bytes) {
    const auto [storage, length] = to_socket(to);
    EXPECT_EQ(static_cast<ssize_t>(bytes.size()),
              ::sendto(fd_, bytes.data(), bytes.size(), 0,
                       reinterpret_cast<const sockaddr*>(&storage), length));
  }
  void send(const Endpoint& to, std::string_view text) { send(to, as_bytes(text)); }

  /// What waits now; the sender of it is from().
  std::optional<std::string> take() {
    std::string buffer(65536, '\0');
    sockaddr_storage source{};
    alignas(cmsghdr) std::array<char, 64> control{};
    iovec vector{buffer.data(), buffer.size()};
    msghdr message{};
    message.msg_name = &source;
    message.msg_namelen = sizeof source;
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const auto length = ::recvmsg(fd_, &message, MSG_DONTWAIT);
    if (length < 0) return std::nullopt;
    for (cmsghdr* part = CMSG_FIRSTHDR(&message); part; part = CMSG_NXTHDR(&message, part)) {
      if (part->cmsg_level == IPPROTO_IP && part->cmsg_type == IP_TOS) {
        std::memcpy(&traffic_class_, CMSG_DATA(part), 1);
      }
    }
    from_ = from_socket(source);
    buffer.resize(static_cast<std::size_t>(length));
    return buffer;
  }
  /// Lets the event loop run until something arrives.
  std::optional<std::string> receive(boost::asio::io_context& io,
                                     std::chrono::milliseconds patience = std::chrono::seconds(3)) {
    const auto end = std::chrono::steady_clock::now() + patience;
    while (true) {
      if (auto datagram = take()) return datagram;
      if (std::chrono::steady_clock::now() > end) return std::nullopt;
      io.restart();
      io.run_for(std::chrono::milliseconds(1));
    }
  }
  const Endpoint& from() const { return from_; }
  /// Of the last IPv4 datagram taken.
  std::uint8_t traffic_class() const { return traffic_class_; }

 private:
  static std::pair<sockaddr_storage, socklen_t> to_socket(const Endpoint& endpoint) {
    sockaddr_storage storage{};
    if (endpoint.address.is_v4()) {
      auto* v4 = reinterpret_cast<sockaddr_in*>(&storage);
      v4->sin_family = AF_INET;
      v4->sin_port = htons(endpoint.port);
      v4->sin_addr.s_addr = htonl(endpoint.address.v4_host_order());
      return {storage, sizeof *v4};
    }
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&storage);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(endpoint.port);
    std::memcpy(&v6->sin6_addr, endpoint.address.bytes().data(), 16);
    return {storage, sizeof *v6};
  }
  static Endpoint from_socket(const sockaddr_storage& storage) {
    if (storage.ss_family == AF_INET) {
      const auto* v4 = reinterpret_cast<const sockaddr_in*>(&storage);
      return {IpAddress::v4(ntohl(v4->sin_addr.s_addr)), ntohs(v4->sin_port)};
    }
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&storage);
    std::array<std::uint8_t, 16> bytes{};
    std::memcpy(bytes.data(), &v6->sin6_addr, 16);
    return {IpAddress::v6(bytes), ntohs(v6->sin6_port)};
  }

  int fd_ = -1;
  std::uint8_t traffic_class_ = 0;
  Endpoint local_, from_;
};

/// Runs the event loop until the condition holds. @return whether it did within 3 s.
inline bool run_until(boost::asio::io_context& io, const std::function<bool()>& condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(3);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    io.restart();
    io.run_for(std::chrono::milliseconds(1));
  }
  return true;
}

/// Runs what is ready now, datagrams that wait in loopback sockets included.
inline void settle(boost::asio::io_context& io) {
  io.restart();
  while (io.poll() > 0) {
  }
}

inline std::size_t open_descriptors() {
  std::size_t count = 0;
  DIR* directory = ::opendir("/proc/self/fd");
  while (::readdir(directory)) ++count;
  ::closedir(directory);
  return count;
}

}  // namespace isthmus::test
