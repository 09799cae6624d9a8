#include "call/bridge_core.hpp"

namespace isthmus::call {

using sip::HeaderId;

BridgeCore::BridgeCore(BridgeConfig configuration, Router& r, MediaPlane& m, BindingTable& b,
                       RegisterHandler* reg, Random& rnd)
    : config(std::move(configuration)),
      router(r),
      media(m),
      bindings(b),
      registrar(reg),
      random(rnd),
      layer(config.timers, rnd) {}

const std::string& BridgeCore::host_of(const sip::Flow& flow) const {
  if (flow.is_link() || config.network_sent_by.empty()) return config.link_host;
  return config.network_sent_by[flow.local < config.network_sent_by.size() ? flow.local : 0];
}

std::string_view BridgeCore::contact_params_of(const sip::Flow& flow) const {
  return flow.is_link()                          ? ";transport=tls"
         : flow.transport == sip::Transport::tcp ? ";transport=tcp"
                                                 : "";
}

sip::TransactionId BridgeCore::send(sip::Message request, const sip::Flow& flow) {
  router.dress(request, flow);
  return layer.send_request(std::move(request), flow, host_of(flow), now, events);
}

void BridgeCore::send_ack(sip::Message ack, const sip::Flow& flow, std::string* sent) {
  layer.add_via(ack, flow, host_of(flow));
  std::string bytes = ack.serialize();
  if (sent) *sent = bytes;
  emit(SendSip{flow, std::move(bytes)});
}

void BridgeCore::respond(sip::TransactionId server, sip::Message response) {
  layer.respond(server, std::move(response), now, events);
}

void BridgeCore::reject(sip::TransactionId server, const sip::Message& request, int status,
                        std::string_view reason, unsigned retry_after_s) {
  sip::Message response = sip::Message::response_to(request, status, reason, random.token(12));
  response.add(HeaderId::server, config.software);
  if (retry_after_s > 0) response.add(HeaderId::retry_after, std::to_string(retry_after_s));
  respond(server, std::move(response));
}

}  // namespace isthmus::call
