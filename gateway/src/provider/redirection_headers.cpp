#include "provider/redirection_headers.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/text.hpp"
#include "sip/quoted_string.hpp"
#include "sip/uri.hpp"

namespace isthmus::provider {
namespace {

using sip::HeaderId;
using sip::Message;
using sip::NameAddr;

/// One who passed a call on.
struct Redirection {
  std::string display, uri;  ///< without what either header puts into it
  std::string reason = "unknown";
  unsigned counter = 1;  ///< of redirections, of which but the last address is known
  bool hidden = false;   ///< by privacy
};
using Redirections = std::vector<Redirection>;  ///< oldest first

constexpr unsigned kRedirections = 16;  // of one call; those of a loop are of no use to anybody
constexpr const char* kNobody = "sip:unknown@unknown.invalid";  // RFC 7544 §5

/// RFC 4458 §2 and RFC 5806, as RFC 7544 pairs them; of equals the first is taken.
struct Pair {
  std::string_view reason, cause;
};
constexpr std::array kPairs{
    Pair{"unknown", "404"},     Pair{"unconditional", "302"},  Pair{"user-busy", "486"},
    Pair{"no-answer", "408"},   Pair{"deflection", "480"},     Pair{"deflection", "487"},
    Pair{"unavailable", "503"}, Pair{"time-of-day", "404"},    Pair{"do-not-disturb", "404"},
    Pair{"follow-me", "404"},   Pair{"out-of-service", "404"}, Pair{"away", "404"},
};

std::string_view cause_of(std::string_view reason) {
  for (const Pair& pair : kPairs)
    if (iequals(pair.reason, reason)) return pair.cause;
  return "404";
}

/// Empty: it is no redirection.
std::string_view reason_of(std::string_view cause) {
  for (const Pair& pair : kPairs)
    if (pair.cause == cause) return pair.reason;
  return {};
}

/// A URI in parts. Those of tel: are like those of sip: here.
struct Address {
  std::string base;
  sip::Params params;
  std::string headers;

