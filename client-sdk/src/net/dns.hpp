#pragma once
#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/address.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "dns/records.hpp"

namespace isthmus::net {

struct DnsOptions {
  std::vector<Endpoint> servers;     ///< empty: the system's (resolv.conf)
  milliseconds timeout{2000};        ///< for one server's answer, at the first try; then it grows
  unsigned tries = 2;                ///< rounds over the servers
  std::function<Instant()> clock{};  ///< empty: steady_clock
};

/// Asks the DNS by c-ares, on the io_context's thread and without blocking it, over UDP and, where
/// an answer was cut, TCP. A and AAAA look into the hosts file first and follow resolv.conf's
/// search list. Answers are kept as long as they hold, "none" included, failures not; callers that
/// ask the same at once share one query. Bounded: limits::kDnsQuestions, kDnsInFlight, kDnsWaiters;
/// what is above fails at once. One thread.
class Dns {
 public:
  using Callback = std::function<void(const dns::Question& question, const dns::Answer& answer)>;

  /// @return the reason in words when c-ares cannot be set up.
  static Result<std::unique_ptr<Dns>, std::string> open(boost::asio::io_context& io,
                                                        DnsOptions options);
  ~Dns();
  Dns(const Dns&) = delete;
  Dns& operator=(const Dns&) = delete;

  /// The callback comes later from the event loop, never from within; not at all once this is gone.
  void ask(const dns::Question& question, Callback callback);

  struct Counters {
    std::uint64_t queries = 0;   ///< sent to the DNS
    std::uint64_t cached = 0;    ///< answered from what was known
    std::uint64_t failures = 0;  ///< no server answered, or with an error
    std::uint64_t refused = 0;   ///< over a limit
  };
  const Counters& counters() const;

 private:
  class State;
  explicit Dns(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

}  // namespace isthmus::net
