#pragma once
#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/address.hpp"
#include "base/bytes.hpp"
#include "base/limits.hpp"
#include "base/random.hpp"
#include "base/time.hpp"
#include "call/media_plane.hpp"
#include "media/drop_reason.hpp"
#include "media/port_pool.hpp"
#include "media/source_latch.hpp"
#include "media/spare_pairs.hpp"
#include "media/tone.hpp"
#include "rtp/digit_collector.hpp"
#include "rtp/rtp_packet.hpp"
#include "transport/udp_socket.hpp"

namespace isthmus::media {

/// A session's link as the relay sees it.
class MediaLink {
 public:
  virtual ~MediaLink() = default;
  /// May be lost. `bytes` are valid during the call only.
  virtual void send_media(std::uint32_t channel, ByteView bytes) = 0;
};

struct RelayConfig {
  IpAddress bind_v4;                 ///< 0.0.0.0: every address
  std::optional<IpAddress> bind_v6;  ///< none: IPv6 legs get no media (MediaError::socket_failed)
  std::optional<IpAddress>
      advertised_v4;  ///< for SDP, when a 1:1 NAT or a wildcard stands before it
  std::optional<IpAddress> advertised_v6;
  std::uint16_t port_low = 20000, port_high = 29999;  ///< inclusive
  SourcePolicy source = SourcePolicy::learn;
  bool mark_traffic = true;               ///< DSCP EF
  int receive_buffer_bytes = 256 * 1024;  ///< of each socket: a burst of video
  /// Kept for calls to come, at most half of the ports; see SparePairs. 0: none.
  std::size_t spare_pairs = 0;
  Duration spare_quiet = limits::kSparePairQuiet;
};

struct RelayCounters {
  std::uint64_t packets_in = 0, bytes_in = 0, packets_out = 0, bytes_out = 0;
  std::uint64_t service_packets = 0;      ///< taken by an echo or tone service
  std::uint64_t late_packets = 0;         ///< to ports whose call is over; in no other count
  std::uint64_t event_packets = 0;        ///< events taken out, and what gave way to played ones
  std::uint64_t unreachable_remotes = 0;  ///< descriptions with the other kind of IP address
  std::uint64_t receive_errors = 0;       ///< of the receive call; the loop went on
  std::array<std::uint64_t, kDropReasons> drops{};  ///< by DropReason; [none] stays 0
  std::uint64_t dropped(DropReason reason) const { return drops[static_cast<std::size_t>(reason)]; }
};

/// A digit that was taken out of a stream (call::TelephoneEvents::taken).
struct HeardDigit {
  call::MediaEndpointId from = 0;
  std::uint64_t call = 0;
  char digit = '\0';
  unsigned duration_ms = 0;
};

/// Relays RTP and RTCP between network sockets, links and services, byte for byte and blind to
/// codecs.
///
/// Everything runs on the io_context's thread. A packet goes from its socket or link to its
/// destination synchronously, without allocation, lock or log line. RTCP is told from RTP by its
/// port or channel, and on a side that agreed to rtcp-mux by its second byte (RFC 5761 §4); it
/// leaves on the port that the other side wants. The echo service sends RTP back with an SSRC of
/// its own, all else unchanged (the sender's own SSRC would look like a loop, RFC 3550 §8.2), and
/// takes RTCP without answer. The tone service plays a 425 Hz tone in the first format of its
/// peer's SDP, if that is PCMU or PCMA, as long as the peer has a destination.
class Relay final : public call::MediaPlane {
 public:
  /// @param random outlives the relay; SSRCs and the first port. Cannot fail: sockets come with
  /// streams.
  Relay(boost::asio::io_context& io, const RelayConfig& config, Random& random);
  ~Relay() override;
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;

  /// A session's link came up, or another took its place. `link` stays valid until remove_session
  /// or another add.
  void add_session(std::uint64_t session, MediaLink& link);
  /// Its streams stay until they are closed, but nothing goes in or out of them. Unknown ids are
  /// ignored.
  void remove_session(std::uint64_t session);
  /// A media frame from a link. Never fails; bad ones are counted.
  void on_link_media(std::uint64_t session, std::uint32_t channel, ByteView bytes, Instant now);

