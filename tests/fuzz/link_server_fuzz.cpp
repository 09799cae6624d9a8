// Datagrams of strangers on the gateway's UDP socket, each with its length before it: whatever
// comes, answers are never larger than what RFC 9000 allows, and nothing stays behind.
#include <algorithm>
#include <cstdlib>
#include <map>
#include <memory>

#include "quic/link_server.hpp"

using namespace isthmus;
using namespace isthmus::quic;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

struct Deaf final : LinkEvents {
  void on_ready() override { std::abort(); }  // nobody here can have the keys
  void on_reliable(wire::Channel, ByteView) override { std::abort(); }
  void on_media(wire::Channel, ByteView) override { std::abort(); }
  void on_closed(wire::CloseCode, const std::string&) override {}
};

struct Counter final : DatagramSink {
  void send(const Path&, ByteView datagram) override { bytes += datagram.size(); }
  std::size_t bytes = 0;
};

struct Owner final : LinkServerOwner {
  LinkCore* on_connection(std::uint64_t number, std::unique_ptr<Connection> connection,
                          std::uint32_t media_id) override {
    auto core =
        std::make_unique<LinkCore>(LinkCore::Side::server, std::move(connection), media_id, deaf);
    LinkCore* raw = core.get();
    cores.emplace(number, std::move(core));
    return raw;
  }
  void on_touched(std::uint64_t) override {}
  Deaf deaf;
  std::map<std::uint64_t, std::unique_ptr<LinkCore>> cores;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto credentials = TlsCredentials::client();
  require(credentials.has_value());
  SeededRandom random(1);
  Owner owner;
  LinkServerOptions options;
  options.max_links = 4;
  options.retry_above = 2;
  LinkServer server(options, *credentials, random, owner);
  const Path path{{IpAddress::v4(0x7f000001), 8443}, {IpAddress::v4(0x01020304), 1000}};
  Instant now{seconds(1)};
  Reader reader(ByteView(data, size));
  std::size_t received = 0;
  Counter sent;
  while (reader.remaining() > 2 && received < 100'000) {
    const std::size_t length = std::min<std::size_t>(reader.u16(), reader.remaining());
    Bytes datagram = to_bytes(reader.take(length));
    received += datagram.size();
    server.on_datagram(path, datagram, now, sent);
    for (const auto& [number, core] : owner.cores) core->flush(now, sent);
    now += milliseconds(10);
    require(sent.bytes <= 3 * received);
  }
  now += seconds(30);
  for (const auto& [number, core] : owner.cores) {
    core->on_timeout(now);
    core->flush(now, sent);
    require(core->over());
    server.forget(number);
  }
  require(server.links() == 0);
  return 0;
}
