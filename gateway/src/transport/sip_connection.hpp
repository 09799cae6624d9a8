#pragma once
#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/limits.hpp"
#include "base/time.hpp"
#include "sip/flow.hpp"
#include "sip/stream_framer.hpp"
#include "sip/transaction.hpp"
#include "transport/tls_peer.hpp"

namespace isthmus::transport {

/// How long the steps of a connection may take. Tests shorten them.
struct SipStreamTimes {
  Duration connect = seconds(5);         ///< TCP; far below timer B, so that the next host is tried
  Duration handshake = seconds(10);      ///< TLS
  Duration first_message = seconds(30);  ///< an accepted connection that says nothing is not kept
  Duration message = seconds(32);        ///< one message from first byte to last: 64*T1
  Duration idle = seconds(7200);         ///< without a SIP message
  Duration ping = seconds(30);           ///< CRLF pings on connections that we opened; zero: none
  Duration pong = seconds(10);           ///< RFC 5626 §4.4.1
  Duration write = seconds(30);          ///< a peer that takes nothing is not waited for
  Duration linger = seconds(2);          ///< after our last byte, for the peer to take it
};

enum class ConnectionEnd : std::uint8_t {
  none,
  connect_failed,
  connect_timeout,
  tls_failed,
  handshake_timeout,
  peer_closed,
  io_error,
  input_timeout,  ///< nothing came at first, or a message came too slowly
  idle,
  pong_timeout,
  queue_full,
  write_timeout,
  fault,  ///< we closed it behind an unframeable message
};

class SipConnection;

class SipConnectionOwner {
 public:
  virtual ~SipConnectionOwner() = default;
  /// Connected, and hands were shaken: messages flow.
  virtual void on_open(SipConnection& connection) = 0;
  /// The connection may be closed inside.
  virtual void on_item(SipConnection& connection, const sip::StreamFramer::Item& item) = 0;
  /// It is over; once, from the event loop.
  virtual void on_end(SipConnection& connection) = 0;
};

/// One TCP or TLS connection that carries SIP, accepted or opened: bytes in become items of a
/// StreamFramer, messages out wait in a bounded queue. All of it on the io_context's thread. The
/// handlers of its socket own it; detach() parts it from its owner.
class SipConnection : public std::enable_shared_from_this<SipConnection> {
 public:
  using Socket = boost::asio::basic_stream_socket<boost::asio::ip::tcp,
                                                  boost::asio::io_context::executor_type>;
  using Tls = boost::asio::ssl::stream<Socket>;
  using Context = std::shared_ptr<boost::asio::ssl::context>;  ///< empty: plain TCP

  /// @param flow  as messages that come by it are reported
  SipConnection(boost::asio::io_context& io, SipConnectionOwner& owner, const SipStreamTimes& times,
                std::uint32_t id, sip::Flow flow, Socket socket, Context tls);

  /// For a socket that was accepted.
  void start_accepted();
  /// @param bind  our address, if it matters; @param peer whom to expect over TLS
  void start_opening(const std::optional<IpAddress>& bind, TlsPeer peer);

  /// Queues a message. @return false: it is over, or just ended because its queue is full.
  bool send(std::string bytes);
  /// Sends what waits, then closes. What still comes is not looked at.
  void close_after_writes();
  /// Ends it now; on_end() follows.
  void end(ConnectionEnd reason, std::string text = {});
  /// Closes without a word to the owner.
  void detach();
  /// What is due by time. Called every now and then.
  void check(Instant now);
  void note_message(Instant now) {
    last_message_ = now;
    had_message_ = true;
  }
  void note_pong() { ponged_ = true; }

  std::uint32_t id() const { return id_; }
  const sip::Flow& flow() const { return flow_; }
  bool accepted() const { return accepted_; }
  bool alive() const { return state_ < State::closing; }
  bool was_open() const { return was_open_; }
  /// Messages were lost with it.
  bool unsent() const { return !queue_.empty() || !writing_.empty(); }
  ConnectionEnd why() const { return why_; }
  const std::string& trouble() const { return trouble_; }

 private:
  enum class State : std::uint8_t { connecting, handshaking, open, closing, closed };

  template <typename Step>
  void with_stream(Step step);
  Socket& socket() { return tls_stream_ ? tls_stream_->next_layer() : *socket_; }
  void set_options();
  void shake_hands(bool as_client);
  void opened();
  void read();
  void on_read(const boost::system::error_code& error, std::size_t count);
  void take(std::string_view bytes);
  void flush();
  void on_written(const boost::system::error_code& error);
  void ping(Instant now);

  boost::asio::io_context& io_;
  SipConnectionOwner* owner_;
  const SipStreamTimes& times_;
  std::uint32_t id_;
  sip::Flow flow_;
  Context context_;
  std::optional<Socket> socket_;  ///< plain TCP
  std::optional<Tls> tls_stream_;
  TlsPeer peer_;
  std::string verdict_;  ///< on the peer's certificate
  State state_ = State::connecting;
  bool accepted_ = true, was_open_ = false, had_message_ = false, shut_ = false;
  ConnectionEnd why_ = ConnectionEnd::none;
  std::string trouble_;

  sip::StreamFramer framer_;
  std::array<char, limits::kSipStreamReadBytes> input_;
  std::deque<std::string> queue_;
  std::vector<std::string> writing_;
  std::size_t queued_bytes_ = 0;

  Instant deadline_ = sip::kNever;  ///< of the present step
  Instant last_message_, last_ping_;
  Instant message_since_ = sip::kNever;  ///< when the unfinished message began to come
  Instant writing_since_ = sip::kNever;
  Instant pong_due_ = sip::kNever;
  bool ponged_ = false;  ///< the peer has answered a ping: from then on its silence means something
};

}  // namespace isthmus::transport
