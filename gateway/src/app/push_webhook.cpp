#include "app/push_webhook.hpp"

#include <openssl/hmac.h>
#include <openssl/x509_vfy.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "app/version.hpp"
#include "base/address.hpp"
#include "base/limits.hpp"
#include "base/text.hpp"

namespace isthmus::app {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
namespace json = boost::json;
using asio::ip::tcp;

namespace {

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);
constexpr Duration kWakeAgain = seconds(5);  // a device that was told needs about that to come

std::string hmac_sha256_hex(std::string_view key, std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> out{};
  unsigned size = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), out.data(), &size);
  std::string hex;
  for (unsigned i = 0; i < size; ++i) {
    constexpr char kDigits[] = "0123456789abcdef";
    hex += kDigits[out[i] >> 4];
    hex += kDigits[out[i] & 15];
  }
  return hex;
}

std::string problem_of(const boost::system::error_code& error) {
  return error == beast::error::timeout ? "no answer in time" : error.message();
}

/// Whose certificate it must be. OpenSSL's own check, for it says what is wrong.
void expect_name(SSL* connection, const std::string& host) {
  if (IpAddress::parse(host)) {
    ::X509_VERIFY_PARAM_set1_ip_asc(::SSL_get0_param(connection), host.c_str());
  } else {
    ::SSL_set1_host(connection, host.c_str());
  }
}

/// OpenSSL's own words for a handshake that a certificate ended say no more than "verify failed".
std::string tls_problem(SSL* connection, const boost::system::error_code& error) {
  const long verdict = ::SSL_get_verify_result(connection);
  if (verdict == X509_V_OK) return problem_of(error);
  return std::string("the server's certificate is not acceptable: ") +
         ::X509_verify_cert_error_string(verdict);
}

}  // namespace

std::optional<WebhookUrl> WebhookUrl::parse(std::string_view text) {
  WebhookUrl url;
  url.tls = text.starts_with("https://");
  if (!url.tls && !text.starts_with("http://")) return std::nullopt;
  text.remove_prefix(url.tls ? 8 : 7);
  std::size_t path = text.find_first_of("/?");
  std::string_view authority = text.substr(0, path);
  url.target = path == std::string_view::npos ? "/" : std::string(text.substr(path));
  if (url.target.front() == '?') url.target.insert(0, "/");
  std::size_t colon = authority.rfind(':');
  if (authority.starts_with('[')) {
    std::size_t end = authority.find(']');
    if (end == std::string_view::npos) return std::nullopt;
    url.host = authority.substr(1, end - 1);
    colon = end + 1 < authority.size() ? end + 1 : std::string_view::npos;
    if (colon != std::string_view::npos && authority[colon] != ':') return std::nullopt;
  } else {
    url.host = authority.substr(0, colon);
  }
  url.port = colon == std::string_view::npos ? (url.tls ? "443" : "80")
                                             : std::string(authority.substr(colon + 1));
  auto port = parse_number<std::uint16_t>(url.port);
  if (url.host.empty() || !port || *port == 0) return std::nullopt;
  return url;
}

struct PushWebhook::Result {
  unsigned status = 0;  ///< 0: no answer
  std::string problem;
  bool delivered() const { return status >= 200 && status < 300; }
  bool again() const { return status == 0 || status >= 500; }
  std::string_view why() const {
    if (!problem.empty()) return problem;
    if (status >= 500) return "the server failed";
    if (status >= 300 && status < 400) return "the server redirects, which is not followed";
    return "the server refused";
  }
};

PushWebhook::PushWebhook(asio::io_context& io, ops::PushConfig config, std::string domain,
                         ops::Log log, ops::Metrics& metrics)
    : io_(io),
      config_(std::move(config)),
      domain_(std::move(domain)),
      log_(std::move(log)),
      tls_(asio::ssl::context::tls_client),
      delivered_(metrics.counter("isthmus_push_total", "Wake-ups by what became of them",
                                 {{"result", "delivered"}})),
      failed_(metrics.counter("isthmus_push_total", "Wake-ups by what became of them",
                              {{"result", "failed"}})),
      dropped_(metrics.counter("isthmus_push_total", "Wake-ups by what became of them",
                               {{"result", "dropped"}})),
      merged_(metrics.counter("isthmus_push_total", "Wake-ups by what became of them",
                              {{"result", "merged"}})) {}

std::shared_ptr<PushWebhook> PushWebhook::make(asio::io_context& io, ops::PushConfig config,
                                               std::string domain, ops::Log log,
                                               ops::Metrics& metrics, std::string& fault) {
  std::shared_ptr<PushWebhook> hook(
      new PushWebhook(io, std::move(config), std::move(domain), std::move(log), metrics));
  auto url = WebhookUrl::parse(hook->config_.url);
  if (!url) {
    fault = "push.url: is no http or https URL";
    return nullptr;
  }
  hook->url_ = std::move(*url);
  boost::system::error_code error;
  if (hook->config_.ca_file.empty()) {
    hook->tls_.set_default_verify_paths(error);
  } else {
    hook->tls_.load_verify_file(hook->config_.ca_file, error);
  }
  if (error) {
    fault = "push.ca_file: " + error.message();
    return nullptr;
  }
  hook->tls_.set_verify_mode(asio::ssl::verify_peer);
  return hook;
}

