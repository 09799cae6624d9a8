#pragma once
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace isthmus {

using ByteView = std::span<const std::uint8_t>;
using MutableBytes = std::span<std::uint8_t>;
using Bytes = std::vector<std::uint8_t>;

inline ByteView as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
inline std::string_view as_text(ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
inline Bytes to_bytes(ByteView view) {
  return {view.begin(), view.end()};
}

/// The value of a hexadecimal digit of either case; -1 for any other character.
constexpr int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}
/// Lower-case hexadecimal, two digits a byte.
std::string to_hex(ByteView bytes);
/// Reads hexadecimal digits, white space allowed between bytes; nothing on any other character.
std::optional<Bytes> from_hex(std::string_view text);

/// Reads big-endian integers and QUIC variable-length integers (RFC 9000 §16) from a span, never
/// past its end. After the first read that does not fit, `ok()` is false and every later read
/// returns zero or nothing, so a parser may check once at the end. The span must outlive the
/// reader.
class Reader {
 public:
  explicit Reader(ByteView bytes) : bytes_(bytes) {}

  bool ok() const { return ok_; }
  std::size_t remaining() const { return bytes_.size() - offset_; }
  std::size_t offset() const { return offset_; }

  std::uint8_t u8() { return static_cast<std::uint8_t>(big_endian(1)); }
  std::uint16_t u16() { return static_cast<std::uint16_t>(big_endian(2)); }
  std::uint32_t u24() { return static_cast<std::uint32_t>(big_endian(3)); }
  std::uint32_t u32() { return static_cast<std::uint32_t>(big_endian(4)); }
  std::uint64_t u64() { return big_endian(8); }
  std::uint64_t varint();
  ByteView take(std::size_t count);
  ByteView rest() { return take(remaining()); }
  void skip(std::size_t count) { take(count); }

 private:
  std::uint64_t big_endian(std::size_t width);

  ByteView bytes_;
  std::size_t offset_ = 0;
  bool ok_ = true;
};

/// Appends big-endian integers and variable-length integers (RFC 9000 §16) to a byte vector it does
/// not own.
class Writer {
 public:
  explicit Writer(Bytes& out) : out_(out) {}

  void u8(std::uint8_t value) { out_.push_back(value); }
  void u16(std::uint16_t value) { big_endian(value, 2); }
  void u24(std::uint32_t value) { big_endian(value, 3); }
  void u32(std::uint32_t value) { big_endian(value, 4); }
  void u64(std::uint64_t value) { big_endian(value, 8); }
  /// Shortest form. Values of 2^62 and more cannot be written and return false with nothing
  /// appended.
  bool varint(std::uint64_t value);
  void bytes(ByteView view) { out_.insert(out_.end(), view.begin(), view.end()); }

 private:
  void big_endian(std::uint64_t value, std::size_t width);
  Bytes& out_;
};

/// Bytes that `Writer::varint` uses for a value: 1, 2, 4 or 8.
constexpr std::size_t varint_size(std::uint64_t value) {
  return value < 64 ? 1 : value < 16384 ? 2 : value < 1073741824 ? 4 : 8;
}

}  // namespace isthmus
