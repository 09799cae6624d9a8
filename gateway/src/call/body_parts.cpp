#include "call/body_parts.hpp"

#include <algorithm>

#include "base/text.hpp"
#include "call/media_session.hpp"

namespace isthmus::call {

using sip::HeaderId;

namespace {

constexpr int kNesting = 4;  // multipart/mixed around multipart/alternative is as deep as it gets

/// A stretch of a body.
struct Stretch {
  std::size_t begin = 0, end = 0;
};
struct Part {
  Stretch headers, content;
};

std::string boundary_of(std::string_view content_type) {
  std::size_t parameters = content_type.find(';');
  if (parameters == std::string_view::npos) return {};
  std::optional<sip::Params> params = sip::Params::parse(content_type.substr(parameters));
  std::string_view value = params ? params->get("boundary").value_or("") : std::string_view();
  if (value.size() >= 2 && value.front() == '"' && value.back() == '"')
    value = value.substr(1, value.size() - 2);
  return std::string(value);
}

std::string media_type(std::string_view content_type) {
  return to_lower(trim(content_type.substr(0, content_type.find(';'))));
}

/// Value of a header among a part's; its place in the body comes along.
std::optional<Stretch> header_in(std::string_view body, Stretch headers, std::string_view name) {
  std::size_t at = headers.begin;
  while (at < headers.end) {
    std::size_t end = body.find('\n', at);
    if (end == std::string_view::npos || end >= headers.end) end = headers.end;
    std::string_view line = body.substr(at, end - at);
    std::size_t colon = line.find(':');
    if (colon != std::string_view::npos && iequals(trim(line.substr(0, colon)), name)) {
      std::size_t stop = end;
      if (stop > at && body[stop - 1] == '\r') --stop;
      return Stretch{at + colon + 1, stop};
    }
    at = end + 1;
  }
  return std::nullopt;
}

/// Where a delimiter line "--boundary" begins, from `from` on (RFC 2046 §5.1.1).
std::size_t delimiter(std::string_view body, std::string_view line, std::size_t from,
                      std::size_t end) {
  for (std::size_t at = body.find(line, from); at != std::string_view::npos && at < end;
       at = body.find(line, at + 1)) {
    if (at != 0 && body[at - 1] != '\n') continue;
    // The boundary of another multipart may begin like this one.
    std::string_view rest = body.substr(at + line.size(), 2);
    if (rest.empty() || rest == "--" || std::string_view(" \t\r\n").find(rest[0]) < 4) return at;
  }
  return std::string_view::npos;
}

std::optional<Part> find_part(std::string_view body, Stretch within, std::string_view content_type,
                              int depth) {
  std::string boundary = boundary_of(content_type);
  if (boundary.empty() || depth == 0) return std::nullopt;
  std::string line = "--" + boundary;
  std::size_t at = delimiter(body, line, within.begin, within.end);
  while (at != std::string_view::npos) {
    if (body.substr(at + line.size(), 2) == "--") return std::nullopt;  // the last one
    std::size_t begin = body.find('\n', at);
    if (begin == std::string_view::npos || begin >= within.end) return std::nullopt;
    ++begin;
    // Some senders leave the last delimiter out; their descriptions need our addresses all the
    // same.
    std::size_t found = delimiter(body, line, at + line.size(), within.end);
    std::size_t next = std::min(found, within.end);
    Part part{{begin, begin}, {}};
    // The blank line that ends the headers; there may be none of them.
    for (std::size_t row = begin; row < next;) {
      std::size_t end = body.find('\n', row);
      if (end == std::string_view::npos || end >= next) break;
      if (end == row || (end == row + 1 && body[row] == '\r')) {
        part.headers.end = row;
        part.content = {end + 1, next};
        break;
      }
      row = end + 1;
    }
    if (part.content.end != 0) {
      // The line end before the delimiter belongs to it.
      std::size_t& end = part.content.end;
      bool delimited = found != std::string_view::npos;
      if (delimited && end > part.content.begin && body[end - 1] == '\n') --end;
      if (delimited && end > part.content.begin && body[end - 1] == '\r') --end;
      std::optional<Stretch> type = header_in(body, part.headers, "Content-Type");
      std::string_view text = type ? trim(body.substr(type->begin, type->end - type->begin)) : "";
      if (is_sdp(media_type(text))) return part;
      if (media_type(text).compare(0, 10, "multipart/") == 0) {
        if (std::optional<Part> inner = find_part(body, part.content, text, depth - 1))
          return inner;
      }
    }
    at = found;
  }
  return std::nullopt;
}

std::optional<Part> description_part(const sip::Message& message) {
  std::string type = message.content_type();
  std::string_view body = message.body();
  if (body.empty()) return std::nullopt;
  if (is_sdp(type)) return Part{{0, 0}, {0, body.size()}};
  if (type.compare(0, 10, "multipart/") != 0) return std::nullopt;
  std::string_view header = message.get(HeaderId::content_type).value_or("");
  return find_part(body, {0, body.size()}, header, kNesting);
}

}  // namespace

std::optional<std::string_view> description_in(const sip::Message& message) {
  std::optional<Part> part = description_part(message);
  if (!part || part->content.begin == part->content.end) return std::nullopt;
  return message.body().substr(part->content.begin, part->content.end - part->content.begin);
}

void replace_description(sip::Message& message, std::string_view description) {
  std::optional<Part> part = description_part(message);
  if (!part) return;
  std::string_view body = message.body();
  std::string text;
  if (auto length = header_in(body, part->headers, "Content-Length")) {
    text.append(body.substr(0, length->begin)).append(" ");
    text.append(std::to_string(description.size()));
    text.append(body.substr(length->end, part->content.begin - length->end));
  } else {
    text.append(body.substr(0, part->content.begin));
  }
  text.append(description).append(body.substr(part->content.end));
  message.set_body(text);
}

}  // namespace isthmus::call
