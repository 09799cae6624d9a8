#include "net/udp_channel.hpp"

#include <netinet/in.h>
#include <netinet/ip.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/ip/udp.hpp>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/limits.hpp"
#include "net/socket_address.hpp"

namespace isthmus::net {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {

constexpr std::size_t kBatch = limits::kMediaBatchPackets;
constexpr std::size_t kDatagramBytes = 2048;  ///< above any that a peer of ours sends
constexpr std::size_t kControlBytes = CMSG_SPACE(sizeof(in6_pktinfo)) + CMSG_SPACE(sizeof(int));
constexpr int kSocketBuffer = 4 * 1024 * 1024;  ///< the kernel cuts it to what it allows

bool set_option(int fd, int level, int name, int value) {
  return ::setsockopt(fd, level, name, &value, sizeof value) == 0;
}

error_code last_error() {
  return {errno, boost::system::system_category()};
}

/// Errors that say that this socket no longer reaches anybody.
bool tells_of_path(int error) {
  switch (error) {
    case ECONNREFUSED:
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case ENODEV:
    case EADDRNOTAVAIL:
    case EINVAL:
      return true;
    default:
      return false;
  }
}

/// Messages and their memory for one system call.
struct Batch {
  Batch() {
    for (std::size_t i = 0; i < kBatch; ++i) {
      vectors[i] = {bytes.data() + i * kDatagramBytes, kDatagramBytes};
      headers[i] = {};
      headers[i].msg_hdr.msg_iov = &vectors[i];
      headers[i].msg_hdr.msg_iovlen = 1;
    }
  }
  std::array<std::uint8_t, kBatch * kDatagramBytes> bytes{};
  std::array<iovec, kBatch> vectors{};
  std::array<sockaddr_storage, kBatch> addresses{};
  struct alignas(cmsghdr) Control {
    std::array<char, kControlBytes> bytes{};
  };
  std::array<Control, kBatch> controls{};
  std::array<mmsghdr, kBatch> headers{};
};

}  // namespace

struct UdpChannel::State : std::enable_shared_from_this<State> {
  explicit State(asio::io_context& io) : socket(io) {}

  error_code open(const UdpChannelOptions& options);
  void wait();
  void on_readable();
  void prepare(std::size_t index);
  void hand_over(std::size_t index);
  void flush();
  void told(int error);

  asio::ip::udp::socket socket;
  UdpChannelReader* reader = nullptr;
  Endpoint local;
  std::optional<Endpoint> peer;
  bool v6 = false;
  Batch in, out;
  std::size_t used = kBatch;  ///< messages of `in` to be made ready for the next read
  std::size_t gathered = 0;
  std::uint64_t not_sent = 0;
};

error_code UdpChannel::State::open(const UdpChannelOptions& options) {
  v6 = !options.bind.address.is_v4();
  const int fd = ::socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return last_error();
  error_code failed;
  socket.assign(v6 ? asio::ip::udp::v6() : asio::ip::udp::v4(), fd, failed);
  if (failed) {
    ::close(fd);
    return failed;
  }
  if (options.reuse_port && !set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1)) return last_error();
  if (v6) set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, options.bind.address.is_unspecified() ? 0 : 1);
  set_option(fd, SOL_SOCKET, SO_RCVBUF, kSocketBuffer);
  set_option(fd, SOL_SOCKET, SO_SNDBUF, kSocketBuffer);
  // RFC 9000 §14: never fragmented; PROBE lets packets above the kernel's idea of the MTU out.
  set_option(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
  if (v6) set_option(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
  if (!options.connect) {
    const bool told = v6 ? set_option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)
                         : set_option(fd, IPPROTO_IP, IP_PKTINFO, 1);
    if (!told) return last_error();
  }
  sockaddr_storage address{};
  socklen_t length = to_sockaddr(options.bind, address, v6);
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), length) != 0) return last_error();
  if (options.connect) {
    length = to_sockaddr(*options.connect, address, v6);
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), length) != 0) {
      return last_error();
    }
    peer = options.connect;
  }
  length = sizeof address;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0) return last_error();
  local = from_sockaddr(address);
  return {};
}

void UdpChannel::State::wait() {
  socket.async_wait(asio::socket_base::wait_read,
                    [self = shared_from_this()](const error_code& error) {
                      if (self->reader == nullptr) return;
                      if (!error) self->on_readable();
                      if (self->reader != nullptr) self->wait();
                    });
}

void UdpChannel::State::on_readable() {
  const auto self = shared_from_this();  // the reader may destroy the channel
  for (int turn = 0; turn < limits::kMediaBatchesPerTurn && reader != nullptr; ++turn) {
    while (used > 0) prepare(--used);
    const int count =
        ::recvmmsg(socket.native_handle(), in.headers.data(), kBatch, MSG_DONTWAIT, nullptr);
    if (count < 0) {
      told(errno);
      if (reader != nullptr) reader->on_batch_end();
      return;
    }
    used = static_cast<std::size_t>(count);
    for (std::size_t i = 0; i < used && reader != nullptr; ++i) hand_over(i);
    if (reader != nullptr) reader->on_batch_end();
    if (count < static_cast<int>(kBatch)) return;
  }
}

