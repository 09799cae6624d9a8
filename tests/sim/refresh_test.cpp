// Registrations passed through for hours of virtual time: devices that refresh every minute, and
// what their registrar sees of it.
#include <gtest/gtest.h>

#include <utility>

#include "support/sim_bridge.hpp"
#include "support/sim_registrar.hpp"

namespace isthmus::sim {
namespace {

using sip::HeaderId;
using std::chrono::hours;
using std::chrono::minutes;

const Endpoint kGateway = *Endpoint::parse("192.0.2.1:5060");
const Endpoint kProvider = *Endpoint::parse("198.51.100.1:5060");

/// A device on a link that registers, answers challenges, keeps its nonce, and refreshes each time
/// before what it was granted has passed.
class Device : public Node {
 public:
  Device(World& world, std::string name, std::uint64_t session)
      : name_(std::move(name)),
        world_(world),
        session_(session),
        random_(world.random.u64()),
        layer_({}, random_) {
    world.add(*this);
  }

  std::string password;
  std::uint32_t asks_s = 3600;
  bool keeps_credentials = true;
  std::string contact_params, call_id = "device-call", contact_host = "device.invalid";

  int sent = 0, accepted = 0, last_status = 0;
  std::uint32_t granted_s = 0;
  sip::Message last_response;

  void send() { send(false); }
  void stop() { next_.reset(); }
  void remove() {
    std::uint32_t usual = std::exchange(asks_s, 0);
    send(false);
    asks_s = usual;
    next_.reset();
  }
  void move_to(std::uint64_t session) { session_ = session; }

  void on_udp(const Endpoint&, const Endpoint&, std::string, Instant) override {}
  void on_link(std::uint64_t session, std::string bytes, Instant now) override {
    auto message = sip::Message::parse(std::move(bytes));
    ASSERT_TRUE(message);
    layer_.on_message(std::move(*message), sip::Flow::link(session), now, events_);
    drain();
  }
  void on_timeout(Instant now) override {
    layer_.on_timeout(now, events_);
    if (next_ && *next_ <= now) send(false);
    drain();
  }
  std::optional<Instant> next_deadline() const override {
    auto next = layer_.next_deadline();
    if (next_ && (!next || *next_ < *next)) next = next_;
    return next;
  }

 private:
  void send(bool challenged) {
    next_.reset();
    ++sent;
    sip::Message request = sip::Message::request("REGISTER", "sip:example.org");
    request.add(HeaderId::max_forwards, "70");
    request.add(HeaderId::from, "<sip:" + name_ + "@example.org>;tag=" + random_.token(6));
    request.add(HeaderId::to, "<sip:" + name_ + "@example.org>");
    request.add(HeaderId::call_id, call_id);
    request.add(HeaderId::cseq, std::to_string(++cseq_) + " REGISTER");
    request.add(HeaderId::contact, "<sip:" + name_ + "@" + contact_host +
                                       ">;expires=" + std::to_string(asks_s) + contact_params);
    request.add(HeaderId::user_agent, "device/1");
    if (challenged) {
      if (!digest_->authorize(request, last_response)) return;
    } else if (keeps_credentials && last_request_.has(HeaderId::authorization)) {
      // As many phones do: the same credentials again, until they are refused.
      request.add(HeaderId::authorization, *last_request_.get(HeaderId::authorization));
    }
    last_request_ = request;
    layer_.send_request(std::move(request), sip::Flow::link(session_), contact_host, world_.now,
                        events_);
    drain();
  }

  void drain() {
    if (draining_) return;
    draining_ = true;
    for (std::size_t i = 0; i < events_.size(); ++i) {
      sip::TransactionEvent event = std::move(events_[i]);
      if (auto* send = std::get_if<sip::SendMessage>(&event)) {
        world_.send_link(*this, send->flow.session, std::move(send->bytes));
      } else if (auto* response = std::get_if<sip::ResponseReceived>(&event)) {
        on_response(response->response);
      } else if (std::holds_alternative<sip::ClientFailed>(event)) {
        last_status = 408;
        next_ = world_.now + seconds(30);
      }
    }
    events_.clear();
    draining_ = false;
  }

  void on_response(const sip::Message& response) {
    if (response.status() < 200) return;
    last_status = response.status();
    bool challenged_before = last_response.status() == 401;
    last_response = response;
    if (last_status == 401 && !password.empty()) {
      if (!digest_) digest_.emplace(name_, password, random_);
      if (!challenged_before || !last_request_.has(HeaderId::authorization) || keeps_credentials)
        send(true);
      return;
    }
    if (last_status == 423) {
      asks_s = response.number(HeaderId::min_expires).value_or(asks_s);
      send(false);
      return;
    }
    if (last_status >= 300) {
      next_ = world_.now + seconds(30);
      return;
    }
    ++accepted;
    for (std::string_view value : response.values(HeaderId::contact)) {
      auto contact = sip::NameAddr::parse(value);
      if (contact->uri != "sip:" + name_ + "@" + contact_host) continue;
      granted_s = static_cast<std::uint32_t>(
          std::stoul(std::string(contact->params.get("expires").value_or("0"))));
      next_ = world_.now + seconds(granted_s) * 9 / 10;
    }
  }

