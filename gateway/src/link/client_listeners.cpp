#include "link/client_listeners.hpp"

#include <utility>

#include "link/link_shard.hpp"
#include "net/asio_error.hpp"
#include "net/udp_channel.hpp"
#include "quic/tickets.hpp"

namespace isthmus::link {

namespace asio = boost::asio;

namespace {

std::size_t share_of(std::size_t all, std::size_t shards) {
  return (all + shards - 1) / shards;
}

/// With SO_REUSEPORT, a program that has the port as well would go unnoticed.
Result<Endpoint, UdpListenerError> find_free_udp(asio::io_context& io, const Endpoint& bind) {
  const auto probe = net::UdpChannel::open(io, {bind, std::nullopt, false});
  if (!probe)
    return UdpListenerError{"UDP on " + bind.to_string() + ": " + net::to_text(probe.error())};
  return (*probe)->local();
}

}  // namespace

Result<std::unique_ptr<ClientListeners>, ListenerError> ClientListeners::open(
    asio::io_context& owner, ClientListenersOptions options, OnLink on_link) {
  std::unique_ptr<ClientListeners> made(new ClientListeners);
  if (auto fault = made->open_websockets(owner, options, on_link)) return *fault;
  if (options.udp) made->udp_fault_ = made->open_udp(owner, options);
  for (const auto& shard : made->shards_) shard->run();
  return made;
}

std::optional<ListenerError> ClientListeners::open_websockets(asio::io_context& owner,
                                                              ClientListenersOptions& options,
                                                              const OnLink& on_link) {
  ListenerOptions& websocket = options.websocket;
  websocket.reuse_port = options.shards > 1;
  websocket.open_together = std::make_shared<std::atomic<std::size_t>>(0);
  if (websocket.reuse_port) {
    auto free = Listener::find_free(owner, websocket.bind);
    if (!free) return free.error();
    websocket.bind.port = free->port;
  }
  for (unsigned number = 0; number < options.shards; ++number) {
    auto shard = std::make_unique<LinkShard>(owner, number, options.shards > 1, on_link);
    if (auto fault = shard->open(websocket)) return fault;
    shards_.push_back(std::move(shard));
  }
  // Those after the first find on disk what the first may just have made.
  certificate_ = shards_.front()->listener().certificate();
  local_ = shards_.front()->listener().local();
  return std::nullopt;
}

/// All shards have UDP, or none.
std::optional<std::string> ClientListeners::open_udp(asio::io_context& owner,
                                                     const ClientListenersOptions& options) {
  UdpListenerOptions udp = *options.udp;
  const std::size_t count = shards_.size();
  udp.bind = {options.websocket.bind.address, options.udp_port.value_or(local_.port)};
  udp.reuse_port = count > 1;
  udp.server.max_links = share_of(udp.server.max_links, count);
  udp.server.retry_above = static_cast<std::uint32_t>(share_of(udp.server.retry_above, count));
  if (udp.reuse_port) {
    auto free = find_free_udp(owner, udp.bind);
    if (!free) return free.error().text;
    udp.bind.port = free->port;
    if (udp.server.early_data) udp.server.ticket_key = quic::ServerTickets::new_key();
  }
  std::optional<UdpListenerError> fault;
  for (const auto& shard : shards_) {
    if (!fault) fault = shard->open_udp(udp);
  }
  if (!fault && count > 1) fault = shards_.front()->udp()->steer(static_cast<unsigned>(count));
  if (fault) {
    for (const auto& shard : shards_) shard->close_udp();
    return fault->text;
  }
  udp_local_ = shards_.front()->udp()->local();
  return std::nullopt;
}

ClientListeners::~ClientListeners() = default;

void ClientListeners::close() {
  for (const auto& shard : shards_) {
    shard->ask([&shard] {
      shard->listener().close();
      if (shard->udp() != nullptr) shard->udp()->close();
    });
  }
}

Result<CertificateReport, std::vector<std::string>> ClientListeners::reload_certificates() {
  std::vector<std::string> faults;
  for (const auto& shard : shards_) {
    auto report = shard->ask([&]() -> Result<CertificateReport, CertificateError> {
      auto loaded = shard->listener().reload_certificates();
      if (!loaded || shard->udp() == nullptr) return loaded;
      if (const auto wrong = shard->udp()->set_certificate(shard->listener().loaded())) {
        faults.push_back("listen.udp: " + wrong->text);
      }
      return loaded;
    });
    if (!report) {
      faults.push_back(report.error().text);
      break;  // the others would find the same
    }
    if (shard == shards_.front()) certificate_ = *report;
  }
  if (!faults.empty()) return faults;
  return certificate_;
}

ClientListenersCounters ClientListeners::counters() const {
  ClientListenersCounters counters;
  for (const auto& shard : shards_) {
    const auto one = shard->ask([&shard] {
      return std::pair{shard->listener().counters(),
                       shard->udp() != nullptr ? shard->udp()->counters() : UdpListenerCounters{}};
    });
    counters.websocket += one.first;
    if (udp_local_) {
      if (!counters.udp) counters.udp.emplace();
      *counters.udp += one.second;
    }
    counters.open.push_back(one.first.open + one.second.open);
    if (shard->handover() != nullptr) counters.handover += shard->handover()->counters();
  }
  return counters;
}

}  // namespace isthmus::link
