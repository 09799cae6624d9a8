#include "unit/quic/quic_world.hpp"

#include <gtest/gtest.h>

#include "link/certificate.hpp"
#include "net/clock.hpp"
#include "support/temporary_directory.hpp"

namespace isthmus::test {

const std::pair<std::string, std::string>& test_certificate() {
  static const auto pem = [] {
    const TemporaryDirectory directory;
    const auto made =
        link::load_or_make_self_signed(directory.path(), {"gateway.example"}, net::wall_now());
    if (!made) return std::pair<std::string, std::string>{};
    return std::pair(link::chain_pem(*made), link::key_pem(*made));
  }();
  return pem;
}

std::shared_ptr<const quic::TlsCredentials> server_credentials(quic::KeyLogs logs) {
  const auto& [chain, key] = test_certificate();
  auto made = quic::TlsCredentials::server(chain, key, std::move(logs));
  return made ? *made : nullptr;
}

struct QuicWorld::ToClients final : quic::DatagramSink {
  explicit ToClients(QuicWorld& in) : world(in) {}
  void send(const quic::Path& path, ByteView datagram) override {
    world.send({false, path.local, path.remote, to_bytes(datagram)});
  }
  QuicWorld& world;
};

struct QuicWorld::FromClient final : quic::DatagramSink {
  FromClient(QuicWorld& in, const Client& from) : world(in), client(from) {}
  void send(const quic::Path& path, ByteView datagram) override {
    world.send({true, client.outside, path.remote, to_bytes(datagram)});
  }
  QuicWorld& world;
  const Client& client;
};

QuicWorld::QuicWorld(Options options)
    : loss(options.loss),
      options_(std::move(options)),
      random_(options_.seed),
      network_random_(options_.seed + 1000),
      now_(seconds(1000)),
      gateway_{IpAddress::v4(0xCB007101), 8443},
      server_(make_server()) {
  ::testing::Test::RecordProperty("seed", std::to_string(options_.seed));
}

QuicWorld::~QuicWorld() = default;

std::unique_ptr<quic::LinkServer> QuicWorld::make_server() {
  return std::make_unique<quic::LinkServer>(
      options_.server, server_credentials(options_.server_logs), random_, *this);
}

void QuicWorld::restart_server(std::unique_ptr<quic::LinkServer> other) {
  for (const auto& [number, server] : servers_) server_->forget(number);
  servers_.clear();
  server_ = other ? std::move(other) : make_server();
}

QuicWorld::Client& QuicWorld::add_client(std::optional<quic::Ticket> ticket) {
  auto client = std::make_unique<Client>();
  client->inside = {IpAddress::v4(0x0A000002), next_port_};
  client->outside = {IpAddress::v4(0xC6336401), next_port_++};
  const auto credentials = quic::TlsCredentials::client(options_.client_logs);
  quic::ClientSettings settings{"gateway.example", *credentials, options_.verify, std::move(ticket),
                                [this](quic::Ticket fresh) { tickets.put("", std::move(fresh)); }};
  auto connection =
      quic::Connection::client(std::move(settings), {client->inside, gateway_}, random_, now_);
  client->core = std::make_unique<quic::LinkCore>(
      quic::LinkCore::Side::client, std::move(connection), random_.u32() | 1, client->heard);
  clients_.push_back(std::move(client));
  return *clients_.back();
}

quic::LinkCore* QuicWorld::on_connection(std::uint64_t number,
                                         std::unique_ptr<quic::Connection> connection,
                                         std::uint32_t media_id) {
  auto server = std::make_unique<Server>();
  server->core = std::make_unique<quic::LinkCore>(quic::LinkCore::Side::server,
                                                  std::move(connection), media_id, server->heard);
  quic::LinkCore* core = server->core.get();
  servers_.emplace(number, std::move(server));
  return core;
}

void QuicWorld::send(InFlight datagram) {
  if (on_sent && !on_sent(datagram)) return;
  if (static_cast<double>(network_random_.u32()) / 4294967296.0 < loss) return;
  Duration delay = options_.delay;
  if (options_.jitter > Duration{}) {
    delay += Duration(static_cast<Duration::rep>(
        network_random_.below(static_cast<std::uint64_t>(options_.jitter.count()))));
  }
  put(datagram, delay);
}

void QuicWorld::put(const InFlight& datagram, Duration delay) {
  flying_.emplace(now_ + delay, datagram);
}

void QuicWorld::arrive(InFlight datagram) {
  if (datagram.to_server) {
    ToClients sink(*this);
    server_->on_datagram({datagram.to, datagram.from}, datagram.bytes, now_, sink);
    return;
  }
  ++datagrams_to_client;
  for (const auto& client : clients_) {
    if (client->outside == datagram.to) {
      client->core->on_datagram({client->inside, datagram.from}, datagram.bytes, now_);
    }
  }
}

void QuicWorld::flush() {
  for (const auto& client : clients_) {
    FromClient sink(*this, *client);
    client->core->flush(now_, sink);
  }
  ToClients sink(*this);
  for (const auto& [number, server] : servers_) server->core->flush(now_, sink);
  sweep();
}

/// As the gateway does: a link that is over is forgotten.
void QuicWorld::sweep() {
  for (auto it = servers_.begin(); it != servers_.end();) {
    if (!it->second->core->over()) {
      ++it;
      continue;
    }
    server_->forget(it->first);
    it->second->core.reset();
    gone_.push_back(std::move(it->second));
    it = servers_.erase(it);
  }
}

std::optional<Instant> QuicWorld::next_event() const {
  std::optional<Instant> next;
  const auto consider = [&next](std::optional<Instant> at) {
    if (at && (!next || *at < *next)) next = at;
  };
  if (!flying_.empty()) consider(flying_.begin()->first);
  for (const auto& client : clients_) consider(client->core->next_deadline());
  for (const auto& [number, server] : servers_) consider(server->core->next_deadline());
  return next;
}

bool QuicWorld::run(const std::function<bool()>& done, Duration limit) {
  const Instant end = now_ + limit;
  for (;;) {
    flush();
    if (done()) return true;
    const auto next = next_event();
    if (!next || *next > end) {
      now_ = end;
      return done();
    }
    now_ = std::max(now_, *next);
    while (!flying_.empty() && flying_.begin()->first <= now_) {
      InFlight datagram = std::move(flying_.begin()->second);
      flying_.erase(flying_.begin());
      arrive(std::move(datagram));
    }
    for (const auto& client : clients_) client->core->on_timeout(now_);
    for (const auto& [number, server] : servers_) server->core->on_timeout(now_);
  }
}

void QuicWorld::introduce(Client& client, Server& server) {
  client.core->set_peer_media_id(server.core->media_id());
  server.core->set_peer_media_id(client.core->media_id());
}

QuicWorld::Server* QuicWorld::only_server() {
  return servers_.size() == 1 ? servers_.begin()->second.get() : nullptr;
}

std::pair<QuicWorld::Client*, QuicWorld::Server*> QuicWorld::connect() {
  Client& client = add_client();
  const bool both = run([&] {
    return client.heard.ready == 1 && only_server() != nullptr && only_server()->heard.ready == 1;
  });
  EXPECT_TRUE(both) << client.heard.close_reason;
  if (!both) return {&client, nullptr};
  introduce(client, *only_server());
  return {&client, only_server()};
}

void QuicWorld::rebind(Client& client) {
  client.outside.port = next_port_++;
}

}  // namespace isthmus::test
