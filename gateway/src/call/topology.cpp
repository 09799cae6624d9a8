#include "call/topology.hpp"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <vector>

#include "base/text.hpp"
#include "call/body_parts.hpp"
#include "sip/uri.hpp"

namespace isthmus::call {

namespace {

constexpr std::size_t kKeyBytes = 32;
constexpr std::size_t kAliasCharacters = 24;  // 120 bits: not to be guessed

using sip::HeaderId;

/// History-Info and Diversion: the host of each URI becomes ours (RFC 7044 §10.4 on privacy).
void hide_hosts(sip::Message& message, HeaderId header, std::string_view host) {
  if (!message.has(header)) return;
  std::string values;
  for (std::string_view value : message.values(header)) {
    Result<sip::NameAddr, sip::Fault> entry = sip::NameAddr::parse(value);
    Result<sip::Uri, sip::Fault> uri = entry ? sip::Uri::parse(entry->uri) : sip::Uri::parse("");
    if (!values.empty()) values += ", ";
    if (uri && uri->is_sip()) {
      uri->host = std::string(host);
      uri->port = 0;
      uri->params.remove("maddr");
      entry->uri = uri->to_string();
      values += entry->to_string();
    } else if (entry) {
      values += value;  // tel: and urn: have no host
    }
  }
  if (values.empty()) {
    message.remove(header);
  } else {
    message.set(header, values);
  }
}

/// `307 isi.edu "text"`: the agent is the host that warns (RFC 3261 §20.43).
void hide_warning_agents(sip::Message& message, std::string_view host) {
  if (!message.has(HeaderId::warning)) return;
  std::string values;
  for (std::string_view value : message.values(HeaderId::warning)) {
    std::size_t agent = value.find(' '), text = value.find('"');
    if (agent == std::string_view::npos || text == std::string_view::npos || text < agent) continue;
    if (!values.empty()) values += ", ";
    values.append(value.substr(0, agent)).append(" ").append(host).append(" ");
    values += value.substr(text);
  }
  if (values.empty()) {
    message.remove(HeaderId::warning);
  } else {
    message.set(HeaderId::warning, values);
  }
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    std::size_t end = std::min(text.find('\n'), text.size() - 1) + 1;
    lines.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return lines;
}

std::string_view without_end(std::string_view line) {
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.remove_suffix(1);
  return line;
}

std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> words;
  while (!(text = trim(text)).empty()) {
    std::size_t end = std::min(text.find(' '), text.size());
    words.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return words;
}

/// "IN IP4 192.0.2.1" that names nobody.
std::string nowhere(std::string_view type) {
  return iequals(type, "IP6") ? "IN IP6 ::" : "IN IP4 0.0.0.0";
}

bool has_open_stream(const std::vector<std::string_view>& lines) {
  for (std::string_view line : lines) {
    std::vector<std::string_view> words = words_of(without_end(line));
    if (line.substr(0, 2) == "m=" && words.size() > 1 && words[1] != "0") return true;
  }
  return false;
}

}  // namespace

std::string hide_description(std::string_view sdp, bool own_address) {
  std::vector<std::string_view> lines = lines_of(sdp);
  // Where no stream is open, nothing was translated: every address is the sender's own.
  own_address = own_address && has_open_stream(lines);
  std::string connection;
  for (std::string_view line : lines) {
    if (line.substr(0, 2) != "c=" || !connection.empty() || !own_address) continue;
    std::string_view value = without_end(line.substr(2));
    std::vector<std::string_view> words = words_of(value);
    if (words.size() == 3 && words[0] == "IN") connection = std::string(value);
  }
  std::string out;
  for (std::string_view line : lines) {
    std::string_view text = without_end(line);
    std::string_view value = text.substr(std::min<std::size_t>(2, text.size()));
    std::string_view end = line.substr(text.size());
    std::vector<std::string_view> words = words_of(value);
    switch (text.size() < 2 || text[1] != '=' ? '\0' : text.front()) {
      case 'o': {
        if (words.size() < 5) break;
        std::size_t first = words.size() - 5;  // a user name may hold spaces
        out.append("o=- ").append(words[first]).append(" ").append(words[first + 1]).append(" ");
        out.append(connection.empty() ? nowhere(words[first + 3]) : connection).append(end);
        continue;
      }
      case 's':
        out.append("s=-").append(end);
        continue;
      case 'i':
      case 'u':
      case 'e':
      case 'p':
        continue;  // titles, and where to reach who made the description
      case 'c':
        if (own_address || words.size() < 2) break;
        out.append("c=").append(nowhere(words[1])).append(end);
        continue;
      case 'a':
        if (value.substr(0, 5) == "tool:") continue;
        if (value.substr(0, 5) != "rtcp:" || own_address || words.size() < 4) break;
        out.append("a=").append(words[0]).append(" ").append(nowhere(words[2])).append(end);
        continue;
      default:
        break;
    }
    out += line;
  }
  return out;
}

void hide_topology(sip::Message& message, const Facade& facade) {
  for (HeaderId header : {HeaderId::user_agent, HeaderId::server}) {
    if (message.has(header)) message.set(header, facade.software);
  }
  // Routes to and from a registrar that end here (RFC 3327, RFC 3608): we are in their place.
  for (HeaderId header : {HeaderId::organization, HeaderId::path, HeaderId::service_route})
    message.remove(header);
  for (const char* header : {"P-Charging-Vector", "P-Charging-Function-Addresses"})
    message.remove(header);
  hide_hosts(message, HeaderId::history_info, facade.host);
  hide_hosts(message, HeaderId::diversion, facade.host);
  hide_warning_agents(message, facade.host);
  if (message.body().empty()) return;
  std::string type = message.content_type();
  if (std::optional<std::string_view> description = description_in(message)) {
    std::string hidden = hide_description(*description, facade.described);
    if (hidden != *description) replace_description(message, hidden);
  } else if (type == "message/sipfrag") {
    // Status (RFC 3515 §2.4.5) is what the subscriber is owed; a request line names a URI.
    std::string_view first = without_end(lines_of(message.body()).front());
    message.set_body(first.substr(0, 4) == "SIP/" ? std::string(first) + "\r\n"
                                                  : std::string("SIP/2.0 100 Trying\r\n"));
  }
}

Aliases::Aliases(Random& random) : key_(kKeyBytes) {
  random.fill(key_);
}

std::string Aliases::hash(std::string_view kind, std::string_view a, std::string_view b,
                          std::string_view c) const {
  std::string input;
  for (std::string_view part : {kind, a, b, c}) {
    input += std::to_string(part.size()) + ":";
    input += part;
  }
  std::uint8_t digest[EVP_MAX_MD_SIZE] = {};
  unsigned length = 0;
  HMAC(EVP_sha256(), key_.data(), static_cast<int>(key_.size()), as_bytes(input).data(),
       input.size(), digest, &length);
  static constexpr char kAlphabet[] = "abcdefghijklmnopqrstuvwxyz234567";
  std::string alias;
  for (std::size_t i = 0; i < kAliasCharacters; ++i) alias += kAlphabet[digest[i] & 31];
  return alias;
}

std::string Aliases::call_id(std::string_view owner, std::string_view call_id) const {
  return call_id.empty() ? std::string() : hash("call-id", owner, call_id, {});
}

std::string Aliases::tag(std::string_view owner, std::string_view call_id,
                         std::string_view tag) const {
  return tag.empty() ? std::string() : hash("tag", owner, call_id, tag);
}

std::string Aliases::token(std::string_view owner, std::string_view place,
                           std::string_view uri) const {
  return hash("token", owner, place, uri);
}

}  // namespace isthmus::call
