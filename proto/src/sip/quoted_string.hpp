#pragma once
#include <string>
#include <string_view>

namespace isthmus::sip {

/// A quoted-string (RFC 3261 §25.1) that says this; control characters are left out.
std::string quoted_string(std::string_view text);
/// What a quoted-string says, a quoted-pair being the character behind its backslash. Other text is
/// returned as it is, without white space around it.
std::string unquoted(std::string_view text);

}  // namespace isthmus::sip
