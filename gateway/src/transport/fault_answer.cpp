#include "transport/fault_answer.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "base/limits.hpp"
#include "base/text.hpp"
#include "sip/names.hpp"
#include "sip/uri.hpp"
#include "sip/values.hpp"

namespace isthmus::transport {
namespace {

using sip::HeaderId;

/// A line that was meant as a SIP request line, of a method that gets answers.
bool is_answerable_request_line(std::string_view line) {
  const std::string_view method = line.substr(0, line.find_first_of(" \t"));
  if (method.empty() || method.size() == line.size() || method == "ACK") return false;
  if (method.substr(0, 4) == "SIP/") return false;  // a response, which is not answered
  const bool printed =
      std::all_of(method.begin(), method.end(), [](char c) { return c > 0x20 && c < 0x7f; });
  return printed && (line.find(" SIP/") != std::string_view::npos ||
                     line.find("\tSIP/") != std::string_view::npos);
}

/// What an answer copies, unfolded and in order.
struct Copied {
  std::vector<std::string> vias;
  std::array<std::string, 4> once;  // From, To, Call-ID, CSeq
  std::string* last = nullptr;
};
constexpr std::array kOnce{HeaderId::from, HeaderId::to, HeaderId::call_id, HeaderId::cseq};

void take_header(std::string_view line, Copied& copied) {
  copied.last = nullptr;
  const auto colon = line.find(':');
  if (colon == std::string_view::npos) return;
  const HeaderId id = sip::header_from(trim(line.substr(0, colon)));
  const std::string_view value = trim(line.substr(colon + 1));
  if (id == HeaderId::via) {
    copied.last = &copied.vias.emplace_back(value);
    return;
  }
  for (std::size_t i = 0; i < kOnce.size(); ++i) {
    if (id == kOnce[i] && copied.once[i].empty()) {
      copied.once[i] = value;
      copied.last = &copied.once[i];
    }
  }
}

Copied copy_headers(std::string_view rest) {
  Copied copied;
  for (std::size_t lines = 0; lines < 2 * limits::kSipHeaders && !rest.empty(); ++lines) {
    const std::string_view line = take_line(rest);
    if (line.empty()) break;
    if (line.front() != ' ' && line.front() != '\t') {
      take_header(line, copied);
    } else if (copied.last) {
      copied.last->append(" ").append(trim(line));
    }
  }
  return copied;
}

/// received and rport on the first via-parm (RFC 3581 §4); text that is no Via stays as it is.
std::string mark_source(const std::string& field, const Endpoint& source) {
  const auto parts = sip::split_list(field);
  if (parts.empty()) return field;
  auto via = sip::Via::parse(parts.front());
  if (!via) return field;
  via->params.set("received", source.address.to_string());
  if (via->params.has("rport")) via->params.set("rport", std::to_string(source.port));
  std::string result = via->to_string();
  for (std::size_t i = 1; i < parts.size(); ++i) result.append(", ").append(parts[i]);
  return result;
}

std::string tag_of(std::string_view datagram) {
  std::uint64_t hash = 14695981039346656037ULL;  // FNV-1a
  for (const char c : datagram) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  static constexpr std::string_view kDigits = "0123456789abcdef";
  std::string tag = "f";
  for (int i = 0; i < 16; ++i, hash >>= 4) tag += kDigits[hash & 15];
  return tag;
}

}  // namespace

bool is_response(std::string_view text) {
  const std::size_t begin = text.find_first_not_of("\r\n");
  return begin != std::string_view::npos && iequals(text.substr(begin, 4), "SIP/");
}

std::optional<std::string> fault_answer(std::string_view datagram, const sip::Fault& fault,
                                        const Endpoint& source) {
  std::string_view rest = datagram;
  while (!rest.empty() && (rest.front() == '\r' || rest.front() == '\n')) rest.remove_prefix(1);
  if (!is_answerable_request_line(take_line(rest))) return std::nullopt;
  Copied copied = copy_headers(rest);
  if (copied.vias.empty()) return std::nullopt;
  copied.vias.front() = mark_source(copied.vias.front(), source);
  std::string& to = copied.once[1];
  if (!to.empty() && to_lower(to).find(";tag=") == std::string::npos) {
    to.append(";tag=").append(tag_of(datagram));
  }

  std::string answer = "SIP/2.0 " + std::to_string(fault.status()) + " " + fault.reason() + "\r\n";
  const auto add = [&answer](HeaderId id, std::string_view value) {
    if (value.empty()) return true;
    answer.append(sip::to_text(id)).append(": ").append(value).append("\r\n");
    return fits_header_line(value) && answer.size() <= limits::kFaultAnswerBytes;
  };
  for (const auto& via : copied.vias) {
    if (!add(HeaderId::via, via)) return std::nullopt;
  }
  for (std::size_t i = 0; i < kOnce.size(); ++i) {
    if (!add(kOnce[i], copied.once[i])) return std::nullopt;
  }
  answer += "Content-Length: 0\r\n\r\n";
  return answer;
}

}  // namespace isthmus::transport
