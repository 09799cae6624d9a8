// The built-in registrar in whole systems on virtual time: SIP passwords behind a connector, flows
// that fail, Path, a restart; and challenges of others, which pass as they are.
#include <gmock/gmock.h>

#include "provider/digest_gate.hpp"
#include "support/sim_site.hpp"

namespace isthmus::sim {
namespace {

using sip::HeaderId;
using testing::ElementsAre;
using testing::HasSubstr;

struct SipUsers final : provider::SipUserDirectory {
  std::map<std::string, provider::SipUser, std::less<>> users;
  void add(const std::string& name) {
    users[name] = {name, sip::digest_secrets(name, "home.example", name + "-pw"), {name}};
  }
  std::optional<provider::SipUser> find_sip_user(std::string_view name) override {
    auto found = users.find(name);
    return found == users.end() ? std::nullopt : std::optional(found->second);
  }
};

const Endpoint kConnector = *Endpoint::parse("10.0.0.2:5060");

/// Phones behind a connector whose session may use any address; each has a SIP password.
struct PasswordSite : testing::Test {
  World world{61};
  GatewayNode gateway{world, kGateway, kProvider};
  ConnectorNode connector{world, kConnector};
  Phone ann{world, "ann", *Endpoint::parse("10.0.0.11:5060"), kConnector};
  Phone ben{world, "ben", *Endpoint::parse("10.0.0.12:5060"), kConnector};
  Phone carol{world, "carol", kProvider, kGateway};
  SipUsers users;
  SeededRandom random{62};
  provider::DigestGate gate{{"home.example"},
                            users,
                            [this](const sip::Uri& uri) { return gateway.router.is_own_host(uri); },
                            random};

  PasswordSite() {
    world.attach_link(connector.node, 1, gateway.node, 7);
    gateway.router.add_session(7, {"site", {"*"}});
    gateway.registrar.set_gate(&gate);
    users.add("ann");
    users.add("ben");
  }
  int register_status(Phone& phone, const std::string& password) {
    phone.password = password;
    phone.register_at("home.example", 3600, password);
    EXPECT_TRUE(world.run_until([&] { return phone.last_register_status != 0; }));
    return phone.last_register_status;
  }
  int call_status(Phone& phone, const std::string& uri) {
    std::string id = phone.call(uri);
    EXPECT_TRUE(world.run_until([&] { return phone.find(id)->final_status != 0; }));
    return phone.find(id)->final_status;
  }
};

TEST_F(PasswordSite, phones_behind_one_session_are_told_apart_by_their_passwords) {
  EXPECT_EQ(register_status(ann, "ann-pw"), 200);
  EXPECT_EQ(register_status(ben, "ann-pw"), 401);
  EXPECT_EQ(register_status(ben, "ben-pw"), 200);
  EXPECT_EQ(gateway.registrar.contact_count(), 2u);
  EXPECT_TRUE(ann.last_register_response.has(HeaderId::authentication_info));
}

TEST_F(PasswordSite, calls_are_challenged_once_and_then_go_through_without_our_credentials) {
  ASSERT_EQ(register_status(ann, "ann-pw"), 200);
  ASSERT_EQ(register_status(ben, "ben-pw"), 200);
  std::string id = ann.call("sip:ben@home.example");
  ASSERT_TRUE(world.run_until([&] { return ann.find(id)->confirmed && ben.find(id)->confirmed; }));
  EXPECT_FALSE(ben.requests.front().has(HeaderId::proxy_authorization));
  // What belongs to the dialog is not asked for a password again: hold, and BYE.
  std::uint64_t challenged = gate.counters().challenged;
  ann.hold(id);
  world.run_for(seconds(1));
  EXPECT_EQ(ann.find(id)->final_status, 200);
  ben.hang_up(id);
  ASSERT_TRUE(world.run_until([&] { return ann.find(id)->ended; }));
  EXPECT_EQ(gate.counters().challenged, challenged);
}

TEST_F(PasswordSite, cancel_needs_no_password) {
  ASSERT_EQ(register_status(ann, "ann-pw"), 200);
  ASSERT_EQ(register_status(ben, "ben-pw"), 200);
  ben.answer_with = 0;
  std::string id = ann.call("sip:ben@home.example");
  ASSERT_TRUE(world.run_until([&] { return !ann.find(id)->provisional.empty(); }));
  ann.cancel(id);
  ASSERT_TRUE(world.run_until([&] { return ann.find(id)->final_status != 0; }));
  EXPECT_EQ(ann.find(id)->final_status, 487);
  EXPECT_TRUE(world.run_until([&] { return ben.find(id)->ended; }));
}

TEST_F(PasswordSite, nobody_calls_as_somebody_else_or_without_a_password) {
  ASSERT_EQ(register_status(ann, "ann-pw"), 200);
  ben.domain = "home.example";
  EXPECT_EQ(call_status(ben, "sip:ann@home.example"), 407);
  ASSERT_EQ(register_status(ben, "ben-pw"), 200);
  ben.name = "ann";
  EXPECT_EQ(call_status(ben, "sip:ben@home.example"), 403);
  EXPECT_TRUE(ann.calls.empty());
}

TEST_F(PasswordSite, providers_call_our_users_without_any) {
  ASSERT_EQ(register_status(ann, "ann-pw"), 200);
  EXPECT_EQ(call_status(carol, "sip:ann@home.example"), 200);
}

/// What the provider asks, and what the phone answers, crosses connector and gateway untouched.
struct ForeignChallenge : testing::Test {
  World world{63};
  GatewayNode gateway{world, kGateway, kProvider};
  ConnectorNode connector{world, kConnector};
  SipUsers nobody;
  SeededRandom random{64};
  provider::DigestGate gate{{"home.example"},
                            nobody,
                            [this](const sip::Uri& uri) { return gateway.router.is_own_host(uri); },
                            random};
  struct Wire final : Node {
    std::vector<std::string> received;
    std::function<std::string(const sip::Message&)> answer;
    World* world = nullptr;
    Endpoint self, peer;
    void on_udp(const Endpoint&, const Endpoint&, std::string bytes, Instant) override {
      received.push_back(bytes);
      auto message = sip::Message::parse(bytes);
      if (message && message->is_request() && answer) world->send_udp(self, peer, answer(*message));
    }
    void on_link(std::uint64_t, std::string, Instant) override {}
    void on_timeout(Instant) override {}
    std::optional<Instant> next_deadline() const override { return std::nullopt; }
  };
  Wire phone, provider;

