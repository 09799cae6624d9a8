#pragma once
#include <array>
#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/address.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "sip/fault.hpp"
#include "sip/flow.hpp"
#include "sip/message.hpp"
#include "transport/sip_handler.hpp"
#include "transport/udp_socket.hpp"

namespace isthmus::transport {

struct SipUdpConfig {
  Endpoint bind;             ///< port 0: any
  std::uint32_t local = 0;   ///< goes into Flow::local
  bool mark_traffic = true;  ///< DSCP CS3
  /// Answer requests without rport at their source port too, instead of the sent-by port of RFC
  /// 3261 §18.2.2: for old phones behind a NAT.
  bool force_rport = false;
  int receive_buffer_bytes = 4 * 1024 * 1024;
};

/// Why datagrams did not become messages, and how sending went. Each datagram is counted once under
/// `messages_in`, `keep_alives`, `source_refused`, `truncated` or one of `faults`.
struct SipUdpCounters {
  static constexpr std::size_t kFaultCodes =
      static_cast<std::size_t>(sip::FaultCode::bad_request_uri) + 1;
  std::uint64_t datagrams_in = 0, messages_in = 0;
  std::uint64_t keep_alives = 0;                    ///< nothing but CR, LF and NUL
  std::uint64_t source_refused = 0;                 ///< the handler's allowed() said no
  std::uint64_t truncated = 0;                      ///< longer than limits::kSipMessageBytes
  std::array<std::uint64_t, kFaultCodes> faults{};  ///< by sip::FaultCode
  std::uint64_t fault_answers = 0, fault_answers_suppressed = 0;
  std::uint64_t receive_errors = 0;   ///< errors of the receive call; the loop went on
  std::uint64_t delivery_errors = 0;  ///< hard ICMP errors reported to the owner
  std::uint64_t datagrams_out = 0, send_too_large = 0, send_blocked = 0, send_failed = 0;
};

/// SIP over one UDP socket (RFC 3261 §18), IPv4 or IPv6. Everything runs on the io_context's
/// thread. Must not be destroyed from within a callback; close() may be called there.
class SipUdp final : private UdpReader {
 public:
  /// Starts receiving at once. @param handler outlives the result.
  static Result<std::unique_ptr<SipUdp>, SocketError> open(boost::asio::io_context& io,
                                                           const SipUdpConfig& config,
                                                           SipHandler& handler);
  ~SipUdp() override;
  SipUdp(const SipUdp&) = delete;
  SipUdp& operator=(const SipUdp&) = delete;

  /// Sends one datagram to `flow.remote`.
  SendOutcome send(const sip::Flow& flow, std::string_view bytes);
  /// No callback after this. Idempotent.
  void close();

  const Endpoint& local() const { return local_; }
  const SipUdpCounters& counters() const { return counters_; }

 private:
  SipUdp(boost::asio::io_context& io, const SipUdpConfig& config, SipHandler& handler,
         UdpSocket socket);
  void on_readable() override;
  void drain_errors();
  void on_datagram(std::string_view text, const Endpoint& source, Instant now);
  void on_fault(std::string_view text, const sip::Fault& fault, const Endpoint& source,
                Instant now);
  bool may_answer_fault(Instant now);
  Endpoint reply_address(sip::Message& request, const Endpoint& source) const;

  boost::asio::io_context& io_;
  SipUdpConfig config_;
  SipHandler& handler_;
  UdpSocket socket_;
  Endpoint local_;
  ReceiveBatch batch_;
  SipUdpCounters counters_;
  Instant answers_since_{};
  std::uint32_t answers_ = 0;
  std::shared_ptr<SipUdp*> self_;  ///< emptied on close, for posted reports
};

}  // namespace isthmus::transport
