#include "call/crossing.hpp"

#include <algorithm>

#include "base/limits.hpp"
#include "base/text.hpp"
#include "sip/scan.hpp"

namespace isthmus::call {

using sip::HeaderId;

void make_outgoing_request(sip::Message& request) {
  request.remove(HeaderId::via);
  request.remove(HeaderId::route);
  request.remove(HeaderId::record_route);
  std::uint32_t hops = request.number(HeaderId::max_forwards).value_or(limits::kMaxForwards + 1);
  request.set(HeaderId::max_forwards, std::to_string(hops > 0 ? hops - 1 : 0));
}

void make_outgoing_response(sip::Message& response, const sip::Message& request) {
  response.remove(HeaderId::via);
  response.remove(HeaderId::record_route);
  auto put_first = [&](HeaderId id) {
    std::vector<std::string_view> fields = request.fields(id);
    for (auto field = fields.rbegin(); field != fields.rend(); ++field)
      response.prepend(id, *field);
  };
  // The caller knows its own From, and To once it has a tag (RFC 3261 §8.2.6.2); the next hop may
  // know them by others.
  std::string_view from = request.get(HeaderId::from).value_or("");
  if (response.get(HeaderId::from) != from) response.set(HeaderId::from, from);
  if (!request.to_tag().empty()) {
    std::string_view to = request.get(HeaderId::to).value_or("");
    if (response.get(HeaderId::to) != to) response.set(HeaderId::to, to);
  }
  if (response.status() > 100 && response.status() < 300) put_first(HeaderId::record_route);
  put_first(HeaderId::via);
}

std::string changed_from(const sip::Message& came, const sip::Message& sent) {
  if (came.get(HeaderId::from) == sent.get(HeaderId::from)) return {};
  Result<sip::NameAddr, sip::Fault> before = came.from(), after = sent.from();
  if (!before || !after || (before->uri == after->uri && before->display == after->display))
    return {};
  if (auto tag = before->tag()) after->params.set("tag", std::string(*tag));
  return after->to_string();
}

void replace_contact(sip::Message& message, std::string_view uri) {
  if (!message.has(HeaderId::contact)) return;
  std::string values;
  for (std::string_view value : message.values(HeaderId::contact)) {
    Result<sip::NameAddr, sip::Fault> contact = sip::NameAddr::parse(value);
    if (!values.empty()) values += ", ";
    if (!contact || contact->star) {
      values += value;
      continue;
    }
    contact->uri = uri;
    values += contact->to_string();
  }
  message.set(HeaderId::contact, values);
}

std::string responder_uri(const sip::Message& response) {
  Result<sip::NameAddr, sip::Fault> contact = response.contact();
  if (!contact) return {};
  if (response.status() / 100 == 3) {
    Result<sip::Uri, sip::Fault> uri = sip::Uri::parse(contact->uri);
    if (!uri || !IpAddress::parse(uri->host)) return {};
  }
  return contact->uri;
}

bool is_sips(std::string_view uri) {
  return uri.size() > 5 && iequals(uri.substr(0, 5), "sips:");
}

/// Of the first value.
static bool is_sips(const sip::Message& message, HeaderId id) {
  std::string_view value;
  sip::scan::List(message.get(id).value_or("")).next(value);
  const std::optional<sip::scan::NameAddr> first = sip::scan::name_addr(value);
  return first && is_sips(first->uri);
}

bool asks_for_tls(const sip::Message& request) {
  return is_sips(request.request_uri()) || is_sips(request, HeaderId::route);
}

bool asks_secure_contact(const sip::Message& request) {
  return is_sips(request.request_uri()) ||
         is_sips(request,
                 request.has(HeaderId::record_route) ? HeaderId::record_route : HeaderId::contact);
}

std::string request_user(const sip::Message& request) {
  std::optional<sip::scan::Uri> uri = sip::scan::uri(request.request_uri());
  return uri && uri->sip ? std::string(uri->user) : std::string();
}

std::string party_uri(const sip::Message& message, HeaderId id) {
  std::optional<sip::scan::NameAddr> party = sip::scan::name_addr(message.get(id).value_or(""));
  return party ? std::string(party->uri) : std::string();
}

std::vector<std::string> record_route(const sip::Message& message, bool reversed) {
  std::vector<std::string> route;
  for (std::string_view value : message.values(HeaderId::record_route)) route.emplace_back(value);
  if (reversed) std::reverse(route.begin(), route.end());
  return route;
}

std::string reason_value(int cause, std::string_view text) {
  return "SIP;cause=" + std::to_string(cause) + ";text=\"" + std::string(text) + "\"";
}

}  // namespace isthmus::call
