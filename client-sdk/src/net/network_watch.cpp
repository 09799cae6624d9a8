#include "net/network_watch.hpp"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/time.hpp"
#include "net/asio_address.hpp"

namespace isthmus::net {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {

/// An interface that comes up brings address and routes within some milliseconds of each other.
constexpr Duration kTogether = milliseconds(50);

int open_netlink() {
  const int fd = ::socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (fd < 0) return fd;
  sockaddr_nl local{};
  local.nl_family = AF_NETLINK;
  local.nl_groups =
      RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE;
  sockaddr generic{};
  static_assert(sizeof local <= sizeof generic);
  std::memcpy(&generic, &local, sizeof local);
  if (::bind(fd, &generic, sizeof local) == 0) return fd;
  ::close(fd);
  return -1;
}

}  // namespace

struct NetworkWatch::State : std::enable_shared_from_this<State> {
  State(asio::io_context& io, std::function<void()> then)
      : changed(std::move(then)), notices(io), together(io) {}

  void wait() {
    notices.async_wait(asio::posix::stream_descriptor::wait_read,
                       [weak = weak_from_this()](const error_code& error) {
                         const auto self = weak.lock();
                         if (error || !self || !self->changed) return;
                         if (self->drain()) self->wait();
                       });
  }
  /// What changed is not read: it is asked for afresh. @return false when the socket is of no use
  bool drain() {
    std::array<char, 8192> buffer;
    for (;;) {
      if (::recv(notices.native_handle(), buffer.data(), buffer.size(), 0) > 0) continue;
      if (errno == EINTR) continue;
      break;
    }
    const bool usable = errno == EAGAIN || errno == ENOBUFS;  // of the latter: notices were lost
    if (!armed) {
      armed = true;
      together.expires_after(kTogether);
      together.async_wait([weak = weak_from_this()](const error_code& error) {
        const auto self = weak.lock();
        if (error || !self) return;
        self->armed = false;
        if (const auto then = self->changed) then();
      });
    }
    return usable;
  }

  std::function<void()> changed;
  asio::posix::stream_descriptor notices;
  asio::steady_timer together;
  bool armed = false;
};

NetworkWatch::NetworkWatch(asio::io_context& io, std::function<void()> changed)
    : state_(std::make_shared<State>(io, std::move(changed))) {
  const int fd = open_netlink();
  if (fd < 0) return;
  error_code failed;
  state_->notices.assign(fd, failed);
  if (failed) {
    ::close(fd);
  } else {
    state_->wait();
  }
}

NetworkWatch::~NetworkWatch() {
  state_->changed = nullptr;
  state_->together.cancel();
  error_code ignored;
  state_->notices.close(ignored);
}

std::optional<IpAddress> source_toward(asio::io_context& io, const Endpoint& remote) {
  using asio::ip::udp;
  const udp::endpoint to = to_asio<udp>(remote);
  udp::socket probe(io);
  error_code failed;
  probe.open(to.protocol(), failed);
  if (!failed) probe.connect(to, failed);  // sends nothing
  const udp::endpoint from = failed ? udp::endpoint() : probe.local_endpoint(failed);
  if (failed) return std::nullopt;
  return from_asio(from).address;
}

}  // namespace isthmus::net
