#include "transport/via_source.hpp"

#include <string>

#include "sip/uri.hpp"
#include "sip/values.hpp"

namespace isthmus::transport {
namespace {

std::uint16_t default_port(const sip::Flow& flow) {
  return flow.transport == sip::Transport::tls ? 5061 : 5060;
}

}  // namespace

bool mark_source(sip::Message& request, const Endpoint& source) {
  auto via = request.top_via();
  if (!via) return false;
  const bool rport = via->params.has("rport");
  const auto sent_by = IpAddress::parse(via->host);
  if (rport) via->params.set("rport", std::to_string(source.port));
  if (rport || !sent_by || *sent_by != source.address) {
    via->params.set("received", source.address.to_string());
    request.set_first_value(sip::HeaderId::via, via->to_string());
  }
  return rport;
}

std::optional<Endpoint> address_behind(std::string_view text, const sip::Flow& flow) {
  const auto message = sip::Message::parse(std::string(text));
  if (!message) return std::nullopt;
  if (message->is_response()) {
    const auto via = message->top_via();
    if (!via) return std::nullopt;
    const auto address = IpAddress::parse(via->params.get("received").value_or(via->host));
    if (!address || *address != flow.remote.address) return std::nullopt;
    return Endpoint{*address, via->port != 0 ? via->port : default_port(flow)};
  }
  const auto uri = sip::Uri::parse(message->request_uri());
  if (!uri || !uri->is_sip()) return std::nullopt;
  const auto address = IpAddress::parse(uri->host);
  if (!address || *address != flow.remote.address) return std::nullopt;
  return Endpoint{*address, uri->port != 0 ? uri->port : default_port(flow)};
}

}  // namespace isthmus::transport
