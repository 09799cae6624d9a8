#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "isthmus/audio.hpp"
#include "isthmus/error.hpp"
#include "isthmus/gateway.hpp"
#include "isthmus/version.hpp"

/// Phone calls over one socket: SIP signalling and RTP media of any number of calls in one
/// WebSocket over TLS to an Isthmus gateway.
///
/// Threads: a Client runs one thread of its own; every callback comes from it. All methods may be
/// called from any thread, callbacks included. From another thread they wait for the client's, so
/// do not hold a lock that a callback takes while calling one. Callbacks must not throw, and must
/// not wait: calls' audio passes through the same thread.
///
/// Errors are values; nothing here throws but std::bad_alloc.
namespace isthmus {

enum class RegistrationState { unregistered, registering, registered, failed };

struct RegistrationEvent {
  RegistrationState state = RegistrationState::unregistered;
  int status = 0;  ///< SIP status, 0 without one
  std::string reason;
  std::chrono::seconds expires{0};                    ///< of registered
  std::optional<std::chrono::milliseconds> retry_in;  ///< of failed; nothing: not tried again
};

enum class CallState {
  calling,
  incoming,     ///< rings here
  ringing,      ///< rings there
  early_media,  ///< not answered, but there is something to hear
  connected,
  held,  ///< by either end
  ended,
};

enum class EndCause {
  none,
  local,      ///< this end hung up, cancelled or refused
  remote,     ///< the other end hung up
  refused,    ///< the call was not taken: status and reason say why
  timeout,    ///< nobody answered in time
  link_lost,  ///< the session with the gateway ended
  failed,     ///< the two ends do not understand each other
};

ISTHMUS_API const char* to_text(RegistrationState state);
ISTHMUS_API const char* to_text(CallState state);
ISTHMUS_API const char* to_text(EndCause cause);

struct CallEvent {
  CallState state = CallState::calling;
  int status = 0;      ///< the SIP status that led here, 0 without one
  std::string reason;  ///< for a person: "486 Busy Here"
  EndCause cause = EndCause::none;
  bool local_hold = false, remote_hold = false;
};

struct IncomingCallInfo {
  std::string from_uri, from_display;  ///< the caller, as he says
  std::string to_uri;                  ///< who was called
};

/// Quality of a call's audio. What is counted since the call's media began.
struct CallStatistics {
  std::string codec;                        ///< "opus"; empty before anything was agreed
  std::chrono::microseconds setup_time{0};  ///< from the INVITE to its answer
  std::chrono::milliseconds duration{0};    ///< since the answer
  std::uint64_t packets_sent = 0, packets_received = 0, packets_lost = 0, packets_late = 0;
  std::uint64_t bytes_sent = 0, bytes_received = 0;  ///< of payload
  double loss_ratio = 0;                             ///< 0..1, of the packets that should have come
  double concealed_ratio = 0;                        ///< 0..1, of the time heard
  double jitter_ms = 0;                              ///< RFC 3550
  double jitter_buffer_ms = 0;                       ///< delay that it adds now
  std::optional<double> round_trip_ms;               ///< of RTCP, end to end
  std::optional<double> remote_loss_ratio, remote_jitter_ms;  ///< what the other end reports
  double mos = 0;                                             ///< E-model, 1..4.5
  /// Bytes on the wire for each media packet of the link, all calls and all headers: what a call
  /// costs there. 0 before the first packet.
  double wire_bytes_per_packet_sent = 0, wire_bytes_per_packet_received = 0;
};

namespace detail {
class ClientCore;
}

/// One call. A handle: copies are the same call. It may outlive the call and the client; methods
/// then return unknown_call.
class ISTHMUS_API Call {
 public:
  Call() = default;  ///< no call

  std::uint64_t id() const { return id_; }  ///< unique within its client; 0: no call
  bool operator==(const Call& other) const {
    return id_ == other.id_ && !core_.owner_before(other.core_) && !other.core_.owner_before(core_);
  }

