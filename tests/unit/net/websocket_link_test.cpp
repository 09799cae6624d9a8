#include "net/websocket_link.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/limits.hpp"
#include "unit/net/net_support.hpp"
#include "unit/net/raw_client.hpp"

namespace isthmus::net::test {
namespace {

using testing::HasSubstr;
using wire::CloseCode;

std::string text_of(std::size_t bytes, char seed) {
  std::string text(bytes, 'x');
  for (std::size_t i = 0; i < bytes; ++i)
    text[i] = static_cast<char>(seed + static_cast<char>(i % 64));
  return text;
}

TEST(WebSocketLink, reliable_and_media_frames_pass_in_both_directions) {
  Loop loop;
  Server server(loop, true);
  const auto client = connect(loop, server);
  std::vector<ReceivedFrame> sent;
  for (const std::size_t bytes : {1ul, 100ul, 4000ul, 5000ul, limits::kReliableFrameBytes}) {
    sent.push_back({wire::kSipChannel, text_of(bytes, ' ')});
    client->link->send_reliable(wire::kSipChannel, as_bytes(sent.back().bytes));
  }
  ASSERT_TRUE(loop.run_until([&] { return client->reliable.size() == sent.size(); }));
  EXPECT_EQ(client->reliable, sent);
  std::vector<ReceivedFrame> media;
  for (const std::size_t bytes : {1ul, 172ul, limits::kMediaFrameBytes}) {
    media.push_back({static_cast<wire::Channel>(16 + bytes % 7), text_of(bytes, '0')});
    client->link->send_media(media.back().channel, as_bytes(media.back().bytes));
  }
  ASSERT_TRUE(loop.run_until([&] { return client->media.size() == media.size(); }));
  EXPECT_EQ(client->media, media);
  const LinkCounters counters = client->link->counters();
  EXPECT_EQ(counters.reliable_frames_out, sent.size());
  EXPECT_EQ(counters.reliable_frames_in, sent.size());
  EXPECT_EQ(counters.media_frames_out, media.size());
  EXPECT_EQ(counters.media_frames_in, media.size());
  EXPECT_GE(counters.bytes_in, limits::kReliableFrameBytes);
  EXPECT_EQ(counters.media_dropped, 0u);
  EXPECT_EQ(client->link->remote().to_string(), server.listener->local().to_string());
  EXPECT_EQ(client->link->local().to_string(), server.peers.front()->link->remote().to_string());
}

TEST(WebSocketLink, frames_of_one_moment_share_messages) {
  Loop loop;
  Server server(loop, false);
  const auto client = connect(loop, server);
  const std::string packet = text_of(172, 'a');
  for (int i = 0; i < 20; ++i) client->link->send_media(16, as_bytes(packet));
  ASSERT_TRUE(loop.run_until([&] { return server.peers.front()->media.size() == 20; }));
  EXPECT_LE(client->link->counters().messages_out, 3u);  // the first, and the rest bundled
}

TEST(WebSocketLink, closing_sends_what_waits_then_says_why) {
  Loop loop;
  Server server(loop, false);
  const auto client = connect(loop, server);
  for (int i = 0; i < 200; ++i) client->link->send_reliable(1, as_bytes(text_of(1000, 'a')));
  client->link->close(CloseCode::going_away, "the gateway restarts");
  client->link->send_reliable(1, as_bytes("too late"));
  Peer& other = *server.peers.front();
  ASSERT_TRUE(loop.run_until([&] { return other.closed && client->closed; }));
  EXPECT_EQ(other.reliable.size(), 200u);
  EXPECT_EQ(*other.closed, CloseCode::going_away);
  EXPECT_EQ(other.close_reason, "the gateway restarts");
  EXPECT_EQ(*client->closed, CloseCode::going_away);
}

TEST(WebSocketLink, every_close_code_reaches_the_other_end) {
  Loop loop;
  Server server(loop, false);
  for (const auto code : {CloseCode::normal, CloseCode::protocol_error, CloseCode::unauthorized,
                          CloseCode::replaced, CloseCode::too_slow, CloseCode::forbidden}) {
    const auto client = connect(loop, server);
    server.peers.back()->link->close(code, std::string(300, 'r'));
    ASSERT_TRUE(loop.run_until([&] { return client->closed.has_value(); }));
    EXPECT_EQ(*client->closed, code);
    EXPECT_EQ(client->close_reason, std::string(123, 'r'));  // what a close frame holds
  }
}

TEST(WebSocketLink, a_10_megabyte_message_ends_its_link_only) {
  Loop loop;
  Server server(loop, true);
  const auto good = connect(loop, server);
  RawClient bad(loop, server.listener->local());
  ASSERT_TRUE(bad.join());
  ASSERT_EQ(server.peers.size(), 2u);
  bad.send(std::string(10'000'000, 'x'));
  EXPECT_FALSE(bad.read(1));
  EXPECT_EQ(bad.stream().websocket.reason().code, 4004);
  ASSERT_TRUE(loop.run_until([&] { return server.peers[1]->closed.has_value(); }));
  EXPECT_EQ(*server.peers[1]->closed, CloseCode::limit_exceeded);
  EXPECT_EQ(server.peers[1]->link->counters().messages_in, 0u);
  good->link->send_reliable(1, as_bytes("still here"));
  ASSERT_TRUE(loop.run_until([&] { return good->reliable.size() == 1; }));
  EXPECT_FALSE(good->closed);
}

TEST(WebSocketLink, text_and_malformed_messages_are_protocol_errors) {
  struct Case {
    const char* what;
    std::string bytes;
    bool text;
    CloseCode code;
  };
  const Case cases[] = {
      {"text", "\x01SIP", true, CloseCode::protocol_error},
      {"cut channel", "\xc0", false, CloseCode::protocol_error},
      {"nothing after the channel", "\x01", false, CloseCode::protocol_error},
      {"length past the end", std::string("\x10\x3f") + "abc", false, CloseCode::protocol_error},
      {"media frame over 2 KiB", std::string("\x10\x00", 2) + std::string(2049, 'm'), false,
       CloseCode::limit_exceeded},
      {"channel far out of range", std::string("\xbf\xff\xff\xff") + "abc", false,
       CloseCode::limit_exceeded},
  };
  for (const Case& bad : cases) {
    Loop loop;
    Server server(loop, false);
    RawClient client(loop, server.listener->local());
    ASSERT_TRUE(client.join());
    ASSERT_TRUE(client.send(bad.bytes, bad.text));
    EXPECT_FALSE(client.read(1)) << bad.what;
    ASSERT_TRUE(loop.run_until([&] { return server.peers.front()->closed.has_value(); }));
    EXPECT_EQ(*server.peers.front()->closed, bad.code) << bad.what;
    EXPECT_EQ(server.peers.front()->link->counters().malformed_messages, 1u) << bad.what;
    EXPECT_EQ(client.stream().websocket.reason().code, 4000 + static_cast<unsigned>(bad.code))
        << bad.what;
  }
}

TEST(WebSocketLink, a_frame_too_large_to_send_closes_instead_of_vanishing) {
  Loop loop;
  Server server(loop, false);
  const auto client = connect(loop, server);
  client->link->send_reliable(1, as_bytes(std::string(limits::kReliableFrameBytes + 1, 'x')));
  Peer& other = *server.peers.front();
  ASSERT_TRUE(loop.run_until([&] { return client->closed && other.closed; }));
  EXPECT_EQ(*client->closed, CloseCode::limit_exceeded);
  EXPECT_THAT(client->close_reason, HasSubstr("65537 bytes"));
  EXPECT_EQ(*other.closed, CloseCode::limit_exceeded);
  EXPECT_TRUE(other.reliable.empty());
}

TEST(WebSocketLink, a_socket_cut_without_a_word_is_reported) {
  Loop loop;
  Server server(loop, false);
  RawClient client(loop, server.listener->local());
  ASSERT_TRUE(client.join());
  boost::system::error_code ignored;
  client.stream().tcp().close(ignored);
  ASSERT_TRUE(loop.run_until([&] { return server.peers.front()->closed.has_value(); }));
  EXPECT_EQ(*server.peers.front()->closed, CloseCode::going_away);
  EXPECT_THAT(server.peers.front()->close_reason, HasSubstr("connection lost"));
}

TEST(WebSocketLink, pings_of_the_websocket_are_answered) {
  Loop loop;
  Server server(loop, true);
  RawClient client(loop, server.listener->local());
  ASSERT_TRUE(client.join());
  std::string pong;
  client.stream().websocket.control_callback(
      [&pong](boost::beast::websocket::frame_type type, boost::beast::string_view text) {
        if (type == boost::beast::websocket::frame_type::pong)
          pong.assign(text.data(), text.size());
      });
  bool sent = false;
  client.stream().websocket.async_ping("are you there",
                                       [&](const boost::system::error_code& e) { sent = !e; });
  ASSERT_TRUE(loop.run_until([&] { return sent; }));
  ASSERT_TRUE(client.send("\x01x"));
  ASSERT_TRUE(client.read(1));
  EXPECT_EQ(pong, "are you there");
  EXPECT_EQ(client.messages.front(), "\x01x");
}

TEST(WebSocketLink, a_handler_may_destroy_its_link_in_a_callback) {
  Loop loop;
  Server server(loop, false);
  const auto client = connect(loop, server);
  Peer& other = *server.peers.front();
  other.on_frame = [&other] { other.link.reset(); };
  for (int i = 0; i < 5; ++i) client->link->send_media(16, as_bytes("rtp"));
  ASSERT_TRUE(loop.run_until([&] { return client->closed.has_value(); }));
  EXPECT_EQ(other.media.size(), 1u);
  EXPECT_FALSE(other.closed);
  EXPECT_EQ(server.listener->counters().open, 0u);
}

TEST(WebSocketLink, a_link_destroyed_while_closing_still_says_goodbye) {
  Loop loop;
  Server server(loop, false);
  auto client = connect(loop, server);
  client->link->send_reliable(1, as_bytes("last words"));
  client->link->close(CloseCode::normal, "bye");
  client->link.reset();
  Peer& other = *server.peers.front();
  ASSERT_TRUE(loop.run_until([&] { return other.closed.has_value(); }));
  EXPECT_EQ(*other.closed, CloseCode::normal);
  ASSERT_EQ(other.reliable.size(), 1u);
  EXPECT_EQ(other.reliable.front().bytes, "last words");
}

TEST(WebSocketLink, two_hundred_links_at_once) {
  Loop loop;
  Server server(loop, true);
  auto url = parse_gateway_url(server.url());
  auto trust = ClientTrust::make(server.trust());
  ASSERT_TRUE(url && trust);
  std::vector<std::unique_ptr<Dialer>> dialers;
  std::vector<std::unique_ptr<Peer>> clients;
  for (int i = 0; i < 200; ++i) {
    dialers.push_back(
        std::make_unique<Dialer>(loop.io, *trust, Dialer::Options{*url, "net_test", seconds(15)},
                                 [&clients](Result<std::unique_ptr<wire::Link>, DialError> result) {
                                   ASSERT_TRUE(result) << result.error().text;
                                   clients.push_back(std::make_unique<Peer>(std::move(*result)));
                                 }));
  }
  ASSERT_TRUE(loop.run_until([&] { return clients.size() == 200 && server.peers.size() == 200; }));
  EXPECT_EQ(server.listener->counters().open, 200u);
  for (std::size_t i = 0; i < clients.size(); ++i) {
    clients[i]->link->send_reliable(1, as_bytes("sip " + std::to_string(i)));
    clients[i]->link->send_media(18, as_bytes("rtp " + std::to_string(i)));
  }
  ASSERT_TRUE(loop.run_until([&] {
    return std::ranges::all_of(
        clients, [](const auto& c) { return c->reliable.size() == 1 && c->media.size() == 1; });
  }));
  for (std::size_t i = 0; i < clients.size(); ++i) {
    EXPECT_EQ(clients[i]->reliable.front().bytes, "sip " + std::to_string(i));
    EXPECT_EQ(clients[i]->media.front().bytes, "rtp " + std::to_string(i));
  }
  clients.clear();
  ASSERT_TRUE(loop.run_until([&] { return server.listener->counters().open == 0; }));
}

}  // namespace
}  // namespace isthmus::net::test