void PushWebhook::stop() {
  stopped_ = true;
  waiting_.clear();
}

void PushWebhook::wake(const call::WakeUser& wake, Instant now) {
  if (stopped_) return;
  std::erase_if(woken_, [now](const auto& entry) { return now - entry.second >= kWakeAgain; });
  if (!woken_.try_emplace(wake.user, now).second) {
    merged_.add();
    return;
  }
  std::string body = json::serialize(json::object{{"event", "wake"},
                                                  {"user", wake.user},
                                                  {"from", wake.from},
                                                  {"method", wake.method},
                                                  {"call_id", wake.call_id},
                                                  {"domain", domain_}});
  if (running_ < config_.concurrency) {
    start(std::move(body));
  } else if (waiting_.size() < config_.concurrency * limits::kPushesWaitingPerSlot) {
    waiting_.push_back(std::move(body));
  } else {
    dropped_.add();
    log_.warning("push_dropped", {{"waiting", waiting_.size()}});
  }
}

void PushWebhook::start(std::string body) {
  ++running_;
  asio::co_spawn(io_, deliver(shared_from_this(), std::move(body)), asio::detached);
}

void PushWebhook::finish(bool delivered) {
  (delivered ? delivered_ : failed_).add();
  --running_;
  if (stopped_ || waiting_.empty()) return;
  std::string next = std::move(waiting_.front());
  waiting_.pop_front();
  start(std::move(next));
}

asio::awaitable<void> PushWebhook::deliver(std::shared_ptr<PushWebhook> self, std::string body) {
  Result result = co_await post(self, body);
  if (config_.retry && result.again() && !stopped_) result = co_await post(self, body);
  if (!result.delivered()) {
    log_.warning("push_failed", {{"server", url_.host + ":" + url_.port},
                                 {"status", result.status},
                                 {"problem", result.why()}});
  }
  finish(result.delivered());
}

asio::awaitable<PushWebhook::Result> PushWebhook::post(std::shared_ptr<PushWebhook> self,
                                                       const std::string& body) {
  static_cast<void>(self);  // keeps what the members belong to
  tcp::resolver resolver(io_);
  auto [unknown, endpoints] = co_await resolver.async_resolve(url_.host, url_.port, kTuple);
  if (unknown) co_return Result{0, unknown.message()};

  beast::ssl_stream<beast::tcp_stream> stream(io_, tls_);
  beast::tcp_stream& plain = beast::get_lowest_layer(stream);
  plain.expires_after(config_.timeout);
  auto [refused, endpoint] = co_await plain.async_connect(endpoints, kTuple);
  if (refused) co_return Result{0, problem_of(refused)};
  if (url_.tls) {
    // RFC 6066 §3: a literal address is no server name.
    if (!IpAddress::parse(url_.host)) {
      ::SSL_ctrl(stream.native_handle(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                 const_cast<char*>(url_.host.c_str()));  // the macro casts in C's way
    }
    expect_name(stream.native_handle(), url_.host);
    auto [untrusted] = co_await stream.async_handshake(asio::ssl::stream_base::client, kTuple);
    if (untrusted) co_return Result{0, tls_problem(stream.native_handle(), untrusted)};
  }

  http::request<http::string_body> request(http::verb::post, url_.target, 11);
  bool own_port = url_.port != (url_.tls ? "443" : "80");
  std::string host = url_.host.find(':') == std::string::npos ? url_.host : "[" + url_.host + "]";
  request.set(http::field::host, own_port ? host + ":" + url_.port : host);
  request.set(http::field::user_agent, std::string("isthmus-gateway/") + kVersion);
  request.set(http::field::content_type, "application/json");
  request.set(http::field::connection, "close");
  if (!config_.secret.empty()) {
    request.set("X-Isthmus-Signature", "sha256=" + hmac_sha256_hex(config_.secret.reveal(), body));
  }
  request.body() = body;
  request.prepare_payload();
  auto [unsent, written] = url_.tls ? co_await http::async_write(stream, request, kTuple)
                                    : co_await http::async_write(plain, request, kTuple);
  if (unsent) co_return Result{0, problem_of(unsent)};

  beast::flat_buffer buffer(limits::kPushResponseBytes);
  http::response_parser<http::string_body> parser;  // only the status is of interest
  parser.header_limit(static_cast<std::uint32_t>(limits::kPushResponseBytes));
  auto [unread, read] = url_.tls ? co_await http::async_read_header(stream, buffer, parser, kTuple)
                                 : co_await http::async_read_header(plain, buffer, parser, kTuple);
  boost::system::error_code ignored;
  plain.socket().close(ignored);
  if (unread) co_return Result{0, problem_of(unread)};
  co_return Result{parser.get().result_int(), {}};
}

}  // namespace isthmus::app
