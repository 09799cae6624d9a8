#include "base/bytes.hpp"

namespace isthmus {

std::string to_hex(ByteView bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  out.reserve(bytes.size() * 2);
  for (std::uint8_t byte : bytes) {
    out.push_back(kDigits[byte >> 4]);
    out.push_back(kDigits[byte & 15]);
  }
  return out;
}

std::optional<Bytes> from_hex(std::string_view text) {
  Bytes out;
  int high = -1;
  for (char c : text) {
    if ((c == ' ' || c == '\n' || c == '\t' || c == '\r') && high < 0) continue;
    int digit = hex_digit(c);
    if (digit < 0) return std::nullopt;
    if (high < 0) {
      high = digit;
    } else {
      out.push_back(static_cast<std::uint8_t>(high * 16 + digit));
      high = -1;
    }
  }
  if (high >= 0) return std::nullopt;
  return out;
}

std::uint64_t Reader::big_endian(std::size_t width) {
  ByteView view = take(width);
  std::uint64_t value = 0;
  for (std::uint8_t byte : view) value = value << 8 | byte;
  return value;
}

ByteView Reader::take(std::size_t count) {
  if (!ok_ || count > remaining()) {
    ok_ = false;
    return {};
  }
  ByteView view = bytes_.subspan(offset_, count);
  offset_ += count;
  return view;
}

std::uint64_t Reader::varint() {
  if (!ok_ || remaining() == 0) {
    ok_ = false;
    return 0;
  }
  std::size_t width = std::size_t{1} << (bytes_[offset_] >> 6);
  std::uint64_t value = big_endian(width);
  return ok_ ? value & (~std::uint64_t{0} >> (66 - 8 * width)) : 0;
}

bool Writer::varint(std::uint64_t value) {
  if (value >> 62) return false;
  std::size_t width = varint_size(value);
  std::uint64_t prefix = width == 1 ? 0 : width == 2 ? 1 : width == 4 ? 2 : 3;
  big_endian(value | prefix << (8 * width - 2), width);
  return true;
}

void Writer::big_endian(std::uint64_t value, std::size_t width) {
  for (std::size_t i = width; i-- > 0;) out_.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
}

}  // namespace isthmus
