#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.hpp"

namespace isthmus {

/// The two alphabets of RFC 4648: §4 "+/" (password hashes, pins) and §5 "-_" (JWTs).
enum class Base64 : std::uint8_t { standard, url };

/// Without padding.
std::string base64_encode(ByteView bytes, Base64 alphabet);
/// The standard alphabet, padded with "=" to a multiple of four characters.
std::string base64_padded(ByteView bytes);

/// Strict: no padding, no white space, only the one alphabet, unused bits zero (so that each byte
/// string has exactly one text, and a signed token cannot be varied).
std::optional<Bytes> base64_decode(std::string_view text, Base64 alphabet);

}  // namespace isthmus
