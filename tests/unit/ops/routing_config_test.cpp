// routes, numbers and push in a configuration file.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ops/config_loader.hpp"

namespace isthmus::ops {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

auto load(const std::string& yaml) {
  return parse_gateway_config(yaml, "gateway.yaml");
}

const std::string kProviders =
    "providers: [{name: a, target: 'sip:a'}, {name: b, target: 'sip:b'}]\n";

std::string faults(const std::string& yaml) {
  auto config = load(kProviders + yaml);
  return config ? "none" : to_string(config.error());
}

TEST(RoutingConfig, everything_that_a_route_can_say) {
  auto config = load(kProviders + R"(
routes:
  - name: abroad
    match: {source: [links, a, 192.0.2.0/24], user: pbx, method: [INVITE, MESSAGE],
            number: "_00.", caller: ["/3\\d+/", "401"]}
    rewrite: {strip: 2, prefix: "+", domain: provider}
    caller: {user: "+4930\\0"}
    enum: true
    to: [a, b]
    failover_on: 486
  - match: {number: "_0900."}
    reject: {status: 403, reason: Barred, retry_after_s: 5}
  - {to: "service:echo"}
numbers:
  - {number: "_+49301X", users: [alice, bob]}
  - {number: "100", users: alice}
push: {wait_s: 15, url: "https://push.example/wake?x=1", secret: s3cret, timeout_s: 3, concurrency: 4, retry: false}
)");
  ASSERT_TRUE(config) << to_string(config.error());
  const RouteConfig& first = config->routes[0];
  EXPECT_EQ(first.name, "abroad");
  EXPECT_THAT(first.match.source, ElementsAre("links", "a", "192.0.2.0/24"));
  EXPECT_THAT(first.match.user, ElementsAre("pbx"));
  EXPECT_THAT(first.match.method, ElementsAre("INVITE", "MESSAGE"));
  EXPECT_THAT(first.match.number, ElementsAre("_00."));
  EXPECT_THAT(first.match.caller, ElementsAre("/3\\d+/", "401"));
  EXPECT_EQ(first.rewrite, (UserRewriteConfig{2, "+", "", "provider"}));
  EXPECT_EQ(first.caller, (UserRewriteConfig{0, "", "+4930\\0", ""}));
  EXPECT_TRUE(first.use_enum);
  EXPECT_THAT(first.to, ElementsAre("a", "b"));
  EXPECT_THAT(first.failover_on, ElementsAre(486u));
  EXPECT_EQ(config->routes[1].reject, (RejectConfig{403, "Barred", seconds(5)}));
  EXPECT_THAT(config->routes[2].failover_on, ElementsAre(500u, 502u, 503u, 504u));
  EXPECT_EQ(config->numbers[0], (NumberConfig{"_+49301X", {"alice", "bob"}}));
  EXPECT_EQ(config->numbers[1], (NumberConfig{"100", {"alice"}}));
  EXPECT_EQ(config->push.wait, seconds(15));
  EXPECT_EQ(config->push.url, "https://push.example/wake?x=1");
  EXPECT_EQ(config->push.secret.reveal(), "s3cret");
  EXPECT_FALSE(config->push.retry);
}

TEST(RoutingConfig, faults_name_what_is_wrong_and_where) {
  const std::pair<const char*, const char*> cases[] = {
      {"routes: [{match: {number: '/(/'}, to: a}]",
       "gateway.yaml:2: routes[0].match.number: is no pattern (missing ): ("},
      {"routes: [{match: {number: '_1[x]'}, to: a}]", "is no pattern (a bracket"},
      {"routes: [{match: {source: c}, to: a}]",
       "routes[0].match.source: holds \"c\", which is no provider"},
      {"routes: [{match: {method: invite}, to: a}]", "a SIP method in capitals"},
      {"routes: [{to: [a, c]}]", "routes[0].to: is \"c\", which is no provider"},
      {"routes: [{to: [a, local]}]", "routes[0].to: holds \"local\" beside others"},
      {"routes: [{to: 'service:fax'}]", "expected a provider's name, local, service:echo"},
      {"routes: [{match: {domain: x}}]", "routes[0]: does nothing"},
      {"routes: [{to: a, reject: {status: 403}}]", "routes[0].reject: is given beside to"},
      {"routes: [{reject: {reason: x}}]", "routes[0].reject: has no status"},
      {"routes: [{reject: {status: 200}}]", "400 to 699"},
      {"routes: [{match: {number: '_0.'}, rewrite: {user: '\\2'}, to: a}]",
       "routes[0].rewrite.user: refers to \\2, but the patterns have 1 groups"},
      {"routes: [{match: {number: ['_0.', '1']}, rewrite: {user: '\\1'}, to: a}]",
       "but the patterns have 0 groups"},
      {"routes: [{rewrite: {user: x, strip: 1}, to: a}]",
       "routes[0].rewrite.user: is given beside strip or prefix"},
      {"routes: [{rewrite: {prefix: 'a@b'}, to: a}]", "characters of a user part"},
      {"numbers: [{number: '1'}]", "numbers[0].users: is missing"},
      {"numbers: [{users: [a]}]", "numbers[0].number: is missing"},
      {"push: {url: 'http://x/'}", "push.url: is given, but nothing ever waits"},
      {"push: {wait_s: 5, url: 'ftp://x/'}", "push.url: is \"ftp://x/\", expected http://HOST"},
      {"push: {wait_s: 5, secret: x}", "push.secret: has no push.url"},
      {"push: {wait_s: 121}", "0 to 120"},
  };
  for (const auto& [yaml, expected] : cases) {
    EXPECT_THAT(faults(yaml), HasSubstr(expected)) << yaml;
  }
  EXPECT_THAT(faults("providers: []"), HasSubstr("twice"));
}

TEST(RoutingConfig, names_that_mean_something_in_routes_are_no_providers) {
  for (const char* name : {"local", "links", "providers"}) {
    auto config = load("providers: [{name: " + std::string(name) + ", target: 'sip:a'}]");
    ASSERT_FALSE(config) << name;
    EXPECT_THAT(to_string(config.error()), HasSubstr("means something else in routes"));
  }
}

}  // namespace
}  // namespace isthmus::ops
