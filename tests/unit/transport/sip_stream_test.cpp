#include "transport/sip_stream.hpp"

#include <gmock/gmock.h>

#include "unit/transport/stream_support.hpp"

namespace isthmus::transport {
namespace {

using sip::Flow;
using sip::Transport;
using test::run_until;
using test::sip_ok;
using test::sip_options;
using test::StreamOwner;
using test::TcpPeer;
using test::TcpServer;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr char kVia[] = "SIP/2.0/TCP 192.0.2.9:5070;branch=z9hG4bK1";

class SipStreamTest : public ::testing::Test {
 protected:
  void start(const SipStreamConfig& config = {}, const std::string& address = "127.0.0.1") {
    stream = std::make_unique<SipStream>(io, config, owner);
    auto bound = stream->listen(Transport::tcp, {*IpAddress::parse(address), 0}, 3);
    ASSERT_TRUE(bound) << bound.error().text;
    local = *bound;
  }
  bool until(const std::function<bool()>& condition) { return run_until(io, condition); }
  std::unique_ptr<TcpPeer> accepted_by(TcpServer& server) {
    std::unique_ptr<TcpPeer> peer;
    EXPECT_TRUE(until([&] { return (peer = server.take()) != nullptr; }));
    return peer;
  }
  std::uint64_t ends(ConnectionEnd why) const { return stream->counters().ends(why); }

