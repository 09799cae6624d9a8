#include "transport/resolver.hpp"

#include <algorithm>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/post.hpp>
#include <unordered_map>
#include <utility>

#include "base/limits.hpp"
#include "base/text.hpp"

namespace isthmus::transport {
namespace {

constexpr std::size_t kNameBytes = 253, kLabelBytes = 63;  // RFC 1035 §2.3.4

/// Letters, digits, hyphens, underscores and dots, in labels that DNS can carry.
bool is_host_name(std::string_view name) {
  if (!name.empty() && name.back() == '.') name.remove_suffix(1);
  if (name.empty() || name.size() > kNameBytes) return false;
  std::size_t label = 0;
  for (const char c : name) {
    if (c == '.') {
      if (label == 0) return false;
      label = 0;
      continue;
    }
    const bool ok = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    if (!ok || ++label > kLabelBytes) return false;
  }
  return label > 0;
}

IpAddress from_asio_address(const boost::asio::ip::address& address) {
  if (address.is_v4()) return IpAddress::v4(address.to_v4().to_uint());
  return IpAddress::v6(address.to_v6().to_bytes());
}

}  // namespace

const char* to_text(ResolveError error) {
  switch (error) {
    case ResolveError::malformed:
      return "malformed host name or port";
    case ResolveError::not_found:
      return "host name not found";
    case ResolveError::busy:
      return "too many name lookups";
  }
  return "resolver error";
}

std::optional<HostPort> split_host_port(std::string_view text) {
  HostPort result;
  std::string_view host = text, port;
  bool has_port = false;
  if (!text.empty() && text.front() == '[') {
    const auto end = text.find(']');
    if (end == std::string_view::npos) return std::nullopt;
    host = text.substr(1, end - 1);
    if (host.find(':') == std::string_view::npos) return std::nullopt;
    const std::string_view rest = text.substr(end + 1);
    if (!rest.empty() && rest.front() != ':') return std::nullopt;
    has_port = !rest.empty();
    if (has_port) port = rest.substr(1);
  } else if (const auto colon = text.find(':');
             colon != std::string_view::npos &&
             text.find(':', colon + 1) == std::string_view::npos) {
    host = text.substr(0, colon);
    port = text.substr(colon + 1);
    has_port = true;
  }
  if (has_port) {
    result.port = parse_number<std::uint16_t>(port);
    if (!result.port || *result.port == 0) return std::nullopt;
  }
  result.host = to_lower(host);
  if (!IpAddress::parse(result.host) && !is_host_name(result.host)) return std::nullopt;
  return result;
}

struct Resolver::State : std::enable_shared_from_this<Resolver::State> {
  struct Waiter {
    std::uint16_t port;
    Callback callback;
  };
  struct Name {
    bool pending = true;
    Instant expires{};
    std::vector<IpAddress> addresses;
    std::vector<Waiter> waiters;
  };

  State(boost::asio::io_context& context, ResolverOptions chosen)
      : io(context), resolver(context), options(std::move(chosen)) {}

  static Answer answer(const std::vector<IpAddress>& addresses, std::uint16_t port) {
    if (addresses.empty()) return ResolveError::not_found;
    std::vector<Endpoint> endpoints;
    endpoints.reserve(addresses.size());
    for (const auto& address : addresses) endpoints.push_back({address, port});
    return endpoints;
  }

  void reply(Callback callback, Answer result) {
    boost::asio::post(
        io, [weak = weak_from_this(), callback = std::move(callback), result = std::move(result)] {
          if (weak.lock()) callback(result);
        });
  }

  /// Makes room by forgetting what has expired. @return whether there is any.
  bool make_room(Instant now) {
    if (names.size() < limits::kResolverNames) return true;
    std::erase_if(names, [now](const auto& entry) {
      return !entry.second.pending && entry.second.expires <= now;
    });
    return names.size() < limits::kResolverNames;
  }

  void start(const std::string& host) {
    ++counters.lookups;
    auto done = [weak = weak_from_this(), host](std::vector<IpAddress> addresses) {
      if (const auto self = weak.lock()) self->finish(host, std::move(addresses));
    };
    if (options.lookup) return options.lookup(host, std::move(done));
    resolver.async_resolve(
        host, "", [done = std::move(done)](const boost::system::error_code& error, auto results) {
          std::vector<IpAddress> addresses;
          if (!error) {
            for (const auto& entry : results) {
              const auto address = from_asio_address(entry.endpoint().address());
              if (std::find(addresses.begin(), addresses.end(), address) == addresses.end()) {
                addresses.push_back(address);
              }
            }
          }
          done(std::move(addresses));
        });
  }

  void finish(const std::string& host, std::vector<IpAddress> addresses) {
    const auto found = names.find(host);
    if (found == names.end() || !found->second.pending) return;
    Name& name = found->second;
    if (addresses.empty()) ++counters.failures;
    name.pending = false;
    name.expires = options.clock() + (addresses.empty() ? options.negative_life : options.life);
    name.addresses = std::move(addresses);
    for (auto& waiter : std::exchange(name.waiters, {})) {
      reply(std::move(waiter.callback), answer(name.addresses, waiter.port));
    }
  }

  boost::asio::io_context& io;
  boost::asio::ip::udp::resolver resolver;
  ResolverOptions options;
  std::unordered_map<std::string, Name> names;
  Counters counters;
};

Resolver::Resolver(boost::asio::io_context& io, ResolverOptions options) {
  if (!options.clock) options.clock = [] { return std::chrono::steady_clock::now(); };
  state_ = std::make_shared<State>(io, std::move(options));
}

Resolver::~Resolver() {
  state_->resolver.cancel();
}

const Resolver::Counters& Resolver::counters() const {
  return state_->counters;
}

void Resolver::resolve(std::string_view host_port, std::uint16_t default_port, Callback callback) {
  const auto parts = split_host_port(host_port);
  if (!parts) return state_->reply(std::move(callback), ResolveError::malformed);
  const std::uint16_t port = parts->port.value_or(default_port);
  if (const auto literal = IpAddress::parse(parts->host)) {
    return state_->reply(std::move(callback), State::answer({*literal}, port));
  }
  const Instant now = state_->options.clock();
  auto found = state_->names.find(parts->host);
  if (found != state_->names.end() && !found->second.pending && found->second.expires > now) {
    ++state_->counters.cached;
    return state_->reply(std::move(callback), State::answer(found->second.addresses, port));
  }
  if (found == state_->names.end()) {
    if (!state_->make_room(now)) {
      ++state_->counters.refused;
      return state_->reply(std::move(callback), ResolveError::busy);
    }
    found = state_->names.try_emplace(parts->host).first;
  } else if (found->second.waiters.size() >= limits::kResolverWaiters) {
    ++state_->counters.refused;
    return state_->reply(std::move(callback), ResolveError::busy);
  }
  const bool first = found->second.waiters.empty();
  found->second.pending = true;
  found->second.waiters.push_back({port, std::move(callback)});
  if (first) state_->start(parts->host);
}

}  // namespace isthmus::transport
