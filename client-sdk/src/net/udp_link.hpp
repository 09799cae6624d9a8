#pragma once
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "net/deadline_timer.hpp"
#include "quic/link_core.hpp"
#include "wire/link.hpp"

namespace isthmus::net {

class UdpLinkRunner;

/// What a UDP link asks of the socket under it.
class UdpLinkHost {
 public:
  virtual ~UdpLinkHost() = default;
  virtual quic::DatagramSink& sink() = 0;
  virtual void flush_sink() = 0;
  /// A link has media to send: call its flush_media() when what is ready together was given to it.
  virtual void on_media_waiting(std::shared_ptr<UdpLinkRunner> runner) = 0;
  /// The link will send and take nothing any more. Called from io_context's thread, outside of any
  /// call of the link's owner.
  virtual void on_link_over() = 0;
};

/// The clock, timer and turns of one UDP link's core, at either end. Held by whoever uses the link;
/// without that, by itself until the link is over.
class UdpLinkRunner final : public quic::LinkEvents,
                            public std::enable_shared_from_this<UdpLinkRunner> {
 public:
  UdpLinkRunner(boost::asio::io_context& io, quic::LinkCore::Side side,
                std::unique_ptr<quic::Connection> connection, std::uint32_t media_id,
                std::shared_ptr<UdpLinkHost> host);

  /// Until a handler is set: the handshake is done, or failed for this reason.
  std::function<void()> when_ready;
  std::function<void(const quic::End&)> when_failed;

  quic::LinkCore& core() { return core_; }
  const quic::LinkCore& core() const { return core_; }
  /// From inside of no call of the core.
  void start(wire::LinkHandler& handler);
  /// A client's: sends the Hello as early data, if there can be any.
  void say_early(ByteView hello) { hello_said_ = core_.send_early(hello); }
  /// The Hello that is due now went out as early data. True once.
  bool take_hello_said() { return std::exchange(hello_said_, false); }
  /// The link's owner is gone: what is closing goes on alone, anything else is cut.
  void detach();
  /// Sends what is due, once what happens now is over.
  void touch();
  /// Same, now: after a batch of datagrams.
  void flush();
  /// As touch(), for media alone.
  void touch_media();
  /// The host gives media to its sink, which it flushes.
  void flush_media(Instant now, quic::DatagramSink& sink);

  void on_ready() override;
  void on_reliable(wire::Channel channel, ByteView bytes) override;
  void on_media(wire::Channel channel, ByteView bytes) override;
  void on_closed(wire::CloseCode code, const std::string& reason) override;

 private:
  void on_timer();

  boost::asio::io_context& io_;
  std::shared_ptr<UdpLinkHost> host_;
  quic::LinkCore core_;
  wire::LinkHandler* handler_ = nullptr;
  DeadlineTimer timer_;
  boost::asio::steady_timer linger_;  ///< holds this while the link ends without an owner
  bool flush_posted_ = false, media_waiting_ = false, hello_said_ = false;
};

/// A UDP link: QUIC for reliable frames, SRTP beside it for media, on one socket. The rules of
/// threads and callbacks are those of wire::Link.
class UdpLink final : public wire::Link {
 public:
  explicit UdpLink(std::shared_ptr<UdpLinkRunner> runner) : runner_(std::move(runner)) {}
  ~UdpLink() override { runner_->detach(); }

  void start(wire::LinkHandler& handler) override { runner_->start(handler); }
  void send_reliable(wire::Channel channel, ByteView bytes) override;
  void send_media(wire::Channel channel, ByteView bytes) override;
  void close(wire::CloseCode code, std::string_view reason) override;
  Endpoint local() const override { return runner_->core().media_path().local; }
  Endpoint remote() const override { return runner_->core().media_path().remote; }
  wire::LinkCounters counters() const override;
  std::uint32_t media_id() const override { return runner_->core().media_id(); }
  void set_peer_media_id(std::uint32_t id) override { runner_->core().set_peer_media_id(id); }

 private:
  std::shared_ptr<UdpLinkRunner> runner_;
};

}  // namespace isthmus::net
