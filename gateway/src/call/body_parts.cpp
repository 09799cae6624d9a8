#include "call/body_parts.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/limits.hpp"
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
  Stretch whole;              ///< with its delimiter line, up to the next one
  bool session = true;        ///< by its Content-Disposition
  bool optional = false;      ///< by its handling parameter
  bool encoded = false;       ///< by its Content-Encoding: it cannot be read
  std::size_t multipart = 0;  ///< where the multipart begins that it stands in
  bool alternative = false;   ///< that is multipart/alternative
};
/// The descriptions in a body.
struct Parts {
  std::vector<Part> found;
  bool unreadable = false;  ///< there may be more
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

/// Value of a header among a part's, continuation lines included; its place in the body.
std::optional<Stretch> header_in(std::string_view body, Stretch headers, std::string_view name) {
  std::optional<Stretch> value;
  for (std::size_t at = headers.begin; at < headers.end;) {
    std::size_t end = body.find('\n', at);
    if (end == std::string_view::npos || end >= headers.end) end = headers.end;
    std::string_view line = body.substr(at, end - at);
    std::size_t stop = !line.empty() && line.back() == '\r' ? end - 1 : end;
    std::size_t colon = line.find(':');
    if (value && !line.empty() && (line.front() == ' ' || line.front() == '\t')) {
      value->end = stop;
    } else if (value) {
      break;
    } else if (colon != std::string_view::npos && iequals(trim(line.substr(0, colon)), name)) {
      value = Stretch{at + colon + 1, stop};
    }
    at = end + 1;
  }
  return value;
}

/// The same, on one line.
std::string value_in(std::string_view body, Stretch headers, std::string_view name) {
  std::optional<Stretch> value = header_in(body, headers, name);
  if (!value) return {};
  std::string text(body.substr(value->begin, value->end - value->begin));
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c == '\r' || c == '\n'; }, ' ');
  return std::string(trim(text));
}

/// RFC 3261 §20.11.
void read_disposition(std::string_view value, Part& part) {
  if (value.empty()) return;
  std::size_t parameters = std::min(value.find(';'), value.size());
  part.session = iequals(trim(value.substr(0, parameters)), "session");
  std::optional<sip::Params> params = sip::Params::parse(value.substr(parameters));
  part.optional = params && iequals(params->get("handling").value_or(""), "optional");
}

