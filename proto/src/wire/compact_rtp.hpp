#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/bytes.hpp"
#include "base/limits.hpp"
#include "base/time.hpp"
#include "wire/frame.hpp"

/// Compact RTP (PROTOCOL.md §3): two bytes in place of a 12-byte RTP header, in a context that both
/// ends agreed on the control channel. Pure; single-threaded; no allocation per packet once warm.
namespace isthmus::wire {

inline constexpr const char* kCompactRtpCapability = "compact-rtp";

/// What MediaContext says: the header fields that compact frames of this context leave out.
struct CompactContext {
  Channel channel = 0;
  std::uint32_t id = 0;          ///< 0 to 15
  std::uint32_t generation = 0;  ///< the sender's count; tells the uses of one id apart
  std::uint32_t ssrc = 0;
  std::uint32_t payload_type = 0;
  std::uint32_t timestamp_step = 0;  ///< per sequence number, RTP ticks
  std::uint32_t base_sequence = 0;
  std::uint32_t base_timestamp = 0;
  std::uint32_t packets_per_second = 0;  ///< that the sender keeps below while it sends compact

  /// The timestamp of a frame that carries none.
  std::uint32_t timestamp_at(std::uint16_t sequence) const;
};

/// What MediaContextAck says. `accepted` false, also unasked: the receiver holds no such context.
struct CompactAnswer {
  Channel channel = 0;
  std::uint32_t id = 0, generation = 0;
  bool accepted = false;
};

/// How media frames went over the link, one direction. Each frame is counted under one kind.
enum class MediaKind : std::uint8_t { whole, compact, rtcp, other };
inline constexpr std::size_t kMediaKinds = 4;
const char* to_text(MediaKind kind);  ///< "compact"

struct MediaFormCounters {
  struct Kind {
    std::uint64_t frames = 0, bytes = 0;  ///< bytes: of the frame as it crosses the link
  };
  std::array<Kind, kMediaKinds> kinds{};
  std::uint64_t contexts = 0;          ///< agreed
  std::uint64_t contexts_refused = 0;  ///< by the receiver, given-up ones included
  std::uint64_t dropped_malformed = 0, dropped_without_context = 0, dropped_stale = 0;

  const Kind& of(MediaKind kind) const { return kinds[static_cast<std::size_t>(kind)]; }
  std::uint64_t frames() const;
  std::uint64_t dropped() const {
    return dropped_malformed + dropped_without_context + dropped_stale;
  }
  void count(MediaKind kind, std::size_t bytes);
  MediaFormCounters& operator+=(const MediaFormCounters& other);
};

/// The sending half. Before the link is said to carry compact RTP every packet goes as it is.
class CompactRtpSender {
 public:
  void enable() { enabled_ = true; }
  /// Another link took over: contexts belong to a link.
  void reset() { channels_.clear(); }

  /// @return the frame that carries this packet, valid until the next call; empty when no frame can
  ///   (it is longer than limits::kMediaFrameBytes, or has no byte)
  ByteView write(Channel channel, ByteView packet, Instant now);
  /// After each write(): a MediaContext to send, at most once each.
  std::optional<CompactContext> take_proposal();
  void on_answer(const CompactAnswer& answer, Instant now);
  const MediaFormCounters& counters() const { return counters_; }

 private:
  struct Header;
  struct Context {
    enum class State : std::uint8_t { idle, proposed, ready };
    CompactContext fields;
    State state = State::idle;
    unsigned wholes_due = 0;  ///< packets after the Ack that still go whole
    std::optional<Instant> last_used;
  };
  /// One SSRC on one channel.
  struct Stream {
    bool used = false;
    std::uint32_t ssrc = 0;
    std::uint16_t highest = 0;  ///< sequence number
    unsigned since_whole = 0;   ///< compact ones in a row
    Instant begun{}, last{};
    std::uint64_t advance = 0;             ///< sequence numbers while it is measured
    std::uint32_t packets_per_second = 0;  ///< the pace that it keeps; 0: not measured yet
    Instant due{};                         ///< when its packets so far are due at that pace
    Instant steady_since{};                ///< last packet off the order or the pace
    // Of late: a run of packets of one payload type and one timestamp step.
    std::uint8_t payload_type = 0;
    std::uint32_t step = 0, last_timestamp = 0;
    unsigned run = 0;
  };
  struct ChannelState {
    std::array<Context, limits::kCompactSenderContexts> contexts;
    std::array<Stream, 2> streams;
    std::optional<Instant> next_proposal;
    std::uint32_t generations = 0;
    Instant last{};
  };

  ChannelState* find_channel(Channel channel, Instant now);
  Stream& find_stream(ChannelState& state, const Header& header, Instant now);
  void begin(ChannelState& state, Stream& stream, const Header& header, Instant now);
  bool follow(ChannelState& state, Stream& stream, const Header& header, Instant now);
  static void note_regularity(Stream& stream, const Header& header, std::uint32_t numbers);
  Context* choose(ChannelState& state, const Stream& stream, const Header& header,
                  Duration silence);
  void consider(ChannelState& state, Channel channel, const Stream& stream, const Header& header,
                Instant now);
  ByteView escape(MediaKind kind, ByteView packet);
  ByteView compact(const Context& context, const Header& header, ByteView payload);
  ByteView send(MediaKind kind, ByteView frame);

  bool enabled_ = false;
  std::unordered_map<Channel, ChannelState> channels_;
  std::optional<CompactContext> proposal_;
  Bytes out_;
  MediaFormCounters counters_;
};

/// The receiving half.
class CompactRtpReceiver {
 public:
  void enable() { enabled_ = true; }
  void reset() { channels_.clear(); }

  /// @return the packet as it was sent, in the frame itself or valid until the next call; nothing
  ///   when it cannot be rebuilt for certain (counted)
  std::optional<ByteView> read(Channel channel, ByteView frame, Instant now);
  /// A MediaContext came. @return the answer to send
  CompactAnswer on_context(const CompactContext& context);
  /// After each read(): a refusal to send, at most once each.
  std::optional<CompactAnswer> take_refusal();
  const MediaFormCounters& counters() const { return counters_; }

 private:
  struct Context {
    CompactContext fields;
    bool held = false, has_reference = false;
    std::uint16_t reference = 0;  ///< highest sequence number that came
    Instant reference_at{};
    unsigned misses = 0;  ///< frames before there was a reference
  };
  using Contexts = std::vector<Context>;  ///< by id

  std::optional<ByteView> read_compact(Channel channel, ByteView frame, Instant now);
  std::optional<ByteView> give_up(Channel channel, Context& context);
  void note(Channel channel, std::uint32_t ssrc, std::uint16_t sequence, bool whole, Instant now);

  bool enabled_ = false;
  std::unordered_map<Channel, Contexts> channels_;
  std::optional<CompactAnswer> refusal_;
  Bytes out_;
  MediaFormCounters counters_;
};

}  // namespace isthmus::wire