  ForeignChallenge() {
    world.attach_link(connector.node, 1, gateway.node, 7);
    gateway.router.add_session(7, {"site", {"*"}});
    gateway.registrar.set_gate(&gate);
    phone.world = provider.world = &world;
    phone.self = *Endpoint::parse("10.0.0.11:5060");
    phone.peer = kConnector;
    provider.self = kProvider;
    provider.peer = kGateway;
    world.attach_udp(phone.self, phone);
    world.attach_udp(provider.self, provider);
  }
  static std::vector<std::string> lines_with(const std::string& text, const std::string& part) {
    std::vector<std::string> out;
    for (std::size_t at = 0; at < text.size();) {
      std::size_t end = text.find("\r\n", at);
      std::string line = text.substr(at, end - at);
      if (line.find(part) != std::string::npos) out.push_back(line);
      at = end == std::string::npos ? text.size() : end + 2;
    }
    return out;
  }
};

TEST_F(ForeignChallenge, challenges_and_answers_pass_byte_for_byte) {
  const std::vector<std::string> challenges = {
      "WWW-Authenticate:   Digest  realm=\"example.org\",nonce=\"a\\\"b==\" , "
      "algorithm=SHA-512-256-sess,qop=\"auth,auth-int\",opaque=\"\"",
      "www-authenticate: Digest realm=\"example.org\", nonce=unquoted, algorithm=MD5",
      "WWW-Authenticate: Bearer authz_server=\"https://id.example.org\"",
      "Proxy-Authenticate: Basic realm=\"p\""};
  provider.answer = [&](const sip::Message& request) {
    std::string bytes = sip::Message::response_to(request, 401, {}, "t").serialize();
    std::string extra;
    for (const std::string& line : challenges) extra += line + "\r\n";
    return bytes.insert(bytes.find("\r\n") + 2, extra);
  };
  const std::vector<std::string> answers = {
      "Authorization:  Digest username=\"ann\",realm=\"example.org\", nonce=\"a\\\"b==\",uri=\""
      "sip:example.org\",response=\"0011\",algorithm=SHA-512-256-sess,  cnonce=\"x\", nc=00000001",
      "Proxy-Authorization: Digest username=\"ann\", realm=\"p\", nonce=\"1\", uri=\"sip:p\", "
      "response=\"00112233445566778899aabbccddeeff\"",
      "authorization: Bearer abc.def.ghi"};
  std::string request =
      "REGISTER sip:example.org SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.11:5060;branch=z9hG4bKx1\r\n"
      "Max-Forwards: 70\r\nFrom: <sip:ann@example.org>;tag=1\r\nTo: <sip:ann@example.org>\r\n"
      "Call-ID: c1\r\nCSeq: 2 REGISTER\r\nContact: <sip:ann@10.0.0.11:5060>\r\n";
  for (const std::string& line : answers) request += line + "\r\n";
  world.send_udp(phone.self, phone.peer, request + "Content-Length: 0\r\n\r\n");
  ASSERT_TRUE(world.run_until([&] { return !phone.received.empty(); }));
  ASSERT_EQ(provider.received.size(), 1u);
  for (const std::string& line : answers) {
    EXPECT_THAT(lines_with(provider.received[0], line), ElementsAre(line));
  }
  for (const std::string& line : challenges) {
    EXPECT_THAT(lines_with(phone.received[0], line), ElementsAre(line));
  }
}

/// bob's phone keeps two flows to the gateway (RFC 5626); alice calls it.
struct TwoFlows : testing::Test {
  World world{65};
  GatewayNode gateway{world, kGateway, kProvider};
  Phone alice{world, "alice", kAnyMedia, 101};
  Phone first{world, "bob", kAnyMedia, 102}, second{world, "bob", kAnyMedia, 103};

