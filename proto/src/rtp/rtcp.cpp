#include "rtp/rtcp.hpp"

#include <algorithm>
#include <span>

#include "base/limits.hpp"

namespace isthmus::rtp {
namespace {

constexpr std::uint8_t kSenderReport = 200, kReceiverReport = 201, kSourceDescription = 202,
                       kBye = 203;
constexpr std::uint8_t kCname = 1;
constexpr std::size_t kMaxCount = 31;  ///< five bits of the header's count
constexpr std::int32_t kMinLost = -0x800000, kMaxLost = 0x7fffff;

// --- Reading -----------------------------------------------------------------------------------

ReportBlock read_block(Reader& reader) {
  ReportBlock block;
  block.ssrc = reader.u32();
  block.fraction_lost = reader.u8();
  const std::uint32_t lost = reader.u24();
  block.cumulative_lost = static_cast<std::int32_t>(lost) - (lost & 0x800000 ? 0x1000000 : 0);
  block.highest_sequence = reader.u32();
  block.jitter = reader.u32();
  block.last_sr = reader.u32();
  block.delay_since_last_sr = reader.u32();
  return block;
}

/// SR and RR; a profile-specific extension after the blocks is passed over.
bool read_report(Reader& body, bool is_sender_report, std::uint8_t count, RtcpCompound& out) {
  out.sender_ssrc = body.u32();
  if (is_sender_report) {
    SenderInfo info;
    info.ntp = body.u64();
    info.rtp_timestamp = body.u32();
    info.packets = body.u32();
    info.octets = body.u32();
    out.sender = info;
  }
  for (std::uint8_t i = 0; i < count && body.ok(); ++i) {
    const ReportBlock block = read_block(body);
    if (body.ok()) out.reports.push_back(block);
  }
  return body.ok();
}

/// Keeps the sender's CNAME, or the first of a packet that a mixer or a lone source sent.
bool read_source_description(Reader& body, std::uint8_t count, RtcpCompound& out) {
  for (std::uint8_t chunk = 0; chunk < count; ++chunk) {
    const std::uint32_t ssrc = body.u32();
    while (body.ok()) {
      const std::uint8_t item = body.u8();
      if (item == 0) break;
      const ByteView text = body.take(body.u8());
      if (body.ok() && item == kCname && (out.cname.empty() || ssrc == out.sender_ssrc)) {
        out.cname = as_text(text);
      }
    }
    body.skip((4 - body.offset() % 4) % 4);  // each chunk ends on a word (RFC 3550 §6.5)
  }
  return body.ok();
}

bool read_bye(Reader& body, std::uint8_t count, RtcpCompound& out) {
  for (std::uint8_t i = 0; i < count && body.ok(); ++i) {
    const std::uint32_t ssrc = body.u32();
    if (body.ok()) out.bye.push_back(ssrc);
  }
  return body.ok();
}

/// Body of one packet without its padding, which only the last may have (RFC 3550 §6.4.1).
std::optional<ByteView> without_padding(ByteView body, bool padded, bool last) {
  if (!padded) return body;
  if (!last || body.empty()) return std::nullopt;
  const std::size_t padding = body.back();
  if (padding == 0 || padding % 4 != 0 || padding > body.size()) return std::nullopt;
  return body.first(body.size() - padding);
}

bool read_packet(std::uint8_t type, std::uint8_t count, ByteView bytes, RtcpCompound& out) {
  Reader body(bytes);
  switch (type) {
    case kSenderReport:
    case kReceiverReport:
      return read_report(body, type == kSenderReport, count, out);
    case kSourceDescription:
      return read_source_description(body, count, out);
    case kBye:
      return read_bye(body, count, out);
    default:
      return true;
  }
}

// --- Writing -----------------------------------------------------------------------------------

/// @param words  length of the packet in 32-bit words, header included
void write_header(Writer& writer, std::size_t count, std::uint8_t type, std::size_t words) {
  writer.u8(static_cast<std::uint8_t>(0x80 | count));
  writer.u8(type);
  writer.u16(static_cast<std::uint16_t>(words - 1));
}

void write_block(Writer& writer, const ReportBlock& block) {
  const std::int32_t lost = std::clamp(block.cumulative_lost, kMinLost, kMaxLost);
  writer.u32(block.ssrc);
  writer.u8(block.fraction_lost);
  writer.u24(static_cast<std::uint32_t>(lost) & 0xffffff);
  writer.u32(block.highest_sequence);
  writer.u32(block.jitter);
  writer.u32(block.last_sr);
  writer.u32(block.delay_since_last_sr);
}

void write_source_description(Writer& writer, std::uint32_t ssrc, std::string_view cname) {
  const ByteView text = as_bytes(cname.substr(0, 255));
  // SSRC, item type and length, text, and at least one zero byte up to the next word.
  const std::size_t chunk_words = (4 + 2 + text.size() + 1 + 3) / 4;
  write_header(writer, 1, kSourceDescription, 1 + chunk_words);
  writer.u32(ssrc);
  writer.u8(kCname);
  writer.u8(static_cast<std::uint8_t>(text.size()));
  writer.bytes(text);
  for (std::size_t at = 4 + 2 + text.size(); at < 4 * chunk_words; ++at) writer.u8(0);
}

}  // namespace

std::optional<RtcpCompound> RtcpCompound::parse(ByteView packet) {
  if (packet.empty() || packet.size() > limits::kMediaFrameBytes) return std::nullopt;
  RtcpCompound result;
  Reader reader(packet);
  while (reader.remaining() > 0) {
    const std::uint8_t first = reader.u8();
    const std::uint8_t type = reader.u8();
    const std::size_t body_bytes = std::size_t{4} * reader.u16();
    const ByteView whole = reader.take(body_bytes);
    if (!reader.ok() || first >> 6 != 2) return std::nullopt;
    const auto body = without_padding(whole, (first >> 5) & 1, reader.remaining() == 0);
    if (!body || !read_packet(type, first & 0x1f, *body, result)) return std::nullopt;
  }
  return result;
}

void RtcpCompound::write(Bytes& out) const {
  Writer writer(out);
  std::span<const ReportBlock> left = reports;
  bool with_sender = sender.has_value();
  do {  // more than 31 blocks take further RRs (RFC 3550 §6.1)
    const auto blocks = left.first(std::min(left.size(), kMaxCount));
    left = left.subspan(blocks.size());
    write_header(writer, blocks.size(), with_sender ? kSenderReport : kReceiverReport,
                 2 + (with_sender ? 5 : 0) + 6 * blocks.size());
    writer.u32(sender_ssrc);
    if (with_sender) {
      writer.u64(sender->ntp);
      writer.u32(sender->rtp_timestamp);
      writer.u32(sender->packets);
      writer.u32(sender->octets);
      with_sender = false;
    }
    for (const ReportBlock& block : blocks) write_block(writer, block);
  } while (!left.empty());

  if (!cname.empty()) write_source_description(writer, sender_ssrc, cname);

  for (std::span<const std::uint32_t> gone = bye; !gone.empty();) {
    const auto some = gone.first(std::min(gone.size(), kMaxCount));
    gone = gone.subspan(some.size());
    write_header(writer, some.size(), kBye, 1 + some.size());
    for (const std::uint32_t ssrc : some) writer.u32(ssrc);
  }
}

}  // namespace isthmus::rtp
