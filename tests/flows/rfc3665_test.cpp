// The call flows of RFC 3665 ("Basic Call Flow Examples") with a gateway between the user agents: a
// client behind a link on one side, a provider's proxy on the other.
#include "flows/flow_site.hpp"
#include "provider/target_book.hpp"
#include "support/fake_zone.hpp"

namespace isthmus::sim {
namespace {

using sip::HeaderId;

struct Rfc3665 : FlowSite {};
INSTANTIATE_TEST_SUITE_P(flows, Rfc3665, testing::Values(3665, 1, 2, 3, 4, 5), name_of_seed);

// §2 Registration

TEST_P(Rfc3665, s2_1_successful_new_registration) {
  proxy.accounts["alice"] = alice.password = "secret";
  registers(alice);
  EXPECT_EQ(proxy.challenges_sent, 1);
  // The registrar knows the gateway, and alice gets her own Contact back.
  EXPECT_NE(proxy.locations.at("alice").find("@192.0.2.1:5060"), std::string::npos);
  EXPECT_EQ(alice.last_register_response.contact()->uri, alice.contact_uri());
}

TEST_P(Rfc3665, s2_2_update_of_contact_list) {
  registers(alice);
  const std::string first = proxy.locations.at("alice");
  sip::Message update = alice.new_request("REGISTER", "sip:example.org", "sip:alice@example.org");
  update.set(HeaderId::contact, "<sip:alice@second.invalid;transport=tls>;expires=3600");
  alice.send_request(update);
  EXPECT_TRUE(soon([&] { return proxy.locations.at("alice") != first; }));
}

TEST_P(Rfc3665, s2_3_request_for_current_contact_list) {
  registers(alice);
  sip::Message query = alice.new_request("REGISTER", "sip:example.org", "sip:alice@example.org");
  query.remove(HeaderId::contact);
  alice.send_request(query);
  world.run_for(seconds(20));
  EXPECT_EQ(alice.last_register_response.contact()->uri, alice.contact_uri());
}

TEST_P(Rfc3665, s2_4_cancellation_of_registration) {
  registers(alice);
  alice.register_at("example.org", 0);
  EXPECT_TRUE(soon([&] { return alice.last_register_status == 200; }));
  EXPECT_FALSE(proxy.locations.contains("alice"));
}

TEST_P(Rfc3665, s2_5_unsuccessful_registration) {
  proxy.accounts["alice"] = "secret";
  alice.register_at("example.org", 3600, "wrong");
  EXPECT_TRUE(soon([&] { return alice.last_register_status == 401; }));
  EXPECT_FALSE(proxy.locations.contains("alice"));
}

// §3 SIP session establishment

TEST_P(Rfc3665, s3_1_successful_session_establishment) {
  Talk call = dial(alice, carol);
  rings(call);
  answered(call);
  hang_up(carol, call);
}

TEST_P(Rfc3665, s3_1_successful_session_establishment_toward_a_client) {
  registers(alice);
  Talk call = dial(carol, alice);
  rings(call);
  answered(call);
  hang_up(alice, call);
}

TEST_P(Rfc3665, s3_2_session_establishment_through_two_proxies) {
  beyond.locations["carol"] = carol.contact_uri();
  proxy.next["carol"] = kBeyond;
  Talk call = talk(alice, carol);
  // Both stay in the path of what follows, in the order in which they were passed.
  EXPECT_EQ(carol.requests.front().values(HeaderId::record_route).size(), 2u);
  hold(carol, call);
  hang_up(alice, call);
}

TEST_P(Rfc3665, s3_3_session_with_multiple_proxy_authentication) {
  beyond.locations["carol"] = carol.contact_uri();
  proxy.next["carol"] = kBeyond;
  proxy.accounts["alice"] = beyond.accounts["alice"] = alice.password = "secret";
  Talk call = talk(alice, carol);
  EXPECT_EQ(proxy.challenges_sent, 1);
  EXPECT_EQ(beyond.challenges_sent, 1);
  EXPECT_EQ(carol.requests.front().fields(HeaderId::proxy_authorization).size(), 2u);
  hang_up(alice, call);
}

TEST_P(Rfc3665, s3_4_session_with_proxy_failure) {
  // Two proxies of the provider by SRV, the first of which is out of service.
  test::FakeZone zone;
  zone.srv("_sip._udp.example.org", 1, 1, 5060, "p1.example.org")
      .srv("_sip._udp.example.org", 2, 1, 5060, "p2.example.org")
      .a("p1.example.org", "198.51.100.1")
      .a("p2.example.org", "198.51.100.2");
  SeededRandom random{GetParam()};
  provider::TargetBook book{{}, random};
  book.add_provider("provider", *provider::TargetName::of_uri(*sip::Uri::parse("sip:example.org")),
                    {});
  book.on_timeout(world.now);
  for (auto work = book.take_work(); !work.questions.empty(); work = book.take_work()) {
    for (const auto& question : work.questions)
      book.on_answer(question, zone.answer(question), world.now);
  }
  gateway.router.set_targets(&book);
  gateway.router.set_addresses("provider", book.addresses_of("provider"));
  world.detach_udp(*Endpoint::parse("198.51.100.1:5060"));
  beyond.locations["carol"] = carol.contact_uri();
  beyond.accounts["alice"] = alice.password = "secret";

  Talk call = dial(alice, carol);
  rings(call);
  answered(call);
  EXPECT_EQ(proxy.challenges_sent, 0);
  EXPECT_GE(beyond.challenges_sent, 1);
  ASSERT_EQ(carol.requests.front().values(HeaderId::record_route).size(), 1u);
  EXPECT_NE(carol.requests.front().get(HeaderId::record_route)->find("198.51.100.2"),
            std::string::npos);
  hang_up(alice, call);
  nothing_left();
  gateway.router.set_targets(nullptr);
}

TEST_P(Rfc3665, s3_5_session_through_a_sip_alg) {
  // The gateway is what the ALG is in that flow: alice's addresses never leave it.
  Talk call = talk(alice, carol);
  for (const sip::Message& request : carol.requests) {
    EXPECT_EQ(request.serialize().find("alice.invalid"), std::string::npos);
    EXPECT_EQ(request.serialize().find("c=IN IP4 192.0.0.8"), std::string::npos);
  }
  EXPECT_NE(carol.find(call.id)->remote_sdp.find("c=IN IP4 192.0.2.1"), std::string::npos);
  hang_up(carol, call);
}

TEST_P(Rfc3665, s3_6_session_via_redirect_and_proxy_servers_with_sdp_in_ack) {
  proxy.redirects["carol"] = "sip:carol-moved@example.org";
  proxy.locations["carol-moved"] = carol.contact_uri();
  Talk first = dial(alice, carol);
  refused(first, 302);
  EXPECT_EQ(alice.responses.back().contact()->uri, "sip:carol-moved@example.org");
  alice.late_offer = true;
  Talk call{alice, carol, alice.call("sip:carol-moved@example.org")};
  answered(call);
  hang_up(alice, call);
}

TEST_P(Rfc3665, s3_7_session_with_re_invite_after_an_address_change) {
  Talk call = talk(alice, carol);
  // carol moves: another host, told by Contact and description of a re-INVITE.
  const Endpoint moved = *Endpoint::parse("198.51.100.77:5060");
  world.attach_udp(moved, carol);
  sip::Message again = carol.find(call.id)->dialog.request("INVITE");
  again.add(HeaderId::contact, "<sip:carol@198.51.100.77:5060>");
  again.set_body(
      "v=0\r\no=- 1 2 IN IP4 198.51.100.77\r\ns=-\r\nc=IN IP4 198.51.100.77\r\nt=0 0\r\n"
      "m=audio 43210 RTP/AVP 0\r\n",
      "application/sdp");
  carol.reinvite(call.id, again);
  EXPECT_TRUE(soon([&] { return carol.find(call.id)->final_status == 200; }));
  bool told = false;
  for (auto& [id, end] : gateway.node.media.ends) told |= !end.link && end.remote.port == 43210;
  EXPECT_TRUE(told) << "media does not follow";
  world.detach_udp(*Endpoint::parse("198.51.100.11:5060"));
  hang_up(alice, call);  // her BYE goes to the new place
}

TEST_P(Rfc3665, s3_8_unsuccessful_no_answer) {
  carol.answer_with = 0;
  Talk call = dial(alice, carol);
  rings(call);
  alice.cancel(call.id);
  refused(call, 487);
  EXPECT_TRUE(soon([&] { return carol.find(call.id)->ended; }));
}

TEST_P(Rfc3665, s3_9_unsuccessful_busy) {
  carol.answer_with = 486;
  refused(dial(alice, carol), 486);
}

TEST_P(Rfc3665, s3_10_unsuccessful_no_response_from_user_agent) {
  world.detach_udp(*Endpoint::parse("198.51.100.11:5060"));
  refused(dial(alice, carol), 408);
}

TEST_P(Rfc3665, s3_11_unsuccessful_temporarily_unavailable) {
  carol.answer_with = 480;
  Talk call = dial(alice, carol);
  rings(call);
  refused(call, 480);
}

}  // namespace
}  // namespace isthmus::sim