  TwoFlows() {
    world.attach_link(alice, 101, gateway.node, 1);
    world.attach_link(first, 102, gateway.node, 2);
    world.attach_link(second, 103, gateway.node, 3);
    gateway.router.add_session(1, {"alice", {"alice"}});
    gateway.router.add_session(2, {"bob", {"bob"}});
    gateway.router.add_session(3, {"bob", {"bob"}});
    alice.domain = first.domain = second.domain = "home.example";
    register_flow(first, 1);
    world.run_for(seconds(1));
    register_flow(second, 2);  // the latest, and so the first to be tried
  }
  void register_flow(Phone& phone, int reg_id) {
    sip::Message request =
        phone.new_request("REGISTER", "sip:home.example", "sip:bob@home.example");
    request.set(HeaderId::contact, "<" + phone.contact_uri() + ">;+sip.instance=\"<urn:uuid:b>\"" +
                                       ";reg-id=" + std::to_string(reg_id));
    request.add(HeaderId::supported, "path, outbound");
    phone.send_request(request);
    ASSERT_TRUE(world.run_until([&] { return !phone.responses.empty(); }));
    EXPECT_EQ(phone.responses.back().status(), 200);
    EXPECT_EQ(phone.responses.back().get(HeaderId::require), "outbound");
  }
  int call() {
    std::string id = alice.call("sip:bob@home.example");
    EXPECT_TRUE(world.run_until([&] { return alice.find(id)->final_status != 0; }));
    return alice.find(id)->final_status;
  }
};

TEST_F(TwoFlows, one_device_is_asked_once_by_its_latest_flow) {
  EXPECT_EQ(call(), 200);
  EXPECT_EQ(second.calls.size(), 1u);
  EXPECT_TRUE(first.calls.empty());
}

TEST_F(TwoFlows, flow_failed_moves_on_to_the_next_flow) {
  second.answer_with = 430;
  second.ring = false;
  EXPECT_EQ(call(), 200);
  EXPECT_EQ(first.calls.size(), 1u);
}

TEST_F(TwoFlows, any_other_answer_is_the_devices_own) {
  for (int status : {486, 480, 603, 404}) {
    second.answer_with = status;
    second.ring = false;
    EXPECT_EQ(call(), status);
  }
  EXPECT_TRUE(first.calls.empty());
}

TEST_F(TwoFlows, a_link_that_breaks_while_the_call_is_on_its_way_moves_on_to_the_next_flow) {
  second.answer_with = 0;
  second.ring = false;
  std::string id = alice.call("sip:bob@home.example");
  ASSERT_TRUE(world.run_until([&] { return second.find(id) != nullptr; }));
  world.detach_link(second, 103);
  gateway.close_session(3);
  ASSERT_TRUE(world.run_until([&] { return alice.find(id)->final_status != 0; }));
  EXPECT_EQ(alice.find(id)->final_status, 200);
  EXPECT_EQ(first.calls.size(), 1u);
}

TEST_F(TwoFlows, a_link_that_broke_before_is_not_tried) {
  world.detach_link(second, 103);
  gateway.close_session(3);
  EXPECT_EQ(call(), 200);
  EXPECT_EQ(first.calls.size(), 1u);
  gateway.close_session(2);
  EXPECT_EQ(call(), 480);
}

struct OneUser : TwoUsers {
  OneUser() : TwoUsers(66) {}
};

TEST_F(OneUser, path_of_the_registration_is_the_route_of_calls) {
  sip::Message request = bob.new_request("REGISTER", "sip:home.example", "sip:bob@home.example");
  request.add(HeaderId::path, "<sip:edge.example;lr>");
  request.add(HeaderId::path, "<sip:inner.example;lr;ob>");
  request.add(HeaderId::supported, "path");
  bob.send_request(request);
  ASSERT_TRUE(world.run_until([&] { return !bob.responses.empty(); }));
  EXPECT_EQ(bob.responses.back().get(HeaderId::path),
            "<sip:edge.example;lr>, <sip:inner.example;lr;ob>");
  alice.domain = "home.example";
  sip::Message message = alice.new_request("MESSAGE", "sip:bob@home.example");
  message.add(HeaderId::route, "<sip:left-over.example;lr>");
  alice.send_request(message);
  std::string id = alice.call("sip:bob@home.example");
  ASSERT_TRUE(world.run_until([&] { return bob.requests.size() >= 2; }));
  for (const sip::Message& came : {bob.requests[0], bob.requests[1]}) {
    EXPECT_THAT(came.values(HeaderId::route),
                ElementsAre("<sip:edge.example;lr>", "<sip:inner.example;lr;ob>"))
        << came.method_text();
    EXPECT_EQ(came.request_uri(), bob.contact_uri());
  }
}

TEST_F(OneUser, provider_may_not_register) {
  provider.register_at("home.example");
  ASSERT_TRUE(world.run_until([&] { return provider.last_register_status != 0; }));
  EXPECT_EQ(provider.last_register_status, 405);
  EXPECT_EQ(gateway.registrar.contact_count(), 0u);
}

}  // namespace
}  // namespace isthmus::sim
