#pragma once
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "provider/upstream_registrations.hpp"
#include "support/sim_bridge.hpp"

namespace isthmus::sim {

/// A gateway's own registrations in a simulated world, as app/upstream_driver.hpp runs them.
class UpstreamNode : public Node {
 public:
  UpstreamNode(World& world, BridgeNode& bridge, std::vector<sip::Flow> flows)
      : random_(world.random.u64()),
        registrations(random_),
        world_(world),
        bridge_(bridge),
        flows_(std::move(flows)) {
    world.add(*this);
  }

  std::set<std::string> present;
  std::vector<provider::UpstreamChanged> changes;

  void start(const std::string& provider) {
    run([&](provider::UpstreamActions& out) { registrations.start(provider, world_.now, out); });
  }
  void look_around() {
    run([&](provider::UpstreamActions& out) {
      registrations.update_presence(
          [this](const std::string& user) { return present.contains(user); }, world_.now, out);
    });
  }
  void stop() {
    run([&](provider::UpstreamActions& out) { registrations.stop(world_.now, out); });
  }

  void on_udp(const Endpoint&, const Endpoint&, std::string, Instant) override {}
  void on_link(std::uint64_t, std::string, Instant) override {}
  void on_timeout(Instant now) override {
    run([&](provider::UpstreamActions& out) { registrations.on_timeout(now, out); });
  }
  std::optional<Instant> next_deadline() const override { return registrations.next_deadline(); }

 private:
  SeededRandom random_;

 public:
  provider::UpstreamRegistrations registrations;

 private:
  void run(const std::function<void(provider::UpstreamActions&)>& input) {
    provider::UpstreamActions actions;
    input(actions);
    for (provider::UpstreamChanged& change : actions.changes) changes.push_back(std::move(change));
    for (provider::SendRegister& send : actions.sends) {
      std::size_t account = send.account;
      bridge_.send_own(
          {std::move(send.request), flows_, registrations.account(account).contact_user},
          [this, account](call::OwnResponse& ended) {
            run([&](provider::UpstreamActions& out) {
              registrations.on_response(account, ended.response ? &*ended.response : nullptr,
                                        ended.flow, world_.now, out);
            });
          });
    }
  }

  World& world_;
  BridgeNode& bridge_;
  std::vector<sip::Flow> flows_;
};

}  // namespace isthmus::sim
