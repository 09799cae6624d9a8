// Each torture message from a phone through a connector, a link and a gateway to a provider, while
// another call is up: what crosses is what came, what does not is answered as the table says, and
// the other call never notices.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "conformance/torture_corpus.hpp"
#include "support/sim_bridge.hpp"
#include "support/sim_phone.hpp"

namespace isthmus::sim {
namespace {

using conformance::raw_fields;
using conformance::torture;
using conformance::TortureCase;
using sip::HeaderId;

const Endpoint kGateway = *Endpoint::parse("192.0.2.1:5060");
const Endpoint kProvider = *Endpoint::parse("198.51.100.1:5060");
const Endpoint kConnector = *Endpoint::parse("10.0.0.1:5060");
const Endpoint kDesk = *Endpoint::parse("10.0.0.8:5060");
const Endpoint kRaw = *Endpoint::parse("10.0.0.9:5060");

/// Keeps what comes, and says nothing.
struct RawPhone : Node {
  void on_udp(const Endpoint&, const Endpoint&, std::string bytes, Instant) override {
    received.push_back(std::move(bytes));
  }
  void on_link(std::uint64_t, std::string, Instant) override {}
  void on_timeout(Instant) override {}
  std::optional<Instant> next_deadline() const override { return std::nullopt; }
  std::vector<std::string> received;
};

struct RecordingPhone : Phone {
  using Phone::Phone;
  void on_udp(const Endpoint& from, const Endpoint& to, std::string bytes, Instant now) override {
    received.push_back(bytes);
    Phone::on_udp(from, to, std::move(bytes), now);
  }
  std::vector<std::string> received;
};

struct TortureSite {
  World world{4475};
  GatewayNode gateway{world, kGateway, kProvider};
  ConnectorNode connector{world, kConnector};
  Phone desk{world, "desk", kDesk, kConnector};
  RecordingPhone provider{world, "carol", kProvider, kGateway};
  RawPhone raw;

