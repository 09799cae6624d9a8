#include "provider/header_policy.hpp"

#include <gtest/gtest.h>

#include "provider/gateway_router.hpp"
#include "provider/protected_headers.hpp"

namespace isthmus::provider {
namespace {

using sip::HeaderId;
using sip::Message;
using Headers = std::vector<std::pair<std::string, std::string>>;

Message request(const Headers& headers, std::string_view method = "INVITE",
                std::string_view from = "<sip:alice@home.example>;tag=1") {
  Message message = Message::request(method, "sip:0301@home.example");
  message.add(HeaderId::from, from);
  for (const auto& [name, value] : headers) message.add(name, value);
  return message;
}

/// alice's link, a trusting and an untrusted provider, and what crosses between them.
struct Policies : testing::Test {
  const sip::Flow alice = sip::Flow::link(1), pbx = sip::Flow::link(2);
  const sip::Flow trunk = sip::Flow::udp(*Endpoint::parse("198.51.100.1:5060"));
  const sip::Flow carrier = sip::Flow::udp(*Endpoint::parse("198.51.100.2:5060"));
  call::BindingTable bindings{Bytes(32, 7)};
  GatewayRouter router{{"home.example", "", "", {}, {"192.0.2.1:5060"}}, bindings};
  Provider trunk_provider{"trunk", {"trunk.example"}, {trunk.remote}, {}};
  Provider carrier_provider{"carrier", {"carrier.example"}, {carrier.remote}, {}};

