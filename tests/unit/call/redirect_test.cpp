// 3xx: handed to the caller, or followed (RFC 3261 §8.1.3.4).
#include "bridge_bench.hpp"

namespace isthmus::call {
namespace {

using sip::HeaderId;

struct RedirectBench : BridgeBench {
  RedirectBench() { router.policies[carol].follow_redirects = true; }

  void redirect(const sip::Message& asked_for, const std::string& contacts, int status = 302) {
    sip::Message moved = response(asked_for, status, "m");
    moved.add(HeaderId::contact, contacts);
    give(moved, carol);
  }
  sip::Message start() {
    give(request("INVITE", "sip:carol@example.org", sdp()), alice);
    return last(carol, "INVITE");
  }
};

TEST_F(RedirectBench, passes_with_its_contacts_when_it_is_not_to_be_followed) {
  router.policies.clear();
  redirect(start(), "\"Desk\" <sip:desk@192.0.2.77:5080;transport=tcp>;q=0.5, <tel:+4930>");
  EXPECT_EQ(last(alice, "INVITE", 302).get(HeaderId::contact),
            "\"Desk\" <sip:desk@192.0.2.77:5080;transport=tcp>;q=0.5, <tel:+4930>");
  expect_nothing_left();
}

TEST_F(RedirectBench, contacts_are_tried_best_first_until_one_answers) {
  router.places["sip:b@other.example"] = {other};
  sip::Message first = start();
  std::size_t ports = media.ends.size();
  redirect(first,
           "<sip:c@nowhere.example>;q=0.1, <sip:b@other.example?Subject=x>;q=0.9, "
           "<tel:+4930>;q=1");
  sip::Message second = last(other, "INVITE");
  EXPECT_EQ(second.request_uri(), "sip:b@other.example");
  EXPECT_FALSE(second.has(HeaderId::subject));
  EXPECT_EQ(media.ends.size(), ports);
  give(response(second, 404, "o1"), other);
  sip::Message third = last(other, "INVITE");
  EXPECT_EQ(third.request_uri(), "sip:c@nowhere.example");  // whoever came last is asked for it
  give(response(third, 200, "o2", sdp()), other);
  EXPECT_EQ(count(alice, "INVITE", 200), 1u);
  EXPECT_EQ(count(alice, "INVITE", 302) + count(alice, "INVITE", 404), 0u);
}

TEST_F(RedirectBench, ringing_before_the_redirection_does_not_keep_it_from_being_followed) {
  sip::Message first = start();
  give(response(first, 180, "c1"), carol);
  redirect(first, "<sip:mailbox@example.org>");
  sip::Message second = last(carol, "INVITE");
  EXPECT_EQ(second.request_uri(), "sip:mailbox@example.org");
  EXPECT_EQ(second.body(), first.body());
  give(response(second, 200, "c2", sdp()), carol);
  EXPECT_EQ(last(alice, "INVITE", 200).to_tag(), "c2");
  give(by_caller(last(alice, "INVITE", 200), "ACK", 1), alice);
  give(by_caller(last(alice, "INVITE", 200), "BYE", 2), alice);
  give(response(last(carol, "BYE"), 200), carol);
  expect_nothing_left();
}

TEST_F(RedirectBench, a_contact_of_our_own_is_the_callers_to_ask) {
  router.own_host = "gateway.example.net";
  redirect(start(), "<sip:desk@gateway.example.net>");
  EXPECT_EQ(last(alice, "INVITE", 302).get(HeaderId::contact), "<sip:desk@gateway.example.net>");
  expect_nothing_left();
  sent.clear();
  router.places["sip:b@other.example"] = {other};
  redirect(start(), "<sip:desk@gateway.example.net>, <sip:b@other.example>;q=0.1");
  EXPECT_EQ(last(other, "INVITE").request_uri(), "sip:b@other.example");
}

TEST_F(RedirectBench, circles_end_with_482) {
  redirect(start(), "<sip:b@example.org>");
  redirect(last(carol, "INVITE"), "<sip:c@example.org>");
  redirect(last(carol, "INVITE"), "<sip:carol@EXAMPLE.org>, <sip:b@example.org>");
  EXPECT_EQ(count(alice, "INVITE", 482), 1u);
  EXPECT_EQ(count(carol, "INVITE"), 3u);
  expect_nothing_left();
}

TEST_F(RedirectBench, endless_redirections_are_cut) {
  sip::Message asked_for = start();
  for (int i = 0; i < 100 && ended.empty(); ++i) {
    redirect(last(carol, "INVITE"), "<sip:u" + std::to_string(i) + "@example.org>");
  }
  EXPECT_EQ(count(carol, "INVITE"), 16u);
  EXPECT_EQ(count(alice, "INVITE", 302), 1u);
  expect_nothing_left();
}

TEST_F(RedirectBench, a_contact_may_have_to_be_looked_up_first) {
  router.lookups["sip:b@other.example"] = "other";
  redirect(start(), "<sip:b@other.example>");
  EXPECT_EQ(lookups_asked, (std::vector<std::string>{"other"}));
  router.places["sip:b@other.example"] = {other, carol};
  lookup_done("other");
  give(response(last(other, "INVITE"), 503, "o1"), other);  // its second address
  EXPECT_EQ(last(carol, "INVITE").request_uri(), "sip:b@other.example");
  give(response(last(carol, "INVITE"), 200, "c1", sdp()), carol);
  EXPECT_EQ(count(alice, "INVITE", 200), 1u);
}

TEST_F(RedirectBench, cancel_while_the_contact_is_looked_up) {
  router.lookups["sip:b@other.example"] = "other";
  sip::Message invited = request("INVITE", "sip:carol@example.org", sdp());
  give(invited, alice);
  redirect(last(carol, "INVITE"), "<sip:b@other.example>");
  give(cancel_of(invited), alice);
  EXPECT_EQ(count(alice, "INVITE", 487), 1u);
  router.places["sip:b@other.example"] = {other};
  lookup_done("other");
  EXPECT_EQ(count(other, "INVITE"), 0u);
  expect_nothing_left();
}

TEST_F(RedirectBench, a_name_that_is_not_found_in_time_is_asked_of_the_provider) {
  router.lookups["sip:b@other.example"] = "other";
  redirect(start(), "<sip:b@other.example>");
  pass(seconds(6));
  EXPECT_EQ(last(carol, "INVITE").request_uri(), "sip:b@other.example");
}

TEST_F(RedirectBench, use_proxy_and_others_pass) {
  for (int status : {305, 380}) {
    redirect(start(), "<sip:proxy@192.0.2.9>", status);
    EXPECT_EQ(count(alice, "INVITE", status), 1u);
  }
}

/// Requests without a dialog were left where the redirection found them.
TEST_F(RedirectBench, message_goes_to_the_contacts_too_best_first_until_one_takes_it) {
  router.places["sip:b@other.example"] = {other};
  give(request("MESSAGE", "sip:carol@example.org"), alice);
  redirect(last(carol, "MESSAGE"), "<sip:c@nowhere.example>;q=0.1, <sip:b@other.example>;q=0.9");
  sip::Message second = last(other, "MESSAGE");
  EXPECT_EQ(second.request_uri(), "sip:b@other.example");
  give(response(second, 404, "o1"), other);
  sip::Message third = last(other, "MESSAGE");
  EXPECT_EQ(third.request_uri(), "sip:c@nowhere.example");
  give(response(third, 200, "o2"), other);
  EXPECT_EQ(count(alice, "MESSAGE", 200), 1u);
  EXPECT_EQ(count(alice, "MESSAGE", 302) + count(alice, "MESSAGE", 404), 0u);
  expect_nothing_left();
}

TEST_F(RedirectBench, message_whose_contacts_all_fail_gets_what_the_best_of_them_said) {
  give(request("MESSAGE", "sip:carol@example.org"), alice);
  redirect(last(carol, "MESSAGE"), "<sip:b@example.org>, <sip:c@example.org>");
  give(response(last(carol, "MESSAGE"), 486, "b"), carol);
  EXPECT_EQ(last(carol, "MESSAGE").request_uri(), "sip:c@example.org");
  flow_failed(carol);
  EXPECT_EQ(count(alice, "MESSAGE", 486), 1u);
  expect_nothing_left();
}

TEST_F(RedirectBench, options_sent_in_a_circle_end_with_482) {
  give(request("OPTIONS", "sip:carol@example.org"), alice);
  redirect(last(carol, "OPTIONS"), "<sip:b@example.org>");
  redirect(last(carol, "OPTIONS"), "<sip:carol@example.org>");
  EXPECT_EQ(count(alice, "OPTIONS", 482), 1u);
  EXPECT_EQ(bridge.counters().loops, 1u);
  expect_nothing_left();
}

TEST_F(RedirectBench, message_waits_for_the_address_of_a_contact) {
  router.lookups["sip:b@far.example"] = "far";
  give(request("MESSAGE", "sip:carol@example.org"), alice);
  redirect(last(carol, "MESSAGE"), "<sip:b@far.example>");
  EXPECT_EQ(lookups_asked, std::vector<std::string>{"far"});
  EXPECT_EQ(count(carol, "MESSAGE"), 1u);
  router.places["sip:b@far.example"] = {other};
  lookup_done("far");
  give(response(last(other, "MESSAGE"), 202, "o"), other);
  EXPECT_EQ(count(alice, "MESSAGE", 202), 1u);
  // Who asked may be gone by then.
  router.places.clear();
  give(request("MESSAGE", "sip:carol@example.org"), alice);
  redirect(last(carol, "MESSAGE"), "<sip:b@far.example>");
  close_session(1);
  lookup_done("far");
  EXPECT_EQ(count(other, "MESSAGE"), 1u);
}

TEST_F(RedirectBench, redirected_message_passes_where_it_is_not_to_be_followed) {
  router.policies.clear();
  give(request("MESSAGE", "sip:carol@example.org"), alice);
  redirect(last(carol, "MESSAGE"), "<sip:b@other.example>");
  EXPECT_EQ(last(alice, "MESSAGE", 302).contact()->uri, "sip:b@other.example");
}

}  // namespace
}  // namespace isthmus::call
