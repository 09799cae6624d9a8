// Responses that cannot be read, or of which the other leg cannot be told: nobody is left waiting
// for a timer, and whoever answered is not left repeating itself.
#include "bridge_bench.hpp"

namespace isthmus::call {
namespace {

using sip::HeaderId;

struct BrokenAnswers : BridgeBench {
  void call_carol(std::string_view uri = "sip:carol@example.org") {
    give(request("INVITE", uri, sdp()), alice);
    invite = last(carol, "INVITE");
  }
  /// A response in which one header field is as `line` says.
  std::string with(sip::Message said, HeaderId field, const std::string& line) {
    said.remove(field);
    std::string text = said.serialize();
    return text.insert(text.find("\r\n") + 2, line + "\r\n");
  }
  std::string answer_with(HeaderId field, const std::string& line) {
    return with(response(invite, 200, "c1", sdp()), field, line);
  }
  void expect_ended_with_502(std::string_view reason) {
    sip::Message refusal = last(alice, "INVITE", 502);
    EXPECT_EQ(refusal.reason(), reason);
    EXPECT_EQ(count(carol, "ACK"), 1u);
    EXPECT_EQ(count(carol, "BYE"), 1u);
    EXPECT_EQ(bridge.counters().broken_responses, 1u);
    EXPECT_EQ(bridge.call_count(), 0u);
  }
};

TEST_F(BrokenAnswers, a_2xx_whose_contact_cannot_be_read_is_ended_and_the_caller_told) {
  call_carol();
  give_broken(answer_with(HeaderId::contact, "Contact: <sip:carol@"), carol);
  expect_ended_with_502("Malformed Contact in the answer");
  sip::Message ack = last(carol, "ACK"), bye = last(carol, "BYE");
  EXPECT_EQ(ack.to_tag(), "c1");
  EXPECT_EQ(ack.request_uri(), invite.request_uri());
  EXPECT_EQ(bye.to_tag(), "c1");
  EXPECT_EQ(bye.cseq()->number, 2u);
  give(response(bye, 200), carol);
  expect_nothing_left();
}

TEST_F(BrokenAnswers, a_2xx_whose_to_cannot_be_read_still_ends_the_callers_wait) {
  call_carol();
  give_broken(answer_with(HeaderId::to, "To: <sip:carol@example.org;tag=c1"), carol);
  expect_ended_with_502("Malformed To in the answer");
  expect_nothing_left();
}

TEST_F(BrokenAnswers, a_2xx_without_the_headers_that_we_know_ourselves_is_ended) {
  call_carol();
  sip::Message answer = response(invite, 200, "c1", sdp());
  for (HeaderId id : {HeaderId::from, HeaderId::call_id, HeaderId::cseq}) answer.remove(id);
  give_broken(answer.serialize(), carol);
  expect_ended_with_502("Missing From in the answer");
  sip::Message bye = last(carol, "BYE");
  EXPECT_EQ(bye.call_id(), invite.call_id());
  EXPECT_EQ(bye.get(HeaderId::from), invite.get(HeaderId::from));
  expect_nothing_left();
}

TEST_F(BrokenAnswers, a_2xx_that_promises_more_body_than_it_brings_is_ended) {
  call_carol();
  give_broken(answer_with(HeaderId::content_length, "Content-Length: 9999"), carol);
  expect_ended_with_502("Wrong Content-Length in the answer");
  EXPECT_EQ(last(carol, "ACK").request_uri(), "sip:carol@198.51.100.1:5060");
  expect_nothing_left();
}

TEST_F(BrokenAnswers, one_that_comes_again_is_acknowledged_again) {
  call_carol();
  std::string answer = answer_with(HeaderId::contact, "Contact: nobody");
  give_broken(answer, carol);
  give(response(last(carol, "BYE"), 200), carol);
  give_broken(answer, carol);
  EXPECT_EQ(count(carol, "ACK"), 2u);
  EXPECT_EQ(count(alice, "INVITE", 502), 1u);
  EXPECT_EQ(bridge.counters().broken_responses, 1u);
  expect_nothing_left();
}

TEST_F(BrokenAnswers, of_two_that_ring_the_other_goes_on) {
  call_carol("sip:pair@example.org");
  sip::Message second = last(other, "INVITE");
  give_broken(answer_with(HeaderId::contact, "Contact: nobody"), carol);
  EXPECT_EQ(count(other, "CANCEL"), 0u);
  EXPECT_EQ(count(alice, "INVITE", 502), 0u);
  give(response(second, 200, "o1", sdp()), other);
  give(by_caller(last(alice, "INVITE", 200), "ACK", 1), alice);
  EXPECT_EQ(bridge.call_count(), 1u);
  close_session(1);
  expect_nothing_left();
}

TEST_F(BrokenAnswers, a_failure_keeps_its_status) {
  call_carol();
  give_broken(with(response(invite, 486, "c1"), HeaderId::contact, "Contact: nobody"), carol);
  EXPECT_EQ(count(alice, "INVITE", 486), 1u);
  EXPECT_EQ(count(carol, "ACK"), 1u);
  EXPECT_FALSE(last(alice, "INVITE", 486).has(HeaderId::contact));
  expect_nothing_left();
}

TEST_F(BrokenAnswers, a_provisional_one_counts_as_trying) {
  call_carol();
  give_broken(with(response(invite, 180, "c1"), HeaderId::contact, "Contact: nobody"), carol);
  std::size_t sent_so_far = count(carol, "INVITE");
  pass(seconds(40));
  EXPECT_EQ(count(carol, "INVITE"), sent_so_far);
  EXPECT_EQ(count(alice, "INVITE", 180), 0u);
  give(response(invite, 200, "c1", sdp()), carol);
  EXPECT_EQ(count(alice, "INVITE", 200), 1u);
  close_session(1);
  expect_nothing_left();
}

TEST_F(BrokenAnswers, a_2xx_to_another_method_counts_as_502) {
  give(request("MESSAGE", "sip:carol@example.org"), alice);
  sip::Message message = last(carol, "MESSAGE");
  give_broken(with(response(message, 200, "c1"), HeaderId::contact, "Contact: nobody"), carol);
  EXPECT_EQ(last(alice, "MESSAGE", 502).reason(), "Malformed Contact in the answer");
  expect_nothing_left();
}

TEST_F(BrokenAnswers, what_matches_no_request_of_ours_changes_nothing) {
  call_carol();
  std::size_t before = sent.size();
  std::string branch(invite.top_via()->branch());
  std::string forged = answer_with(HeaderId::contact, "Contact: nobody");
  forged.replace(forged.find(branch), branch.size(), "z9hG4bKforged");
  give_broken(forged, carol);
  give_broken("SIP/2.0 200 OK\r\n\r\n", carol);
  give_broken("SIP/2.0 200 OK", carol);
  give_broken("SIP/2.0 999 OK\r\nVia: \r\n\r\n", carol);
  EXPECT_EQ(sent.size(), before);
  give(response(invite, 486, "c1"), carol);
  expect_nothing_left();
}

TEST_F(BrokenAnswers, a_reinvite_answered_unreadably_fails_and_the_call_stays) {
  sip::Message ok = answered_call();
  give(by_caller(ok, "INVITE", 2, sdp()), alice);
  sip::Message again = last(carol, "INVITE");
  std::string answer =
      with(response(again, 200, "c1", sdp()), HeaderId::contact, "Contact: nobody");
  give_broken(answer, carol);
  EXPECT_EQ(count(alice, "INVITE", 502), 1u);
  EXPECT_EQ(last(carol, "ACK").cseq()->number, 2u);
  EXPECT_EQ(count(carol, "BYE"), 0u);
  std::size_t acks = count(carol, "ACK");
  give_broken(answer, carol);
  EXPECT_EQ(count(carol, "ACK"), acks + 1);
  // The next one is not refused for the sake of the first.
  give(by_caller(ok, "INVITE", 3, sdp()), alice);
  give(response(last(carol, "INVITE"), 200, "c1", sdp()), carol);
  EXPECT_EQ(last(alice, "INVITE", 200).cseq()->number, 3u);
  give(by_caller(last(alice, "INVITE", 200), "ACK", 3), alice);
  give(by_caller(ok, "BYE", 4), alice);
  give(response(last(carol, "BYE"), 200), carol);
  expect_nothing_left();
}

TEST_F(BrokenAnswers, a_reinvite_answered_with_a_broken_description_is_acknowledged) {
  sip::Message ok = answered_call();
  give(by_caller(ok, "INVITE", 2, sdp()), alice);
  give(response(last(carol, "INVITE"), 200, "c1", "v=0\r\nnothing\r\n"), carol);
  EXPECT_EQ(count(alice, "INVITE", 502), 1u);
  EXPECT_EQ(last(carol, "ACK").cseq()->number, 2u);
  give(by_caller(ok, "INVITE", 3, sdp()), alice);
  EXPECT_EQ(count(alice, "INVITE", 491) + count(alice, "INVITE", 500), 0u);
  EXPECT_EQ(last(carol, "INVITE").cseq()->number, 3u);
  close_session(1);
  expect_nothing_left();
}

TEST_F(BrokenAnswers, an_offer_in_an_answer_that_cannot_be_read_ends_the_call) {
  sip::Message ok = answered_call();
  give(by_caller(ok, "INVITE", 2), alice);
  sip::Message again = last(carol, "INVITE");
  give_broken(with(response(again, 200, "c1", sdp()), HeaderId::contact, "Contact: nobody"), carol);
  EXPECT_EQ(count(alice, "INVITE", 502), 1u);
  EXPECT_EQ(last(carol, "ACK").cseq()->number, 2u);
  EXPECT_EQ(count(carol, "BYE"), 1u);
  EXPECT_EQ(count(alice, "BYE"), 1u);
  give(response(last(carol, "BYE"), 200), carol);
  give(response(last(alice, "BYE"), 200), alice);
  expect_nothing_left();
}

}  // namespace
}  // namespace isthmus::call