  boost::asio::io_context io;
  StreamOwner owner;
  std::unique_ptr<SipStream> stream;
  Endpoint local;
};

TEST_F(SipStreamTest, a_request_is_answered_on_its_connection) {
  start();
  auto peer = TcpPeer::connect(local);
  peer->send(sip_options(std::string(kVia) + ";rport"));
  ASSERT_TRUE(until([&] { return !owner.messages.empty(); }));
  const Flow flow = owner.flows[0];
  EXPECT_EQ(flow.transport, Transport::tcp);
  EXPECT_EQ(flow.remote, (Endpoint{local.address, peer->port()}));
  EXPECT_EQ(flow.local, 3u);
  EXPECT_NE(flow.connection, 0u);
  EXPECT_TRUE(flow.reliable());
  const auto via = owner.messages[0].top_via();
  EXPECT_EQ(via->params.get("received"), "127.0.0.1");
  EXPECT_EQ(via->params.get("rport"), std::to_string(peer->port()));
  EXPECT_EQ(SendOutcome::sent, stream->send(flow, sip_ok(kVia)));
  EXPECT_TRUE(until([&] { return peer->take() == sip_ok(kVia); }));
}

TEST_F(SipStreamTest, messages_split_and_joined_at_any_byte_arrive_whole) {
  start();
  auto peer = TcpPeer::connect(local);
  const std::string message = sip_options(kVia);
  for (const char c : message) {  // each byte a segment of its own
    peer->send(std::string_view(&c, 1));
    test::settle(io);
  }
  ASSERT_TRUE(until([&] { return owner.messages.size() == 1; }));
  peer->send("\r\n" + message + message + message.substr(0, 40));
  ASSERT_TRUE(until([&] { return owner.messages.size() == 3; }));
  peer->send(message.substr(40));
  ASSERT_TRUE(until([&] { return owner.messages.size() == 4; }));
  EXPECT_EQ(stream->counters().messages_in, 4u);
}

TEST_F(SipStreamTest, pings_get_pongs) {
  start();
  auto peer = TcpPeer::connect(local);
  peer->send("\r\n\r\n");
  EXPECT_TRUE(until([&] { return peer->take() == "\r\n"; }));
  peer->send("\r\n");
  test::settle(io);
  peer->send("\r\n");
  EXPECT_TRUE(until([&] { return peer->take() == "\r\n\r\n"; }));
  EXPECT_EQ(stream->counters().pings_in, 2u);
}

TEST_F(SipStreamTest, requests_reuse_the_connection_that_was_opened_for_the_first) {
  start();
  TcpServer provider;
  const Flow flow = Flow::to(Transport::tcp, provider.local());
  EXPECT_EQ(SendOutcome::sent, stream->send(flow, sip_options(kVia)));
  EXPECT_EQ(SendOutcome::sent, stream->send(flow, sip_options(kVia)));
  auto peer = accepted_by(provider);
  ASSERT_TRUE(until([&] { return peer->take() == sip_options(kVia) + sip_options(kVia); }));
  EXPECT_EQ(stream->open_connections(Transport::tcp, false), 1u);
  // And the provider answers, and asks, on the same one.
  peer->send(sip_ok(kVia) + sip_options(kVia));
  ASSERT_TRUE(until([&] { return owner.messages.size() == 2; }));
  EXPECT_EQ(owner.flows[0], flow);
  EXPECT_EQ(owner.flows[1], flow);
  peer->clear();
  stream->send(owner.flows[1], sip_ok(kVia));
  EXPECT_TRUE(until([&] { return peer->take() == sip_ok(kVia); }));
  EXPECT_EQ(provider.take(), nullptr);
}

TEST_F(SipStreamTest, a_request_reuses_a_connection_that_its_target_opened) {
  start();
  auto peer = TcpPeer::connect(local);
  peer->send(sip_options(kVia));
  ASSERT_TRUE(until([&] { return !owner.messages.empty(); }));
  stream->send(Flow::to(Transport::tcp, owner.flows[0].remote), sip_options(kVia));
  EXPECT_TRUE(until([&] { return peer->take() == sip_options(kVia); }));
  EXPECT_EQ(stream->open_connections(Transport::tcp, false), 0u);
}

TEST_F(SipStreamTest, a_response_whose_connection_is_gone_goes_to_the_sent_by) {
  start();
  TcpServer callback;
  const std::string via =
      "SIP/2.0/TCP 127.0.0.1:" + std::to_string(callback.local().port) + ";branch=z9hG4bK1";
  auto peer = TcpPeer::connect(local);
  peer->send(sip_options(via));
  ASSERT_TRUE(until([&] { return !owner.messages.empty(); }));
  peer->close();
  ASSERT_TRUE(until([&] { return !owner.closed.empty(); }));
  EXPECT_EQ(owner.closed[0], owner.flows[0]);
  EXPECT_EQ(SendOutcome::sent, stream->send(owner.flows[0], sip_ok(via)));
  auto again = accepted_by(callback);
  EXPECT_TRUE(until([&] { return again->take() == sip_ok(via); }));
  EXPECT_TRUE(owner.failed.empty());
}

TEST_F(SipStreamTest, a_response_that_finds_no_way_fails_the_flow_of_its_request) {
  start();
  TcpServer gone;
  const std::string via =
      "SIP/2.0/TCP 127.0.0.1:" + std::to_string(gone.local().port) + ";branch=z9hG4bK1";
  gone.close();
  auto peer = TcpPeer::connect(local);
  peer->send(sip_options(via));
  ASSERT_TRUE(until([&] { return !owner.messages.empty(); }));
  peer->close();
  ASSERT_TRUE(until([&] { return !owner.closed.empty(); }));
  stream->send(owner.flows[0], sip_ok(via));
  ASSERT_TRUE(until([&] { return owner.failed.size() == 2; }));
  EXPECT_EQ(owner.failed[1], owner.flows[0]);
  // A sent-by elsewhere is nobody's to reach through us.
  stream->send(owner.flows[0], sip_ok("SIP/2.0/TCP 192.0.2.1:5060;branch=z9hG4bK1"));
  ASSERT_TRUE(until([&] { return owner.failed.size() == 3; }));
  EXPECT_EQ(stream->counters().unreachable, 1u);
}

TEST_F(SipStreamTest, a_request_to_a_phone_that_hung_up_its_connection_goes_to_its_contact) {
  start();
  TcpServer phone;
  auto peer = TcpPeer::connect(local);
  peer->send(sip_options(kVia));
  ASSERT_TRUE(until([&] { return !owner.messages.empty(); }));
  peer->close();
  ASSERT_TRUE(until([&] { return !owner.closed.empty(); }));
  const std::string request =
      sip_options(kVia, {}, "sip:desk@127.0.0.1:" + std::to_string(phone.local().port));
  stream->send(owner.flows[0], request);
  auto reached = accepted_by(phone);
  EXPECT_TRUE(until([&] { return reached->take() == request; }));
  stream->send(owner.flows[0], sip_options(kVia, {}, "sip:desk@192.0.2.77"));
  EXPECT_TRUE(until([&] { return !owner.failed.empty(); })) << "behind NAT there is no other way";
  EXPECT_EQ(owner.failed[0], owner.flows[0]);
}

TEST_F(SipStreamTest, refused_connections_fail_their_flow_from_the_event_loop) {
  start();
  TcpServer nobody;
  const Flow flow = Flow::to(Transport::tcp, nobody.local());
  nobody.close();
  EXPECT_EQ(SendOutcome::sent, stream->send(flow, sip_options(kVia)));
  EXPECT_TRUE(owner.failed.empty());
  ASSERT_TRUE(until([&] { return !owner.failed.empty(); }));
  EXPECT_EQ(owner.failed[0], flow);
  EXPECT_EQ(ends(ConnectionEnd::connect_failed), 1u);
  EXPECT_THAT(owner.trouble, HasSubstr("refused"));
  EXPECT_EQ(stream->open_connections(Transport::tcp, false), 0u);
}

TEST_F(SipStreamTest, an_unanswered_connection_attempt_times_out) {
  SipStreamConfig config;
  config.times.connect = milliseconds(50);
  start(config);
  // TEST-NET-1 leads nowhere; where the kernel knows that at once, the flow fails all the same.
  const Flow flow = Flow::to(Transport::tcp, {*IpAddress::parse("192.0.2.1"), 5060});
  stream->send(flow, sip_options(kVia));
  ASSERT_TRUE(until([&] { return !owner.failed.empty(); }));
  EXPECT_EQ(owner.failed[0], flow);
  EXPECT_EQ(ends(ConnectionEnd::connect_timeout) + ends(ConnectionEnd::connect_failed), 1u);
}

TEST_F(SipStreamTest, a_message_without_content_length_is_answered_400_and_ends_the_connection) {
  start();
  auto peer = TcpPeer::connect(local);
  std::string message = sip_options(kVia);
  message.erase(message.find("Content-Length: 0\r\n"), 19);
  peer->send(message + sip_options(kVia));
  ASSERT_TRUE(until([&] { return peer->closed(); }));
  EXPECT_THAT(peer->take(), StartsWith("SIP/2.0 400 Missing Content-Length\r\n"));
  EXPECT_TRUE(owner.messages.empty());
  peer->close();
  EXPECT_TRUE(until([&] { return ends(ConnectionEnd::fault) == 1; }));
}

TEST_F(SipStreamTest, a_malformed_message_between_sound_bounds_leaves_the_connection_alone) {
  start();
  auto peer = TcpPeer::connect(local);
  std::string message = sip_options(kVia);
  message.erase(message.find("Call-ID: c1\r\n"), 13);
  peer->send(message + sip_options(kVia));
  ASSERT_TRUE(until([&] { return owner.messages.size() == 1; }));
  EXPECT_TRUE(until([&] { return peer->take().starts_with("SIP/2.0 400 Missing Call-ID\r\n"); }));
  EXPECT_FALSE(peer->closed());
}

TEST_F(SipStreamTest, what_is_no_sip_is_cut_off_without_an_answer) {
  start();
  for (const char* text : {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\x16\x03\x01\x02"}) {
    auto peer = TcpPeer::connect(local);
    peer->send(text);
    ASSERT_TRUE(until([&] { return peer->closed(); })) << text;
    EXPECT_EQ(peer->take(), "");
  }
}

TEST_F(SipStreamTest, silence_and_slow_messages_are_not_waited_for) {
  SipStreamConfig config;
  config.times.first_message = milliseconds(150);
  config.times.message = milliseconds(150);
  start(config);
  auto silent = TcpPeer::connect(local), slow = TcpPeer::connect(local);
  slow->send(sip_options(kVia));
  ASSERT_TRUE(until([&] { return owner.messages.size() == 1; }));
  slow->send("OPTIONS sip:a@b SIP/2.0\r\n");
  ASSERT_TRUE(until([&] { return silent->closed(); }));
  ASSERT_TRUE(until([&] { return slow->closed(); }));
  EXPECT_TRUE(until([&] { return ends(ConnectionEnd::input_timeout) == 2; }));
}

TEST_F(SipStreamTest, idle_connections_are_closed_pings_or_not) {
  SipStreamConfig config;
  config.times.idle = milliseconds(120);
  start(config);
  auto peer = TcpPeer::connect(local);
  peer->send(sip_options(kVia) + "\r\n\r\n");
  ASSERT_TRUE(until([&] { return peer->closed() && ends(ConnectionEnd::idle) == 1; }));
  EXPECT_EQ(owner.closed.size(), 2u) << "by its number and by its address";
}

TEST_F(SipStreamTest, a_peer_that_stops_answering_pings_is_given_up) {
  SipStreamConfig config;
  config.times.ping = milliseconds(40);
  config.times.pong = milliseconds(200);
  start(config);
  TcpServer provider;
  const Flow flow = Flow::to(Transport::tcp, provider.local());
  stream->send(flow, sip_options(kVia));
  auto peer = accepted_by(provider);
  ASSERT_TRUE(until([&] { return peer->take().ends_with("\r\n\r\n\r\n\r\n"); })) << "a ping";
  peer->send("\r\n");
  ASSERT_TRUE(until([&] { return stream->counters().pongs_in == 1; }));
  ASSERT_TRUE(until([&] { return ends(ConnectionEnd::pong_timeout) == 1; }));
  ASSERT_EQ(owner.closed.size() + owner.failed.size(), 1u);
}

TEST_F(SipStreamTest, a_peer_that_knows_no_pongs_is_kept) {
  SipStreamConfig config;
  config.times.ping = milliseconds(20);
  config.times.pong = milliseconds(20);
  start(config);
  TcpServer provider;
  stream->send(Flow::to(Transport::tcp, provider.local()), sip_options(kVia));
  auto peer = accepted_by(provider);
  const std::string pings =
      "\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n";  // the request's own, then four
  ASSERT_TRUE(until([&] { return peer->take().ends_with(pings); }));
  EXPECT_FALSE(peer->closed());
}

TEST_F(SipStreamTest, strangers_are_closed_before_they_speak) {
  start();
  owner.refuse = IpAddress::parse("127.0.0.1");
  auto peer = TcpPeer::connect(local);
  ASSERT_TRUE(until([&] { return peer->closed(); }));
  EXPECT_EQ(stream->counters().source_refused, 1u);
  EXPECT_EQ(owner.refused.size(), 1u) << "and told of";
  EXPECT_EQ(stream->open_connections(Transport::tcp, true), 0u);
}

TEST_F(SipStreamTest, connections_are_limited_in_all_and_of_each_source) {
  SipStreamConfig config;
  config.max_connections_per_source = 2;
  start(config);
  auto first = TcpPeer::connect(local), second = TcpPeer::connect(local);
  ASSERT_TRUE(until([&] { return stream->open_connections(Transport::tcp, true) == 2; }));
  auto third = TcpPeer::connect(local);
  ASSERT_TRUE(until([&] { return third->closed(); }));
  EXPECT_EQ(stream->counters().over_limit, 1u);
  first->close();
  ASSERT_TRUE(until([&] { return stream->open_connections(Transport::tcp, true) == 1; }));
  auto fourth = TcpPeer::connect(local);
  fourth->send(sip_options(kVia));
  EXPECT_TRUE(until([&] { return owner.messages.size() == 1; })) << "the place was given back";

  config = {};
  config.max_connections = 1;
  start(config);
  auto only = TcpPeer::connect(local);
  ASSERT_TRUE(until([&] { return stream->open_connections(Transport::tcp, true) == 1; }));
  auto other = TcpPeer::connect(local);
  EXPECT_TRUE(until([&] { return other->closed(); }));
}

TEST_F(SipStreamTest, a_peer_that_reads_nothing_is_given_up_when_its_queue_is_full) {
  start();
  auto peer = TcpPeer::connect(local);
  peer->send(sip_options(kVia));
  ASSERT_TRUE(until([&] { return !owner.messages.empty(); }));
  const std::string large = sip_options(kVia, "X-Filler: " + std::string(15000, 'x') + "\r\n");
  SendOutcome outcome = SendOutcome::sent;
  for (int i = 0; i < 10000 && outcome == SendOutcome::sent; ++i) {
    outcome = stream->send(owner.flows[0], large);
    test::settle(io);
  }
  EXPECT_EQ(outcome, SendOutcome::blocked);
  ASSERT_TRUE(until([&] { return !owner.failed.empty(); }));
  EXPECT_EQ(ends(ConnectionEnd::queue_full), 1u);
}

TEST_F(SipStreamTest, a_peer_that_reads_nothing_is_not_waited_for) {
  SipStreamConfig config;
  config.times.write = milliseconds(50);
  start(config);
  auto peer = TcpPeer::connect(local);
  peer->send(sip_options(kVia));
  ASSERT_TRUE(until([&] { return !owner.messages.empty(); }));
  const std::string large = sip_options(kVia, "X-Filler: " + std::string(15000, 'x') + "\r\n");
  // Slowly enough that the time is over, once the system's buffers are full, before the queue is.
  auto next = std::chrono::steady_clock::now();
  ASSERT_TRUE(until([&] {
    if (owner.failed.empty() && std::chrono::steady_clock::now() >= next) {
      stream->send(owner.flows[0], large);
      next = std::chrono::steady_clock::now() + milliseconds(2);
    }
    return ends(ConnectionEnd::write_timeout) == 1;
  }));
}

TEST_F(SipStreamTest, ipv6_listens_beside_ipv4_on_the_same_port) {
  start();
  auto bound = stream->listen(Transport::tcp, {*IpAddress::parse("::1"), local.port}, 4);
  ASSERT_TRUE(bound) << bound.error().text;
  auto peer = TcpPeer::connect(*bound);
  peer->send(sip_options("SIP/2.0/TCP [2001:db8::1]:5070;branch=z9hG4bK1"));
  ASSERT_TRUE(until([&] { return !owner.messages.empty(); }));
  EXPECT_EQ(owner.flows[0].local, 4u);
  EXPECT_EQ(owner.flows[0].remote.address, *IpAddress::parse("::1"));
  EXPECT_EQ(owner.messages[0].top_via()->params.get("received"), "::1");
  TcpServer provider("::1");
  stream->send(Flow::to(Transport::tcp, provider.local()), sip_options(kVia));
  auto reached = accepted_by(provider);
  EXPECT_TRUE(until([&] { return reached->take() == sip_options(kVia); }));
}

TEST_F(SipStreamTest, it_may_be_closed_while_it_reports) {
  start();
  owner.on_any_message = [&] { stream->close(); };
  auto peer = TcpPeer::connect(local);
  peer->send(sip_options(kVia) + sip_options(kVia));
  ASSERT_TRUE(until([&] { return peer->closed(); }));
  EXPECT_EQ(owner.messages.size(), 1u);
  EXPECT_EQ(SendOutcome::unreachable, stream->send(owner.flows[0], sip_ok(kVia)));
  stream.reset();
  test::settle(io);
}

TEST_F(SipStreamTest, closing_it_leaves_no_descriptor_behind) {
  const std::size_t before = test::open_descriptors();
  {
    start();
    TcpServer provider;
    auto peer = TcpPeer::connect(local);
    peer->send(sip_options(kVia));
    stream->send(Flow::to(Transport::tcp, provider.local()), sip_options(kVia));
    ASSERT_TRUE(until([&] { return !owner.messages.empty(); }));
    stream.reset();
    test::settle(io);
  }
  EXPECT_LE(test::open_descriptors(), before + 3) << "epoll, its timer and its wake-up stay";
}

}  // namespace
}  // namespace isthmus::transport
