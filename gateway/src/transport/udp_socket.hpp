#pragma once
#include <sys/socket.h>

#include <boost/asio/io_context.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/address.hpp"
#include "base/bytes.hpp"
#include "base/result.hpp"

namespace isthmus::transport {

/// A system call that failed while a socket was being made.
struct SocketError {
  const char* step = "";  ///< "bind", "socket"...
  int code = 0;           ///< errno
  std::string to_string() const;
};

/// Traffic classes as the IP header's second byte carries them (RFC 4594): media and signalling.
inline constexpr std::uint8_t kExpeditedForwarding = 0xb8;
inline constexpr std::uint8_t kClassSelector3 = 0x60;

struct UdpOptions {
  Endpoint local;                  ///< port 0: any
  int receive_buffer_bytes = 0;    ///< 0: the system's
  std::uint8_t traffic_class = 0;  ///< 0: left alone
  bool error_queue = false;        ///< ICMP errors can be read by next_error()
  bool fragment = false;           ///< never set DF: large SIP messages go out in fragments
};

/// Buffers of one batch of datagrams, allocated once and shared by any number of sockets of one
/// thread.
class ReceiveBatch {
 public:
  ReceiveBatch(std::size_t datagrams, std::size_t bytes_each);
  std::size_t size() const { return headers_.size(); }
  struct Datagram {
    ByteView bytes;  ///< valid until the next receive into this batch
    Endpoint source;
    bool truncated = false;  ///< it was longer than a buffer
  };
  Datagram datagram(std::size_t index) const;

 private:
  friend class UdpSocket;
  std::size_t bytes_each_;
  std::vector<std::uint8_t> buffer_;
  std::vector<sockaddr_storage> sources_;
  std::vector<iovec> vectors_;
  std::vector<mmsghdr> headers_;
};

/// An ICMP error about a datagram that this socket sent (ip(7), IP_RECVERR).
struct DeliveryError {
  Endpoint destination;  ///< where the datagram was meant to go
  int code = 0;          ///< errno
  bool hard = false;     ///< unreachable or parameter problem: RFC 3261 §18.4 reports these
};

/// Called by the io_context's thread whenever datagrams or errors wait. Read them until the socket
/// would block, or for a bounded while: what is left raises the next call.
class UdpReader {
 public:
  virtual ~UdpReader() = default;
  virtual void on_readable() = 0;
};

/// A non-blocking UDP socket, IPv4 or IPv6 only. Reading and sending are plain system calls; Asio
/// tells readiness. No allocation after start(). One thread. A reader may close and destroy the
/// socket in on_readable().
class UdpSocket {
 public:
  UdpSocket() = default;  ///< closed
  static Result<UdpSocket, SocketError> open(boost::asio::io_context& io,
                                             const UdpOptions& options);
  ~UdpSocket() { close(); }
  UdpSocket(UdpSocket&&) noexcept = default;
  UdpSocket& operator=(UdpSocket&& other) noexcept;

  /// Calls `reader` on readiness until close().
  void start(UdpReader& reader);
  void close();
  bool is_open() const { return state_ != nullptr; }
  const Endpoint& local() const { return local_; }

  /// @return number of datagrams put into `batch`, or a negative errno (-EAGAIN: none waits).
  int receive(ReceiveBatch& batch);
  /// @return 0, or an errno. An error that the kernel held from an earlier datagram is not this
  /// one's:
  ///         the call is repeated once.
  int send(const Endpoint& to, ByteView bytes);
  /// Whether a send found an error that the kernel held: it is in the error queue, and receive()
  /// will not tell of it. Until it is asked.
  bool saw_error() { return std::exchange(saw_error_, false); }
  /// Next error of the error queue, if any waits.
  std::optional<DeliveryError> next_error();

 private:
  struct State;
  std::shared_ptr<State> state_;
  Endpoint local_;
  bool saw_error_ = false;
};

}  // namespace isthmus::transport
