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
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
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

constexpr std::size_t kPageBytes = 16 * limits::kMiB;  // 10,000 registrations and more

asio::awaitable<void> ask(tcp::endpoint server, std::string path, Duration patience,
                          std::optional<std::string>& wrong, std::string& page) {
  beast::tcp_stream stream(co_await asio::this_coro::executor);
  stream.expires_after(patience);
  auto [no_connection] = co_await stream.async_connect(server, kTuple);
  if (no_connection) {
    wrong = no_connection.message();
    co_return;
  }
  http::request<http::empty_body> request(http::verb::get, path, 11);
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
  parser.body_limit(kPageBytes);
  auto [no_answer, received] = co_await http::async_read(stream, buffer, parser, kTuple);
  if (no_answer) {
    wrong = no_answer.message();
  } else if (parser.get().result() != http::status::ok) {
    wrong = "answers " + std::to_string(parser.get().result_int());
  } else {
    wrong.reset();
    page = std::move(parser.get().body());
  }
}

}  // namespace

Result<std::string, AdminError> fetch_page(const AdminConfig& admin, std::string_view path,
                                           Duration patience) {
  if (admin.port == 0) return AdminError{"the admin server is switched off: admin.port is 0"};
  std::optional<std::string> wrong = "no answer";
  std::string page;
  asio::io_context io(1);
  asio::co_spawn(io, ask(reachable(admin), std::string(path), patience, wrong, page),
                 asio::detached);
  io.run();
  if (wrong) return AdminError{Endpoint{admin.address, admin.port}.to_string() + ": " + *wrong};
  return {boost::system::in_place_value, std::move(page)};
}

std::optional<std::string> probe_health(const AdminConfig& admin, Duration patience) {
  auto page = fetch_page(admin, "/healthz", patience);
  if (page) return std::nullopt;
  return page.error().text;
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

int upstreams_command(const AdminConfig& admin) {
  auto page = fetch_page(admin, "/api/v1/upstreams", kPatience);
  if (!page) {
    std::cerr << page.error().text << '\n';
    return 1;
  }
  boost::system::error_code error;
  boost::json::value list = boost::json::parse(*page, error);
  if (error || !list.is_array()) {
    std::cerr << "the admin server's answer is no list\n";
    return 1;
  }
  bool all_well = true;
  auto text = [](const boost::json::object& entry, const char* key) {
    const boost::json::value* found = entry.if_contains(key);
    return found && found->is_string() ? std::string(found->get_string()) : std::string();
  };
  auto number = [](const boost::json::object& entry, const char* key) {
    const boost::json::value* found = entry.if_contains(key);
    boost::system::error_code none;
    return found ? found->to_number<double>(none) : 0.0;
  };
  for (const boost::json::value& value : list.get_array()) {
    if (!value.is_object()) continue;
    const boost::json::object& entry = value.get_object();
    bool registered = entry.contains("registered") && entry.at("registered").is_bool() &&
                      entry.at("registered").get_bool();
    std::cout << text(entry, "provider") << "  " << text(entry, "aor") << "  "
              << text(entry, "state");
    if (registered) std::cout << "  " << static_cast<long>(number(entry, "expires_s")) << " s left";
    if (entry.contains("problem")) {
      all_well = false;
      std::cout << "  " << text(entry, "problem") << ", next try in "
                << static_cast<long>(number(entry, "next_try_s")) << " s";
    }
    std::cout << '\n';
  }
  return all_well ? 0 : 1;
}

}  // namespace isthmus::ops
