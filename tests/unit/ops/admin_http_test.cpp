#include "ops/admin_http.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <boost/json.hpp>
#include <thread>

#include "base/limits.hpp"

namespace isthmus::ops {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

const IpAddress kLoopback = IpAddress::v4(0x7f000001);

class FakeSource final : public AdminSource {
 public:
  bool serving() const override { return serving_now; }
  boost::json::value status() const override { return {{"version", "0.1.0"}}; }
  boost::json::value sessions() const override { return boost::json::array{{{"id", 7}}}; }
  boost::json::value calls() const override { return boost::json::array{}; }
  boost::json::value registrations() const override {
    return boost::json::array{{{"aor", "alice"}}};
  }
  boost::json::value providers() const override { return boost::json::array{{{"name", "trunk"}}}; }
  std::atomic<bool> serving_now{true};
};

class AdminHttp : public ::testing::Test {
 protected:
  void SetUp() override {
    auto port = server_->listen(kLoopback, 0);
    ASSERT_TRUE(port) << port.error().text;
    port_ = *port;
    shard_ = std::thread([this] { io_.run(); });
  }
  void TearDown() override {
    asio::post(io_, [this] { server_.reset(); });
    work_.reset();
    if (shard_.joinable()) shard_.join();
  }

  tcp::socket connected() {
    tcp::socket socket(client_);
    socket.connect({asio::ip::address_v4::loopback(), port_});
    return socket;
  }
  /// Sends the bytes and returns everything until the server closes.
  std::string exchange(std::string_view request) {
    tcp::socket socket = connected();
    boost::system::error_code error;
    asio::write(socket, asio::buffer(request.data(), request.size()), error);
    std::string answer;
    asio::read(socket, asio::dynamic_buffer(answer), error);
    return answer;
  }
  std::string get(const std::string& path, const std::string& host = "localhost") {
    return exchange("GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n");
  }
  static std::string body(const std::string& answer) {
    std::size_t at = answer.find("\r\n\r\n");
    return at == std::string::npos ? std::string() : answer.substr(at + 4);
  }

