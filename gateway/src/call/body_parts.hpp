#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "sip/message.hpp"

namespace isthmus::call {

/// The session description of a message: its body, or that application/sdp part of a multipart body
/// (RFC 5621 §3), nested ones included, whose disposition is `session` (RFC 3261 §20.11: so it is
/// without one): the first that must be handled, else the first. A view into the message.
/// @return nothing if there is none, or it is empty.
std::optional<std::string_view> description_in(const sip::Message& message);
inline bool has_description(const sip::Message& message) {
  return description_in(message).has_value();
}
/// Whether the description in the body cannot be read for a Content-Encoding (RFC 3261 §20.12): the
/// message's own, be it of a description or of parts that may hold one, or that of the part.
bool has_encoded_description(const sip::Message& message);
/// Takes all other application/sdp parts out of a multipart body, so that no description, with the
/// addresses in it, passes unread: alternatives (RFC 2046 §5.1.4), those that may be left out
/// (`handling=optional`) and those of early sessions (RFC 3959), which the bridge does not serve.
/// @return why the message cannot be carried: a second one that must be handled, or descriptions
///   in a multipart body that cannot be taken apart.
std::optional<std::string> leave_one_description(sip::Message& message);
/// Puts another description in its place; everything around it stays byte for byte, but for the
/// part's own Content-Length.
void replace_description(sip::Message& message, std::string_view description);

}  // namespace isthmus::call
