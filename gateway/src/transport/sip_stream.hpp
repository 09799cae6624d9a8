#pragma once
#include <array>
#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/address.hpp"
#include "base/limits.hpp"
#include "base/result.hpp"
#include "sip/fault.hpp"
#include "sip/flow.hpp"
#include "transport/sip_connection.hpp"
#include "transport/sip_handler.hpp"
#include "transport/tls_contexts.hpp"
#include "transport/tls_peer.hpp"

namespace isthmus::transport {

struct SipStreamConfig {
  SipStreamTimes times;
  std::uint32_t max_connections = limits::kSipConnections;  ///< accepted and opened, each
  std::uint32_t max_connections_per_source = limits::kSipConnectionsPerSource;
  TlsServer tls;  ///< of TLS listeners; unused without any
};

struct SipStreamError {
  std::string text;
};

/// What became of connections and of what they carried. Each end is counted once under its reason.
struct SipStreamCounters {
  static constexpr std::size_t kEnds = static_cast<std::size_t>(ConnectionEnd::fault) + 1;
  static constexpr std::size_t kFaultCodes =
      static_cast<std::size_t>(sip::FaultCode::bad_request_uri) + 1;
  std::uint64_t accepted = 0, opened = 0;  ///< TLS handshake included
  std::uint64_t source_refused = 0;        ///< the handler's allowed() said no
  std::uint64_t over_limit = 0;            ///< closed at once: of all, or of one source
  std::uint64_t accept_errors = 0;
  std::array<std::uint64_t, kEnds> ended{};  ///< by ConnectionEnd
  std::uint64_t messages_in = 0, messages_out = 0;
  std::uint64_t pings_in = 0, pongs_in = 0;
  std::array<std::uint64_t, kFaultCodes> faults{};  ///< by sip::FaultCode
  std::uint64_t fault_answers = 0, fault_answers_suppressed = 0;
  std::uint64_t unreachable = 0;  ///< messages with no connection, and no way to open one
  std::uint64_t ends(ConnectionEnd why) const { return ended[static_cast<std::size_t>(why)]; }
};
const char* to_text(ConnectionEnd why);  ///< a label: "peer_closed"

/// SIP over TCP and TLS (RFC 3261 §18): listeners, connections opened on demand, and which of them
/// carries a message.
///
/// A message goes by the connection of its flow. Toward an address (Flow::to) any connection that
/// leads there serves, and one is opened when there is none: so requests reuse a provider's
/// connection, and what a provider sends back by it is heard. On an accepted connection
/// (Flow::connection) only that one serves; when it is gone, a response goes to its Via's sent-by
/// and a request to its Request-URI if they name the address that the connection came from, and
/// else the flow has failed.
///
/// Everything runs on the io_context's thread. Must not be destroyed from within a callback;
/// close() may be called there.
class SipStream {
 public:
  /// @param handler outlives the result.
  SipStream(boost::asio::io_context& io, SipStreamConfig config, SipHandler& handler);
  ~SipStream();
  SipStream(const SipStream&) = delete;
  SipStream& operator=(const SipStream&) = delete;

  /// Listens by TCP or TLS. An IPv6 address listens on IPv6 only.
  /// @param local  goes into Flow::local
  /// @return where; port 0 takes any
  Result<Endpoint, SipStreamError> listen(sip::Transport transport, const Endpoint& bind,
                                          std::uint32_t local);
  SendOutcome send(const sip::Flow& flow, std::string_view bytes);

  /// Whom to expect at an address that is spoken to over TLS, for connections to come by flows
  /// without an identity of their own. Of an address without it, the certificate must bear the
  /// address.
  void set_tls_peer(const Endpoint& endpoint, TlsPeer peer);
  /// The same for flows of that number (Flow::identity, not 0): connections by it are judged, and
  /// present themselves, by this peer, and are shared with no other number.
  void set_tls_identity(std::uint32_t identity, TlsPeer peer);
  /// Whether the files that a peer names can be used. @return what is wrong
  static std::optional<std::string> check(const TlsPeer& peer);
  /// Certificates and keys are read again, for connections to come. @return what is wrong; then
  /// all is as it was
  std::optional<std::string> reload_certificates();

  /// No callback after this. Idempotent.
  void close();

  const SipStreamCounters& counters() const;
  /// At this moment, half-open ones included.
  std::size_t open_connections(sip::Transport transport, bool accepted) const;

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace isthmus::transport
