#include "provider/target_locator.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "base/limits.hpp"
#include "support/fake_zone.hpp"

namespace isthmus::provider {
namespace {

using sip::Transport;
using test::FakeZone;

TargetName target(std::string_view uri) {
  auto parsed = sip::Uri::parse(uri);
  EXPECT_TRUE(parsed) << uri;
  auto name = TargetName::of_uri(*parsed);
  EXPECT_TRUE(name) << uri;
  return name.value_or(TargetName{});
}

/// A locator and a DNS that answers at once.
class TargetLocatorTest : public ::testing::Test {
 protected:
  std::vector<std::string> locate(std::string_view uri, Reach reach = {}) {
    locator.emplace(target(uri), reach);
    asked.clear();
    run();
    return places();
  }
  void run() {
    std::vector<dns::Question> questions;
    locator->on_timeout(now, questions);
    zone.answer_all(*locator, questions, now, &asked);
  }
  /// "tcp 192.0.2.1:5060 name", in the order of this draw.
  std::vector<std::string> places() {
    std::vector<std::string> out;
    for (const Candidate& candidate : in_order(locator->groups(), random)) {
      out.push_back(candidate.flow().to_string() + " " + candidate.tls_name);
    }
    return out;
  }
  using Places = std::vector<std::string>;

  FakeZone zone;
  SeededRandom random{20260101};
  Instant now{};
  std::optional<TargetLocator> locator;
  std::vector<dns::Question> asked;
};

TEST_F(TargetLocatorTest, a_numeric_address_needs_no_dns) {
  EXPECT_EQ((Places{"udp 192.0.2.1:5060 192.0.2.1"}), locate("sip:192.0.2.1"));
  EXPECT_EQ((Places{"udp 192.0.2.1:5080 192.0.2.1"}), locate("sip:192.0.2.1:5080"));
  EXPECT_EQ((Places{"tcp 192.0.2.1:5060 192.0.2.1"}), locate("sip:192.0.2.1;transport=tcp"));
  EXPECT_EQ((Places{"tls 192.0.2.1:5061 192.0.2.1"}), locate("sips:192.0.2.1"));
  EXPECT_EQ((Places{"tls 192.0.2.1:5061 192.0.2.1"}), locate("sips:192.0.2.1;transport=tcp"));
  EXPECT_EQ((Places{"udp [2001:db8::1]:5060 2001:db8::1"}), locate("sip:[2001:db8::1]"));
  EXPECT_TRUE(asked.empty());
  EXPECT_EQ(std::nullopt, locator->next_deadline());
  EXPECT_EQ(Instant::max(), locator->expires());
}

TEST_F(TargetLocatorTest, a_name_with_a_port_is_asked_for_addresses_alone) {
  zone.a("pbx.example", "192.0.2.1").aaaa("pbx.example", "2001:db8::1");
  EXPECT_EQ((Places{"udp 192.0.2.1:5080 pbx.example", "udp [2001:db8::1]:5080 pbx.example"}),
            locate("sip:PBX.example.:5080"));
  EXPECT_EQ(
      (std::vector<dns::Question>{{dns::Type::a, "pbx.example"}, {dns::Type::aaaa, "pbx.example"}}),
      asked);
}

TEST_F(TargetLocatorTest, the_transport_parameter_chooses_the_srv_question) {
  zone.srv("_sip._tcp.example.com", 10, 0, 5070, "a.example.com").a("a.example.com", "192.0.2.7");
  EXPECT_EQ((Places{"tcp 192.0.2.7:5070 example.com"}), locate("sip:example.com;transport=tcp"));
  EXPECT_EQ((dns::Question{dns::Type::srv, "_sip._tcp.example.com"}), asked.front());
  zone.srv("_sips._tcp.example.com", 10, 0, 5071, "a.example.com");
  EXPECT_EQ((Places{"tls 192.0.2.7:5071 example.com"}), locate("sip:example.com;transport=tls"));
}

TEST_F(TargetLocatorTest, naptr_chooses_the_transport_by_order_and_preference) {
  // RFC 3263 §4.1 has this example.
  zone.naptr("example.com", 50, 50, "sips+d2t", "_sips._tcp.example.com")
      .naptr("example.com", 90, 50, "sip+d2t", "_sip._tcp.example.com")
      .naptr("example.com", 100, 50, "sip+d2u", "_sip._udp.example.com")
      .srv("_sips._tcp.example.com", 0, 1, 5061, "server1.example.com")
      .srv("_sip._tcp.example.com", 0, 1, 5060, "server1.example.com")
      .srv("_sip._tcp.example.com", 0, 2, 5060, "server2.example.com")
      .a("server1.example.com", "192.0.2.1")
      .a("server2.example.com", "192.0.2.2");
  EXPECT_EQ((Places{"tls 192.0.2.1:5061 example.com"}), locate("sip:example.com"));
  Reach no_tls;
  no_tls.tls = false;
  Places tcp = locate("sip:example.com", no_tls);
  std::sort(tcp.begin(), tcp.end());
  EXPECT_EQ((Places{"tcp 192.0.2.1:5060 example.com", "tcp 192.0.2.2:5060 example.com"}), tcp);
}

TEST_F(TargetLocatorTest, naptr_services_of_one_order_follow_each_other) {
  zone.naptr("example.com", 10, 20, "sip+d2u", "_sip._udp.example.com")
      .naptr("example.com", 10, 10, "sip+d2t", "_sip._tcp.example.com")
      .srv("_sip._udp.example.com", 0, 1, 5060, "a.example.com")
      .srv("_sip._tcp.example.com", 9, 1, 5060, "a.example.com")
      .a("a.example.com", "192.0.2.1");
  EXPECT_EQ((Places{"tcp 192.0.2.1:5060 example.com", "udp 192.0.2.1:5060 example.com"}),
            locate("sip:example.com"));
}

TEST_F(TargetLocatorTest, sips_takes_nothing_but_tls) {
  zone.naptr("example.com", 10, 10, "sip+d2t", "_sip._tcp.example.com")
      .naptr("example.com", 20, 10, "sips+d2t", "_sips._tcp.example.com")
      .srv("_sips._tcp.example.com", 0, 1, 5061, "a.example.com")
      .a("a.example.com", "192.0.2.1");
  EXPECT_EQ((Places{"tls 192.0.2.1:5061 example.com"}), locate("sips:example.com"));
}

TEST_F(TargetLocatorTest, naptr_records_of_no_use_to_us_count_for_nothing) {
  zone.naptr("example.com", 10, 10, "e2u+sip", "_sip._tcp.example.com")
      .naptr("example.com", 10, 20, "sip+d2s", "_sip._sctp.example.com")
      .srv("_sip._udp.example.com", 0, 1, 5062, "a.example.com")
      .a("a.example.com", "192.0.2.1");
  EXPECT_EQ((Places{"udp 192.0.2.1:5062 example.com"}), locate("sip:example.com"));
}

TEST_F(TargetLocatorTest, without_naptr_the_first_transport_with_srv_records_is_taken) {
  zone.srv("_sip._tcp.example.com", 0, 1, 5060, "a.example.com")
      .srv("_sips._tcp.example.com", 0, 1, 5061, "a.example.com")
      .a("a.example.com", "192.0.2.1");
  EXPECT_EQ((Places{"tcp 192.0.2.1:5060 example.com"}), locate("sip:example.com"));
}

TEST_F(TargetLocatorTest, without_srv_the_name_itself_is_the_host) {
  zone.a("example.com", "192.0.2.1");
  EXPECT_EQ((Places{"udp 192.0.2.1:5060 example.com"}), locate("sip:example.com"));
  EXPECT_EQ((Places{"tls 192.0.2.1:5061 example.com"}), locate("sips:example.com"));
}

TEST_F(TargetLocatorTest, an_srv_target_of_a_dot_means_decidedly_not_there) {
  zone.srv("_sip._udp.example.com", 0, 0, 0, "").a("example.com", "192.0.2.1");
  EXPECT_EQ(Places{}, locate("sip:example.com;transport=udp"));
  EXPECT_FALSE(locator->problem().empty());
}

TEST_F(TargetLocatorTest, srv_priorities_come_in_order) {
  zone.srv("_sip._udp.example.com", 20, 1, 5060, "c.example.com")
      .srv("_sip._udp.example.com", 5, 1, 5060, "a.example.com")
      .srv("_sip._udp.example.com", 10, 1, 5060, "b.example.com")
      .a("a.example.com", "192.0.2.1")
      .a("b.example.com", "192.0.2.2")
      .a("b.example.com", "192.0.2.22")
      .a("c.example.com", "192.0.2.3");
  EXPECT_EQ((Places{"udp 192.0.2.1:5060 example.com", "udp 192.0.2.2:5060 example.com",
                    "udp 192.0.2.22:5060 example.com", "udp 192.0.2.3:5060 example.com"}),
            locate("sip:example.com"));
}

// RFC 2782: a weight is a share of the first choices. Seed 20260101; 12,000 draws of p = 1/4 have a
// standard deviation of 47.
TEST_F(TargetLocatorTest, srv_weights_share_the_first_place) {
  zone.srv("_sip._udp.example.com", 0, 10, 5060, "a.example.com")
      .srv("_sip._udp.example.com", 0, 30, 5060, "b.example.com")
      .srv("_sip._udp.example.com", 0, 0, 5060, "c.example.com")
      .a("a.example.com", "192.0.2.1")
      .a("b.example.com", "192.0.2.2")
      .a("c.example.com", "192.0.2.3");
  locate("sip:example.com");
  std::map<std::string, int> first;
  for (int i = 0; i < 12'000; ++i) {
    Places drawn = places();
    ASSERT_EQ(3u, drawn.size());
    ++first[drawn[0].substr(0, 17)];
  }
  // The numbers drawn are 0 to 40: 0 is c's, 1 to 10 are a's, 11 to 40 b's.
  EXPECT_NEAR(12'000.0 * 10 / 41, first["udp 192.0.2.1:506"], 5 * 47);
  EXPECT_NEAR(12'000.0 * 30 / 41, first["udp 192.0.2.2:506"], 5 * 47);
  EXPECT_NEAR(12'000.0 * 1 / 41, first["udp 192.0.2.3:506"], 5 * 17);
}

TEST_F(TargetLocatorTest, addresses_without_a_socket_are_not_asked_for) {
  zone.a("pbx.example", "192.0.2.1").aaaa("pbx.example", "2001:db8::1");
  Reach v6_only;
  v6_only.v4 = false;
  EXPECT_EQ((Places{"udp [2001:db8::1]:5080 pbx.example"}),
            locate("sip:pbx.example:5080", v6_only));
  EXPECT_EQ(Places{}, locate("sip:192.0.2.1", v6_only));
  EXPECT_FALSE(locator->problem().empty());
}

TEST_F(TargetLocatorTest, it_asks_again_before_the_shortest_ttl_ends) {
  zone.ttl = seconds(300);
  zone.srv("_sip._udp.example.com", 0, 1, 5060, "a.example.com");
  zone.ttl = seconds(100);
  zone.a("a.example.com", "192.0.2.1");
  locate("sip:example.com;transport=udp");
  EXPECT_EQ(now + seconds(100), locator->expires());
  EXPECT_EQ(now + seconds(90), locator->next_deadline());
  zone.clear();
  zone.srv("_sip._udp.example.com", 0, 1, 5060, "b.example.com").a("b.example.com", "192.0.2.2");
  now += seconds(89);
  run();
  EXPECT_EQ((Places{"udp 192.0.2.1:5060 example.com"}), places()) << "not yet";
  now += seconds(1);
  run();
  EXPECT_EQ((Places{"udp 192.0.2.2:5060 example.com"}), places());
}

TEST_F(TargetLocatorTest, what_was_known_stays_in_use_while_the_dns_fails) {
  zone.ttl = seconds(60);
  zone.srv("_sip._udp.example.com", 0, 1, 5062, "a.example.com").a("a.example.com", "192.0.2.1");
  Places known = locate("sip:example.com;transport=udp");
  ASSERT_EQ(1u, known.size());
  zone.fails = true;
  now += seconds(3600);
  run();
  EXPECT_EQ(known, places());
  EXPECT_FALSE(locator->problem().empty());
  EXPECT_EQ(now + seconds(30), locator->next_deadline());
  zone.fails = false;
  now += seconds(30);
  run();
  EXPECT_EQ(known, places());
  EXPECT_EQ("", locator->problem());
}

TEST_F(TargetLocatorTest, srv_records_known_are_not_given_up_for_the_bare_name) {
  zone.srv("_sip._udp.example.com", 0, 1, 5062, "a.example.com").a("a.example.com", "192.0.2.1");
  zone.a("example.com", "192.0.2.99");
  Places known = locate("sip:example.com;transport=udp");
  zone.failing.insert({dns::Type::srv, "_sip._udp.example.com"});
  now = *locator->next_deadline();
  run();
  EXPECT_EQ(known, places());
}

TEST_F(TargetLocatorTest, a_host_that_the_dns_fails_at_keeps_its_address) {
  zone.srv("_sip._udp.example.com", 0, 1, 5060, "a.example.com")
      .srv("_sip._udp.example.com", 1, 1, 5060, "b.example.com")
      .a("a.example.com", "192.0.2.1")
      .a("b.example.com", "192.0.2.2");
  Places known = locate("sip:example.com");
  zone.failing.insert({dns::Type::a, "b.example.com"});
  now = *locator->next_deadline();
  run();
  EXPECT_EQ(known, places());
}

TEST_F(TargetLocatorTest, a_server_that_fails_at_naptr_alone_is_no_hindrance) {
  zone.failing.insert({dns::Type::naptr, "example.com"});
  zone.srv("_sip._tcp.example.com", 0, 1, 5062, "a.example.com").a("a.example.com", "192.0.2.1");
  EXPECT_EQ((Places{"tcp 192.0.2.1:5062 example.com"}), locate("sip:example.com"));
}

TEST_F(TargetLocatorTest, a_name_that_is_nowhere_is_asked_for_again_soon) {
  EXPECT_EQ(Places{}, locate("sip:nowhere.example"));
  EXPECT_TRUE(locator->settled());
  EXPECT_EQ("the DNS has no such name", locator->problem());
  EXPECT_EQ(now + seconds(5), locator->next_deadline());
}

TEST_F(TargetLocatorTest, an_answer_that_was_not_asked_for_changes_nothing) {
  zone.a("pbx.example", "192.0.2.1");
  Places known = locate("sip:pbx.example:5060");
  std::vector<dns::Question> more;
  dns::Answer forged{dns::Status::found, seconds(9), {IpAddress::v4(0xC6336401)}};
  EXPECT_FALSE(locator->on_answer({dns::Type::a, "pbx.example"}, forged, now, more));
  EXPECT_TRUE(more.empty());
  EXPECT_EQ(known, places());
}

TEST_F(TargetLocatorTest, an_answer_of_any_size_gives_a_bounded_list) {
  for (unsigned i = 0; i < 200; ++i) {
    zone.srv("_sip._udp.example.com", 0, 1, 5060, "h" + std::to_string(i) + ".example.com");
    for (unsigned j = 0; j < 40; ++j) {
      zone.a("h" + std::to_string(i) + ".example.com",
             "10." + std::to_string(i) + ".0." + std::to_string(j));
    }
  }
  EXPECT_EQ(limits::kSrvTargets * limits::kResolvedAddresses,
            locate("sip:example.com;transport=udp").size());
}

TEST(TargetName, uris_that_lead_nowhere_are_refused) {
  for (const char* text : {"tel:+4930", "sip:example.com;transport=sctp", "mailto:a@b.example"}) {
    auto uri = sip::Uri::parse(text);
    ASSERT_TRUE(uri) << text;
    EXPECT_FALSE(TargetName::of_uri(*uri)) << text;
  }
}

TEST(TargetName, its_text_means_the_same_again) {
  for (const char* text : {"sip:example.com", "sips:example.com:5063", "sip:[2001:db8::1]:5060",
                           "sip:192.0.2.1;transport=tcp", "sip:a@Example.COM.;maddr=b.example"}) {
    TargetName name = target(text);
    EXPECT_EQ(name, target(name.to_string())) << text;
  }
  EXPECT_EQ("b.example", target("sip:a@Example.COM.;maddr=b.example").host);
}

}  // namespace
}  // namespace isthmus::provider
