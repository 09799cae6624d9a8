#include "net/host_resolver.hpp"

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <utility>

#include "base/limits.hpp"
#include "base/text.hpp"
#include "net/asio_address.hpp"
#include "net/asio_error.hpp"
#include "net/dns.hpp"

namespace isthmus::net {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

struct HostResolver::State : std::enable_shared_from_this<State> {
  State(asio::io_context& context, std::string name, std::uint16_t to_port, Done then)
      : io(context), host(std::move(name)), port(to_port), done(std::move(then)), system(io) {}

  void start(const std::vector<Endpoint>& servers);
  void ask_system();
  void ask(dns::Type type);
  void on_answer(const dns::Question& question, const dns::Answer& answer);
  void add(const Endpoint& endpoint);
  void finish(const std::string& why);

  asio::io_context& io;
  std::string host;
  std::uint16_t port;
  Done done;
  tcp::resolver system;
  std::unique_ptr<Dns> dns;
  int open = 0;  ///< questions to the DNS
  bool failed = false;
  std::vector<IpAddress> v6;  ///< behind those of IPv4, which reach more networks
  std::vector<Endpoint> found;
};

void HostResolver::State::add(const Endpoint& endpoint) {
  const bool known = std::ranges::find(found, endpoint) != found.end();
  if (!known && found.size() < limits::kResolvedAddresses) found.push_back(endpoint);
}

void HostResolver::State::finish(const std::string& why) {
  Done then = std::exchange(done, nullptr);
  if (!then) return;
  then(std::move(found), "the name " + host + " has no address" + (why.empty() ? "" : ": " + why));
}

void HostResolver::State::start(const std::vector<Endpoint>& servers) {
  if (const auto address = IpAddress::parse(host)) {
    add({*address, port});
    asio::post(io, [weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->finish({});
    });
    return;
  }
  if (servers.empty()) return ask_system();
  DnsOptions options;
  options.servers = servers;
  auto opened = Dns::open(io, options);
  if (!opened) return ask_system();
  dns = std::move(*opened);
  ask(dns::Type::a);
  ask(dns::Type::aaaa);
}

void HostResolver::State::ask_system() {
  system.async_resolve(host, std::to_string(port),
                       [weak = weak_from_this()](const error_code& error,
                                                 const tcp::resolver::results_type& entries) {
                         const auto self = weak.lock();
                         if (!self) return;
                         for (const auto& entry : entries) self->add(from_asio(entry.endpoint()));
                         self->finish(error ? to_text(error) : std::string());
                       });
}

void HostResolver::State::ask(dns::Type type) {
  ++open;
  std::string name = to_lower(host);
  if (name.ends_with('.')) name.pop_back();
  dns->ask({type, name},
           [weak = weak_from_this()](const dns::Question& question, const dns::Answer& answer) {
             if (const auto self = weak.lock()) self->on_answer(question, answer);
           });
}

void HostResolver::State::on_answer(const dns::Question& question, const dns::Answer& answer) {
  failed = failed || answer.status == dns::Status::failed;
  for (const IpAddress& address : answer.addresses) {
    if (question.type == dns::Type::a) {
      add({address, port});
    } else {
      v6.push_back(address);
    }
  }
  if (--open > 0) return;
  for (const IpAddress& address : v6) add({address, port});
  finish(failed ? "no DNS server answered" : std::string());
}

HostResolver::HostResolver(asio::io_context& io, const std::vector<Endpoint>& servers,
                           const std::string& host, std::uint16_t port, Done done)
    : state_(std::make_shared<State>(io, host, port, std::move(done))) {
  state_->start(servers);
}

HostResolver::~HostResolver() {
  state_->done = nullptr;
  state_->system.cancel();
  state_->dns.reset();
}

}  // namespace isthmus::net
