// Names of other dialogs that cross the bridge: who is told what, with legs that hide each other
// and with legs that do not (docs/dialogs.md).
#include "call/identifier_map.hpp"

#include "base/limits.hpp"
#include "bridge_bench.hpp"

namespace isthmus::call {
namespace {

using sip::HeaderId;

std::string escape(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (std::string_view("@;=").find(c) == std::string_view::npos) {
      out += c;
    } else {
      char hex[4];
      std::snprintf(hex, sizeof hex, "%%%02X", static_cast<unsigned>(c));
      out += hex;
    }
  }
  return out;
}

/// A call as both ends know it.
struct Ends {
  sip::Message near;  ///< the 200 as its caller got it
  sip::Message far;   ///< the INVITE as its callee got it
  std::string far_tag;

  std::string caller_contact() const { return far.contact()->uri; }   ///< as the callee knows it
  std::string callee_contact() const { return near.contact()->uri; }  ///< as the caller knows it
  /// Replaces in the caller's words, for the callee to be replaced in.
  std::string by_caller() const {
    return std::string(near.call_id()) + ";to-tag=" + near.to_tag() +
           ";from-tag=" + near.from_tag();
  }
  /// The same, in the words of the callee's leg.
  std::string at_callee() const {
    return std::string(far.call_id()) + ";to-tag=" + far_tag + ";from-tag=" + far.from_tag();
  }
  /// Replaces that means the caller, in the callee's words and in the caller's.
  std::string by_callee() const {
    return std::string(far.call_id()) + ";to-tag=" + far.from_tag() + ";from-tag=" + far_tag;
  }
  std::string at_caller() const {
    return std::string(near.call_id()) + ";to-tag=" + near.from_tag() +
           ";from-tag=" + near.to_tag();
  }
};

/// With `GetParam()`, every leg hides the others.
struct IdentifierMapTest : BridgeBench, testing::WithParamInterface<bool> {
  IdentifierMapTest() {
    for (const sip::Flow& flow : {carol, other, alice, dave})
      router.policies[flow].topology_hiding = GetParam();
    router.decide = [this](const sip::Message& message) -> std::optional<Route> {
      auto uri = sip::Uri::parse(message.request_uri());
      if (uri && uri->user == "erin") return RouteTargets{{{router.other, {}}}};
      if (uri && uri->user == "alice") return RouteTargets{{{alice, {}}}};
      if (uri && uri->host == "nobody.example") return RouteRejection{404, {}};
      return std::nullopt;
    };
  }
  Ends call(std::string_view uri, const sip::Flow& caller, const sip::Flow& callee,
            std::string_view tag) {
    sip::Message first = request("INVITE", uri, sdp());
    give(first, caller);
    Ends ends{{}, last(callee, "INVITE"), std::string(tag)};
    sip::Message answer = sip::Message::response_to(ends.far, 200, {}, tag);
    answer.add(HeaderId::contact, "<" + contact_of(callee, tag) + ">");
    answer.set_body(sdp(), "application/sdp");
    give(answer, callee);
    ends.near = last(caller, "INVITE", 200);
    give(by_caller(ends.near, "ACK", 1), caller);
    return ends;
  }
  static std::string contact_of(const sip::Flow& flow, std::string_view name) {
    return "sip:" + std::string(name) + "@" +
           (flow.is_link() ? std::string(name) + ".invalid;transport=tls"
                           : flow.remote.to_string());
  }
  /// The caller of `within` refers its callee. @return Refer-To as the callee sees it.
  sip::NameAddr refer(const Ends& within, const std::string& refer_to, const sip::Flow& from,
                      const sip::Flow& to) {
    sip::Message message = by_caller(within.near, "REFER", 2);
    message.add(HeaderId::refer_to, refer_to);
    give(message, from);
    return *sip::NameAddr::parse(*last(to, "REFER").get(HeaderId::refer_to));
  }
  /// What a phone does that was referred: calls the URI with its headers. @return the INVITE as
  /// `to` got it.
  sip::Message follow(const sip::NameAddr& refer_to, const sip::Flow& from, const sip::Flow& to) {
    auto uri = sip::Uri::parse(refer_to.uri);
    std::string headers = uri->headers;
    uri->headers.clear();
    sip::Message invite_message = request("INVITE", uri->to_string(), sdp());
    if (!headers.empty()) {
      EXPECT_EQ(headers.substr(0, 9), "Replaces=");
      invite_message.add(HeaderId::replaces,
                         sip::percent_decode(headers.substr(9, headers.find('&') - 9)));
    }
    give(invite_message, from);
    return last(to, "INVITE");
  }
};

TEST_P(IdentifierMapTest, attended_transfer_to_a_party_of_the_same_provider_names_its_own_words) {
  Ends consult = call("sip:frank@example.org", alice, carol, "frank");
  Ends first = call("sip:carol@example.org", alice, carol, "carol");
  sip::NameAddr seen = refer(
      first, "<" + consult.callee_contact() + "?Replaces=" + escape(consult.by_caller()) + ">",
      alice, carol);
  EXPECT_EQ(seen.uri, "sip:frank@198.51.100.1:5060?Replaces=" + escape(consult.at_callee()));
}

TEST_P(IdentifierMapTest, address_of_record_stays_for_a_party_of_the_same_provider) {
  Ends consult = call("sip:frank@example.org", alice, carol, "frank");
  Ends first = call("sip:carol@example.org", alice, carol, "carol");
  sip::NameAddr seen =
      refer(first,
            "<sip:frank@example.org?Replaces=" + escape(consult.by_caller()) + "&Require=replaces>",
            alice, carol);
  EXPECT_EQ(seen.uri,
            "sip:frank@example.org?Replaces=" + escape(consult.at_callee()) + "&Require=replaces");
}

TEST_P(IdentifierMapTest, attended_transfer_between_two_clients_leads_through_the_gateway) {
  Ends consult = call("sip:carol@example.org", alice, carol, "carol");
  Ends first = call("sip:dave@home.example", alice, dave, "dave");
  sip::NameAddr seen = refer(
      first, "<" + consult.callee_contact() + "?Replaces=" + escape(consult.by_caller()) + ">",
      alice, dave);
  auto uri = sip::Uri::parse(seen.uri);
  EXPECT_EQ(uri->host, "isthmus.invalid");
  EXPECT_NE(uri->user, sip::Uri::parse(consult.callee_contact())->user);
  sip::Message invited = follow(seen, dave, carol);
  EXPECT_EQ(invited.request_uri(), "sip:carol@198.51.100.1:5060");
  EXPECT_EQ(invited.get(HeaderId::replaces), consult.at_callee());
}

TEST_P(IdentifierMapTest, attended_transfer_across_two_providers_leads_through_the_gateway) {
  for (bool by_contact : {true, false}) {
    Ends consult = call("sip:erin@example.net", alice, other, "erin");
    Ends first = call("sip:carol@example.org", alice, carol, "carol");
    std::string to = by_contact ? consult.callee_contact() : "sip:erin@example.net";
    sip::NameAddr seen =
        refer(first, "<" + to + "?Replaces=" + escape(consult.by_caller()) + ">", alice, carol);
    EXPECT_EQ(sip::Uri::parse(seen.uri)->host, "192.0.2.1") << seen.uri;
    EXPECT_EQ(seen.uri.find(consult.near.call_id()) == std::string::npos, GetParam());
    sip::Message invited = follow(seen, carol, other);
    EXPECT_EQ(invited.request_uri(), "sip:erin@198.51.100.2:5060");
    EXPECT_EQ(invited.get(HeaderId::replaces), consult.at_callee());
  }
}

TEST_P(IdentifierMapTest, provider_replaces_itself_in_a_call_with_a_client) {
  // carol called alice, and transfers her to frank: frank's phone calls what carol knows of alice.
  Ends first = call("sip:alice@home.example", carol, alice, "al");
  sip::Message invite_message = request("INVITE", first.callee_contact(), sdp());
  invite_message.add(HeaderId::replaces, first.by_caller() + ";early-only");
  give(invite_message, carol);
  sip::Message seen = last(alice, "INVITE");
  EXPECT_EQ(seen.request_uri(), contact_of(alice, "al"));
  EXPECT_EQ(seen.get(HeaderId::replaces), first.at_callee() + ";early-only");
}

TEST_P(IdentifierMapTest, callee_may_be_replaced_and_referred_to_as_well) {
  // The other way round: alice called carol, whose phone is told to be replaced by frank's.
  Ends first = call("sip:carol@example.org", alice, carol, "carol");
  sip::Message invite_message = request("INVITE", first.caller_contact(), sdp());
  invite_message.add(HeaderId::replaces, first.by_callee());
  give(invite_message, carol);
  sip::Message seen = last(alice, "INVITE");
  EXPECT_EQ(seen.request_uri(), "sip:alice@alice.invalid");
  EXPECT_EQ(seen.get(HeaderId::replaces), first.at_caller());
}

TEST_P(IdentifierMapTest, dialog_inside_the_provider_is_named_so_that_it_can_be_named_back) {
  // carol refers alice to a call of carol's own, which never came near us.
  Ends first = call("sip:alice@home.example", carol, alice, "al");
  sip::NameAddr seen =
      refer(first, "<sip:frank@example.org?Replaces=" + escape("77@pbx;to-tag=f;from-tag=c") + ">",
            carol, alice);
  EXPECT_EQ(seen.uri.find("77%40pbx") == std::string::npos, GetParam());
  sip::Message invited = follow(seen, alice, carol);
  EXPECT_EQ(invited.get(HeaderId::replaces), "77@pbx;to-tag=f;from-tag=c");
  // To another provider it means nothing, and tells nothing.
  auto uri = sip::Uri::parse(seen.uri);
  sip::NameAddr elsewhere = seen;
  elsewhere.uri = "sip:erin@example.net?" + uri->headers;
  sip::Message astray = follow(elsewhere, alice, other);
  EXPECT_EQ(astray.get(HeaderId::replaces)->find("77@pbx") == std::string_view::npos, GetParam());
}

TEST_P(IdentifierMapTest, contact_of_the_referrer_itself_leads_back_over_its_link) {
  Ends first = call("sip:carol@example.org", alice, carol, "carol");
  sip::NameAddr seen = refer(first, "<sip:alice@alice.invalid>", alice, carol);
  EXPECT_EQ(sip::Uri::parse(seen.uri)->host, "192.0.2.1");
  EXPECT_EQ(follow(seen, carol, alice).request_uri(), "sip:alice@alice.invalid");
}

TEST_P(IdentifierMapTest, plain_refer_to_passes_as_it_is) {
  Ends first = call("sip:carol@example.org", alice, carol, "carol");
  sip::Message message = by_caller(first.near, "REFER", 2);
  message.add(HeaderId::refer_to, "\"F\"  <sip:frank@example.org;method=INVITE?Subject=a%20b>;x=1");
  give(message, alice);
  EXPECT_EQ(last(carol, "REFER").get(HeaderId::refer_to),
            "\"F\"  <sip:frank@example.org;method=INVITE?Subject=a%20b>;x=1");
  sip::Message tel = by_caller(first.near, "REFER", 3);
  tel.add(HeaderId::refer_to, "<tel:+493012345>");
  give(tel, alice);
  EXPECT_EQ(last(carol, "REFER").get(HeaderId::refer_to), "<tel:+493012345>");
}

TEST_P(IdentifierMapTest, tokens_serve_only_who_was_told_of_them) {
  Ends consult = call("sip:erin@example.net", alice, other, "erin");
  Ends first = call("sip:carol@example.org", alice, carol, "carol");
  sip::NameAddr seen = refer(
      first, "<" + consult.callee_contact() + "?Replaces=" + escape(consult.by_caller()) + ">",
      alice, carol);
  std::string user = sip::Uri::parse(seen.uri)->user;
  give(request("INVITE", "sip:" + user + "@nobody.example", sdp()), dave);
  EXPECT_EQ(count(dave, "INVITE", 404), 1u);
  give(request("INVITE", "sip:" + user + "@nobody.example", sdp()), other);
  EXPECT_EQ(count(other, "INVITE", 404), 1u);
  // Nor is alice's view of erin one that dave may use.
  std::string leg = sip::Uri::parse(consult.callee_contact())->user;
  give(request("INVITE", "sip:" + leg + "@nobody.example", sdp()), dave);
  EXPECT_EQ(count(dave, "INVITE", 404), 2u);
  // The router's word against the sender stands.
  router.decide = [](const sip::Message&) { return RouteRejection{403, {}}; };
  give(request("INVITE", "sip:" + user + "@192.0.2.1", sdp()), carol);
  EXPECT_EQ(count(carol, "INVITE", 403), 1u);
}

TEST_P(IdentifierMapTest, referral_lapses) {
  Ends first = call("sip:carol@example.org", alice, carol, "carol");
  sip::NameAddr seen = refer(first, "<sip:alice@alice.invalid>", alice, carol);
  auto uri = sip::Uri::parse(seen.uri);
  uri->host = "nobody.example";
  pass(limits::kReferralLife + seconds(2));
  give(request("INVITE", uri->to_string(), sdp()), carol);
  EXPECT_EQ(count(carol, "INVITE", 404), 1u);
}

TEST_P(IdentifierMapTest, join_and_target_dialog_are_mapped) {
  Ends first = call("sip:carol@example.org", alice, carol, "carol");
  sip::Message join = request("INVITE", "sip:carol@example.org", sdp());
  join.add(HeaderId::join, first.by_caller());
  give(join, alice);
  EXPECT_EQ(last(carol, "INVITE").get(HeaderId::join), first.at_callee());

  sip::Message options = request("OPTIONS", "sip:carol@example.org");
  options.add(HeaderId::target_dialog, std::string(first.near.call_id()) +
                                           ";local-tag=" + first.near.to_tag() +
                                           ";remote-tag=" + first.near.from_tag());
  give(options, alice);
  EXPECT_EQ(
      last(carol, "OPTIONS").get(HeaderId::target_dialog),
      std::string(first.far.call_id()) + ";local-tag=carol;remote-tag=" + first.far.from_tag());
}

TEST_P(IdentifierMapTest, in_reply_to_names_a_call_that_is_over) {
  Ends missed = call("sip:alice@home.example", carol, alice, "al");
  give(by_caller(missed.near, "BYE", 2), carol);
  give(sip::Message::response_to(last(alice, "BYE"), 200), alice);
  sip::Message back = request("INVITE", "sip:carol@example.org", sdp());
  back.add("In-Reply-To", std::string(missed.far.call_id()) + ",  stranger@alice");
  give(back, alice);
  std::string seen(last(carol, "INVITE").get("In-Reply-To").value_or(""));
  EXPECT_EQ(seen.substr(0, seen.find(',')), missed.near.call_id());
  EXPECT_EQ(seen.find("stranger") == std::string::npos, GetParam());
}

TEST_P(IdentifierMapTest, busy_lamp_shows_the_watcher_its_own_call_in_its_own_words) {
  Ends talk = call("sip:carol@example.org", alice, carol, "carol");
  sip::Message subscribe = request("SUBSCRIBE", "sip:carol@example.org");
  subscribe.add(HeaderId::event, "dialog");
  give(subscribe, alice);
  sip::Message asked = last(carol, "SUBSCRIBE");
  sip::Message granted = response(asked, 200, "sub");
  granted.add(HeaderId::expires, "600");
  give(granted, carol);
  sip::Message notify = by_callee(asked, "sub", "NOTIFY", 1);
  notify.add(HeaderId::event, "dialog");
  notify.add(HeaderId::subscription_state, "active;expires=600");
  auto document = [](std::string_view call_id, std::string_view local, std::string_view remote,
                     std::string_view local_uri, std::string_view remote_uri,
                     std::string_view foreign) {
    std::string text = "<dialog-info entity=\"sip:carol@example.org\"><dialog id=\"1\" call-id=\"";
    text.append(call_id).append("\" local-tag=\"").append(local).append("\" remote-tag=\"");
    text.append(remote).append("\"><local><target uri=\"").append(local_uri);
    text.append("\"/></local><remote><target uri=\"").append(remote_uri);
    text.append("\"/></remote></dialog><dialog id=\"2\" call-id=\"").append(foreign);
    return text.append("\" local-tag=\"x1\" remote-tag=\"x2\"/></dialog-info>");
  };
  notify.set_body(document(talk.far.call_id(), "carol", talk.far.from_tag(),
                           "sip:carol@198.51.100.1:5060", talk.caller_contact(), "77@pbx"),
                  "application/dialog-info+xml");
  give(notify, carol);
  std::string seen(last(alice, "NOTIFY").body());
  EXPECT_NE(seen.find("call-id=\"" + std::string(talk.near.call_id()) + "\" local-tag=\"" +
                      talk.near.to_tag() + "\" remote-tag=\"" + talk.near.from_tag() + "\""),
            std::string::npos)
      << seen;
  EXPECT_NE(seen.find("<remote><target uri=\"sip:alice@alice.invalid\"/>"), std::string::npos)
      << seen;
  EXPECT_EQ(seen.find("77@pbx") == std::string::npos, GetParam()) << seen;
  EXPECT_EQ(seen.find("198.51.100.1") == std::string::npos, GetParam()) << seen;
  if (!GetParam()) return;
  // What stands in place of the provider's own dialog can be picked up all the same.
  auto attribute = [&](std::string_view name) {
    std::size_t at = seen.find(std::string(name) + "=\"", seen.find("id=\"2\""));
    std::size_t begin = at + name.size() + 2;
    return seen.substr(begin, seen.find('"', begin) - begin);
  };
  sip::Message pickup = request("INVITE", "sip:carol@example.org", sdp());
  pickup.add(HeaderId::replaces, attribute("call-id") + ";to-tag=" + attribute("local-tag") +
                                     ";from-tag=" + attribute("remote-tag"));
  give(pickup, alice);
  EXPECT_EQ(last(carol, "INVITE").get(HeaderId::replaces), "77@pbx;to-tag=x1;from-tag=x2");
}

TEST_P(IdentifierMapTest, forks_of_one_call_inside_the_provider_can_be_told_apart) {
  Ends first = call("sip:alice@home.example", carol, alice, "al");
  std::vector<sip::NameAddr> seen;
  for (const char* tag : {"f1", "f2"}) {
    sip::Message message = by_caller(first.near, "REFER", 2 + static_cast<unsigned>(seen.size()));
    message.add(HeaderId::refer_to,
                "<sip:frank@example.org?Replaces=" +
                    escape("77@pbx;to-tag=" + std::string(tag) + ";from-tag=c") + ">");
    give(message, carol);
    seen.push_back(*sip::NameAddr::parse(*last(alice, "REFER").get(HeaderId::refer_to)));
  }
  for (const char* tag : {"f1", "f2"}) {
    sip::Message invited = follow(seen.at(tag == std::string("f1") ? 0 : 1), alice, carol);
    EXPECT_EQ(invited.get(HeaderId::replaces), "77@pbx;to-tag=" + std::string(tag) + ";from-tag=c");
  }
}

// A flood of dialogs costs the oldest their names, nothing else.
TEST_P(IdentifierMapTest, what_is_told_of_is_bounded) {
  Ends first = call("sip:alice@home.example", carol, alice, "al");
  sip::Message subscribe = request("SUBSCRIBE", "sip:carol@example.org");
  subscribe.add(HeaderId::event, "dialog");
  give(subscribe, alice);
  sip::Message asked = last(carol, "SUBSCRIBE");
  give(response(asked, 200, "sub"), carol);
  std::size_t serial = 0;
  for (unsigned i = 1; i <= limits::kReferrals / 200 + 3; ++i) {
    std::string text = "<dialog-info>";
    for (int j = 0; j < 200; ++j) {
      std::string id = std::to_string(++serial);
      text += "<dialog call-id=\"c" + id + "\" local-tag=\"l" + id + "\" remote-tag=\"r\"/>";
    }
    sip::Message notify = by_callee(asked, "sub", "NOTIFY", i);
    notify.add(HeaderId::event, "dialog");
    notify.set_body(text + "</dialog-info>", "application/dialog-info+xml");
    give(notify, carol);
    give(response(last(alice, "NOTIFY"), 200), alice);
    pass(seconds(1));
  }
  std::string body(last(alice, "NOTIFY").body());
  EXPECT_EQ(body.find("\"r\"") == std::string::npos, GetParam());
  std::size_t begin = body.rfind("call-id=\"") + 9;
  std::string newest = body.substr(begin, body.find('"', begin) - begin);
  std::size_t tag = body.rfind("local-tag=\"") + 11;
  std::size_t other_tag = body.rfind("remote-tag=\"") + 12;
  sip::Message pickup = request("INVITE", "sip:carol@example.org", sdp());
  pickup.add(HeaderId::replaces,
             newest + ";to-tag=" + body.substr(tag, body.find('"', tag) - tag) +
                 ";from-tag=" + body.substr(other_tag, body.find('"', other_tag) - other_tag));
  give(pickup, alice);
  std::string id = std::to_string(serial);
  EXPECT_EQ(last(carol, "INVITE").get(HeaderId::replaces),
            "c" + id + ";to-tag=l" + id + ";from-tag=r");
}

TEST_P(IdentifierMapTest, subscription_to_one_dialog_names_it_in_the_words_of_who_is_asked) {
  Ends talk = call("sip:carol@example.org", alice, carol, "carol");
  sip::Message subscribe = request("SUBSCRIBE", "sip:carol@example.org");
  subscribe.add(HeaderId::event, "dialog;call-id=\"" + std::string(talk.near.call_id()) +
                                     "\";to-tag=\"" + talk.near.to_tag() + "\";from-tag=\"" +
                                     talk.near.from_tag() + "\"");
  give(subscribe, alice);
  EXPECT_EQ(last(carol, "SUBSCRIBE").get(HeaderId::event),
            "dialog;call-id=\"" + std::string(talk.far.call_id()) +
                "\";to-tag=\"carol\";from-tag=\"" + talk.far.from_tag() + "\"");
}

TEST_P(IdentifierMapTest, redirection_of_a_client_to_itself_can_be_followed) {
  sip::Message first = request("INVITE", "sip:alice@home.example", sdp());
  give(first, carol);
  sip::Message moved = sip::Message::response_to(last(alice, "INVITE"), 302, {}, "al");
  moved.add(HeaderId::contact, "<sip:alice@desk.invalid>;q=0.5, <sip:mail@example.org>");
  give(moved, alice);
  sip::Message seen = last(carol, "INVITE", 302);
  auto contact = seen.contact();
  EXPECT_EQ(contact->params.get("q"), "0.5");
  EXPECT_NE(seen.get(HeaderId::contact)->find("<sip:mail@example.org>"), std::string_view::npos);
  give(request("INVITE", contact->uri, sdp()), carol);
  EXPECT_EQ(last(alice, "INVITE").request_uri(), "sip:alice@desk.invalid");
}

/// Found with Asterisk, whose Transfer() redirects to addresses of its domain, and which looks up
/// in its dialplan the user that a phone redirects to: both got a token.
TEST_P(IdentifierMapTest, redirection_to_an_address_of_record_stays_as_it_is) {
  for (const char* method : {"INVITE", "MESSAGE"}) {
    give(request(method, "sip:alice@home.example"), carol);
    sip::Message moved = sip::Message::response_to(last(alice, method), 302, {}, "al");
    moved.add(HeaderId::contact, "<sip:bob@home.example>, <sip:mail@example.org>");
    give(moved, alice);
    EXPECT_EQ(last(carol, method, 302).get(HeaderId::contact),
              "<sip:bob@home.example>, <sip:mail@example.org>");
  }
}

TEST_P(IdentifierMapTest, redirection_to_an_address_is_shown_to_legs_in_the_open_only) {
  give(request("INVITE", "sip:alice@home.example", sdp()), carol);
  sip::Message moved = sip::Message::response_to(last(alice, "INVITE"), 302, {}, "al");
  moved.add(HeaderId::contact, "<sip:alice@10.1.2.3:5070>");
  give(moved, alice);
  sip::Message seen = last(carol, "INVITE", 302);
  EXPECT_EQ(seen.get(HeaderId::contact)->find("10.1.2.3") == std::string_view::npos, GetParam());
  give(request("INVITE", seen.contact()->uri, sdp()), carol);
  if (!GetParam()) return;
  EXPECT_EQ(last(alice, "INVITE").request_uri(), "sip:alice@10.1.2.3:5070");
}

/// Found with linphone: the provider's phone refers ours to its colleague. Their dialog never came
/// through here, so that it was taken for one of ours that the provider must not see.
TEST_F(BridgeBench,
       replaces_of_a_dialog_that_only_the_provider_has_comes_back_as_the_provider_said) {
  router.policies[carol].topology_hiding = true;
  sip::Message invited = request("INVITE", "sip:carol@example.org", sdp());
  give(invited, alice);
  sip::Message far = last(carol, "INVITE");
  give(response(far, 200, "c1", sdp()), carol);
  give(by_caller(last(alice, "INVITE", 200), "ACK", 1), alice);

  const std::string words = "there;to-tag=colleague;from-tag=carol2";
  sip::Message refer = by_callee(far, "c1", "REFER", 1);
  refer.add(HeaderId::refer_to, "<sip:colleague@example.org?Replaces=" + escape(words) + ">");
  give(refer, carol);
  auto told = sip::NameAddr::parse(*last(alice, "REFER").get(HeaderId::refer_to));
  EXPECT_EQ(told->uri, "sip:colleague@example.org?Replaces=" + escape(words));

  sip::Message joined = request("INVITE", "sip:colleague@example.org", sdp());
  joined.add(HeaderId::replaces, words);
  give(joined, alice);
  EXPECT_EQ(last(carol, "INVITE").get(HeaderId::replaces), words);

  sip::Message by_another = request("INVITE", "sip:colleague@example.org", sdp());
  by_another.add(HeaderId::replaces, words);
  give(by_another, dave);
  EXPECT_NE(last(carol, "INVITE").get(HeaderId::replaces), words) << "who was told nothing";
}

INSTANTIATE_TEST_SUITE_P(Legs, IdentifierMapTest, testing::Bool(), [](const auto& entry) {
  return entry.param ? "that_hide" : "in_the_open";
});

}  // namespace
}  // namespace isthmus::call
