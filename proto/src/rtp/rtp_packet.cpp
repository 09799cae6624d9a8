#include "rtp/rtp_packet.hpp"

namespace isthmus::rtp {
namespace {

constexpr std::size_t kFixedHeader = 12;
constexpr std::uint8_t kVersion2 = 2 << 6;

}  // namespace

std::optional<RtpView> RtpView::parse(ByteView packet) {
  if (packet.size() < kFixedHeader || (packet[0] & 0xc0) != kVersion2) return std::nullopt;
  RtpView view;
  view.bytes_ = packet;

  Reader reader(packet);
  reader.skip(kFixedHeader + std::size_t{4} * view.csrc_count());
  if (view.has_extension()) {  // RFC 3550 §5.3.1: 16 bits for the profile, then the length in words
    reader.skip(2);
    reader.skip(std::size_t{4} * reader.u16());
  }
  view.payload_ = reader.rest();
  if (!reader.ok()) return std::nullopt;

  if ((packet[0] >> 5) & 1) {  // the last byte counts the padding, itself included
    const std::size_t padding = packet.back();
    if (padding == 0 || padding > view.payload_.size()) return std::nullopt;
    view.payload_ = view.payload_.first(view.payload_.size() - padding);
  }
  return view;
}

std::uint16_t RtpView::sequence() const {
  return Reader(bytes_.subspan(2)).u16();
}
std::uint32_t RtpView::timestamp() const {
  return Reader(bytes_.subspan(4)).u32();
}
std::uint32_t RtpView::ssrc() const {
  return Reader(bytes_.subspan(8)).u32();
}

bool is_rtcp(ByteView packet) {
  return packet.size() >= 2 && packet[1] >= 192 && packet[1] <= 223;
}

void write_rtp(const RtpHeader& header, ByteView payload, Bytes& out) {
  out.clear();
  Writer writer(out);
  writer.u8(kVersion2);
  writer.u8(static_cast<std::uint8_t>((header.marker ? 0x80 : 0) | (header.payload_type & 0x7f)));
  writer.u16(header.sequence);
  writer.u32(header.timestamp);
  writer.u32(header.ssrc);
  writer.bytes(payload);
}

}  // namespace isthmus::rtp
