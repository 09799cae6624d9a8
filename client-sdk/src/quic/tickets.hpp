#pragma once
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <deque>
#include <list>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "base/bytes.hpp"

struct gnutls_anti_replay_st;

namespace isthmus::quic {

/// With which a client begins a connection by what an earlier one agreed (RFC 8446 §2.2), and sends
/// early data (§2.3).
struct Ticket {
  Bytes session;    ///< as GnuTLS packs it
  Bytes transport;  ///< what the server allowed (RFC 9000 §7.4.1), in ngtcp2_native.hpp's form
};

/// A client's tickets, in memory alone. Each is used once (RFC 8446 C.4). They carry on the trust
/// in a server that a full handshake established: one box for one set of trust options.
class TicketBox {
 public:
  static constexpr std::size_t kPlaces = 16;     ///< gateways that a client knows, and more
  static constexpr std::size_t kOfOnePlace = 2;  ///< the newest: as many as a server gives at once

  void put(const std::string& place, Ticket ticket);
  /// The newest of this place, which is gone then.
  std::optional<Ticket> take(const std::string& place);

 private:
  std::list<std::pair<std::string, std::deque<Ticket>>> places_;  ///< the last used first
};

/// A server's key for tickets, which GnuTLS turns to another every few hours and which dies with
/// the process, and its memory of early data: each ClientHello's is taken once, and none that is
/// older than that memory (RFC 8446 §8).
class ServerTickets {
 public:
  /// @param key  of new_key(), the same wherever a ticket shall be good; empty: one of its own
  /// @return null when GnuTLS fails
  static std::shared_ptr<ServerTickets> make(Bytes key = {});
  static Bytes new_key();  ///< empty when GnuTLS fails
  ~ServerTickets();
  ServerTickets(const ServerTickets&) = delete;
  ServerTickets& operator=(const ServerTickets&) = delete;

  ByteView key() const { return key_; }
  gnutls_anti_replay_st* anti_replay() const { return anti_replay_; }
  std::uint64_t replays() const { return replays_; }  ///< early data that was refused as known

 private:
  static constexpr std::size_t kRemembered = 65'536;
  ServerTickets() = default;
  bool remember(std::string_view hello, std::time_t until);

  Bytes key_;
  gnutls_anti_replay_st* anti_replay_ = nullptr;
  std::set<std::string, std::less<>> known_;
  std::deque<std::pair<std::time_t, std::string>> by_age_;
  std::uint64_t replays_ = 0;
};

}  // namespace isthmus::quic
