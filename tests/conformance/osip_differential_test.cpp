// Our parser against another one (GNU oSIP), which shares nothing with it but the RFC: over the
// torture messages, the fuzz corpus, and seeded mutations of both. Where both accept a message,
// they must have read the same in it; where one accepts and the other does not, the reason is
// known.
//
//   ISTHMUS_DIFFERENTIAL_SECONDS=N   how long mutations run (1)
//   ISTHMUS_DIFFERENTIAL_SEED=N      first seed (20; printed with a difference)
#include <gtest/gtest.h>
#include <osipparser2/osip_parser.h>

#include <chrono>
#include <cstdarg>
#include <cstdlib>
#include <map>
#include <memory>

#include "base/random.hpp"
#include "conformance/torture_corpus.hpp"
#include "sip/message.hpp"

/// oSIP leaks a Content-Type that it fails to parse; only leaks of our own are reported.
extern "C" const char* __lsan_default_suppressions();  // NOLINT(bugprone-reserved-identifier)
const char* __lsan_default_suppressions() {
  return "leak:libosipparser2\n";
}

namespace isthmus::sip {
namespace {

/// What a parser says that a message is; values as text.
using Reading = std::map<std::string, std::string>;

std::string text_of(const char* text) {
  return text == nullptr ? "" : text;
}

struct OsipMessage {
  explicit OsipMessage(const std::string& bytes) {
    static const int initialised = [] {
      osip_trace_initialize_func(TRACE_LEVEL0,
                                 [](const char*, int, osip_trace_level_t, const char*, va_list) {});
      return parser_init();
    }();
    static_cast<void>(initialised);
    osip_message_init(&message);
    // oSIP's own callers skip the line ends that RFC 3261 §7.5 lets stand before a message.
    const std::size_t begin = std::min(bytes.find_first_not_of("\r\n"), bytes.size());
    parsed = osip_message_parse(message, bytes.c_str() + begin, bytes.size() - begin) == 0;
  }
  ~OsipMessage() { osip_message_free(message); }
  OsipMessage(const OsipMessage&) = delete;
  OsipMessage& operator=(const OsipMessage&) = delete;

