#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "control.pb.h"
#include "wire/compact_rtp.hpp"
#include "wire/session_events.hpp"

namespace isthmus::wire {

/// Reads one control message. @return false when the bytes are not valid protobuf (text that is not
/// UTF-8 included).
bool parse_control(ByteView bytes, v1::ControlMessage& message);
Bytes serialize_control(const v1::ControlMessage& message);

/// Does a message that parse_control() read, or the body in it, carry fields that our schema does
/// not name?
bool has_unknown_fields(ByteView bytes, const v1::ControlMessage& message);

v1::ControlMessage to_message(const HelloInfo& hello);
v1::ControlMessage to_message(const WelcomeInfo& welcome);
/// Nothing when it carries no credentials of a kind that this version knows.
std::optional<HelloInfo> to_info(const v1::Hello& hello);
WelcomeInfo to_info(const v1::Welcome& welcome);

v1::ControlMessage to_message(const GoAwayInfo& info);
/// At most limits::kGoAwayGateways of them, none above limits::kGatewayUrlBytes.
GoAwayInfo to_info(const v1::GoAway& message);

v1::ControlMessage to_message(const CompactContext& context);
v1::ControlMessage to_message(const CompactAnswer& answer);
CompactContext to_context(const v1::MediaContext& message);
CompactAnswer to_answer(const v1::MediaContextAck& message);

/// Is `name` among what an end says that it can do?
bool has_capability(const std::vector<std::string>& capabilities, std::string_view name);

/// Codes that we do not know become internal_error: the session is over in any case.
CloseCode to_close_code(v1::CloseCode code);
v1::CloseCode to_wire(CloseCode code);

/// Text for a person, at most limits::kReasonBytes, every byte that is not printable ASCII replaced
/// by '?': safe to send, to log and to show.
std::string printable(std::string_view text);

}  // namespace isthmus::wire
