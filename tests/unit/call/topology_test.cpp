// What a leg that hides others is shown, message by message.
#include "call/topology.hpp"

#include <algorithm>

#include "bridge_bench.hpp"

namespace isthmus::call {
namespace {

using sip::HeaderId;

TEST(Topology, aliases_are_the_same_for_the_same_leg_only) {
  SeededRandom random(3), other_random(4);
  Aliases aliases(random), other(other_random);
  EXPECT_EQ(aliases.call_id("p", "abc@host"), aliases.call_id("p", "abc@host"));
  EXPECT_NE(aliases.call_id("p", "abc@host"), aliases.call_id("q", "abc@host"));
  EXPECT_NE(aliases.call_id("p", "abc@host"), other.call_id("p", "abc@host"));
  EXPECT_NE(aliases.tag("p", "c", "t"), aliases.tag("p", "d", "t"));
  EXPECT_NE(aliases.tag("p", "c", "t"), aliases.call_id("p", "c"));
  EXPECT_EQ(aliases.tag("p", "c", ""), "");
  EXPECT_GE(aliases.call_id("p", "x").size(), 24u);
}

TEST(Topology, software_and_hosts_are_taken_out_of_headers) {
  sip::Message message = sip::Message::request("INVITE", "sip:carol@example.org");
  message.add(HeaderId::user_agent, "SecretPhone/1.2");
  message.add(HeaderId::organization, "Secret Ltd.");
  message.add(HeaderId::history_info, "<sip:bob@10.9.9.9:5070;cause=302?Reason=SIP>;index=1");
  message.add(HeaderId::history_info,
              "\"B, ob\" <sips:b@secret.example>;index=1.1, <tel:+49>;index=2");
  message.add(HeaderId::diversion, "<sip:bob@secret.example>;reason=no-answer");
  message.add(HeaderId::warning, "307 secret.example \"a, \\\"b\\\"\", 399 10.9.9.9:5060 \"c\"");
  message.add("P-Charging-Vector", "icid-value=1;icid-generated-at=secret.example");
  message.add(HeaderId::service_route, "<sip:secret.example;lr>");
  message.add(HeaderId::subject, "stays");
  hide_topology(message, {"Isthmus", "192.0.2.1", false});
  EXPECT_EQ(message.get(HeaderId::user_agent), "Isthmus");
  EXPECT_FALSE(message.has(HeaderId::organization));
  EXPECT_EQ(message.get(HeaderId::history_info),
            "<sip:bob@192.0.2.1;cause=302?Reason=SIP>;index=1, "
            "\"B, ob\" <sips:b@192.0.2.1>;index=1.1, <tel:+49>;index=2");
  EXPECT_EQ(message.get(HeaderId::diversion), "<sip:bob@192.0.2.1>;reason=no-answer");
  EXPECT_EQ(message.get(HeaderId::warning), "307 192.0.2.1 \"a, \\\"b\\\"\", 399 192.0.2.1 \"c\"");
  EXPECT_FALSE(message.get("P-Charging-Vector"));
  EXPECT_EQ(message.get(HeaderId::subject), "stays");
  EXPECT_EQ(message.serialize().find("ecret"), std::string::npos);
}

TEST(Topology, descriptions_keep_media_and_lose_their_maker) {
  std::string sdp =
      "v=0\r\no=the secret user 7 9 IN IP4 10.9.9.9\r\ns=Secret call\r\ni=secret\r\n"
      "u=http://secret.example\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\na=tool:SecretPhone\r\n"
      "m=audio 20000 RTP/AVP 0\r\na=rtcp:20001 IN IP4 192.0.2.1\r\n";
  EXPECT_EQ(hide_description(sdp, true),
            "v=0\r\no=- 7 9 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
            "m=audio 20000 RTP/AVP 0\r\na=rtcp:20001 IN IP4 192.0.2.1\r\n");
  // Of a description that nobody translated, no address is ours.
  EXPECT_EQ(hide_description(sdp, false),
            "v=0\r\no=- 7 9 IN IP4 0.0.0.0\r\ns=-\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n"
            "m=audio 20000 RTP/AVP 0\r\na=rtcp:20001 IN IP4 0.0.0.0\r\n");
  // Nor of one that refuses every stream.
  EXPECT_EQ(hide_description(
                "o=- 1 1 IN IP6 2001:db8::9\nc=IN IP6 2001:db8::9\nm=audio 0 RTP/AVP 0\n", true),
            "o=- 1 1 IN IP6 ::\nc=IN IP6 ::\nm=audio 0 RTP/AVP 0\n");
  EXPECT_EQ(hide_description("o\n=\nx", true), "o\n=\nx");
}

TEST(Topology, description_among_other_parts_is_hidden_too) {
  sip::Message invite = sip::Message::request("INVITE", "sip:a@b");
  invite.set_body(
      "--x\r\nContent-Type: application/sdp\r\n\r\no=secret 1 1 IN IP4 10.9.9.9\r\n"
      "c=IN IP4 192.0.2.1\r\nm=audio 4 RTP/AVP 0\r\n\r\n--x\r\nContent-Type: text/plain\r\n\r\n"
      "kept\r\n--x--\r\n",
      "multipart/mixed;boundary=x");
  hide_topology(invite, {"Isthmus", "192.0.2.1", true});
  EXPECT_NE(invite.body().find("o=- 1 1 IN IP4 192.0.2.1\r\n"), std::string_view::npos);
  EXPECT_NE(invite.body().find("\r\nkept\r\n--x--"), std::string_view::npos);
}

TEST(Topology, of_a_sipfrag_the_status_line_is_left) {
  sip::Message notify = sip::Message::request("NOTIFY", "sip:a@b");
  notify.set_body("SIP/2.0 200 OK\r\nContact: <sip:x@10.9.9.9>\r\n", "message/sipfrag;version=2.0");
  hide_topology(notify, {"Isthmus", "192.0.2.1", false});
  EXPECT_EQ(notify.body(), "SIP/2.0 200 OK\r\n");
  EXPECT_EQ(notify.get(HeaderId::content_type), "message/sipfrag;version=2.0");
  notify.set_body("INVITE sip:x@10.9.9.9 SIP/2.0\r\n", "message/sipfrag");
  hide_topology(notify, {"Isthmus", "192.0.2.1", false});
  EXPECT_EQ(notify.body(), "SIP/2.0 100 Trying\r\n");
}

/// The provider's leg hides alice's; alice's hides the provider's when `both`.
struct HiddenBridge : BridgeBench {
  void hide(bool networks, bool links) {
    for (const sip::Flow& flow : {router.provider, router.other})
      router.policies[flow].topology_hiding = networks;
    for (const sip::Flow& flow : {alice, dave}) router.policies[flow].topology_hiding = links;
  }
};

TEST_F(HiddenBridge, each_leg_has_names_of_its_own_for_the_whole_life_of_a_dialog) {
  hide(true, true);
  sip::Message first = request("INVITE", "sip:carol@example.org", sdp());
  first.add(HeaderId::user_agent, "SecretPhone/1.2");
  give(first, alice);
  invite = last(carol, "INVITE");
  EXPECT_NE(invite.call_id(), first.call_id());
  EXPECT_NE(invite.from_tag(), first.from_tag());
  EXPECT_EQ(invite.from()->uri, first.from()->uri);
  EXPECT_EQ(invite.get(HeaderId::user_agent), "Isthmus");
  give(response(invite, 180, "c1"), carol);
  give(response(invite, 200, "c1", sdp()), carol);
  sip::Message ok = last(alice, "INVITE", 200);
  EXPECT_EQ(ok.call_id(), first.call_id());
  EXPECT_EQ(ok.from_tag(), first.from_tag());
  EXPECT_NE(ok.to_tag(), "c1");
  EXPECT_EQ(ok.to_tag(), last(alice, "INVITE", 180).to_tag());
  give(by_caller(ok, "ACK", 1), alice);
  sip::Message ack = last(carol, "ACK");
  EXPECT_EQ(ack.call_id(), invite.call_id());
  EXPECT_EQ(ack.from_tag(), invite.from_tag());
  EXPECT_EQ(ack.to_tag(), "c1");

  give(by_caller(ok, "INFO", 2), alice);
  EXPECT_EQ(last(carol, "INFO").to_tag(), "c1");
  give(response(last(carol, "INFO"), 200), carol);
  EXPECT_EQ(last(alice, "INFO", 200).to_tag(), ok.to_tag());
  EXPECT_EQ(last(alice, "INFO", 200).call_id(), first.call_id());

  give(by_callee(invite, "c1", "BYE", 9), carol);
  sip::Message bye = last(alice, "BYE");
  EXPECT_EQ(bye.call_id(), first.call_id());
  EXPECT_EQ(bye.from_tag(), ok.to_tag());
  EXPECT_EQ(bye.to_tag(), first.from_tag());
  give(response(bye, 200), alice);
  EXPECT_EQ(last(carol, "BYE", 200).call_id(), invite.call_id());
  expect_nothing_left();
}

TEST_F(HiddenBridge, end_points_without_tags_stay_without) {
  hide(true, true);
  sip::Message first = request("INVITE", "sip:carol@example.org", sdp());
  first.set(HeaderId::from, "<sip:alice@example.org>");
  give(first, alice);
  invite = last(carol, "INVITE");
  EXPECT_EQ(invite.get(HeaderId::from), "<sip:alice@example.org>");
  give(response(invite, 486), carol);
  EXPECT_EQ(last(alice, "INVITE", 486).get(HeaderId::to), first.get(HeaderId::to));
}

// baresip answers the challenge of its INVITE anew in the ACK, for the URI of our Contact.
TEST_F(HiddenBridge, ack_repeats_the_credentials_of_its_invite_and_no_others) {
  hide(true, true);
  sip::Message first = request("INVITE", "sip:carol@example.org", sdp());
  std::string answer = "Digest username=\"alice\", uri=\"sip:carol@example.org\"";
  first.add(HeaderId::proxy_authorization, answer);
  give(first, alice);
  invite = last(carol, "INVITE");
  EXPECT_EQ(invite.get(HeaderId::proxy_authorization), answer);
  give(response(invite, 200, "c1", sdp()), carol);
  sip::Message ack = by_caller(last(alice, "INVITE", 200), "ACK", 1);
  ack.add(HeaderId::proxy_authorization, "Digest username=\"alice\", uri=\"sip:t@secret\"");
  give(ack, alice);
  EXPECT_EQ(last(carol, "ACK").fields(HeaderId::proxy_authorization),
            std::vector<std::string_view>{answer});
}

TEST_F(HiddenBridge, names_of_one_leg_are_no_key_to_the_dialog_on_the_other) {
  hide(true, true);
  sip::Message ok = answered_call();
  sip::Message stolen = by_callee(invite, "c1", "INFO", 9);
  stolen.set(HeaderId::call_id, ok.call_id());
  give(stolen, carol);
  EXPECT_EQ(count(carol, "INFO", 481), 1u);
  EXPECT_EQ(count(alice, "INFO"), 0u);
}

TEST_F(HiddenBridge, peers_that_ignore_our_contact_are_found_by_the_names_of_their_leg) {
  hide(true, true);
  sip::Message ok = answered_call();
  sip::Message bye = by_callee(invite, "c1", "BYE", 9);
  bye.set_request_uri("sip:alice@192.0.2.1:5060");
  give(bye, carol);
  give(response(last(alice, "BYE"), 200), alice);
  EXPECT_EQ(count(carol, "BYE", 200), 1u);
  expect_nothing_left();
}

TEST_F(HiddenBridge, byes_of_the_gateway_use_the_names_of_each_leg) {
  hide(true, true);
  sip::Message ok = answered_call();
  Actions actions;
  ASSERT_TRUE(bridge.end_call(bridge.calls(now).at(0).id, "over", now, actions));
  for (Action& action : actions) {
    auto* send = std::get_if<SendSip>(&action);
    if (!send) continue;
    auto bye = sip::Message::parse(send->bytes);
    bool to_alice = send->flow == alice;
    EXPECT_EQ(bye->call_id(), to_alice ? ok.call_id() : invite.call_id());
    EXPECT_EQ(bye->to_tag(), to_alice ? ok.from_tag() : "c1");
    EXPECT_EQ(bye->from_tag(), to_alice ? ok.to_tag() : invite.from_tag());
  }
}

TEST_F(HiddenBridge, forks_upstream_get_a_tag_each) {
  hide(true, true);
  give(request("INVITE", "sip:carol@example.org", sdp()), alice);
  invite = last(carol, "INVITE");
  give(response(invite, 180, "c1"), carol);
  std::string first = last(alice, "INVITE", 180).to_tag();
  give(response(invite, 180, "c2"), carol);
  std::string second = last(alice, "INVITE", 180).to_tag();
  EXPECT_NE(first, second);
  sip::Message prack = by_caller(last(alice, "INVITE", 180), "PRACK", 2);
  prack.add(HeaderId::rack, "1 1 INVITE");
  give(prack, alice);
  EXPECT_EQ(last(carol, "PRACK").to_tag(), "c2");
}

TEST_F(HiddenBridge, cancel_goes_by_the_names_of_its_leg) {
  hide(true, true);
  sip::Message first = request("INVITE", "sip:carol@example.org", sdp());
  give(first, alice);
  invite = last(carol, "INVITE");
  give(response(invite, 180, "c1"), carol);
  sip::Message cancel = sip::Message::request("CANCEL", "sip:carol@example.org");
  for (HeaderId header : {HeaderId::via, HeaderId::from, HeaderId::to, HeaderId::call_id})
    cancel.add(header, *first.get(header));
  cancel.add(HeaderId::cseq, "1 CANCEL");
  give(cancel, alice);
  EXPECT_EQ(last(carol, "CANCEL").call_id(), invite.call_id());
  EXPECT_EQ(last(carol, "CANCEL").from_tag(), invite.from_tag());
  EXPECT_EQ(last(alice, "INVITE", 487).call_id(), first.call_id());
}

TEST_F(HiddenBridge, requests_outside_dialogs_are_renamed_too) {
  hide(true, true);
  sip::Message message = request("MESSAGE", "sip:carol@example.org");
  message.add(HeaderId::user_agent, "SecretPhone/1.2");
  give(message, alice);
  sip::Message seen = last(carol, "MESSAGE");
  EXPECT_NE(seen.call_id(), message.call_id());
  EXPECT_NE(seen.from_tag(), message.from_tag());
  EXPECT_EQ(seen.get(HeaderId::user_agent), "Isthmus");
  sip::Message answer = response(seen, 404, "secret-tag");
  answer.add(HeaderId::server, "SecretPBX");
  answer.add(HeaderId::warning, "399 198.51.100.1 \"no\"");
  give(answer, carol);
  sip::Message back = last(alice, "MESSAGE", 404);
  EXPECT_EQ(back.call_id(), message.call_id());
  EXPECT_EQ(back.get(HeaderId::from), message.get(HeaderId::from));
  EXPECT_NE(back.to_tag(), "secret-tag");
  EXPECT_EQ(back.get(HeaderId::server), "Isthmus");
  EXPECT_EQ(back.get(HeaderId::warning), "399 isthmus.invalid \"no\"");
}

TEST_F(HiddenBridge, request_repeated_after_a_challenge_keeps_its_call_id) {
  hide(true, false);
  sip::Message message = request("MESSAGE", "sip:carol@example.org");
  give(message, alice);
  sip::Message seen = last(carol, "MESSAGE");
  give(response(seen, 401, "t"), carol);
  EXPECT_EQ(last(alice, "MESSAGE", 401).to_tag(), "t");  // alice's leg hides nothing
  message.set(HeaderId::cseq, "2 MESSAGE");
  message.set(HeaderId::via, "SIP/2.0/TLS alice.invalid;branch=z9hG4bKagain");
  give(message, alice);
  EXPECT_EQ(last(carol, "MESSAGE").call_id(), seen.call_id());
  EXPECT_EQ(last(carol, "MESSAGE").from_tag(), seen.from_tag());
}

}  // namespace
}  // namespace isthmus::call
