#include "sip/names.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <iterator>

#include "base/text.hpp"

namespace isthmus::sip {
namespace {

struct MethodName {
  std::string_view text;
  Method method;
};

constexpr MethodName kMethods[] = {
    {"INVITE", Method::invite},
    {"ACK", Method::ack},
    {"BYE", Method::bye},
    {"CANCEL", Method::cancel},
    {"OPTIONS", Method::options},
    {"REGISTER", Method::register_},
    {"PRACK", Method::prack},
    {"UPDATE", Method::update},
    {"INFO", Method::info},
    {"REFER", Method::refer},
    {"SUBSCRIBE", Method::subscribe},
    {"NOTIFY", Method::notify},
    {"MESSAGE", Method::message},
    {"PUBLISH", Method::publish},
};

struct HeaderName {
  std::string_view text;
  HeaderId id;
};

/// In the order of HeaderId, so that an id is an index (proved below).
constexpr HeaderName kHeaders[] = {
    {"", HeaderId::other},
    {"Accept", HeaderId::accept},
    {"Accept-Contact", HeaderId::accept_contact},
    {"Allow", HeaderId::allow},
    {"Allow-Events", HeaderId::allow_events},
    {"Alert-Info", HeaderId::alert_info},
    {"Authentication-Info", HeaderId::authentication_info},
    {"Authorization", HeaderId::authorization},
    {"Call-ID", HeaderId::call_id},
    {"Call-Info", HeaderId::call_info},
    {"Contact", HeaderId::contact},
    {"Content-Disposition", HeaderId::content_disposition},
    {"Content-Encoding", HeaderId::content_encoding},
    {"Content-Length", HeaderId::content_length},
    {"Content-Type", HeaderId::content_type},
    {"CSeq", HeaderId::cseq},
    {"Date", HeaderId::date},
    {"Diversion", HeaderId::diversion},
    {"Error-Info", HeaderId::error_info},
    {"Event", HeaderId::event},
    {"Expires", HeaderId::expires},
    {"From", HeaderId::from},
    {"History-Info", HeaderId::history_info},
    {"Identity", HeaderId::identity},
    {"Identity-Info", HeaderId::identity_info},
    {"Join", HeaderId::join},
    {"Max-Forwards", HeaderId::max_forwards},
    {"Min-Expires", HeaderId::min_expires},
    {"Min-SE", HeaderId::min_se},
    {"Organization", HeaderId::organization},
    {"P-Asserted-Identity", HeaderId::p_asserted_identity},
    {"P-Preferred-Identity", HeaderId::p_preferred_identity},
    {"Path", HeaderId::path},
    {"Priority", HeaderId::priority},
    {"Privacy", HeaderId::privacy},
    {"Proxy-Authenticate", HeaderId::proxy_authenticate},
    {"Proxy-Authorization", HeaderId::proxy_authorization},
    {"Proxy-Require", HeaderId::proxy_require},
    {"RAck", HeaderId::rack},
    {"Reason", HeaderId::reason},
    {"Record-Route", HeaderId::record_route},
    {"Refer-To", HeaderId::refer_to},
    {"Referred-By", HeaderId::referred_by},
    {"Reject-Contact", HeaderId::reject_contact},
    {"Replaces", HeaderId::replaces},
    {"Request-Disposition", HeaderId::request_disposition},
    {"Require", HeaderId::require},
    {"Retry-After", HeaderId::retry_after},
    {"Route", HeaderId::route},
    {"RSeq", HeaderId::rseq},
    {"Server", HeaderId::server},
    {"Service-Route", HeaderId::service_route},
    {"Session-Expires", HeaderId::session_expires},
    {"Subject", HeaderId::subject},
    {"Subscription-State", HeaderId::subscription_state},
    {"Supported", HeaderId::supported},
    {"Target-Dialog", HeaderId::target_dialog},
    {"To", HeaderId::to},
    {"Unsupported", HeaderId::unsupported},
    {"User-Agent", HeaderId::user_agent},
    {"Via", HeaderId::via},
    {"Warning", HeaderId::warning},
    {"WWW-Authenticate", HeaderId::www_authenticate},
};
constexpr std::size_t kHeaderCount = sizeof kHeaders / sizeof kHeaders[0];

constexpr bool in_enum_order() {
  for (std::size_t i = 0; i < kHeaderCount; ++i)
    if (static_cast<std::size_t>(kHeaders[i].id) != i) return false;
  return static_cast<std::size_t>(HeaderId::www_authenticate) + 1 == kHeaderCount;
}
static_assert(in_enum_order(), "kHeaders must follow HeaderId");

constexpr std::size_t kSlots = 256;  // four times the names: most lookups end at the first probe

constexpr std::size_t slot_of(std::string_view name) {
  const auto at = [&](std::size_t i) {
    return static_cast<std::size_t>(static_cast<unsigned char>(to_lower(name[i])));
  };
  return (name.size() * 11 + at(0) * 7 + at(name.size() / 2) * 5 + at(name.size() - 1) * 37) %
         kSlots;
}

/// Open-addressed table from name to HeaderId, laid out by the compiler. 0 marks a free slot.
constexpr std::array<std::uint8_t, kSlots> make_slots() {
  std::array<std::uint8_t, kSlots> slots{};
  for (std::size_t i = 1; i < kHeaderCount; ++i) {
    std::size_t slot = slot_of(kHeaders[i].text);
    while (slots[slot] != 0) slot = (slot + 1) % kSlots;
    slots[slot] = static_cast<std::uint8_t>(i);
  }
  return slots;
}
constexpr std::array<std::uint8_t, kSlots> kSlotTable = make_slots();

/// Of equal length. Most senders write the canonical spelling.
bool same_letters(std::string_view canonical, std::string_view name) {
  if (canonical == name) return true;
  for (std::size_t i = 0; i < name.size(); ++i)
    if (to_lower(canonical[i]) != to_lower(name[i])) return false;
  return true;
}

HeaderId compact_form(char letter) {
  switch (to_lower(letter)) {
    case 'a':
      return HeaderId::accept_contact;  // RFC 3841 §9
    case 'b':
      return HeaderId::referred_by;  // RFC 3892
    case 'c':
      return HeaderId::content_type;
    case 'd':
      return HeaderId::request_disposition;  // RFC 3841 §9
    case 'e':
      return HeaderId::content_encoding;
    case 'f':
      return HeaderId::from;
    case 'i':
      return HeaderId::call_id;
    case 'j':
      return HeaderId::reject_contact;  // RFC 3841 §9
    case 'k':
      return HeaderId::supported;
    case 'l':
      return HeaderId::content_length;
    case 'm':
      return HeaderId::contact;
    case 'n':
      return HeaderId::identity_info;  // RFC 4474
    case 'o':
      return HeaderId::event;  // RFC 6665
    case 'r':
      return HeaderId::refer_to;  // RFC 3515
    case 's':
      return HeaderId::subject;
    case 't':
      return HeaderId::to;
    case 'u':
      return HeaderId::allow_events;  // RFC 6665
    case 'v':
      return HeaderId::via;
    case 'x':
      return HeaderId::session_expires;  // RFC 4028
    case 'y':
      return HeaderId::identity;  // RFC 8224
    default:
      return HeaderId::other;
  }
}

struct Phrase {
  int status;
  std::string_view text;
};

/// RFC 3261 §21, and the extensions named beside theirs; in ascending order.
constexpr Phrase kPhrases[] = {
    {100, "Trying"},
    {180, "Ringing"},
    {181, "Call Is Being Forwarded"},
    {182, "Queued"},
    {183, "Session Progress"},
    {199, "Early Dialog Terminated"},  // RFC 6228
    {200, "OK"},
    {202, "Accepted"},         // RFC 6665
    {204, "No Notification"},  // RFC 5839
    {300, "Multiple Choices"},
    {301, "Moved Permanently"},
    {302, "Moved Temporarily"},
    {305, "Use Proxy"},
    {380, "Alternative Service"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {407, "Proxy Authentication Required"},
    {408, "Request Timeout"},
    {410, "Gone"},
    {412, "Conditional Request Failed"},  // RFC 3903
    {413, "Request Entity Too Large"},
    {414, "Request-URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Unsupported URI Scheme"},
    {417, "Unknown Resource-Priority"},  // RFC 4412
    {420, "Bad Extension"},
    {421, "Extension Required"},
    {422, "Session Interval Too Small"},  // RFC 4028
    {423, "Interval Too Brief"},
    {424, "Bad Location Information"},          // RFC 6442
    {425, "Bad Alert Message"},                 // RFC 8876
    {428, "Use Identity Header"},               // RFC 8224
    {429, "Provide Referrer Identity"},         // RFC 3892
    {430, "Flow Failed"},                       // RFC 5626
    {433, "Anonymity Disallowed"},              // RFC 5079
    {436, "Bad Identity Info"},                 // RFC 8224
    {437, "Unsupported Credential"},            // RFC 8224
    {438, "Invalid Identity Header"},           // RFC 8224
    {439, "First Hop Lacks Outbound Support"},  // RFC 5626
    {440, "Max-Breadth Exceeded"},              // RFC 5393
    {469, "Bad Info Package"},                  // RFC 6086
    {470, "Consent Needed"},                    // RFC 5360
    {480, "Temporarily Unavailable"},
    {481, "Call/Transaction Does Not Exist"},
    {482, "Loop Detected"},
    {483, "Too Many Hops"},
    {484, "Address Incomplete"},
    {485, "Ambiguous"},
    {486, "Busy Here"},
    {487, "Request Terminated"},
    {488, "Not Acceptable Here"},
    {489, "Bad Event"},  // RFC 6665
    {491, "Request Pending"},
    {493, "Undecipherable"},
    {494, "Security Agreement Required"},  // RFC 3329
    {500, "Server Internal Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Server Time-out"},
    {505, "Version Not Supported"},
    {513, "Message Too Large"},
    {555, "Push Notification Service Not Supported"},  // RFC 8599
    {580, "Precondition Failure"},                     // RFC 3312
    {600, "Busy Everywhere"},
    {603, "Decline"},
    {604, "Does Not Exist Anywhere"},
    {606, "Not Acceptable"},
    {607, "Unwanted"},  // RFC 8197
    {608, "Rejected"},  // RFC 8688
};

}  // namespace

Method method_from(std::string_view text) {
  for (const MethodName& name : kMethods)
    if (name.text == text) return name.method;
  return Method::unknown;
}

std::string_view to_text(Method method) {
  for (const MethodName& name : kMethods)
    if (name.method == method) return name.text;
  return {};
}

HeaderId header_from(std::string_view name) {
  if (name.empty()) return HeaderId::other;
  if (name.size() == 1) return compact_form(name[0]);
  for (std::size_t slot = slot_of(name); kSlotTable[slot] != 0; slot = (slot + 1) % kSlots) {
    const HeaderName& candidate = kHeaders[kSlotTable[slot]];
    if (candidate.text.size() == name.size() && same_letters(candidate.text, name))
      return candidate.id;
  }
  return HeaderId::other;
}

std::string_view to_text(HeaderId id) {
  const auto index = static_cast<std::size_t>(id);
  return index < kHeaderCount ? kHeaders[index].text : std::string_view{};
}

std::string_view reason_phrase(int status) {
  const auto* found =
      std::lower_bound(std::begin(kPhrases), std::end(kPhrases), status,
                       [](const Phrase& phrase, int wanted) { return phrase.status < wanted; });
  return found != std::end(kPhrases) && found->status == status ? found->text : "Unknown";
}

}  // namespace isthmus::sip
