#include <gtest/gtest.h>

#include <functional>

#include "base/limits.hpp"
#include "session_support.hpp"

namespace isthmus::wire {
namespace {

using namespace testing;

constexpr auto kProtocolError = CloseCode::protocol_error;

struct Server : Described<ServerSession> {
  Server() : Described{ServerSession(kStart), {}} {}

  void establish(std::uint32_t keep_alive_ms = 15000) {
    EXPECT_EQ(receives(hello()), "authenticate");
    EXPECT_EQ(does([&](auto& s, auto& out) { s.accept(welcome_info(keep_alive_ms), kStart, out); }),
              "welcome");
  }
};

enum StateIndex { waiting, judging, established, closed };

Server in_state(int state) {
  Server server;
  if (state == judging) server.receives(hello());
  if (state == established || state == closed) server.establish();
  if (state == closed) server.receives(close(CloseCode::normal));
  server.events.clear();
  return server;
}

using Row = StateRow<ServerSession>;

Input<ServerSession> frame(Bytes bytes, Channel channel = kControlChannel) {
  return frame_input<ServerSession>(std::move(bytes), channel);
}

std::vector<Row> rows() {
  const std::string error = closes(kProtocolError), too_much = closes(CloseCode::limit_exceeded);
  const std::string late = closes(CloseCode::timeout), gone = "over going_away by peer";
  const std::string unauthorized = rejects(CloseCode::unauthorized);
  const std::string mismatch = rejects(CloseCode::version_mismatch);
  v1::ControlMessage bare, resume;
  bare.mutable_hello()->set_min_version(1);
  bare.mutable_hello()->set_max_version(1);
  resume = bare;
  resume.mutable_hello()->mutable_resume()->set_token("t");
  HelloInfo huge = hello_info();
  huge.credentials = TokenCredentials{std::string(limits::kHelloBytes, 't')};
  return {
      {"Hello", frame(hello()), {"authenticate", error, error}},
      {"Hello 1..9", frame(hello_versions(1, 9)), {"authenticate", error, error}},
      {"Hello 2..3", frame(hello_versions(2, 3)), {mismatch, error, error}},
      {"Hello 0..0", frame(hello_versions(0, 0)), {mismatch, error, error}},
      {"Hello 2..1", frame(hello_versions(2, 1)), {error, error, error}},
      {"Hello without credentials", frame(control(bare)), {unauthorized, error, error}},
      {"Hello with resume", frame(control(resume)), {"authenticate", error, error}},
      {"Hello too large", frame(control(to_message(huge))), {too_much, error, error}},
      {"Welcome", frame(welcome()), {error, error, error}},
      {"Reject", frame(reject(CloseCode::forbidden)), {error, error, error}},
      {"Ping", frame(ping()), {error, error, "pong"}},
      {"Pong", frame(pong()), {error, error, ""}},
      {"Ack 0", frame(ack(0)), {error, error, ""}},
      {"Ack of nothing sent", frame(ack(1)), {error, error, error}},
      {"Close", frame(close(CloseCode::going_away)), {gone, gone, gone}},
      {"MediaContext", frame(media_context()), {error, "", ""}},
      {"unknown message", frame(unknown_message()), {error, "", ""}},
      {"unknown field", frame(ping_with_unknown_field()), {error, error, "pong"}},
      {"empty control", frame({}), {error, "", ""}},
      {"malformed control", frame(malformed()), {error, error, error}},
      {"SIP", frame(sip(), kSipChannel), {error, error, "sip-in"}},
      {"empty SIP", frame({}, kSipChannel), {error, error, error}},
      {"SIP too large",
       frame(Bytes(limits::kReliableFrameBytes + 1, 'x'), kSipChannel),
       {too_much, too_much, too_much}},
      {"channel 5", frame(sip(), 5), {error, "", ""}},
      {"media", [](auto& s, auto& out) { s.read_media(16, sip(), kStart, out); }, {"", "", ""}},
      {"accept",
       [](auto& s, auto& out) { s.accept(welcome_info(), kStart, out); },
       {"", "welcome", ""}},
      {"accept, not UTF-8",
       [](auto& s, auto& out) {
         WelcomeInfo info = welcome_info();
         info.user = "\xff";
         s.accept(info, kStart, out);
       },
       {"", closes(CloseCode::internal_error), ""}},
      {"reject",
       [](auto& s, auto& out) { s.reject(CloseCode::unauthorized, "no", 0, out); },
       {"", unauthorized, ""}},
      {"send SIP", [](auto& s, auto& out) { s.send_sip(sip(), out); }, {"", "", "sip-out"}},
      {"send nothing", [](auto& s, auto& out) { s.send_sip({}, out); }, {"", "", ""}},
      {"send too much",
       [](auto& s, auto& out) { s.send_sip(Bytes(limits::kReliableFrameBytes + 1, 'x'), out); },
       {"", "", ""}},
      {"close",
       [](auto& s, auto& out) { s.close(CloseCode::timeout, "", out); },
       {late, late, late}},
      {"4.999 s",
       [](auto& s, auto& out) { s.on_timeout(kStart + milliseconds(4999), out); },
       {"", "", ""}},
      {"5 s", [](auto& s, auto& out) { s.on_timeout(kStart + seconds(5), out); }, {late, late, ""}},
      {"45 s",
       [](auto& s, auto& out) { s.on_timeout(kStart + seconds(45), out); },
       {late, late, late}},
  };
}

TEST(ServerSession, every_input_in_every_state) {
  for (const Row& row : rows()) {
    for (int state = waiting; state <= closed; ++state) {
      SCOPED_TRACE(std::string(row.input) + " in state " + std::to_string(state));
      Server server = in_state(state);
      const std::string expected = state == closed ? "" : row.expected[state];
      EXPECT_EQ(server.does(row.apply), expected);
      const bool over = state == closed || expected.find("over") != std::string::npos;
      EXPECT_EQ(server.session.closed(), over);
      EXPECT_EQ(server.session.established(),
                !over && (state == established || expected == "welcome"));
      EXPECT_EQ(server.session.next_deadline().has_value(), !over);
    }
  }
}

TEST(ServerSession, hello_is_handed_over_as_it_was_said) {
  Server server;
  HelloInfo said = hello_info();
  said.capabilities = {"example.one", "example.two"};
  said.credentials = TokenCredentials{"secret"};
  server.receives(control(to_message(said)));
  const auto* asked = find<AuthenticateHello>(server.events);
  ASSERT_NE(asked, nullptr);
  EXPECT_EQ(asked->hello.software, said.software);
  EXPECT_EQ(asked->hello.capabilities, said.capabilities);
  const auto* token = std::get_if<TokenCredentials>(&asked->hello.credentials);
  ASSERT_NE(token, nullptr);
  EXPECT_EQ(token->token, "secret");
}

TEST(ServerSession, version_mismatch_names_the_range_that_is_spoken) {
  Server server;
  server.receives(hello_versions(2, 7));
  const auto* over = find<SessionClosed>(server.events);
  ASSERT_NE(over, nullptr);
  EXPECT_EQ(over->reason, "this gateway speaks versions 1 to 1");
}

TEST(ServerSession, hello_of_exactly_the_largest_size_is_judged) {
  HelloInfo info = hello_info();
  info.credentials = TokenCredentials{std::string(limits::kHelloBytes / 2, 't')};
  const std::size_t rest = control(to_message(info)).size() - limits::kHelloBytes / 2;
  info.credentials = TokenCredentials{std::string(limits::kHelloBytes - rest, 't')};
  const Bytes largest = control(to_message(info));
  ASSERT_EQ(largest.size(), limits::kHelloBytes);
  EXPECT_EQ(Server().receives(largest), "authenticate");
}

TEST(ServerSession, a_flood_before_welcome_ends_at_the_byte_limit) {
  Server server;
  server.receives(hello());
  const Bytes junk(1024, 'x');
  std::size_t sent = hello().size();
  std::string did;
  while ((did = server.receives(junk, 5)).empty()) {
    sent += junk.size();
    ASSERT_LE(sent, limits::kUnauthenticatedBytes);
  }
  EXPECT_EQ(did, closes(CloseCode::limit_exceeded));
  EXPECT_GT(sent + junk.size(), limits::kUnauthenticatedBytes);
}

TEST(ServerSession, slow_judgement_ends_the_session_and_a_late_accept_is_ignored) {
  Server server;
  EXPECT_EQ(server.receives(hello(), kControlChannel, kStart + seconds(4)), "authenticate");
  EXPECT_EQ(server.session.next_deadline(), kStart + limits::kUnauthenticatedLife);
  EXPECT_EQ(server.time(kStart + seconds(5)), closes(CloseCode::timeout));
  EXPECT_EQ(
      server.does([](auto& s, auto& out) { s.accept(welcome_info(), kStart + seconds(6), out); }),
      "");
}

TEST(ServerSession, what_is_unknown_is_counted) {
  Server server;
  server.establish();
  server.receives(sip(), 2);
  server.receives(sip(), 15);
  server.receives(media_context());
  server.receives(unknown_message());
  server.receives({});
  EXPECT_EQ(server.receives(ping_with_unknown_field()), "pong");
  const auto& statistics = server.session.statistics();
  EXPECT_EQ(statistics.unknown_channels, 2u);
  EXPECT_EQ(statistics.unknown_control, 3u);
  EXPECT_EQ(statistics.unknown_fields, 1u);
}

TEST(ServerSession, silence_of_three_keep_alive_intervals_is_the_end_and_any_sign_of_life_is_not) {
  Server server;
  server.establish(1000);
  EXPECT_EQ(server.session.next_deadline(), kStart + seconds(3));
  EXPECT_EQ(server.time(kStart + milliseconds(2999)), "");
  SessionEvents none;
  server.session.read_media(16, sip(), kStart + milliseconds(2999), none);
  EXPECT_TRUE(none.empty());
  EXPECT_EQ(server.time(kStart + seconds(3)), "");
  EXPECT_EQ(server.session.next_deadline(), kStart + milliseconds(5999));
  server.receives(sip(), 5, kStart + seconds(5));
  EXPECT_EQ(server.session.next_deadline(), kStart + seconds(8));
  EXPECT_EQ(server.time(kStart + seconds(8)), closes(CloseCode::timeout));
}

TEST(ServerSession, keep_alive_stays_within_its_bounds) {
  for (const auto& [asked_ms, used] :
       std::vector<std::pair<std::uint32_t, Duration>>{{0, limits::kKeepAlive},
                                                       {1, limits::kMinKeepAlive},
                                                       {UINT32_MAX, limits::kMaxKeepAlive}}) {
    Server server;
    server.establish(asked_ms);
    EXPECT_EQ(server.session.next_deadline(), kStart + used * limits::kMissedPings) << asked_ms;
  }
}

TEST(ServerSession, sip_frames_are_acknowledged_in_batches_or_after_a_moment) {
  Server server;
  server.establish();
  for (int i = 1; i < limits::kAckEveryFrames; ++i) {
    EXPECT_EQ(server.receives(sip(), kSipChannel), "sip-in");
  }
  EXPECT_EQ(server.receives(sip(), kSipChannel), "sip-in, ack 8");

  EXPECT_EQ(server.receives(sip(), kSipChannel, kStart + seconds(1)), "sip-in");
  EXPECT_EQ(server.receives(sip(), kSipChannel, kStart + seconds(1) + milliseconds(100)), "sip-in");
  const Instant due = kStart + seconds(1) + limits::kAckDelay;
  EXPECT_EQ(server.session.next_deadline(), due);
  EXPECT_EQ(server.time(due - Duration(1)), "");
  EXPECT_EQ(server.time(due), "ack 10");
  EXPECT_EQ(server.time(due + seconds(1)), "");
}

TEST(ServerSession, acks_advance_and_never_go_back) {
  Server server;
  server.establish();
  for (int i = 0; i < 5; ++i) server.does([](auto& s, auto& out) { s.send_sip(sip(), out); });
  EXPECT_EQ(server.receives(ack(4)), "");
  EXPECT_EQ(server.receives(ack(2)), "");
  EXPECT_EQ(server.session.statistics().sip_frames_acked, 4u);
  EXPECT_EQ(server.receives(ack(6)), closes(kProtocolError));
}

TEST(ServerSession, sip_passes_byte_for_byte) {
  Server server;
  server.establish();
  std::string message(limits::kReliableFrameBytes, '\0');
  for (std::size_t i = 0; i < message.size(); ++i) message[i] = static_cast<char>(i * 31);
  server.receives(sip(message), kSipChannel);
  EXPECT_EQ(find<SipFrameReceived>(server.events)->bytes, message);
  SessionEvents out;
  EXPECT_TRUE(server.session.send_sip(as_bytes(message), out));
  EXPECT_EQ(find<SendFrame>(out)->bytes, to_bytes(as_bytes(message)));
}

TEST(ServerSession, reasons_are_printable_and_short_on_both_sides) {
  Server server;
  server.does([](auto& s, auto& out) {
    s.close(CloseCode::normal, std::string("\x1b[2J\xff\n") + std::string(5000, 'a'), out);
  });
  v1::ControlMessage said;
  ASSERT_TRUE(parse_control(find<SendFrame>(server.events)->bytes, said));
  EXPECT_EQ(said.close().reason(), "?[2J??" + std::string(limits::kReasonBytes - 6, 'a'));

  Server other;
  other.receives(close(CloseCode::normal, "line\r\nForged: line"));
  EXPECT_EQ(find<SessionClosed>(other.events)->reason, "line??Forged: line");
}

TEST(ServerSession, a_close_code_of_a_later_version_still_ends_the_session) {
  v1::ControlMessage message;
  message.mutable_close()->set_code(static_cast<v1::CloseCode>(99));
  Server server;
  server.establish();
  EXPECT_EQ(server.receives(control(message)), "over internal_error by peer");
}

}  // namespace
}  // namespace isthmus::wire
