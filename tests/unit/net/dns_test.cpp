#include "net/dns.hpp"

#include <gtest/gtest.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <optional>

#include "base/limits.hpp"
#include "support/dns_writer.hpp"

namespace isthmus::net {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using asio::ip::udp;
using test::DnsWriter;

/// A DNS server on loopback, UDP and TCP, that answers as the test says.
class Responder {
 public:
  /// Gets the question's id and whether it came by TCP. Nothing: silence.
  using Answer = std::function<std::optional<Bytes>(std::uint16_t id, bool by_tcp)>;

  explicit Responder(asio::io_context& io) : udp_(io), acceptor_(io), connection_(io) {
    while (!bind_both()) {
    }
    receive();
    accept();
  }

  Endpoint endpoint() const { return {IpAddress::v4(0x7F000001), udp_.local_endpoint().port()}; }

  Answer answer;
  int by_udp = 0, by_tcp = 0;

 private:
  /// One port for both: false where the one that UDP got is another's by TCP.
  bool bind_both() {
    const auto loopback = asio::ip::address_v4::loopback();
    boost::system::error_code taken;
    udp_ = udp::socket(udp_.get_executor(), udp::endpoint(loopback, 0));
    acceptor_ = tcp::acceptor(acceptor_.get_executor());
    acceptor_.open(tcp::v4());
    acceptor_.bind({loopback, udp_.local_endpoint().port()}, taken);
    if (!taken) acceptor_.listen();
    return !taken;
  }
  void receive() {
    udp_.async_receive_from(
        asio::buffer(datagram_), peer_, [this](boost::system::error_code error, std::size_t) {
          if (error == asio::error::operation_aborted) return;
          ++by_udp;
          auto id = static_cast<std::uint16_t>(datagram_[0] << 8 | datagram_[1]);
          if (auto bytes = answer(id, false)) udp_.send_to(asio::buffer(*bytes), peer_);
          receive();
        });
  }
  void accept() {
    acceptor_.async_accept(connection_, [this](boost::system::error_code error) {
      if (!error) read();
    });
  }
  void read() {
    asio::async_read(connection_, asio::buffer(datagram_, 2),
                     [this](boost::system::error_code error, std::size_t) {
                       if (error) return;
                       std::size_t size =
                           static_cast<std::size_t>(datagram_[0] << 8 | datagram_[1]);
                       asio::async_read(connection_, asio::buffer(datagram_, size),
                                        [this](boost::system::error_code failed, std::size_t) {
                                          if (!failed) respond();
                                        });
                     });
  }
  void respond() {
    ++by_tcp;
    auto id = static_cast<std::uint16_t>(datagram_[0] << 8 | datagram_[1]);
    if (auto bytes = answer(id, true)) {
      Bytes framed = {static_cast<std::uint8_t>(bytes->size() >> 8),
                      static_cast<std::uint8_t>(bytes->size())};
      framed.insert(framed.end(), bytes->begin(), bytes->end());
      asio::write(connection_, asio::buffer(framed));
    }
    read();
  }

  udp::socket udp_;
  tcp::acceptor acceptor_;
  tcp::socket connection_;
  udp::endpoint peer_;
  std::array<std::uint8_t, 4096> datagram_;
};

class DnsTest : public ::testing::Test {
 protected:
  DnsTest() {
    responder.emplace(io);
    open({responder->endpoint()});
  }
  void open(std::vector<Endpoint> servers) {
    DnsOptions options;
    options.servers = std::move(servers);
    options.timeout = milliseconds(100);
    options.tries = 2;
    options.clock = [this] { return now; };
    auto opened = Dns::open(io, options);
    ASSERT_TRUE(opened) << opened.error();
    dns = std::move(*opened);
  }
  void ask(const dns::Question& question) {
    ++waiting;
    dns->ask(question, [this](const dns::Question&, const dns::Answer& answer) {
      answers.push_back(answer);
      --waiting;
    });
  }
  /// Runs until all that was asked is answered.
  dns::Answer last() {
    while (waiting > 0 && io.run_one_for(seconds(10)) > 0) {
    }
    EXPECT_EQ(0, waiting);
    return answers.empty() ? dns::Answer{} : answers.back();
  }
  void serve(DnsWriter (*write)(std::uint16_t id, bool by_tcp)) {
    responder->answer = [write](std::uint16_t id, bool by_tcp) {
      return std::optional<Bytes>(write(id, by_tcp).bytes());
    };
  }

