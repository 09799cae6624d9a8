#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "ua/context.hpp"

namespace isthmus::ua {

/// Keeps one address of record registered (RFC 3261 §10). Private to this room.
///
///     unregistered ──start──▶ registering ──2xx──▶ registered ──refresh due──▶ registering
///                                 │  ▲  └ 401, 407, 423: once more        │
///                                 ▼  │ retry due                          │ link lost
///                               failed ◀────────── other failures ────────┘
///
/// Failures that repeating will not cure (4xx but 408, 429, 480 and those above; 6xx) are final;
/// the others are tried again after 30 s, twice that, and so on up to 10 minutes (RFC 5626 §4.5),
/// or when Retry-After says.
class Registration {
 public:
  explicit Registration(Context& context) : context_(context) {}

  void start(std::uint32_t expires_s);
  void stop();
  void on_link_up();
  void on_link_down();
  bool on_response(sip::TransactionId client, const sip::Message& response);  ///< false: not ours
  bool on_failure(sip::TransactionId client, sip::ClientFailure why);         ///< same
  void on_timeout();
  std::optional<Instant> next_deadline() const { return due_; }
  RegistrationState state() const { return state_; }
  bool busy() const { return transaction_ != 0; }

 private:
  void send(std::uint32_t expires_s);
  void on_success(const sip::Message& response);
  void on_final_failure(const sip::Message& response);
  void fail(int status, std::string reason, bool permanent, std::uint32_t retry_after_s);
  void enter(RegistrationState state, int status, std::string reason,
             std::optional<Duration> retry_in = std::nullopt);
  std::uint32_t granted(const sip::Message& response) const;

  Context& context_;
  RegistrationState state_ = RegistrationState::unregistered;
  bool wanted_ = false;
  std::uint32_t expires_s_ = 0, granted_s_ = 0;
  std::string call_id_, from_tag_;
  std::uint32_t cseq_ = 0;
  sip::TransactionId transaction_ = 0;
  sip::Message request_;
  std::optional<Instant> due_;  ///< refresh, or retry
  unsigned failures_ = 0;
};

}  // namespace isthmus::ua
