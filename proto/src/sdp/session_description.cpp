#include "sdp/session_description.hpp"

#include <algorithm>
#include <array>

#include "base/text.hpp"
#include "sdp/fields.hpp"

namespace isthmus::sdp {
namespace {

using Line = SessionDescription::Line;

/// Indexed by Direction.
constexpr std::array<std::string_view, 4> kDirections = {"sendrecv", "sendonly", "recvonly",
                                                         "inactive"};

std::string_view to_text(FaultCode code) {
  switch (code) {
    case FaultCode::too_large:
      return "longer than this gateway accepts";
    case FaultCode::too_many_lines:
      return "more lines than this gateway accepts";
    case FaultCode::too_many_media:
      return "more m= lines than this gateway accepts";
    case FaultCode::not_a_line:
      return "not a letter, an equals sign and text";
    case FaultCode::wrong_first_line:
      return "the first line is not v=0";
    case FaultCode::bad_origin:
      return "no single o= line with session id, version, network, address type and address";
    case FaultCode::bad_connection:
      return "not a network type, address type and matching address";
    case FaultCode::bad_media:
      return "not a media type, port, protocol and formats";
    case FaultCode::bad_port:
      return "port is not a number from 0 to 65535";
    case FaultCode::bad_rtcp:
      return "a=rtcp is not a port, alone or with network type, address type and address";
    case FaultCode::missing_connection:
      return "no c= line here or before the first m= line";
  }
  return "unknown fault";
}

std::string_view to_text(Direction direction) {
  return kDirections[static_cast<std::size_t>(direction)];
}

std::optional<Direction> direction_of_line(const Line& line) {
  for (std::size_t i = 0; i < kDirections.size(); ++i) {
    if (attribute_value(line, kDirections[i])) return static_cast<Direction>(i);
  }
  return std::nullopt;
}

bool is_direction(const Line& line) {
  return direction_of_line(line).has_value();
}

std::optional<Direction> direction_in(const std::vector<Line>& lines) {
  const auto line = std::ranges::find_if(lines, is_direction);
  return line == lines.end() ? std::nullopt : direction_of_line(*line);
}

std::optional<Connection> connection_in(const std::vector<Line>& lines) {
  const auto line = std::ranges::find(lines, 'c', &Line::type);
  if (line == lines.end()) return std::nullopt;
  return read_connection(line->value);
}

std::optional<std::string> attribute_in(const std::vector<Line>& lines, std::string_view name) {
  for (const Line& line : lines) {
    if (const auto value = attribute_value(line, name)) return std::string(*value);
  }
  return std::nullopt;
}

void remove_attribute_in(std::vector<Line>& lines, std::string_view name) {
  std::erase_if(lines, [&](const Line& line) { return attribute_value(line, name).has_value(); });
}

/// Line end for a line beside `lines`, of which even the first may lack one.
std::string ending_like(const std::vector<Line>& lines) {
  const bool known = !lines.empty() && lines.front().ending.ends_with('\n');
  return known ? lines.front().ending : std::string("\r\n");
}

std::string attribute_text(std::string_view name, std::string_view value) {
  std::string text = one_line(name);
  if (!value.empty()) text += ':' + one_line(value);
  return text;
}

/// Value of o=, which every parsed or made description has with at least five fields; none in an
/// empty one.
std::string* origin_in(std::vector<Line>& session) {
  const auto line = std::ranges::find(session, 'o', &Line::type);
  return line == session.end() ? nullptr : &line->value;
}

void set_address_in(std::vector<Line>& lines, const IpAddress& address) {
  for (Line& line : lines) {
    if (line.type == 'c') line.value = with_address(line.value, 0, address);
    if (attribute_value(line, "rtcp")) line.value = with_address(line.value, 1, address);
  }
}

}  // namespace

std::string Fault::reason() const {
  std::string text = "Malformed SDP";
  if (line != 0) text += " line " + std::to_string(line);
  if (type != 0) text += std::string(" (") + type + "=)";
  return text.append(": ").append(to_text(code));
}

Direction reversed(Direction direction) {
  if (direction == Direction::sendonly) return Direction::recvonly;
  if (direction == Direction::recvonly) return Direction::sendonly;
  return direction;
}

// --- Media -------------------------------------------------------------------------------------

std::string SessionDescription::Media::type() const {
  return std::string(field(lines_.front().value, 0));
}

std::uint16_t SessionDescription::Media::port() const {
  const std::string_view text = field(lines_.front().value, 1);
  return parse_number<std::uint16_t>(text.substr(0, text.find('/'))).value_or(0);
}

std::string SessionDescription::Media::protocol() const {
  return std::string(field(lines_.front().value, 2));
}

std::vector<std::string> SessionDescription::Media::formats() const {
  const auto all = fields(lines_.front().value);
  std::vector<std::string> formats;
  for (std::size_t i = 3; i < all.size(); ++i) formats.emplace_back(all[i]);
  return formats;
}

void SessionDescription::Media::set_port(std::uint16_t port) {
  replace_field(lines_.front().value, 1, std::to_string(port));
}

void SessionDescription::Media::set_protocol(std::string_view protocol) {
  replace_field(lines_.front().value, 2, one_line(protocol));
}

void SessionDescription::Media::set_formats(const std::vector<std::string>& formats) {
  std::string text = type();
  text.append(" ").append(field(lines_.front().value, 1)).append(" ").append(protocol());
  for (const std::string& format : formats) text += ' ' + one_line(format);
  lines_.front().value = std::move(text);
}

std::optional<Connection> SessionDescription::Media::connection() const {
  return connection_in(lines_);
}

std::optional<Direction> SessionDescription::Media::direction() const {
  return direction_in(lines_);
}

std::optional<std::uint16_t> SessionDescription::Media::rtcp_port() const {
  const auto value = attribute("rtcp");
  if (!value) return std::nullopt;
  return parse_number<std::uint16_t>(field(*value, 0));
}

std::optional<IpAddress> SessionDescription::Media::rtcp_address() const {
  const auto value = attribute("rtcp");
  if (!value) return std::nullopt;
  const auto connection = read_connection(after_field(*value, 0));
  if (!connection) return std::nullopt;
  return connection->ip;
}

bool SessionDescription::Media::rtcp_mux() const {
  return attribute("rtcp-mux").has_value();
}

std::vector<RtpMap> SessionDescription::Media::rtpmaps() const {
  std::vector<RtpMap> result;
  if (!is_rtp()) return result;
  std::array<bool, 128> seen{};
  for (const std::string_view format : fields(after_field(lines_.front().value, 2))) {
    const auto number = parse_number<std::uint8_t>(format);
    if (!number || *number >= seen.size() || std::exchange(seen[*number], true)) continue;
    if (auto map = map_of(*number)) result.push_back(std::move(*map));
  }
  return result;
}

std::optional<RtpMap> SessionDescription::Media::map_of(std::uint8_t payload_type) const {
  for (const Line& line : lines_) {
    const auto value = attribute_value(line, "rtpmap");
    if (!value || parse_number<std::uint8_t>(field(*value, 0)) != payload_type) continue;
    if (auto map = read_rtpmap(*value)) return map;
  }
  return static_rtpmap(payload_type);
}

std::uint32_t SessionDescription::Media::first_clock_rate() const {
  if (!is_rtp()) return 0;
  const auto number = parse_number<std::uint8_t>(field(lines_.front().value, 3));
  const auto map = number && *number < 128 ? map_of(*number) : std::nullopt;
  return map ? map->clock_rate : 0;
}

bool SessionDescription::Media::is_rtp() const {
  const std::string_view protocol = field(lines_.front().value, 2);
  return protocol.starts_with("RTP/") || protocol.find("/RTP/") != std::string_view::npos;
}

std::optional<std::string> SessionDescription::Media::fmtp(std::uint8_t payload_type) const {
  for (const Line& line : lines_) {
    const auto value = attribute_value(line, "fmtp");
    if (value && parse_number<std::uint8_t>(field(*value, 0)) == payload_type) {
      return std::string(trim(after_field(*value, 0)));
    }
  }
  return std::nullopt;
}

std::optional<std::uint32_t> SessionDescription::Media::ptime_ms() const {
  const auto value = attribute("ptime");
  if (!value) return std::nullopt;
  return parse_number<std::uint32_t>(trim(*value));
}

std::optional<std::string> SessionDescription::Media::attribute(std::string_view name) const {
  return attribute_in(lines_, name);
}

void SessionDescription::Media::set_attribute(std::string_view name, std::string_view value) {
  for (Line& line : lines_) {
    if (!attribute_value(line, name)) continue;
    line.value = attribute_text(name, value);
    return;
  }
  add_attribute(name, value);
}

void SessionDescription::Media::add_attribute(std::string_view name, std::string_view value) {
  lines_.push_back({'a', attribute_text(name, value), ending_like(lines_)});
}

void SessionDescription::Media::remove_attribute(std::string_view name) {
  remove_attribute_in(lines_, name);
}

void SessionDescription::Media::remove_connection() {
  std::erase_if(lines_, [](const Line& line) { return line.type == 'c'; });
}

void SessionDescription::Media::set_direction(Direction direction) {
  if (this->direction() == direction) return;
  const auto old = std::ranges::find_if(lines_, is_direction);
  const std::string_view name = to_text(direction);
  if (old == lines_.end()) return add_attribute(name, "");
  old->value = name;
  lines_.erase(std::remove_if(old + 1, lines_.end(), is_direction), lines_.end());
}

// --- SessionDescription ------------------------------------------------------------------------

SessionDescription SessionDescription::make(std::uint64_t session_id, std::uint64_t version,
                                            const IpAddress& address) {
  SessionDescription result;
  const std::string where = connection_text(address);
  result.session_ = {
      {'v', "0"},
      {'o', "- " + std::to_string(session_id) + ' ' + std::to_string(version) + ' ' + where},
      {'s', "-"},
      {'c', where},
      {'t', "0 0"}};
  return result;
}

SessionDescription::Media& SessionDescription::add_media(std::string_view type, std::uint16_t port,
                                                         std::string_view protocol,
                                                         const std::vector<std::string>& formats) {
  std::string value = one_line(type) + ' ' + std::to_string(port) + ' ' + one_line(protocol);
  for (const std::string& format : formats) value += ' ' + one_line(format);
  media_.push_back(Media({'m', std::move(value), ending_like(session_)}));
  return media_.back();
}

std::optional<Connection> SessionDescription::connection() const {
  return connection_in(session_);
}

std::optional<Connection> SessionDescription::connection_of(const Media& media) const {
  auto own = media.connection();
  return own ? own : connection();
}

Direction SessionDescription::direction_of(const Media& media) const {
  if (const auto own = media.direction()) return *own;
  return direction_in(session_).value_or(Direction::sendrecv);
}

std::string SessionDescription::origin() const {
  const auto line = std::ranges::find(session_, 'o', &Line::type);
  return line == session_.end() ? std::string() : line->value;
}

// The user name of o= may hold spaces in practice, so its other fields are counted from the end.
std::optional<std::uint64_t> SessionDescription::origin_version() const {
  const std::string value = origin();
  const auto all = fields(value);
  if (all.size() < 4) return std::nullopt;
  return parse_number<std::uint64_t>(all[all.size() - 4]);
}

void SessionDescription::set_origin_version(std::uint64_t version) {
  std::string* value = origin_in(session_);
  if (value) replace_field(*value, fields(*value).size() - 4, std::to_string(version));
}

void SessionDescription::set_origin_address(const IpAddress& address) {
  std::string* value = origin_in(session_);
  if (!value) return;
  const std::size_t count = fields(*value).size();
  replace_field(*value, count - 2, address.is_v4() ? "IP4" : "IP6");
  replace_field(*value, count - 1, address.to_string());
}

void SessionDescription::set_address(const IpAddress& address) {
  set_address_in(session_, address);
  for (Media& media : media_) set_address_in(media.lines_, address);

  const bool everywhere = std::ranges::all_of(
      media_, [](const Media& media) { return media.connection().has_value(); });
  if (everywhere || connection()) return;
  // RFC 8866 §5: c= comes after v o s i u e p and before b t r z k a.
  const auto after = std::ranges::find_if(session_.rbegin(), session_.rend(), [](const Line& line) {
    return std::string_view("vosiuep").find(line.type) != std::string_view::npos;
  });
  session_.insert(after.base(), {'c', connection_text(address), ending_like(session_)});
}

std::optional<std::string> SessionDescription::session_attribute(std::string_view name) const {
  return attribute_in(session_, name);
}

void SessionDescription::remove_session_attribute(std::string_view name) {
  remove_attribute_in(session_, name);
}

std::string SessionDescription::to_string() const {
  std::string text;
  text.reserve(512);  // what a phone with one stream sends
  const auto write = [&text](const std::vector<Line>& lines) {
    for (const Line& line : lines) {
      // Only a line that came last may lack its end; one put after it makes up for that.
      if (!text.empty() && text.back() != '\n') text += text.back() == '\r' ? "\n" : "\r\n";
      text.append({line.type, '='}).append(line.value).append(line.ending);
    }
  };
  write(session_);
  for (const Media& media : media_) write(media.lines_);
  return text + trailer_;
}

}  // namespace isthmus::sdp
