// Outgoing calls to an end that is played by hand: forks, challenges, early media, refusals.
#include "sip/digest.hpp"
#include "ua_support.hpp"

namespace isthmus::ua {
namespace {

using sip::HeaderId;

constexpr const char* kAnswer =
    "v=0\r\no=- 9 1 IN IP4 192.0.0.8\r\ns=-\r\nc=IN IP4 192.0.0.8\r\nt=0 0\r\n"
    "m=audio 60 RTP/AVP 0\r\n";
constexpr const char* kOtherAnswer =
    "v=0\r\no=- 8 1 IN IP4 192.0.0.8\r\ns=-\r\nc=IN IP4 192.0.0.8\r\nt=0 0\r\n"
    "m=audio 70 RTP/AVP 8\r\n";

struct Calling : Alone {
  CallId id = 0;
  Calling() {
    const auto called = ann.call("ben");
    EXPECT_TRUE(called);
    if (called) id = *called;
  }
};

TEST_F(Calling, early_media_is_heard_before_the_answer) {
  respond("INVITE", 183, "t1", kAnswer);
  EXPECT_EQ(ann.state(), CallState::early_media);
  ASSERT_EQ(ann.media.size(), 1u);
  respond("INVITE", 200, "t1", kAnswer);
  EXPECT_EQ(ann.state(), CallState::connected);
  EXPECT_EQ(ann.media.size(), 1u) << "nothing changed";
}

TEST_F(Calling, answer_without_description_after_early_media_holds_what_was_agreed) {
  respond("INVITE", 183, "t1", kAnswer);
  respond("INVITE", 200, "t1");
  EXPECT_EQ(ann.state(), CallState::connected);
}

TEST_F(Calling, forked_early_media_gives_way_to_the_branch_that_answers) {
  respond("INVITE", 183, "t1", kAnswer);
  respond("INVITE", 183, "t2", kOtherAnswer);
  respond("INVITE", 200, "t1", kAnswer);
  EXPECT_EQ(ann.state(), CallState::connected);
  EXPECT_EQ(ann.media.back().remote_channel, 60);
  EXPECT_EQ(ann.sent("ACK ").to_tag(), "t1");
}

TEST_F(Calling, second_branch_that_answers_is_acknowledged_and_ended) {
  respond("INVITE", 200, "t1", kAnswer);
  respond("INVITE", 200, "t2", kOtherAnswer);
  EXPECT_EQ(ann.state(), CallState::connected);
  EXPECT_EQ(ann.sent("BYE ").to_tag(), "t2");
  EXPECT_EQ(ann.count_sent("ACK "), 2u);
  EXPECT_EQ(ann.media.back().remote_channel, 60) << "the first branch keeps the call";
}

TEST_F(Calling, repeated_2xx_gets_the_same_ack) {
  respond("INVITE", 200, "t1", kAnswer);
  const std::string ack = ann.sent("ACK ").serialize();
  respond("INVITE", 200, "t1", kAnswer);
  EXPECT_EQ(ann.count_sent("ACK "), 2u);
  EXPECT_EQ(ann.sent("ACK ").serialize(), ack);
  EXPECT_EQ(ann.changes.back().state, CallState::connected);
}

TEST_F(Calling, ack_follows_record_routes_to_the_contact) {
  respond("INVITE", 200, "t1", kAnswer, {{"Record-Route", "<sip:edge.invalid;lr>"}});
  const sip::Message ack = ann.sent("ACK ");
  EXPECT_EQ(ack.request_uri(), "sip:ben@gateway.invalid;transport=tls");
  EXPECT_EQ(ack.get(HeaderId::route), "<sip:edge.invalid;lr>");
  EXPECT_EQ(ack.cseq()->number, 1u);
}

TEST_F(Calling, useless_answer_ends_the_call_in_words) {
  respond("INVITE", 200, "t1", "v=0\r\nbroken\r\n");
  EXPECT_EQ(ann.last().state, CallState::ended);
  EXPECT_EQ(ann.last().cause, EndCause::failed);
  EXPECT_EQ(ann.count_sent("ACK "), 1u);
  EXPECT_EQ(ann.count_sent("BYE "), 1u);
  EXPECT_NE(ann.last().reason.find("SDP"), std::string::npos) << ann.last().reason;
}

TEST_F(Calling, refusals_name_status_phrase_and_reason) {
  respond("INVITE", 503, "t1", {}, {{"Reason", "Q.850;cause=34;text=\"no circuit\""}});
  EXPECT_EQ(ann.last().state, CallState::ended);
  EXPECT_EQ(ann.last().status, 503);
  EXPECT_EQ(ann.last().reason, "503 Service Unavailable (no circuit)");
  EXPECT_EQ(ann.count_sent("ACK "), 1u);
}

TEST_F(Calling, silence_is_a_timeout_after_32_s) {
  world.run_for(seconds(33));
  EXPECT_EQ(ann.last().state, CallState::ended);
  EXPECT_EQ(ann.last().cause, EndCause::timeout);
  EXPECT_EQ(ann.last().status, 408);
}

TEST_F(Calling, forgotten_dialog_ends_the_call) {
  respond("INVITE", 200, "t1", kAnswer);
  EXPECT_TRUE(ann.hold(id));
  respond("INVITE", 481, "t1");
  EXPECT_EQ(ann.last().state, CallState::ended);
  EXPECT_EQ(ann.last().cause, EndCause::failed);
}

TEST_F(Calling, refused_hold_leaves_the_call_as_it_was) {
  respond("INVITE", 200, "t1", kAnswer);
  EXPECT_TRUE(ann.hold(id));
  respond("INVITE", 488, "t1");
  EXPECT_EQ(ann.last().state, CallState::connected);
  EXPECT_EQ(ann.last().status, 488);
  EXPECT_FALSE(ann.last().local_hold);
  EXPECT_TRUE(ann.hold(id)) << "it may be tried again";
  EXPECT_EQ(ann.count_sent("INVITE "), 3u);
}

TEST_F(Calling, re_invite_offers_only_what_is_supported_under_the_numbers_agreed) {
  respond("INVITE", 200, "t1", kAnswer);
  EXPECT_TRUE(ann.hold(id));
  const auto offer = sdp::SessionDescription::parse(ann.sent("INVITE ").body());
  ASSERT_TRUE(offer);
  EXPECT_EQ(offer->media()[0].formats(), (std::vector<std::string>{"111", "0", "8", "110", "101"}));
  EXPECT_EQ(offer->origin_version(), 2u);
  EXPECT_EQ(offer->media()[0].direction(), sdp::Direction::sendonly);
}

TEST_F(Calling, bye_that_meets_a_re_invite_leaves_nothing_behind) {
  respond("INVITE", 200, "t1", kAnswer);
  EXPECT_TRUE(ann.hold(id));
  EXPECT_TRUE(ann.hang_up(id));
  respond("INVITE", 200, "t1", kAnswer);
  EXPECT_EQ(ann.count_sent("ACK "), 2u);
  EXPECT_EQ(ann.count_sent("BYE "), 1u);
  respond("BYE", 200, "t1");
  world.run_for(seconds(70));
  EXPECT_TRUE(ann.agent.quiet());
  EXPECT_FALSE(ann.agent.next_deadline());
}

struct DigestCalling : Alone {
  DigestCalling() {
    UserAgentOptions options = test_options("ann");
    options.digest_password = "secret";
    node.emplace(world, std::move(options), 3);
    node->connected = false;
    node->link_up();
  }
  void answer(std::string_view method, int status, const std::string& sdp = {}) {
    sip::Message response =
        sip::Message::response_to(node->sent(std::string(method) + " "), status, {}, "t1");
    response.add(HeaderId::contact, "<sip:ben@gateway.invalid>");
    if (status == 407) {
      response.add(HeaderId::proxy_authenticate, "Digest realm=\"prov\", nonce=\"n" +
                                                     std::to_string(++nonces) +
                                                     "\", qop=\"auth\", algorithm=SHA-256");
    }
    if (!sdp.empty()) response.set_body(sdp, "application/sdp");
    node->inject(response.serialize());
  }
  int nonces = 0;
  std::optional<UaNode> node;
};

TEST_F(DigestCalling, challenged_invite_is_sent_again_with_credentials) {
  ASSERT_TRUE(node->call("ben"));
  const sip::Message first = node->sent("INVITE ");
  answer("INVITE", 407);
  const sip::Message second = node->sent("INVITE ");
  ASSERT_EQ(node->count_sent("INVITE "), 2u);
  EXPECT_EQ(second.call_id(), first.call_id());
  EXPECT_EQ(second.from_tag(), first.from_tag());
  EXPECT_EQ(second.cseq()->number, 2u);
  EXPECT_EQ(second.body(), first.body());
  const auto given = sip::DigestCredentials::parse(*second.get(HeaderId::proxy_authorization));
  ASSERT_TRUE(given);
  EXPECT_EQ(given->username, "ann");
  const std::string ha1 = sip::digest_ha1(given->algorithm, "ann", "prov", "secret");
  EXPECT_EQ(given->response, sip::digest_response(given->algorithm, ha1, "INVITE", *given));
  answer("INVITE", 200, kAnswer);
  EXPECT_EQ(node->state(), CallState::connected);
  const sip::Message ack = node->sent("ACK ");
  EXPECT_EQ(ack.cseq()->number, 2u);
  EXPECT_TRUE(ack.has(HeaderId::proxy_authorization)) << "RFC 3261 §22.1";
}

TEST_F(DigestCalling, challenged_bye_and_re_invite_are_answered_in_their_dialog) {
  const auto id = node->call("ben");
  answer("INVITE", 407);
  answer("INVITE", 200, kAnswer);
  ASSERT_TRUE(node->hold(*id));
  answer("INVITE", 407);
  EXPECT_EQ(node->sent("INVITE ").cseq()->number, 4u);
  answer("INVITE", 200, kAnswer);
  EXPECT_EQ(node->state(), CallState::held);
  ASSERT_TRUE(node->hang_up(*id));
  EXPECT_EQ(node->sent("BYE ").cseq()->number, 5u);
  answer("BYE", 407);
  EXPECT_EQ(node->count_sent("BYE "), 2u);
  EXPECT_EQ(node->sent("BYE ").cseq()->number, 6u);
  EXPECT_TRUE(node->sent("BYE ").has(HeaderId::proxy_authorization));
}

TEST_F(DigestCalling, refused_credentials_end_the_call) {
  ASSERT_TRUE(node->call("ben"));
  answer("INVITE", 407);
  answer("INVITE", 407);
  EXPECT_EQ(node->count_sent("INVITE "), 2u);
  EXPECT_EQ(node->last().state, CallState::ended);
  EXPECT_EQ(node->last().status, 407);
}

}  // namespace
}  // namespace isthmus::ua