  asio::io_context io;
  std::optional<Responder> responder;
  Instant now{};
  std::unique_ptr<Dns> dns;
  int waiting = 0;
  std::vector<dns::Answer> answers;
};

const dns::Question kSrv{dns::Type::srv, "_sip._udp.example.com"};
const dns::Question kNaptr{dns::Type::naptr, "example.com"};
const dns::Question kA{dns::Type::a, "a.example.com"};

DnsWriter one_srv(std::uint16_t id, bool) {
  DnsWriter writer(kSrv, id);
  writer.srv(kSrv.name, 60, 1, 2, 5060, "a.example.com");
  return writer;
}

TEST_F(DnsTest, srv_and_naptr_records_are_found) {
  serve(one_srv);
  ask(kSrv);
  EXPECT_EQ((std::vector<dns::SrvRecord>{{1, 2, 5060, "a.example.com"}}), last().srv);
  serve([](std::uint16_t id, bool) {
    DnsWriter writer(kNaptr, id);
    writer.naptr("example.com", 60, 1, 2, "s", "SIP+D2T", "", "_sip._tcp.example.com");
    return writer;
  });
  ask(kNaptr);
  ASSERT_EQ(1u, last().naptr.size());
  EXPECT_EQ("sip+d2t", answers.back().naptr[0].services);
}

TEST_F(DnsTest, addresses_are_found_through_an_alias) {
  serve([](std::uint16_t id, bool) {
    DnsWriter writer(kA, id);
    writer.cname("a.example.com", 20, "b.example.net").a("b.example.net", 90, 0xC0000201);
    return writer;
  });
  ask(kA);
  EXPECT_EQ(std::vector<IpAddress>{IpAddress::v4(0xC0000201)}, last().addresses);
  EXPECT_EQ(seconds(20), answers.back().ttl);
}

TEST_F(DnsTest, an_answer_is_kept_as_long_as_it_holds) {
  serve(one_srv);
  ask(kSrv);
  last();
  now += seconds(59);
  ask(kSrv);
  EXPECT_EQ(dns::Status::found, last().status);
  EXPECT_EQ(seconds(1), answers.back().ttl);
  EXPECT_EQ(1, responder->by_udp);
  now += seconds(1);
  ask(kSrv);
  last();
  EXPECT_EQ(2, responder->by_udp);
  EXPECT_EQ(1u, dns->counters().cached);
}

TEST_F(DnsTest, that_a_name_does_not_exist_is_kept_too) {
  serve([](std::uint16_t id, bool) {
    DnsWriter writer(kSrv, id);
    writer.code = 3;
    writer.soa("example.com", 900, 40);
    return writer;
  });
  ask(kSrv);
  EXPECT_EQ(dns::Status::none, last().status);
  now += seconds(39);
  ask(kSrv);
  EXPECT_EQ(dns::Status::none, last().status);
  EXPECT_EQ(1, responder->by_udp);
  now += seconds(1);
  ask(kSrv);
  last();
  EXPECT_EQ(2, responder->by_udp);
}

TEST_F(DnsTest, a_cut_answer_is_asked_for_by_tcp) {
  serve([](std::uint16_t id, bool by_tcp) {
    DnsWriter writer(kSrv, id);
    writer.cut = !by_tcp;
    for (std::uint16_t i = 0; by_tcp && i < 60; ++i) {
      writer.srv(kSrv.name, 60, i, 2, 5060, "a-rather-long-host-name.example.com");
    }
    return writer;
  });
  ask(kSrv);
  EXPECT_EQ(60u, last().srv.size());
  EXPECT_EQ(1, responder->by_tcp);
}

TEST_F(DnsTest, silence_ends_after_the_tries) {
  responder->answer = [](std::uint16_t, bool) { return std::nullopt; };
  auto started = std::chrono::steady_clock::now();
  ask(kSrv);
  EXPECT_EQ(dns::Status::failed, last().status);
  EXPECT_EQ(2, responder->by_udp);
  EXPECT_LT(std::chrono::steady_clock::now() - started, seconds(5));
  EXPECT_EQ(1u, dns->counters().failures);
  serve(one_srv);
  ask(kSrv);
  EXPECT_EQ(dns::Status::found, last().status) << "a failure is not kept";
}

TEST_F(DnsTest, the_next_server_is_asked_when_one_is_silent_or_refuses) {
  for (bool silent : {true, false}) {
    Responder lame(io);
    lame.answer = [silent](std::uint16_t id, bool) -> std::optional<Bytes> {
      DnsWriter refusal(kSrv, id);
      refusal.code = 5;
      if (silent) return std::nullopt;
      return refusal.bytes();
    };
    serve(one_srv);
    open({lame.endpoint(), responder->endpoint()});
    ask(kSrv);
    EXPECT_EQ(dns::Status::found, last().status) << silent;
    EXPECT_GE(lame.by_udp, 1);
    dns.reset();
  }
}

TEST_F(DnsTest, callers_that_ask_the_same_share_one_query) {
  serve(one_srv);
  for (int i = 0; i < 5; ++i) ask(kSrv);
  last();
  EXPECT_EQ(5u, answers.size());
  EXPECT_EQ(1, responder->by_udp);
}

TEST_F(DnsTest, what_is_over_the_bounds_fails_at_once) {
  responder->answer = [](std::uint16_t, bool) { return std::nullopt; };
  for (std::size_t i = 0; i < limits::kDnsInFlight; ++i) {
    ask({dns::Type::srv, "h" + std::to_string(i) + ".example.com"});
  }
  EXPECT_EQ(0u, dns->counters().refused);
  ask(kSrv);
  EXPECT_EQ(1u, dns->counters().refused);
  while (answers.empty() && io.run_one_for(seconds(5)) > 0) {
  }
  ASSERT_FALSE(answers.empty());
  EXPECT_EQ(dns::Status::failed, answers[0].status);
  last();
}

TEST_F(DnsTest, names_of_the_hosts_file_need_no_server) {
  responder->answer = [](std::uint16_t, bool) { return std::nullopt; };
  ask({dns::Type::a, "localhost"});
  EXPECT_EQ(std::vector<IpAddress>{IpAddress::v4(0x7F000001)}, last().addresses);
}

TEST_F(DnsTest, nothing_is_called_back_once_it_is_gone) {
  serve(one_srv);
  ask(kSrv);
  last();
  ask(kSrv);  // answered from what is known, but later
  ask(kA);    // under way
  dns.reset();
  io.run_for(milliseconds(50));
  EXPECT_EQ(1u, answers.size());
  waiting = 0;
}

}  // namespace
}  // namespace isthmus::net
