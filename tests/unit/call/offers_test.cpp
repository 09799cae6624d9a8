// Offers and answers across the bridge: forks upstream, reliable provisional responses, late
// offers, glare, and 2xx that nobody acknowledges.
#include "bridge_bench.hpp"
#include "call/body_parts.hpp"

namespace isthmus::call {
namespace {

using sip::HeaderId;

struct Offers : BridgeBench {
  sip::Message start(std::string_view body) {
    give(request("INVITE", "sip:carol@example.org", body), alice);
    return invite = last(carol, "INVITE");
  }
  sip::Message reliable(int status, std::string_view tag, unsigned rseq,
                        std::string_view body = {}) {
    sip::Message out = response(invite, status, tag, body);
    out.add(HeaderId::require, "100rel");
    out.add(HeaderId::rseq, std::to_string(rseq));
    return out;
  }
  sip::Message prack(const sip::Message& ringing, unsigned cseq, std::string_view body = {}) {
    sip::Message out = by_caller(ringing, "PRACK", cseq, body);
    out.add(HeaderId::rack, std::to_string(*ringing.number(HeaderId::rseq)) + " 1 INVITE");
    return out;
  }
  /// Where the end toward carol sends media: her port.
  int toward_carol() {
    for (auto& [id, end] : media.ends) {
      if (!end.link) return end.remote.port;
    }
    return -1;
  }
  void hang_up(const sip::Message& ok, unsigned cseq) {
    give(by_caller(ok, "BYE", cseq), alice);
    give(response(last(carol, "BYE"), 200), carol);
  }
};

TEST_F(Offers, each_fork_upstream_has_media_terms_of_its_own) {
  std::string both = sdp("m=video 40002 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n");
  start(both);
  EXPECT_EQ(media.ends.size(), 4u);
  give(response(invite, 183, "f1", sdp("m=video 0 RTP/AVP 96\r\n", 51000)), carol);
  EXPECT_EQ(toward_carol(), 51000);
  EXPECT_EQ(media.ends.size(), 4u);  // the other fork may still want the picture
  give(response(invite, 183, "f2",
                sdp("m=video 52002 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n", 52000)),
       carol);
  EXPECT_EQ(toward_carol(), 52000);  // whose description came last
  EXPECT_EQ(last(alice, "INVITE", 183).to_tag(), "f2");
  give(response(invite, 200, "f1", sdp("m=video 0 RTP/AVP 96\r\n", 51000)), carol);
  EXPECT_EQ(toward_carol(), 51000);  // who answered
  EXPECT_EQ(media.ends.size(), 2u);
  sip::Message ok = last(alice, "INVITE", 200);
  EXPECT_EQ(ok.to_tag(), "f1");
  give(by_caller(ok, "ACK", 1), alice);
  give(response(invite, 200, "f2", sdp({}, 52000)), carol);  // both forks answered
  EXPECT_EQ(last(carol, "BYE").to_tag(), "f2");
  give(response(last(carol, "BYE"), 200), carol);
  EXPECT_EQ(toward_carol(), 51000);
  hang_up(ok, 2);
  expect_nothing_left();
}

TEST_F(Offers, an_update_in_one_early_dialog_leaves_the_other_as_it_is) {
  start(sdp());
  give(response(invite, 183, "f1", sdp({}, 51000)), carol);
  sip::Message first = last(alice, "INVITE", 183);
  give(response(invite, 183, "f2", sdp({}, 52000)), carol);
  give(by_caller(first, "UPDATE", 2, sdp({}, 40100)), alice);
  EXPECT_EQ(last(carol, "UPDATE").to_tag(), "f1");
  EXPECT_EQ(toward_carol(), 51000);
  give(response(last(carol, "UPDATE"), 200, {}, sdp({}, 51100)), carol);
  EXPECT_EQ(toward_carol(), 51100);
  give(response(invite, 200, "f2", sdp({}, 52000)), carol);
  EXPECT_EQ(toward_carol(), 52000);
  for (auto& [id, end] : media.ends) {
    if (end.link) {
      EXPECT_EQ(end.remote.port, 40000);  // what the INVITE said, not that UPDATE
    }
  }
}

TEST_F(Offers, late_offer_in_a_reliable_provisional_is_answered_in_its_prack) {
  start({});
  give(reliable(183, "c1", 7, sdp({}, 50000)), carol);
  sip::Message ringing = last(alice, "INVITE", 183);
  EXPECT_EQ(media.ends.size(), 2u);
  EXPECT_EQ(ringing.get(HeaderId::rseq), "7");
  EXPECT_EQ(ringing.get(HeaderId::require), "100rel");
  give(prack(ringing, 2, sdp({}, 40000)), alice);
  sip::Message seen = last(carol, "PRACK");
  EXPECT_EQ(seen.get(HeaderId::rack), "7 1 INVITE");
  EXPECT_NE(seen.body().find("c=IN IP4 192.0.2.1"), std::string_view::npos);
  give(response(seen, 200), carol);
  // The provider repeats its description in the 200, as many do: no new offer.
  give(response(invite, 200, "c1", sdp({}, 50000)), carol);
  sip::Message ok = last(alice, "INVITE", 200);
  give(by_caller(ok, "ACK", 1), alice);
  EXPECT_EQ(toward_carol(), 50000);
  give(by_callee(invite, "c1", "INVITE", 1, sdp({}, 50002)), carol);
  EXPECT_EQ(count(alice, "INVITE"), 1u);  // nothing is pending any more
  give(response(last(alice, "INVITE"), 200, {}, sdp()), alice);
  give(by_callee(invite, "c1", "ACK", 1), carol);
  // A later INVITE without offer gets one again.
  give(by_caller(ok, "INVITE", 3), alice);
  give(response(last(carol, "INVITE"), 200, "c1", sdp("m=text 50008 RTP/AVP 98\r\n", 50006)),
       carol);
  EXPECT_EQ(media.ends.size(), 4u);
}

TEST_F(Offers, offer_and_answer_in_prack_and_its_200) {
  start(sdp());
  give(reliable(183, "c1", 1, sdp({}, 50000)), carol);
  sip::Message ringing = last(alice, "INVITE", 183);
  give(prack(ringing, 2, sdp("m=video 40002 RTP/AVP 96\r\n")), alice);
  EXPECT_EQ(media.ends.size(), 4u);
  give(response(last(carol, "PRACK"), 200, {}, sdp("m=video 0 RTP/AVP 96\r\n", 50000)), carol);
  EXPECT_EQ(media.ends.size(), 2u);  // no other dialog knows of it
  give(response(invite, 200, "c1"), carol);
  EXPECT_EQ(media.ends.size(), 2u);
  EXPECT_EQ(toward_carol(), 50000);
}

TEST_F(Offers, repeated_reliable_provisional_reaches_a_leg_that_loses_and_no_other) {
  start(sdp());
  for (int i = 0; i < 3; ++i) give(reliable(183, "c1", 5, sdp()), carol);
  EXPECT_EQ(count(alice, "INVITE", 183), 1u);  // over the link nothing is lost
  give(reliable(180, "c1", 6), carol);
  EXPECT_EQ(last(alice, "INVITE", 180).get(HeaderId::rseq), "6");
  give(reliable(183, "c1", 5, sdp()), carol);  // out of date
  EXPECT_EQ(count(alice, "INVITE", 183), 1u);

  give(request("INVITE", "sip:dave@example.org", sdp()), carol);
  invite = last(dave, "INVITE");
  for (int i = 0; i < 3; ++i) give(reliable(183, "d1", 9, sdp({}, 16)), dave);
  EXPECT_EQ(count(carol, "INVITE", 183), 3u);
  std::vector<std::string> copies;
  for (const Sent& entry : sent) {
    if (entry.flow == carol && entry.message.status() == 183)
      copies.push_back(entry.message.serialize());
  }
  EXPECT_EQ(copies[0], copies[1]);
  EXPECT_EQ(copies[1], copies[2]);
}

TEST_F(Offers, early_media_then_refused) {
  start(sdp());
  give(response(invite, 183, "c1", sdp({}, 50000)), carol);
  EXPECT_EQ(toward_carol(), 50000);
  give(response(invite, 486, "c1"), carol);
  EXPECT_EQ(count(alice, "INVITE", 486), 1u);
  expect_nothing_left();
}

TEST_F(Offers, offers_that_cross_are_refused_where_the_streams_are) {
  sip::Message ok = answered_call();
  give(by_caller(ok, "INVITE", 2, sdp({}, 41000)), alice);
  give(by_callee(invite, "c1", "UPDATE", 1, sdp({}, 42000)), carol);
  EXPECT_EQ(count(carol, "UPDATE", 491), 1u);
  EXPECT_EQ(count(alice, "UPDATE"), 0u);
  give(by_caller(ok, "UPDATE", 3, sdp({}, 43000)), alice);
  EXPECT_TRUE(last(alice, "UPDATE", 500).has(HeaderId::retry_after));
  give(by_callee(invite, "c1", "UPDATE", 2), carol);  // no offer: passes
  EXPECT_EQ(count(alice, "UPDATE"), 1u);
  give(response(last(carol, "INVITE"), 491, "c1"), carol);
  EXPECT_EQ(count(alice, "INVITE", 491), 1u);
  give(by_callee(invite, "c1", "UPDATE", 3, sdp({}, 42000)), carol);
  EXPECT_EQ(count(alice, "UPDATE"), 2u);
  give(response(last(alice, "UPDATE"), 200, {}, sdp()), alice);
  EXPECT_EQ(toward_carol(), 42000);
}

/// RFC 3261 §14.2, whether they hold offers or ask for them.
TEST_F(Offers, one_reinvite_at_a_time) {
  sip::Message ok = answered_call();
  give(by_caller(ok, "INVITE", 2), alice);
  give(by_caller(ok, "INVITE", 3), alice);
  EXPECT_TRUE(last(alice, "INVITE", 500).has(HeaderId::retry_after));
  give(by_callee(invite, "c1", "INVITE", 1), carol);
  give(by_callee(invite, "c1", "INVITE", 2, sdp()), carol);
  EXPECT_EQ(count(carol, "INVITE", 491), 2u);
  EXPECT_EQ(count(carol, "INVITE"), 2u);
  EXPECT_EQ(count(alice, "INVITE"), 0u);
  give(response(last(carol, "INVITE"), 488, "c1"), carol);
  give(by_callee(invite, "c1", "INVITE", 3), carol);
  EXPECT_EQ(count(alice, "INVITE"), 1u);
}

TEST_F(Offers, refusal_of_a_late_offer_leaves_the_other_sides_offer_pending) {
  sip::Message ok = answered_call();
  give(by_callee(invite, "c1", "INVITE", 1, sdp({}, 42000)), carol);
  give(by_caller(ok, "INVITE", 2), alice);
  EXPECT_EQ(count(alice, "INVITE", 491), 1u);
  give(by_caller(ok, "UPDATE", 3, sdp({}, 41000)), alice);
  EXPECT_EQ(count(alice, "UPDATE", 491), 1u);
  give(response(last(alice, "INVITE"), 200, {}, sdp()), alice);
  EXPECT_EQ(toward_carol(), 42000);
}

TEST_F(Offers, answer_of_a_link_is_repeated_over_udp_until_it_is_acknowledged) {
  sip::Message call = request("INVITE", "sip:dave@example.org", sdp());
  give(call, carol);
  sip::Message seen = last(dave, "INVITE");
  sip::Message answer = response(seen, 200, "d1", sdp({}, 16));
  answer.set(HeaderId::contact, "<sip:dave@dave.invalid>");
  give(answer, dave);
  EXPECT_EQ(count(carol, "INVITE", 200), 1u);
  pass(milliseconds(1600));  // T1, then 2*T1
  EXPECT_EQ(count(carol, "INVITE", 200), 3u);
  sip::Message ok = last(carol, "INVITE", 200);
  give(by_caller(ok, "ACK", 1), carol);
  EXPECT_EQ(count(dave, "ACK"), 1u);
  pass(seconds(20));
  EXPECT_EQ(count(carol, "INVITE", 200), 3u);
  // A re-INVITE's answer as well.
  give(by_caller(ok, "INVITE", 2, sdp("a=sendonly\r\n")), carol);
  give(response(last(dave, "INVITE"), 200, "d1", sdp("a=recvonly\r\n", 16)), dave);
  pass(milliseconds(600));
  EXPECT_EQ(count(carol, "INVITE", 200), 5u);
  give(by_caller(ok, "ACK", 2), carol);
  pass(seconds(40));
  EXPECT_EQ(count(carol, "INVITE", 200), 5u);
  EXPECT_EQ(bridge.call_count(), 1u);
}

TEST_F(Offers, call_whose_answer_nobody_acknowledges_is_hung_up) {
  give(request("INVITE", "sip:carol@example.org", sdp()), alice);
  invite = last(carol, "INVITE");
  give(response(invite, 200, "c1", sdp()), carol);
  for (int i = 0; i < 8; ++i) {
    pass(seconds(4));
    give(response(invite, 200, "c1", sdp()), carol);  // repeated: no ACK yet
  }
  EXPECT_EQ(count(alice, "INVITE", 200), 1u);
  EXPECT_EQ(count(alice, "BYE"), 1u);
  EXPECT_EQ(last(carol, "BYE").get(HeaderId::reason), "SIP;cause=408;text=\"No ACK\"");
  EXPECT_EQ(count(carol, "ACK"), 1u);  // her 2xx is acknowledged before she is hung up
}

TEST_F(Offers, reinvite_that_nobody_acknowledges_ends_the_call) {
  sip::Message ok = answered_call();
  give(by_caller(ok, "INVITE", 2, sdp()), alice);
  give(response(last(carol, "INVITE"), 200, "c1", sdp()), carol);
  pass(seconds(31));
  EXPECT_EQ(bridge.call_count(), 1u);
  pass(seconds(2));
  EXPECT_EQ(bridge.call_count(), 0u);
}

TEST_F(Offers, a_call_becomes_a_fax_and_the_plane_is_told) {
  sip::Message ok = answered_call();
  std::string fax =
      "v=0\r\no=- 1 2 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\n"
      "m=image 40000 udptl t38\r\na=T38FaxVersion:0\r\na=T38FaxRateManagement:transferredTCF\r\n";
  give(by_callee(invite, "c1", "INVITE", 1, fax), carol);
  sip::Message seen = last(alice, "INVITE");
  EXPECT_NE(seen.body().find("m=image 16 udptl t38"), std::string_view::npos) << seen.body();
  EXPECT_NE(seen.body().find("a=T38FaxVersion:0"), std::string_view::npos);
  give(response(seen, 200, {}, fax), alice);
  give(by_callee(invite, "c1", "ACK", 1), carol);
  EXPECT_EQ(media.ends.size(), 2u);
  for (auto& [id, end] : media.ends) EXPECT_TRUE(end.remote.udptl);
  give(by_caller(ok, "INVITE", 2, sdp()), alice);
  give(response(last(carol, "INVITE"), 488, "c1"), carol);
  for (auto& [id, end] : media.ends) EXPECT_TRUE(end.remote.udptl);
}

TEST_F(Offers, what_a_refusal_describes_is_no_answer) {
  sip::Message ok = answered_call();
  give(by_caller(ok, "INVITE", 2, sdp({}, 41000)), alice);
  give(response(last(carol, "INVITE"), 488, "c1", sdp({}, 0)), carol);
  EXPECT_EQ(last(alice, "INVITE", 488).body(), sdp({}, 0));
  EXPECT_EQ(toward_carol(), 40000);
  EXPECT_EQ(media.ends.size(), 2u);
}

TEST_F(Offers, description_inside_a_multipart_body_is_rewritten_and_the_rest_kept) {
  std::string before =
      "preamble\r\n--b o\r\nContent-Type: application/isup\r\n\r\n\x01\x02\r\n--b o\r\n"
      "content-type: application/SDP;charset=utf-8\r\nContent-Length: 1\r\n\r\n";
  std::string after = "\r\n--b o--\r\nepilogue";
  sip::Message call = request("INVITE", "sip:carol@example.org");
  call.set_body(before + sdp() + after, "multipart/mixed;boundary=\"b o\"");
  give(call, alice);
  sip::Message seen = last(carol, "INVITE");
  std::string inside(*description_in(seen));
  EXPECT_NE(inside.find("c=IN IP4 192.0.2.1"), std::string::npos);
  EXPECT_EQ(media.ends.size(), 2u);
  std::string expected = before;
  expected.replace(expected.find("Content-Length: 1\r"), 18,
                   "Content-Length: " + std::to_string(inside.size()) + "\r");
  EXPECT_EQ(seen.body(), expected + inside + after);
  give(response(seen, 200, "c1", sdp()), carol);
  EXPECT_EQ(count(alice, "INVITE", 200), 1u);
}

TEST(BodyParts, broken_multiparts_have_no_description_and_harm_nobody) {
  for (const char* body :
       {"", "--b", "--b\r\n", "--b\r\n\r\n", "--b\r\nContent-Type: application/sdp\r\n--b--",
        "x--b\r\n\r\nv=0\r\n--b--", "--b--\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n",
        "--bb\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--bb--"}) {
    sip::Message message = sip::Message::request("INVITE", "sip:a@b");
    message.set_body(body, "multipart/mixed;boundary=b");
    EXPECT_FALSE(description_in(message)) << body;
    std::string as_it_was(message.body());
    replace_description(message, "v=1");
    EXPECT_EQ(message.body(), as_it_was);
  }
  sip::Message nested = sip::Message::request("INVITE", "sip:a@b");
  nested.set_body(
      "--o\r\nContent-Type: multipart/alternative; boundary=i\r\n\r\n"
      "--i\r\nContent-Type: text/plain\r\n\r\nhi\r\n--i\r\nContent-Type: "
      "application/sdp\r\n\r\nv=0\r\n"
      "\r\n--i--\r\n--o--\r\n",
      "multipart/mixed;boundary=o");
  EXPECT_EQ(description_in(nested), "v=0\r\n");
}

TEST(BodyParts, a_description_behind_which_the_last_delimiter_is_missing_is_found) {
  sip::Message message = sip::Message::request("INVITE", "sip:a@b");
  message.set_body("--b\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n",
                   "multipart/mixed;boundary=b");
  EXPECT_EQ(description_in(message), "v=0\r\n");
  replace_description(message, "v=1\r\n");
  EXPECT_EQ(message.body(), "--b\r\nContent-Type: application/sdp\r\n\r\nv=1\r\n");
}

TEST(BodyParts, a_boundary_that_begins_like_the_outer_one_is_another) {
  sip::Message message = sip::Message::request("INVITE", "sip:a@b");
  message.set_body(
      "--o\r\nContent-Type: multipart/mixed;boundary=oi\r\n\r\n--oi\r\nContent-Type: "
      "application/sdp\r\n\r\nv=0\r\n\r\n--oi--\r\n--o--\r\n",
      "multipart/mixed;boundary=o");
  EXPECT_EQ(description_in(message), "v=0\r\n");
}

}  // namespace
}  // namespace isthmus::call
