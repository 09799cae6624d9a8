#pragma once
#include <memory>
#include <vector>

#include "base/limits.hpp"
#include "media/relay.hpp"
#include "media/round_trip.hpp"
#include "rtp/receive_statistics.hpp"

namespace isthmus::media {

/// Channels come from a remote SDP: on another one media would reach the client as control or SIP.
inline bool is_media_channel(std::uint32_t channel) {
  return channel >= limits::kFirstMediaChannel &&
         channel < limits::kFirstMediaChannel + limits::kChannelsPerSession;
}

/// One socket of a network stream.
struct Relay::Port final : transport::UdpReader {
  Port(Relay& owner, Stream& of, bool carries_control)
      : relay(owner), stream(of), control(carries_control) {}
  void on_readable() override { relay.read_port(*this); }

  Relay& relay;
  Stream& stream;
  bool control;  ///< the odd one
  transport::UdpSocket socket;
};

/// One endpoint: a socket pair, a channel pair or a service.
struct Relay::Stream {
  enum class Kind : std::uint8_t { network, link, echo, tone };

  Stream(Relay& relay, SourcePolicy policy);  ///< relay.cpp, where EventStream is whole
  ~Stream();

  call::MediaEndpointId id = 0, peer = 0;
  Kind kind = Kind::network;
  bool closed = false;
  bool ipv6 = false;
  std::uint16_t port = 0;  ///< or channel; even
  call::RemoteMedia remote;
  bool has_destination = false;  ///< remote may be sent to
  SourceLatch media_latch, control_latch;
  Port media, control;
  Session* session = nullptr;  ///< link: none once it is gone
  std::uint32_t ssrc = 0;      ///< services: their own
  std::uint16_t tone_sequence = 0;
  std::uint64_t tone_packets = 0;
  std::uint32_t tone_timestamp = 0;
  bool tone_playing = false;

  std::unique_ptr<EventStream> events;  ///< where digits are converted, else null

  rtp::ReceiveStatistics received;
  RoundTrip round_trip;
  std::uint64_t dropped = 0, packets_sent = 0;
  std::optional<Instant> last_packet;
};

struct Relay::Session {
  static constexpr std::size_t kPairs = limits::kChannelsPerSession / 2;
  MediaLink* link = nullptr;
  std::vector<Stream*> pairs;  ///< by (channel - first) / 2, as far as some was used
  std::size_t next = 0;        ///< where the search for a free pair begins: freed ones come last
};

/// While one exists, closed streams are kept: they may be on the call stack.
class Relay::Dispatch {
 public:
  explicit Dispatch(Relay& relay) : relay_(relay) { ++relay_.dispatching_; }
  ~Dispatch() {
    if (--relay_.dispatching_ == 0) relay_.bury();
  }
  Dispatch(const Dispatch&) = delete;
  Dispatch& operator=(const Dispatch&) = delete;

 private:
  Relay& relay_;
};

}  // namespace isthmus::media
