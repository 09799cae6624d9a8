#pragma once
#include <functional>
#include <map>
#include <vector>

#include "call/bridge.hpp"
#include "provider/connector_router.hpp"
#include "provider/gateway_router.hpp"
#include "provider/registrar.hpp"
#include "support/fake_media_plane.hpp"
#include "support/sim_world.hpp"
#include "transport/fault_answer.hpp"

namespace isthmus::sim {

/// The real bridge in a simulated world: what a gateway and a connector have in common.
class BridgeNode : public Node {
 public:
  BridgeNode(World& world, Endpoint sip_address, call::Router& router,
             call::RegisterHandler* registrar, call::BindingTable& bindings,
             call::BridgeConfig config)
      : world_(world),
        address(sip_address),
        media(sip_address.address),
        random_(world.random.u64()),
        bridge(complete(std::move(config), sip_address), router, media, bindings, registrar,
               random_) {
    world.attach_udp(address, *this);
    world.add(*this);
  }

  void on_udp(const Endpoint& from, const Endpoint&, std::string bytes, Instant now) override {
    deliver(std::move(bytes), sip::Flow::udp(from), now);
  }
  void on_link(std::uint64_t session, std::string bytes, Instant now) override {
    deliver(std::move(bytes), sip::Flow::link(session), now);
  }
  void on_timeout(Instant now) override {
    call::Actions actions;
    bridge.on_timeout(now, actions);
    carry_out(actions);
  }
  std::optional<Instant> next_deadline() const override { return bridge.next_deadline(); }

  void close_session(std::uint64_t session) {
    call::Actions actions;
    bridge.on_session_closed(session, world_.now, actions);
    carry_out(actions);
  }
  void user_available(const std::string& user) {
    call::Actions actions;
    bridge.on_user_available(user, world_.now, actions);
    carry_out(actions);
  }
  void end_call(call::CallId id) {
    call::Actions actions;
    bridge.end_call(id, "Ended by administrator", world_.now, actions);
    carry_out(actions);
  }
  void send_own(call::OwnRequest request, std::function<void(call::OwnResponse&)> done) {
    call::Actions actions;
    own_[bridge.send_own(std::move(request), world_.now, actions)] = std::move(done);
    carry_out(actions);
  }

 private:
  static call::BridgeConfig complete(call::BridgeConfig config, const Endpoint& address) {
    config.network_sent_by = {address.to_string()};
    return config;
  }
  void deliver(std::string bytes, const sip::Flow& flow, Instant now) {
    if (keeps_traffic) traffic.push_back({flow, bytes, true});
    auto message = sip::Message::parse(bytes);
    if (const auto fault = message ? message->check() : message.error()) {
      ++malformed;
      refuse(bytes, *fault, flow);
      return;
    }
    call::Actions actions;
    bridge.on_message(std::move(*message), flow, now, actions);
    carry_out(actions);
  }
  /// As the real hosts do (SipUdp::on_fault, BridgeHost::on_link_sip).
  void refuse(const std::string& bytes, const sip::Fault& fault, const sip::Flow& flow) {
    const auto answer = transport::fault_answer(bytes, fault, flow.remote);
    if (!answer) return;
    if (flow.is_link()) {
      world_.send_link(*this, flow.session, *answer);
    } else {
      world_.send_udp(address, flow.remote, *answer);
    }
  }
  void carry_out(call::Actions& actions) {
    for (call::Action& action : actions) {
      if (auto* send = std::get_if<call::SendSip>(&action)) {
        if (keeps_traffic) traffic.push_back({send->flow, send->bytes, false});
        if (send->flow.is_link()) {
          world_.send_link(*this, send->flow.session, std::move(send->bytes));
        } else {
          world_.send_udp(address, send->flow.remote, std::move(send->bytes));
        }
      } else if (auto* changed = std::get_if<call::CallChanged>(&action)) {
        if (changed->ended) ended.push_back(changed->record);
      } else if (auto* own = std::get_if<call::OwnResponse>(&action)) {
        if (auto handler = own_.extract(own->id)) handler.mapped()(*own);
      } else if (auto* wake = std::get_if<call::WakeUser>(&action)) {
        woken.push_back(*wake);
      }
    }
  }

  World& world_;
  std::map<call::OwnRequestId, std::function<void(call::OwnResponse&)>> own_;

 public:
  Endpoint address;
  FakeMediaPlane media;

 private:
  SeededRandom random_;

 public:
  call::Bridge bridge;
  std::vector<call::CallRecord> ended;
  std::vector<call::WakeUser> woken;
  int malformed = 0;
  /// Every message that came and went, in order, when asked for.
  struct Passed {
    sip::Flow flow;
    std::string bytes;
    bool received;
  };
  bool keeps_traffic = false;
  std::vector<Passed> traffic;
};

inline Bytes sim_secret() {
  return Bytes(32, 7);
}

/// A gateway with one provider, the built-in registrar of "home.example" and both services.
struct GatewayNode {
  GatewayNode(World& world, Endpoint sip_address, Endpoint provider, call::BridgeConfig config = {},
              std::vector<provider::RouteRule> routes = {},
              const std::function<void(provider::GatewayRouter::Config&)>& configure = {})
      : bindings(sim_secret()),
        router(router_config(sip_address, std::move(routes), configure), bindings),
        registrar_random(world.random.u64()),
        registrar(
            {"home.example"},
            [this](const sip::Flow& flow, std::string_view user) {
              return router.may_use(flow, user);
            },
            registrar_random),
        node(world, sip_address, router, &registrar, bindings, std::move(config)) {
    router.set_registrar(&registrar);
    router.set_providers({{"provider", {"example.org"}, {provider}, {}}});
  }
  static provider::GatewayRouter::Config router_config(
      const Endpoint& address, std::vector<provider::RouteRule> routes,
      const std::function<void(provider::GatewayRouter::Config&)>& configure) {
    provider::GatewayRouter::Config config{
        "home.example", "echo", "tone", std::move(routes), {address.to_string()}};
    if (configure) configure(config);
    return config;
  }
  void close_session(std::uint64_t session) {
    registrar.session_closed(session);
    node.close_session(session);
    router.remove_session(session);
  }

  call::BindingTable bindings;
  provider::GatewayRouter router;
  SeededRandom registrar_random;
  provider::Registrar registrar;
  BridgeNode node;
};

/// A connector whose one link is session 1.
struct ConnectorNode {
  ConnectorNode(World& world, Endpoint sip_address, call::BridgeConfig config = {})
      : bindings(sim_secret()),
        router({sip_address.to_string(), sip_address.address.to_string()}, bindings),
        node(world, sip_address, router, nullptr, bindings, std::move(config)) {
    router.link_up(1, "home.example");
  }
  call::BindingTable bindings;
  provider::ConnectorRouter router;
  BridgeNode node;
};

}  // namespace isthmus::sim