  Policies() {
    carrier_provider.headers.trusted = false;
    router.add_session(1, {"alice", {"alice", "+4930123"}});
    router.add_session(2, {"pbx", {"*"}, {}, true});
    apply();
  }
  void apply() { router.set_providers({trunk_provider, carrier_provider}); }
  Message crossed(Message message, const sip::Flow& from, const sip::Flow& to) {
    router.dress(message, to, &from);
    return message;
  }
  /// Value of a header once the request has crossed; "-" when it is gone.
  std::string after(const Headers& headers, const sip::Flow& from, const sip::Flow& to,
                    std::string_view name, std::string_view method = "INVITE") {
    Message message = crossed(request(headers, method), from, to);
    return std::string(message.get(name).value_or("-"));
  }
};

const std::string kPai = "<sip:+49301@trunk.example>";

// RFC 3325 §5: who is not of the trust domain has its P-Asserted-Identity taken out. §7: with
// Privacy: id it does not leave the trust domain.
TEST_F(Policies, asserted_identities_pass_by_trust) {
  struct Case {
    const char* what;
    const sip::Flow &from, &to;
    const char* privacy;
    bool passes;
  };
  const Case kCases[] = {
      {"a client's is not believed", alice, trunk, nullptr, false},
      {"a trusted client's is", pbx, trunk, nullptr, true},
      {"and reaches a trusted provider for all the privacy", pbx, trunk, "id", true},
      {"but no other provider", pbx, carrier, "id", false},
      {"which gets it without privacy", pbx, carrier, nullptr, true},
      {"nor with other kinds of it", pbx, carrier, "user; header", true},
      {"a trusted provider's reaches clients", trunk, alice, nullptr, true},
      {"unless it is private", trunk, alice, "id", false},
      {"in whatever words", trunk, alice, "header; ID ;critical", false},
      {"a trusted client sees it", trunk, pbx, "id", true},
      {"an untrusted provider's is not believed", carrier, alice, nullptr, false},
      {"nor passed on", carrier, trunk, nullptr, false},
      {"from trunk to trunk it passes", trunk, trunk, "id", true},
  };
  for (const Case& c : kCases) {
    Headers headers{{"P-Asserted-Identity", kPai}};
    if (c.privacy) headers.emplace_back("Privacy", c.privacy);
    EXPECT_EQ(after(headers, c.from, c.to, "P-Asserted-Identity"), c.passes ? kPai : "-") << c.what;
  }
}

TEST_F(Policies, responses_follow_the_same_rules) {
  Message response = Message::response_to(request({}), 200);
  response.add("P-Asserted-Identity", kPai);
  EXPECT_TRUE(crossed(response, trunk, alice).has(HeaderId::p_asserted_identity));
  EXPECT_FALSE(crossed(response, carrier, alice).has(HeaderId::p_asserted_identity));
  EXPECT_FALSE(crossed(response, alice, trunk).has(HeaderId::p_asserted_identity));
}

TEST_F(Policies, the_gateway_asserts_who_the_session_is) {
  trunk_provider.headers.assert_identity = true;
  apply();
  auto asserted = [&](const Headers& headers, const sip::Flow& from = {},
                      std::string_view method = "INVITE") {
    return after(headers, from.is_link() ? from : alice, trunk, "P-Asserted-Identity", method);
  };
  EXPECT_EQ(asserted({}), "<sip:alice@home.example>");
  EXPECT_EQ(asserted({{"P-Asserted-Identity", "<sip:king@home.example>"}}),
            "<sip:alice@home.example>");
  // P-Preferred-Identity chooses among what the session may be (§5), and goes no further (§9.2).
  EXPECT_EQ(asserted({{"P-Preferred-Identity", "\"A\" <sip:+4930123@home.example>"}}),
            "\"A\" <sip:+4930123@home.example>");
  EXPECT_EQ(asserted({{"P-Preferred-Identity", "<sip:king@home.example>"}}),
            "<sip:alice@home.example>");
  EXPECT_EQ(asserted({{"P-Preferred-Identity", "<sip:alice@elsewhere.example>"}}),
            "<sip:alice@home.example>");
  EXPECT_EQ(after({{"P-Preferred-Identity", "<sip:alice@home.example>"}}, alice, trunk,
                  "P-Preferred-Identity"),
            "-");
  // A trusted client asserts for itself.
  EXPECT_EQ(asserted({{"P-Asserted-Identity", kPai}}, pbx), kPai);
  // §9.1: not where it means nothing.
  EXPECT_EQ(asserted({}, {}, "ACK"), "-");
  EXPECT_EQ(asserted({}, {}, "REGISTER"), "-");
  EXPECT_EQ(asserted({}, {}, "MESSAGE"), "<sip:alice@home.example>");
  // Toward a provider that does not want it there is none.
  EXPECT_EQ(after({}, alice, carrier, "P-Asserted-Identity"), "-");
  EXPECT_EQ(after({}, trunk, trunk, "P-Asserted-Identity"), "-");
}

TEST_F(Policies, a_preferred_identity_passes_where_the_provider_is_to_judge_it) {
  EXPECT_EQ(after({{"P-Preferred-Identity", "<sip:a@b>"}}, alice, trunk, "P-Preferred-Identity"),
            "<sip:a@b>");
}

// RFC 3323 §5.
TEST_F(Policies, privacy_is_carried_out_here_where_the_provider_is_not_to_do_it) {
  const Headers kTelling{{"Privacy", "user;id;critical"}, {"Subject", "me"},
                         {"Organization", "ours"},        {"User-Agent", "phone"},
                         {"Call-Info", "<http://a>"},     {"X-Kept", "1"}};
  EXPECT_EQ(after(kTelling, alice, trunk, "Subject"), "me");
  EXPECT_EQ(after(kTelling, alice, trunk, "Privacy"), "user;id;critical");
  trunk_provider.headers.apply_privacy = true;
  apply();
  for (const char* gone : {"Subject", "Organization", "User-Agent", "Call-Info"}) {
    EXPECT_EQ(after(kTelling, alice, trunk, gone), "-") << gone;
  }
  EXPECT_EQ(after(kTelling, alice, trunk, "X-Kept"), "1");
  EXPECT_EQ(after(kTelling, alice, trunk, "Privacy"), "id;critical");
  EXPECT_EQ(after({{"Privacy", "user"}}, alice, trunk, "Privacy"), "-");
  EXPECT_EQ(after({{"Privacy", "none"}, {"Subject", "me"}}, alice, trunk, "Subject"), "me");
}

TEST_F(Policies, an_anonymous_caller_has_no_name_in_from_for_the_whole_dialog) {
  trunk_provider.headers.apply_privacy = true;
  trunk_provider.headers.anonymous_from = "\"Nobody\" <sip:nobody@invalid.example>";
  apply();
  auto from_of = [&](const Headers& headers, std::string_view method = "INVITE") {
    Message message = Message::request(method, "sip:0301@trunk.example");
    message.add(HeaderId::from, "<sip:alice@home.example>;tag=7");
    for (const auto& [name, value] : headers) message.add(name, value);
    call::Route route = router.route(message, alice, {});
    auto* targets = std::get_if<call::RouteTargets>(&route);
    EXPECT_TRUE(targets);
    for (const auto& [name, value] : targets ? targets->targets[0].headers : Headers{}) {
      if (name == "From") return value;
    }
    return std::string("-");
  };
  EXPECT_EQ(from_of({{"Privacy", "user"}}), "\"Nobody\" <sip:nobody@invalid.example>;tag=7");
  EXPECT_EQ(from_of({{"Privacy", "id"}}), "-");
  EXPECT_EQ(from_of({}), "-");
  // RFC 8224 §4: what is signed stays, or the signature is worth nothing.
  EXPECT_EQ(from_of({{"Privacy", "user"}, {"Identity", "eyJ…"}}), "-");
  EXPECT_EQ(from_of({{"Privacy", "user"}}, "REGISTER"), "-");
}

TEST_F(Policies, identity_and_what_it_signs_pass_byte_for_byte) {
  trunk_provider.headers.apply_privacy = true;
  trunk_provider.headers.assert_identity = true;
  apply();
  const Headers kSigned{{"Identity", "eyJhbGciOiJFUzI1NiJ9..sig;info=<https://cert.example/a>"},
                        {"Date", "Mon, 23 Nov 2026 07:00:00 GMT"},
                        {"Reason", "Q.850;cause=16;text=\"Terminated\""}};
  Message out = crossed(request(kSigned), alice, trunk);
  for (const auto& [name, value] : kSigned) EXPECT_EQ(out.get(name), value);
  EXPECT_EQ(out.get(HeaderId::from), "<sip:alice@home.example>;tag=1");
}

TEST_F(Policies, diversion_and_history_pass_unless_a_provider_is_spared_them) {
  const Headers kHistory{{"Diversion", "<sip:1@a>;reason=no-answer"},
                         {"History-Info", "<sip:1@a>;index=1"}};
  for (const char* name : {"Diversion", "History-Info"}) {
    EXPECT_NE(after(kHistory, alice, trunk, name), "-");
    EXPECT_NE(after(kHistory, trunk, alice, name), "-");
  }
  trunk_provider.headers.strip_diversion = true;
  apply();
  EXPECT_EQ(after(kHistory, alice, trunk, "Diversion"), "-");
  EXPECT_EQ(after(kHistory, trunk, alice, "Diversion"), "-");
  EXPECT_NE(after(kHistory, alice, trunk, "History-Info"), "-");
  EXPECT_NE(after(kHistory, alice, carrier, "Diversion"), "-");
  trunk_provider.headers.strip_history_info = true;
  apply();
  EXPECT_EQ(after(kHistory, trunk, alice, "History-Info"), "-");
  // RFC 7044 §10.1.2: private history stays in the trust domain.
  Headers secret = kHistory;
  secret.emplace_back("Privacy", "history");
  EXPECT_EQ(after(secret, alice, carrier, "History-Info"), "-");
}

TEST_F(Policies, software_passes_is_replaced_or_taken_out) {
  const Headers kSoftware{{"User-Agent", "phone 1"}};
  EXPECT_EQ(after(kSoftware, alice, trunk, "User-Agent"), "phone 1");
  trunk_provider.user_agent = "Isthmus 1";
  apply();
  EXPECT_EQ(after(kSoftware, alice, trunk, "User-Agent"), "Isthmus 1");
  EXPECT_EQ(after({}, alice, trunk, "User-Agent"), "Isthmus 1");
  EXPECT_EQ(after(kSoftware, trunk, alice, "User-Agent"), "phone 1");
  Message response = Message::response_to(request({}), 200);
  response.add(HeaderId::server, "phone 1");
  EXPECT_EQ(crossed(response, alice, trunk).get(HeaderId::server), "Isthmus 1");
  trunk_provider.headers.strip_software = true;
  apply();
  EXPECT_EQ(after(kSoftware, alice, trunk, "User-Agent"), "Isthmus 1");
  EXPECT_EQ(after(kSoftware, trunk, alice, "User-Agent"), "-");
  EXPECT_FALSE(crossed(response, trunk, alice).has(HeaderId::server));
}

TEST_F(Policies, headers_are_edited_per_provider_and_direction) {
  HeaderEdits& to = trunk_provider.headers.to_provider;
  to.rename = {{"X-Old", "X-New"}};
  to.remove = {"X-Internal"};
  to.set = {{"X-Account", "4711"}};
  to.add = {{"X-Tag", "b"}};
  trunk_provider.headers.from_provider.rename = {{"X-Caller", "P-Asserted-Identity"}};
  apply();
  Message out = crossed(request({{"X-Old", "1"},
                                 {"x-old", "2"},
                                 {"X-Internal", "i"},
                                 {"X-Account", "0"},
                                 {"x-account", "00"},
                                 {"X-Tag", "a"},
                                 {"X-Other", "o"}}),
                        alice, trunk);
  using Values = std::vector<std::string_view>;
  EXPECT_EQ(out.fields("X-Old"), Values{});
  EXPECT_EQ(out.fields("X-New"), (Values{"1", "2"}));
  EXPECT_EQ(out.fields("X-Internal"), Values{});
  EXPECT_EQ(out.fields("X-Account"), Values{"4711"});
  EXPECT_EQ(out.fields("X-Tag"), (Values{"a", "b"}));
  EXPECT_EQ(out.fields("X-Other"), Values{"o"});
  // The other direction and other providers have their own.
  EXPECT_EQ(after({{"X-Internal", "i"}}, trunk, alice, "X-Internal"), "i");
  EXPECT_EQ(after({{"X-Internal", "i"}}, alice, carrier, "X-Internal"), "i");
  // Edits of what comes in are made before trust is judged.
  EXPECT_EQ(after({{"X-Caller", kPai}}, trunk, alice, "P-Asserted-Identity"), kPai);
  EXPECT_EQ(after({{"X-Caller", kPai}}, carrier, alice, "P-Asserted-Identity"), "-");
}

TEST_F(Policies, our_own_messages_bear_the_providers_headers) {
  trunk_provider.headers.to_provider.set = {{"X-Account", "4711"}};
  trunk_provider.user_agent = "Isthmus 1";
  apply();
  Message bye = request({}, "BYE");
  router.dress(bye, trunk, nullptr);
  EXPECT_EQ(bye.get("X-Account"), "4711");
  EXPECT_EQ(bye.get(HeaderId::user_agent), "Isthmus 1");
  Message to_client = request({}, "BYE");
  router.dress(to_client, alice, nullptr);
  EXPECT_FALSE(to_client.has(HeaderId::user_agent));
}

TEST(ProtectedHeaders, are_known_by_any_of_their_names) {
  for (const char* name : {"Via",
                           "v",
                           "VIA",
                           "From",
                           "f",
                           "t",
                           "i",
                           "Call-ID",
                           "CSeq",
                           "m",
                           "Contact",
                           "Max-Forwards",
                           "Route",
                           "Record-Route",
                           "l",
                           "Identity",
                           "y",
                           "Date",
                           "Authorization",
                           "Session-Expires",
                           "x"}) {
    EXPECT_TRUE(is_protected_header(name)) << name;
  }
  for (const char* name : {"X-Via", "User-Agent", "P-Asserted-Identity", "Diversion", "Subject"}) {
    EXPECT_FALSE(is_protected_header(name)) << name;
  }
}

}  // namespace
}  // namespace isthmus::provider
