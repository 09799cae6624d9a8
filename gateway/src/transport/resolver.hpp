#pragma once
#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.hpp"
#include "base/result.hpp"
#include "base/time.hpp"

namespace isthmus::transport {

enum class ResolveError : std::uint8_t {
  malformed,  ///< neither an address nor a host name, or a port that is no number
  not_found,  ///< no A or AAAA record, or the name service failed
  busy,       ///< limits::kResolverNames or kResolverWaiters
};
const char* to_text(ResolveError error);

struct ResolverOptions {
  using Done = std::function<void(std::vector<IpAddress>)>;  ///< empty: not found
  Duration life = seconds(60);                               ///< of an answer
  Duration negative_life = seconds(5);                       ///< of "not found"
  /// Looks a name up and calls back later on the io_context's thread. Empty: getaddrinfo.
  std::function<void(const std::string& host, Done done)> lookup;
  std::function<Instant()> clock;  ///< empty: steady_clock
};

/// Addresses of the host of a SIP URI: A and AAAA only, in the order of the system (RFC 6724); the
/// port is the URI's (RFC 3263 §4.2 without NAPTR and SRV). Answers are kept; callers that ask for
/// a name being looked up share one query. Results always come later from the event loop, never
/// from within resolve(), and not at all once the resolver is gone. One thread.
class Resolver {
 public:
  /// Never empty when it is a value.
  using Answer = Result<std::vector<Endpoint>, ResolveError>;
  using Callback = std::function<void(const Answer&)>;

  explicit Resolver(boost::asio::io_context& io, ResolverOptions options = {});
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  /// @param host_port "host", "host:port", "[v6]" or "[v6]:port" as a SIP URI writes it.
  /// @param default_port when none is written.
  void resolve(std::string_view host_port, std::uint16_t default_port, Callback callback);

  struct Counters {
    std::uint64_t lookups = 0, cached = 0, failures = 0, refused = 0;
  };
  const Counters& counters() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

/// The two parts of "host[:port]"; a bare IPv6 address (without brackets) has no port.
struct HostPort {
  std::string host;  ///< lower case, without brackets
  std::optional<std::uint16_t> port;
};
std::optional<HostPort> split_host_port(std::string_view text);

}  // namespace isthmus::transport