  FakeSource source_;
  Metrics metrics_;
  asio::io_context io_, client_;
  asio::executor_work_guard<asio::io_context::executor_type> work_ = asio::make_work_guard(io_);
  std::unique_ptr<AdminServer> server_ =
      std::make_unique<AdminServer>(io_.get_executor(), source_, metrics_, Log::none());
  std::uint16_t port_ = 0;
  std::thread shard_;
};

TEST_F(AdminHttp, metrics_come_as_prometheus_text) {
  metrics_.gauge("isthmus_sessions", "Sessions.").set(3);
  std::string answer = get("/metrics");
  EXPECT_THAT(answer, AllOf(StartsWith("HTTP/1.1 200"), HasSubstr("text/plain; version=0.0.4"),
                            HasSubstr("isthmus_sessions 3\n")));
}

TEST_F(AdminHttp, health_follows_the_drain) {
  EXPECT_THAT(get("/healthz"), AllOf(StartsWith("HTTP/1.1 200"), HasSubstr("\r\n\r\nok\n")));
  source_.serving_now = false;
  EXPECT_THAT(get("/healthz?verbose=1"),
              AllOf(StartsWith("HTTP/1.1 503"), HasSubstr("not serving\n")));
}

TEST_F(AdminHttp, the_api_answers_json) {
  const std::pair<const char*, const char*> cases[] = {{"status", R"({"version":"0.1.0"})"},
                                                       {"sessions", R"([{"id":7}])"},
                                                       {"calls", "[]"},
                                                       {"registrations", R"([{"aor":"alice"}])"},
                                                       {"providers", R"([{"name":"trunk"}])"}};
  for (auto [name, expected] : cases) {
    std::string answer = get(std::string("/api/v1/") + name);
    EXPECT_THAT(answer,
                AllOf(StartsWith("HTTP/1.1 200"), HasSubstr("Content-Type: application/json")))
        << name;
    EXPECT_EQ(boost::json::parse(body(answer)), boost::json::parse(expected)) << name;
  }
}

TEST_F(AdminHttp, unknown_paths_say_what_there_is) {
  EXPECT_THAT(get("/"), AllOf(StartsWith("HTTP/1.1 404"), HasSubstr("/api/v1/{status")));
  EXPECT_THAT(get("/api/v1/secrets"),
              AllOf(StartsWith("HTTP/1.1 404"), HasSubstr("registrations")));
}

TEST_F(AdminHttp, head_has_the_length_and_no_body) {
  std::string answer =
      exchange("HEAD /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(answer, AllOf(StartsWith("HTTP/1.1 200"), HasSubstr("Content-Length: 3")));
  EXPECT_EQ(body(answer), "");
}

TEST_F(AdminHttp, other_methods_are_refused) {
  EXPECT_THAT(
      exchange("DELETE /api/v1/calls HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
      AllOf(StartsWith("HTTP/1.1 405"), HasSubstr("Allow: GET, HEAD")));
}

TEST_F(AdminHttp, a_web_page_cannot_reach_it_by_a_name_of_its_own) {
  EXPECT_THAT(get("/api/v1/calls", "evil.example:8080"), StartsWith("HTTP/1.1 403"));
  EXPECT_THAT(get("/api/v1/calls", "127.0.0.1.evil.example"), StartsWith("HTTP/1.1 403"));
  EXPECT_THAT(get("/api/v1/calls", "127.0.0.1:8080"), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(get("/api/v1/calls", "[::1]:8080"), StartsWith("HTTP/1.1 200"));
}

TEST_F(AdminHttp, requests_may_follow_each_other_on_one_connection) {
  std::string answer = exchange(
      "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
      "GET /api/v1/calls HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(answer, AllOf(HasSubstr("ok\n"), HasSubstr("[]\n")));
}

TEST_F(AdminHttp, what_is_no_request_is_answered_and_closed) {
  EXPECT_THAT(exchange("\x16\x03\x01 this is TLS\r\n\r\n"), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(exchange("GET / HTTP/1.1\r\nHost: localhost\r\nX: " +
                       std::string(2 * limits::kAdminHeaderBytes, 'x') + "\r\n\r\n"),
              StartsWith("HTTP/1.1 431"));
  EXPECT_THAT(
      exchange("POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n"),
      StartsWith("HTTP/1.1 413"));
  EXPECT_THAT(get("/healthz"), StartsWith("HTTP/1.1 200")) << "and others are served";
}

TEST_F(AdminHttp, connections_are_bounded_and_free_again) {
  std::vector<tcp::socket> idle;
  for (std::size_t i = 0; i < limits::kAdminConnections; ++i) idle.push_back(connected());
  EXPECT_EQ(get("/healthz"), "") << "closed at once";
  // The server notices the end of one connection and has room again.
  idle.clear();
  std::string answer;
  for (int attempt = 0; attempt < 200 && answer.empty(); ++attempt) answer = get("/healthz");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(get("/metrics"), Not(HasSubstr("isthmus_admin_connections_refused_total 0\n")));
}

TEST_F(AdminHttp, a_port_that_is_taken_is_named_in_the_error) {
  AdminServer second(io_.get_executor(), source_, metrics_, Log::none());
  auto failed = second.listen(kLoopback, port_);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().text, "127.0.0.1:" + std::to_string(port_) + ": Address already in use");
}

TEST_F(AdminHttp, stopping_ends_open_connections) {
  tcp::socket idle = connected();
  get("/healthz");  // by now the idle one was accepted as well
  asio::post(io_, [this] { server_->stop(); });
  std::string rest;
  boost::system::error_code error;
  asio::read(idle, asio::dynamic_buffer(rest), error);
  EXPECT_EQ(rest, "");
  work_.reset();
  shard_.join();  // hangs here if anything is left running
  io_.restart();
  shard_ = std::thread([this] { io_.run(); });
}

}  // namespace
}  // namespace isthmus::ops