  osip_message_t* message = nullptr;
  bool parsed = false;
};

std::string tag_of(const osip_from_t* address) {
  if (address == nullptr) return {};
  osip_generic_param_t* found = nullptr;
  osip_generic_param_get_byname(const_cast<osip_list_t*>(&address->gen_params),
                                const_cast<char*>("tag"), &found);
  return found == nullptr ? std::string() : text_of(found->gvalue);
}

/// Nothing: oSIP refuses the message, or finds no header that every message has.
std::optional<Reading> read_by_osip(const std::string& bytes) {
  const OsipMessage osip(bytes);
  osip_message_t* m = osip.message;
  if (!osip.parsed || m->call_id == nullptr || m->cseq == nullptr || m->from == nullptr ||
      m->to == nullptr || osip_list_size(&m->vias) == 0)
    return std::nullopt;
  Reading reading;
  if (MSG_IS_REQUEST(m)) {
    reading["method"] = text_of(m->sip_method);
    if (m->req_uri != nullptr) {
      reading["uri scheme"] = to_lower(text_of(m->req_uri->scheme));
      reading["uri host"] = text_of(m->req_uri->host);
      reading["uri port"] = text_of(m->req_uri->port);
    }
  } else {
    reading["status"] = std::to_string(m->status_code);
  }
  reading["call-id"] = text_of(m->call_id->number);
  if (m->call_id->host != nullptr) reading["call-id"] += "@" + text_of(m->call_id->host);
  reading["cseq number"] = text_of(m->cseq->number);
  reading["cseq method"] = text_of(m->cseq->method);
  reading["from tag"] = tag_of(m->from);
  reading["to tag"] = tag_of(m->to);
  auto* via = static_cast<osip_via_t*>(osip_list_get(&m->vias, 0));
  osip_generic_param_t* branch = nullptr;
  osip_via_param_get_byname(via, const_cast<char*>("branch"), &branch);
  reading["branch"] = branch == nullptr ? "" : text_of(branch->gvalue);
  reading["via host"] = text_of(via->host);
  return reading;
}

std::string bare(std::string_view host) {
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  return std::string(host);
}

std::optional<Reading> read_by_us(const std::string& bytes) {
  const auto message = Message::parse(bytes);
  if (!message || message->check()) return std::nullopt;
  Reading reading;
  if (message->is_request()) {
    reading["method"] = message->method_text();
    const auto uri = Uri::parse(message->request_uri());
    reading["uri scheme"] = uri->scheme;
    reading["uri host"] = bare(uri->host);
    reading["uri port"] = uri->port == 0 ? "" : std::to_string(uri->port);
  } else {
    reading["status"] = std::to_string(message->status());
  }
  reading["call-id"] = message->call_id();
  const auto cseq = message->get(HeaderId::cseq);
  reading["cseq number"] = cseq->substr(0, cseq->find_first_of(" \t"));
  reading["cseq method"] = message->cseq()->method_text;
  reading["from tag"] = message->from_tag();
  reading["to tag"] = message->to_tag();
  const auto via = message->top_via();
  reading["branch"] = via->params.get("branch").value_or("");
  reading["via host"] = bare(via->host);
  return reading;
}

/// Bytes that mean something to a parser stand in for others, lines come twice, go, or change
/// places.
std::string mutate(std::string bytes, SeededRandom& random) {
  static constexpr std::string_view kTelling = " \t\r\n:;,=<>\"@?/()[]%\\'*.-0129azAZ~!";
  const auto pick = [&] { return bytes.empty() ? 0 : random.below(bytes.size()); };
  for (std::uint64_t count = 1 + random.below(3); count > 0; --count) {
    const std::size_t at = pick();
    switch (random.below(6)) {
      case 0:
        if (!bytes.empty()) bytes[at] = kTelling[random.below(kTelling.size())];
        break;
      case 1:
        bytes.insert(at, 1, kTelling[random.below(kTelling.size())]);
        break;
      case 2:
        bytes.erase(at, 1 + random.below(3));
        break;
      case 3: {  // a line once more, somewhere else
        const std::size_t begin = bytes.rfind('\n', at), end = bytes.find('\n', at);
        if (begin == std::string::npos || end == std::string::npos) break;
        const std::string line = bytes.substr(begin + 1, end - begin);
        const std::size_t behind = bytes.find('\n', pick());
        if (behind != std::string::npos) bytes.insert(behind + 1, line);
        break;
      }
      case 4: {  // a line less
        const std::size_t begin = bytes.rfind('\n', at), end = bytes.find('\n', at);
        if (begin != std::string::npos && end != std::string::npos)
          bytes.erase(begin + 1, end - begin);
        break;
      }
      default: {  // a stretch of one place in another
        const std::string part = bytes.substr(at, 1 + random.below(12));
        bytes.insert(pick(), part);
      }
    }
  }
  return bytes;
}

struct Sample {
  std::string name, bytes;
};

std::vector<Sample> samples() {
  std::vector<Sample> all;
  for (const auto& row : conformance::torture_table())
    all.push_back({row.name, conformance::torture(row.name)});
  const auto corpus = std::filesystem::path(ISTHMUS_SOURCE_DIR) / "tests/fuzz/corpus/sip_message";
  for (const auto& entry : std::filesystem::directory_iterator(corpus))
    all.push_back(
        {"fuzz/" + entry.path().filename().string(), conformance::read_file(entry.path())});
  std::sort(all.begin(), all.end(), [](auto& a, auto& b) { return a.name < b.name; });
  return all;
}

/// Why oSIP may refuse what we accept; "" when there is no reason known.
std::string why_refused_by_osip(const std::string& bytes) {
  const auto message = Message::parse(bytes);
  if (message->serialize().find('\0') != std::string::npos) return "it works on C strings";
  if (message->fields(HeaderId::content_length).size() > 1)
    return "it allows no Content-Length twice, not even the same";
  if (message->content_type().starts_with("multipart/")) return "it takes multipart bodies apart";
  if (message->is_request() && !Uri::parse(message->request_uri())->is_sip())
    return "it looks into URIs of schemes that it does not know";
  return {};
}

/// Where the two read differently in a message that both accept, and why that is so.
bool is_known_difference(const std::string& what, const Reading& ours, const Reading& osips) {
  const std::string& scheme = ours.at("uri scheme");
  // Every scheme that begins like sip is sip to it.
  if (scheme.starts_with("sip") && scheme != "sip" && scheme != "sips") return what != "method";
  // A port is a number to us ("070" is 70), text to it.
  return what == "uri port" &&
         parse_number<unsigned>(osips.at(what)) == parse_number<unsigned>(ours.at(what));
}

/// A status line without the space before its empty reason: oSIP takes the next line for the
/// reason.
bool is_misread_by_osip(const std::string& bytes) {
  const auto message = Message::parse(bytes);
  const std::string wire = message->serialize();
  return message->is_response() && wire.find_first_of("\r\n") == 11;
}

/// Nothing, or what the two disagree about in a message that both accept.
std::string disagreement(const Reading& ours, const Reading& osips) {
  for (const auto& [what, value] : ours) {
    const auto other = osips.find(what);
    const std::string seen = other == osips.end() ? "" : other->second;
    if (seen == value) continue;
    if (other != osips.end() && ours.contains("uri scheme") &&
        is_known_difference(what, ours, osips))
      continue;
    return what + ": we read \"" + value + "\", oSIP \"" + seen + "\"";
  }
  return {};
}

/// Samples that one accepts and the other does not, beyond those that why_refused_by_osip() knows.
const std::map<std::string, std::string> kTakenByOsipOnly = {
    {"ncl", "a negative Content-Length is no length to us"},
    {"scalar02", "its CSeq is text, ours a number below 2^31"},
    {"scalarlg", "the same"},
    {"escruri", "headers have no place in a Request-URI (RFC 3261 §19.1.1)"},
    {"regbadct", "a question mark asks for brackets (RFC 3261 §20.10)"},
    {"badvers", "the version is judged by oSIP's user"},
    {"fuzz/version7", "the same"},
    {"mismatch01", "the CSeq method is judged by oSIP's user"},
    {"mismatch02", "the same"},
    {"bigcode", "a status has three digits"},
    {"ipv6-bad", "IPv6 addresses need brackets"},
    {"fuzz/length_too_large", "a datagram that is cut off"},
};

TEST(Differential, samples_are_read_alike_or_differ_for_a_known_reason) {
  for (const Sample& sample : samples()) {
    SCOPED_TRACE(sample.name);
    const auto ours = read_by_us(sample.bytes), osips = read_by_osip(sample.bytes);
    if (ours && osips) {
      EXPECT_EQ(disagreement(*ours, *osips), "");
    } else if (ours) {
      EXPECT_NE(why_refused_by_osip(sample.bytes), "");
    } else {
      EXPECT_EQ(osips.has_value(), kTakenByOsipOnly.contains(sample.name));
    }
  }
}

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

TEST(Differential, mutations_that_both_accept_are_read_alike) {
  const auto begun = std::chrono::steady_clock::now();
  const std::chrono::seconds span(from_environment("ISTHMUS_DIFFERENTIAL_SECONDS", 1));
  std::uint64_t seed = from_environment("ISTHMUS_DIFFERENTIAL_SEED", 20);
  const std::vector<Sample> all = samples();
  int both = 0, neither = 0, ours_only = 0, osips_only = 0, unexplained = 0;
  for (; std::chrono::steady_clock::now() - begun < span; ++seed) {
    SeededRandom random(seed);
    for (int i = 0; i < 1000; ++i) {
      const std::string bytes = mutate(all[random.below(all.size())].bytes, random);
      const auto ours = read_by_us(bytes), osips = read_by_osip(bytes);
      if (ours && osips) {
        if (is_misread_by_osip(bytes)) continue;
        ++both;
        ASSERT_EQ(disagreement(*ours, *osips), "") << "seed " << seed << "\n" << bytes;
      } else {
        ++(ours ? ours_only : osips ? osips_only : neither);
        if (ours && why_refused_by_osip(bytes).empty()) ++unexplained;
      }
    }
  }
  std::printf("both accept %d, neither %d, only we %d (%d for reasons of its own), only oSIP %d\n",
              both, neither, ours_only, unexplained, osips_only);
  ASSERT_GT(both, 0);
  // It has rules of its own for schemes, parameter names and one-letter Call-IDs.
  EXPECT_LT(unexplained, both / 20);
}

}  // namespace
}  // namespace isthmus::sip