  /// Takes an incoming call.
  Outcome<void> answer(AudioOptions audio = {});
  /// @param status  SIP status from 300 to 699: 486 busy, 603 declined
  Outcome<void> reject(int status = 486, std::string_view reason = {});
  /// Ends it whatever its state; `ended` follows.
  Outcome<void> hang_up();
  /// Asks for hold, or to resume; `held` or `connected` follows, or an event with the same state
  /// and the status of a refusal.
  Outcome<void> hold(bool on = true);
  /// @param digits  0-9 * # A-D, as telephone events (RFC 4733), else by INFO
  Outcome<void> send_dtmf(std::string_view digits,
                          std::chrono::milliseconds duration = std::chrono::milliseconds(100));
  /// Audio to send, at the AudioOptions' rate; up to one second waits, what is more is dropped.
  Outcome<void> push_audio(std::span<const std::int16_t> samples);
  /// Also for a while after the end: of the last ended calls.
  Outcome<CallStatistics> statistics() const;

 private:
  friend class detail::ClientCore;
  Call(std::weak_ptr<detail::ClientCore> core, std::uint64_t id);

  std::weak_ptr<detail::ClientCore> core_;
  std::uint64_t id_ = 0;
};

struct ClientHandlers {
  std::function<void(const ConnectionEvent&)> on_connection;
  std::function<void(const RegistrationEvent&)> on_registration;
  /// Without it, incoming calls are answered 480. Answer or reject now or later.
  std::function<void(Call, const IncomingCallInfo&)> on_incoming_call;
  std::function<void(Call, const CallEvent&)> on_call;
  std::function<void(Call, char digit)> on_dtmf;
  /// Every `statistics_interval` of each call with media.
  std::function<void(Call, const CallStatistics&)> on_statistics;
};

struct ClientOptions {
  GatewayOptions gateway;
  /// Own SIP address, "sip:alice@example.org". Empty: the gateway's user at the gateway's domain.
  std::string aor;
  std::string display_name;
  /// For providers behind the gateway that ask for a password by SIP digest.
  std::string sip_user, sip_password;
  std::vector<std::string> codecs;  ///< names in order of preference; empty: all
  unsigned ptime_ms = 20;           ///< length of packets: 10, 20, 40 or 60
  std::chrono::milliseconds statistics_interval{1000};
};

struct CallOptions {
  AudioOptions audio;
  bool late_offer = false;  ///< let the other end make the SDP offer
};

/// A phone: one session with a gateway, one SIP address, any number of calls.
class ISTHMUS_API Client {
 public:
  /// Checks the options and starts the thread; connects to nothing yet.
  static Outcome<std::unique_ptr<Client>> create(ClientOptions options, ClientHandlers handlers);
  /// As disconnect(), and waits for its end and for what is being sent, three seconds at most. No
  /// callback comes after it. Not to be called from a callback.
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  void connect();  ///< on_connection says how it goes
  /// Hangs up, unregisters, and ends the session as soon as both were answered, after a second at
  /// the latest; on_connection says when. connect() ends it at once.
  void disconnect();
  /// The device has another network now, or may have: calls move to it at once, without waiting for
  /// the old link to be found dead.
  void on_network_changed();

  /// Keeps the address registered, over reconnections too, so that it can be called.
  void register_(std::chrono::seconds expires = std::chrono::seconds(600));
  void unregister();

  /// Places a call. @param target  "echo" (at the own domain), "bob@example.org", "+4930123", or a
  /// sip:, sips: or tel: URI
  Outcome<Call> call(std::string_view target, CallOptions options = {});

  SessionInfo session() const;  ///< empty while not connected
  std::string aor() const;
  std::size_t call_count() const;  ///< calls not ended

 private:
  explicit Client(std::shared_ptr<detail::ClientCore> core);
  std::shared_ptr<detail::ClientCore> core_;
};

}  // namespace isthmus