  static std::optional<Address> parse(std::string_view text) {
    auto uri = sip::Uri::parse(text);
    if (!uri) return std::nullopt;
    Address address;
    if (uri->is_sip()) {
      address.params = std::move(uri->params);
      address.headers = std::move(uri->headers);
      uri->params = {};
      uri->headers.clear();
      address.base = uri->to_string();
      return address;
    }
    const std::size_t end = std::min(text.find(';'), text.size());
    auto params = sip::Params::parse(text.substr(end));
    address.base = std::string(text.substr(0, params ? end : text.size()));
    if (params) address.params = std::move(*params);
    return address;
  }
  std::string to_string() const {
    return base + params.to_string() + (headers.empty() ? "" : "?" + headers);
  }
};

Redirections from_diversion(const Message& message) {
  Redirections found;
  for (std::string_view value : message.values(HeaderId::diversion)) {
    auto party = NameAddr::parse(value);
    if (!party || party->star || found.size() == kRedirections) continue;
    Redirection one{party->display, party->uri};
    if (auto reason = party->params.get("reason")) one.reason = to_lower(sip::unquoted(*reason));
    auto counter = parse_number<std::uint32_t>(party->params.get("counter").value_or(""));
    one.counter = std::clamp<unsigned>(counter.value_or(1), 1, kRedirections);
    const std::string privacy = to_lower(sip::unquoted(party->params.get("privacy").value_or("")));
    one.hidden = !privacy.empty() && privacy != "off";
    found.push_back(std::move(one));
  }
  std::reverse(found.begin(), found.end());  // the newest stands first (RFC 5806 §3.2)
  return found;
}

/// One value of History-Info.
struct Entry {
  std::string display, index;
  std::string by;  ///< index of the entry that was redirected here (RFC 7044 §5: mp)
  Address address;
};

std::vector<Entry> entries_of(const Message& message) {
  std::vector<Entry> entries;
  for (std::string_view value : message.values(HeaderId::history_info)) {
    auto party = NameAddr::parse(value);
    auto address = party && !party->star ? Address::parse(party->uri) : std::nullopt;
    if (!address) continue;
    const auto word = [&](const char* name) {
      return std::string(party->params.get(name).value_or(""));
    };
    entries.push_back({party->display, word("index"), word("mp"), std::move(*address)});
  }
  return entries;
}

/// RFC 7544: an address with a cause was reached by a redirection. By whom, its `mp` says, else the
/// entry before it.
Redirections from_history(const Message& message) {
  Redirections found;
  const std::vector<Entry> entries = entries_of(message);
  unsigned nobodies = 0;
  for (std::size_t i = 1; i < entries.size() && found.size() < kRedirections; ++i) {
    const sip::Params& params = entries[i].address.params;
    const std::string_view reason = reason_of(params.get("cause").value_or(""));
    if (reason.empty()) continue;
    const std::string& by = entries[i].by;
    auto named = std::find_if(entries.begin(), entries.end(),
                              [&](const Entry& entry) { return !by.empty() && entry.index == by; });
    const Entry& who = named == entries.end() ? entries[i - 1] : *named;
    if (iequals(who.address.base, kNobody)) {
      ++nobodies;
      continue;
    }
    Address address = who.address;
    const std::string headers = to_lower(address.headers);
    address.params.remove("cause");
    address.headers.clear();
    Redirection one{who.display, address.to_string(), std::string(reason)};
    one.counter += std::exchange(nobodies, 0);
    one.hidden = headers.find("privacy=history") != std::string::npos;
    found.push_back(std::move(one));
  }
  return found;
}

void write_diversion(Message& message, const Redirections& redirections) {
  message.remove(HeaderId::diversion);
  for (auto one = redirections.rbegin(); one != redirections.rend(); ++one) {
    NameAddr party{one->display, one->uri, {}};
    party.params.set("reason", one->reason);
    party.params.set("counter", std::to_string(one->counter));
    if (one->hidden) party.params.set("privacy", "full");
    message.add(HeaderId::diversion, party.to_string());
  }
}

/// RFC 7044 §10.1.1: a header inside the URI asks for it, which a tel: URI has no place for.
void hide(Address& address, const sip::Uri& target) {
  if (address.base.compare(0, 4, "tel:") == 0) {
    const std::string host = target.host.empty() ? "anonymous.invalid" : target.host;
    address.base = "sip:" + address.base.substr(4) + "@" + host;
    address.params.set("user", "phone");
  }
  address.headers = "Privacy=history";
}

void write_history(Message& message, const Redirections& redirections) {
  const auto called = sip::Uri::parse(message.request_uri());
  const sip::Uri target = called ? *called : sip::Uri{};
  message.remove(HeaderId::history_info);
  std::string index, before, cause;
  unsigned nobodies = kRedirections;  // at most
  const auto add = [&](const std::string& display, Address address, bool hidden) {
    before = index;
    index += index.empty() ? "1" : ".1";
    if (!cause.empty()) address.params.set("cause", cause);
    if (hidden) hide(address, target);
    NameAddr party{display, address.to_string(), {}};
    party.params.set("index", index);
    if (!cause.empty()) party.params.set("mp", before);
    message.add(HeaderId::history_info, party.to_string());
  };
  for (const Redirection& one : redirections) {
    auto address = Address::parse(one.uri);
    if (!address) continue;
    address->params.remove("cause");
    for (unsigned i = 1; i < one.counter && nobodies > 0; ++i, --nobodies) {
      add({}, Address{kNobody, {}, {}}, false);
      cause = "404";
    }
    add(one.display, std::move(*address), one.hidden);
    cause = cause_of(one.reason);
  }
  if (auto last = Address::parse(message.request_uri())) {
    last->params.remove("cause");
    add({}, std::move(*last), false);
  }
}

}  // namespace

void put_redirections(Message& message, RedirectionForm form) {
  if (form == RedirectionForm::pass || message.method() != sip::Method::invite ||
      !message.is_request() || !message.to_tag().empty()) {
    return;
  }
  const bool diversion = form != RedirectionForm::history_info;
  const bool history = form != RedirectionForm::diversion;
  const Redirections by_diversion = from_diversion(message), by_history = from_history(message);
  if (diversion && by_diversion.empty() && !by_history.empty())
    write_diversion(message, by_history);
  // A History-Info that tells of no redirection tells less than the Diversion.
  if (history && by_history.empty() && !by_diversion.empty()) write_history(message, by_diversion);
  if (!diversion) message.remove(HeaderId::diversion);
  if (!history) message.remove(HeaderId::history_info);
}

}  // namespace isthmus::provider
