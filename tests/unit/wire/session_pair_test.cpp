// Both ends back to back over a virtual network: ordered, with delay, on virtual time.
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>

#include "base/limits.hpp"
#include "base/random.hpp"
#include "session_support.hpp"

namespace isthmus::wire {
namespace {

using namespace testing;

const Instant kStart{seconds(1000)};

struct Wire {  ///< one direction
  struct Message {
    Instant arrives;
    Channel channel;
    Bytes bytes;
  };
  std::deque<Message> messages;
  bool cut = false;
};

// Runs both sessions until a given moment. Every frame crosses as the message that a TCP link would
// carry.
struct Pair {
  Instant now = kStart;
  Duration delay = milliseconds(20);
  ServerSession server{kStart};
  ClientSession client;
  Wire up, down;
  bool accept = true;
  std::uint32_t keep_alive_ms = 15000;
  std::vector<std::string> server_sip, client_sip;
  std::optional<SessionClosed> server_over, client_over;
  int pings = 0, acks = 0;

  void send(const SendFrame& frame, Wire& wire) {
    const std::string name = frame.channel == kControlChannel ? describe_control(frame.bytes) : "";
    if (name == "ping") ++pings;
    if (name.starts_with("ack")) ++acks;
    Bytes message;
    ASSERT_FALSE(write_reliable(frame.channel, frame.bytes, message));
    if (!wire.cut) wire.messages.push_back({now + delay, frame.channel, std::move(message)});
  }
  void drain_server(SessionEvents events) {
    for (SessionEvent& event : events) {
      if (auto* frame = std::get_if<SendFrame>(&event)) send(*frame, down);
      if (auto* received = std::get_if<SipFrameReceived>(&event))
        server_sip.push_back(received->bytes);
      if (auto* over = std::get_if<SessionClosed>(&event)) server_over = *over;
      if (std::get_if<AuthenticateHello>(&event) != nullptr) {
        SessionEvents more;
        if (accept) {
          server.accept(welcome_info(keep_alive_ms), now, more);
        } else {
          server.reject(CloseCode::unauthorized, "wrong password", 60, more);
        }
        drain_server(std::move(more));
      }
    }
  }
  void drain_client(SessionEvents events) {
    for (SessionEvent& event : events) {
      if (auto* frame = std::get_if<SendFrame>(&event)) send(*frame, up);
      if (auto* received = std::get_if<SipFrameReceived>(&event))
        client_sip.push_back(received->bytes);
      if (auto* over = std::get_if<SessionClosed>(&event)) client_over = *over;
    }
  }
  template <typename Input>
  void with_server(Input input) {
    SessionEvents out;
    input(server, out);
    drain_server(std::move(out));
  }
  template <typename Input>
  void with_client(Input input) {
    SessionEvents out;
    input(client, out);
    drain_client(std::move(out));
  }
  void start() {
    with_client([&](auto& s, auto& out) { s.start(hello_info(), now, out); });
  }
  void sip_from_client(std::string_view text) {
    with_client([&](auto& s, auto& out) { s.send_sip(as_bytes(text), out); });
  }
  void sip_from_server(std::string_view text) {
    with_server([&](auto& s, auto& out) { s.send_sip(as_bytes(text), out); });
  }

  template <typename Session>
  void deliver(Wire& wire, Session& session, SessionEvents& out) {
    const Wire::Message message = std::move(wire.messages.front());
    wire.messages.pop_front();
    FrameReader reader(message.bytes);
    const auto frame = reader.next();
    ASSERT_TRUE(frame);
    session.on_frame(frame->channel, frame->bytes, now, out);
  }

