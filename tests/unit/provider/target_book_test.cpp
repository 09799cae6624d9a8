#include "provider/target_book.hpp"

#include <gtest/gtest.h>

#include "base/limits.hpp"
#include "support/fake_zone.hpp"

namespace isthmus::provider {
namespace {

using call::HopOutcome;
using sip::Flow;
using sip::Transport;
using test::FakeZone;

TargetName target(std::string_view uri) {
  return *TargetName::of_uri(*sip::Uri::parse(uri));
}
Flow udp(const char* endpoint) {
  return Flow::udp(*Endpoint::parse(endpoint));
}

class TargetBookTest : public ::testing::Test {
 protected:
  /// Lets the book do what is due, and answers what it asks.
  TargetBook::Work settle() {
    book.on_timeout(now);
    TargetBook::Work all;
    for (;;) {
      TargetBook::Work work = book.take_work();
      std::move(work.probes.begin(), work.probes.end(), std::back_inserter(all.probes));
      std::move(work.changes.begin(), work.changes.end(), std::back_inserter(all.changes));
      std::move(work.resolved.begin(), work.resolved.end(), std::back_inserter(all.resolved));
      std::move(work.located.begin(), work.located.end(), std::back_inserter(all.located));
      if (work.questions.empty()) return all;
      for (const dns::Question& question : work.questions) {
        book.on_answer(question, zone.answer(question), now);
      }
    }
  }
  std::vector<std::string> live() {
    std::vector<std::string> out;
    for (const Candidate& candidate : book.choose("pbx", now).live) {
      out.push_back(candidate.flow().to_string());
    }
    return out;
  }
  std::vector<std::string> locate(std::string_view uri, const Flow& near = Flow::link(1)) {
    std::vector<std::string> out;
    for (const Flow& flow : book.locate(uri, near, now, lookup)) out.push_back(flow.to_string());
    return out;
  }
  void two_hosts() {
    zone.ttl = seconds(3600);
    zone.srv("_sip._udp.pbx.example", 1, 1, 5060, "a.pbx.example")
        .srv("_sip._udp.pbx.example", 2, 1, 5060, "b.pbx.example")
        .a("a.pbx.example", "192.0.2.1")
        .a("b.pbx.example", "192.0.2.2");
    book.add_provider("pbx", target("sip:pbx.example"), {});
  }