  TortureSite() {
    world.attach_link(connector.node, 1, gateway.node, 1);
    gateway.router.add_session(1, {"office", {"*"}});
    world.attach_udp(kRaw, raw);
    world.add(raw);
  }
  void send(std::string bytes) { world.send_udp(kRaw, kConnector, std::move(bytes)); }
};

bool is_of(const std::string& field, std::initializer_list<HeaderId> ids) {
  const std::string name(trim(std::string_view(field).substr(0, field.find(':'))));
  return std::find(ids.begin(), ids.end(), sip::header_from(name)) != ids.end();
}

/// Header fields that the bridge must leave alone.
std::vector<std::string> untouched(const std::string& message) {
  std::vector<std::string> fields = raw_fields(message);
  std::erase_if(fields, [](const std::string& field) {
    return is_of(field, {HeaderId::via, HeaderId::route, HeaderId::record_route, HeaderId::contact,
                         HeaderId::max_forwards, HeaderId::content_length});
  });
  return fields;
}

std::string start_line(const std::string& message) {
  return message.substr(0, message.find("\r\n"));
}

/// Lines of a description that name no address and no port.
std::vector<std::string> codec_lines(std::string_view sdp) {
  std::vector<std::string> lines;
  while (!sdp.empty()) {
    const std::size_t end = std::min(sdp.find("\r\n"), sdp.size());
    const std::string line(sdp.substr(0, end));
    sdp.remove_prefix(std::min(end + 2, sdp.size()));
    if (line.starts_with("a=rtpmap") || line.starts_with("s=")) lines.push_back(line);
    if (line.starts_with("m=")) lines.push_back(line.substr(line.find(" RTP")));
  }
  return lines;
}

void expect_same_but_for_routing(const std::string& sent, const std::string& seen) {
  EXPECT_EQ(start_line(seen), start_line(sent));
  EXPECT_EQ(untouched(seen), untouched(sent));
  const auto before = sip::Message::parse(sent), after = sip::Message::parse(seen);
  ASSERT_TRUE(before && after);
  EXPECT_FALSE(after->check());
  if (before->content_type() == "application/sdp") {
    EXPECT_EQ(codec_lines(after->body()), codec_lines(before->body()));
    EXPECT_NE(after->body().find("192.0.2.1"), std::string_view::npos) << "media through us";
  } else {
    EXPECT_EQ(after->body(), before->body());
  }
  EXPECT_EQ(after->fields(HeaderId::via).size(), 1u);
  EXPECT_FALSE(after->has(HeaderId::route));
}

/// A final response to the phone carries what a response must copy (RFC 3261 §8.2.6.2).
void expect_answers(const std::string& sent, const std::string& answer) {
  const auto request = sip::Message::parse(sent);
  const auto response = sip::Message::parse(answer);
  ASSERT_TRUE(response) << answer;
  if (!request || request->check()) return;
  EXPECT_EQ(response->get(HeaderId::from), request->get(HeaderId::from));
  EXPECT_EQ(response->get(HeaderId::call_id), request->get(HeaderId::call_id));
  EXPECT_EQ(response->get(HeaderId::cseq), request->get(HeaderId::cseq));
  EXPECT_EQ(response->values(HeaderId::via).size(), request->values(HeaderId::via).size());
}

struct TortureBridge : testing::TestWithParam<TortureCase>, TortureSite {};

TEST_P(TortureBridge, does_as_the_table_says_and_harms_nobody) {
  const std::string call = desk.call("sip:carol@example.org");
  ASSERT_TRUE(
      world.run_until([&] { return provider.find(call) && provider.find(call)->confirmed; }));
  const std::size_t before = provider.received.size();

  const std::string sent = torture(GetParam().name);
  send(sent);
  world.run_for(milliseconds(450));
  std::vector<std::string> crossed(provider.received.begin() + static_cast<std::ptrdiff_t>(before),
                                   provider.received.end());
  const std::string& outcome = GetParam().outcome;
  if (outcome == "crosses") {
    ASSERT_FALSE(crossed.empty());
    expect_same_but_for_routing(sip::Message::parse(sent)->serialize(), crossed.front());
    ASSERT_FALSE(raw.received.empty());
    EXPECT_TRUE(raw.received.back().starts_with("SIP/2.0 200 ")) << raw.received.back();
  } else {
    EXPECT_TRUE(crossed.empty()) << crossed.front();
    if (outcome == "silent") {
      EXPECT_TRUE(raw.received.empty()) << raw.received.front();
    } else {
      ASSERT_FALSE(raw.received.empty());
      EXPECT_EQ(raw.received.back().substr(0, 12), "SIP/2.0 " + outcome + " ");
    }
  }
  if (GetParam().verdict != "accept" && outcome != "silent") {
    EXPECT_EQ(start_line(raw.received.back()), "SIP/2.0 " + GetParam().verdict.substr(7));
  }
  if (!raw.received.empty()) expect_answers(sent, raw.received.back());

  // The other call goes on, and ends as it should; so does what the message began.
  desk.send_in_dialog(call, "INFO", "still here", "text/plain");
  world.run_for(seconds(2));
  EXPECT_EQ(desk.responses.back().status(), 200);
  EXPECT_EQ(provider.requests.back().body(), "still here");
  desk.hang_up(call);
  world.run_for(seconds(400));
  EXPECT_TRUE(provider.find(call)->ended);
  EXPECT_EQ(gateway.node.bridge.call_count(), 0u);
  EXPECT_EQ(connector.node.bridge.call_count(), 0u);
  EXPECT_TRUE(gateway.node.media.ends.empty());
  EXPECT_TRUE(connector.node.media.ends.empty());
  EXPECT_EQ(gateway.node.bridge.transactions().open_server_transactions(), 0u);
  EXPECT_EQ(gateway.node.bridge.transactions().open_client_transactions(), 0u);
}
std::string name_of(const testing::TestParamInfo<TortureCase>& info) {
  std::string name = info.param.name;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}
INSTANTIATE_TEST_SUITE_P(torture, TortureBridge, testing::ValuesIn(conformance::torture_table()),
                         name_of);

struct TortureByName : testing::Test, TortureSite {};

TEST_F(TortureByName, bext01_is_told_which_extensions_we_lack) {
  send(torture("bext01"));
  world.run_for(seconds(1));
  ASSERT_EQ(raw.received.size(), 1u);
  const auto response = sip::Message::parse(raw.received[0]);
  EXPECT_EQ(response->get(HeaderId::unsupported), "noProxyKnowsThis, orThisOther");
}

TEST_F(TortureByName, badbranch_two_requests_with_an_empty_branch_are_two_transactions) {
  std::string other = torture("badbranch");
  send(other);
  other.replace(other.find("badbranch."), 10, "secondone.");
  send(other);
  world.run_for(seconds(1));
  EXPECT_EQ(provider.requests.size(), 2u);
  EXPECT_EQ(raw.received.size(), 2u);
}

TEST_F(TortureByName, bcast_is_sent_nowhere) {
  const std::uint64_t sent = world.udp_sent;
  send(torture("bcast"));
  world.run_for(seconds(40));
  EXPECT_EQ(world.udp_sent, sent + 1);
}

/// A provider that answers INVITEs with start lines of our choice.
struct OddAnswerer : RawPhone {
  OddAnswerer(World& world, std::string line) : world_(world), line_(std::move(line)) {}
  void on_udp(const Endpoint& from, const Endpoint& to, std::string bytes, Instant now) override {
    const auto request = sip::Message::parse(bytes);
    if (request->method() == sip::Method::invite && received.empty()) {
      auto response = sip::Message::response_to(*request, 200, {}, "odd");
      response.add(HeaderId::contact, "<sip:odd@" + to.to_string() + ">");
      std::string text = response.serialize();
      world_.send_udp(to, from, line_ + text.substr(text.find("\r\n")));
    }
    RawPhone::on_udp(from, to, std::move(bytes), now);
  }
  World& world_;
  std::string line_;
};

TEST_F(TortureByName, unreason_and_noreason_cross_as_they_are) {
  std::string provisional = start_line(torture("noreason"));
  provisional.replace(provisional.find("100"), 3, "183");  // 100 is hop by hop
  for (const std::string& line : {start_line(torture("unreason")), provisional}) {
    TortureSite site;
    OddAnswerer answerer(site.world, line);
    site.world.attach_udp(kProvider, answerer);
    std::string invite = torture("esc01");
    site.send(invite);
    site.world.run_for(milliseconds(200));
    ASSERT_FALSE(site.raw.received.empty());
    EXPECT_EQ(start_line(site.raw.received.back()), line);
  }
}

}  // namespace
}  // namespace isthmus::sim
