#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sdp/session_description.hpp"

/// Values of SDP lines, taken apart and put together. Fields are split by any number of spaces or
/// tabs. Private to this room.
namespace isthmus::sdp {

std::vector<std::string_view> fields(std::string_view value);
/// "" when there are not that many. `value` must outlive the result.
std::string_view field(std::string_view value, std::size_t index);
std::string_view after_field(std::string_view value, std::size_t index);
/// Leaves all other bytes as they are. Nothing happens when there are not that many.
void replace_field(std::string& value, std::size_t index, std::string_view text);

/// Without CR, LF and NUL, which no value may hold (RFC 8866 §9, byte-string).
std::string one_line(std::string_view text);

/// Value of an "a=name:value" line, "" of an "a=name" line, nothing of any other.
std::optional<std::string_view> attribute_value(const SessionDescription::Line& line,
                                                std::string_view name);

/// "<nettype> <addrtype> <address>"; nothing when malformed. `ip` stays empty for host names and
/// other networks.
std::optional<Connection> read_connection(std::string_view value);
std::string connection_text(const IpAddress& address);  ///< "IN IP4 192.0.2.1"
/// `value` with `address` in place of the connection that begins at field `first`, if it is one
/// that may be replaced.
std::string with_address(const std::string& value, std::size_t first, const IpAddress& address);

/// "<payload type> <encoding>/<clock rate>[/<channels>]"; nothing when malformed.
std::optional<RtpMap> read_rtpmap(std::string_view value);
std::optional<RtpMap> static_rtpmap(std::uint8_t payload_type);  ///< RFC 3551 §6

}  // namespace isthmus::sdp
