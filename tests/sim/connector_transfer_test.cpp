// Transfers among phones behind a connector, whose bridge and the gateway's both map what crosses:
// nobody may be told of an address or a dialog that only the other end of a link knows.
#include <gtest/gtest.h>

#include "base/text.hpp"
#include "support/sim_bridge.hpp"
#include "support/sim_transfer.hpp"

namespace isthmus::sim {
namespace {

using sip::HeaderId;
using sip::Method;

const Endpoint kGateway = *Endpoint::parse("192.0.2.1:5060");
const Endpoint kProvider = *Endpoint::parse("198.51.100.1:5060");
const Endpoint kConnector = *Endpoint::parse("10.0.0.2:5060");

struct ConnectorTransfer : testing::Test, testing::WithParamInterface<bool> {
  World world{45};
  GatewayNode gateway{world, kGateway, kProvider};
  ConnectorNode connector{world, kConnector};
  Phone ann{world, "ann", *Endpoint::parse("10.0.0.11:5060"), kConnector};
  Phone ben{world, "ben", *Endpoint::parse("10.0.0.12:5060"), kConnector};
  Phone carol{world, "carol", kProvider, kGateway};
  Transferable ann_follows{ann}, ben_follows{ben}, carol_follows{carol};

  ConnectorTransfer() {
    world.attach_link(connector.node, 1, gateway.node, 7);
    gateway.router.add_session(7, {"site", {"*"}});
    provider::Provider provider{"provider", {"example.org"}, {kProvider}, {}};
    call::LegPolicy links;
    provider.policy.topology_hiding = links.topology_hiding = GetParam();
    gateway.router.set_providers({provider});
    gateway.router.set_link_policy(links);
    ann.register_at("home.example");
    ben.register_at("home.example");
    world.run_for(seconds(1));
  }
  void TearDown() override {
    EXPECT_EQ(ann_follows.unmatched + ben_follows.unmatched + carol_follows.unmatched, 0);
    EXPECT_EQ(gateway.node.malformed + connector.node.malformed, 0);
    world.run_for(seconds(70));
    EXPECT_EQ(gateway.node.bridge.call_count() + connector.node.bridge.call_count(), 0u);
    EXPECT_TRUE(gateway.node.media.ends.empty());
    EXPECT_TRUE(connector.node.media.ends.empty());
  }

  std::string talk(Phone& caller, std::string_view uri) {
    std::string id = caller.call(uri);
    EXPECT_TRUE(world.run_until([&] { return caller.find(id)->confirmed; }, seconds(10))) << uri;
    return id;
  }
  /// The peer of `in` is referred to the peer of `consult`, calls it, and takes the place of `who`.
  void transfer(Phone& who, const std::string& in, const std::string& consult,
                Transferable& follower, Phone& following, Transferable& target, Phone& reached) {
    const sip::Dialog& dialog = who.find(consult)->dialog;
    std::string replaces;
    for (char c :
         dialog.call_id + ";to-tag=" + dialog.remote_tag + ";from-tag=" + dialog.local_tag) {
      if (std::string_view("@;=").find(c) == std::string_view::npos) {
        replaces += c;
      } else {
        append_percent_encoded(replaces, c);
      }
    }
    who.send_in_dialog(in, "REFER", {}, {},
                       {{"Refer-To", "<" + dialog.remote_target + "?Replaces=" + replaces + ">"}});
    ASSERT_TRUE(world.run_until(
        [&] {
          return !follower.placed.empty() && following.find(follower.placed)->final_status != 0;
        },
        seconds(20)));
    EXPECT_EQ(following.find(follower.placed)->final_status, 200);
    world.run_for(seconds(1));
    EXPECT_EQ(reached.requests.back().request_uri(), reached.contact_uri());
    target.drop_replaced();
    ASSERT_TRUE(world.run_until([&] { return who.find(consult)->ended; }, seconds(10)));
    follower.report();
    world.run_for(seconds(1));
    EXPECT_EQ(who.requests.back().method(), Method::notify);
    EXPECT_EQ(who.requests.back().get(HeaderId::event)->substr(0, 9), "refer;id=");
    who.hang_up(in);
    following.hang_up(follower.placed);
    world.run_for(seconds(1));
  }
};

TEST_P(ConnectorTransfer, phone_transfers_a_provider_to_the_phone_beside_it) {
  std::string first = talk(ann, "sip:carol@example.org");
  std::string consult = talk(ann, "sip:ben@home.example");
  transfer(ann, first, consult, carol_follows, carol, ben_follows, ben);
}

TEST_P(ConnectorTransfer, phone_transfers_the_phone_beside_it_to_a_provider) {
  std::string first = talk(ann, "sip:ben@home.example");
  std::string consult = talk(ann, "sip:carol@example.org");
  transfer(ann, first, consult, ben_follows, ben, carol_follows, carol);
}

TEST_P(ConnectorTransfer, provider_transfers_one_phone_to_another) {
  std::string first = talk(carol, "sip:ann@home.example");
  std::string consult = talk(carol, "sip:ben@home.example");
  transfer(carol, first, consult, ann_follows, ann, ben_follows, ben);
}

INSTANTIATE_TEST_SUITE_P(Legs, ConnectorTransfer, testing::Bool(), [](const auto& entry) {
  return entry.param ? "that_hide" : "in_the_open";
});

}  // namespace
}  // namespace isthmus::sim