/// RFC 3261 §20.12.
bool is_coding(std::string_view coding) {
  return !coding.empty() && !iequals(coding, "identity");
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

/// Reads the headers of a part; its content begins behind the blank line that ends them.
/// @return false: there is none.
bool split_part(std::string_view body, Part& part) {
  for (std::size_t row = part.headers.begin; row < part.whole.end;) {
    std::size_t end = body.find('\n', row);
    if (end == std::string_view::npos || end >= part.whole.end) return false;
    if (end == row || (end == row + 1 && body[row] == '\r')) {
      part.headers.end = row;
      part.content = {end + 1, part.whole.end};
      return true;
    }
    row = end + 1;
  }
  return false;
}

void find_parts(std::string_view body, Stretch within, std::string_view content_type, int depth,
                Parts& out) {
  const std::string boundary = boundary_of(content_type);
  if (boundary.empty() || depth == 0) {
    std::string text = to_lower(body.substr(within.begin, within.end - within.begin));
    out.unreadable = out.unreadable || text.find("application/sdp") != std::string::npos;
    return;
  }
  const std::string line = "--" + boundary;
  std::size_t at = delimiter(body, line, within.begin, within.end);
  while (at != std::string_view::npos) {
    if (body.substr(at + line.size(), 2) == "--") return;  // the last one
    std::size_t begin = body.find('\n', at);
    if (begin == std::string_view::npos || begin >= within.end) return;
    // Some senders leave the last delimiter out; their descriptions need our addresses all the
    // same.
    const std::size_t found = delimiter(body, line, at + line.size(), within.end);
    const bool delimited = found != std::string_view::npos;
    Part part;
    part.headers = {begin + 1, begin + 1};
    part.whole = {at, std::min(found, within.end)};
    part.multipart = within.begin;
    part.alternative = media_type(content_type) == "multipart/alternative";
    if (split_part(body, part)) {
      // The line end before the delimiter belongs to it.
      std::size_t& end = part.content.end;
      if (delimited && end > part.content.begin && body[end - 1] == '\n') --end;
      if (delimited && end > part.content.begin && body[end - 1] == '\r') --end;
      const std::string type = value_in(body, part.headers, "Content-Type");
      if (is_sdp(media_type(type))) {
        read_disposition(value_in(body, part.headers, "Content-Disposition"), part);
        part.encoded = is_coding(value_in(body, part.headers, "Content-Encoding"));
        if (out.found.size() == limits::kSdpParts) out.unreadable = true;
        if (out.unreadable) return;
        out.found.push_back(part);
      } else if (media_type(type).compare(0, 10, "multipart/") == 0) {
        find_parts(body, part.content, type, depth - 1, out);
      }
    }
    at = found;
  }
}

/// Of a multipart body.
Parts parts_of(const sip::Message& message) {
  Parts parts;
  std::string_view body = message.body();
  if (body.empty() || message.content_type().compare(0, 10, "multipart/") != 0) return parts;
  std::string_view header = message.get(HeaderId::content_type).value_or("");
  find_parts(body, {0, body.size()}, header, kNesting, parts);
  return parts;
}

/// The first that must be handled, and of those the first that can be read.
const Part* choose(const Parts& parts) {
  const auto rank = [](const Part& part) { return std::pair(part.optional, part.encoded); };
  const Part* chosen = nullptr;
  for (const Part& part : parts.found) {
    if (part.session && (!chosen || rank(part) < rank(*chosen))) chosen = &part;
  }
  return chosen;
}

std::optional<Part> description_part(const sip::Message& message) {
  if (is_sdp(message.content_type())) {
    Part whole;
    whole.content = {0, message.body().size()};
    return whole;
  }
  const Parts parts = parts_of(message);
  const Part* chosen = choose(parts);
  return chosen ? std::optional<Part>(*chosen) : std::nullopt;
}

}  // namespace

std::optional<std::string_view> description_in(const sip::Message& message) {
  std::optional<Part> part = description_part(message);
  if (!part || part->content.begin == part->content.end) return std::nullopt;
  return message.body().substr(part->content.begin, part->content.end - part->content.begin);
}

bool has_encoded_description(const sip::Message& message) {
  if (message.body().empty()) return false;
  const std::string type = message.content_type();
  const bool multipart = type.compare(0, 10, "multipart/") == 0;
  if (!multipart && !is_sdp(type)) return false;
  const auto codings = message.values(HeaderId::content_encoding);
  if (std::any_of(codings.begin(), codings.end(), is_coding)) return true;
  if (!multipart) return false;
  const Parts parts = parts_of(message);
  const Part* chosen = choose(parts);
  return chosen && chosen->encoded;
}

std::optional<std::string> leave_one_description(sip::Message& message) {
  const Parts parts = parts_of(message);
  if (parts.unreadable) return "Malformed multipart body";
  const Part* chosen = choose(parts);
  if (parts.found.size() == (chosen ? 1 : 0)) return std::nullopt;
  std::string text(message.body());
  for (auto part = parts.found.rbegin(); part != parts.found.rend(); ++part) {
    if (chosen == &*part) continue;
    const bool either =
        chosen && part->alternative && part->multipart == chosen->multipart;  // one is to be taken
    if (part->session && !part->optional && !either) return "More than one session description";
    text.erase(part->whole.begin, part->whole.end - part->whole.begin);
  }
  message.set_body(text);
  return std::nullopt;
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
