#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "sip/message.hpp"

namespace isthmus::call {

/// The session description of a message: its body, or the first application/sdp part of a
/// multipart body (RFC 5621 §3), nested ones included. A view into the message.
/// @return nothing if there is none, or it is empty.
std::optional<std::string_view> description_in(const sip::Message& message);
inline bool has_description(const sip::Message& message) {
  return description_in(message).has_value();
}
/// Puts another description in its place; everything around it stays byte for byte, but for the
/// part's own Content-Length.
void replace_description(sip::Message& message, std::string_view description);

}  // namespace isthmus::call
