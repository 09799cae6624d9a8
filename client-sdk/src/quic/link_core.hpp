#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "quic/connection.hpp"
#include "quic/media_cipher.hpp"
#include "wire/frame.hpp"
#include "wire/link.hpp"

namespace isthmus::quic {

/// What a datagram on a link's socket is, by its first byte (RFC 9443 §3).
enum class DatagramKind : std::uint8_t { quic, media, other };
DatagramKind kind_of(ByteView datagram);

/// Takes the datagrams that a link wants to be sent.
class DatagramSink {
 public:
  virtual ~DatagramSink() = default;
  virtual void send(const Path& path, ByteView datagram) = 0;
};

/// What a link reports. The core may be closed from inside, and not destroyed.
class LinkEvents : public wire::LinkHandler {
 public:
  virtual void on_ready() = 0;  ///< once: the link can be used
};

/// Datagrams and what became of them; frames are counted once they are handed on.
struct UdpCounters {
  std::uint64_t datagrams_in = 0, datagrams_out = 0;
  std::uint64_t bytes_in = 0, bytes_out = 0;
  std::uint64_t reliable_frames_in = 0, reliable_frames_out = 0;
  std::uint64_t media_frames_in = 0, media_frames_out = 0;  ///< out: accepted for sending
  std::uint64_t media_packets_in = 0, media_packets_out = 0;
  std::uint64_t media_bytes_in = 0, media_bytes_out = 0;  ///< of those, as UDP carries them
  std::uint64_t media_too_large = 0;  ///< dropped: no datagram of this path takes the frame
  std::uint64_t media_early = 0;      ///< dropped: keys or the peer's media id were not there yet
  std::uint64_t media_forged = 0, media_replayed = 0, media_malformed = 0;
  std::uint64_t other_datagrams = 0;   ///< neither QUIC nor media
  std::uint64_t malformed_frames = 0;  ///< each ended the link
  std::uint64_t media_lost = 0;        ///< of the peer, by its counter
  std::uint64_t address_moves = 0;     ///< the peer's address changed
  std::uint64_t early_hellos = 0;   ///< in early data: sent, or taken before the handshake was done
  std::uint64_t early_refused = 0;  ///< sent as early data, and again after the handshake
  std::uint64_t key_updates = 0;    ///< of QUIC
  std::uint64_t early_held = 0;     ///< links whose early data waited for the end of the handshake
};

/// One end of a UDP link: QUIC for reliable frames, SRTP for media beside it, both on one socket
/// that it does not know. Pure: datagrams and time come in, datagrams go out. Single-threaded.
///
///     shaking hands ──▶ open ──close()──▶ draining ──all acknowledged──▶ closed ─▶ on_closed
///       │      │         ▲ │                  └── limits::kLinkCloseLife ──▲
///       │      └▶ early ─┘ │
///       └─────────────┴────┴── the peer closed, a fault, too_slow ─────────┘
///
/// Early: a Hello that resumes a session came as early data. It alone is handed on, and answered,
/// before the client has shown that it is who it seems to be: its token is good once. Whatever else
/// comes, media included, waits for the handshake.
///
/// Media goes to the address from which the newest authenticated packet came, of either kind: a
/// client whose address changes is followed by the next packet that it sends.
class LinkCore {
 public:
  enum class Side : std::uint8_t { client, server };

  /// @param media_id  SSRC on which this end receives media packets, not 0
  LinkCore(Side side, std::unique_ptr<Connection> connection, std::uint32_t media_id,
           LinkEvents& events);

  /// The datagram is decrypted where it lies.
  void on_datagram(const Path& path, MutableBytes datagram, Instant now);
  void on_timeout(Instant now);
  std::optional<Instant> next_deadline() const;
  /// Gives everything that is due to `sink`. To be called after any other function.
  void flush(Instant now, DatagramSink& sink);
  /// The same for media alone, which is all that send_media() asks for: QUIC is not troubled.
  void flush_media(Instant now, DatagramSink& sink);

  void send_reliable(wire::Channel channel, ByteView bytes);
  void send_media(wire::Channel channel, ByteView bytes);
  /// A client's: sends this Hello as early data. What comes is held until release(), since nobody
  /// may listen yet. @return false, nothing sent: there is no ticket, or it is too late
  bool send_early(ByteView hello);
  void release();
  void close(wire::CloseCode code, std::string_view reason, Instant now);
  /// Nothing is reported any more; a link that is open is cut.
  void abandon();
  /// Same, without waiting for what was being sent: over with the next flush().
  void end();

  std::uint32_t media_id() const { return media_id_; }
  /// SSRC on which the peer receives, as its Hello or Welcome said; until then media is dropped.
  void set_peer_media_id(std::uint32_t id);
  /// A client's socket changed.
  bool migrate(const Path& path, Instant now);

  /// The server that finds this link forgets it.
  void forget_ids() { connection_->forget_ids(); }

  bool over() const { return state_ == State::closed; }
  const Path& media_path() const { return media_path_; }
  UdpCounters counters() const;

 private:
  enum class State : std::uint8_t { handshake, early, open, draining, closed };

  void on_media_datagram(const Path& path, MutableBytes datagram);
  void on_connection(Instant now);
  void begin_media();
  void log_key(std::uint32_t media_id, std::string_view key);
  void take_early();
  std::optional<ByteView> next_message(std::size_t from, std::size_t& used);
  void queue(ByteView message);
  void deliver_stream();
  void deliver_reliable(ByteView message);
  void deliver_media(ByteView payload);
  void malformed(wire::FrameError error);
  void cut(wire::CloseCode code, std::string reason);
  void finish(wire::CloseCode code, std::string reason);
  void move_media_to(const Path& path);
  bool bundle_waits() const { return writer_ && writer_->frames() > 0; }
  void put_full_aside();
  void send_packet(Bytes& packet, Instant now, DatagramSink& sink);

  Side side_;
  std::unique_ptr<Connection> connection_;
  std::uint32_t media_id_, peer_media_id_ = 0;
  LinkEvents* events_;
  State state_ = State::handshake;
  bool held_ = false;  ///< what comes waits for release()
  Path media_path_, quic_path_;
  std::unique_ptr<MediaCipher> cipher_;
  std::string key_to_log_;  ///< of packets that go out, until their SSRC is known; mostly empty

  Bytes stream_;  ///< received, not yet a whole frame
  Bytes bundle_;  ///< media packet being filled, the header's bytes first
  std::optional<wire::MediaWriter> writer_;
  /// What a media packet may hold on the present path: asked of QUIC when QUIC had something to do,
  /// not for each packet.
  std::size_t media_room_ = kSmallestPath - kMediaOverhead;
  std::vector<Bytes> full_;  ///< media packets to send before the bundle; buffers are kept
  std::size_t full_count_ = 0;

  std::optional<Instant> drain_until_;
  wire::CloseCode code_ = wire::CloseCode::going_away;
  std::string reason_;
  UdpCounters counters_;
};

}  // namespace isthmus::quic
