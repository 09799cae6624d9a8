#include <utility>

#include "wire/compact_form.hpp"
#include "wire/compact_rtp.hpp"

namespace isthmus::wire {

using namespace compact;

namespace {

/// What the path's delay may vary by, in which a frame is still read for certain.
constexpr Duration kDelayVariation = milliseconds(500);
constexpr unsigned kMissesBeforeRefusal = 4;  // the reference may be a moment behind

/// Silence after which the sender, at its promised pace, may have passed the window.
Duration certain_for(std::uint32_t packets_per_second) {
  constexpr auto kNumbers = static_cast<std::uint64_t>(kAhead) - kBurst;
  return std::chrono::nanoseconds(kNumbers * 1'000'000'000U / packets_per_second) - kDelayVariation;
}

}  // namespace

std::optional<ByteView> CompactRtpReceiver::read(Channel channel, ByteView frame, Instant now) {
  if (frame.empty()) {
    ++counters_.dropped_malformed;
    return std::nullopt;
  }
  const std::uint8_t form = frame[0] & kFormMask;
  if (form == kWhole) {
    const MediaKind kind = is_rtcp(frame)  ? MediaKind::rtcp
                           : is_rtp(frame) ? MediaKind::whole
                                           : MediaKind::other;
    counters_.count(kind, frame.size());
    if (kind == MediaKind::whole && !channels_.empty()) {
      note(channel, u32_at(frame, 8), u16_at(frame, 2), true, now);
    }
    return frame;
  }
  if (!enabled_) {
    counters_.count(MediaKind::other, frame.size());
    return frame;
  }
  if (form == kCompact) return read_compact(channel, frame, now);
  if (frame[0] != kEscape || frame.size() < 2) {
    ++counters_.dropped_malformed;
    return std::nullopt;
  }
  counters_.count(MediaKind::other, frame.size());
  return frame.subspan(1);
}

std::optional<ByteView> CompactRtpReceiver::read_compact(Channel channel, ByteView frame,
                                                         Instant now) {
  const std::uint32_t id = frame[0] & kContextMask;
  const auto found = channels_.find(channel);
  if (found == channels_.end() || id >= found->second.size() || !found->second[id].held) {
    ++counters_.dropped_without_context;
    return std::nullopt;
  }
  Context& context = found->second[id];
  if (!context.has_reference) {
    ++counters_.dropped_stale;
    if (++context.misses < kMissesBeforeRefusal) return std::nullopt;
    return give_up(channel, context);
  }
  if (now - context.reference_at > certain_for(context.fields.packets_per_second)) {
    ++counters_.dropped_stale;
    return give_up(channel, context);
  }
  Reader reader(frame);
  const std::uint8_t first = reader.u8();
  const std::uint8_t low = reader.u8();
  const auto lowest = static_cast<std::uint16_t>(context.reference - kBehind);
  const auto sequence =
      static_cast<std::uint16_t>(lowest + static_cast<std::uint8_t>(low - (lowest & 0xff)));
  const std::uint32_t timestamp =
      (first & kTimestamp) != 0 ? reader.u32() : context.fields.timestamp_at(sequence);
  const ByteView payload = reader.rest();
  if (!reader.ok() || kRtpHeader + payload.size() > limits::kMediaFrameBytes) {
    ++counters_.dropped_malformed;
    return std::nullopt;
  }
  out_.clear();
  Writer writer(out_);
  writer.u8(kWhole);
  writer.u8(
      static_cast<std::uint8_t>(((first & kMarker) != 0 ? 0x80 : 0) | context.fields.payload_type));
  writer.u16(sequence);
  writer.u32(timestamp);
  writer.u32(context.fields.ssrc);
  writer.bytes(payload);
  counters_.count(MediaKind::compact, frame.size());
  note(channel, context.fields.ssrc, sequence, false, now);
  return out_;
}

/// What this context says is no longer certain; the sender agrees another.
std::optional<ByteView> CompactRtpReceiver::give_up(Channel channel, Context& context) {
  context.held = false;
  ++counters_.contexts_refused;
  refusal_ = CompactAnswer{channel, context.fields.id, context.fields.generation, false};
  return std::nullopt;
}

/// References move forward only: a stream that begins again elsewhere gets new contexts.
void CompactRtpReceiver::note(Channel channel, std::uint32_t ssrc, std::uint16_t sequence,
                              bool whole, Instant now) {
  const auto found = channels_.find(channel);
  if (found == channels_.end()) return;
  for (Context& context : found->second) {
    if (!context.held || context.fields.ssrc != ssrc) continue;
    const bool first = whole && !context.has_reference;
    if (!first && (!context.has_reference || distance(context.reference, sequence) <= 0)) continue;
    context.has_reference = true;
    context.reference = sequence;
    context.reference_at = now;
  }
}

CompactAnswer CompactRtpReceiver::on_context(const CompactContext& offered) {
  CompactAnswer answer{offered.channel, offered.id, offered.generation, false};
  const bool valid = enabled_ && offered.channel >= limits::kFirstMediaChannel &&
                     offered.channel <= limits::kLastMediaChannel && offered.id < kContexts &&
                     offered.payload_type < 128 && offered.base_sequence <= 0xffff &&
                     offered.packets_per_second >= 1 && offered.packets_per_second <= kFastestPace;
  const bool known = valid && channels_.contains(offered.channel);
  if (!valid || (!known && channels_.size() >= limits::kCompactChannels)) {
    ++counters_.contexts_refused;
    return answer;
  }
  Contexts& contexts = channels_[offered.channel];
  if (contexts.size() <= offered.id) contexts.resize(offered.id + 1);
  contexts[offered.id] = Context{};
  contexts[offered.id].fields = offered;
  contexts[offered.id].held = true;
  ++counters_.contexts;
  answer.accepted = true;
  return answer;
}

std::optional<CompactAnswer> CompactRtpReceiver::take_refusal() {
  return std::exchange(refusal_, std::nullopt);
}

const char* to_text(MediaKind kind) {
  switch (kind) {
    case MediaKind::whole:
      return "whole";
    case MediaKind::compact:
      return "compact";
    case MediaKind::rtcp:
      return "rtcp";
    case MediaKind::other:
      return "other";
  }
  return "unknown";
}

std::uint64_t MediaFormCounters::frames() const {
  std::uint64_t sum = 0;
  for (const Kind& kind : kinds) sum += kind.frames;
  return sum;
}

void MediaFormCounters::count(MediaKind kind, std::size_t bytes) {
  Kind& counted = kinds[static_cast<std::size_t>(kind)];
  ++counted.frames;
  counted.bytes += bytes;
}

MediaFormCounters& MediaFormCounters::operator+=(const MediaFormCounters& other) {
  for (std::size_t i = 0; i < kMediaKinds; ++i) {
    kinds[i].frames += other.kinds[i].frames;
    kinds[i].bytes += other.kinds[i].bytes;
  }
  contexts += other.contexts;
  contexts_refused += other.contexts_refused;
  dropped_malformed += other.dropped_malformed;
  dropped_without_context += other.dropped_without_context;
  dropped_stale += other.dropped_stale;
  return *this;
}

}  // namespace isthmus::wire
