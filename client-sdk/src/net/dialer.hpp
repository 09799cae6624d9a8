#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/address.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "net/gateway_url.hpp"
#include "net/proxy.hpp"
#include "net/trust.hpp"
#include "quic/tickets.hpp"
#include "wire/link.hpp"

namespace boost::asio {
class io_context;
}

namespace isthmus::net {

/// Why no link came about. The code tells a refusal that repeating will not cure (forbidden: the
/// certificate is not trusted; unauthorized: the proxy wants other credentials; protocol_error:
/// what answers is no gateway) from an absence (timeout, going_away).
struct DialError {
  wire::CloseCode code = wire::CloseCode::going_away;
  std::string text;
};

/// Makes one link: resolves the name, tries its addresses in order, does TLS and the WebSocket
/// upgrade (RFC 6455, subprotocol isthmus.v1). With a proxy, the addresses are the proxy's, which
/// finds the gateway and sees nothing but the tunnel (CONNECT, RFC 9110 §9.3.6). Destroying it
/// abandons the attempt.
class Dialer {
 public:
  using Done = std::function<void(Result<std::unique_ptr<wire::Link>, DialError>)>;

  struct Options {
    GatewayUrl url;
    std::string software;               ///< User-Agent
    Duration time_limit = seconds(10);  ///< for all addresses and steps together
    std::optional<ProxyUrl> proxy = std::nullopt;
    /// Of UDP over WebSocket, where either will do: more than the round trips of most networks,
    /// less than a person notices.
    Duration udp_head_start = milliseconds(250);
    std::vector<Endpoint> dns_servers = {};  ///< for names; empty: as the system does it
    /// Of UDP links: tickets that come go there.
    std::shared_ptr<quic::TicketBox> tickets = nullptr;
    /// The Hello with which this link is to resume a session, for a link with this media id; or
    /// nothing. With a ticket it is sent before the link stands, and the link takes no Hello then.
    std::function<std::optional<Bytes>(std::uint32_t media_id)> early_hello = nullptr;
  };

  /// @param done  called once, from the io_context's thread and never from inside the constructor;
  /// not called
  ///              after the dialer is destroyed, which it may do itself
  Dialer(boost::asio::io_context& io, std::shared_ptr<ClientTrust> trust, Options options,
         Done done);
  ~Dialer();
  Dialer(const Dialer&) = delete;
  Dialer& operator=(const Dialer&) = delete;

 private:
  struct Attempt;
  std::shared_ptr<Attempt> attempt_;
};

}  // namespace isthmus::net
