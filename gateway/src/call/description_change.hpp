#pragma once
#include <string_view>

namespace isthmus::call {

/// Whether a party has to be told of what the other one answered, when we offered that one the
/// party's own words once more (a session refresh). Another address or port is no reason: the relay
/// stands between. Another direction is, a stream that was closed or came back, and a format that
/// both had agreed on and that is missing now.
/// @param told  what the party was told of the other side last
/// @param offered  what the other side was offered, in the party's name
/// @param answered  what it said to that, as the party would be told
bool is_news(std::string_view told, std::string_view offered, std::string_view answered);

}  // namespace isthmus::call