/// Gives a message its memory again: the kernel wrote how much of it was used.
void UdpChannel::State::prepare(std::size_t index) {
  msghdr& header = in.headers[index].msg_hdr;
  header.msg_name = &in.addresses[index];
  header.msg_namelen = sizeof in.addresses[index];
  header.msg_control = in.controls[index].bytes.data();
  header.msg_controllen = in.controls[index].bytes.size();
  header.msg_flags = 0;
}

void UdpChannel::State::hand_over(std::size_t index) {
  msghdr& header = in.headers[index].msg_hdr;
  if ((header.msg_flags & MSG_TRUNC) != 0) return;  // larger than any of ours
  quic::Path path{local, from_sockaddr(in.addresses[index])};
  for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
    if (part->cmsg_level == IPPROTO_IP && part->cmsg_type == IP_PKTINFO) {
      in_pktinfo info{};
      std::memcpy(&info, CMSG_DATA(part), sizeof info);
      path.local.address = IpAddress::v4(ntohl(info.ipi_addr.s_addr));
    } else if (part->cmsg_level == IPPROTO_IPV6 && part->cmsg_type == IPV6_PKTINFO) {
      in6_pktinfo info{};
      std::memcpy(&info, CMSG_DATA(part), sizeof info);
      path.local.address = from_in6(info.ipi6_addr);
    }
  }
  reader->on_datagram(path, {in.bytes.data() + index * kDatagramBytes, in.headers[index].msg_len});
}

void UdpChannel::State::told(int error) {
  if (reader != nullptr && tells_of_path(error)) {
    reader->on_error(error_code(error, boost::system::system_category()));
  }
}

void UdpChannel::State::flush() {
  std::size_t done = 0;
  const std::size_t count = std::exchange(gathered, 0);
  while (done < count && socket.is_open()) {
    const int sent = ::sendmmsg(socket.native_handle(), out.headers.data() + done,
                                static_cast<unsigned>(count - done), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent > 0) {
      done += static_cast<std::size_t>(sent);
      continue;
    }
    // One that the system does not take is lost, as on any path; the others go on.
    const int error = errno;
    ++done;
    ++not_sent;
    // A probe of the path's MTU may well be too large for it.
    if (error != EMSGSIZE) told(error);
  }
}

Result<std::unique_ptr<UdpChannel>, error_code> UdpChannel::open(asio::io_context& io,
                                                                 const UdpChannelOptions& options) {
  auto state = std::make_shared<State>(io);
  if (const error_code failed = state->open(options)) return failed;
  return std::unique_ptr<UdpChannel>(new UdpChannel(std::move(state)));
}

UdpChannel::~UdpChannel() {
  close();
}

error_code UdpChannel::steer(const quic::ShardFilter& filter) {
  quic::ShardFilter copy = filter;  // the kernel's interface is not const
  const sock_fprog program{static_cast<unsigned short>(copy.size()), copy.data()};
  if (::setsockopt(state_->socket.native_handle(), SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program,
                   sizeof program) != 0) {
    return last_error();
  }
  return {};
}

void UdpChannel::start(UdpChannelReader& reader) {
  state_->reader = &reader;
  state_->wait();
}

void UdpChannel::close() {
  state_->reader = nullptr;
  error_code ignored;
  state_->socket.close(ignored);
}

const Endpoint& UdpChannel::local() const {
  return state_->local;
}
std::uint64_t UdpChannel::not_sent() const {
  return state_->not_sent;
}

void UdpChannel::send(const quic::Path& path, ByteView datagram) {
  State& state = *state_;
  if (datagram.size() > kDatagramBytes) return;
  const std::size_t index = state.gathered;
  Batch& out = state.out;
  msghdr& header = out.headers[index].msg_hdr;
  std::memcpy(out.bytes.data() + index * kDatagramBytes, datagram.data(), datagram.size());
  out.vectors[index].iov_len = datagram.size();
  header.msg_name = nullptr;
  header.msg_namelen = 0;
  header.msg_control = nullptr;
  header.msg_controllen = 0;
  if (!state.peer) {
    header.msg_name = &out.addresses[index];
    header.msg_namelen = to_sockaddr(path.remote, out.addresses[index], state.v6);
    if (!path.local.address.is_unspecified()) {
      auto& control = out.controls[index].bytes;
      control.fill(0);
      header.msg_control = control.data();
      header.msg_controllen = control.size();
      cmsghdr* part = CMSG_FIRSTHDR(&header);
      if (state.v6) {
        in6_pktinfo info{};
        info.ipi6_addr = to_in6(path.local.address);
        part->cmsg_level = IPPROTO_IPV6;
        part->cmsg_type = IPV6_PKTINFO;
        part->cmsg_len = CMSG_LEN(sizeof info);
        std::memcpy(CMSG_DATA(part), &info, sizeof info);
        header.msg_controllen = CMSG_SPACE(sizeof info);
      } else {
        in_pktinfo info{};
        info.ipi_spec_dst.s_addr = htonl(path.local.address.v4_host_order());
        part->cmsg_level = IPPROTO_IP;
        part->cmsg_type = IP_PKTINFO;
        part->cmsg_len = CMSG_LEN(sizeof info);
        std::memcpy(CMSG_DATA(part), &info, sizeof info);
        header.msg_controllen = CMSG_SPACE(sizeof info);
      }
    }
  }
  if (++state.gathered == kBatch) state.flush();
}

void UdpChannel::flush() {
  const auto state = state_;
  state->flush();
}

}  // namespace isthmus::net
