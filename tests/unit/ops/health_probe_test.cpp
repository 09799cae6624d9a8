#include "ops/health_probe.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/json/parse.hpp>
#include <memory>
#include <thread>

#include "ops/admin_http.hpp"

namespace isthmus::ops {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using ::testing::HasSubstr;

const IpAddress kLoopback = IpAddress::v4(0x7f000001);
constexpr Duration kPatience = seconds(5);

class Program final : public AdminSource {
 public:
  bool serving() const override { return serving_now; }
  boost::json::value status() const override { return {}; }
  boost::json::value sessions() const override { return {}; }
  boost::json::value calls() const override { return {}; }
  boost::json::value registrations() const override { return {}; }
  boost::json::value upstreams() const override { return boost::json::parse(own_registrations); }
  std::atomic<bool> serving_now{true};
  std::string own_registrations = "[]";
};

class HealthProbe : public ::testing::Test {
 protected:
  void listen(const IpAddress& address) {
    auto port = server_->listen(address, 0);
    ASSERT_TRUE(port) << port.error().text;
    admin_ = {address, *port};
    shard_ = std::thread([this] { io_.run(); });
  }
  void TearDown() override {
    asio::post(io_, [this] { server_.reset(); });
    if (shard_.joinable()) shard_.join();
  }

  Program program_;
  Metrics metrics_;
  asio::io_context io_;
  std::unique_ptr<AdminServer> server_ =
      std::make_unique<AdminServer>(io_.get_executor(), program_, metrics_, Log::none());
  AdminConfig admin_;
  std::thread shard_;
};

TEST_F(HealthProbe, follows_the_program_into_its_drain) {
  listen(kLoopback);
  EXPECT_EQ(probe_health(admin_, kPatience), std::nullopt);
  program_.serving_now = false;
  auto wrong = probe_health(admin_, kPatience);
  ASSERT_TRUE(wrong);
  EXPECT_THAT(*wrong, HasSubstr("answers 503"));
}

TEST_F(HealthProbe, asks_an_unspecified_address_on_loopback) {
  listen(IpAddress::v4(0));
  EXPECT_EQ(probe_health(admin_, kPatience), std::nullopt);
}

TEST_F(HealthProbe, says_that_nobody_listens) {
  tcp::acceptor taken(io_, {asio::ip::address_v4::loopback(), 0});
  AdminConfig nobody{kLoopback, taken.local_endpoint().port()};
  taken.close();
  auto wrong = probe_health(nobody, kPatience);
  ASSERT_TRUE(wrong);
  EXPECT_THAT(*wrong, HasSubstr("refused"));
}

TEST_F(HealthProbe, gives_up_on_a_server_that_hangs) {
  // The kernel accepts the connection; nobody ever answers on it.
  tcp::acceptor hung(io_, {asio::ip::address_v4::loopback(), 0});
  auto wrong = probe_health({kLoopback, hung.local_endpoint().port()}, milliseconds(100));
  EXPECT_TRUE(wrong);
}

TEST_F(HealthProbe, knows_that_the_server_is_switched_off) {
  auto wrong = probe_health({kLoopback, 0}, kPatience);
  ASSERT_TRUE(wrong);
  EXPECT_THAT(*wrong, HasSubstr("admin.port"));
}

TEST_F(HealthProbe, registrations_at_providers_are_a_table_and_an_exit_code) {
  program_.own_registrations = R"([{"provider":"carrier","aor":"sip:1001@carrier.example",
      "state":"registered","registered":true,"expires_s":1234.5}])";
  listen(kLoopback);
  ::testing::internal::CaptureStdout();
  EXPECT_EQ(upstreams_command(admin_), 0);
  EXPECT_EQ(::testing::internal::GetCapturedStdout(),
            "carrier  sip:1001@carrier.example  registered  1234 s left\n");
}

TEST_F(HealthProbe, registration_that_fails_is_told_with_its_reason) {
  program_.own_registrations = R"([{"provider":"carrier","aor":"sip:1001@carrier.example",
      "state":"waiting","registered":false,"failures":2,"problem":"401 Unauthorized",
      "next_try_s":300.2}])";
  listen(kLoopback);
  ::testing::internal::CaptureStdout();
  EXPECT_EQ(upstreams_command(admin_), 1);
  EXPECT_EQ(::testing::internal::GetCapturedStdout(),
            "carrier  sip:1001@carrier.example  waiting  401 Unauthorized, next try in 300 s\n");
  EXPECT_EQ(upstreams_command({kLoopback, 0}), 1);
}

}  // namespace
}  // namespace isthmus::ops
