// What phones and providers do though no RFC says so, and forgeries that look like it.
#include "bridge_bench.hpp"

namespace isthmus::call {
namespace {

using sip::HeaderId;

using PeerHabits = BridgeBench;

TEST_F(PeerHabits, a_dialog_request_with_a_wrong_tag_on_either_side_gets_481) {
  sip::Message ok = answered_call();
  sip::Message to_tag = by_callee(invite, "c1", "BYE", 1);
  to_tag.set(HeaderId::to, "<sip:alice@example.org>;tag=wrong");
  sip::Message from_tag = by_caller(ok, "BYE", 2);
  from_tag.set(HeaderId::from, "<sip:alice@example.org>;tag=wrong");
  give(to_tag, carol);
  give(from_tag, alice);
  EXPECT_EQ(count(carol, "BYE", 481), 1u);
  EXPECT_EQ(count(alice, "BYE", 481), 1u);
  EXPECT_EQ(count(carol, "BYE"), 0u);
  EXPECT_EQ(count(alice, "BYE"), 0u);
  EXPECT_EQ(bridge.call_count(), 1u);
  give(by_caller(ok, "BYE", 3), alice);
  give(response(last(carol, "BYE"), 200), carol);
  expect_nothing_left();
}

TEST_F(PeerHabits, a_caller_that_hangs_up_in_place_of_its_ack_leaves_the_callee_acknowledged) {
  give(request("INVITE", "sip:carol@example.org", sdp()), alice);
  invite = last(carol, "INVITE");
  give(response(invite, 200, "c1", sdp()), carol);
  sip::Message ok = last(alice, "INVITE", 200);
  give(by_caller(ok, "BYE", 2), alice);
  sip::Message ack = last(carol, "ACK"), bye = last(carol, "BYE");
  EXPECT_EQ(ack.cseq()->number, 1u);
  EXPECT_EQ(ack.to_tag(), "c1");
  EXPECT_EQ(bye.cseq()->number, 2u);
  give(response(bye, 200), carol);
  EXPECT_EQ(count(alice, "BYE", 200), 1u);
  expect_nothing_left();
}

TEST_F(PeerHabits, a_callee_without_contact_is_reached_as_the_invite_was) {
  give(request("INVITE", "sip:carol@example.org", sdp()), alice);
  invite = last(carol, "INVITE");
  sip::Message answer = response(invite, 200, "c1", sdp());
  answer.remove(HeaderId::contact);
  give(answer, carol);
  sip::Message ok = last(alice, "INVITE", 200);
  ASSERT_TRUE(ok.contact());  // ours: alice finds the dialog by it
  give(by_caller(ok, "ACK", 1), alice);
  EXPECT_EQ(last(carol, "ACK").request_uri(), invite.request_uri());
  close_session(1);
  EXPECT_EQ(last(carol, "BYE").request_uri(), invite.request_uri());
  give(response(last(carol, "BYE"), 200), carol);
  expect_nothing_left();
}

TEST_F(PeerHabits, a_caller_without_contact_is_reached_at_its_from) {
  sip::Message first = request("INVITE", "sip:carol@example.org", sdp());
  first.remove(HeaderId::contact);
  give(first, alice);
  invite = last(carol, "INVITE");
  give(response(invite, 200, "c1", sdp()), carol);
  give(by_caller(last(alice, "INVITE", 200), "ACK", 1), alice);
  give(by_callee(invite, "c1", "BYE", 1), carol);
  EXPECT_EQ(last(alice, "BYE").request_uri(), "sip:alice@example.org");
  give(response(last(alice, "BYE"), 200), alice);
  expect_nothing_left();
}

/// RFC 3261 §8.1.3.3.
TEST_F(PeerHabits, a_response_with_vias_of_others_is_dropped) {
  give(request("INVITE", "sip:carol@example.org", sdp()), alice);
  invite = last(carol, "INVITE");
  sip::Message two_fields = response(invite, 486, "c1"), one_field = two_fields;
  two_fields.add(HeaderId::via, "SIP/2.0/UDP 203.0.113.9;branch=z9hG4bKother");
  one_field.set(HeaderId::via, std::string(*invite.get(HeaderId::via)) +
                                   ", SIP/2.0/UDP 203.0.113.9;branch=z9hG4bKother");
  give(two_fields, carol);
  give(one_field, carol);
  sip::Message another = response(invite, 486, "c1");  // §18.1.2: one that is not ours at all
  std::string via(*invite.get(HeaderId::via));
  another.set(HeaderId::via, via.replace(via.find("192.0.2.1"), 9, "192.0.2.10"));
  give(another, carol);
  EXPECT_EQ(count(alice, "INVITE", 486), 0u);
  EXPECT_EQ(bridge.counters().misrouted_responses, 3u);
  give(response(invite, 486, "c1"), carol);
  EXPECT_EQ(count(alice, "INVITE", 486), 1u);
  expect_nothing_left();
}

TEST_F(PeerHabits, a_notify_answered_481_ends_its_subscription) {
  sip::Message subscribe = request("SUBSCRIBE", "sip:carol@example.org");
  subscribe.add(HeaderId::event, "presence");
  give(subscribe, alice);
  sip::Message subscribed = last(carol, "SUBSCRIBE");
  sip::Message ok = response(subscribed, 200, "c1");
  ok.add(HeaderId::expires, "3600");
  give(ok, carol);
  sip::Message notify = by_callee(subscribed, "c1", "NOTIFY", 1);
  notify.add(HeaderId::event, "presence");
  notify.add(HeaderId::subscription_state, "active");
  give(notify, carol);
  give(response(last(alice, "NOTIFY"), 481), alice);
  EXPECT_EQ(count(carol, "NOTIFY", 481), 1u);
  EXPECT_EQ(bridge.call_count(), 0u);
  expect_nothing_left();
}

/// RFC 3261 §8.2.3: what is compressed cannot be read, and is not malformed.
TEST_F(PeerHabits, a_compressed_description_is_refused_with_415) {
  for (const char* uri : {"sip:carol@example.org", "sip:echo@example.org"}) {
    sip::Message call = request("INVITE", uri, "\x1f\x8b...");
    call.add("Content-Encoding", "gzip");
    const std::size_t before = count(alice, "INVITE", 415);
    give(call, alice);
    EXPECT_EQ(count(alice, "INVITE", 415), before + 1) << uri;
    EXPECT_EQ(last(alice, "INVITE", 415).get("Accept-Encoding"), "identity");
    EXPECT_FALSE(last(alice, "INVITE", 415).has(HeaderId::retry_after));
  }
  sip::Message ok = answered_call();
  sip::Message update = by_caller(ok, "UPDATE", 2, "\x1f\x8b...");
  update.add("Content-Encoding", "gzip");
  give(update, alice);
  EXPECT_EQ(last(alice, "UPDATE", 415).get("Accept-Encoding"), "identity");
  sip::Message again = by_caller(ok, "UPDATE", 3, sdp());
  again.add("Content-Encoding", "identity");
  give(again, alice);
  EXPECT_EQ(count(carol, "UPDATE"), 1u);  // of the second: nothing is left of the first's offer
  sip::Message note = by_caller(ok, "INFO", 4);
  note.set_body("\x1f\x8b...", "application/x-note");
  note.add("Content-Encoding", "gzip");
  give(note, alice);
  EXPECT_EQ(count(carol, "INFO"), 1u);  // which nobody here has to read
}

/// RFC 3261 §8.2.1, §8.2.3, §15.1.2: what a user agent server owes who asks it for what it has not.
TEST_F(PeerHabits, services_say_what_they_take_instead) {
  const char* echo = "sip:echo@example.org";
  give(request("MESSAGE", echo), alice);
  EXPECT_TRUE(last(alice, "MESSAGE", 405).lists(HeaderId::allow, "UPDATE"));
  for (const char* method : {"BYE", "PRACK", "UPDATE", "INFO"}) {
    for (const char* uri : {echo, "sip:carol@example.org"}) give(request(method, uri), alice);
    EXPECT_EQ(count(alice, method, 481), 2u) << method;
    EXPECT_EQ(count(carol, method), 0u) << method;
  }
  sip::Message call = request("INVITE", echo);
  call.set_body("hello", "text/plain");
  give(call, alice);
  EXPECT_TRUE(last(alice, "INVITE", 415).lists(HeaderId::accept, "application/sdp"));
  call = request("INVITE", echo);
  call.set_body("hello", "text/plain");
  call.add("Content-Disposition", "render;handling=optional");
  give(call, alice);
  EXPECT_EQ(count(alice, "INVITE", 200), 1u);
}

TEST_F(PeerHabits, a_service_finds_the_offer_in_a_multipart_body) {
  sip::Message call = request("INVITE", "sip:echo@example.org");
  call.set_body(
      "--b\r\nContent-Type: text/plain\r\n\r\nhi\r\n--b\r\nContent-Type: "
      "application/sdp\r\n\r\n" +
          sdp() + "\r\n--b--\r\n",
      "multipart/mixed;boundary=b");
  give(call, alice);
  sip::Message ok = last(alice, "INVITE", 200);
  EXPECT_EQ(ok.body().find("101"), std::string_view::npos) << "an answer, not an offer of ours";
  give(by_caller(ok, "ACK", 1), alice);
  EXPECT_EQ(count(alice, "BYE"), 0u);
  give(by_caller(ok, "UPDATE", 2), alice);
  EXPECT_EQ(last(alice, "UPDATE", 200).contact()->uri, ok.contact()->uri);  // RFC 3311 §5.2
  give(by_caller(ok, "BYE", 3), alice);
  expect_nothing_left();
}

TEST_F(PeerHabits, a_method_that_is_refused_by_routing_is_told_the_others) {
  router.decide = [](const sip::Message&) { return RouteRejection{405, "Not here", 0}; };
  give(request("REGISTER", "sip:example.org"), carol);
  EXPECT_TRUE(last(carol, "REGISTER", 405).lists(HeaderId::allow, "INVITE"));
  EXPECT_FALSE(last(carol, "REGISTER", 405).lists(HeaderId::allow, "REGISTER"));
}

struct OptionsToUs : BridgeBench {
  OptionsToUs() {
    router.decide = [](const sip::Message& request) -> std::optional<Route> {
      auto uri = sip::Uri::parse(request.request_uri());
      if (uri && uri->user.empty()) return RouteToService{MediaService::echo};
      return std::nullopt;
    };
  }
};

/// RFC 3261 §11.2: as an INVITE through the gateway would be answered, not as one to a service.
TEST_F(OptionsToUs, tell_what_is_carried) {
  give(request("OPTIONS", "sip:192.0.2.1"), alice);
  sip::Message ours = last(alice, "OPTIONS", 200);
  for (const char* method : {"PRACK", "REFER", "SUBSCRIBE", "NOTIFY", "MESSAGE", "PUBLISH"})
    EXPECT_TRUE(ours.lists(HeaderId::allow, method)) << method;
  for (const char* option : {"100rel", "timer", "replaces"})
    EXPECT_TRUE(ours.lists(HeaderId::supported, option)) << option;
  EXPECT_EQ(ours.get("Accept-Encoding"), "identity");
  EXPECT_EQ(ours.get("Accept-Language"), "en");
  give(request("OPTIONS", "sip:echo@192.0.2.1"), alice);
  sip::Message service = last(alice, "OPTIONS", 200);
  EXPECT_TRUE(service.lists(HeaderId::allow, "NOTIFY"));
  EXPECT_FALSE(service.lists(HeaderId::allow, "REFER"));
  EXPECT_FALSE(service.lists(HeaderId::supported, "100rel"));
}

/// §16.3 step 3 is about requests that go on: session border controllers ping so.
TEST_F(OptionsToUs, need_no_hop_more) {
  for (const char* uri : {"sip:192.0.2.1", "sip:carol@example.org"}) {
    sip::Message options = request("OPTIONS", uri);
    options.set(HeaderId::max_forwards, "0");
    give(options, alice);
  }
  EXPECT_EQ(count(alice, "OPTIONS", 200), 1u);
  EXPECT_EQ(count(alice, "OPTIONS", 483), 1u);
  EXPECT_EQ(count(carol, "OPTIONS"), 0u);
}

}  // namespace
}  // namespace isthmus::call
