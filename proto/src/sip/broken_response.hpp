#pragma once
#include <optional>
#include <string_view>

#include "sip/message.hpp"

namespace isthmus::sip {

/// What can still be told of a response that Message::parse() or check() refuses: its status, and
/// the header fields that can be told apart, good or bad. Its body is left out, since its bounds
/// or its type may be what is wrong.
/// @return nothing for what is no response.
std::optional<Message> salvage_response(std::string_view text);

/// Makes it pass check(): unsound header fields go, of those that may stand once the first stays,
/// and what is missing comes from the request that it answers (RFC 3261 §8.2.6.2). A To that is
/// lost leaves it without its tag.
/// @param request  null: nothing is known of it any more
/// @return false: it cannot be mended.
bool mend_response(Message& response, const Message* request);

}  // namespace isthmus::sip
