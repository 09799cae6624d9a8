#include "sdp/fields.hpp"

#include <algorithm>
#include <array>

#include "base/text.hpp"

namespace isthmus::sdp {
namespace {

constexpr std::string_view kBlank = " \t";

bool is_blank(char c) {
  return c == ' ' || c == '\t';
}

/// Takes the next field off `rest`, and the blanks before it; "" when there is none.
std::string_view next_field(std::string_view& rest) {
  std::size_t begin = 0;
  while (begin < rest.size() && is_blank(rest[begin])) ++begin;
  std::size_t end = begin;
  while (end < rest.size() && !is_blank(rest[end])) ++end;
  const std::string_view result = rest.substr(begin, end - begin);
  rest.remove_prefix(end);
  return result;
}

struct StaticType {
  std::uint8_t payload_type;
  std::string_view encoding;
  std::uint32_t clock_rate;
  std::uint32_t channels = 1;
};

// RFC 3551 tables 4 and 5.
constexpr StaticType kStaticTypes[] = {
    {0, "PCMU", 8000},     {3, "GSM", 8000},    {4, "G723", 8000},   {5, "DVI4", 8000},
    {6, "DVI4", 16000},    {7, "LPC", 8000},    {8, "PCMA", 8000},   {9, "G722", 8000},
    {10, "L16", 44100, 2}, {11, "L16", 44100},  {12, "QCELP", 8000}, {13, "CN", 8000},
    {14, "MPA", 90000},    {15, "G728", 8000},  {16, "DVI4", 11025}, {17, "DVI4", 22050},
    {18, "G729", 8000},    {25, "CelB", 90000}, {26, "JPEG", 90000}, {28, "nv", 90000},
    {31, "H261", 90000},   {32, "MPV", 90000},  {33, "MP2T", 90000}, {34, "H263", 90000},
};

/// "/127" or "/127/3": multicast TTL and number of addresses (RFC 8866 §5.7).
bool is_suffix(std::string_view text) {
  for (int parts = 0; !text.empty(); ++parts) {
    if (parts == 2 || text.front() != '/') return false;
    text.remove_prefix(1);
    const std::string_view number = text.substr(0, text.find('/'));
    if (!parse_number<std::uint16_t>(number)) return false;
    text.remove_prefix(number.size());
  }
  return true;
}

}  // namespace

std::vector<std::string_view> fields(std::string_view value) {
  std::vector<std::string_view> result;
  result.reserve(8);
  while (true) {
    const std::string_view next = next_field(value);
    if (next.empty()) return result;
    result.push_back(next);
  }
}

std::string_view field(std::string_view value, std::size_t index) {
  std::string_view result = next_field(value);
  for (; index > 0 && !result.empty(); --index) result = next_field(value);
  return result;
}

std::string_view after_field(std::string_view value, std::size_t index) {
  do {
    if (next_field(value).empty()) return {};
  } while (index-- > 0);
  return value;
}

void replace_field(std::string& value, std::size_t index, std::string_view text) {
  const std::string_view old = field(value, index);
  if (old.empty()) return;
  value.replace(static_cast<std::size_t>(old.data() - value.data()), old.size(), text);
}

std::string one_line(std::string_view text) {
  std::string result(text);
  std::erase_if(result, [](char c) { return c == '\r' || c == '\n' || c == '\0'; });
  return result;
}

std::optional<std::string_view> attribute_value(const SessionDescription::Line& line,
                                                std::string_view name) {
  if (line.type != 'a' || !line.value.starts_with(name)) return std::nullopt;
  const std::string_view rest = std::string_view(line.value).substr(name.size());
  if (rest.find_first_not_of(kBlank) == std::string_view::npos) return "";
  if (rest.front() == ':') return rest.substr(1);
  return std::nullopt;
}

std::optional<Connection> read_connection(std::string_view value) {
  std::array<std::string_view, 3> parts;
  for (std::string_view& part : parts) part = next_field(value);
  if (parts[2].empty() || !next_field(value).empty()) return std::nullopt;
  Connection result{std::string(parts[1]), std::string(parts[2]), {}};
  const bool v4 = iequals(parts[1], "IP4");
  if (!iequals(parts[0], "IN") || (!v4 && !iequals(parts[1], "IP6"))) return result;

  const std::string_view host = parts[2].substr(0, parts[2].find('/'));
  if (host.empty() || !is_suffix(parts[2].substr(host.size()))) return std::nullopt;
  result.ip = IpAddress::parse(host);
  if (result.ip) {
    if (result.ip->is_v4() != v4) return std::nullopt;
    return result;
  }
  // What can only have been meant as a number is a wrong address, not a host name.
  const bool numeric = host.find_first_not_of("0123456789.") == std::string_view::npos ||
                       host.find_first_of(":[]") != std::string_view::npos;
  if (numeric) return std::nullopt;
  return result;
}

std::string connection_text(const IpAddress& address) {
  return (address.is_v4() ? "IN IP4 " : "IN IP6 ") + address.to_string();
}

std::string with_address(const std::string& value, std::size_t first, const IpAddress& address) {
  const std::string_view before =
      first == 0
          ? std::string_view()
          : std::string_view(value).substr(0, value.size() - after_field(value, first - 1).size());
  const auto connection = read_connection(std::string_view(value).substr(before.size()));
  if (!connection || !iequals(field(value, first), "IN")) return value;
  if (connection->ip && connection->ip->is_unspecified()) return value;
  std::string result(before);
  if (!result.empty()) result += ' ';
  return result += connection_text(address);
}

std::optional<RtpMap> read_rtpmap(std::string_view value) {
  std::array<std::string_view, 2> parts;
  for (std::string_view& part : parts) part = next_field(value);
  if (parts[1].empty() || !next_field(value).empty()) return std::nullopt;
  const auto payload_type = parse_number<std::uint8_t>(parts[0]);
  const std::size_t slash = parts[1].find('/');
  if (!payload_type || *payload_type > 127 || slash == 0 || slash == std::string_view::npos) {
    return std::nullopt;
  }
  const std::string_view rate_and_channels = parts[1].substr(slash + 1);
  const std::size_t second = rate_and_channels.find('/');
  const auto clock_rate = parse_number<std::uint32_t>(rate_and_channels.substr(0, second));
  auto channels = std::optional<std::uint32_t>(1);
  if (second != std::string_view::npos) {
    channels = parse_number<std::uint32_t>(rate_and_channels.substr(second + 1));
  }
  if (!clock_rate || *clock_rate == 0 || !channels || *channels == 0) return std::nullopt;
  return RtpMap{*payload_type, std::string(parts[1].substr(0, slash)), *clock_rate, *channels};
}

std::optional<RtpMap> static_rtpmap(std::uint8_t payload_type) {
  const auto* found = std::ranges::find(kStaticTypes, payload_type, &StaticType::payload_type);
  if (found == std::end(kStaticTypes)) return std::nullopt;
  return RtpMap{payload_type, std::string(found->encoding), found->clock_rate, found->channels};
}

}  // namespace isthmus::sdp
