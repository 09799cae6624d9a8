// REGISTER through the bridge on virtual time: passed to a provider with tokens, kept by the
// built-in registrar, and both through a connector with several phones.
#include <gtest/gtest.h>

#include "support/sim_bridge.hpp"
#include "support/sim_phone.hpp"

namespace isthmus::sim {
namespace {

using sip::HeaderId;

const Endpoint kGateway = *Endpoint::parse("192.0.2.1:5060");
const Endpoint kProvider = *Endpoint::parse("198.51.100.1:5060");
const Endpoint kConnector = *Endpoint::parse("10.0.0.2:5060");

/// Three phones of a local network behind one connector, whose one link goes to the gateway, whose
/// provider keeps accounts.
struct BehindConnector : testing::Test {
  World world{44};
  GatewayNode gateway{world, kGateway, kProvider};
  ConnectorNode connector{world, kConnector};
  Phone ann{world, "ann", *Endpoint::parse("10.0.0.11:5060"), kConnector};
  Phone ben{world, "ben", *Endpoint::parse("10.0.0.12:5060"), kConnector};
  Phone provider{world, "provider", kProvider, kGateway};

  BehindConnector() {
    world.attach_link(connector.node, 1, gateway.node, 7);
    gateway.router.add_session(7, {"site", {"*"}});
    provider.is_registrar = true;
    provider.accounts = {{"ann", "ann-secret"}, {"ben", "ben-secret"}};
  }
  void register_both() {
    ann.register_at("example.org", 3600, "ann-secret");
    ben.register_at("example.org", 3600, "ben-secret");
    ASSERT_TRUE(world.run_until(
        [&] { return ann.last_register_status == 200 && ben.last_register_status == 200; }));
  }
};

TEST_F(BehindConnector, each_phone_registers_with_its_own_credentials) {
  register_both();
  // The provider holds a contact at the gateway for each, and no address of the local network.
  for (auto& [user, contact] : provider.locations) {
    EXPECT_NE(contact.find("@192.0.2.1:5060"), std::string::npos) << contact;
  }
  EXPECT_NE(provider.locations["ann"], provider.locations["ben"]);
  // Each phone sees its own Contact again with the time that was granted, and other devices' as
  // they are.
  std::string contacts;
  for (auto value : ann.last_register_response.values(HeaderId::contact))
    contacts += std::string(value) + "\n";
  EXPECT_NE(contacts.find("<" + ann.contact_uri() + ">;expires=3600"), std::string::npos)
      << contacts;
  EXPECT_NE(contacts.find("<sip:other@203.0.113.9>;expires=77"), std::string::npos) << contacts;
  EXPECT_EQ(gateway.bindings.size(), 2u);
  EXPECT_EQ(connector.bindings.size(), 2u);
}

TEST_F(BehindConnector, wrong_password_is_refused_by_the_provider_alone) {
  ann.register_at("example.org", 3600, "wrong");
  ben.register_at("example.org", 3600, "ben-secret");
  world.run_for(seconds(100));
  EXPECT_EQ(ann.last_register_status, 401);
  EXPECT_EQ(ben.last_register_status, 200);
  EXPECT_EQ(gateway.bindings.size(), 1u);
  EXPECT_EQ(connector.bindings.size(), 1u);
}

TEST_F(BehindConnector, calls_come_in_to_the_right_phone_and_go_out) {
  register_both();
  std::string in = provider.call(provider.locations["ben"]);
  ASSERT_TRUE(world.run_until(
      [&] { return provider.find(in)->confirmed && ben.find(in) && ben.find(in)->confirmed; }));
  EXPECT_EQ(ben.requests.front().request_uri(), ben.contact_uri());
  EXPECT_TRUE(ann.calls.empty());
  EXPECT_EQ(ben.find(in)->remote_sdp.find("192.0.0.8"), std::string::npos);
  EXPECT_NE(ben.find(in)->remote_sdp.find("c=IN IP4 10.0.0.2"), std::string::npos);
  provider.hang_up(in);
  std::string out = ann.call("sip:dave@example.org");
  ASSERT_TRUE(world.run_until([&] { return ann.find(out)->confirmed; }));
  EXPECT_EQ(provider.requests.back().from()->uri, "sip:ann@example.org");
  ann.hang_up(out);
  world.run_for(seconds(70));
  for (BridgeNode* node : {&gateway.node, &connector.node}) {
    EXPECT_EQ(node->bridge.call_count(), 0u);
    EXPECT_TRUE(node->media.ends.empty());
  }
}

TEST_F(BehindConnector, refresh_keeps_the_token_and_removal_forgets_it) {
  register_both();
  std::string before = provider.locations["ann"];
  ann.register_at("example.org", 600, "ann-secret");
  ASSERT_TRUE(world.run_until([&] { return ann.last_register_status == 200; }));
  EXPECT_EQ(provider.locations["ann"], before);
  ann.register_at("example.org", 0, "ann-secret");
  ASSERT_TRUE(world.run_until([&] { return ann.last_register_status == 200; }));
  EXPECT_FALSE(provider.locations.contains("ann"));
  EXPECT_EQ(gateway.bindings.size(), 1u);
  std::string in = provider.call(before);
  ASSERT_TRUE(world.run_until([&] { return provider.find(in)->final_status != 0; }));
  EXPECT_EQ(provider.find(in)->final_status, 404);
}

TEST_F(BehindConnector, dead_link_answers_480_until_it_is_back) {
  register_both();
  world.detach_link(connector.node, 1);
  gateway.close_session(7);
  std::string in = provider.call(provider.locations["ann"]);
  ASSERT_TRUE(world.run_until([&] { return provider.find(in)->final_status != 0; }));
  EXPECT_EQ(provider.find(in)->final_status, 480);
  EXPECT_TRUE(provider.responses.back().has(HeaderId::retry_after));
  // Back on a new session that names its instance: reachable again, though no phone has registered
  // anew. Another user, or another instance of the same user, gets nothing.
  world.attach_link(connector.node, 1, gateway.node, 9);
  gateway.router.add_session(9, {"site", {"*"}});
  gateway.bindings.reattach("other", "isthmus.invalid", sip::Flow::link(9));
  gateway.bindings.reattach("site", "elsewhere.invalid", sip::Flow::link(9));
  in = provider.call(provider.locations["ann"]);
  ASSERT_TRUE(world.run_until([&] { return provider.find(in)->final_status != 0; }));
  EXPECT_EQ(provider.find(in)->final_status, 480);
  gateway.bindings.reattach("site", "isthmus.invalid", sip::Flow::link(9));
  in = provider.call(provider.locations["ann"]);
  ASSERT_TRUE(world.run_until([&] { return provider.find(in)->final_status != 0; }));
  EXPECT_EQ(provider.find(in)->final_status, 200);
  provider.hang_up(in);
  world.run_for(seconds(1));
  world.detach_link(connector.node, 1);
  gateway.close_session(9);
  // Or the phone registers on a new session: the same token.
  world.attach_link(connector.node, 1, gateway.node, 8);
  gateway.router.add_session(8, {"site", {"*"}});
  std::string contact = provider.locations["ann"];
  ann.register_at("example.org", 3600, "ann-secret");
  ASSERT_TRUE(world.run_until([&] { return ann.last_register_status == 200; }));
  EXPECT_EQ(provider.locations["ann"], contact);
  in = provider.call(contact);
  ASSERT_TRUE(world.run_until([&] { return provider.find(in)->final_status == 200; }));
}

TEST_F(BehindConnector, phones_without_a_provider_use_the_built_in_registrar) {
  ann.register_at("home.example");
  ben.register_at("home.example");
  ASSERT_TRUE(world.run_until(
      [&] { return ann.last_register_status == 200 && ben.last_register_status == 200; }));
  EXPECT_EQ(gateway.registrar.contact_count(), 2u);
  std::string id = ann.call("sip:ben@home.example");
  ASSERT_TRUE(world.run_until(
      [&] { return ann.find(id)->confirmed && ben.find(id) && ben.find(id)->confirmed; }));
  EXPECT_TRUE(provider.requests.empty());
  ben.hang_up(id);
  world.run_for(seconds(70));
  EXPECT_EQ(gateway.node.bridge.call_count() + connector.node.bridge.call_count(), 0u);
}

TEST_F(BehindConnector, contacts_of_the_built_in_registrar_come_back_with_the_instance) {
  ann.register_at("home.example");
  ben.register_at("home.example");
  ASSERT_TRUE(world.run_until(
      [&] { return ann.last_register_status == 200 && ben.last_register_status == 200; }));
  world.detach_link(connector.node, 1);
  gateway.close_session(7);
  EXPECT_TRUE(gateway.registrar.lookup("ann", world.now).empty());
  EXPECT_TRUE(gateway.registrar.knows("ann"));
  world.attach_link(connector.node, 1, gateway.node, 8);
  gateway.router.add_session(8, {"site", {"*"}});
  gateway.registrar.reattach("isthmus.invalid", sip::Flow::link(8));
  std::string id = ann.call("sip:ben@home.example");
  ASSERT_TRUE(world.run_until([&] { return ann.find(id)->final_status != 0; }));
  EXPECT_EQ(ann.find(id)->final_status, 200);
}

TEST_F(BehindConnector, link_down_at_the_connector_is_503_with_retry_after) {
  connector.router.link_down();
  std::string id = ann.call("sip:dave@example.org");
  ASSERT_TRUE(world.run_until([&] { return ann.find(id)->final_status != 0; }));
  EXPECT_EQ(ann.find(id)->final_status, 503);
  EXPECT_TRUE(ann.responses.back().has(HeaderId::retry_after));
}

struct BuiltInRegistrar : testing::Test {
  World world{45};
  GatewayNode gateway{world, kGateway, kProvider};
  Phone alice{world, "alice", *Endpoint::parse("10.0.0.1:40000"), 101};
  BuiltInRegistrar() {
    world.attach_link(alice, 101, gateway.node, 1);
    gateway.router.add_session(1, {"alice", {"alice"}});
  }
  int register_with(const std::string& contact, const std::string& to = "sip:alice@home.example",
                    std::vector<std::pair<std::string, std::string>> extra = {}) {
    sip::Message request = alice.new_request("REGISTER", "sip:home.example", to);
    request.set(HeaderId::from, "<sip:alice@home.example>;tag=1");
    request.set(HeaderId::contact, contact);
    for (auto& [header, value] : extra) request.add(header, value);
    std::size_t before = alice.responses.size();
    alice.send_request(request);
    EXPECT_TRUE(world.run_until([&] { return alice.responses.size() > before; }));
    return alice.responses.back().status();
  }
};

TEST_F(BuiltInRegistrar, answers_by_rfc_3261_10_3) {
  EXPECT_EQ(register_with("<sip:alice@a.invalid>;expires=600"), 200);
  EXPECT_EQ(alice.responses.back().get(HeaderId::contact), "<sip:alice@a.invalid>;expires=600");
  EXPECT_EQ(register_with("<sip:alice@a.invalid>;expires=10"), 423);
  EXPECT_EQ(alice.responses.back().get(HeaderId::min_expires), "60");
  EXPECT_EQ(register_with("<sip:bob@a.invalid>", "sip:bob@home.example"), 403);
  EXPECT_EQ(register_with("<sip:alice@b.invalid>", "sip:alice@home.example", {{"Require", "frob"}}),
            420);
  EXPECT_EQ(alice.responses.back().get(HeaderId::unsupported), "frob");
  EXPECT_EQ(register_with("*"), 400);
  EXPECT_EQ(register_with("*", "sip:alice@home.example", {{"Expires", "0"}}), 200);
  EXPECT_EQ(gateway.registrar.contact_count(), 0u);
}

TEST_F(BuiltInRegistrar, contacts_expire_and_are_bounded) {
  EXPECT_EQ(register_with("<sip:alice@a.invalid>;expires=60"), 200);
  world.run_for(seconds(61));
  EXPECT_TRUE(gateway.registrar.lookup("alice", world.now).empty());
  int status = 0;
  for (int i = 0; i < 20; ++i)
    status = register_with("<sip:alice@h" + std::to_string(i) + ".invalid>");
  EXPECT_EQ(status, 403);
  EXPECT_LE(gateway.registrar.contact_count(), 16u);
}

TEST_F(BuiltInRegistrar, the_same_instance_replaces_its_contact) {
  EXPECT_EQ(register_with("<sip:alice@a.invalid>;+sip.instance=\"<urn:uuid:1>\""), 200);
  EXPECT_EQ(register_with("<sip:alice@b.invalid>;+sip.instance=\"<urn:uuid:1>\""), 200);
  ASSERT_EQ(gateway.registrar.contact_count(), 1u);
  EXPECT_EQ(gateway.registrar.all()[0].contact.uri, "sip:alice@b.invalid");
}

}  // namespace
}  // namespace isthmus::sim