  Result<call::LocalMedia, call::MediaError> open_network(bool ipv6) override;
  Result<call::LocalMedia, call::MediaError> open_link(std::uint64_t session) override;
  Result<call::LocalMedia, call::MediaError> open_service(call::MediaService service) override;
  void set_remote(call::MediaEndpointId id, const call::RemoteMedia& remote) override;
  void join(call::MediaEndpointId a, call::MediaEndpointId b) override;
  void close(call::MediaEndpointId id) override;
  call::MediaStatistics statistics(call::MediaEndpointId id) const override;
  std::optional<std::uint64_t> idle_ms(call::MediaEndpointId id) const override;
  bool play_digit(call::MediaEndpointId to, char digit, unsigned duration_ms) override;
  std::function<void(const HeardDigit&)> on_digit;  ///< never from inside another call

  const RelayCounters& counters() const { return counters_; }
  std::size_t open_endpoints() const { return open_; }
  std::size_t port_pairs() const { return ports_.size(); }
  std::size_t free_port_pairs() const { return ports_.available() + spares_.size(); }
  std::size_t spare_pairs() const { return spares_.size(); }  ///< of the free ones

 private:
  struct Stream;
  struct Port;
  struct Session;
  struct EventStream;
  class Dispatch;

  // Streams (relay.cpp)
  Stream& add_stream();
  Stream* find(call::MediaEndpointId id) const;
  call::LocalMedia local_of(const Stream& stream) const;
  Result<SocketPair, transport::SocketError> bind_pair(const IpAddress& address,
                                                       std::uint16_t port);
  void use_pair(Stream& stream, SocketPair pair);
  void leave_session(Stream& stream);
  void schedule_tones();
  void play_tones(Instant now);
  void bury();

  // Packets (relay_forward.cpp)
  void read_port(Port& port);
  DropReason on_network_packet(Stream& stream, bool control_port, const Endpoint& source,
                               ByteView bytes, Instant now);
  DropReason on_link_packet(std::uint64_t session, std::uint32_t channel, ByteView bytes,
                            Instant now, Stream*& stream);
  DropReason on_fax(Stream& stream, const Endpoint& source, ByteView bytes, Instant now);
  DropReason on_control(Stream& stream, ByteView bytes, Instant now);
  DropReason forward(Stream& from, ByteView bytes, bool control, Instant now);
  DropReason send_to(Stream& to, ByteView bytes, bool control);
  DropReason send_to_network(Stream& to, ByteView bytes, bool control);
  DropReason send_to_link(Stream& to, ByteView bytes, bool control);
  DropReason forward_rtp(Stream& from, const rtp::RtpView& packet, ByteView bytes, Instant now);
  DropReason echo(Stream& service, Stream& from, ByteView bytes, Instant now);
  void count(Stream* stream, DropReason outcome);

  // Telephone events (relay_events.cpp)
  void watch_events(Stream& stream);
  DropReason forward_spliced(Stream& from, const rtp::RtpView& packet, ByteView bytes, Instant now);
  void report(const Stream& from, const rtp::DigitCollector::Digit& digit);
  void schedule_events();
  void play_events(Instant now);
  bool play_event(Stream& from, Stream& to, Instant now);

  boost::asio::io_context& io_;
  RelayConfig config_;
  Random& random_;
  PortPool ports_;
  transport::ReceiveBatch batch_;
  RelayCounters counters_;
  SparePairs spares_;
  std::vector<std::unique_ptr<Stream>> slots_;  ///< index: low half of an id, less one
  std::vector<std::uint32_t> free_slots_;
  std::vector<std::unique_ptr<Stream>> dead_;  ///< closed while a packet was on its way through
  std::unordered_map<std::uint64_t, std::unique_ptr<Session>> sessions_;
  std::uint32_t next_generation_ = 1;
  std::size_t open_ = 0, tones_ = 0;
  int dispatching_ = 0;
  Tone tone_;
  boost::asio::steady_timer tone_timer_;
  bool tones_scheduled_ = false;
  boost::asio::steady_timer event_timer_;
  std::vector<call::MediaEndpointId> playing_;  ///< to which digits are played
  std::vector<HeardDigit> heard_;               ///< not told yet
  std::shared_ptr<Relay*> self_;                ///< emptied on destruction, for the timer
};

}  // namespace isthmus::media
