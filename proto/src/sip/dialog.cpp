#include "sip/dialog.hpp"

#include <algorithm>

#include "base/limits.hpp"

namespace isthmus::sip {
namespace {

std::vector<std::string> record_routes(const Message& message) {
  std::vector<std::string> routes;
  for (std::string_view value : message.values(HeaderId::record_route)) routes.emplace_back(value);
  return routes;
}

std::string contact_uri(const Message& message) {
  auto contact = message.contact();
  return contact && !contact->star ? contact->uri : std::string();
}

// A URI as a Request-URI may bear it: without method parameter and headers (RFC 3261 §19.1.1
// table).
std::string as_request_uri(const std::string& text) {
  auto uri = Uri::parse(text);
  if (!uri || !uri->is_sip()) return text;
  if (uri->headers.empty() && !uri->params.has("method")) return text;
  uri->headers.clear();
  uri->params.remove("method");
  return uri->to_string();
}

struct FirstRoute {
  std::string uri;
  bool loose = true;
};

// A route that cannot be read counts as loose: it then stays in Route, where the next hop can judge
// it.
FirstRoute first_route(const std::string& route) {
  auto address = NameAddr::parse(route);
  if (!address) return {};
  auto uri = Uri::parse(address->uri);
  return {address->uri, !uri || uri->params.has("lr")};
}

}  // namespace

Dialog Dialog::as_uac(const Message& request, const Message& response) {
  Dialog dialog;
  dialog.call_id = std::string(request.call_id());
  dialog.local_tag = request.from_tag();
  dialog.remote_tag = response.to_tag();
  dialog.local_party = std::string(request.get(HeaderId::from).value_or(""));
  dialog.remote_party = std::string(response.get(HeaderId::to).value_or(""));
  dialog.remote_target = contact_uri(response);
  // Provisional responses may lack a Contact; until one comes the dialog is reached as the request
  // was.
  if (dialog.remote_target.empty()) dialog.remote_target = std::string(request.request_uri());
  dialog.route_set = record_routes(response);
  std::reverse(dialog.route_set.begin(), dialog.route_set.end());
  if (auto cseq = request.cseq()) dialog.local_cseq = cseq->number;
  auto uri = Uri::parse(request.request_uri());
  dialog.secure = uri && uri->is_secure();
  return dialog;
}

Dialog Dialog::as_uas(const Message& request, std::string_view local_tag) {
  Dialog dialog;
  dialog.call_id = std::string(request.call_id());
  dialog.local_tag = std::string(local_tag);
  dialog.remote_tag = request.from_tag();
  dialog.local_party = std::string(request.get(HeaderId::to).value_or(""));
  if (request.to_tag().empty()) dialog.local_party += ";tag=" + dialog.local_tag;
  dialog.remote_party = std::string(request.get(HeaderId::from).value_or(""));
  dialog.remote_target = contact_uri(request);
  dialog.route_set = record_routes(request);
  if (auto cseq = request.cseq()) dialog.remote_cseq = cseq->number;
  auto uri = Uri::parse(request.request_uri());
  dialog.secure = uri && uri->is_secure();
  return dialog;
}

Message Dialog::request(std::string_view method, std::uint32_t ack_cseq) {
  std::string target = as_request_uri(remote_target);
  std::vector<std::string> routes = route_set;
  if (!routes.empty()) {
    FirstRoute first = first_route(routes.front());
    if (!first.loose) {
      // A strict router (RFC 2543) wants itself in the Request-URI and the target last in Route.
      routes.erase(routes.begin());
      routes.push_back('<' + remote_target + '>');
      target = as_request_uri(first.uri);
    }
  }
  bool ack = method == to_text(Method::ack);
  std::uint32_t number = ack ? (ack_cseq ? ack_cseq : local_cseq) : ++local_cseq;
  Message message = Message::request(method, target);
  for (const std::string& route : routes) message.add(HeaderId::route, route);
  message.add(HeaderId::max_forwards, std::to_string(limits::kMaxForwards));
  message.add(HeaderId::from, local_party);
  message.add(HeaderId::to, remote_party);
  message.add(HeaderId::call_id, call_id);
  message.add(HeaderId::cseq, std::to_string(number) + ' ' + std::string(method));
  return message;
}

void Dialog::refresh_target(const Message& message) {
  std::string uri = contact_uri(message);
  if (!uri.empty()) remote_target = std::move(uri);
}

bool Dialog::accept_remote_cseq(std::uint32_t number) {
  if (remote_cseq != 0 && number < remote_cseq) return false;
  remote_cseq = number;
  return true;
}

bool Dialog::matches(const Message& in_dialog_request) const {
  return in_dialog_request.call_id() == call_id && in_dialog_request.to_tag() == local_tag &&
         in_dialog_request.from_tag() == remote_tag;
}

}  // namespace isthmus::sip
