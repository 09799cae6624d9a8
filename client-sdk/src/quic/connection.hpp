#pragma once
// QUIC (RFC 9000) by ngtcp2, TLS by GnuTLS. The one place that names their types: both differ
// between Debian 12 and 13, and ngtcp2_native.hpp holds every difference.
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/address.hpp"
#include "base/bytes.hpp"
#include "base/random.hpp"
#include "base/time.hpp"
#include "quic/tickets.hpp"
#include "quic/tls.hpp"
#include "wire/link.hpp"

namespace isthmus::quic {

/// The two ends of a datagram, as this end sees them.
struct Path {
  Endpoint local, remote;
  bool operator==(const Path&) const = default;
};

/// Length of the connection ids that we give out: the first byte is the shard, the rest is random.
inline constexpr std::size_t kConnectionIdBytes = 12;
inline constexpr std::size_t kLargestDatagram = 1452;  ///< UDP payload in an Ethernet's IPv6 packet
inline constexpr std::size_t kSmallestPath = 1200;     ///< UDP payload that QUIC demands of a path

/// Secret from which a server makes stateless reset tokens and Retry tokens.
using StaticSecret = std::array<std::uint8_t, 32>;

/// Why a connection is over.
struct End {
  wire::CloseCode code = wire::CloseCode::going_away;
  std::string text;
};

/// Told of the connection ids under which datagrams for a connection come. Called from within the
/// connection's functions; must not call back.
class IdBook {
 public:
  virtual ~IdBook() = default;
  virtual void add(std::string_view id) = 0;
  virtual void remove(std::string_view id) = 0;
};

/// What a client needs besides its path.
struct ClientSettings {
  std::string host;  ///< to be sent (SNI) unless it is an address
  std::shared_ptr<const TlsCredentials> credentials;
  VerifyChain verify;
  /// Of an earlier connection to this server. With it what is sent before the handshake is done
  /// goes out at once, as early data, and again after the handshake if the server refused that. The
  /// server's certificate was judged when the ticket was made, and is not shown again.
  std::optional<Ticket> ticket = std::nullopt;
  std::function<void(Ticket)> on_ticket = nullptr;  ///< takes new ones; must not call back
};

/// The first Initial packet of a new connection, as read by read_header().
struct InitialPacket {
  std::uint32_t version = 0;
  std::string destination, source;  ///< connection ids
  std::string token;
};

struct ServerSettings {
  std::shared_ptr<const TlsCredentials> credentials;
  InitialPacket initial;
  std::string original_destination;  ///< from the Retry token; empty without Retry
  std::uint8_t shard = 0;
  StaticSecret secret{};
  IdBook* ids = nullptr;  ///< must live as long as the connection, or until forget_ids()
  std::shared_ptr<ServerTickets> tickets;  ///< null: no tickets are given, no early data is taken
};

/// One QUIC connection with one bidirectional stream, at either end. No clock, no socket: datagrams
/// and time come in, datagrams are asked for. After every input ask write() until it gives nothing,
/// then next_deadline(). Not thread-safe.
class Connection {
 public:
  /// @param random must live as long as the connection. @return nothing when memory or the TLS
  /// library fail
  static std::unique_ptr<Connection> client(ClientSettings settings, const Path& path,
                                            Random& random, Instant now);
  static std::unique_ptr<Connection> server(ServerSettings settings, const Path& path,
                                            Random& random, Instant now);
  virtual ~Connection() = default;

  virtual void read(const Path& path, ByteView datagram, Instant now) = 0;
  virtual void on_timeout(Instant now) = 0;
  virtual std::optional<Instant> next_deadline() const = 0;
  /// Writes the next datagram that is due into `out` (at least kLargestDatagram bytes).
  /// @return its length; 0: nothing is due
  virtual std::size_t write(MutableBytes out, Path& path, Instant now) = 0;

  /// Appends to the stream, which keeps the bytes until they are acknowledged.
  virtual void send(Bytes bytes) = 0;
  virtual std::size_t unacknowledged_bytes() const = 0;
  virtual std::size_t unacknowledged_pieces() const = 0;  ///< calls of send()
  /// What came on the stream since the last call, in order. The peer may send more only once this
  /// was called.
  virtual Bytes take_received() = 0;

  virtual bool ready() const = 0;  ///< the handshake is complete: keys can be exported
  /// A client's: what is sent now is early data. A server's: early data came, which somebody may
  /// have recorded and sent again.
  virtual bool early() const = 0;
  virtual std::uint64_t key_updates() const = 0;  ///< RFC 9001 §6, by either end
  virtual bool early_refused() const = 0;         ///< a client's was, and went out again
  /// Keying material of the TLS session (RFC 5705, RFC 8446 §7.5); only when ready.
  virtual bool export_keys(std::string_view label, MutableBytes out) const = 0;
  virtual const KeyLog& media_key_log() const = 0;  ///< empty: keys are not logged
  /// A client's socket changed: goes on from this path, validating it (RFC 9000 §9).
  virtual bool migrate(const Path& path, Instant now) = 0;
  virtual Path path() const = 0;                     ///< that QUIC sends on at present
  virtual std::size_t largest_datagram() const = 0;  ///< UDP payload that the path is known to take

  /// The book of ids goes: takes ours out of it, and does not use it again.
  virtual void forget_ids() = 0;

  /// Ends the connection: the next write() gives the datagram that says so, then ended() is set.
  virtual void close(wire::CloseCode code, std::string_view reason) = 0;
  virtual const std::optional<End>& ended() const = 0;
};

// What a server does without a connection. Each returns the length written to `out`, 0 if nothing.

enum class HeaderKind : std::uint8_t {
  known_version,    ///< belongs to the connection of its destination id, or is for nobody
  unknown_version,  ///< to be answered with version negotiation
  malformed,
};
struct Header {
  HeaderKind kind = HeaderKind::malformed;
  bool long_form = false;
  std::string_view destination, source;  ///< connection ids, in the datagram
};
/// Reads what is the same in every version (RFC 8999).
Header read_header(ByteView datagram);
/// @return nothing when the datagram cannot begin a connection
std::optional<InitialPacket> read_initial(ByteView datagram);

std::size_t write_version_negotiation(const Header& header, Random& random, MutableBytes out);
std::size_t write_retry(const InitialPacket& initial, const Endpoint& remote, std::uint8_t shard,
                        const StaticSecret& secret, Random& random, Instant now, MutableBytes out);
/// @return the destination id that the client chose at first; nothing: the token is not ours, is
/// old, or was given to another address
std::optional<std::string> open_retry_token(const InitialPacket& initial, const Endpoint& remote,
                                            const StaticSecret& secret, Instant now);
/// @param provoked_by length of the datagram that is answered: the answer is shorter (RFC 9000
/// §10.3.3)
std::size_t write_stateless_reset(std::string_view destination, std::size_t provoked_by,
                                  const StaticSecret& secret, Random& random, MutableBytes out);
/// Refuses a connection without making one.
std::size_t write_refusal(const InitialPacket& initial, MutableBytes out);

}  // namespace isthmus::quic
