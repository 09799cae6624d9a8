// Transfers through the real bridge on virtual time (RFC 5589): between clients, with a provider
// and across two, with legs that hide each other and with legs that do not. Where they hide,
// nothing of one leg may be found on another.
#include <gtest/gtest.h>

#include <array>
#include <set>

#include "base/text.hpp"
#include "support/sim_site.hpp"
#include "support/sim_transfer.hpp"

namespace isthmus::sim {
namespace {

using sip::HeaderId;
using sip::Method;

const Endpoint kSecondProvider = *Endpoint::parse("203.0.113.7:5060");

std::string escape(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (std::string_view("@;=").find(c) == std::string_view::npos) {
      out += c;
    } else {
      append_percent_encoded(out, c);
    }
  }
  return out;
}

/// Which legs hide the others.
enum class Hiding : std::uint8_t { none, providers, links, all };

/// alice and bob on links, carol at one provider and erin at another.
struct Transfer : TwoUsers, testing::WithParamInterface<Hiding> {
  Phone& carol = provider;
  Phone erin{world, "erin", kSecondProvider, kGateway};
  Transferable bob_follows{bob}, carol_follows{carol}, erin_follows{erin}, alice_follows{alice};

  static bool hides(const sip::Flow& flow) {
    return GetParam() == Hiding::all ||
           GetParam() == (flow.is_link() ? Hiding::links : Hiding::providers);
  }

  Transfer() : TwoUsers(77) {
    provider::Provider first{"first", {"example.org"}, {kProvider}, {}};
    provider::Provider second{"second", {"example.net"}, {kSecondProvider}, {}};
    first.policy.topology_hiding = second.policy.topology_hiding = hides(sip::Flow::udp(kProvider));
    gateway.router.set_providers({first, second});
    call::LegPolicy links;
    links.topology_hiding = hides(sip::Flow::link(1));
    gateway.router.set_link_policy(links);
    gateway.node.keeps_traffic = true;
    alice.register_at("home.example");
    bob.register_at("home.example");
    for (Phone* phone : {&alice, &bob, &carol, &erin}) phone->software = "Phone-of-" + phone->name;
    world.run_for(seconds(1));
  }

  void TearDown() override {
    EXPECT_EQ(gateway.node.malformed, 0);
    for (Transferable* phone : {&bob_follows, &carol_follows, &erin_follows, &alice_follows})
      EXPECT_EQ(phone->unmatched, 0);
    if (GetParam() != Hiding::none) expect_nothing_shown();
    expect_nothing_left();
  }

  std::string talk(Phone& caller, std::string_view uri) {
    std::string id = caller.call(uri);
    EXPECT_TRUE(world.run_until([&] { return caller.find(id)->confirmed; }, seconds(10))) << uri;
    return id;
  }
  /// Refers the peer of one call to the peer of another.
  void refer(Phone& who, const std::string& in, const std::string& to_call, std::string uri = {}) {
    const sip::Dialog& consult = who.find(to_call)->dialog;
    if (uri.empty()) uri = consult.remote_target;
    who.send_in_dialog(in, "REFER", {}, {},
                       {{"Refer-To", "<" + uri + "?Replaces=" +
                                         escape(consult.call_id + ";to-tag=" + consult.remote_tag +
                                                ";from-tag=" + consult.local_tag) +
                                         ">"}});
  }
  /// The referred phone's new call is answered, the target drops what was replaced, the referrer
  /// hears of it and leaves.
  void complete(Phone& referrer, Transferable& follower, Phone& following, Transferable& target,
                const std::string& in, const std::string& consult) {
    ASSERT_TRUE(world.run_until(
        [&] {
          return !follower.placed.empty() && following.find(follower.placed)->final_status != 0;
        },
        seconds(20)));
    EXPECT_EQ(following.find(follower.placed)->final_status, 200);
    world.run_for(seconds(1));
    target.drop_replaced();
    ASSERT_TRUE(world.run_until([&] { return referrer.find(consult)->ended; }, seconds(10)));
    referrer.hang_up(in);
    world.run_for(seconds(1));
    EXPECT_EQ(gateway.node.bridge.call_count(), 1u);
    follower.report();  // after the BYE, in the dialog of the REFER
    world.run_for(seconds(1));
    const sip::Message& last = referrer.requests.back();
    EXPECT_EQ(last.method(), Method::notify);
    EXPECT_EQ(last.body().substr(0, 14), "SIP/2.0 200 OK");
    following.hang_up(follower.placed);
    world.run_for(seconds(1));
    EXPECT_EQ(gateway.node.bridge.call_count(), 0u);
  }

