// The services of RFC 5359 ("Session Initiation Protocol Service Examples") with a gateway between
// the user agents.
#include <set>

#include "flows/flow_site.hpp"

namespace isthmus::sim {
namespace {

using sip::HeaderId;
using sip::Message;
using sip::Method;

struct Rfc5359 : FlowSite {};
INSTANTIATE_TEST_SUITE_P(flows, Rfc5359, testing::Values(5359, 1, 2, 3, 4, 5), name_of_seed);

const std::vector<std::string> kDone = {"100 Trying", "200 OK"};

/// The transferee's new call: its last one.
template <class Phones>
std::string newest_call(Phones& phone, const std::string& but) {
  for (const auto& [id, call] : phone.calls)
    if (id != but && call.caller) return id;
  return {};
}

TEST_P(Rfc5359, s2_1_call_hold) {
  Talk call = talk(alice, carol);
  hold(carol, call);
  resume(carol, call);
  hold(alice, call);
  resume(alice, call);
  hang_up(carol, call);
}

TEST_P(Rfc5359, s2_2_consultation_hold) {
  Talk call = talk(alice, carol);
  hold(alice, call);
  Talk consultation = talk(alice, dave);
  EXPECT_TRUE(is_held(carol, call));
  EXPECT_FALSE(is_held(dave, consultation));
  hang_up(dave, consultation);
  resume(alice, call);
  hang_up(alice, call);
}

TEST_P(Rfc5359, s2_3_music_on_hold) {
  // RFC 5359 §2.3 as RFC 7088 has it: the holder asks a music server for a description without an
  // offer of its own, and gives that to the held party; media then flows from there.
  Talk call = talk(alice, carol);
  carol.hold(call.id);
  EXPECT_TRUE(soon([&] { return is_held(alice, call); }));
  Talk music = talk(carol, erin);
  EXPECT_TRUE(is_held(alice, call));
  hang_up(carol, music);
  EXPECT_TRUE(soon([&] { return carol.find(call.id)->final_status == 200; }));
  resume(carol, call);
  hang_up(alice, call);
}

TEST_P(Rfc5359, s2_4_transfer_unattended_by_the_provider) {
  follows_refer(alice);
  Talk call = talk(alice, carol);
  ASSERT_TRUE(refer(carol, call, "sip:dave@example.org"));
  EXPECT_TRUE(soon([&] { return progress_seen(carol) == kDone; }));
  Talk transferred{alice, dave, newest_call(alice, call.id)};
  answered(transferred);
  EXPECT_EQ(dave.find(transferred.id)->invite.get(HeaderId::referred_by),
            "<sip:carol@example.org>");
  hang_up(carol, call);
  hang_up(dave, transferred);
}

TEST_P(Rfc5359, s2_4_transfer_unattended_by_the_client) {
  follows_refer(carol);
  Talk call = talk(alice, carol);
  ASSERT_TRUE(refer(alice, call, "sip:dave@example.org"));
  EXPECT_TRUE(soon([&] { return progress_seen(alice) == kDone; }));
  hang_up(alice, call);
  Talk transferred{carol, dave, newest_call(carol, call.id)};
  answered(transferred);
  hang_up(carol, transferred);
}

TEST_P(Rfc5359, s2_4_transfer_unattended_to_another_client) {
  registers(bob);
  follows_refer(alice);
  Talk call = talk(alice, carol);
  ASSERT_TRUE(refer(carol, call, "sip:bob@example.org"));
  hang_up(carol, call);
  Talk transferred{alice, bob, newest_call(alice, call.id)};
  EXPECT_TRUE(soon([&] { return bob.find(newest_call(alice, call.id)); }));
  transferred.id = newest_call(alice, call.id);
  answered(transferred);
  hang_up(bob, transferred);
}

TEST_P(Rfc5359, s2_5_transfer_attended_by_the_client) {
  // alice talks to carol, asks dave, and brings the two together.
  follows_refer(carol);
  follows_replaces(dave);
  Talk call = talk(alice, carol);
  hold(alice, call);
  Talk consultation = talk(alice, dave);
  hold(alice, consultation);
  ASSERT_TRUE(
      refer(alice, call, "sip:dave@example.org?Replaces=" + replaces_in_uri(dave, consultation)));
  EXPECT_TRUE(soon([&] { return progress_seen(alice) == kDone; }));
  Talk transferred{carol, dave, newest_call(carol, call.id)};
  answered(transferred);
  ended(consultation);  // dave, whose call was replaced, hangs up
  hang_up(alice, call);
  hang_up(carol, transferred);
}

TEST_P(Rfc5359, s2_5_transfer_attended_by_the_provider) {
  // carol talks to alice and to bob, both clients, and brings the two together.
  registers(bob);
  follows_refer(alice);
  follows_replaces(bob);
  Talk call = talk(alice, carol);
  Talk consultation = talk(carol, bob);
  ASSERT_TRUE(
      refer(carol, call, "sip:bob@example.org?Replaces=" + replaces_in_uri(bob, consultation)));
  EXPECT_TRUE(soon([&] { return progress_seen(carol) == kDone; }));
  Talk transferred{alice, bob, newest_call(alice, call.id)};
  answered(transferred);
  ended(consultation);
  hang_up(carol, call);
  hang_up(alice, transferred);
}

TEST_P(Rfc5359, s2_6_transfer_instant_messaging) {
  Message text = alice.new_request("MESSAGE", "sip:carol@example.org");
  text.remove(HeaderId::contact);
  text.set_body("Talk to dave instead", "text/plain");
  alice.send_request(text);
  EXPECT_TRUE(soon([&] { return !carol.requests.empty(); }));
  EXPECT_EQ(carol.requests[0].body(), "Talk to dave instead");
  Message reply = carol.new_request("MESSAGE", "sip:dave@example.org");
  reply.set_body("alice sends me", "text/plain");
  carol.send_request(reply);
  EXPECT_TRUE(soon([&] { return !dave.requests.empty(); }));
}

TEST_P(Rfc5359, s2_7_call_forwarding_unconditional) {
  proxy.locations["carol"] = dave.contact_uri();
  Talk call{alice, dave, dial(alice, carol).id};
  answered(call);
  EXPECT_TRUE(carol.requests.empty());
  EXPECT_EQ(dave.requests[0].to()->uri, "sip:carol@example.org");
  hang_up(dave, call);
}

TEST_P(Rfc5359, s2_8_call_forwarding_busy) {
  carol.answer_with = 486;
  proxy.forwards["carol"] = {"dave"};
  Talk call{alice, dave, dial(alice, carol).id};
  answered(call);
  EXPECT_EQ(carol.find(call.id)->final_status, 486);
  hang_up(alice, call);
}

TEST_P(Rfc5359, s2_9_call_forwarding_no_answer) {
  carol.answer_with = 0;
  proxy.forwards["carol"] = {"dave"};
  Talk call{alice, dave, dial(alice, carol).id};
  answered(call);
  EXPECT_TRUE(carol.find(call.id)->ended);
  // Two early dialogs reached alice: carol's ringing, then dave's.
  std::set<std::string> tags;
  for (const Message& response : alice.responses)
    if (response.status() > 100) tags.insert(response.to_tag());
  EXPECT_EQ(tags.size(), 2u);
  hang_up(dave, call);
}

TEST_P(Rfc5359, s2_10_three_way_conference_third_party_is_added) {
  Talk call = talk(alice, carol);
  hold(alice, call);
  Talk third = talk(alice, dave);
  resume(alice, call);  // alice mixes
  EXPECT_FALSE(is_held(carol, call) || is_held(dave, third));
  EXPECT_EQ(gateway.node.media.ends.size(), 4u);
  hang_up(carol, call);
  hang_up(alice, third);
}

TEST_P(Rfc5359, s2_11_three_way_conference_third_party_joins) {
  registers(alice);
  Talk call = talk(alice, carol);
  Talk join = dial(dave, alice, {{"Join", replaces_at(alice, call)}});
  answered(join);
  EXPECT_EQ(alice.find(join.id)->invite.get(HeaderId::join), replaces_at(alice, call));
  hang_up(dave, join);
  hang_up(alice, call);
}

TEST_P(Rfc5359, s2_12_find_me) {
  carol.answer_with = 0;
  dave.answer_with = 480;
  proxy.forwards["carol"] = {"dave", "erin"};
  Talk call{alice, erin, dial(alice, carol).id};
  answered(call);
  hang_up(alice, call);
}

TEST_P(Rfc5359, s2_13_call_management_incoming_call_screening) {
  registers(alice);
  proxy.refusals["carol"] = 403;
  refused(dial(carol, alice), 403);
  EXPECT_TRUE(alice.requests.empty());
  Talk call = talk(dave, alice);
  hang_up(alice, call);
}

TEST_P(Rfc5359, s2_14_call_management_outgoing_call_screening) {
  proxy.refusals["alice"] = 403;
  refused(dial(alice, carol), 403);
  EXPECT_TRUE(carol.requests.empty());
}

TEST_P(Rfc5359, s2_15_call_park) {
  // carol parks alice at erin, the park server; dave takes her from there.
  registers(alice);
  follows_refer(alice);
  Talk call = talk(alice, carol);
  ASSERT_TRUE(refer(carol, call, "sip:erin@example.org"));
  EXPECT_TRUE(soon([&] { return progress_seen(carol) == kDone; }));
  hang_up(carol, call);
  Talk parked{alice, erin, newest_call(alice, call.id)};
  answered(parked);
  follows_replaces(alice);
  Talk retrieved = dial(dave, alice, {{"Replaces", replaces_at(alice, parked)}});
  answered(retrieved);
  ended(parked);
  hang_up(alice, retrieved);
}

TEST_P(Rfc5359, s2_16_call_pickup) {
  // carol's phone rings; alice sees it by her subscription and takes the call.
  carol.answer_with = 0;
  accepts_subscriptions(carol);
  subscribe(alice, carol, "dialog");
  Talk ringing = dial(dave, carol);
  rings(ringing);
  const sip::Dialog& dialog = carol.find(ringing.id)->dialog;
  notify(carol, "dialog", "active;expires=500",
         "<dialog-info><dialog call-id=\"" + dialog.call_id + "\" local-tag=\"" + dialog.local_tag +
             "\" remote-tag=\"" + dialog.remote_tag +
             "\"><state>early</state></dialog></dialog-info>",
         "application/dialog-info+xml");
  EXPECT_TRUE(soon([&] { return !alice.requests.empty(); }));
  EXPECT_NE(alice.requests.back().body().find(dialog.call_id), std::string_view::npos);
  // dave's phone hears from alice that she replaces the call that it rings.
  follows_replaces(dave);
  const std::string named = dialog.call_id + ";to-tag=" + dialog.remote_tag +
                            ";from-tag=" + dialog.local_tag + ";early-only";
  Talk picked = dial(alice, dave, {{"Replaces", named}});
  answered(picked);
  EXPECT_TRUE(soon([&] { return carol.find(ringing.id)->ended; }));
  notify(carol, "dialog", "terminated;reason=noresource");
  hang_up(dave, picked);
}

TEST_P(Rfc5359, s2_17_automatic_redial) {
  carol.answer_with = 486;
  refused(dial(alice, carol), 486);
  accepts_subscriptions(carol);
  subscribe(alice, carol, "dialog");
  notify(carol, "dialog", "active;expires=500",
         "<dialog-info><dialog><state>confirmed</state></dialog></dialog-info>",
         "application/dialog-info+xml");
  carol.answer_with = 200;
  notify(carol, "dialog", "terminated;reason=noresource",
         "<dialog-info><dialog><state>terminated</state></dialog></dialog-info>",
         "application/dialog-info+xml");
  EXPECT_TRUE(soon([&] { return alice.requests.size() == 2; }));
  Talk call = talk(alice, carol);
  hang_up(alice, call);
}

TEST_P(Rfc5359, s2_18_click_to_dial) {
  // A program on bob's link asks alice's phone, by way of the provider, to call carol.
  registers(alice);
  follows_refer(alice);
  Message refer = bob.new_request("REFER", "sip:alice@example.org");
  refer.add(HeaderId::refer_to, "<sip:carol@example.org>");
  refer.add(HeaderId::referred_by, "<sip:bob@example.org>");
  bob.send_request(refer);
  EXPECT_TRUE(soon([&] { return progress_seen(bob) == kDone; }));
  Talk call{alice, carol, newest_call(alice, {})};
  answered(call);
  hang_up(carol, call);
}

}  // namespace
}  // namespace isthmus::sim
