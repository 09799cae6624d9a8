#include "transport/udp_socket.hpp"

#include <linux/errqueue.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/bind_allocator.hpp>
#include <boost/asio/ip/udp.hpp>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "net/socket_address.hpp"
#include "transport/handler_memory.hpp"

namespace isthmus::transport {
namespace {

// Types of RFC 792 and RFC 4443; their headers clash with others of the C library.
constexpr std::uint8_t kIcmpUnreachable = 3, kIcmpFragmentationNeeded = 4;
constexpr std::uint8_t kIcmpParameterProblem = 12;
constexpr std::uint8_t kIcmp6Unreachable = 1, kIcmp6ParameterProblem = 4;

bool set_option(int fd, int level, int name, int value) {
  return ::setsockopt(fd, level, name, &value, sizeof value) == 0;
}

/// Comforts (buffer, traffic class) that fail leave a socket that still works.
const char* configure(int fd, const UdpOptions& options) {
  const bool v4 = options.local.address.is_v4();
  if (!v4 && !set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1)) return "IPV6_V6ONLY";
  if (options.receive_buffer_bytes > 0) {
    set_option(fd, SOL_SOCKET, SO_RCVBUF, options.receive_buffer_bytes);
  }
  if (options.traffic_class != 0) {
    v4 ? set_option(fd, IPPROTO_IP, IP_TOS, options.traffic_class)
       : set_option(fd, IPPROTO_IPV6, IPV6_TCLASS, options.traffic_class);
  }
  if (options.fragment) {
    v4 ? set_option(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT)
       : set_option(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DONT);
  }
  if (options.error_queue) {
    const bool on = v4 ? set_option(fd, IPPROTO_IP, IP_RECVERR, 1)
                       : set_option(fd, IPPROTO_IPV6, IPV6_RECVERR, 1);
    if (!on) return "IP_RECVERR";
  }
  return nullptr;
}

/// RFC 3261 §18.4: unreachable and parameter problems fail; "too big" and time exceeded do not.
bool is_hard(const sock_extended_err& error) {
  if (error.ee_origin == SO_EE_ORIGIN_ICMP) {
    return (error.ee_type == kIcmpUnreachable && error.ee_code != kIcmpFragmentationNeeded) ||
           error.ee_type == kIcmpParameterProblem;
  }
  if (error.ee_origin == SO_EE_ORIGIN_ICMP6) {
    return error.ee_type == kIcmp6Unreachable || error.ee_type == kIcmp6ParameterProblem;
  }
  return false;
}

}  // namespace

std::string SocketError::to_string() const {
  return std::string(step) + ": " + std::generic_category().message(code);
}

ReceiveBatch::ReceiveBatch(std::size_t datagrams, std::size_t bytes_each)
    : bytes_each_(bytes_each),
      buffer_(datagrams * bytes_each),
      sources_(datagrams),
      vectors_(datagrams),
      headers_(datagrams) {
  for (std::size_t i = 0; i < datagrams; ++i) {
    vectors_[i] = {buffer_.data() + i * bytes_each, bytes_each};
    headers_[i].msg_hdr.msg_name = &sources_[i];
    headers_[i].msg_hdr.msg_iov = &vectors_[i];
    headers_[i].msg_hdr.msg_iovlen = 1;
  }
}

ReceiveBatch::Datagram ReceiveBatch::datagram(std::size_t index) const {
  const mmsghdr& header = headers_[index];
  const std::size_t length = std::min<std::size_t>(header.msg_len, bytes_each_);
  return {{buffer_.data() + index * bytes_each_, length},
          net::from_sockaddr(sources_[index]),
          (header.msg_hdr.msg_flags & MSG_TRUNC) != 0};
}

struct UdpSocket::State {
  explicit State(boost::asio::io_context& io) : socket(io) {}

  /// One long-lived loop; the pending operation owns the state, so a close in the handler is safe.
  static void wait(std::shared_ptr<State> self) {
    State& state = *self;
    state.socket.async_wait(boost::asio::socket_base::wait_read,
                            boost::asio::bind_allocator(
                                HandlerAllocator<void>(state.memory),
                                [self = std::move(self)](const boost::system::error_code&) mutable {
                                  if (self->reader) self->reader->on_readable();
                                  if (self->reader) wait(std::move(self));
                                }));
  }

