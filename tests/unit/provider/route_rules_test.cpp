#include "provider/route_rules.hpp"

#include <gtest/gtest.h>

#include "provider/enum_rewrite.hpp"
#include "provider/gateway_router.hpp"

namespace isthmus::provider {
namespace {

using sip::HeaderId;
using Strings = std::vector<std::string>;

UserPattern pattern(std::string_view text) {
  auto parsed = UserPattern::parse(text);
  EXPECT_TRUE(parsed) << text;
  return parsed ? *parsed : UserPattern();
}

TEST(UserPattern, matches_by_its_three_forms) {
  struct Case {
    const char *pattern, *text;
    std::optional<Strings> captures;
  };
  const Case kCases[] = {
      {"+4930", "+4930", Strings{"+4930"}},
      {"+4930", "+49301", std::nullopt},
      {"a.b", "aXb", std::nullopt},
      {"_+49XXX", "+49123", Strings{"+49123"}},
      {"_+49XXX", "+4912", std::nullopt},
      {"_+49XXX", "+49a23", std::nullopt},
      {"_0[1-3]N", "029", Strings{"029"}},
      {"_0[1-3]N", "049", std::nullopt},
      {"_0[1-3]N", "021", std::nullopt},
      {"_Z.", "123", Strings{"123", "23"}},
      {"_Z.", "1", std::nullopt},
      {"_Z!", "1", Strings{"1", ""}},
      {"_*97", "*97", Strings{"*97"}},
      {"_*97", "**97", std::nullopt},
      {"/0(\\d{2})(\\d+)/", "030123", Strings{"030123", "30", "123"}},
      {"/0(\\d{2})(\\d+)/", "x030123", std::nullopt},
      {"/alice|bob/", "bob", Strings{"bob"}},
      {"/alice|bob/", "bobby", std::nullopt},
  };
  for (const Case& c : kCases) {
    EXPECT_EQ(pattern(c.pattern).match(c.text), c.captures) << c.pattern << " on " << c.text;
  }
}

TEST(UserPattern, refuses_what_is_none) {
  for (const char* text : {"", "_", "_[", "_[]", "_[a]", "_1[2", "/", "//", "/a", "/(/", "/a**b(/",
                           "/(a{1000}){1000}/"}) {
    EXPECT_FALSE(UserPattern::parse(text)) << text;
  }
  EXPECT_FALSE(UserPattern::parse("/" + std::string(300, 'a') + "/"));
}

TEST(UserPattern, hard_expressions_take_linear_time) {
  UserPattern hard = pattern("/(a*)*b/");  // 2^n steps for an engine that backtracks
  EXPECT_FALSE(hard.match(std::string(10'000, 'a')));
}

TEST(UserPattern, captures_are_put_in_their_places) {
  Strings captures{"030123", "30", "123"};
  EXPECT_EQ(substitute("+49\\1\\2", captures), "+4930123");
  EXPECT_EQ(substitute("\\0\\9x", captures), "030123x");
  EXPECT_EQ(substitute("a\\\\1", captures), "a\\1");
  EXPECT_EQ(substitute("end\\", captures), "end\\");
  EXPECT_EQ(largest_reference("\\1-\\3"), 3u);
  EXPECT_EQ(largest_reference("none"), std::nullopt);
  EXPECT_EQ(largest_reference("\\\\1"), std::nullopt);
}

// RFC 3402 §3.2, RFC 6116 §3.4.
TEST(Enum, substitution_expressions_give_uris) {
  const std::string kNumber = "+441632960083";
  struct Case {
    const char* expression;
    std::optional<std::string> result;
  };
  const Case kCases[] = {
      {"!^.*$!sip:info@example.com!", "sip:info@example.com"},
      {"!^\\+44(.*)$!sip:\\1@uk.example!", "sip:1632960083@uk.example"},
      {"!^(\\+)(44)(.*)$!sip:\\2-\\3@example.com!", "sip:44-1632960083@example.com"},
      {"!^\\+44(.*)$!sip:\\1@uk.example!i", "sip:1632960083@uk.example"},
      {"/^.*$/sip:a@example.com/", "sip:a@example.com"},
      {"!^\\+49(.*)$!sip:\\1@de.example!", std::nullopt},  // does not match
      {"!^.*$!sip:a\\!b@example.com!", "sip:a!b@example.com"},
      {"!^.*$!sip:info@example.com", std::nullopt},    // no third delimiter
      {"!^.*$!sip:info@example.com!x", std::nullopt},  // unknown flag
      {"!^(.*$!sip:info@example.com!", std::nullopt},  // no regular expression
      {"1^.*$1sip:info@example.com1", std::nullopt},   // a digit delimits
      {"", std::nullopt},
  };
  for (const Case& c : kCases)
    EXPECT_EQ(apply_substitution(c.expression, kNumber), c.result) << c.expression;
}

TEST(Enum, the_first_sip_service_in_order_that_gives_a_uri_is_taken) {
  auto uri = [](std::vector<dns::NaptrRecord> records) {
    return sip_uri_of_number("+4930", records).value_or("none");
  };
  dns::NaptrRecord mail{10, 1, "u", "e2u+email:mailto", "!^.*$!mailto:a@example.com!", ""};
  dns::NaptrRecord sip{10, 2, "u", "e2u+sip", "!^.*$!sip:first@example.com!", ""};
  dns::NaptrRecord more{10, 3, "u", "E2U+voice:sip+pres", "!^.*$!sip:second@example.com!", ""};
  dns::NaptrRecord old{10, 4, "U", "sip+E2U", "!^.*$!sip:third@example.com!", ""};
  dns::NaptrRecord broken{1, 1, "u", "e2u+sip", "!^(!sip:broken@example.com!", ""};
  dns::NaptrRecord other{1, 1, "u", "e2u+sip", "!^.*$!tel:+1!", ""};
  dns::NaptrRecord not_terminal{1, 1, "", "e2u+sip", "", "example.com"};
  EXPECT_EQ(uri({}), "none");
  EXPECT_EQ(uri({mail}), "none");
  EXPECT_EQ(uri({mail, sip, more}), "sip:first@example.com");
  EXPECT_EQ(uri({more, sip}), "sip:second@example.com");
  EXPECT_EQ(uri({old}), "sip:third@example.com");
  EXPECT_EQ(uri({broken, other, not_terminal, sip}), "sip:first@example.com");
}

TEST(UserOrNumber, is_read_from_tel_uris_and_phone_users_without_their_trimmings) {
  auto of = [](const char* text) { return user_or_number(*sip::Uri::parse(text)); };
  EXPECT_EQ(of("sip:alice@example.com"), "alice");
  EXPECT_EQ(of("sip:a%6Cice@example.com"), "alice");
  EXPECT_EQ(of("tel:+49-30-123(4)"), "+49301234");
  EXPECT_EQ(of("tel:1234;phone-context=example.com"), "1234");
  EXPECT_EQ(of("sip:+49-30-1.2;ext=3@example.com;user=phone"), "+493012");
  EXPECT_EQ(of("sip:a-b.c@example.com"), "a-b.c");
}

// ---- The router, by its rules --------------------------------------------------------------

const Endpoint kTrunk = *Endpoint::parse("198.51.100.1:5060");
const Endpoint kBackup = *Endpoint::parse("198.51.100.2:5060");

struct Routing : testing::Test {
  call::BindingTable bindings{Bytes(32, 7)};
  std::vector<RouteRule> rules;
  GatewayRouter::Config config{"home.example", "echo", "tone", {}, {"192.0.2.1:5060", "192.0.2.1"}};
  std::unique_ptr<GatewayRouter> router;
  RouteTrace trace;

  RouteRule& rule() {
    rules.emplace_back();
    rules.back().name = "rule " + std::to_string(rules.size());
    return rules.back();
  }
  void make() {
    config.routes = rules;
    router = std::make_unique<GatewayRouter>(config, bindings);
    router->add_session(1, {"alice", {"alice"}, IpAddress::parse("203.0.113.5")});
    router->add_session(2, {"pbx", {"*"}});
    router->set_providers({{"trunk", {"trunk.example"}, {kTrunk}, {}},
                           {"backup", {"backup.example"}, {kBackup}, {}}});
  }
  call::Route route(const std::string& uri, std::uint64_t session = 1,
                    const std::string& from = "sip:alice@home.example",
                    const char* method = "INVITE", const char* identity = nullptr) {
    return routed(uri, sip::Flow::link(session), from, method, identity);
  }
  call::Route routed(const std::string& uri, const sip::Flow& flow, const std::string& from,
                     const char* method = "INVITE", const char* identity = nullptr) {
    if (!router) make();
    sip::Message request = sip::Message::request(method, uri);
    request.add(HeaderId::from, "\"A\" <" + from + ">;tag=1");
    if (identity) request.add(HeaderId::identity, identity);
    trace = {};
    return router->explain(request, flow, now, trace);
  }
  /// "trunk sip:…", "503", "local 404", "wait alice", … in words for tables.
  static std::string text(const call::Route& route) {
    if (auto* targets = std::get_if<call::RouteTargets>(&route)) {
      std::string out;
      auto add = [&](const call::RouteTarget& target) {
        out += (out.empty() ? "" : (target.other_provider ? " else " : " or ")) +
               target.flow.remote.to_string() +
               (target.request_uri.empty() ? "" : " " + target.request_uri);
      };
      for (const call::RouteTarget& target : targets->targets) {
        add(target);
        for (const call::RouteTarget& other : target.alternatives) add(other);
      }
      return out;
    }
    if (auto* rejection = std::get_if<call::RouteRejection>(&route))
      return std::to_string(rejection->status);
    if (auto* pending = std::get_if<call::RoutePending>(&route)) return pending->lookup;
    if (auto* wait = std::get_if<call::RouteWait>(&route)) return "wait " + wait->user;
    if (auto* service = std::get_if<call::RouteToService>(&route))
      return service->service == call::MediaService::echo ? "echo" : "tone";
    return "registrar";
  }
  Instant now{std::chrono::hours(1)};
};

const std::string kToTrunk = "198.51.100.1:5060", kToBackup = "198.51.100.2:5060";

TEST_F(Routing, without_rules_domains_decide) {
  EXPECT_EQ(text(route("sip:echo@home.example")), "echo");
  EXPECT_EQ(text(route("sip:nobody@home.example")), "404");
  EXPECT_EQ(text(route("sip:1@backup.example")), kToBackup);
  EXPECT_EQ(text(route("sip:1@elsewhere.example")), kToTrunk);
  EXPECT_EQ(text(route("sip:home.example", 1, "sip:alice@home.example", "REGISTER")), "registrar");
}

TEST_F(Routing, the_first_rule_that_matches_decides) {
  rule().match.numbers = {pattern("_0900.")};
  rules.back().reject = call::RouteRejection{403, "Premium numbers are barred", 0};
  rule().match.numbers = {pattern("_0."), pattern("_+.")};
  rules.back().to = {"backup"};
  rule().to = {"trunk"};
  EXPECT_EQ(text(route("sip:09001234@home.example")), "403");
  EXPECT_EQ(text(route("sip:0301234@home.example")), kToBackup);
  EXPECT_EQ(text(route("tel:+49-30-1234")), kToBackup);
  EXPECT_EQ(text(route("sip:bob@elsewhere.example")), kToTrunk);
  // A rule for anything leaves the gateway's own domain alone.
  EXPECT_EQ(text(route("sip:echo@home.example")), "echo");
  ASSERT_EQ(trace.steps.size(), 4u);
  EXPECT_EQ(trace.steps[0].text, "\"echo\" does not match _0900.");
  EXPECT_FALSE(trace.steps[2].matched);
  EXPECT_TRUE(trace.steps[3].matched);
  EXPECT_EQ(trace.decided_by, "no rule: the gateway's own domain stays local");
}

TEST_F(Routing, every_part_of_a_match_must_hold) {
  RouteRule& only = rule();
  only.to = {"backup"};
  only.match.users = {"pbx"};
  only.match.methods = {"INVITE", "MESSAGE"};
  only.match.domain = "Numbers.example";
  only.match.user_prefix = "+49";
  only.match.callers = {pattern("_30X")};
  const char* kUri = "sip:+4930@numbers.example";
  EXPECT_EQ(text(route(kUri, 2, "sip:301@home.example")), kToBackup);
  EXPECT_EQ(text(route(kUri, 1)), kToTrunk);
  EXPECT_EQ(trace.steps[0].text, "session user \"alice\" is not \"pbx\"");
  EXPECT_EQ(text(route(kUri, 2, "sip:301@home.example", "SUBSCRIBE")), kToTrunk);
  EXPECT_EQ(trace.steps[0].text, "method SUBSCRIBE is not INVITE or MESSAGE");
  EXPECT_EQ(text(route("sip:+4930@other.example", 2, "sip:301@home.example")), kToTrunk);
  EXPECT_EQ(trace.steps[0].text, "domain \"other.example\" is not \"Numbers.example\"");
  EXPECT_EQ(text(route("sip:+4330@numbers.example", 2, "sip:301@home.example")), kToTrunk);
  EXPECT_EQ(trace.steps[0].text, "\"+4330\" does not begin with \"+49\"");
  EXPECT_EQ(text(route(kUri, 2, "sip:401@home.example")), kToTrunk);
  EXPECT_EQ(trace.steps[0].text, "caller \"401\" does not match _30X");
}

TEST_F(Routing, sources_are_links_unless_a_rule_says_otherwise) {
  rule().match.numbers = {pattern("_1.")};
  rules.back().to = {"backup"};
  rule().match.sources = {{RouteSource::Kind::provider, "trunk", {}}};
  rules.back().match.numbers = {pattern("_2.")};
  rules.back().to = {"backup"};
  rule().match.sources = {{RouteSource::Kind::any_provider, {}, {}}};
  rules.back().match.numbers = {pattern("_3.")};
  rules.back().to = {"service:tone"};
  rule().match.sources = {{RouteSource::Kind::network, {}, *Network::parse("203.0.113.0/24")}};
  rules.back().match.numbers = {pattern("_4.")};
  rules.back().to = {"service:echo"};
  auto from = [&](const Endpoint& provider, const std::string& number) {
    return text(
        routed("sip:" + number + "@192.0.2.1", sip::Flow::udp(provider), "sip:x@trunk.example"));
  };
  EXPECT_EQ(from(kTrunk, "11"), "404");
  EXPECT_EQ(from(kTrunk, "21"), kToBackup);
  EXPECT_EQ(from(kBackup, "21"), "404");
  EXPECT_EQ(from(kBackup, "31"), "tone");
  EXPECT_EQ(from(kBackup, "41"), "404");
  EXPECT_EQ(text(route("sip:11@home.example")), kToBackup);
  EXPECT_EQ(text(route("sip:21@home.example")), "404");
  EXPECT_EQ(text(route("sip:31@home.example")), "404");
  EXPECT_EQ(text(route("sip:41@home.example")), "echo");
  EXPECT_EQ(text(route("sip:41@home.example", 2, "sip:1@home.example")), "404");
}

TEST_F(Routing, rewriting_of_numbers_and_domains) {
  struct Case {
    UserRewrite rewrite;
    const char *pattern, *uri, *result;
  };
  const Case kCases[] = {
      {{1, "+49", "", ""}, "_0.", "sip:0301@home.example", "sip:+49301@home.example"},
      {{0, "0", "", ""}, "_3.", "sip:301@home.example", "sip:0301@home.example"},
      {{9, "", "", ""}, "_3.", "sip:301@home.example", "sip:home.example"},
      {{0, "", "+49\\1", ""}, "/0(.*)/", "sip:0301@home.example", "sip:+49301@home.example"},
      {{0, "", "\\1", ""}, "_9.", "sip:91@home.example", "sip:1@home.example"},
      {{0, "", "", "sip.example"}, "_9.", "sip:91@home.example:5070", "sip:91@sip.example"},
      {{0, "", "", "sip.example"}, "_+.", "tel:+49-30", "sip:+4930@sip.example;user=phone"},
      {{3, "0", "", ""}, "_+49.", "tel:+49-30;x=y", "tel:030;x=y"},
      {{0, "#31#", "", ""}, "_9.", "sip:91@home.example", "sip:%2331%2391@home.example"},
      {{0, "", "", "", true}, "_9.", "sip:91@home.example;p=1", "sip:91@trunk.example;p=1"},
  };
  for (const Case& c : kCases) {
    rules.clear();
    router.reset();
    rule().match.numbers = {pattern(c.pattern)};
    rules.back().rewrite = c.rewrite;
    rules.back().to = {"trunk"};
    EXPECT_EQ(text(route(c.uri)), kToTrunk + " " + c.result) << c.pattern << " on " << c.uri;
  }
}

TEST_F(Routing, the_caller_is_rewritten_but_not_where_it_is_signed) {
  rule().match.numbers = {pattern("_0.")};
  rules.back().match.callers = {pattern("/al(.*)/")};
  rules.back().caller.user = "+4930\\1";
  rules.back().caller.provider_domain = true;
  rules.back().to = {"trunk", "backup"};
  call::Route plain = route("sip:01@home.example");
  const auto& target = std::get<call::RouteTargets>(plain).targets.front();
  using Headers = std::vector<std::pair<std::string, std::string>>;
  EXPECT_EQ(target.headers, (Headers{{"From", "\"A\" <sip:+4930ice@trunk.example>;tag=1"}}));
  ASSERT_EQ(target.alternatives.size(), 1u);
  EXPECT_EQ(target.alternatives[0].headers,
            (Headers{{"From", "\"A\" <sip:+4930ice@backup.example>;tag=1"}}));
  call::Route signed_one = route("sip:01@home.example", 1, "sip:alice@home.example", "INVITE", "x");
  EXPECT_TRUE(std::get<call::RouteTargets>(signed_one).targets.front().headers.empty());
}

TEST_F(Routing, providers_of_a_list_stand_in_for_each_other) {
  rule().match.numbers = {pattern("_0.")};
  rules.back().to = {"trunk", "backup"};
  rules.back().failover_on = {500, 503};
  rules.back().rewrite.provider_domain = true;
  call::Route found = route("sip:01@home.example");
  EXPECT_EQ(text(found),
            kToTrunk + " sip:01@trunk.example else " + kToBackup + " sip:01@backup.example");
  EXPECT_EQ(std::get<call::RouteTargets>(found).failover_on, (std::vector<int>{500, 503}));
  // One without an address is passed over; none at all is 503.
  router->set_providers(
      {{"trunk", {"trunk.example"}, {}, {}}, {"backup", {"backup.example"}, {kBackup}, {}}});
  EXPECT_EQ(text(route("sip:01@home.example")), kToBackup + " sip:01@backup.example");
  router->set_providers({{"trunk", {"trunk.example"}, {}, {}}});
  EXPECT_EQ(text(route("sip:01@home.example")), "503");
}

TEST_F(Routing, a_rule_without_a_place_only_changes_and_the_next_decide) {
  rule().match.numbers = {pattern("_00.")};
  rules.back().rewrite = {2, "+", "", ""};
  rule().match.numbers = {pattern("_+49.")};
  rules.back().to = {"backup"};
  EXPECT_EQ(text(route("sip:004930@home.example")), kToBackup + " sip:+4930@home.example");
  EXPECT_EQ(text(route("sip:004330@home.example")), "404");  // "+4330" is nobody here
  EXPECT_EQ(text(route("sip:004330@trunk.example")), kToTrunk + " sip:+4330@trunk.example");
}

TEST_F(Routing, enum_finds_the_address_of_a_number_and_the_rules_behind_decide) {
  rule().match.numbers = {pattern("_00.")};
  rules.back().rewrite = {2, "+", "", ""};
  rules.back().use_enum = true;
  rule().match.domain = "found.example";
  rules.back().to = {"backup"};
  rule().match.numbers = {pattern("_0.")};
  rules.back().to = {"trunk"};
  EXPECT_EQ(text(route("sip:004930@home.example")), "enum:+4930");
  EXPECT_EQ(trace.decided_by, "rule 1");
  dns::NaptrRecord record{1, 1, "u", "e2u+sip", "!^\\+(.*)$!sip:\\1@found.example!", ""};
  router->enum_cache().set("4930", {record}, now + seconds(60), now);
  EXPECT_EQ(text(route("sip:004930@home.example")), kToBackup + " sip:4930@found.example");
  // A number without a record falls through, as it was.
  router->enum_cache().set("4931", {}, now + seconds(60), now);
  EXPECT_EQ(text(route("sip:004931@home.example")), kToTrunk);
  EXPECT_EQ(trace.steps[0].text, "ENUM has no SIP address for +4931");
  // What is no whole number is not asked for.
  EXPECT_EQ(text(route("sip:00abc@home.example")), kToTrunk);
  // What ENUM finds in our own domain rings here.
  record.regexp = "!^.*$!sip:echo@home.example!";
  router->enum_cache().set("4932", {record}, now + seconds(60), now);
  EXPECT_EQ(text(route("sip:004932@home.example")), "echo");
}

TEST_F(Routing, numbers_lead_to_users_and_users_without_devices_are_waited_for) {
  config.numbers.push_back({pattern("_+4930X"), {"alice", "carol"}});
  config.local_users = {"carol"};
  auto call = [&](const std::string& number, const char* method = "INVITE") {
    return text(routed("sip:" + number + "@192.0.2.1", sip::Flow::udp(kTrunk),
                       "sip:x@trunk.example", method));
  };
  EXPECT_EQ(call("+49301"), "480");
  EXPECT_EQ(call("+493012"), "404");
  EXPECT_EQ(call("carol"), "480");
  EXPECT_EQ(call("dave"), "404");
  config.push_wait = seconds(10);
  router.reset();
  EXPECT_EQ(call("+49301"), "wait alice");
  EXPECT_EQ(call("carol"), "wait carol");
  EXPECT_EQ(call("carol", "MESSAGE"), "wait carol");
  EXPECT_EQ(call("carol", "OPTIONS"), "480");
  EXPECT_EQ(call("dave"), "404");
}

}  // namespace
}  // namespace isthmus::provider
