#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/time.hpp"
#include "ua/media_negotiation.hpp"

namespace isthmus::ua {

using CallId = std::uint64_t;  ///< never reused by a user agent; 0 is none

/// Outgoing: calling → ringing → early_media → connected ⇄ held → ended, each step but the last
/// optional. Incoming: incoming → connected ⇄ held → ended.
enum class CallState : std::uint8_t {
  calling,
  incoming,
  ringing,
  early_media,
  connected,
  held,  ///< by either end: see CallChanged
  ended,
};

/// Why a call ended.
enum class EndCause : std::uint8_t {
  none,
  local,      ///< we hung up, cancelled or refused
  remote,     ///< they hung up or cancelled
  refused,    ///< our call was not taken: the status says why
  timeout,    ///< no answer of any kind in time, or no ACK
  link_lost,  ///< the session with the gateway ended
  failed,     ///< what came could not be used: a broken description, a dialog they forgot
};

enum class RegistrationState : std::uint8_t { unregistered, registering, registered, failed };

struct SendSip {
  std::string bytes;
};
struct RegistrationChanged {
  RegistrationState state = RegistrationState::unregistered;
  int status = 0;      ///< SIP status; 0: none came
  std::string reason;  ///< for a person
  std::uint32_t expires_s = 0;
  std::optional<Duration> retry_in;  ///< failed: when it is tried again; nothing: never
};
struct IncomingCall {
  CallId call = 0;
  std::string from_uri, from_display, to_uri;
};
struct CallChanged {
  CallId call = 0;
  CallState state = CallState::calling;
  int status = 0;  ///< the SIP status that led here; 0: none did
  std::string reason;
  EndCause cause = EndCause::none;  ///< of `ended`
  bool local_hold = false, remote_hold = false;
};
/// Media may flow as said from now on; again whenever what was agreed changes.
struct MediaChanged {
  CallId call = 0;
  AgreedMedia media;
};
struct DigitReceived {  ///< by INFO; telephone events come as RTP
  CallId call = 0;
  char digit = 0;
};
using Output = std::variant<SendSip, RegistrationChanged, IncomingCall, CallChanged, MediaChanged,
                            DigitReceived>;
using Outputs = std::vector<Output>;

const char* to_text(CallState state);
const char* to_text(RegistrationState state);
const char* to_text(EndCause cause);

}  // namespace isthmus::ua