  void run_until(Instant end) {
    for (;;) {
      Instant next = end;
      for (const Wire* wire : {&up, &down}) {
        if (!wire->messages.empty()) next = std::min(next, wire->messages.front().arrives);
      }
      for (const auto& deadline : {server.next_deadline(), client.next_deadline()}) {
        if (deadline) next = std::min(next, *deadline);
      }
      now = std::max(now, next);
      if (!up.messages.empty() && up.messages.front().arrives <= now) {
        with_server([&](auto& s, auto& out) { deliver(up, s, out); });
      } else if (!down.messages.empty() && down.messages.front().arrives <= now) {
        with_client([&](auto& s, auto& out) { deliver(down, s, out); });
      } else if (server.next_deadline() && *server.next_deadline() <= now) {
        with_server([&](auto& s, auto& out) { s.on_timeout(now, out); });
      } else if (client.next_deadline() && *client.next_deadline() <= now) {
        with_client([&](auto& s, auto& out) { s.on_timeout(now, out); });
      } else if (now >= end) {
        return;
      }
    }
  }
  void run_for(Duration time) { run_until(now + time); }
};

TEST(SessionPair, stands_after_one_round_trip) {
  Pair pair;
  pair.start();
  pair.run_for(pair.delay * 2);
  EXPECT_TRUE(pair.server.established());
  EXPECT_TRUE(pair.client.established());
}

TEST(SessionPair, wrong_password_ends_both_ends_with_the_reason) {
  Pair pair;
  pair.accept = false;
  pair.start();
  pair.run_for(seconds(1));
  ASSERT_TRUE(pair.client_over);
  EXPECT_EQ(pair.client_over->code, CloseCode::unauthorized);
  EXPECT_EQ(pair.client_over->reason, "wrong password");
  EXPECT_EQ(pair.client_over->retry_after_s, 60u);
  EXPECT_TRUE(pair.server.closed());
}

TEST(SessionPair, an_idle_hour_is_kept_alive_by_pings_alone) {
  Pair pair;
  pair.start();
  pair.run_for(std::chrono::hours(1));
  EXPECT_TRUE(pair.server.established());
  EXPECT_TRUE(pair.client.established());
  EXPECT_EQ(pair.pings, 239);  // every 15 s from Welcome, 40 ms after the start
  EXPECT_EQ(pair.acks, 0);
  EXPECT_EQ(pair.client.statistics().round_trip, pair.delay * 2);
}

TEST(SessionPair, sip_crosses_in_order_once_and_is_acknowledged) {
  constexpr std::uint64_t kSeed = 4242;
  SCOPED_TRACE(kSeed);
  SeededRandom random(kSeed);
  Pair pair;
  pair.start();
  pair.run_for(seconds(1));
  std::vector<std::string> from_client, from_server;
  for (int i = 0; i < 2000; ++i) {
    const std::string text = std::to_string(i) + std::string(random.below(900), 'x');
    if (random.below(2) != 0) {
      from_client.push_back(text);
      pair.sip_from_client(text);
    } else {
      from_server.push_back(text);
      pair.sip_from_server(text);
    }
    pair.run_for(Duration(random.below(100'000'000)));
  }
  pair.run_for(seconds(1));
  EXPECT_EQ(pair.server_sip, from_client);
  EXPECT_EQ(pair.client_sip, from_server);
  EXPECT_EQ(pair.client.statistics().sip_frames_acked, from_client.size());
  EXPECT_EQ(pair.server.statistics().sip_frames_acked, from_server.size());
  EXPECT_LT(pair.acks, 2000) << "Acks are batched";
}

TEST(SessionPair, a_cut_link_is_found_by_both_ends_within_three_intervals) {
  Pair pair;
  pair.keep_alive_ms = 5000;
  pair.start();
  pair.run_for(seconds(60));
  pair.up.cut = pair.down.cut = true;
  pair.up.messages.clear();
  pair.down.messages.clear();
  pair.run_for(seconds(15) + pair.delay);
  ASSERT_TRUE(pair.server_over);
  ASSERT_TRUE(pair.client_over);
  EXPECT_EQ(pair.server_over->code, CloseCode::timeout);
  EXPECT_EQ(pair.client_over->code, CloseCode::timeout);
  EXPECT_FALSE(pair.server_over->by_peer);
  EXPECT_FALSE(pair.client_over->by_peer);
}

TEST(SessionPair, a_link_cut_in_one_direction_is_found_by_the_end_that_hears_nothing) {
  Pair pair;
  pair.keep_alive_ms = 5000;
  pair.start();
  pair.run_for(seconds(60));
  pair.up.cut = true;  // the gateway hears nothing; its Close still reaches the client
  pair.run_for(seconds(16));
  ASSERT_TRUE(pair.server_over);
  EXPECT_EQ(pair.server_over->code, CloseCode::timeout);
  ASSERT_TRUE(pair.client_over);
  EXPECT_EQ(pair.client_over->code, CloseCode::timeout);
}

TEST(SessionPair, close_reaches_the_other_end_after_what_was_sent_before) {
  Pair pair;
  pair.start();
  pair.run_for(seconds(1));
  pair.sip_from_server("last words");
  pair.with_server([](auto& s, auto& out) { s.close(CloseCode::replaced, "a newer link", out); });
  pair.run_for(seconds(1));
  EXPECT_EQ(pair.client_sip, std::vector<std::string>{"last words"});
  ASSERT_TRUE(pair.client_over);
  EXPECT_EQ(pair.client_over->code, CloseCode::replaced);
  EXPECT_EQ(pair.client_over->reason, "a newer link");
  EXPECT_TRUE(pair.client_over->by_peer);
}

TEST(SessionPair, both_closing_at_once_is_no_error) {
  Pair pair;
  pair.start();
  pair.run_for(seconds(1));
  pair.with_server([](auto& s, auto& out) { s.close(CloseCode::going_away, "", out); });
  pair.with_client([](auto& s, auto& out) { s.close(CloseCode::normal, "", out); });
  pair.run_for(seconds(1));
  EXPECT_EQ(pair.server_over->code, CloseCode::going_away);
  EXPECT_EQ(pair.client_over->code, CloseCode::normal);
}

}  // namespace
}  // namespace isthmus::wire
