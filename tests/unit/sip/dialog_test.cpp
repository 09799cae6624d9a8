#include "sip/dialog.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace isthmus::sip {
namespace {

using testing::ElementsAre;

Message invite(std::string_view uri = "sip:bob@example.org") {
  Message request = Message::request("INVITE", uri);
  request.add(HeaderId::via, "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx");
  request.add(HeaderId::max_forwards, "70");
  request.add(HeaderId::from, "\"Alice\" <sip:alice@example.org>;tag=alice");
  request.add(HeaderId::to, "Bob <sip:bob@example.org>");
  request.add(HeaderId::call_id, "c1@192.0.2.1");
  request.add(HeaderId::cseq, "314 INVITE");
  request.add(HeaderId::contact, "<sip:alice@192.0.2.1:5070;transport=udp>");
  return request;
}

Message answer(const Message& request, int status = 200) {
  Message response = Message::response_to(request, status, {}, "bob");
  response.add(HeaderId::contact, "<sip:bob@198.51.100.7>");
  return response;
}

TEST(Dialog, the_caller_takes_its_state_from_the_response) {
  Message request = invite();
  Message response = answer(request);
  response.add(HeaderId::record_route,
               "<sip:p3.example.org;lr>, <sip:p2.example.org;lr;x=\"a,b\">");
  response.add(HeaderId::record_route, "<sip:p1.example.org;lr>");
  Dialog dialog = Dialog::as_uac(request, response);
  EXPECT_EQ(dialog.call_id, "c1@192.0.2.1");
  EXPECT_EQ(dialog.local_tag, "alice");
  EXPECT_EQ(dialog.remote_tag, "bob");
  EXPECT_EQ(dialog.local_party, "\"Alice\" <sip:alice@example.org>;tag=alice");
  EXPECT_EQ(dialog.remote_party, "Bob <sip:bob@example.org>;tag=bob");
  EXPECT_EQ(dialog.remote_target, "sip:bob@198.51.100.7");
  EXPECT_EQ(dialog.local_cseq, 314u);
  EXPECT_EQ(dialog.remote_cseq, 0u);
  EXPECT_FALSE(dialog.secure);
  EXPECT_THAT(dialog.route_set,
              ElementsAre("<sip:p1.example.org;lr>", "<sip:p2.example.org;lr;x=\"a,b\">",
                          "<sip:p3.example.org;lr>"))
      << "reversed (RFC 3261 §12.1.2)";
}

TEST(Dialog, the_called_party_takes_its_state_from_the_request) {
  Message request = invite("sips:bob@example.org");
  request.add(HeaderId::record_route, "<sip:p2.example.org;lr>");
  request.add(HeaderId::record_route, "<sip:p1.example.org;lr>");
  Dialog dialog = Dialog::as_uas(request, "bob");
  EXPECT_EQ(dialog.local_tag, "bob");
  EXPECT_EQ(dialog.remote_tag, "alice");
  EXPECT_EQ(dialog.local_party, "Bob <sip:bob@example.org>;tag=bob");
  EXPECT_EQ(dialog.remote_party, "\"Alice\" <sip:alice@example.org>;tag=alice");
  EXPECT_EQ(dialog.remote_target, "sip:alice@192.0.2.1:5070;transport=udp");
  EXPECT_EQ(dialog.remote_cseq, 314u);
  EXPECT_EQ(dialog.local_cseq, 0u);
  EXPECT_TRUE(dialog.secure);
  EXPECT_THAT(dialog.route_set, ElementsAre("<sip:p2.example.org;lr>", "<sip:p1.example.org;lr>"))
      << "in order (RFC 3261 §12.1.1)";
}

TEST(Dialog, an_early_response_without_contact_is_reached_as_the_request_was) {
  Message request = invite();
  Dialog dialog = Dialog::as_uac(request, Message::response_to(request, 180, {}, "bob"));
  EXPECT_EQ(dialog.remote_target, "sip:bob@example.org");
}

TEST(Dialog, both_sides_of_a_dialog_understand_each_other) {
  Message request = invite();
  Dialog caller = Dialog::as_uac(request, answer(request));
  Dialog called = Dialog::as_uas(request, "bob");
  Message bye = caller.request("BYE");
  bye.add(HeaderId::via, "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKy");
  EXPECT_FALSE(bye.check());
  EXPECT_EQ(bye.request_uri(), "sip:bob@198.51.100.7");
  EXPECT_EQ(bye.get(HeaderId::cseq), "315 BYE");
  EXPECT_EQ(bye.get(HeaderId::max_forwards), "70");
  EXPECT_TRUE(called.matches(bye));
  EXPECT_FALSE(caller.matches(bye));
  Message back = called.request("INFO");
  EXPECT_EQ(back.get(HeaderId::cseq), "1 INFO");
  EXPECT_TRUE(caller.matches(back));
  Message other = caller.request("BYE");
  other.set(HeaderId::call_id, "c2");
  EXPECT_FALSE(called.matches(other));
}

TEST(Dialog, an_ack_bears_the_number_of_its_invite_and_counts_nothing) {
  Message request = invite();
  Dialog dialog = Dialog::as_uac(request, answer(request));
  dialog.request("INFO");
  EXPECT_EQ(dialog.request("ACK", 314).get(HeaderId::cseq), "314 ACK");
  EXPECT_EQ(dialog.local_cseq, 315u);
  EXPECT_EQ(dialog.request("INVITE").get(HeaderId::cseq), "316 INVITE");
  EXPECT_EQ(dialog.request("ACK").get(HeaderId::cseq), "316 ACK");
}

TEST(Dialog, loose_routers_stand_in_route_and_the_target_in_the_request_uri) {
  Dialog dialog;
  dialog.remote_target = "sip:bob@198.51.100.7";
  dialog.route_set = {"\"P\" <sip:p1.example.org;lr>", "<sip:p2.example.org>"};
  Message request = dialog.request("BYE");
  EXPECT_EQ(request.request_uri(), "sip:bob@198.51.100.7");
  EXPECT_THAT(request.fields(HeaderId::route),
              ElementsAre("\"P\" <sip:p1.example.org;lr>", "<sip:p2.example.org>"));
}

TEST(Dialog, a_strict_router_stands_in_the_request_uri_and_the_target_last_in_route) {
  Dialog dialog;
  dialog.remote_target = "sip:bob@198.51.100.7";
  dialog.route_set = {"<sip:p1.example.org;method=INVITE?Subject=x>", "<sip:p2.example.org;lr>"};
  Message request = dialog.request("BYE");
  EXPECT_EQ(request.request_uri(), "sip:p1.example.org")
      << "§12.2.1.1: what a Request-URI may not bear goes";
  EXPECT_THAT(request.fields(HeaderId::route),
              ElementsAre("<sip:p2.example.org;lr>", "<sip:bob@198.51.100.7>"));
  EXPECT_EQ(dialog.route_set.size(), 2u) << "the route set itself stays";
}

TEST(Dialog, the_target_keeps_its_spelling_but_for_what_a_request_uri_may_not_bear) {
  Dialog dialog;
  dialog.remote_target = "sip:Bob%20X@HOST;Transport=TCP;ob";
  EXPECT_EQ(dialog.request("BYE").request_uri(), "sip:Bob%20X@HOST;Transport=TCP;ob");
  dialog.remote_target = "tel:+123";
  EXPECT_EQ(dialog.request("BYE").request_uri(), "tel:+123");
  dialog.remote_target = "sip:bob@host?Replaces=x";
  EXPECT_EQ(dialog.request("BYE").request_uri(), "sip:bob@host");
}

TEST(Dialog, a_target_refresh_moves_the_remote_target_and_nothing_else) {
  Message request = invite();
  Dialog dialog = Dialog::as_uac(request, answer(request));
  dialog.route_set = {"<sip:p1.example.org;lr>"};
  Message update = Message::request("UPDATE", "sip:x");
  update.add(HeaderId::record_route, "<sip:evil.example.org;lr>");
  update.add(HeaderId::contact, "<sip:bob@203.0.113.5:5080>;+sip.instance=\"x\"");
  dialog.refresh_target(update);
  EXPECT_EQ(dialog.remote_target, "sip:bob@203.0.113.5:5080");
  EXPECT_THAT(dialog.route_set, ElementsAre("<sip:p1.example.org;lr>"));
  dialog.refresh_target(Message::response(200));
  EXPECT_EQ(dialog.remote_target, "sip:bob@203.0.113.5:5080") << "no Contact, no change";
}

TEST(Dialog, requests_out_of_order_are_refused) {
  Dialog dialog;
  EXPECT_TRUE(dialog.accept_remote_cseq(10)) << "none seen yet";
  EXPECT_TRUE(dialog.accept_remote_cseq(12)) << "gaps are allowed";
  EXPECT_FALSE(dialog.accept_remote_cseq(11));
  EXPECT_EQ(dialog.remote_cseq, 12u);
  EXPECT_TRUE(dialog.accept_remote_cseq(13));
}

}  // namespace
}  // namespace isthmus::sip
