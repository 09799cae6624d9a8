// The keep-alive interval that a client finds by search, against NATs of several kinds of patience.
#include "wire/keep_alive_search.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <optional>

#include "base/limits.hpp"
#include "wire/session.hpp"

namespace isthmus::wire {
namespace {

using std::chrono::hours;
using std::chrono::minutes;

constexpr KeepAliveBounds kBounds{seconds(15), kLeastSearchedKeepAlive, kMostSearchedKeepAlive};

/// Two sessions with a NAT between them that forgets the way back after a silence. What comes from
/// the gateway meanwhile is repeated, as QUIC does, once the client has opened the way again.
class World {
 public:
  explicit World(Duration nat_patience, bool gateway_holds = true) : patience(nat_patience) {
    SessionEvents events;
    HelloInfo hello;
    hello.credentials = PasswordCredentials{"alice", "secret"};
    holds_ = gateway_holds;
    client.start(hello, now, events);
    take_client(events);
    run(seconds(1));
  }

  void run(Duration time) {
    const Instant end = now + time;
    while (now < end && !over) {
      Instant next = end;
      if (!flights_.empty()) next = std::min(next, flights_.front().at);
      for (const auto deadline : {client.next_deadline(), server.next_deadline()}) {
        if (deadline) next = std::min(next, *deadline);
      }
      if (next > now) {
        if (next > mapping_until_ && !dead) unreachable += next - std::max(now, mapping_until_);
        now = next;
      }
      step();
    }
  }

  void send_media() {
    SessionEvents events;
    const Bytes packet(172, 0x80);
    const ByteView frame = client.write_media(16, packet, now, events);
    ASSERT_FALSE(frame.empty());
    send_up({{}, 16, to_bytes(frame)});
    take_client(events);
  }
  SessionStatistics figures() const { return client.statistics(); }
  Duration interval() const { return client.statistics().keep_alive; }

  Instant now{};
  Duration patience;
  ClientSession client;
  ServerSession server{Instant{}};
  bool dead = false;  ///< nothing passes at all
  bool over = false;  ///< a link or session was given up
  int pings = 0;
  Duration unreachable{};

 private:
  struct Flight {
    Instant at{};
    Channel channel;
    Bytes bytes;
    bool up = false;
  };

  void step() {
    SessionEvents events;
    while (!flights_.empty() && flights_.front().at <= now) {
      const Flight flight = flights_.front();
      flights_.pop_front();
      if (flight.up && flight.channel >= 16) continue;
      if (flight.up) {
        server.on_frame(flight.channel, flight.bytes, now, events);
        take_server(events);
      } else {
        client.on_frame(flight.channel, flight.bytes, now, events);
        take_client(events);
      }
      events.clear();
    }
    server.on_timeout(now, events);
    take_server(events);
    events.clear();
    client.on_timeout(now, events);
    take_client(events);
  }

  void fly(Flight flight, bool up) {
    flight.at = now + milliseconds(20);
    flight.up = up;
    flights_.push_back(std::move(flight));
  }

  void send_up(Flight flight) {
    if (dead) return;
    mapping_until_ = now + patience;
    for (Flight& waiting : waiting_) fly(std::move(waiting), false);
    waiting_.clear();
    fly(std::move(flight), true);
  }

  void take_client(const SessionEvents& events) {
    for (const SessionEvent& event : events) {
      if (const auto* send = std::get_if<SendFrame>(&event)) {
        ++pings;
        send_up({{}, send->channel, send->bytes});
      } else if (std::holds_alternative<SessionEstablished>(event)) {
        client.keep_alive(kBounds, now);
      } else {
        over = true;
      }
    }
  }

  void take_server(const SessionEvents& events) {
    for (const SessionEvent& event : events) {
      if (const auto* send = std::get_if<SendFrame>(&event)) {
        if (dead) continue;
        if (now > mapping_until_) {
          waiting_.push_back({{}, send->channel, send->bytes});
          continue;
        }
        mapping_until_ = now + patience;
        fly({{}, send->channel, send->bytes}, false);
      } else if (std::holds_alternative<AuthenticateHello>(event)) {
        WelcomeInfo welcome;
        announce(welcome.capabilities, kHeldPongCapability, holds_);
        SessionEvents more;
        server.accept(welcome, now, more);
        take_server(more);
      } else {
        over = true;
      }
    }
  }

