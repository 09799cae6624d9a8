#include "transport/sip_udp.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/post.hpp>
#include <vector>

#include "base/limits.hpp"
#include "unit/transport/udp_peer.hpp"

namespace isthmus::transport {
namespace {

using test::run_until;
using test::settle;
using test::UdpPeer;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class Owner final : public SipHandler {
 public:
  bool allowed(const Endpoint& source) override {
    if (on_allowed) on_allowed();
    return !refuse || source.address != *refuse;
  }
  void on_message(sip::Message message, const sip::Flow& flow, Instant) override {
    messages.push_back(std::move(message));
    flows.push_back(flow);
    if (on_any_message) on_any_message();
  }
  void on_flow_failed(const sip::Flow& flow, Instant) override { failed.push_back(flow); }

  std::optional<IpAddress> refuse;
  std::function<void()> on_allowed, on_any_message;
  std::vector<sip::Message> messages;
  std::vector<sip::Flow> flows, failed;
};

std::string options(std::string_view via, std::string_view rest = {}) {
  std::string text = "OPTIONS sip:gw.example SIP/2.0\r\nVia: ";
  text.append(via).append(
      "\r\nFrom: <sip:a@example.com>;tag=1\r\nTo: <sip:gw.example>\r\nCall-ID: c1\r\n"
      "CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\n");
  return text.append(rest).append("Content-Length: 0\r\n\r\n");
}

std::string without(std::string text, std::string_view header) {
  const auto begin = text.find(header);
  return text.erase(begin, text.find("\r\n", begin) + 2 - begin);
}

class SipUdpTest : public ::testing::Test {
 protected:
  void start(const std::string& address = "127.0.0.1", bool force_rport = false) {
    SipUdpConfig config;
    config.bind = {*IpAddress::parse(address), 0};
    config.local = 7;
    config.force_rport = force_rport;
    auto opened = SipUdp::open(io, config, owner);
    ASSERT_TRUE(opened) << opened.error().to_string();
    sip = std::move(*opened);
  }
  std::uint64_t faults(sip::FaultCode code) const {
    return sip->counters().faults[static_cast<std::size_t>(code)];
  }
  std::uint64_t all_faults() const {
    std::uint64_t sum = 0;
    for (const auto count : sip->counters().faults) sum += count;
    return sum;
  }

