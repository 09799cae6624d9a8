#include "link/client_listeners.hpp"

#include <utility>

#include "link/link_shard.hpp"
#include "net/asio_error.hpp"
#include "net/clock.hpp"
#include "net/udp_channel.hpp"
#include "quic/tickets.hpp"

namespace isthmus::link {

namespace asio = boost::asio;

namespace {

/// For as long may those who ask for counters hold up calls, while shards have much to do.
constexpr Duration kLongestCount = milliseconds(20);

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
    asio::io_context& owner, ClientListenersOptions options, const OnLink& on_link) {
  std::unique_ptr<ClientListeners> made(new ClientListeners);
  if (auto fault = made->open_websockets(owner, options, on_link)) return *fault;
  if (options.udp) made->udp_fault_ = made->open_udp(owner, options);
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
    // From the first on: as long as the one that is meant is not there, the kernel takes another.
    if (!fault && count > 1 && shard == shards_.front()) {
      fault = shard->udp()->steer(static_cast<unsigned>(count));
    }
  }
  if (fault) {
    for (const auto& shard : shards_) shard->close_udp();
    return fault->text;
  }
  udp_local_ = shards_.front()->udp()->local();
  return std::nullopt;
}

ClientListeners::~ClientListeners() = default;

void ClientListeners::run() {
  for (const auto& shard : shards_) shard->run();
}

void ClientListeners::close() {
  for (const auto& shard : shards_) {
    shard->ask([&shard] {
      shard->listener().close();
      if (shard->udp() != nullptr) shard->udp()->close();
    });
  }
}

CertificateReload ClientListeners::reload_certificates() {
  CertificateReload reload;
  Listener& first = shards_.front()->listener();
  auto report = shards_.front()->ask([&first] { return first.reload_certificates(); });
  if (!report) return {std::nullopt, {report.error().text}};
  reload.report = certificate_ = *report;
  // All have what one has read: files may change meanwhile. Nobody but this changes it.
  const Certificate& loaded = first.loaded();
  for (const auto& shard : shards_) {
    shard->ask([&] {
      if (shard != shards_.front()) {
        if (const auto wrong = shard->listener().set_certificate(loaded)) {
          reload.faults.push_back(wrong->text);
        }
      }
      if (shard->udp() == nullptr) return;
      if (const auto wrong = shard->udp()->set_certificate(loaded)) {
        reload.faults.push_back("listen.udp: " + wrong->text);
      }
    });
  }
  return reload;
}

ClientListenersCounters ClientListeners::counters() const {
  for (const auto& shard : shards_) shard->ask_counters();
  const Instant deadline = net::clock_now() + kLongestCount;
  ClientListenersCounters counters;
  for (const auto& shard : shards_) {
    const LinkShardCounters one = shard->counters(deadline);
    counters.websocket += one.websocket;
    if (udp_local_) {
      if (!counters.udp) counters.udp.emplace();
      *counters.udp += one.udp;
    }
    counters.open.push_back(one.websocket.open + one.udp.open);
    if (shard->handover() != nullptr) counters.handover += shard->handover()->counters();
  }
  return counters;
}

}  // namespace isthmus::link
