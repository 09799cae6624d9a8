// Challenges that the bridge answers itself, and what its own requests do to CSeq.
#include "base/limits.hpp"
#include "bridge_bench.hpp"
#include "call/dialog_identity.hpp"
#include "sip/digest.hpp"

namespace isthmus::call {
namespace {

using sip::HeaderId;

constexpr std::string_view kRealm = "provider.example";

/// Whether the request bears the right answer for that nonce.
bool answers(const sip::Message& request, HeaderId header, std::string_view nonce,
             std::string_view nc = "00000001", std::string_view realm = kRealm) {
  for (std::string_view value : request.fields(header)) {
    auto given = sip::DigestCredentials::parse(value);
    if (!given || given->realm != realm) continue;
    std::string ha1 = sip::digest_ha1(given->algorithm, "alice", realm, "secret");
    return given->nonce == nonce && given->nc == nc && given->uri == request.request_uri() &&
           given->response ==
               sip::digest_response(given->algorithm, ha1, request.method_text(), *given);
  }
  return false;
}

struct BridgeCredentials : BridgeBench {
  BridgeCredentials() { router.credentials["alice"] = "secret"; }

  sip::Message challenge(const sip::Message& to, int status, std::string_view nonce,
                         std::string_view more = {}) {
    sip::Message out = response(to, status, "ch");
    std::string value = "Digest realm=\"";
    value.append(kRealm).append("\", nonce=\"").append(nonce).append("\", qop=\"auth\"");
    value.append(more);
    out.add(status == 401 ? HeaderId::www_authenticate : HeaderId::proxy_authenticate, value);
    return out;
  }
  /// A call whose INVITE was challenged once. @return the 200 as alice got it.
  sip::Message challenged_call() {
    give(request("INVITE", "sip:carol@example.org", sdp()), alice);
    give(challenge(last(carol, "INVITE"), 407, "n1"), carol);
    invite = last(carol, "INVITE");
    give(response(invite, 200, "c1", sdp()), carol);
    sip::Message ok = last(alice, "INVITE", 200);
    give(by_caller(ok, "ACK", 1), alice);
    return ok;
  }
};

/// Who hides behind an anonymous From has an account all the same: that of the leg.
TEST_F(BridgeCredentials, anonymous_caller_is_answered_for_by_its_legs_account) {
  router.owners[alice] = "alice";
  sip::Message hidden = request("INVITE", "sip:carol@example.org", sdp());
  hidden.set(HeaderId::from, "\"Anonymous\" <sip:anonymous@anonymous.invalid>;tag=x1");
  give(hidden, alice);
  give(challenge(last(carol, "INVITE"), 407, "n1"), carol);
  sip::Message again = last(carol, "INVITE");
  EXPECT_TRUE(answers(again, HeaderId::proxy_authorization, "n1"));
  EXPECT_EQ(again.from()->uri, "sip:anonymous@anonymous.invalid");
  give(response(again, 200, "c1", sdp()), carol);
  give(by_caller(last(alice, "INVITE", 200), "ACK", 1), alice);
  close_session(1);  // the BYE is ours, and goes by the same account
  sip::Message bye = last(carol, "BYE");
  EXPECT_TRUE(answers(bye, HeaderId::proxy_authorization, "n1", "00000002"));
  give(challenge(bye, 407, "n2"), carol);
  EXPECT_TRUE(answers(last(carol, "BYE"), HeaderId::proxy_authorization, "n2"));
}

TEST_F(BridgeCredentials, challenged_invite_is_answered_and_every_later_request_numbered_ahead) {
  sip::Message ok = challenged_call();
  EXPECT_EQ(count(alice, "INVITE", 407), 0u);
  EXPECT_EQ(count(carol, "INVITE"), 2u);
  EXPECT_EQ(count(carol, "ACK"), 2u);  // of the 407 by the layer, of the 200 by alice
  EXPECT_EQ(invite.cseq()->number, 2u);
  EXPECT_TRUE(answers(invite, HeaderId::proxy_authorization, "n1"));
  EXPECT_EQ(ok.cseq()->number, 1u);
  sip::Message ack = last(carol, "ACK");
  EXPECT_EQ(ack.cseq()->number, 2u);
  EXPECT_EQ(ack.get(HeaderId::proxy_authorization), invite.get(HeaderId::proxy_authorization));

  give(by_caller(ok, "INFO", 2), alice);
  sip::Message info = last(carol, "INFO");
  EXPECT_EQ(info.cseq()->number, 3u);
  EXPECT_TRUE(answers(info, HeaderId::proxy_authorization, "n1", "00000002"));  // unasked
  give(response(info, 200), carol);
  EXPECT_EQ(last(alice, "INFO", 200).cseq()->number, 2u);

  give(by_callee(invite, "c1", "INFO", 77), carol);  // nothing of ours went to alice
  EXPECT_EQ(last(alice, "INFO").cseq()->number, 77u);
  give(response(last(alice, "INFO"), 200), alice);
  EXPECT_EQ(last(carol, "INFO", 200).cseq()->number, 77u);

  give(by_caller(ok, "BYE", 3), alice);
  EXPECT_EQ(last(carol, "BYE").cseq()->number, 4u);
  give(response(last(carol, "BYE"), 200), carol);
  expect_nothing_left();
}

TEST_F(BridgeCredentials, challenged_bye_is_answered_and_ends_the_call) {
  sip::Message ok = challenged_call();
  give(by_caller(ok, "BYE", 2), alice);
  give(challenge(last(carol, "BYE"), 407, "n2", ", stale=true"), carol);
  EXPECT_EQ(count(alice, "BYE", 407), 0u);
  sip::Message bye = last(carol, "BYE");
  EXPECT_EQ(bye.cseq()->number, 4u);
  EXPECT_TRUE(answers(bye, HeaderId::proxy_authorization, "n2"));
  give(response(bye, 200), carol);
  EXPECT_EQ(last(alice, "BYE", 200).cseq()->number, 2u);
  EXPECT_EQ(bridge.call_count(), 0u);
  expect_nothing_left();
}

TEST_F(BridgeCredentials, bye_of_the_gateway_itself_is_answered_when_challenged) {
  challenged_call();
  close_session(1);
  sip::Message bye = last(carol, "BYE");
  EXPECT_EQ(bye.cseq()->number, 3u);
  give(challenge(bye, 401, "n2"), carol);
  sip::Message again = last(carol, "BYE");
  EXPECT_EQ(again.cseq()->number, 4u);
  EXPECT_TRUE(answers(again, HeaderId::authorization, "n2"));
  give(challenge(again, 401, "n2"), carol);  // refused: nobody to tell
  EXPECT_EQ(count(carol, "BYE"), 2u);
  expect_nothing_left();
}

TEST_F(BridgeCredentials, wrong_password_passes_the_failure_on) {
  give(request("INVITE", "sip:carol@example.org", sdp()), alice);
  give(challenge(last(carol, "INVITE"), 401, "n1"), carol);
  give(challenge(last(carol, "INVITE"), 401, "n1"), carol);
  EXPECT_EQ(count(carol, "INVITE"), 2u);
  sip::Message refused = last(alice, "INVITE", 401);
  EXPECT_EQ(refused.cseq()->number, 1u);
  EXPECT_NE(refused.get(HeaderId::www_authenticate).value_or("").find("n1"),
            std::string_view::npos);
  // What was refused is not tried again unasked.
  give(request("INVITE", "sip:carol@example.org", sdp()), alice);
  EXPECT_FALSE(last(carol, "INVITE").has(HeaderId::authorization));
  give(response(last(carol, "INVITE"), 603, "c1"), carol);
  pass(seconds(70));
}

TEST_F(BridgeCredentials, proxy_and_callee_may_both_ask) {
  give(request("INVITE", "sip:carol@example.org", sdp()), alice);
  give(challenge(last(carol, "INVITE"), 407, "proxy"), carol);
  sip::Message second = challenge(last(carol, "INVITE"), 401, "callee");
  give(second, carol);
  sip::Message third = last(carol, "INVITE");
  EXPECT_EQ(third.cseq()->number, 3u);
  EXPECT_TRUE(answers(third, HeaderId::proxy_authorization, "proxy"));
  EXPECT_TRUE(answers(third, HeaderId::authorization, "callee"));
  give(response(third, 486, "c1"), carol);
  EXPECT_EQ(last(alice, "INVITE", 486).cseq()->number, 1u);
  expect_nothing_left();
}

TEST_F(BridgeCredentials, nonces_that_are_always_stale_end_at_a_bound) {
  give(request("INVITE", "sip:carol@example.org", sdp()), alice);
  for (int i = 0; i < 10; ++i) {
    std::size_t before = count(carol, "INVITE");
    give(challenge(last(carol, "INVITE"), 401, "n" + std::to_string(i), ", stale=true"), carol);
    if (count(carol, "INVITE") == before) break;
  }
  EXPECT_EQ(count(carol, "INVITE"), 1u + limits::kDigestAttempts);
  EXPECT_EQ(count(alice, "INVITE", 401), 1u);
}

TEST_F(BridgeCredentials, next_nonce_is_used_for_the_next_request) {
  give(request("INVITE", "sip:carol@example.org", sdp()), alice);
  give(challenge(last(carol, "INVITE"), 401, "n1"), carol);
  sip::Message answer = response(last(carol, "INVITE"), 200, "c1", sdp());
  answer.add(HeaderId::authentication_info, "qop=auth, nextnonce=\"n2\"");
  give(answer, carol);
  sip::Message ok = last(alice, "INVITE", 200);
  EXPECT_FALSE(ok.has(HeaderId::authentication_info));  // it was to us
  give(by_caller(ok, "ACK", 1), alice);
  give(by_caller(ok, "BYE", 2), alice);
  EXPECT_TRUE(answers(last(carol, "BYE"), HeaderId::authorization, "n2"));
  give(response(last(carol, "BYE"), 200), carol);
  expect_nothing_left();
}

TEST_F(BridgeCredentials, rack_names_the_invite_by_its_number_there) {
  give(request("INVITE", "sip:carol@example.org", sdp()), alice);
  give(challenge(last(carol, "INVITE"), 407, "n1"), carol);
  invite = last(carol, "INVITE");
  sip::Message ringing = response(invite, 180, "c1");
  ringing.add(HeaderId::require, "100rel");
  ringing.add(HeaderId::rseq, "9");
  give(ringing, carol);
  sip::Message prack = by_caller(last(alice, "INVITE", 180), "PRACK", 2);
  prack.add(HeaderId::rack, "9 1 INVITE");
  give(prack, alice);
  EXPECT_EQ(last(carol, "PRACK").get(HeaderId::rack), "9 2 INVITE");
  EXPECT_EQ(last(carol, "PRACK").cseq()->number, 3u);
  // Challenged as well: a new number for itself, the same INVITE.
  give(challenge(last(carol, "PRACK"), 407, "n3", ", stale=true"), carol);
  EXPECT_EQ(last(carol, "PRACK").get(HeaderId::rack), "9 2 INVITE");
  EXPECT_EQ(last(carol, "PRACK").cseq()->number, 4u);
  give(response(last(carol, "PRACK"), 200), carol);
  give(response(invite, 200, "c1", sdp()), carol);
  sip::Message ok = last(alice, "INVITE", 200);
  give(by_caller(ok, "ACK", 1), alice);
  EXPECT_EQ(last(carol, "ACK").cseq()->number, 2u);
  give(by_caller(ok, "BYE", 3), alice);
  EXPECT_EQ(last(carol, "BYE").cseq()->number, 5u);
  give(response(last(carol, "BYE"), 200), carol);
  expect_nothing_left();
}

TEST_F(BridgeCredentials, event_id_of_a_refer_is_that_of_its_own_leg) {
  sip::Message ok = challenged_call();
  give(by_caller(ok, "REFER", 2), alice);
  sip::Message refer = last(carol, "REFER");
  EXPECT_EQ(refer.cseq()->number, 3u);
  give(response(refer, 202, "c1"), carol);
  sip::Message notify = by_callee(invite, "c1", "NOTIFY", 1);
  notify.add(HeaderId::event, "refer;id=3");
  notify.add(HeaderId::subscription_state, "active;expires=60");
  give(notify, carol);
  EXPECT_EQ(last(alice, "NOTIFY").get(HeaderId::event), "refer;id=2");
  give(response(last(alice, "NOTIFY"), 200), alice);
  sip::Message stop = by_caller(ok, "SUBSCRIBE", 3);
  stop.add(HeaderId::event, "refer;id=2");
  stop.add(HeaderId::expires, "0");
  give(stop, alice);
  EXPECT_EQ(last(carol, "SUBSCRIBE").get(HeaderId::event), "refer;id=3");
  EXPECT_EQ(last(carol, "SUBSCRIBE").cseq()->number, 4u);
}

TEST_F(BridgeCredentials, challenges_pass_to_a_user_without_credentials_here) {
  router.credentials.clear();
  give(request("INVITE", "sip:carol@example.org", sdp()), alice);
  give(challenge(last(carol, "INVITE"), 401, "n1"), carol);
  EXPECT_EQ(count(carol, "INVITE"), 1u);
  sip::Message refused = last(alice, "INVITE", 401);
  EXPECT_EQ(refused.get(HeaderId::www_authenticate),
            "Digest realm=\"provider.example\", nonce=\"n1\", qop=\"auth\"");
}

TEST(CSeqNumbersTest, names_of_requests_survive_later_changes_of_the_offset) {
  CSeqNumbers numbers;
  EXPECT_EQ(numbers.carry(10, sip::Method::invite), 10u);
  EXPECT_EQ(numbers.next_own(), 11u);
  EXPECT_EQ(numbers.sent_as(10), 10u);  // the INVITE went before
  EXPECT_EQ(numbers.carry(11, sip::Method::refer), 12u);
  EXPECT_EQ(numbers.next_own(), 13u);
  EXPECT_EQ(numbers.next_own(), 14u);
  EXPECT_EQ(numbers.carry(12, sip::Method::bye), 15u);
  EXPECT_EQ(numbers.came_as(12), 11u);
  EXPECT_EQ(numbers.sent_as(11), 12u);
  EXPECT_EQ(numbers.carry_again(12, sip::Method::bye), 16u);
  EXPECT_EQ(numbers.carry(13, sip::Method::info), 17u);
}

}  // namespace
}  // namespace isthmus::call