  /// No message to a party whose leg hides holds the Call-ID, a tag, a host or the software of
  /// another.
  void expect_nothing_shown() {
    std::map<sip::Flow, std::set<std::string>> secrets;  // by who made them
    std::set<std::string> told;                          // by us
    auto learn = [&](const BridgeNode::Passed& passed) {
      auto message = sip::Message::parse(passed.bytes);
      std::set<std::string>& own = secrets[passed.flow];
      std::string call_id(message->call_id());
      bool request = message->is_request();
      std::string tag = request ? message->from_tag() : message->to_tag();
      for (const std::string& word :
           {call_id, tag, std::string(message->get(HeaderId::user_agent).value_or(""))}) {
        if (!word.empty() && !told.contains(word)) own.insert(word);
      }
      if (request) own.insert(message->top_via()->host);
      if (auto contact = message->contact()) own.insert(sip::Uri::parse(contact->uri)->host);
    };
    for (const BridgeNode::Passed& passed : gateway.node.traffic) {
      if (passed.received) {
        learn(passed);
        continue;
      }
      auto message = sip::Message::parse(passed.bytes);
      for (std::string word :
           {std::string(message->call_id()), message->from_tag(), message->to_tag()})
        told.insert(word);
    }
    std::size_t checked = 0;
    for (const BridgeNode::Passed& passed : gateway.node.traffic) {
      if (passed.received || !hides(passed.flow)) continue;
      for (const auto& [flow, words] : secrets) {
        if (flow == passed.flow) continue;
        for (const std::string& word : words) {
          ++checked;
          EXPECT_EQ(passed.bytes.find(word), std::string::npos)
              << word << " of " << flow.to_string() << " went to " << passed.flow.to_string()
              << ":\n"
              << passed.bytes;
        }
      }
    }
    EXPECT_GT(checked, 50u);
    EXPECT_GE(secrets.size(), 2u);
  }
};

TEST_P(Transfer, attended_between_two_clients) {
  std::string first = talk(alice, "sip:bob@home.example");
  std::string consult = talk(alice, "sip:carol@example.org");
  refer(alice, first, consult);
  complete(alice, bob_follows, bob, carol_follows, first, consult);
}

TEST_P(Transfer, attended_from_a_provider_to_a_client) {
  std::string first = talk(alice, "sip:carol@example.org");
  std::string consult = talk(alice, "sip:bob@home.example");
  refer(alice, first, consult);
  complete(alice, carol_follows, carol, bob_follows, first, consult);
}

TEST_P(Transfer, attended_across_two_providers_by_contact) {
  std::string first = talk(alice, "sip:carol@example.org");
  std::string consult = talk(alice, "sip:erin@example.net");
  refer(alice, first, consult);
  complete(alice, carol_follows, carol, erin_follows, first, consult);
}

TEST_P(Transfer, attended_across_two_providers_by_address_of_record) {
  std::string first = talk(alice, "sip:carol@example.org");
  std::string consult = talk(alice, "sip:erin@example.net");
  refer(alice, first, consult, "sip:erin@example.net");
  complete(alice, carol_follows, carol, erin_follows, first, consult);
}

TEST_P(Transfer, attended_by_the_callee_of_both_calls) {
  std::string first = talk(carol, "sip:alice@home.example");
  std::string consult = talk(bob, "sip:alice@home.example");
  // alice knows the calls by names of her own leg.
  std::string near_first, near_consult;
  for (const auto& [id, state] : alice.calls) {
    bool of_carol = state.invite.from()->uri == "sip:carol@example.org";
    (of_carol ? near_first : near_consult) = id;
  }
  refer(alice, near_first, near_consult);
  complete(alice, carol_follows, carol, bob_follows, near_first, near_consult);
}

TEST_P(Transfer, attended_by_a_provider_between_two_clients) {
  std::string first = talk(carol, "sip:alice@home.example");
  std::string consult = talk(carol, "sip:bob@home.example");
  refer(carol, first, consult);
  complete(carol, alice_follows, alice, bob_follows, first, consult);
}

TEST_P(Transfer, blind_from_a_provider_to_a_client) {
  std::string first = talk(alice, "sip:carol@example.org");
  alice.send_in_dialog(first, "REFER", {}, {}, {{"Refer-To", "<sip:bob@home.example>"}});
  ASSERT_TRUE(world.run_until([&] {
    return !carol_follows.placed.empty() && carol.find(carol_follows.placed)->confirmed;
  }));
  alice.hang_up(first);
  world.run_for(seconds(1));
  carol_follows.report();
  world.run_for(seconds(1));
  EXPECT_EQ(alice.requests.back().method(), Method::notify);
  carol.hang_up(carol_follows.placed);
  world.run_for(seconds(1));
}

TEST_P(Transfer, blind_to_the_contact_of_another_party) {
  std::string first = talk(alice, "sip:carol@example.org");
  std::string consult = talk(alice, "sip:erin@example.net");
  std::string target = alice.find(consult)->dialog.remote_target;
  alice.send_in_dialog(first, "REFER", {}, {}, {{"Refer-To", "<" + target + ">"}});
  ASSERT_TRUE(world.run_until([&] {
    return !carol_follows.placed.empty() && carol.find(carol_follows.placed)->confirmed;
  }));
  EXPECT_EQ(erin.requests.back().request_uri(), "sip:erin@203.0.113.7:5060");
  carol_follows.report();
  carol.hang_up(carol_follows.placed);
  alice.hang_up(first);
  alice.hang_up(consult);
  world.run_for(seconds(1));
}

TEST_P(Transfer, ordinary_traffic_shows_nothing_either) {
  std::string out = talk(alice, "sip:carol@example.org");
  alice.hold(out);
  world.run_for(seconds(1));
  alice.send_in_dialog(out, "INFO", "Signal=5\r\n", "application/dtmf-relay");
  carol.answer_with = 486;
  std::string busy = alice.call("sip:carol@example.org");
  erin.early_media = true;
  erin.answer_with = 0;
  std::string cancelled = bob.call("sip:erin@example.net");
  world.run_for(seconds(2));
  bob.cancel(cancelled);
  alice.send_request(alice.new_request("MESSAGE", "sip:erin@example.net"));
  carol.send_request(carol.new_request("OPTIONS", "sip:alice@home.example"));
  world.run_for(seconds(2));
  EXPECT_EQ(alice.find(busy)->final_status, 486);
  alice.hang_up(out);
  world.run_for(seconds(2));
}

INSTANTIATE_TEST_SUITE_P(
    Legs, Transfer, testing::Values(Hiding::none, Hiding::providers, Hiding::links, Hiding::all),
    [](const auto& entry) {
      return std::string(std::array{"in_the_open", "providers_hidden", "links_hidden",
                                    "all_hidden"}[static_cast<std::size_t>(entry.param)]);
    });

}  // namespace
}  // namespace isthmus::sim
