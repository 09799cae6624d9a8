#pragma once
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ssl/context.hpp>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/time.hpp"
#include "call/bridge.hpp"
#include "ops/log.hpp"
#include "ops/metrics.hpp"
#include "ops/routing_config.hpp"

namespace isthmus::app {

/// "http://host:port/path" in its parts.
struct WebhookUrl {
  bool tls = false;
  std::string host;    ///< IPv6 without brackets
  std::string port;    ///< digits
  std::string target;  ///< path and query, at least "/"
  /// Nothing if it is no such URL.
  static std::optional<WebhookUrl> parse(std::string_view text);
};

/// Tells an operator's HTTP server that somebody is called who has no device here now, so that it
/// can wake one (a push service). One POST of a JSON object per request that waits, and per user at
/// most one every few seconds; a bounded number at once, and a bounded number that wait their turn.
/// Failures are counted and logged; a call waits for its user all the same. One thread; owned by a
/// shared_ptr, which POSTs under way hold too.
class PushWebhook : public std::enable_shared_from_this<PushWebhook> {
 public:
  /// @param config  its `url` is not empty
  /// @return what is wrong with the authorities in words, or the hook.
  static std::shared_ptr<PushWebhook> make(boost::asio::io_context& io, ops::PushConfig config,
                                           std::string domain, ops::Log log, ops::Metrics& metrics,
                                           std::string& fault);

  void wake(const call::WakeUser& wake, Instant now);
  /// POSTs under way end by themselves; none is begun.
  void stop();

 private:
  PushWebhook(boost::asio::io_context& io, ops::PushConfig config, std::string domain, ops::Log log,
              ops::Metrics& metrics);
  struct Result;
  void start(std::string body);
  void finish(bool delivered);
  boost::asio::awaitable<void> deliver(std::shared_ptr<PushWebhook> self, std::string body);
  boost::asio::awaitable<Result> post(std::shared_ptr<PushWebhook> self, const std::string& body);

  boost::asio::io_context& io_;
  ops::PushConfig config_;
  WebhookUrl url_;
  std::string domain_;
  ops::Log log_;
  boost::asio::ssl::context tls_;
  std::deque<std::string> waiting_;
  std::map<std::string, Instant> woken_;  ///< when each user was last, for a few seconds
  std::size_t running_ = 0;
  bool stopped_ = false;
  ops::Counter &delivered_, &failed_, &dropped_, &merged_;
};

}  // namespace isthmus::app
