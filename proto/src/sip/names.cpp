#include "sip/names.hpp"

#include <array>
#include <cstddef>

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
    if (candidate.text.size() == name.size() && iequals(candidate.text, name)) return candidate.id;
  }
  return HeaderId::other;
}

std::string_view to_text(HeaderId id) {
  const auto index = static_cast<std::size_t>(id);
  return index < kHeaderCount ? kHeaders[index].text : std::string_view{};
}

std::string_view reason_phrase(int status) {
  switch (status) {
    case 100:
      return "Trying";
    case 180:
      return "Ringing";
    case 181:
      return "Call Is Being Forwarded";
    case 182:
      return "Queued";
    case 183:
      return "Session Progress";
    case 199:
      return "Early Dialog Terminated";  // RFC 6228
    case 200:
      return "OK";
    case 202:
      return "Accepted";  // RFC 6665
    case 204:
      return "No Notification";  // RFC 5839
    case 300:
      return "Multiple Choices";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Moved Temporarily";
    case 305:
      return "Use Proxy";
    case 380:
      return "Alternative Service";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 402:
      return "Payment Required";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 406:
      return "Not Acceptable";
    case 407:
      return "Proxy Authentication Required";
    case 408:
      return "Request Timeout";
    case 410:
      return "Gone";
    case 412:
      return "Conditional Request Failed";  // RFC 3903
    case 413:
      return "Request Entity Too Large";
    case 414:
      return "Request-URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 416:
      return "Unsupported URI Scheme";
    case 417:
      return "Unknown Resource-Priority";  // RFC 4412
    case 420:
      return "Bad Extension";
    case 421:
      return "Extension Required";
    case 422:
      return "Session Interval Too Small";  // RFC 4028
    case 423:
      return "Interval Too Brief";
    case 424:
      return "Bad Location Information";  // RFC 6442
    case 425:
      return "Bad Alert Message";  // RFC 8876
    case 428:
      return "Use Identity Header";  // RFC 8224
    case 429:
      return "Provide Referrer Identity";  // RFC 3892
    case 430:
      return "Flow Failed";  // RFC 5626
    case 433:
      return "Anonymity Disallowed";  // RFC 5079
    case 436:
      return "Bad Identity Info";  // RFC 8224
    case 437:
      return "Unsupported Credential";  // RFC 8224
    case 438:
      return "Invalid Identity Header";  // RFC 8224
    case 439:
      return "First Hop Lacks Outbound Support";  // RFC 5626
    case 440:
      return "Max-Breadth Exceeded";  // RFC 5393
    case 469:
      return "Bad Info Package";  // RFC 6086
    case 470:
      return "Consent Needed";  // RFC 5360
    case 480:
      return "Temporarily Unavailable";
    case 481:
      return "Call/Transaction Does Not Exist";
    case 482:
      return "Loop Detected";
    case 483:
      return "Too Many Hops";
    case 484:
      return "Address Incomplete";
    case 485:
      return "Ambiguous";
    case 486:
      return "Busy Here";
    case 487:
      return "Request Terminated";
    case 488:
      return "Not Acceptable Here";
    case 489:
      return "Bad Event";  // RFC 6665
    case 491:
      return "Request Pending";
    case 493:
      return "Undecipherable";
    case 494:
      return "Security Agreement Required";  // RFC 3329
    case 500:
      return "Server Internal Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Server Time-out";
    case 505:
      return "Version Not Supported";
    case 513:
      return "Message Too Large";
    case 555:
      return "Push Notification Service Not Supported";  // RFC 8599
    case 580:
      return "Precondition Failure";  // RFC 3312
    case 600:
      return "Busy Everywhere";
    case 603:
      return "Decline";
    case 604:
      return "Does Not Exist Anywhere";
    case 606:
      return "Not Acceptable";
    case 607:
      return "Unwanted";  // RFC 8197
    case 608:
      return "Rejected";  // RFC 8688
    default:
      return "Unknown";
  }
}

}  // namespace isthmus::sip
