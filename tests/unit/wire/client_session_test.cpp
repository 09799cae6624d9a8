#include <gtest/gtest.h>

#include <functional>

#include "base/limits.hpp"
#include "session_support.hpp"

namespace isthmus::wire {
namespace {

using namespace testing;

struct Client : Described<ClientSession> {
  std::string start(const HelloInfo& info = hello_info()) {
    return does([&](auto& s, auto& out) { s.start(info, kStart, out); });
  }
  void establish(std::uint32_t keep_alive_ms = 15000) {
    EXPECT_EQ(start(), "hello");
    EXPECT_EQ(receives(welcome(1, keep_alive_ms)), "established");
  }
};

enum StateIndex { idle, greeting, established, closed };

Client in_state(int state) {
  Client client;
  if (state == greeting) client.start();
  if (state == established || state == closed) client.establish();
  if (state == closed) client.receives(close(CloseCode::normal));
  client.events.clear();
  return client;
}

using Row = StateRow<ClientSession>;

Input<ClientSession> frame(Bytes bytes, Channel channel = kControlChannel) {
  return frame_input<ClientSession>(std::move(bytes), channel);
}

std::vector<Row> rows() {
  const std::string error = closes(CloseCode::protocol_error), late = closes(CloseCode::timeout);
  const std::string mismatch = closes(CloseCode::version_mismatch);
  const std::string gone = "over going_away by peer";
  return {
      {"start", [](auto& s, auto& out) { s.start(hello_info(), kStart, out); }, {"hello", "", ""}},
      {"Welcome", frame(welcome()), {"", "established", error}},
      {"Welcome to version 0", frame(welcome(0)), {"", mismatch, error}},
      {"Welcome to version 2", frame(welcome(2)), {"", mismatch, error}},
      {"Reject", frame(reject(CloseCode::forbidden)), {"", "over forbidden by peer", error}},
      {"Hello", frame(hello()), {"", error, error}},
      {"Ping", frame(ping()), {"", error, "pong"}},
      {"Pong", frame(pong()), {"", error, ""}},
      {"Ack 0", frame(ack(0)), {"", error, ""}},
      {"Ack of nothing sent", frame(ack(1)), {"", error, error}},
      {"Close", frame(close(CloseCode::going_away)), {"", gone, gone}},
      {"MediaContext", frame(media_context()), {"", "", ""}},
      {"unknown message", frame(unknown_message()), {"", "", ""}},
      {"unknown field", frame(ping_with_unknown_field()), {"", error, "pong"}},
      {"empty control", frame({}), {"", "", ""}},
      {"malformed control", frame(malformed()), {"", error, error}},
      {"SIP", frame(sip(), kSipChannel), {"", error, "sip-in"}},
      {"empty SIP", frame({}, kSipChannel), {"", error, error}},
      {"SIP too large",
       frame(Bytes(limits::kReliableFrameBytes + 1, 'x'), kSipChannel),
       {"", error, closes(CloseCode::limit_exceeded)}},
      {"channel 5", frame(sip(), 5), {"", "", ""}},
      {"media", [](auto& s, auto& out) { s.read_media(16, sip(), kStart, out); }, {"", "", ""}},
      {"send SIP", [](auto& s, auto& out) { s.send_sip(sip(), out); }, {"", "", "sip-out"}},
      {"send nothing", [](auto& s, auto& out) { s.send_sip({}, out); }, {"", "", ""}},
      {"close",
       [](auto& s, auto& out) { s.close(CloseCode::timeout, "", out); },
       {"over timeout", late, late}},
      {"4.999 s",
       [](auto& s, auto& out) { s.on_timeout(kStart + milliseconds(4999), out); },
       {"", "", ""}},
      {"5 s", [](auto& s, auto& out) { s.on_timeout(kStart + seconds(5), out); }, {"", late, ""}},
      {"15 s",
       [](auto& s, auto& out) { s.on_timeout(kStart + seconds(15), out); },
       {"", late, "ping"}},
      {"45 s",
       [](auto& s, auto& out) { s.on_timeout(kStart + seconds(45), out); },
       {"", late, late}},
  };
}

TEST(ClientSession, every_input_in_every_state) {
  for (const Row& row : rows()) {
    for (int state = idle; state <= closed; ++state) {
      SCOPED_TRACE(std::string(row.input) + " in state " + std::to_string(state));
      Client client = in_state(state);
      const std::string expected = state == closed ? "" : row.expected[state];
      EXPECT_EQ(client.does(row.apply), expected);
      const bool over = state == closed || expected.find("over") != std::string::npos;
      const bool started = state != idle || expected == "hello";
      EXPECT_EQ(client.session.closed(), over);
      EXPECT_EQ(client.session.established(),
                !over && (state == established || expected == "established"));
      EXPECT_EQ(client.session.next_deadline().has_value(), started && !over);
    }
  }
}

TEST(ClientSession, welcome_is_handed_over_as_it_was_said) {
  Client client;
  client.start();
  WelcomeInfo said = welcome_info(25000);
  said.capabilities = {"example.one"};
  said.software = "example-gateway/1.0";
  client.receives(control(to_message(said)));
  const auto* event = find<SessionEstablished>(client.events);
  ASSERT_NE(event, nullptr);
  EXPECT_EQ(event->welcome.session_id, said.session_id);
  EXPECT_EQ(event->welcome.user, "alice");
  EXPECT_EQ(event->welcome.sip_domain, "example.org");
  EXPECT_EQ(event->welcome.observed_address, said.observed_address);
  EXPECT_EQ(event->welcome.keep_alive_ms, 25000u);
  EXPECT_EQ(event->welcome.max_channels, 1024u);
  EXPECT_EQ(event->welcome.software, said.software);
  EXPECT_EQ(event->welcome.capabilities, said.capabilities);
}

TEST(ClientSession, reject_says_why_and_when_to_come_back) {
  Client client;
  client.start();
  client.receives(reject(CloseCode::unauthorized, 30));
  const auto* over = find<SessionClosed>(client.events);
  ASSERT_NE(over, nullptr);
  EXPECT_EQ(over->code, CloseCode::unauthorized);
  EXPECT_EQ(over->reason, "no");
  EXPECT_EQ(over->retry_after_s, 30u);
  EXPECT_TRUE(over->by_peer);
}

TEST(ClientSession, hello_that_no_gateway_would_take_is_not_sent) {
  HelloInfo large = hello_info();
  large.credentials = TokenCredentials{std::string(limits::kHelloBytes, 't')};
  EXPECT_EQ(Client().start(large), "over limit_exceeded");
  HelloInfo latin1 = hello_info();
  latin1.credentials = PasswordCredentials{"alice", "p\xe4ss"};
  EXPECT_EQ(Client().start(latin1), "over protocol_error");
}

TEST(ClientSession, pings_every_interval_and_measures_the_round_trip) {
  Client client;
  client.establish(1000);
  EXPECT_EQ(client.session.next_deadline(), kStart + seconds(1));
  EXPECT_EQ(client.time(kStart + milliseconds(999)), "");
  EXPECT_EQ(client.time(kStart + seconds(1)), "ping");
  EXPECT_EQ(client.time(kStart + seconds(1)), "") << "one Ping an interval";
  EXPECT_FALSE(client.session.statistics().round_trip);
  EXPECT_EQ(client.receives(pong(1000), kControlChannel, kStart + milliseconds(1040)), "");
  EXPECT_EQ(client.session.statistics().round_trip, Duration(milliseconds(40)));
}

TEST(ClientSession, a_pong_to_no_ping_measures_nothing) {
  Client client;
  client.establish(1000);
  client.receives(pong(0), kControlChannel, kStart + milliseconds(10));
  EXPECT_FALSE(client.session.statistics().round_trip);
  client.time(kStart + seconds(1));
  client.receives(pong(999), kControlChannel, kStart + milliseconds(1010));
  EXPECT_FALSE(client.session.statistics().round_trip);
  client.receives(pong(1000), kControlChannel, kStart + milliseconds(1010));
  client.receives(pong(1000), kControlChannel, kStart + milliseconds(1900));
  EXPECT_EQ(client.session.statistics().round_trip, Duration(milliseconds(10)))
      << "a repeat counts not";
}

TEST(ClientSession, a_silent_gateway_is_given_up_after_three_intervals) {
  Client client;
  client.establish(1000);
  EXPECT_EQ(client.time(kStart + seconds(1)), "ping");
  EXPECT_EQ(client.time(kStart + seconds(2)), "ping");
  EXPECT_EQ(client.time(kStart + seconds(3)), closes(CloseCode::timeout));
}

TEST(ClientSession, a_gateway_cannot_make_it_ping_without_pause) {
  Client client;
  client.establish(1);
  EXPECT_EQ(client.session.next_deadline(), kStart + limits::kMinKeepAlive);
}

}  // namespace
}  // namespace isthmus::wire
