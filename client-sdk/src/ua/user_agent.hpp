#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/limits.hpp"
#include "base/random.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "sip/transaction.hpp"
#include "ua/events.hpp"
#include "ua/media_negotiation.hpp"

namespace isthmus::ua {

struct UserAgentOptions {
  std::string aor;  ///< "sip:alice@isthmus.example"; empty: what set_aor() says later
  std::string display_name;
  std::string software = "isthmus";  ///< User-Agent
  /// For digest challenges (RFC 7616) of a provider behind the gateway; the gateway itself asks for
  /// none. No password: challenges are not answered. Empty user: that of the address of record.
  std::string digest_user, digest_password;
  std::vector<AudioFormat> formats;  ///< codecs, best first
  unsigned ptime_ms = 20;
  sip::TransactionTimers timers;
  std::size_t max_calls = limits::kCallsPerSession;
  bool accept_calls = true;  ///< false: calls that come in are answered 480
};

enum class UaError : std::uint8_t {
  not_connected,
  no_identity,
  bad_target,
  unknown_call,
  wrong_state,
  too_many_calls,
  bad_status,
};
const char* to_text(UaError error);

/// A SIP user agent (RFC 3261) over one link: registers one address of record, places and takes
/// calls with one audio stream each. Pure: messages, time and randomness come in, outputs go out;
/// drain them after every input. Media itself is not its business: MediaChanged says what may flow.
///
/// In a dialog it answers re-INVITE, UPDATE (RFC 3311), INFO with digits (RFC 6086), OPTIONS and
/// BYE; offers may come late (RFC 3261 §13.2.1) in both directions; anything else gets 405, 415,
/// 420 or 481. Single-threaded.
class UserAgent {
 public:
  /// @param random must outlive the user agent.
  UserAgent(UserAgentOptions options, Random& random);
  ~UserAgent();
  UserAgent(const UserAgent&) = delete;
  UserAgent& operator=(const UserAgent&) = delete;

  void set_aor(std::string aor);
  const std::string& aor() const;
  std::string domain() const;       ///< host of the address of record
  std::string contact_uri() const;  ///< where a gateway reaches this user agent

  /// A session with a gateway was established, or ended. With it all calls end, and a wished
  /// registration is made again with the next session.
  void on_link_up(Instant now, Outputs& out);
  void on_link_down(Instant now, Outputs& out);
  void on_sip(std::string bytes, Instant now, Outputs& out);
  void on_timeout(Instant now, Outputs& out);
  std::optional<Instant> next_deadline() const;

  /// Keeps the address of record registered, now and after each reconnection.
  void start_registration(std::uint32_t expires_s, Instant now, Outputs& out);
  void stop_registration(Instant now, Outputs& out);
  RegistrationState registration() const;

  struct CallOptions {
    bool late_offer = false;  ///< leave the offer to the other end
  };
  /// @param target  a SIP URI, "user@host", or a user of our own domain ("echo", "+4930123")
  Result<CallId, UaError> call(std::string_view target, const CallOptions& options, Instant now,
                               Outputs& out);
  Result<void, UaError> answer(CallId id, Instant now, Outputs& out);
  /// @param status  300 to 699
  Result<void, UaError> reject(CallId id, int status, std::string_view reason, Instant now,
                               Outputs& out);
  /// Cancels, refuses (603) or ends, as the call's state asks for. It has ended when this returns;
  /// what is left to be said is said by itself.
  Result<void, UaError> hang_up(CallId id, Instant now, Outputs& out);
  Result<void, UaError> hold(CallId id, bool on, Instant now, Outputs& out);
  /// Sends a digit by INFO (application/dtmf-relay), for ends without telephone events.
  Result<void, UaError> send_info_digit(CallId id, char digit, Instant now, Outputs& out);

  std::size_t call_count() const;  ///< calls not ended
  /// Whether nothing is under way that should be waited for before the link is closed.
  bool quiet() const;
  std::uint64_t malformed() const;  ///< messages that were no SIP

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

/// Completes what a person may give as the other end to a URI.
/// @return nothing if it cannot be one: empty, white space, or a URI of neither sip, sips nor tel
std::optional<std::string> complete_target(std::string_view target, std::string_view domain);
/// "sip:user@domain", the user escaped as RFC 3261 §25.1 asks for.
std::string make_aor(std::string_view user, std::string_view domain);

}  // namespace isthmus::ua
