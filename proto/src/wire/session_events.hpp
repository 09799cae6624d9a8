#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/time.hpp"
#include "wire/frame.hpp"
#include "wire/link.hpp"

namespace isthmus::wire {

inline constexpr std::uint32_t kProtocolVersion = 1;

struct PasswordCredentials {
  std::string user, password;
};
struct TokenCredentials {
  std::string token;
};
struct ResumeCredentials {
  std::string token;             ///< of the last Welcome
  std::uint64_t sip_frames = 0;  ///< received in the session
};
using Credentials = std::variant<PasswordCredentials, TokenCredentials, ResumeCredentials>;

/// What a client says first. All text is UTF-8.
struct HelloInfo {
  std::uint32_t min_version = kProtocolVersion, max_version = kProtocolVersion;
  std::string software;  ///< "isthmus-phone/0.1.0"
  Credentials credentials;
  std::vector<std::string> capabilities;
  /// Host of this client's Contacts on links, kept across links ("k3jd.invalid"): contacts that an
  /// earlier session of the same user left behind move to this session. Empty: none do.
  std::string instance;
  std::uint32_t media_id = 0;  ///< wire::Link::media_id() of the client's end
};

/// What the gateway answers.
struct WelcomeInfo {
  std::uint32_t version = kProtocolVersion;  ///< filled in by ServerSession
  std::uint64_t session_id = 0;
  std::string software;
  std::string user;              ///< as authenticated
  std::string sip_domain;        ///< domain of the built-in registrar
  std::string observed_address;  ///< "192.0.2.7:51034", as the gateway saw it
  std::uint32_t keep_alive_ms = 15000;
  std::uint32_t max_channels = 0;
  std::uint32_t media_id = 0;  ///< wire::Link::media_id() of the gateway's end
  std::vector<std::string> capabilities;
  std::string resume_token;            ///< empty: the session ends with its link
  std::uint32_t resume_window_ms = 0;  ///< life of the session without a link
  std::uint64_t sip_frames = 0;        ///< of a resumed session: received by the gateway
  std::uint64_t sip_frames_before =
      0;  ///< same: those that precede the gateway's first on this link
};

/// The gateway holds Pongs back as Pings ask (Ping's hold_ms), and lets a session be silent as
/// long.
inline constexpr const char* kHeldPongCapability = "held-pong";
/// The gateway answers Pings that come as media frames of channel 0 in the same way.
inline constexpr const char* kMediaPingCapability = "media-ping";

/// Adds `name` to what an end says that it can do if `can`, else takes it out.
void announce(std::vector<std::string>& capabilities, const std::string& name, bool can);

/// What a gateway that is about to stop says to its clients.
struct GoAwayInfo {
  Duration deadline{};                ///< from now: calls that are still up then are ended
  std::vector<std::string> gateways;  ///< URLs of others, in order; not checked
  std::string reason;                 ///< printable ASCII
};

// What a session asks of its owner and reports to it. Drain after every input.
struct SendFrame {  ///< put this on the link's reliable service
  Channel channel;
  Bytes bytes;
};
struct AuthenticateHello {  ///< server: judge these credentials, then call accept() or reject()
  HelloInfo hello;
};
struct SessionEstablished {  ///< client: Welcome came
  WelcomeInfo welcome;
};
struct SipFrameReceived {  ///< one complete SIP message
  std::string bytes;
};
struct GoAwayReceived {  ///< client: leave for another gateway when no call needs this one
  GoAwayInfo info;
};
struct LinkLost {  ///< the link is dead: close it with this code; the session waits for another
  CloseCode code;
  std::string reason;
};
struct SessionClosed {  ///< the session is over; close the link (what must be said was emitted
                        ///< before this)
  CloseCode code;
  std::string reason;               ///< printable ASCII, the peer's included
  std::uint32_t retry_after_s = 0;  ///< from Reject, 0: none said
  bool by_peer = false;
};
using SessionEvent = std::variant<SendFrame, AuthenticateHello, SessionEstablished,
                                  SipFrameReceived, GoAwayReceived, LinkLost, SessionClosed>;
using SessionEvents = std::vector<SessionEvent>;

struct SessionStatistics {
  std::uint64_t sip_frames_in = 0, sip_frames_out = 0;
  std::uint64_t sip_frames_acked = 0;      ///< of those out, what the peer's last Ack covered
  std::uint64_t unknown_channels = 0;      ///< frames dropped
  std::uint64_t unknown_control = 0;       ///< messages of a kind that this version ignores
  std::uint64_t unknown_fields = 0;        ///< messages that carried fields this version ignores
  std::uint64_t resumes = 0;               ///< links that took the place of another
  std::uint64_t sip_frames_repeated = 0;   ///< sent again on a new link
  std::uint64_t sip_frames_duplicate = 0;  ///< came again on a new link, and were dropped
  std::optional<Duration> round_trip;      ///< of the last Ping
  Duration keep_alive{};            ///< client: the longest silence that it lets be, at present
  bool keep_alive_adapts = false;   ///< client: by search
  std::uint64_t way_back_lost = 0;  ///< client: times that a silence was too long for a NAT
};

}  // namespace isthmus::wire
