#include <algorithm>
#include <utility>

#include "wire/compact_form.hpp"
#include "wire/compact_rtp.hpp"

namespace isthmus::wire {

using namespace compact;

namespace {

constexpr unsigned kLongestCompactRun = 63;  // at least every 64th packet goes whole
constexpr unsigned kRegularRun = 8;          // packets that show a payload type and a step
constexpr unsigned kWholesAfterAck = 2;      // one may be lost
constexpr Duration kGap = milliseconds(500);
constexpr Duration kMeasure = milliseconds(500);  // of a stream's rate, from its first packet
/// A stream must have kept its pace for this long before a context: what came before has arrived.
constexpr Duration kSteady = milliseconds(500);
constexpr Duration kBetweenProposals = milliseconds(500);
/// An id means something new only when no frame of its old meaning can still arrive.
constexpr Duration kIdRest = seconds(1);
constexpr Duration kAfterRefusal = seconds(30);
constexpr int kLargestStep = 64;             // sequence numbers, while a stream is measured
constexpr Duration kMostAhead = seconds(1);  // of the pace: it is another stream by then

Duration pace_of(std::uint64_t packets, std::uint32_t packets_per_second) {
  return std::chrono::nanoseconds(packets * 1'000'000'000U / packets_per_second);
}

/// The slowest promise that a stream of this rate keeps with some room; 0: it is too fast.
std::uint32_t promise_for(std::uint64_t advance, Duration time) {
  for (const std::uint32_t pace : {kFastestPace / 2, kFastestPace}) {
    if (pace_of(advance, pace - pace / 16) <= time) return pace;
  }
  return 0;
}

}  // namespace

struct CompactRtpSender::Header {
  explicit Header(ByteView packet)
      : plain(packet[0] == kWhole),
        marker((packet[1] & 0x80) != 0),
        payload_type(packet[1] & 0x7f),
        sequence(u16_at(packet, 2)),
        timestamp(u32_at(packet, 4)),
        ssrc(u32_at(packet, 8)) {}

