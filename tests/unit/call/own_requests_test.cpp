// Requests of our own: where they go, what comes back, and that each ends exactly once.
#include <gtest/gtest.h>

#include "call/bridge.hpp"
#include "support/fake_media_plane.hpp"

namespace isthmus::call {
namespace {

using sip::HeaderId;

struct OutcomeRouter final : Router {
  std::vector<std::pair<HopOutcome, unsigned>> outcomes;
  Route route(const sip::Message&, const sip::Flow&, Instant) override { return RouteRejection{}; }
  bool follows_targets(const sip::Flow&) const override { return true; }
  std::string owner_of(const sip::Flow& flow) const override { return flow.to_string(); }
  void on_outcome(const sip::Flow&, HopOutcome outcome, unsigned retry_after_s, Instant) override {
    outcomes.emplace_back(outcome, retry_after_s);
  }
};

struct OwnRequestsTest : testing::Test {
  const sip::Flow first = sip::Flow::udp(*Endpoint::parse("198.51.100.1:5060"));
  const sip::Flow second{sip::Transport::tcp, *Endpoint::parse("198.51.100.2:5060"), 0, 0};
  Instant now{std::chrono::hours(1)};
  SeededRandom random{3};
  BindingTable bindings{Bytes(32, 7)};
  sim::FakeMediaPlane media{*IpAddress::parse("192.0.2.1")};
  OutcomeRouter router;
  BridgeConfig config = [] {
    BridgeConfig made;
    made.network_sent_by = {"192.0.2.1:5060"};
    return made;
  }();
  Bridge bridge{config, router, media, bindings, nullptr, random};
  std::vector<std::pair<sip::Flow, sip::Message>> sent;
  std::vector<OwnResponse> ended;

  static sip::Message options() {
    sip::Message request = sip::Message::request("OPTIONS", "sip:example.org");
    request.add(HeaderId::max_forwards, "70");
    request.add(HeaderId::from, "<sip:isthmus@example.org>;tag=1");
    request.add(HeaderId::to, "<sip:example.org>");
    request.add(HeaderId::call_id, "probe-1");
    request.add(HeaderId::cseq, "7 OPTIONS");
    request.add(HeaderId::contact, "<sip:unset.invalid>;expires=600;q=0.5");
    return request;
  }
  OwnRequestId send(std::vector<sip::Flow> flows, std::string token = {}) {
    Actions actions;
    OwnRequestId id =
        bridge.send_own({options(), std::move(flows), std::move(token)}, now, actions);
    take(actions);
    return id;
  }
  void answer(int status, const char* retry_after = nullptr) {
    sip::Message response = sip::Message::response_to(sent.back().second, status, {}, "t");
    if (retry_after) response.add(HeaderId::retry_after, retry_after);
    Actions actions;
    bridge.on_message(*sip::Message::parse(response.serialize()), sent.back().first, now, actions);
    take(actions);
  }
  void pass(Duration span) {
    Instant end = now + span;
    while (auto next = bridge.next_deadline()) {
      if (*next > end) break;
      now = std::max(now, *next);
      Actions actions;
      bridge.on_timeout(now, actions);
      take(actions);
    }
    now = end;
  }
  void take(Actions& actions) {
    for (Action& action : actions) {
      if (auto* send = std::get_if<SendSip>(&action))
        sent.emplace_back(send->flow, *sip::Message::parse(send->bytes));
      if (auto* own = std::get_if<OwnResponse>(&action)) ended.push_back(std::move(*own));
    }
  }
};

TEST_F(OwnRequestsTest, final_response_ends_it_once_and_provisional_ones_do_not) {
  OwnRequestId id = send({first});
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].first, first);
  answer(100);
  answer(180);
  EXPECT_TRUE(ended.empty());
  answer(404);
  answer(404);
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_EQ(ended[0].id, id);
  EXPECT_EQ(ended[0].flow, first);
  ASSERT_TRUE(ended[0].response);
  EXPECT_EQ(ended[0].response->status(), 404);
  EXPECT_EQ(router.outcomes,
            (std::vector<std::pair<HopOutcome, unsigned>>{{HopOutcome::answered, 0u}}));
}

TEST_F(OwnRequestsTest, contact_is_our_address_on_the_flow_in_use) {
  send({first, second}, "tok");
  EXPECT_EQ(sent.back().second.get(HeaderId::contact),
            "<sip:tok@192.0.2.1:5060>;expires=600;q=0.5");
  answer(503, "20 (a while)");
  ASSERT_EQ(sent.back().first, second);
  EXPECT_EQ(sent.back().second.get(HeaderId::contact),
            "<sip:tok@192.0.2.1:5060;transport=tcp>;expires=600;q=0.5");
  answer(200);
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_EQ(ended[0].flow, second);
  EXPECT_EQ(router.outcomes, (std::vector<std::pair<HopOutcome, unsigned>>{
                                 {HopOutcome::unavailable, 20u}, {HopOutcome::answered, 0u}}));
}

TEST_F(OwnRequestsTest, silence_and_a_dead_transport_move_on_and_then_end_it) {
  send({first, second});
  pass(seconds(33));
  ASSERT_EQ(sent.back().first, second);
  EXPECT_TRUE(ended.empty());
  Actions actions;
  bridge.on_flow_failed(second, now, actions);
  take(actions);
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_FALSE(ended[0].response);
  EXPECT_EQ(ended[0].failure, sip::ClientFailure::transport);
  EXPECT_EQ(router.outcomes[0].first, HopOutcome::timeout);
  EXPECT_EQ(router.outcomes[1].first, HopOutcome::unreachable);
}

TEST_F(OwnRequestsTest, without_any_flow_it_ends_at_once) {
  OwnRequestId id = send({});
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_EQ(ended[0].id, id);
  EXPECT_FALSE(ended[0].response);
}

TEST_F(OwnRequestsTest, forgotten_one_ends_in_silence) {
  OwnRequestId id = send({first});
  bridge.forget_own(id);
  answer(200);
  pass(seconds(40));
  EXPECT_TRUE(ended.empty());
}

}  // namespace
}  // namespace isthmus::call
