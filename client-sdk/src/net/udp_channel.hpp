#pragma once
#include <boost/asio/io_context.hpp>
#include <boost/system/error_code.hpp>
#include <cstdint>
#include <memory>
#include <optional>

#include "base/address.hpp"
#include "base/bytes.hpp"
#include "base/result.hpp"
#include "quic/link_core.hpp"
#include "quic/shard_filter.hpp"

namespace isthmus::net {

struct UdpChannelOptions {
  Endpoint bind;                    ///< port 0: any. [::] takes IPv4 as well.
  std::optional<Endpoint> connect;  ///< a client's: only this peer, and its ICMP errors are told
  bool reuse_port = false;          ///< several sockets share the port (SO_REUSEPORT)
};

/// Takes what a channel receives, from the io_context's thread.
class UdpChannelReader {
 public:
  virtual ~UdpChannelReader() = default;
  virtual void on_datagram(const quic::Path& path, MutableBytes datagram) = 0;
  virtual void on_batch_end() = 0;  ///< what came together was handed over
  /// Sending or receiving failed with an errno that says something of the path.
  virtual void on_error(const boost::system::error_code& error) = 0;
};

/// The UDP socket of links: received and sent in batches (recvmmsg, sendmmsg), never fragmented
/// (the path's MTU is probed), and answered from the address that was asked. Allocates nothing once
/// open. One thread; a reader may close and destroy the channel from inside.
class UdpChannel final : public quic::DatagramSink {
 public:
  static Result<std::unique_ptr<UdpChannel>, boost::system::error_code> open(
      boost::asio::io_context& io, const UdpChannelOptions& options);
  ~UdpChannel() override;
  UdpChannel(const UdpChannel&) = delete;
  UdpChannel& operator=(const UdpChannel&) = delete;

  /// Has the kernel choose by `filter` among the sockets that share this one's port.
  boost::system::error_code steer(const quic::ShardFilter& filter);
  void start(UdpChannelReader& reader);
  void close();
  const Endpoint& local() const;

  /// Gathers the datagram; a full batch goes out at once.
  void send(const quic::Path& path, ByteView datagram) override;
  void flush();
  /// Datagrams that the system did not take: its buffer was full, or the path is gone.
  std::uint64_t not_sent() const;

 private:
  struct State;
  explicit UdpChannel(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

}  // namespace isthmus::net
