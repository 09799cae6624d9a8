#pragma once
#include <string>
#include <string_view>

namespace isthmus::ops {

/// The text with every byte that is not part of well-formed UTF-8 (RFC 3629 §4) replaced by U+FFFD:
/// log readers and scrapers refuse a whole document for one such byte.
std::string valid_utf8(std::string_view text);

}  // namespace isthmus::ops
