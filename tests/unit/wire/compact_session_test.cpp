// Compact RTP as sessions agree it: capability, contexts on the control channel, both directions.
#include <gtest/gtest.h>

#include "compact_support.hpp"
#include "session_support.hpp"

namespace isthmus::wire {
namespace {

using namespace testing;

/// Both ends with nothing between them; every control frame arrives at once.
struct Ends {
  Instant now{seconds(100)};
  ServerSession server{now};
  ClientSession client;
  int contexts = 0;

  Ends(bool client_can, bool server_can) {
    SessionEvents events;
    HelloInfo hello = hello_info();
    announce(hello.capabilities, kCompactRtpCapability, client_can);
    client.start(hello, now, events);
    to_server(events);
    WelcomeInfo welcome = welcome_info();
    announce(welcome.capabilities, kCompactRtpCapability, server_can);
    events.clear();
    server.accept(welcome, now, events);
    to_client(events);
  }

  void count(const SendFrame& frame) {
    v1::ControlMessage message;
    ASSERT_TRUE(parse_control(frame.bytes, message));
    contexts += message.has_media_context();
  }
  void to_server(const SessionEvents& events) {
    SessionEvents answers;
    for (const SessionEvent& event : events) {
      if (const auto* frame = std::get_if<SendFrame>(&event)) {
        count(*frame);
        server.on_frame(frame->channel, frame->bytes, now, answers);
      }
    }
    if (!answers.empty()) to_client(answers);
  }
  void to_client(const SessionEvents& events) {
    SessionEvents answers;
    for (const SessionEvent& event : events) {
      if (const auto* frame = std::get_if<SendFrame>(&event)) {
        count(*frame);
        client.on_frame(frame->channel, frame->bytes, now, answers);
      }
    }
    if (!answers.empty()) to_server(answers);
  }

  /// A packet up and one down. @return are both as they were sent?
  bool exchange(const Bytes& packet) {
    SessionEvents events;
    const ByteView up = client.write_media(16, packet, now, events);
    const auto at_server = server.read_media(16, up, now, events);
    const bool up_good = at_server && to_bytes(*at_server) == packet;
    to_server(events);
    events.clear();
    const ByteView down = server.write_media(20, packet, now, events);
    const auto at_client = client.read_media(20, down, now, events);
    const bool down_good = at_client && to_bytes(*at_client) == packet;
    to_client(events);
    return up_good && down_good;
  }
  void talk(int packets) {
    Rtp header{65'000, 7};
    for (int i = 0; i < packets; ++i) {
      ASSERT_TRUE(exchange(rtp(header, Bytes(160, 0xd5)))) << i;
      ++header.sequence;
      header.timestamp += 160;
      now += milliseconds(20);
    }
  }
};

TEST(CompactSession, both_directions_go_compact_where_both_ends_can) {
  Ends ends(true, true);
  ASSERT_TRUE(ends.client.established());
  ends.talk(1000);
  EXPECT_EQ(ends.contexts, 2);
  for (const auto* counters : {&ends.client.media_out(), &ends.server.media_in(),
                               &ends.server.media_out(), &ends.client.media_in()}) {
    EXPECT_GT(counters->of(MediaKind::compact).frames, 900u);
    EXPECT_EQ(counters->contexts, 1u);
    EXPECT_EQ(counters->frames(), 1000u);
  }
}

TEST(CompactSession, media_stays_whole_where_one_end_cannot) {
  for (const bool client_can : {false, true}) {
    Ends ends(client_can, !client_can);
    ends.talk(300);
    EXPECT_EQ(ends.contexts, 0);
    EXPECT_EQ(ends.client.media_out().of(MediaKind::whole).frames, 300u);
    EXPECT_EQ(ends.server.media_in().of(MediaKind::compact).frames, 0u);
    // What a peer proposes all the same is a message that nobody acts on.
    SessionEvents events;
    const CompactContext context{16, 0, 1, 7, 0, 160, 100, 16'000, 64};
    ends.server.on_frame(kControlChannel, serialize_control(to_message(context)), ends.now, events);
    EXPECT_TRUE(events.empty());
    EXPECT_EQ(ends.server.statistics().unknown_control, 1u);
  }
}

}  // namespace
}  // namespace isthmus::wire