  bool plain;  ///< no padding, extension or CSRC
  bool marker;
  std::uint8_t payload_type;
  std::uint16_t sequence;
  std::uint32_t timestamp, ssrc;
};

std::uint32_t CompactContext::timestamp_at(std::uint16_t sequence) const {
  const int from_base = distance(static_cast<std::uint16_t>(base_sequence), sequence);
  return base_timestamp + static_cast<std::uint32_t>(from_base) * timestamp_step;
}

ByteView CompactRtpSender::send(MediaKind kind, ByteView frame) {
  counters_.count(kind, frame.size());
  return frame;
}

ByteView CompactRtpSender::escape(MediaKind kind, ByteView packet) {
  if (packet.size() + 1 > limits::kMediaFrameBytes) return {};
  out_.clear();
  Writer writer(out_);
  writer.u8(kEscape);
  writer.bytes(packet);
  return send(kind, out_);
}

ByteView CompactRtpSender::write(Channel channel, ByteView packet, Instant now) {
  if (packet.empty() || packet.size() > limits::kMediaFrameBytes) return {};
  if ((packet[0] & kFormMask) != kWhole) {
    return enabled_ ? escape(MediaKind::other, packet) : send(MediaKind::other, packet);
  }
  if (is_rtcp(packet)) return send(MediaKind::rtcp, packet);
  if (!is_rtp(packet)) return send(MediaKind::other, packet);
  ChannelState* state = enabled_ ? find_channel(channel, now) : nullptr;
  if (state == nullptr) return send(MediaKind::whole, packet);

  const Header header(packet);
  Stream& stream = find_stream(*state, header, now);
  const Duration silence = now - stream.last;
  if (!follow(*state, stream, header, now)) {
    // Off the pace or the order of its stream: nothing may be read by it.
    stream.steady_since = now;
    return state->generations > 0 ? escape(MediaKind::whole, packet)
                                  : send(MediaKind::whole, packet);
  }
  if (Context* context = choose(*state, stream, header, silence)) {
    ++stream.since_whole;
    context->last_used = now;
    const ByteView frame = compact(*context, header, packet.subspan(kRtpHeader));
    if ((frame[0] & kTimestamp) != 0) consider(*state, channel, stream, header, now);
    return send(MediaKind::compact, frame);
  }
  stream.since_whole = 0;
  consider(*state, channel, stream, header, now);
  return send(MediaKind::whole, packet);
}

CompactRtpSender::ChannelState* CompactRtpSender::find_channel(Channel channel, Instant now) {
  const auto found = channels_.find(channel);
  if (found != channels_.end()) {
    found->second.last = now;
    return &found->second;
  }
  if (channels_.size() >= limits::kCompactChannels) {
    std::erase_if(channels_, [&](const auto& entry) {
      return now - entry.second.last > limits::kCompactIdle;
    });
    if (channels_.size() >= limits::kCompactChannels) return nullptr;
  }
  ChannelState& state = channels_[channel];
  state.last = now;
  return &state;
}

CompactRtpSender::Stream& CompactRtpSender::find_stream(ChannelState& state, const Header& header,
                                                        Instant now) {
  for (Stream& stream : state.streams) {
    if (stream.used && stream.ssrc == header.ssrc) return stream;
  }
  Stream& oldest = *std::min_element(state.streams.begin(), state.streams.end(),
                                     [](const Stream& a, const Stream& b) {
                                       return a.used != b.used ? !a.used : a.last < b.last;
                                     });
  if (oldest.used) begin(state, oldest, header, now);  // its contexts go with it
  oldest.ssrc = header.ssrc;
  begin(state, oldest, header, now);
  oldest.highest = static_cast<std::uint16_t>(header.sequence - 1);  // this one is its first
  return oldest;
}

/// The stream begins, or begins again somewhere else: its contexts are used no more.
void CompactRtpSender::begin(ChannelState& state, Stream& stream, const Header& header,
                             Instant now) {
  for (Context& context : state.contexts) {
    if (context.fields.ssrc == stream.ssrc) context.state = Context::State::idle;
  }
  const std::uint32_t ssrc = stream.ssrc;
  stream = Stream{};
  stream.used = true;
  stream.ssrc = ssrc;
  stream.highest = header.sequence;
  stream.begun = stream.last = stream.steady_since = now;
  stream.payload_type = header.payload_type;
  stream.last_timestamp = header.timestamp;
}

/// Takes note of a packet. @return is it in order and on the pace that its stream promised?
bool CompactRtpSender::follow(ChannelState& state, Stream& stream, const Header& header,
                              Instant now) {
  const int advance = distance(stream.highest, header.sequence);
  if (advance <= 0 && advance >= -kBehind) return false;  // late, or again
  const bool measuring = stream.packets_per_second == 0;
  if (advance <= 0 || (measuring && advance > kLargestStep)) {
    begin(state, stream, header, now);
    return false;
  }
  const auto numbers = static_cast<std::uint32_t>(advance);
  stream.highest = header.sequence;
  stream.last = now;
  note_regularity(stream, header, numbers);
  if (measuring) {
    stream.advance += numbers;
    if (now - stream.begun < kMeasure) return false;
    stream.packets_per_second = promise_for(stream.advance, now - stream.begun);
    stream.due = now;
    return false;
  }
  stream.due = std::max(stream.due, now) + pace_of(numbers, stream.packets_per_second);
  const Duration ahead = stream.due - now;
  if (ahead > kMostAhead) {  // it jumped, or became faster
    begin(state, stream, header, now);
    return false;
  }
  return ahead <= pace_of(kBurst, stream.packets_per_second);
}

/// Payload type and timestamp step: how many packets in a row had the same.
void CompactRtpSender::note_regularity(Stream& stream, const Header& header,
                                       std::uint32_t numbers) {
  const std::uint32_t ticks = header.timestamp - stream.last_timestamp;
  stream.last_timestamp = header.timestamp;
  if (header.payload_type != stream.payload_type) {
    stream.payload_type = header.payload_type;
    stream.run = 0;
  } else if (stream.run > 0 && ticks == stream.step * numbers) {
    ++stream.run;
  } else {
    stream.step = ticks / numbers;
    stream.run = stream.step != 0 && stream.step * numbers == ticks ? 1 : 0;
  }
}

/// The context in which this packet goes compact; null: it goes whole.
CompactRtpSender::Context* CompactRtpSender::choose(ChannelState& state, const Stream& stream,
                                                    const Header& header, Duration silence) {
  Context* chosen = nullptr;
  for (Context& context : state.contexts) {
    if (context.state != Context::State::ready || context.fields.ssrc != header.ssrc ||
        context.fields.payload_type != header.payload_type) {
      continue;
    }
    const bool exact = context.fields.timestamp_at(header.sequence) == header.timestamp;
    if (chosen == nullptr || exact) chosen = &context;
    if (exact) break;
  }
  if (chosen == nullptr) return nullptr;
  if (chosen->wholes_due > 0) {
    --chosen->wholes_due;
    return nullptr;
  }
  // A marker on payload types 64 to 95 would be taken for RTCP.
  const bool like_rtcp = header.marker && header.payload_type >= 64 && header.payload_type <= 95;
  const bool whole =
      !header.plain || silence >= kGap || like_rtcp || stream.since_whole >= kLongestCompactRun;
  return whole ? nullptr : chosen;
}

/// Proposes a context when the stream has become regular in a way that no context describes.
void CompactRtpSender::consider(ChannelState& state, Channel channel, const Stream& stream,
                                const Header& header, Instant now) {
  if (!header.plain || stream.run < kRegularRun || proposal_) return;
  if (stream.packets_per_second == 0 || now - stream.steady_since < kSteady) return;
  if (state.next_proposal && now < *state.next_proposal) return;
  Context* free = nullptr;
  for (Context& context : state.contexts) {
    if (context.state == Context::State::proposed) return;  // one at a time on a channel
    if (context.state == Context::State::ready && context.fields.ssrc == header.ssrc &&
        context.fields.payload_type == header.payload_type &&
        context.fields.timestamp_at(header.sequence) == header.timestamp) {
      return;
    }
    if (context.last_used && now - *context.last_used < kIdRest) continue;
    if (free == nullptr || context.last_used < free->last_used) free = &context;  // none is least
  }
  if (free == nullptr) return;
  free->state = Context::State::proposed;
  free->last_used = now;
  free->fields = {channel,
                  static_cast<std::uint32_t>(free - state.contexts.data()),
                  ++state.generations,
                  header.ssrc,
                  header.payload_type,
                  stream.step,
                  header.sequence,
                  header.timestamp,
                  stream.packets_per_second};
  state.next_proposal = now + kBetweenProposals;
  proposal_ = free->fields;
}

ByteView CompactRtpSender::compact(const Context& context, const Header& header, ByteView payload) {
  const bool exact = context.fields.timestamp_at(header.sequence) == header.timestamp;
  out_.clear();
  Writer writer(out_);
  writer.u8(static_cast<std::uint8_t>((header.marker ? kMarker : 0) | (exact ? 0 : kTimestamp) |
                                      context.fields.id));
  writer.u8(static_cast<std::uint8_t>(header.sequence & 0xff));
  if (!exact) writer.u32(header.timestamp);
  writer.bytes(payload);
  return out_;
}

std::optional<CompactContext> CompactRtpSender::take_proposal() {
  return std::exchange(proposal_, std::nullopt);
}

void CompactRtpSender::on_answer(const CompactAnswer& answer, Instant now) {
  const auto found = channels_.find(answer.channel);
  if (found == channels_.end() || answer.id >= limits::kCompactSenderContexts) return;
  ChannelState& state = found->second;
  Context& context = state.contexts[answer.id];
  if (context.fields.generation != answer.generation) return;  // of an earlier use of the id
  using State = Context::State;
  if (answer.accepted) {
    if (context.state != State::proposed) return;
    context.state = State::ready;
    context.wholes_due = kWholesAfterAck;
    ++counters_.contexts;
    return;
  }
  if (context.state == State::idle) return;
  // Refused when it was new: the receiver wants none. Given up later: agree another soon.
  state.next_proposal = context.state == State::proposed ? now + kAfterRefusal : now;
  context.state = State::idle;
  ++counters_.contexts_refused;
}

}  // namespace isthmus::wire
