#include "ops/health_probe.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <iostream>

#include "base/limits.hpp"

namespace isthmus::ops {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);
/// Below the three seconds that container engines give a health check by custom.
constexpr Duration kPatience = seconds(2);

/// Where a server that listens on `address` is reached from its own machine.
tcp::endpoint reachable(const AdminConfig& admin) {
  if (admin.address.is_v4()) {
    if (admin.address.is_unspecified()) return {asio::ip::address_v4::loopback(), admin.port};
    return {asio::ip::address_v4(admin.address.v4_host_order()), admin.port};
  }
  if (admin.address.is_unspecified()) return {asio::ip::address_v6::loopback(), admin.port};
  return {asio::ip::address_v6(admin.address.bytes()), admin.port};
}

asio::awaitable<void> ask(tcp::endpoint server, Duration patience,
                          std::optional<std::string>& wrong) {
  beast::tcp_stream stream(co_await asio::this_coro::executor);
  stream.expires_after(patience);
  auto [no_connection] = co_await stream.async_connect(server, kTuple);
  if (no_connection) {
    wrong = no_connection.message();
    co_return;
  }
  http::request<http::empty_body> request(http::verb::get, "/healthz", 11);
  request.set(http::field::host, "localhost");
  request.keep_alive(false);
  auto [not_sent, sent] = co_await http::async_write(stream, request, kTuple);
  if (not_sent) {
    wrong = not_sent.message();
    co_return;
  }
  beast::flat_buffer buffer(limits::kAdminHeaderBytes);
  http::response_parser<http::string_body> parser;
  parser.header_limit(static_cast<std::uint32_t>(limits::kAdminHeaderBytes));
  parser.body_limit(limits::kAdminHeaderBytes);
  auto [no_answer, received] = co_await http::async_read(stream, buffer, parser, kTuple);
  if (no_answer) {
    wrong = no_answer.message();
  } else if (parser.get().result() != http::status::ok) {
    wrong = "answers " + std::to_string(parser.get().result_int());
  } else {
    wrong.reset();
  }
}

}  // namespace

std::optional<std::string> probe_health(const AdminConfig& admin, Duration patience) {
  if (admin.port == 0) return "the admin server is switched off: admin.port is 0";
  std::optional<std::string> wrong = "no answer";
  asio::io_context io(1);
  tcp::endpoint server = reachable(admin);
  asio::co_spawn(io, ask(server, patience, wrong), asio::detached);
  io.run();
  if (!wrong) return std::nullopt;
  return Endpoint{admin.address, admin.port}.to_string() + ": " + *wrong;
}

int healthcheck_command(const AdminConfig& admin) {
  std::optional<std::string> wrong = probe_health(admin, kPatience);
  if (wrong) {
    std::cerr << "not serving: " << *wrong << '\n';
    return 1;
  }
  std::cout << "serving\n";
  return 0;
}

}  // namespace isthmus::ops
