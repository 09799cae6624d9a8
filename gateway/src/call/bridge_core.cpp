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

sip::TransactionId BridgeCore::send(sip::Message request, const sip::Flow& flow,
                                    const sip::Flow* from) {
  router.dress(request, flow, from);
  return layer.send_request(std::move(request), flow, host_of(flow), now, events);
}

void BridgeCore::send_ack(sip::Message ack, const sip::Flow& flow, std::string* sent,
                          const sip::Flow* from) {
  router.dress(ack, flow, from);
  layer.add_via(ack, flow, host_of(flow));
  std::string bytes = ack.serialize();
  if (sent) *sent = bytes;
  emit(SendSip{flow, std::move(bytes)});
}

void BridgeCore::respond(sip::TransactionId server, sip::Message response, const sip::Flow* from) {
  if (response.status() >= 200) merged.end(server);
  if (const sip::Flow* to = layer.flow_of(server)) router.dress(response, *to, from);
  layer.respond(server, std::move(response), now, events);
}

void BridgeCore::reject(sip::TransactionId server, const sip::Message& request, int status,
                        std::string_view reason, unsigned retry_after_s) {
  sip::Message response = sip::Message::response_to(request, status, reason, random.token(12));
  response.add(HeaderId::server, config.software);
  if (retry_after_s > 0) response.add(HeaderId::retry_after, std::to_string(retry_after_s));
  respond(server, std::move(response));
}

bool BridgeCore::take_place(sip::TransactionId server, const sip::Message& request,
                            const sip::Flow& flow) {
  bool call = request.method() == sip::Method::invite;
  Load load;
  if (auto known = sessions_.find(flow.session); flow.is_link() && known != sessions_.end())
    load = known->second;
  // Subscriptions are counted apart: each phone behind a connector has one or two of them.
  bool over_session =
      flow.is_link() && (call ? load.calls >= config.max_calls_per_session
                              : load.subscriptions >= config.max_bindings_per_session);
  if (over_session || (call ? calls : subscriptions) >= config.max_calls) {
    ++counters.rejected_over_limit;
    reject(server, request, 503, over_session ? "Too many calls on this link" : "Too many calls",
           5);
    return false;
  }
  ++(call ? calls : subscriptions);
  if (flow.is_link()) {
    Load& of_session = sessions_[flow.session];
    ++(call ? of_session.calls : of_session.subscriptions);
  }
  return true;
}

void BridgeCore::give_place(bool call, const sip::Flow& flow) {
  --(call ? calls : subscriptions);
  auto known = flow.is_link() ? sessions_.find(flow.session) : sessions_.end();
  if (known == sessions_.end()) return;
  Load& load = known->second;
  --(call ? load.calls : load.subscriptions);
  if (load.calls + load.subscriptions == 0) sessions_.erase(known);
}

}  // namespace isthmus::call
