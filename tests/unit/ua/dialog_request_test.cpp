// What the other end asks for, played by hand: every method, in and out of a dialog.
#include "ua_support.hpp"

namespace isthmus::ua {
namespace {

using sip::HeaderId;

struct Asked : Alone {};

TEST_F(Asked, options_tells_methods_and_body_types) {
  const sip::Message answer = exchange(request("OPTIONS"));
  EXPECT_EQ(answer.status(), 200);
  EXPECT_TRUE(answer.lists(HeaderId::allow, "UPDATE"));
  EXPECT_EQ(answer.get(HeaderId::accept), "application/sdp");
  EXPECT_FALSE(answer.to_tag().empty());
}

TEST_F(Asked, unknown_methods_get_405_with_allow) {
  for (const char* method : {"SUBSCRIBE", "MESSAGE", "REFER", "PUBLISH", "FROB"}) {
    const sip::Message answer = exchange(request(method));
    EXPECT_EQ(answer.status(), 405) << method;
    EXPECT_TRUE(answer.lists(HeaderId::allow, "INVITE")) << method;
  }
  const std::string tag = answered_call();
  const sip::Message answer = exchange(request("REFER", tag));
  EXPECT_EQ(answer.status(), 405);
}

TEST_F(Asked, requests_of_no_dialog_get_481) {
  for (const char* method : {"BYE", "INFO", "UPDATE", "INVITE"}) {
    EXPECT_EQ(exchange(request(method, "unknown")).status(), 481) << method;
  }
  EXPECT_EQ(exchange(request("BYE")).status(), 481);
  answered_call();
  EXPECT_EQ(exchange(request("BYE", "unknown")).status(), 481);
  EXPECT_EQ(ann.state(), CallState::connected);
}

TEST_F(Asked, invite_with_what_is_not_supported_is_refused_in_detail) {
  sip::Message invite_request = invite();
  invite_request.add(HeaderId::require, "100rel, frob");
  sip::Message answer = exchange(invite_request);
  EXPECT_EQ(answer.status(), 420);
  EXPECT_EQ(answer.get(HeaderId::unsupported), "100rel, frob");

  invite_request = request("INVITE");
  invite_request.set_body("hello", "text/plain");
  answer = exchange(invite_request);
  EXPECT_EQ(answer.status(), 415);
  EXPECT_EQ(answer.get(HeaderId::accept), "application/sdp");

  invite_request = request("INVITE");
  invite_request.set_body("v=0\r\nx\r\n", "application/sdp");
  EXPECT_EQ(exchange(invite_request).status(), 400);

  invite_request = invite();
  std::string sdp(kOffer);
  sdp.replace(sdp.find("AVP 0 101"), 9, "AVP 9 101");
  invite_request.set_body(sdp, "application/sdp");
  EXPECT_EQ(exchange(invite_request).status(), 488);

  EXPECT_TRUE(ann.incoming_calls.empty());
  EXPECT_EQ(ann.agent.call_count(), 0u);
}

TEST_F(Asked, same_invite_by_another_way_is_a_merged_request) {
  const sip::Message first = invite();
  ann.inject(first.serialize());
  sip::Message second = first;
  second.set_first_value(HeaderId::via, "SIP/2.0/TLS gateway.invalid;branch=z9hG4bKother");
  EXPECT_EQ(exchange(second).status(), 482);
  EXPECT_EQ(ann.incoming_calls.size(), 1u);
}

TEST_F(Asked, incoming_call_carries_who_calls_whom_and_rings) {
  ann.inject(invite().serialize());
  ASSERT_EQ(ann.incoming_calls.size(), 1u);
  EXPECT_EQ(ann.incoming_calls[0].from_uri, "sip:ben@home.example");
  EXPECT_EQ(ann.incoming_calls[0].from_display, "\"Ben B\"");
  const sip::Message ringing = ann.sent("SIP/2.0 180");
  EXPECT_FALSE(ringing.to_tag().empty());
  EXPECT_EQ(ringing.contact()->uri, ann.agent.contact_uri());
}

TEST_F(Asked, phone_that_takes_no_calls_answers_480) {
  UserAgentOptions options = test_options("cat");
  options.accept_calls = false;
  UaNode cat(world, options, 5);
  cat.connected = false;
  cat.link_up();
  cat.inject(invite().serialize());
  EXPECT_EQ(cat.sent("").status(), 480);
  EXPECT_TRUE(cat.incoming_calls.empty());
}

TEST_F(Asked, info_digits_of_both_kinds_are_heard) {
  const std::string tag = answered_call();
  const std::pair<const char*, const char*> bodies[] = {
      {"Signal=5\r\nDuration=160\r\n", "application/dtmf-relay"},
      {"Signal= *\r\n", "application/dtmf-relay"},
      {"signal=11\n", "application/dtmf-relay"},
      {"a", "application/dtmf"},
  };
  for (const auto& [body, type] : bodies) {
    sip::Message info = request("INFO", tag);
    info.set_body(body, type);
    EXPECT_EQ(exchange(info).status(), 200) << body;
  }
  EXPECT_EQ(ann.digits, "5*#A");
  EXPECT_EQ(exchange(request("INFO", tag)).status(), 200) << "empty: a sign of life";
  sip::Message info = request("INFO", tag);
  info.set_body("Signal=xyz\r\n", "application/dtmf-relay");
  EXPECT_EQ(exchange(info).status(), 400);
  info = request("INFO", tag);
  info.set_body("<xml/>", "application/media_control+xml");
  EXPECT_EQ(exchange(info).status(), 415);
  EXPECT_EQ(ann.digits, "5*#A");
}

TEST_F(Asked, re_invite_and_update_change_the_media) {
  const std::string tag = answered_call();
  std::string held(kOffer);
  held += "a=sendonly\r\n";
  sip::Message update = request("UPDATE", tag);
  update.set_body(held, "application/sdp");
  sip::Message answer = exchange(update);
  EXPECT_EQ(answer.status(), 200);
  EXPECT_NE(answer.body().find("a=recvonly"), std::string_view::npos);
  EXPECT_EQ(ann.state(), CallState::held);
  EXPECT_TRUE(ann.last().remote_hold);

  sip::Message again = request("INVITE", tag);
  again.set_body(kOffer, "application/sdp");
  ann.inject(again.serialize());
  EXPECT_EQ(ann.sent("SIP/2.0 200").method_text(), "INVITE");
  EXPECT_EQ(ann.state(), CallState::connected);

  EXPECT_EQ(exchange(request("UPDATE", tag)).status(), 200) << "a session timer's refresh";
  EXPECT_EQ(ann.media.size(), 3u);
}

TEST_F(Asked, re_invite_without_offer_gets_ours_and_takes_the_answer_from_the_ack) {
  const std::string tag = answered_call();
  const sip::Message again = request("INVITE", tag);
  ann.inject(again.serialize());
  const sip::Message answer = ann.sent("SIP/2.0 200");
  EXPECT_NE(answer.body().find("opus/48000/2"), std::string_view::npos) << "all that we know";
  std::string other(kOffer);
  other.replace(other.find("audio 40 RTP/AVP 0"), 18, "audio 80 RTP/AVP 8");
  sip::Message ack = request("ACK", tag);
  ack.set(HeaderId::cseq, std::to_string(again.cseq()->number) + " ACK");
  ack.set_body(other, "application/sdp");
  ann.inject(ack.serialize());
  EXPECT_EQ(ann.media.back().codec, "PCMA/8000");
  EXPECT_EQ(ann.media.back().remote_channel, 80);
}

TEST_F(Asked, ack_without_the_owed_answer_ends_the_call) {
  const sip::Message late = request("INVITE");
  ann.inject(late.serialize());
  ASSERT_TRUE(ann.answer(ann.incoming()));
  sip::Message ack = request("ACK", ann.sent("SIP/2.0 200").to_tag());
  ack.set(HeaderId::cseq, std::to_string(late.cseq()->number) + " ACK");
  ann.inject(ack.serialize());
  EXPECT_EQ(ann.last().state, CallState::ended);
  EXPECT_EQ(ann.last().cause, EndCause::failed);
  EXPECT_EQ(ann.count_sent("BYE "), 1u);
}

TEST_F(Asked, second_invite_or_offer_while_it_rings_is_put_off) {
  ann.inject(invite().serialize());
  const std::string tag = ann.sent("SIP/2.0 180").to_tag();
  sip::Message again = request("INVITE", tag);
  again.set_body(kOffer, "application/sdp");
  sip::Message answer = exchange(again);
  EXPECT_EQ(answer.status(), 500);
  EXPECT_TRUE(answer.has(HeaderId::retry_after));
  sip::Message update = request("UPDATE", tag);
  update.set_body(kOffer, "application/sdp");
  EXPECT_EQ(exchange(update).status(), 500);
  EXPECT_TRUE(ann.answer(ann.incoming())) << "the call itself is unharmed";
}

TEST_F(Asked, unusable_re_invite_leaves_the_call_as_it_was) {
  const std::string tag = answered_call();
  sip::Message fax = request("INVITE", tag);
  fax.set_body(
      "v=0\r\no=- 7 2 IN IP4 192.0.0.8\r\ns=-\r\nc=IN IP4 192.0.0.8\r\nt=0 0\r\n"
      "m=image 44 udptl t38\r\n",
      "application/sdp");
  EXPECT_EQ(exchange(fax).status(), 488);
  EXPECT_EQ(ann.state(), CallState::connected);
  EXPECT_EQ(ann.media.size(), 1u);
}

TEST_F(Asked, request_out_of_order_gets_500) {
  const std::string tag = answered_call();
  sip::Message old = request("INFO", tag);
  old.set(HeaderId::cseq, "1 INFO");
  cseq += 5;
  EXPECT_EQ(exchange(request("INFO", tag)).status(), 200);
  EXPECT_EQ(exchange(old).status(), 500);
}

TEST_F(Asked, bye_while_it_rings_ends_the_invite_too) {
  ann.inject(invite().serialize());
  const std::string tag = ann.sent("SIP/2.0 180").to_tag();
  ann.inject(request("BYE", tag).serialize());
  EXPECT_EQ(ann.count_sent("SIP/2.0 487"), 1u);
  EXPECT_EQ(ann.last().state, CallState::ended);
  EXPECT_EQ(ann.last().cause, EndCause::remote);
}

TEST_F(Asked, bye_says_why_when_it_carries_a_reason) {
  const std::string tag = answered_call();
  sip::Message bye = request("BYE", tag);
  bye.add(HeaderId::reason, "SIP;cause=408;text=\"Media timeout\"");
  EXPECT_EQ(exchange(bye).status(), 200);
  EXPECT_EQ(ann.last().reason, "Media timeout");
}

TEST_F(Asked, broken_requests_are_told_so) {
  sip::Message broken = request("OPTIONS");
  broken.set(HeaderId::cseq, "1 INVITE");
  ann.inject(broken.serialize());
  EXPECT_EQ(ann.sent("").status(), 400);
  EXPECT_EQ(ann.agent.malformed(), 1u);
  const std::size_t before = ann.sent_messages.size();
  ann.inject("rubbish");
  ann.inject("");
  EXPECT_EQ(ann.sent_messages.size(), before);
  EXPECT_EQ(ann.agent.malformed(), 3u);
}

}  // namespace
}  // namespace isthmus::ua
