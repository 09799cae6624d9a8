#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/random.hpp"
#include "quic/link_core.hpp"
#include "quic/link_server.hpp"

namespace isthmus::test {

/// One self-signed certificate for all tests of a program, as PEM.
const std::pair<std::string, std::string>& test_certificate();
std::shared_ptr<const quic::TlsCredentials> server_credentials(quic::KeyLogs logs = {});

/// What an end of a link was told.
struct Heard final : quic::LinkEvents {
  void on_ready() override { ++ready; }
  void on_reliable(wire::Channel channel, ByteView bytes) override {
    reliable.emplace_back(channel, std::string(as_text(bytes)));
    if (then) then();
  }
  void on_media(wire::Channel channel, ByteView bytes) override {
    media.emplace_back(channel, std::string(as_text(bytes)));
  }
  void on_closed(wire::CloseCode code, const std::string& reason) override {
    ++closed;
    close_code = code;
    close_reason = reason;
  }
  std::function<void()> then;
  int ready = 0, closed = 0;
  wire::CloseCode close_code = wire::CloseCode::normal;
  std::string close_reason;
  std::vector<std::pair<wire::Channel, std::string>> reliable, media;
};

/// A network between clients and one gateway, on virtual time: delay, loss, reordering, a NAT
/// whose mapping can be changed. The seed repeats a run.
class QuicWorld final : public quic::LinkServerOwner {
 public:
  struct Options {
    std::uint64_t seed = 1;
    double loss = 0;
    Duration delay = milliseconds(20);
    Duration jitter{};  ///< of each datagram, at random up to this: reorders
    quic::LinkServerOptions server;
    quic::KeyLogs client_logs, server_logs;
    quic::VerifyChain verify = [](std::span<const ByteView>) { return std::nullopt; };
  };
  explicit QuicWorld(Options options);
  QuicWorld() : QuicWorld(Options{}) {}
  ~QuicWorld() override;

  struct Client {
    Heard heard;
    Endpoint inside, outside;  ///< before and behind the NAT
    std::unique_ptr<quic::LinkCore> core;
  };
  struct Server {
    Heard heard;
    std::unique_ptr<quic::LinkCore> core;
  };
  struct InFlight {
    bool to_server = false;
    Endpoint from, to;
    Bytes bytes;
  };

  /// @param ticket  with which it begins; its new ones go to `tickets`
  Client& add_client(std::optional<quic::Ticket> ticket = std::nullopt);
  /// Runs until `done` or until `limit` has passed. @return done's answer
  bool run(const std::function<bool()>& done, Duration limit = seconds(10));
  void run_for(Duration time) {
    run([] { return false; }, time);
  }
  /// Client and server told each other their media ids, as Hello and Welcome do.
  void introduce(Client& client, Server& server);
  /// Connects one client and returns both ends, ready and introduced.
  std::pair<Client*, Server*> connect();

  void put(const InFlight& datagram, Duration delay = {});
  quic::LinkServer& server() { return *server_; }
  Server* only_server();
  Instant now() const { return now_; }
  Endpoint gateway() const { return gateway_; }
  void flush();
  /// A client's datagrams come from another address from now on, as after a NAT forgot it.
  void rebind(Client& client);

  /// Sees each datagram when it is sent; @return false: lost
  std::function<bool(const InFlight&)> on_sent;
  /// With the world's options; to stand by.
  std::unique_ptr<quic::LinkServer> make_server();
  /// As after a restart of the gateway: no link, other keys; or `other` takes its place.
  void restart_server(std::unique_ptr<quic::LinkServer> other = nullptr);
  std::size_t datagrams_to_client = 0;
  quic::TicketBox tickets;
  double loss = 0;

 private:
  quic::LinkCore* on_connection(std::uint64_t number, std::unique_ptr<quic::Connection> connection,
                                std::uint32_t media_id) override;
  void on_touched(std::uint64_t) override {}
  void arrive(InFlight datagram);
  void send(InFlight datagram);
  std::optional<Instant> next_event() const;
  void sweep();

  struct ToClients;
  struct FromClient;

  Options options_;
  SeededRandom random_, network_random_;
  Instant now_;
  Endpoint gateway_;
  std::unique_ptr<quic::LinkServer> server_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::map<std::uint64_t, std::unique_ptr<Server>> servers_;
  std::vector<std::unique_ptr<Server>> gone_;
  std::multimap<Instant, InFlight> flying_;
  std::uint16_t next_port_ = 40'000;

 public:
  std::map<std::uint64_t, std::unique_ptr<Server>>& servers() { return servers_; }
};

}  // namespace isthmus::test
