#include <algorithm>

#include "base/limits.hpp"
#include "base/text.hpp"
#include "sdp/fields.hpp"
#include "sdp/session_description.hpp"

namespace isthmus::sdp {
namespace {

using Line = SessionDescription::Line;
constexpr std::string_view kLineEnd = "\r\n";

struct Split {
  std::vector<Line> lines;
  std::string trailer;
};

bool is_letter(char c) {
  return to_lower(c) >= 'a' && to_lower(c) <= 'z';
}

Result<Split, Fault> split(std::string_view text) {
  if (text.size() > limits::kSdpBytes) return Fault{FaultCode::too_large, 0, 0};
  Split result;
  result.lines.reserve(16);  // what a phone with one stream sends
  while (text.find_first_not_of(kLineEnd) != std::string_view::npos) {
    const std::size_t number = result.lines.size() + 1;
    if (number > limits::kSdpLines) return Fault{FaultCode::too_many_lines, number, 0};
    const std::size_t newline = std::min(text.find('\n'), text.size());
    std::string_view body = text.substr(0, newline);
    if (body.ends_with('\r')) body.remove_suffix(1);
    const std::size_t consumed = std::min(newline + 1, text.size());

    if (body.size() < 2 || !is_letter(body[0]) || body[1] != '=') {
      return Fault{FaultCode::not_a_line, number, 0};
    }
    // A CR inside a line would be a line end to some readers: what we check would not be what they
    // see.
    if (body.find_first_of(std::string_view("\r\0", 2)) != std::string_view::npos) {
      return Fault{FaultCode::not_a_line, number, body[0]};
    }
    result.lines.push_back({body[0], std::string(body.substr(2)),
                            std::string(text.substr(body.size(), consumed - body.size()))});
    text.remove_prefix(consumed);
  }
  result.trailer = text;
  return result;
}

/// Digits, after a minus that phones printing a signed counter send.
bool is_counter(std::string_view text) {
  if (text.starts_with('-')) text.remove_prefix(1);
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

// RFC 8866 §5.2. Counted from the end: the user name may be missing or hold spaces.
bool is_origin(std::string_view value) {
  const auto all = fields(value);
  if (all.size() < 5) return false;
  return is_counter(all[all.size() - 4]) && iequals(all[all.size() - 3], "IN");
}

std::optional<FaultCode> check_media(std::string_view value) {
  if (field(value, 2).empty()) return FaultCode::bad_media;
  const std::string_view ports = field(value, 1);
  const std::size_t slash = std::min(ports.find('/'), ports.size());
  const auto port = parse_number<std::uint16_t>(ports.substr(0, slash));
  if (!port) return FaultCode::bad_port;
  if (slash < ports.size()) {
    const auto count = parse_number<std::uint16_t>(ports.substr(slash + 1));
    if (!count || *count == 0) return FaultCode::bad_port;
  }
  if (field(value, 3).empty() && *port != 0) return FaultCode::bad_media;
  return std::nullopt;
}

bool is_rtcp_value(std::string_view value) {
  if (!parse_number<std::uint16_t>(field(value, 0))) return false;
  const std::string_view rest = after_field(value, 0);
  return field(rest, 0).empty() || read_connection(rest).has_value();
}

std::optional<FaultCode> check_line(const Line& line, bool in_media) {
  if (line.type == 'm') return check_media(line.value);
  if (line.type == 'c' && !read_connection(line.value)) return FaultCode::bad_connection;
  if (line.type == 'o' && !in_media && !is_origin(line.value)) return FaultCode::bad_origin;
  if (in_media) {
    const auto rtcp = attribute_value(line, "rtcp");
    if (rtcp && !is_rtcp_value(*rtcp)) return FaultCode::bad_rtcp;
  }
  return std::nullopt;
}

/// Faults that show only once all lines are known: o= missing or twice, a stream without an
/// address.
std::optional<Fault> check_whole(const std::vector<Line>& lines) {
  const auto first_media = std::ranges::find(lines, 'm', &Line::type);
  const auto number_of = [&](auto line) {
    return static_cast<std::size_t>(line - lines.begin()) + 1;
  };
  const auto origin =
      std::find_if(lines.begin(), first_media, [](const Line& line) { return line.type == 'o'; });
  if (origin == first_media) {
    const char type = lines.size() > 1 ? lines[1].type : '\0';
    return Fault{FaultCode::bad_origin, 2, type};
  }
  const auto again =
      std::find_if(origin + 1, first_media, [](const Line& line) { return line.type == 'o'; });
  if (again != first_media) return Fault{FaultCode::bad_origin, number_of(again), 'o'};

  const bool session_has_one =
      std::any_of(lines.begin(), first_media, [](const Line& line) { return line.type == 'c'; });
  if (session_has_one) return std::nullopt;
  for (auto media = first_media; media != lines.end();) {
    const auto next =
        std::find_if(media + 1, lines.end(), [](const Line& line) { return line.type == 'm'; });
    const bool has_one =
        std::any_of(media, next, [](const Line& line) { return line.type == 'c'; });
    const std::string_view port = field(media->value, 1);
    const bool closed = parse_number<std::uint16_t>(port.substr(0, port.find('/'))) == 0;
    if (!has_one && !closed) return Fault{FaultCode::missing_connection, number_of(media), 'm'};
    media = next;
  }
  return std::nullopt;
}

}  // namespace

Result<SessionDescription, Fault> SessionDescription::parse(std::string_view text) {
  auto parts = split(text);
  if (!parts) return parts.error();
  std::vector<Line>& lines = parts->lines;
  if (lines.empty() || lines[0].type != 'v' || trim(lines[0].value) != "0") {
    return Fault{FaultCode::wrong_first_line, 1, lines.empty() ? '\0' : lines[0].type};
  }
  std::size_t media = 0;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (lines[i].type == 'm') ++media;
    if (media > limits::kSdpMediaLines) return Fault{FaultCode::too_many_media, i + 1, 'm'};
    const auto code = check_line(lines[i], media > 0);
    if (code) return Fault{*code, i + 1, lines[i].type};
  }
  if (const auto fault = check_whole(lines)) return *fault;

  SessionDescription result;
  result.session_.reserve(8);
  result.media_.reserve(media);
  for (Line& line : lines) {
    if (line.type == 'm') {
      result.media_.push_back(Media(std::move(line)));
      result.media_.back().lines_.reserve(8);
    } else {
      (result.media_.empty() ? result.session_ : result.media_.back().lines_)
          .push_back(std::move(line));
    }
  }
  result.trailer_ = std::move(parts->trailer);
  return result;
}

}  // namespace isthmus::sdp