  boost::asio::ip::udp::socket socket;
  UdpReader* reader = nullptr;
  HandlerMemory memory;
};

Result<UdpSocket, SocketError> UdpSocket::open(boost::asio::io_context& io,
                                               const UdpOptions& options) {
  const bool v4 = options.local.address.is_v4();
  const int fd = ::socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return SocketError{"socket", errno};
  UdpSocket result;
  result.state_ = std::make_shared<State>(io);
  boost::system::error_code failed;
  result.state_->socket.assign(v4 ? boost::asio::ip::udp::v4() : boost::asio::ip::udp::v6(), fd,
                               failed);
  if (failed) {
    ::close(fd);
    return SocketError{"epoll", failed.value()};
  }
  if (const char* step = configure(fd, options)) return SocketError{step, errno};
  sockaddr_storage address{};
  socklen_t length = net::to_sockaddr(options.local, address);
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), length) != 0) {
    return SocketError{"bind", errno};
  }
  result.local_ = options.local;
  if (options.local.port != 0) return result;
  length = sizeof address;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0) {
    return SocketError{"getsockname", errno};
  }
  result.local_ = net::from_sockaddr(address);
  return result;
}

UdpSocket& UdpSocket::operator=(UdpSocket&& other) noexcept {
  if (this != &other) {
    close();
    state_ = std::move(other.state_);
    local_ = other.local_;
  }
  return *this;
}

void UdpSocket::start(UdpReader& reader) {
  if (!state_) return;
  const bool waiting = state_->reader != nullptr;
  state_->reader = &reader;
  if (!waiting) State::wait(state_);
}

void UdpSocket::close() {
  if (!state_) return;
  state_->reader = nullptr;
  boost::system::error_code ignored;
  state_->socket.close(ignored);
  state_.reset();
}

int UdpSocket::receive(ReceiveBatch& batch) {
  if (!state_) return -EBADF;
  for (auto& header : batch.headers_) header.msg_hdr.msg_namelen = sizeof(sockaddr_storage);
  const int count = ::recvmmsg(state_->socket.native_handle(), batch.headers_.data(),
                               static_cast<unsigned>(batch.headers_.size()), MSG_DONTWAIT, nullptr);
  return count < 0 ? -errno : count;
}

int UdpSocket::send(const Endpoint& to, ByteView bytes) {
  if (!state_) return EBADF;
  if (to.address.is_v4() != local_.address.is_v4()) return EAFNOSUPPORT;
  sockaddr_storage address{};
  const socklen_t length = net::to_sockaddr(to, address);
  int error = 0;
  for (int attempt = 0; attempt < 2; ++attempt) {
    const auto sent =
        ::sendto(state_->socket.native_handle(), bytes.data(), bytes.size(),
                 MSG_DONTWAIT | MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&address), length);
    if (sent >= 0) return 0;
    error = errno;
    saw_error_ = true;
    if (error == EAGAIN || error == EMSGSIZE) break;
  }
  return error;
}

std::optional<DeliveryError> UdpSocket::next_error() {
  if (!state_) return std::nullopt;
  sockaddr_storage destination{};
  alignas(cmsghdr) std::array<char, 512> control{};
  msghdr message{};
  message.msg_name = &destination;
  message.msg_namelen = sizeof destination;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  if (::recvmsg(state_->socket.native_handle(), &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) {
    return std::nullopt;
  }
  DeliveryError result;
  result.destination = net::from_sockaddr(destination);
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part; part = CMSG_NXTHDR(&message, part)) {
    const bool ours = (part->cmsg_level == IPPROTO_IP && part->cmsg_type == IP_RECVERR) ||
                      (part->cmsg_level == IPPROTO_IPV6 && part->cmsg_type == IPV6_RECVERR);
    if (!ours || part->cmsg_len < CMSG_LEN(sizeof(sock_extended_err))) continue;
    sock_extended_err error{};
    std::memcpy(&error, CMSG_DATA(part), sizeof error);
    result.code = static_cast<int>(error.ee_errno);
    result.hard = is_hard(error);
  }
  return result;
}

}  // namespace isthmus::transport