  bool holds_ = true;
  Instant mapping_until_ = Instant{} + hours(1000);
  std::deque<Flight> flights_;
  std::deque<Flight> waiting_;
};

struct Expectation {
  int patience_s;
  int least_s, most_s;
};

class KeepAliveNat : public ::testing::TestWithParam<Expectation> {};

TEST_P(KeepAliveNat, the_interval_comes_near_its_patience_and_the_link_lives) {
  const Expectation& expected = GetParam();
  World world{seconds(expected.patience_s)};
  world.run(hours(1));
  ASSERT_FALSE(world.over);
  EXPECT_GE(world.interval(), seconds(expected.least_s));
  EXPECT_LE(world.interval(), seconds(expected.most_s));
  EXPECT_TRUE(world.figures().keep_alive_adapts);
  EXPECT_LE(world.figures().way_back_lost, 6u);
  // What the search costs in an hour: seconds in which a call for us would have had to wait.
  EXPECT_LE(world.unreachable, seconds(100));
  world.run(hours(24));
  EXPECT_FALSE(world.over);
  EXPECT_LE(world.unreachable, minutes(10)) << "in a day: " << world.unreachable.count();
}

INSTANTIATE_TEST_SUITE_P(Patience, KeepAliveNat,
                         ::testing::Values(Expectation{10, 5, 10}, Expectation{30, 20, 30},
                                           Expectation{60, 42, 60}, Expectation{120, 85, 120},
                                           Expectation{300, 120, 120}),
                         [](const auto& one) {
                           return std::to_string(one.param.patience_s) + "s";
                         });

TEST(KeepAlive, a_nat_that_stands_long_silence_is_kept_awake_with_few_pings) {
  World world{seconds(300)};
  world.run(hours(1));
  const int before = world.pings;
  world.run(hours(1));
  EXPECT_LE(world.pings - before, 31) << "a fixed 15 s would be 240";
  EXPECT_EQ(world.figures().way_back_lost, 0u);
}

TEST(KeepAlive, a_nat_that_loses_its_patience_is_followed_down_and_up_again) {
  World world{seconds(300)};
  world.run(hours(1));
  EXPECT_EQ(world.interval(), seconds(120));
  world.patience = seconds(40);
  world.run(minutes(30));
  ASSERT_FALSE(world.over);
  EXPECT_LT(world.interval(), seconds(40));
  EXPECT_GE(world.interval(), seconds(25));
  world.patience = seconds(300);
  world.run(hours(10));
  ASSERT_FALSE(world.over);
  EXPECT_EQ(world.interval(), seconds(120));
}

TEST(KeepAlive, a_link_on_which_something_else_goes_says_nothing_about_silence) {
  World world{seconds(30)};
  for (int i = 0; i < 600; ++i) {
    world.send_media();
    world.run(seconds(3));
  }
  ASSERT_FALSE(world.over);
  EXPECT_EQ(world.interval(), seconds(15)) << "nothing was learned from silences that were none";
}

TEST(KeepAlive, a_dead_link_is_told_soon_after_its_pong_is_missed) {
  World world{seconds(300)};
  world.run(hours(1));
  world.dead = true;
  const Instant died = world.now;
  world.run(hours(1));
  EXPECT_TRUE(world.over);
  EXPECT_LE(world.now - died, seconds(120) + kHeldPongLate * 5);
}

TEST(KeepAlive, without_the_gateways_help_it_is_what_welcome_said) {
  World world(seconds(300), false);
  world.run(hours(1));
  EXPECT_FALSE(world.over);
  EXPECT_FALSE(world.figures().keep_alive_adapts);
  EXPECT_EQ(world.interval(), limits::kKeepAlive);
}

TEST(KeepAlive, a_fixed_interval_is_kept_to_and_a_longer_one_is_announced) {
  World world{seconds(300)};
  world.client.keep_alive({seconds(200), seconds(200), seconds(200)}, world.now);
  world.run(hours(1));
  ASSERT_FALSE(world.over) << "the gateway's patience is that of the Ping";
  EXPECT_EQ(world.interval(), seconds(200));
  EXPECT_FALSE(world.figures().keep_alive_adapts);
}

TEST(KeepAlive, a_gateway_that_answers_at_once_does_not_make_the_client_send_without_end) {
  Instant now{};
  ClientSession client;
  SessionEvents events;
  HelloInfo hello;
  hello.credentials = PasswordCredentials{"alice", "secret"};
  client.start(hello, now, events);
  ServerSession hasty(now);  // answers every Ping at once, though it says that it holds Pongs
  int sent = 0;
  for (int step = 0; step < 6000; ++step) {
    SessionEvents batch = std::exchange(events, {});
    for (const SessionEvent& event : batch) {
      if (const auto* frame = std::get_if<SendFrame>(&event)) {
        ++sent;
        SessionEvents answers;
        Bytes bytes = frame->bytes;
        // hold_ms is field 2 of Ping: cut off, the Ping asks for an answer at once.
        if (client.established() && bytes.size() > 6) {
          const auto at = std::find(bytes.begin() + 2, bytes.end(), std::uint8_t{0x10});
          if (at != bytes.end()) {
            bytes[1] = static_cast<std::uint8_t>(at - bytes.begin() - 2);
            bytes.erase(at, bytes.end());
          }
        }
        hasty.on_frame(frame->channel, bytes, now, answers);
        if (!answers.empty() && std::holds_alternative<AuthenticateHello>(answers.front())) {
          answers.clear();
          WelcomeInfo welcome;
          announce(welcome.capabilities, kHeldPongCapability, true);
          hasty.accept(welcome, now, answers);
        }
        for (const SessionEvent& answer : answers) {
          if (const auto* back = std::get_if<SendFrame>(&answer)) {
            client.on_frame(back->channel, back->bytes, now, events);
          }
        }
      } else if (std::holds_alternative<SessionEstablished>(event)) {
        client.keep_alive(kBounds, now);
      }
    }
    now += milliseconds(10);
    client.on_timeout(now, events);
  }
  EXPECT_TRUE(client.established());
  EXPECT_LE(sent, 8) << "in a minute";
}

TEST(MediaPing, is_answered_by_as_many_bytes_and_nothing_else_is_answered) {
  const Bytes ping = ClientSession::media_ping();
  EXPECT_GE(ping.size(), 172u);
  ServerSession server(Instant{});
  const auto pong = server.answer_media_ping(ping, Instant{});
  ASSERT_TRUE(pong);
  EXPECT_LE(pong->size(), ping.size() + 4) << "who sends it cannot make the gateway send more";
  EXPECT_GE(pong->size(), ping.size() - 4);
  EXPECT_FALSE(server.answer_media_ping(*pong, Instant{})) << "or two would go on for ever";
  EXPECT_FALSE(server.answer_media_ping(as_bytes("no protobuf"), Instant{}));
  EXPECT_FALSE(server.answer_media_ping({}, Instant{}));
  EXPECT_FALSE(server.answer_media_ping(Bytes(limits::kMediaFrameBytes + 1, 0), Instant{}));
}

}  // namespace
}  // namespace isthmus::wire