  using Texts = std::vector<std::string>;
  FakeZone zone;
  SeededRandom random{3};
  TargetBook book{{}, random};
  Instant now{};
  std::string lookup;
};

TEST_F(TargetBookTest, a_provider_is_not_located_before_the_dns_answered) {
  two_hosts();
  EXPECT_FALSE(book.choose("pbx", now).located);
  EXPECT_EQ(Texts{"pbx"}, settle().resolved);
  EXPECT_EQ((Texts{"udp 192.0.2.1:5060", "udp 192.0.2.2:5060"}), live());
  EXPECT_EQ(2u, book.addresses_of("pbx").size());
}

TEST_F(TargetBookTest, a_dead_host_is_skipped_until_its_probe_is_answered) {
  two_hosts();
  settle();
  book.on_outcome(udp("192.0.2.1:5060"), HopOutcome::timeout, 0, now);
  TargetBook::Work work = settle();
  ASSERT_EQ(1u, work.changes.size());
  EXPECT_EQ("pbx", work.changes[0].provider);
  EXPECT_EQ(Texts{"udp 192.0.2.2:5060"}, live());
  ASSERT_EQ(1u, work.probes.size());
  EXPECT_EQ("sip:pbx.example", work.probes[0].uri);
  EXPECT_EQ("udp 192.0.2.1:5060", work.probes[0].candidate.flow().to_string());
  book.on_outcome(work.probes[0].candidate.flow(), HopOutcome::answered, 0, now);
  book.on_probe_ended(work.probes[0], true, now);
  EXPECT_EQ((Texts{"udp 192.0.2.1:5060", "udp 192.0.2.2:5060"}), live());
}

TEST_F(TargetBookTest, when_all_are_dead_the_caller_is_told_when_to_come_back) {
  two_hosts();
  settle();
  book.on_outcome(udp("192.0.2.1:5060"), HopOutcome::unavailable, 40, now);
  book.on_outcome(udp("192.0.2.2:5060"), HopOutcome::unavailable, 20, now);
  TargetBook::Choice choice = book.choose("pbx", now);
  EXPECT_TRUE(choice.located);
  EXPECT_TRUE(choice.live.empty());
  EXPECT_EQ(21u, choice.retry_after_s);
}

TEST_F(TargetBookTest, a_new_list_keeps_what_is_known_of_the_hosts_that_stay) {
  two_hosts();
  settle();
  book.on_outcome(udp("192.0.2.1:5060"), HopOutcome::unavailable, 3600, now);
  zone.srv("_sip._udp.pbx.example", 3, 1, 5060, "c.pbx.example").a("c.pbx.example", "192.0.2.3");
  now += seconds(3400);
  EXPECT_EQ(Texts{"pbx"}, settle().resolved);
  EXPECT_EQ((Texts{"udp 192.0.2.2:5060", "udp 192.0.2.3:5060"}), live());
}

TEST_F(TargetBookTest, a_numeric_place_is_located_at_once) {
  EXPECT_EQ(Texts{"udp 192.0.2.9:5080"}, locate("sip:alice@192.0.2.9:5080"));
  EXPECT_EQ(Texts{"tcp 192.0.2.9:5060"}, locate("sip:192.0.2.9;transport=tcp;lr"));
  EXPECT_EQ(Texts{}, locate("tel:+4930"));
  EXPECT_EQ("", lookup);
}

TEST_F(TargetBookTest, a_named_place_is_looked_up_once_and_remembered) {
  zone.a("phone.example", "192.0.2.9");
  EXPECT_EQ(Texts{}, locate("sip:alice@phone.example:5070;transport=udp"));
  EXPECT_EQ("sip:phone.example:5070;transport=udp", lookup);
  book.lookup(lookup, now);
  EXPECT_EQ(Texts{"sip:phone.example:5070;transport=udp"}, settle().located);
  EXPECT_EQ(Texts{"udp 192.0.2.9:5070"}, locate("sip:bob@phone.example:5070;transport=udp"));
  EXPECT_EQ("", lookup);
  now += seconds(61);
  EXPECT_EQ(Texts{}, locate("sip:bob@phone.example:5070;transport=udp"));
  EXPECT_EQ("sip:phone.example:5070;transport=udp", lookup) << "it has expired";
}

TEST_F(TargetBookTest, a_place_that_is_nowhere_ends_the_waiting_too) {
  EXPECT_EQ(Texts{}, locate("sip:nowhere.example"));
  book.lookup(lookup, now);
  EXPECT_EQ(Texts{"sip:nowhere.example"}, settle().located);
  EXPECT_EQ(Texts{}, locate("sip:nowhere.example"));
  EXPECT_EQ("", lookup) << "or it would be asked for again and again";
}

TEST_F(TargetBookTest, a_key_that_is_no_place_ends_at_once) {
  book.lookup("sip:", now);
  book.lookup("garbage", now);
  EXPECT_EQ(2u, settle().located.size());
}

TEST_F(TargetBookTest, the_connection_of_the_dialog_is_used_again) {
  Flow near{Transport::tcp, *Endpoint::parse("192.0.2.9:5060"), 0, 3};
  std::vector<Flow> flows = book.locate("sip:alice@192.0.2.9", near, now, lookup);
  ASSERT_EQ(1u, flows.size());
  EXPECT_EQ(near, flows[0]);
  flows = book.locate("sip:alice@192.0.2.9;transport=udp", near, now, lookup);
  EXPECT_EQ("udp 192.0.2.9:5060", flows[0].to_string());
}

TEST_F(TargetBookTest, hosts_known_to_be_dead_come_last_inside_dialogs) {
  two_hosts();
  settle();
  book.on_outcome(udp("192.0.2.1:5060"), HopOutcome::timeout, 0, now);
  locate("sip:pbx.example");
  book.lookup(lookup, now);
  settle();
  EXPECT_EQ((Texts{"udp 192.0.2.2:5060", "udp 192.0.2.1:5060"}), locate("sip:pbx.example"));
}

TEST_F(TargetBookTest, names_that_are_remembered_are_bounded) {
  for (std::size_t i = 0; i < 3 * limits::kLocatedNames; ++i) {
    book.lookup("sip:h" + std::to_string(i) + ".example", now);
    now += milliseconds(1);
  }
  std::size_t located = settle().located.size();
  EXPECT_EQ(3 * limits::kLocatedNames, located) << "everyone who waits is told";
}

TEST_F(TargetBookTest, the_certificates_name_is_that_of_the_uri) {
  zone.srv("_sips._tcp.pbx.example", 1, 1, 5061, "a.host.example").a("a.host.example", "192.0.2.1");
  locate("sips:pbx.example");
  EXPECT_EQ(nullptr, book.located(lookup));
  book.lookup(lookup, now);
  settle();
  const std::vector<TargetGroup>* groups = book.located("sips:pbx.example");
  ASSERT_NE(nullptr, groups);
  ASSERT_EQ(1u, groups->size());
  EXPECT_EQ(Transport::tls, groups->front().transport);
  EXPECT_EQ("pbx.example", groups->front().tls_name);
}

}  // namespace
}  // namespace isthmus::provider
