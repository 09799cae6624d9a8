#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "quic/connection.hpp"
#include "quic/link_core.hpp"

namespace isthmus::quic {

struct LinkServerOptions {
  std::uint8_t shard = 0;  ///< first byte of every connection id and media id that is given out
  StaticSecret secret{};   ///< lasts across restarts, so that forgotten connections can be reset
  std::size_t max_links = 20'000;
  /// Above as many new connections in one second, a client must show first that it is where it
  /// says it is (Retry, RFC 9000 §8.1.2).
  std::uint32_t retry_above = 200;
  /// Gives out tickets, and takes a Hello that resumes a session as early data.
  bool early_data = true;
  Bytes ticket_key;  ///< ServerTickets::make()
};

/// Every datagram of the socket is counted in exactly one line, or goes to a link.
struct LinkServerCounters {
  std::uint64_t accepted = 0;              ///< connections that began
  std::uint64_t retries = 0;               ///< answered with Retry
  std::uint64_t bad_tokens = 0;            ///< refused: a Retry token that is not ours, or old
  std::uint64_t refused = 0;               ///< over max_links
  std::uint64_t version_negotiations = 0;  ///< answered so
  std::uint64_t stateless_resets = 0;      ///< answered so: no such connection
  std::uint64_t unknown_connections = 0;   ///< dropped: no such connection
  std::uint64_t unknown_media = 0;         ///< dropped: no link has this media id
  std::uint64_t malformed = 0;             ///< dropped: neither QUIC nor media
};

class LinkServerOwner {
 public:
  virtual ~LinkServerOwner() = default;
  /// A connection begins, which has not read its first datagram yet.
  /// @return the link's core, to live until LinkServer::forget(number); nothing: dropped
  virtual LinkCore* on_connection(std::uint64_t number, std::unique_ptr<Connection> connection,
                                  std::uint32_t media_id) = 0;
  /// A datagram went to this link: flush it soon.
  virtual void on_touched(std::uint64_t number) = 0;
};

/// The gateway's end of one UDP socket: tells QUIC from media and finds the link of each datagram,
/// by connection id or media id. Answers what belongs to no link without keeping state. Pure;
/// single-threaded.
class LinkServer {
 public:
  LinkServer(LinkServerOptions options, std::shared_ptr<const TlsCredentials> credentials,
             Random& random, LinkServerOwner& owner);
  LinkServer(const LinkServer&) = delete;
  LinkServer& operator=(const LinkServer&) = delete;

  /// @param sink  takes answers that belong to no link
  void on_datagram(const Path& path, MutableBytes datagram, Instant now, DatagramSink& sink);
  /// The link is over, its core about to go.
  void forget(std::uint64_t number);
  /// For connections that begin from now on.
  void set_credentials(std::shared_ptr<const TlsCredentials> credentials) {
    credentials_ = std::move(credentials);
  }
  void stop_accepting() { accepting_ = false; }

  std::size_t links() const { return slots_.size(); }
  const LinkServerCounters& counters() const { return counters_; }
  /// Early data that was refused because it came before.
  std::uint64_t replays() const { return tickets_ ? tickets_->replays() : 0; }

 private:
  struct Slot final : IdBook {
    Slot(LinkServer& in, std::uint64_t as) : server(in), number(as) {}
    void add(std::string_view id) override { server.by_id_[std::string(id)] = number; }
    void remove(std::string_view id) override { server.by_id_.erase(std::string(id)); }
    LinkServer& server;
    std::uint64_t number;
    std::uint32_t media_id = 0;
    LinkCore* core = nullptr;
  };
  /// Who takes media packets of an id.
  struct MediaEnd {
    LinkCore* core;
    std::uint64_t number;
  };
  /// Events in the present second.
  struct Rate {
    std::uint32_t count(Instant now);
    Instant second{};
    std::uint32_t events = 0;
  };

  void on_media(const Path& path, MutableBytes datagram, Instant now);
  void on_quic(const Path& path, MutableBytes datagram, Instant now, DatagramSink& sink);
  void on_stranger(const Path& path, MutableBytes datagram, const Header& header, Instant now,
                   DatagramSink& sink);
  void begin(const Path& path, MutableBytes datagram, InitialPacket initial, std::string original,
             Instant now);
  std::uint32_t new_media_id();

  LinkServerOptions options_;
  std::shared_ptr<const TlsCredentials> credentials_;
  Random& random_;
  LinkServerOwner& owner_;
  std::unordered_map<std::string, std::uint64_t> by_id_;
  std::unordered_map<std::uint32_t, MediaEnd> by_media_;
  std::unordered_map<std::uint64_t, std::unique_ptr<Slot>> slots_;
  std::uint64_t next_number_ = 1;
  Rate begun_, answered_;
  std::shared_ptr<ServerTickets> tickets_;
  bool accepting_ = true;
  LinkServerCounters counters_;
  Bytes out_;
};

}  // namespace isthmus::quic
