#include "base/base64.hpp"

namespace isthmus {
namespace {

constexpr std::string_view kStandard =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view kUrl =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

constexpr std::string_view digits(Base64 alphabet) {
  return alphabet == Base64::url ? kUrl : kStandard;
}

}  // namespace

std::string base64_encode(ByteView bytes, Base64 alphabet) {
  std::string out;
  out.reserve((bytes.size() * 4 + 2) / 3);
  std::uint32_t bits = 0;
  unsigned held = 0;
  for (std::uint8_t byte : bytes) {
    bits = bits << 8 | byte;
    for (held += 8; held >= 6; held -= 6) out += digits(alphabet)[bits >> (held - 6) & 63];
  }
  if (held > 0) out += digits(alphabet)[bits << (6 - held) & 63];
  return out;
}

std::string base64_padded(ByteView bytes) {
  std::string out = base64_encode(bytes, Base64::standard);
  out.resize((out.size() + 3) / 4 * 4, '=');
  return out;
}

std::optional<Bytes> base64_decode(std::string_view text, Base64 alphabet) {
  if (text.size() % 4 == 1) return std::nullopt;
  Bytes out;
  out.reserve(text.size() * 3 / 4);
  std::uint32_t bits = 0;
  unsigned held = 0;
  for (char c : text) {
    std::size_t digit = digits(alphabet).find(c);
    if (digit == std::string_view::npos) return std::nullopt;
    bits = bits << 6 | static_cast<std::uint32_t>(digit);
    held += 6;
    if (held >= 8) {
      held -= 8;
      out.push_back(static_cast<std::uint8_t>(bits >> held));
    }
  }
  if ((bits & ((1u << held) - 1)) != 0) return std::nullopt;
  return out;
}

}  // namespace isthmus