  std::string name_;
  World& world_;
  std::uint64_t session_;
  SeededRandom random_;
  sip::TransactionLayer layer_;
  sip::TransactionEvents events_;
  std::optional<sip::DigestClient> digest_;
  sip::Message last_request_ = sip::Message::request("REGISTER", "sip:none.invalid");
  std::optional<Instant> next_;
  std::uint32_t cseq_ = 0;
  bool draining_ = false;
};

struct Refreshing : testing::Test {
  World world{46};
  GatewayNode gateway{world, kGateway, kProvider};
  SimRegistrar registrar{world, kProvider};
  Device device{world, "ann", 101};

  Refreshing() {
    call::LegPolicy policy;
    policy.client_refresh = seconds(60);
    set_provider(policy, {kProvider});
    world.attach_link(device, 101, gateway.node, 1);
    gateway.router.add_session(1, {"ann", {"ann"}});
  }
  void set_provider(const call::LegPolicy& policy, std::vector<Endpoint> addresses) {
    provider::Provider entry;
    entry.name = "provider";
    entry.domains = {"example.org"};
    entry.addresses = std::move(addresses);
    entry.policy = policy;
    gateway.router.set_providers({entry});
  }
  /// A device that refreshes every 54 s for so long is reachable all the while.
  void live_for(Duration span) {
    Instant end = world.now + span;
    while (world.now < end) {
      world.run_for(seconds(10));
      ASSERT_TRUE(registrar.reaches("ann")) << (world.now - end) / seconds(1);
    }
  }
};

TEST_F(Refreshing, device_refreshes_every_minute_and_the_registrar_once_in_its_expiry) {
  registrar.passwords = {{"ann", "secret"}};
  device.password = "secret";
  device.send();
  world.run_for(seconds(1));
  ASSERT_EQ(device.last_status, 200);
  EXPECT_EQ(device.granted_s, 60u);
  live_for(hours(20));
  EXPECT_GT(device.accepted, 1300);
  // 20 expiries of an hour; each refresh comes a little early.
  EXPECT_GE(registrar.accepted, 20);
  EXPECT_LE(registrar.accepted, 22);
  EXPECT_LE(registrar.registers, 2 * registrar.accepted);
  EXPECT_GT(gateway.node.bridge.counters().refreshes_answered, 1250u);
  EXPECT_EQ(gateway.bindings.size(), 1u);
  // What the registrar sees is coherent (RFC 3261 §10.2).
  std::uint32_t cseq = 0;
  for (const sip::Message& request : registrar.requests) {
    EXPECT_EQ(request.call_id(), "device-call");
    EXPECT_GT(request.cseq()->number, cseq);
    EXPECT_EQ(request.contact()->params.get("expires"), "3600");
    cseq = request.cseq()->number;
  }
}

TEST_F(Refreshing, two_hours_without_credentials_take_three_registers) {
  device.send();
  live_for(hours(2));
  EXPECT_EQ(registrar.registers, 3);
}

TEST_F(Refreshing, device_that_asks_for_a_minute_is_registered_for_an_hour) {
  device.asks_s = 60;
  device.send();
  world.run_for(seconds(1));
  EXPECT_EQ(registrar.requests.back().contact()->params.get("expires"), "3600");
  EXPECT_EQ(device.granted_s, 60u);
  live_for(minutes(50));
  EXPECT_EQ(registrar.registers, 1);
  // It leaves: the provider hears of it at once.
  device.remove();
  world.run_for(seconds(1));
  EXPECT_EQ(registrar.removed, 1);
  EXPECT_FALSE(registrar.reaches("ann"));
  EXPECT_EQ(gateway.bindings.size(), 0u);
}

TEST_F(Refreshing, provider_that_shortens_is_refreshed_in_time) {
  registrar.max_expires_s = 120;
  device.send();
  live_for(hours(1));
  EXPECT_LE(registrar.registers, 3600 / 50);
  EXPECT_GE(registrar.registers, 3600 / 120);
}

TEST_F(Refreshing, provider_that_demands_longer_gets_it) {
  registrar.min_expires_s = 7200;
  registrar.max_expires_s = 7200;
  device.send();
  world.run_for(seconds(1));
  EXPECT_EQ(device.last_status, 200);  // after a 423 that reached it
  EXPECT_EQ(device.granted_s, 60u);
  live_for(hours(4));
  EXPECT_LE(registrar.accepted, 4);
}

TEST_F(Refreshing, provider_that_comes_back_without_memory_is_told_when_it_is_known) {
  device.send();
  live_for(minutes(5));
  registrar.forget();
  gateway.node.bridge.renew_registrations("elsewhere");
  world.run_for(seconds(60));
  EXPECT_FALSE(registrar.reaches("ann"));
  gateway.node.bridge.renew_registrations("provider");
  world.run_for(seconds(60));
  EXPECT_TRUE(registrar.reaches("ann"));
  EXPECT_EQ(registrar.registers, 2);
}

TEST_F(Refreshing, silent_provider_is_asked_at_each_refresh_until_it_answers) {
  device.send();
  live_for(minutes(50));
  registrar.silent = true;
  world.run_for(minutes(12));  // past its expiry
  EXPECT_FALSE(registrar.reaches("ann"));
  EXPECT_EQ(device.last_status, 408);
  registrar.silent = false;
  world.run_for(minutes(2));
  EXPECT_TRUE(registrar.reaches("ann"));
  EXPECT_EQ(device.last_status, 200);
}

TEST_F(Refreshing, refused_refresh_ends_what_is_answered_here) {
  registrar.passwords = {{"ann", "secret"}};
  device.password = "secret";
  device.send();
  live_for(minutes(5));
  int before = registrar.registers;
  // The password is changed at the provider, and the device asks for something new.
  registrar.passwords = {{"ann", "changed"}};
  device.contact_params = ";q=0.5";
  device.send();
  world.run_for(seconds(10));
  EXPECT_GT(registrar.registers, before);
  EXPECT_EQ(device.last_status, 401);
  before = registrar.registers;
  device.contact_params.clear();
  device.send();  // as it was accepted once
  world.run_for(seconds(10));
  EXPECT_GT(registrar.registers, before);
  EXPECT_EQ(device.last_status, 401);
}

TEST_F(Refreshing, another_session_of_the_user_is_not_answered_here) {
  Device other(world, "ann", 102);
  world.attach_link(other, 102, gateway.node, 2);
  gateway.router.add_session(2, {"ann", {"ann"}});
  device.send();
  world.run_for(seconds(1));
  device.stop();
  // The same in every word, but for the link that it comes on.
  for (int i = 0; i < 3; ++i) {
    other.send();
    world.run_for(seconds(1));
  }
  other.stop();
  EXPECT_EQ(registrar.registers, 2);  // the first of it passes, then the binding is its own
}

TEST_F(Refreshing, link_that_comes_back_keeps_its_registration) {
  device.send();
  live_for(minutes(5));
  world.detach_link(device, 101);
  gateway.close_session(1);
  world.attach_link(device, 103, gateway.node, 3);
  device.move_to(103);
  gateway.router.add_session(3, {"ann", {"ann"}});
  gateway.bindings.reattach("ann", "device.invalid", sip::Flow::link(3));
  device.send();
  world.run_for(seconds(1));
  EXPECT_EQ(device.last_status, 200);
  EXPECT_EQ(registrar.registers, 1);
  live_for(hours(2));
  EXPECT_EQ(registrar.registers, 3);
}

TEST_F(Refreshing, device_that_falls_silent_is_not_rung) {
  device.send();
  live_for(minutes(5));
  device.stop();
  world.run_for(seconds(100));
  ASSERT_EQ(gateway.bindings.all().size(), 1u);
  EXPECT_FALSE(gateway.bindings.all()[0]->reachable);
  device.send();
  world.run_for(seconds(1));
  EXPECT_TRUE(gateway.bindings.all()[0]->reachable);
  EXPECT_EQ(registrar.registers, 1);
}

TEST_F(Refreshing, restart_of_the_device_passes) {
  device.send();
  live_for(minutes(5));
  device.call_id = "after-restart";
  device.send();
  world.run_for(seconds(1));
  EXPECT_EQ(registrar.registers, 2);
}

TEST_F(Refreshing, refresh_that_is_due_survives_loss) {
  world.udp_loss = 0.3;
  device.send();
  world.run_for(seconds(40));
  ASSERT_EQ(device.last_status, 200) << "seed 46";
  live_for(hours(5));
  EXPECT_LE(registrar.accepted, 8);
}

TEST_F(Refreshing, without_throttling_every_refresh_passes) {
  set_provider({}, {kProvider});
  device.asks_s = 60;
  device.send();
  live_for(minutes(10));
  EXPECT_GE(registrar.registers, 11);
  EXPECT_EQ(registrar.requests.back().contact()->params.get("expires"), "60");
  EXPECT_EQ(gateway.node.bridge.counters().refreshes_answered, 0u);
}

}  // namespace
}  // namespace isthmus::sim
