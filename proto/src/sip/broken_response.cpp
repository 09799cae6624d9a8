#include "sip/broken_response.hpp"

#include <algorithm>
#include <string>

#include "base/limits.hpp"
#include "base/text.hpp"
#include "sip/scan.hpp"

namespace isthmus::sip {
namespace {

constexpr HeaderId kOfTheRequest[] = {HeaderId::from, HeaderId::to, HeaderId::call_id,
                                      HeaderId::cseq};

/// "SIP/2.0 486 ...": 486. 0: no status line.
int status_of(std::string_view line) {
  const auto space = line.find(' ');
  if (!iequals(line.substr(0, 4), "SIP/") || space == std::string_view::npos) return 0;
  const std::string_view code = line.substr(space + 1, 3);
  const auto status = code.size() == 3 ? parse_number<std::uint32_t>(code) : std::nullopt;
  return status && *status >= 100 && *status <= 699 ? static_cast<int>(*status) : 0;
}

void keep_field(Message& kept, std::string_view line) {
  const std::size_t name_size = scan::token_size(line);
  const std::size_t colon = line.find(':');
  if (name_size == 0 || colon == std::string_view::npos || colon < name_size ||
      !trim(line.substr(name_size, colon - name_size)).empty())
    return;
  const std::string_view name = line.substr(0, name_size), value = trim(line.substr(colon + 1));
  const HeaderId id = header_from(name);
  const bool of_the_body = id == HeaderId::content_length || id == HeaderId::content_type ||
                           iequals(name.substr(0, 8), "Content-");
  if (of_the_body || !fits_header_line(value) || line.size() > limits::kSipHeaderBytes / 2) return;
  const bool once =
      std::find(std::begin(kOfTheRequest), std::end(kOfTheRequest), id) != std::end(kOfTheRequest);
  if (once && kept.has(id)) return;
  if (id == HeaderId::other) {
    kept.add(name, value);
  } else {
    kept.add(id, value);
  }
}

}  // namespace

std::optional<Message> salvage_response(std::string_view text) {
  while (!text.empty() && (text.front() == '\r' || text.front() == '\n')) text.remove_prefix(1);
  const int status = status_of(take_line(text));
  if (status == 0) return std::nullopt;
  Message kept = Message::response(status);
  std::string line;
  for (std::size_t lines = 0; lines < 2 * limits::kSipHeaders && !text.empty(); ++lines) {
    const std::string_view next = take_line(text);
    if (!next.empty() && (next.front() == ' ' || next.front() == '\t')) {  // §7.3.1
      line.append(" ").append(trim(next));
      continue;
    }
    if (!line.empty() && kept.field_count() < limits::kSipHeaders) keep_field(kept, line);
    line = next;
    if (next.empty()) break;
  }
  if (!line.empty() && kept.field_count() < limits::kSipHeaders) keep_field(kept, line);
  return kept;
}

bool mend_response(Message& response, const Message* request) {
  for (std::size_t round = 0; round < limits::kSipHeaders; ++round) {
    const std::optional<Fault> fault = response.check();
    if (!fault) return true;
    const HeaderId id = fault->header;
    if (fault->code == FaultCode::missing_header) {
      const auto said = request ? request->get(id) : std::nullopt;
      if (id == HeaderId::via || !said) return false;
      response.add(id, *said);
    } else if (fault->code == FaultCode::duplicate_header) {
      response.set(id, std::string(*response.get(id)));
    } else if (id != HeaderId::other && response.has(id)) {
      response.remove(id);
    } else {
      return false;
    }
  }
  return false;
}

}  // namespace isthmus::sip