  boost::asio::io_context io;
  Owner owner;
  std::unique_ptr<SipUdp> sip;
};

TEST_F(SipUdpTest, request_gets_received_and_rport_and_answers_go_to_its_source) {
  start();
  UdpPeer peer;
  peer.send(sip->local(), options("SIP/2.0/UDP 192.0.2.9:5070;branch=z9hG4bK1;rport"));
  ASSERT_TRUE(run_until(io, [&] { return !owner.messages.empty(); }));
  const auto via = owner.messages[0].top_via();
  ASSERT_TRUE(via);
  EXPECT_EQ("127.0.0.1", via->params.get("received"));
  EXPECT_EQ(std::to_string(peer.local().port), via->params.get("rport"));
  EXPECT_EQ("z9hG4bK1", via->branch());
  EXPECT_EQ(sip::Flow::udp(peer.local(), 7), owner.flows[0]);

  EXPECT_EQ(SendOutcome::sent, sip->send(owner.flows[0], "SIP/2.0 200 OK\r\n\r\n"));
  EXPECT_EQ("SIP/2.0 200 OK\r\n\r\n", peer.receive(io));
  EXPECT_EQ(kClassSelector3, peer.traffic_class());
}

TEST_F(SipUdpTest, request_without_rport_is_answered_at_the_sent_by_port) {
  start();
  UdpPeer peer;
  peer.send(sip->local(), options("SIP/2.0/UDP phone.example:5070;branch=z9hG4bK1"));
  peer.send(sip->local(), options("SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK2"));
  ASSERT_TRUE(run_until(io, [&] { return owner.messages.size() == 2; }));
  EXPECT_EQ((Endpoint{peer.local().address, 5070}), owner.flows[0].remote);
  EXPECT_EQ("127.0.0.1", owner.messages[0].top_via()->params.get("received"));
  EXPECT_FALSE(owner.messages[0].top_via()->params.has("rport"));
  EXPECT_EQ((Endpoint{peer.local().address, 5060}), owner.flows[1].remote);
  EXPECT_FALSE(owner.messages[1].top_via()->params.has("received")) << "sent-by is the source";
}

TEST_F(SipUdpTest, force_rport_answers_old_phones_where_they_sent_from) {
  start("127.0.0.1", true);
  UdpPeer peer;
  peer.send(sip->local(), options("SIP/2.0/UDP 10.0.0.7:5060;branch=z9hG4bK1"));
  ASSERT_TRUE(run_until(io, [&] { return !owner.messages.empty(); }));
  EXPECT_EQ(peer.local(), owner.flows[0].remote);
}

TEST_F(SipUdpTest, response_passes_byte_for_byte) {
  start();
  UdpPeer peer;
  const std::string response =
      "SIP/2.0 180 Ringing\r\nv: SIP/2.0/UDP gw.example;branch=z9hG4bK9\r\nf: <sip:a@b>;tag=1\r\n"
      "t: <sip:c@d>;tag=2\r\ni: c9\r\nCSeq: 1 INVITE\r\nX-Odd:  kept \r\nContent-Length: 0\r\n\r\n";
  peer.send(sip->local(), response);
  ASSERT_TRUE(run_until(io, [&] { return !owner.messages.empty(); }));
  EXPECT_EQ(response, owner.messages[0].serialize());
  EXPECT_EQ(peer.local(), owner.flows[0].remote);
}

TEST_F(SipUdpTest, malformed_request_is_answered_with_the_header_at_fault) {
  start();
  UdpPeer peer;
  peer.send(sip->local(),
            without(options("SIP/2.0/UDP h.example;branch=z9hG4bK1;rport"), "Call-ID"));
  const auto answer = peer.receive(io);
  ASSERT_TRUE(answer);
  EXPECT_THAT(*answer, StartsWith("SIP/2.0 400 Missing Call-ID\r\n"));
  EXPECT_THAT(*answer, HasSubstr("branch=z9hG4bK1"));
  EXPECT_THAT(*answer, HasSubstr("received=127.0.0.1"));
  EXPECT_THAT(*answer, HasSubstr("rport=" + std::to_string(peer.local().port)));
  EXPECT_THAT(*answer, HasSubstr("CSeq: 1 OPTIONS\r\n"));
  EXPECT_THAT(*answer, HasSubstr("To: <sip:gw.example>;tag="));
  EXPECT_TRUE(owner.messages.empty());
  EXPECT_EQ(1u, faults(sip::FaultCode::missing_header));
  EXPECT_EQ(1u, sip->counters().fault_answers);
}

TEST_F(SipUdpTest, faults_choose_their_status) {
  start();
  UdpPeer peer;
  const std::string good = options("SIP/2.0/UDP h.example;branch=z9hG4bK1;rport");
  std::string other_version = good;
  other_version.replace(other_version.find(" SIP/2.0"), 8, " SIP/3.0");
  peer.send(sip->local(), other_version);
  EXPECT_THAT(peer.receive(io).value_or(""), StartsWith("SIP/2.0 505 "));

  std::string many = good;
  std::string padding;
  for (std::size_t i = 0; i < limits::kSipHeaders; ++i) padding += "X-A: 1\r\n";
  many.insert(many.find("Content-Length"), padding);
  peer.send(sip->local(), many);
  EXPECT_THAT(peer.receive(io).value_or(""), StartsWith("SIP/2.0 513 "));

  std::string wrong_cseq = good;
  wrong_cseq.replace(wrong_cseq.find("1 OPTIONS"), 9, "one OPTIONS");
  peer.send(sip->local(), wrong_cseq);
  EXPECT_THAT(peer.receive(io).value_or(""), AllOf(StartsWith("SIP/2.0 400 "), HasSubstr("CSeq")));
  EXPECT_EQ(3u, all_faults());
}

TEST_F(SipUdpTest, nothing_answers_a_broken_ack_response_or_junk) {
  start();
  UdpPeer peer;
  std::string ack = without(options("SIP/2.0/UDP h.example;branch=z9hG4bK1"), "Call-ID");
  ack.replace(0, 7, "ACK");
  for (const std::string& text :
       {ack, std::string("SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h\r\n\r\n"),
        std::string("GET / HTTP/1.1\r\nVia: 1.1 proxy\r\n\r\n"), std::string("\x16\x03\x01 junk"),
        without(options("SIP/2.0/UDP h.example;branch=z9hG4bK1"), "Via")}) {
    peer.send(sip->local(), text);
  }
  ASSERT_TRUE(run_until(io, [&] { return all_faults() == 5; }));
  settle(io);
  EXPECT_EQ(std::nullopt, peer.take());
  EXPECT_EQ(0u, sip->counters().fault_answers);
}

TEST_F(SipUdpTest, answers_to_malformed_requests_are_limited_but_each_is_counted) {
  start();
  UdpPeer peer;
  const std::string bad =
      without(options("SIP/2.0/UDP h.example;branch=z9hG4bK1;rport"), "Call-ID");
  constexpr std::uint64_t kSent = 100;
  for (std::uint64_t i = 0; i < kSent; ++i) peer.send(sip->local(), bad);
  ASSERT_TRUE(run_until(io, [&] { return faults(sip::FaultCode::missing_header) == kSent; }));
  const auto& counters = sip->counters();
  EXPECT_EQ(kSent, counters.fault_answers + counters.fault_answers_suppressed);
  // A second may begin between two of them.
  EXPECT_LE(counters.fault_answers, 2 * limits::kFaultAnswersPerSecond);
  EXPECT_GE(counters.fault_answers, limits::kFaultAnswersPerSecond);
}

TEST_F(SipUdpTest, double_crlf_is_answered_and_other_keep_alives_are_swallowed) {
  start();
  UdpPeer peer;
  peer.send(sip->local(), "\r\n");
  peer.send(sip->local(), std::string_view("\0\0\0\0", 4));
  peer.send(sip->local(), "");
  peer.send(sip->local(), "\r\n\r\n");
  EXPECT_EQ("\r\n", peer.receive(io));
  EXPECT_EQ(std::nullopt, peer.take());
  EXPECT_EQ(4u, sip->counters().keep_alives);
  EXPECT_EQ(0u, all_faults());
}

TEST_F(SipUdpTest, sources_that_are_not_allowed_get_nothing_at_all) {
  start("0.0.0.0");
  owner.refuse = IpAddress::parse("127.0.0.2");
  UdpPeer scanner("127.0.0.2"), provider("127.0.0.3");
  const Endpoint us{*IpAddress::parse("127.0.0.1"), sip->local().port};
  scanner.send(us, options("SIP/2.0/UDP h.example;branch=z9hG4bK1;rport"));
  scanner.send(us, "\r\n\r\n");
  scanner.send(us, without(options("SIP/2.0/UDP h.example;branch=z9hG4bK1;rport"), "Call-ID"));
  provider.send(us, options("SIP/2.0/UDP h.example;branch=z9hG4bK2;rport"));
  ASSERT_TRUE(run_until(io, [&] { return sip->counters().datagrams_in == 4; }));
  EXPECT_EQ(3u, sip->counters().source_refused);
  ASSERT_EQ(1u, owner.messages.size());
  EXPECT_EQ(provider.local(), owner.flows[0].remote);
  EXPECT_EQ(std::nullopt, scanner.take());
  EXPECT_EQ(0u, sip->counters().datagrams_out);
}

TEST_F(SipUdpTest, icmp_refusal_names_the_destination_and_the_loop_goes_on) {
  start();
  UdpPeer alive;
  Endpoint dead;
  {
    UdpPeer gone;
    dead = gone.local();
  }
  EXPECT_EQ(SendOutcome::sent, sip->send(sip::Flow::udp(dead, 7), "lost"));
  // The kernel holds the error of the first; the second must not suffer from it.
  EXPECT_EQ(SendOutcome::sent, sip->send(sip::Flow::udp(alive.local(), 7), "found"));
  ASSERT_TRUE(run_until(io, [&] { return !owner.failed.empty(); }));
  EXPECT_EQ(sip::Flow::udp(dead, 7), owner.failed[0]);
  EXPECT_EQ(1u, sip->counters().delivery_errors);
  EXPECT_EQ("found", alive.take());
  alive.send(sip->local(), options("SIP/2.0/UDP h.example;branch=z9hG4bK1;rport"));
  ASSERT_TRUE(run_until(io, [&] { return !owner.messages.empty(); }));
  EXPECT_EQ(1u, owner.failed.size());
}

TEST_F(SipUdpTest, what_cannot_be_sent_is_reported_from_the_event_loop_only) {
  start();
  const auto flow = sip::Flow::udp({*IpAddress::parse("::1"), 5060}, 7);
  EXPECT_EQ(SendOutcome::unreachable, sip->send(flow, "to IPv6 from an IPv4 socket"));
  EXPECT_TRUE(owner.failed.empty());
  ASSERT_TRUE(run_until(io, [&] { return !owner.failed.empty(); }));
  EXPECT_EQ(flow, owner.failed[0]);

  UdpPeer peer;
  const auto to_peer = sip::Flow::udp(peer.local(), 7);
  EXPECT_EQ(SendOutcome::too_large,
            sip->send(to_peer, std::string(limits::kSipDatagramBytes + 1, 'x')));
  settle(io);
  EXPECT_EQ(1u, owner.failed.size()) << "a long message is not the flow's fault";
  const std::string largest(limits::kSipDatagramBytes, 'x');
  EXPECT_EQ(SendOutcome::sent, sip->send(to_peer, largest));
  EXPECT_EQ(largest, peer.receive(io));
}

TEST_F(SipUdpTest, a_flood_of_junk_does_not_starve_others) {
  start();
  UdpPeer peer;
  constexpr std::uint64_t kJunk = 150;  // fits the smallest receive buffers in use
  for (std::uint64_t i = 0; i < kJunk; ++i) peer.send(sip->local(), "junk");
  peer.send(sip->local(), options("SIP/2.0/UDP h.example;branch=z9hG4bK1;rport"));
  std::optional<std::uint64_t> seen_when_task_ran;
  bool posted = false;
  owner.on_allowed = [&] {
    if (std::exchange(posted, true)) return;
    boost::asio::post(io, [&] { seen_when_task_ran = sip->counters().datagrams_in; });
  };
  ASSERT_TRUE(run_until(io, [&] { return !owner.messages.empty(); }));
  ASSERT_TRUE(seen_when_task_ran);
  EXPECT_LE(*seen_when_task_ran, 64u) << "a turn is bounded";
  EXPECT_EQ(kJunk + 1, sip->counters().datagrams_in);
  EXPECT_EQ(kJunk, all_faults());
}

TEST_F(SipUdpTest, ipv6_requests_carry_a_bare_received_address) {
  start("::1");
  UdpPeer peer("::1");
  peer.send(sip->local(), options("SIP/2.0/UDP [2001:db8::1]:5070;branch=z9hG4bK1;rport"));
  ASSERT_TRUE(run_until(io, [&] { return !owner.messages.empty(); }));
  EXPECT_EQ("::1", owner.messages[0].top_via()->params.get("received"));
  EXPECT_EQ(peer.local(), owner.flows[0].remote);
}

TEST_F(SipUdpTest, closing_in_a_callback_ends_everything_and_frees_the_socket) {
  UdpPeer peer;
  // Asio's own descriptors appear with the first socket of an io_context.
  start();
  const auto with_one = test::open_descriptors();
  owner.on_any_message = [&] { sip->close(); };
  for (int i = 0; i < 5; ++i) {
    peer.send(sip->local(), options("SIP/2.0/UDP h.example;branch=z9hG4bK1;rport"));
  }
  ASSERT_TRUE(run_until(io, [&] { return !owner.messages.empty(); }));
  settle(io);
  EXPECT_EQ(1u, owner.messages.size());
  EXPECT_EQ(with_one - 1, test::open_descriptors());
  EXPECT_EQ(SendOutcome::unreachable, sip->send(sip::Flow::udp(peer.local()), "x"));
  settle(io);
  EXPECT_TRUE(owner.failed.empty()) << "no callback after close";
}

TEST_F(SipUdpTest, a_port_in_use_is_an_error_with_its_step) {
  start();
  SipUdpConfig config;
  config.bind = sip->local();
  const auto second = SipUdp::open(io, config, owner);
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().to_string(), StartsWith("bind: "));
}

}  // namespace
}  // namespace isthmus::transport
