#include "transport/stun_answer.hpp"

#include <vector>

namespace isthmus::transport {
namespace {

constexpr std::uint16_t kBindingRequest = 0x0001, kBindingSuccess = 0x0101, kBindingError = 0x0111;
constexpr std::uint32_t kCookie = 0x2112A442;
constexpr std::size_t kHeaderBytes = 20, kTransactionBytes = 12;
constexpr std::uint16_t kErrorCode = 0x0009, kUnknownAttributes = 0x000A,
                        kXorMappedAddress = 0x0020;
/// Attributes below this must be understood (RFC 8489 §14).
constexpr std::uint16_t kOptional = 0x8000;
constexpr std::size_t kMostNamed = 16;  // unknown attributes in one answer

Bytes message(std::uint16_t type, ByteView transaction, const Bytes& attributes) {
  Bytes out;
  Writer writer(out);
  writer.u16(type);
  writer.u16(static_cast<std::uint16_t>(attributes.size()));
  writer.u32(kCookie);
  writer.bytes(transaction);
  writer.bytes(attributes);
  return out;
}

Bytes mapped_address(ByteView transaction, const Endpoint& source) {
  Bytes mask;
  Writer(mask).u32(kCookie);
  mask.insert(mask.end(), transaction.begin(), transaction.end());
  const bool v4 = source.address.is_v4();
  Bytes out;
  Writer writer(out);
  writer.u16(kXorMappedAddress);
  writer.u16(v4 ? 8 : 20);
  writer.u8(0);
  writer.u8(v4 ? 1 : 2);
  writer.u16(static_cast<std::uint16_t>(source.port ^ (kCookie >> 16)));
  const auto& raw = source.address.bytes();
  for (std::size_t i = 0; i < (v4 ? 4u : raw.size()); ++i) {
    writer.u8(static_cast<std::uint8_t>(raw[i] ^ mask[i]));
  }
  return out;
}

Bytes unknown_attributes(const std::vector<std::uint16_t>& types) {
  Bytes out;
  Writer writer(out);
  writer.u16(kErrorCode);
  writer.u16(4);
  writer.u16(0);
  writer.u8(4);
  writer.u8(20);
  writer.u16(kUnknownAttributes);
  writer.u16(static_cast<std::uint16_t>(2 * types.size()));
  for (std::uint16_t type : types) writer.u16(type);
  if (types.size() % 2 != 0) writer.u16(0);  // attributes are padded to four bytes
  return out;
}

}  // namespace

std::optional<Bytes> stun_answer(ByteView datagram, const Endpoint& source) {
  Reader reader(datagram);
  const std::uint16_t type = reader.u16(), length = reader.u16();
  const std::uint32_t cookie = reader.u32();
  const ByteView transaction = reader.take(kTransactionBytes);
  if (!reader.ok() || type != kBindingRequest || cookie != kCookie || length % 4 != 0 ||
      length != datagram.size() - kHeaderBytes) {
    return std::nullopt;
  }
  std::vector<std::uint16_t> unknown;
  while (reader.remaining() > 0) {
    const std::uint16_t attribute = reader.u16(), size = reader.u16();
    reader.skip((size + 3u) & ~3u);
    if (!reader.ok()) return std::nullopt;
    if (attribute < kOptional && unknown.size() < kMostNamed) unknown.push_back(attribute);
  }
  if (!unknown.empty()) return message(kBindingError, transaction, unknown_attributes(unknown));
  return message(kBindingSuccess, transaction, mapped_address(transaction, source));
}

}  // namespace isthmus::transport
