// Resume, case by case: tokens, counts, bounds, and what ends a session.
#include <gtest/gtest.h>

#include "base/limits.hpp"
#include "base/random.hpp"
#include "session_support.hpp"
#include "wire/resume_tokens.hpp"

namespace isthmus::wire {
namespace {

using namespace testing;

struct Gateway {
  SeededRandom random{7};
  ResumeTokens tokens{random};
  Described<ServerSession> session{ServerSession(kStart), {}};
  std::uint32_t window_ms = 60'000;

  WelcomeInfo welcome() {
    WelcomeInfo info = welcome_info();
    info.resume_token = tokens.issue({info.session_id, ResumeGenerations::kFirst});
    info.resume_window_ms = window_ms;
    return info;
  }
  void establish() {
    session.receives(hello());
    session.does([&](auto& s, auto& out) { s.accept(welcome(), kStart, out); });
    ASSERT_TRUE(session.session.established());
  }
  /// A new link brings this generation's token and count. @return what happens, "" when refused
  std::string resume(std::uint32_t generation, std::uint64_t sip_frames) {
    if (!session.session.can_resume(generation, sip_frames)) return "refused";
    Described<ServerSession> greeting{ServerSession(kStart), {}};
    HelloInfo info = hello_info();
    info.credentials = ResumeCredentials{"t", sip_frames};
    greeting.receives(control(to_message(info)));
    return session.does([&](auto& s, auto& out) {
      s.resume(greeting.session, generation, sip_frames, welcome(), tokens, kStart, out);
    });
  }
  std::string lose() {
    return session.does([](auto& s, auto& out) {
      s.on_link_lost(CloseCode::going_away, "connection lost", kStart, out);
    });
  }
};

std::string send(Described<ServerSession>& session, std::string_view text) {
  return session.does([&](auto& s, auto& out) { s.send_sip(as_bytes(text), out); });
}

TEST(ResumeTokens, are_opened_by_their_issuer_only_and_not_when_changed) {
  SeededRandom one(1), two(2);
  const ResumeTokens tokens(one), others(two);
  const ResumeTokens::Claim claim{0x0102030405060708, 9};
  const std::string token = tokens.issue(claim);
  EXPECT_EQ(token.size(), 56u);
  EXPECT_EQ(tokens.issue(claim), token);
  EXPECT_EQ(tokens.open(token), claim);
  EXPECT_FALSE(others.open(token));
  for (std::size_t i = 0; i < token.size(); ++i) {
    std::string changed = token;
    changed[i] = changed[i] == '0' ? '1' : '0';
    EXPECT_FALSE(tokens.open(changed)) << i;
  }
  for (const std::string& bad : {std::string(), token.substr(1), token + "0", std::string(56, 'x'),
                                 token.substr(0, 55) + " "}) {
    EXPECT_FALSE(tokens.open(bad)) << bad;
  }
}

TEST(ResumeGenerations, two_are_good_until_the_client_has_shown_the_newer) {
  ResumeGenerations generations;
  EXPECT_TRUE(generations.good(1));
  EXPECT_FALSE(generations.good(0));
  EXPECT_FALSE(generations.good(2));
  EXPECT_EQ(generations.use(1), 2u);
  EXPECT_TRUE(generations.good(1));  // the Welcome may be lost
  EXPECT_EQ(generations.use(1), 2u);
  generations.prove();
  EXPECT_FALSE(generations.good(1));
  EXPECT_EQ(generations.use(2), 3u);
  EXPECT_EQ(generations.use(3), 4u);  // having the token shows it too
  EXPECT_FALSE(generations.good(2));
}

TEST(Resume, a_session_waits_for_its_window_and_no_longer) {
  Gateway gateway;
  gateway.establish();
  EXPECT_EQ(gateway.lose(), "");
  EXPECT_TRUE(gateway.session.session.detached());
  EXPECT_EQ(gateway.session.session.next_deadline(), kStart + seconds(60));
  EXPECT_EQ(gateway.session.time(kStart + milliseconds(59'999)), "");
  EXPECT_EQ(gateway.session.time(kStart + seconds(60)), "over timeout");
  EXPECT_EQ(gateway.resume(1, 0), "refused");
}

TEST(Resume, without_a_window_the_session_ends_with_its_link) {
  Gateway gateway;
  gateway.window_ms = 0;
  gateway.establish();
  EXPECT_EQ(gateway.resume(1, 0), "refused");
  EXPECT_EQ(gateway.lose(), "over going_away by peer");
}

TEST(Resume, what_was_done_on_purpose_or_wrong_ends_the_session) {
  for (const CloseCode code : {CloseCode::normal, CloseCode::protocol_error,
                               CloseCode::limit_exceeded, CloseCode::unauthorized}) {
    Gateway gateway;
    gateway.establish();
    gateway.session.does([&](auto& s, auto& out) { s.on_link_lost(code, "ended", kStart, out); });
    EXPECT_TRUE(gateway.session.session.closed()) << to_text(code);
  }
  for (const CloseCode code : {CloseCode::timeout, CloseCode::going_away, CloseCode::replaced,
                               CloseCode::too_slow, CloseCode::internal_error}) {
    Gateway gateway;
    gateway.establish();
    gateway.session.does([&](auto& s, auto& out) { s.on_link_lost(code, "lost", kStart, out); });
    EXPECT_TRUE(gateway.session.session.detached()) << to_text(code);
  }
}

TEST(Resume, silence_ends_the_link_and_not_the_session) {
  Gateway gateway;
  gateway.establish();
  EXPECT_EQ(gateway.session.time(kStart + seconds(45)), "link lost timeout");
  EXPECT_TRUE(gateway.session.session.detached());
}

TEST(Resume, what_was_not_acknowledged_is_sent_again_and_what_was_is_not) {
  Gateway gateway;
  gateway.establish();
  for (const char* text : {"one", "two", "three"})
    EXPECT_EQ(send(gateway.session, text), "sip-out");
  gateway.session.receives(ack(1));
  gateway.lose();
  EXPECT_EQ(send(gateway.session, "four"), "");
  EXPECT_EQ(gateway.resume(1, 2), "welcome, sip-out, sip-out");
  const auto& events = gateway.session.events;
  v1::ControlMessage message;
  ASSERT_TRUE(parse_control(std::get<SendFrame>(events[0]).bytes, message));
  EXPECT_EQ(message.welcome().sip_frames_before(), 2u);
  EXPECT_EQ(message.welcome().sip_frames(), 0u);
  EXPECT_EQ(gateway.tokens.open(message.welcome().resume_token()),
            (ResumeTokens::Claim{7, ResumeGenerations::kFirst + 1}));
  EXPECT_EQ(as_text(std::get<SendFrame>(events[1]).bytes), "three");
  EXPECT_EQ(as_text(std::get<SendFrame>(events[2]).bytes), "four");
}

TEST(Resume, a_token_stays_good_while_its_welcome_may_be_lost_and_dies_with_the_first_frame) {
  Gateway gateway;
  gateway.establish();
  gateway.lose();
  EXPECT_EQ(gateway.resume(1, 0), "welcome");
  EXPECT_EQ(gateway.resume(1, 0), "welcome") << "the client never read the first Welcome";
  EXPECT_EQ(gateway.session.receives(ack(0)), "");
  EXPECT_EQ(gateway.resume(1, 0), "refused") << "a Hello replayed by somebody";
  EXPECT_EQ(gateway.resume(2, 0), "welcome");
}

TEST(Resume, a_count_of_frames_never_sent_attaches_nothing) {
  Gateway gateway;
  gateway.establish();
  EXPECT_EQ(gateway.resume(1, 1), "refused");
  EXPECT_TRUE(gateway.session.session.established());
}

TEST(Resume, a_hello_that_an_ack_overtook_misses_nothing) {
  Gateway gateway;
  gateway.establish();
  for (int i = 0; i < 4; ++i) send(gateway.session, "frame");
  gateway.session.receives(ack(3));  // on the old link; the Hello on the new one said 1
  EXPECT_EQ(gateway.resume(1, 1), "welcome, sip-out");
  v1::ControlMessage message;
  ASSERT_TRUE(parse_control(std::get<SendFrame>(gateway.session.events[0]).bytes, message));
  EXPECT_EQ(message.welcome().sip_frames_before(), 3u);
}

TEST(Resume, too_much_unacknowledged_ends_the_session_with_a_reason) {
  Gateway frames;
  frames.establish();
  frames.lose();
  for (std::size_t i = 0; i < limits::kReplayFrames; ++i) ASSERT_EQ(send(frames.session, "x"), "");
  EXPECT_EQ(send(frames.session, "x"), "over too_slow");
  Gateway bytes;
  bytes.establish();
  const std::string large(limits::kReliableFrameBytes, 'x');
  for (std::size_t i = 0; i < limits::kReplayBytes / large.size(); ++i) {
    ASSERT_EQ(send(bytes.session, large), "sip-out");
  }
  EXPECT_EQ(send(bytes.session, large), closes(CloseCode::too_slow));
  EXPECT_TRUE(bytes.session.session.closed());
}

TEST(Resume, a_client_refuses_a_welcome_that_does_not_fit_its_session) {
  for (const auto& [frames, before] : {std::pair{1, 0}, std::pair{0, 1}}) {
    Described<ClientSession> client;
    client.does([](auto& s, auto& out) { s.start(hello_info(), kStart, out); });
    WelcomeInfo first = welcome_info();
    first.resume_token = "one";
    first.resume_window_ms = 60'000;
    client.receives(control(to_message(first)));
    client.does(
        [](auto& s, auto& out) { s.on_link_lost(CloseCode::going_away, "lost", kStart, out); });
    Described<ClientSession> greeting;
    const auto hello = client.session.resume_hello(hello_info());
    ASSERT_TRUE(hello);
    greeting.does([&](auto& s, auto& out) { s.start(*hello, kStart, out); });
    WelcomeInfo second = first;
    second.sip_frames = static_cast<std::uint64_t>(frames);
    second.sip_frames_before = static_cast<std::uint64_t>(before);
    ASSERT_EQ(greeting.receives(control(to_message(second))), "established");
    EXPECT_EQ(
        client.does([&](auto& s, auto& out) { s.adopt(greeting.session, second, kStart, out); }),
        closes(CloseCode::protocol_error));
  }
}

TEST(GoAway, is_told_to_the_client_with_no_more_than_it_should_keep) {
  Described<ClientSession> client;
  client.does([](auto& s, auto& out) { s.start(hello_info(), kStart, out); });
  client.receives(welcome());
  GoAwayInfo info{seconds(30), {}, "two\nlines"};
  info.gateways.assign(limits::kGoAwayGateways + 1, "wss://b.example");
  info.gateways.insert(info.gateways.begin(), std::string(limits::kGatewayUrlBytes + 1, 'x'));
  EXPECT_EQ(client.receives(control(to_message(info))), "told to go");
  const auto* told = find<GoAwayReceived>(client.events);
  ASSERT_NE(told, nullptr);
  EXPECT_EQ(told->info.deadline, seconds(30));
  EXPECT_EQ(told->info.gateways,
            std::vector<std::string>(limits::kGoAwayGateways, "wss://b.example"));
  EXPECT_EQ(told->info.reason, "two?lines");
  EXPECT_TRUE(client.session.established());
}

TEST(GoAway, is_not_for_gateways_and_waits_for_a_link) {
  Gateway gateway;
  gateway.establish();
  const GoAwayInfo info{seconds(30), {}, "maintenance"};
  EXPECT_EQ(gateway.session.receives(control(to_message(info))), "") << "counted";
  EXPECT_EQ(gateway.session.session.statistics().unknown_control, 1u);
  const auto say = [&](auto& s, auto& out) { s.go_away(info, out); };
  EXPECT_EQ(gateway.session.does(say), "go away");
  gateway.lose();
  EXPECT_EQ(gateway.session.does(say), "");
  gateway.resume(1, 0);
  EXPECT_EQ(gateway.session.does(say), "go away");
}

}  // namespace
}  // namespace isthmus::wire
