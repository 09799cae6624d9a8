#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "sip/dialog.hpp"
#include "ua/context.hpp"

namespace isthmus::ua {

/// All calls of a user agent: both sides of INVITE and what happens inside its dialogs. Private to
/// this room. call_agent.cpp holds what both sides share, call_client.cpp what we ask for,
/// call_server.cpp what the other end asks for.
class CallAgent {
 public:
  explicit CallAgent(Context& context) : context_(context) {}

  Result<CallId, UaError> call(std::string_view target, bool late_offer);
  Result<void, UaError> answer(CallId id);
  Result<void, UaError> reject(CallId id, int status, std::string_view reason);
  Result<void, UaError> hang_up(CallId id);
  Result<void, UaError> hold(CallId id, bool on);
  Result<void, UaError> send_info_digit(CallId id, char digit);

  void on_request(sip::TransactionId server, const sip::Message& request);
  void on_ack(const sip::Message& ack);
  void on_cancel(sip::TransactionId server);
  void on_response(sip::TransactionId client, const sip::Message& response);
  void on_failure(sip::TransactionId client, sip::ClientFailure why);
  void on_server_failure(sip::TransactionId server, sip::ClientFailure why);
  void on_link_down();
  void on_timeout();
  std::optional<Instant> next_deadline() const;
  std::size_t live_calls() const;
  bool quiet() const;

 private:
  struct Call {
    Call(CallId number, bool is_outgoing, MediaNegotiation negotiation)
        : id(number), outgoing(is_outgoing), media(std::move(negotiation)) {}

    CallId id;
    bool outgoing;
    CallState state = CallState::calling;
    sip::Dialog dialog;  ///< early or confirmed; empty call_id: none yet
    MediaNegotiation media;
    std::optional<AgreedMedia> announced;  ///< last MediaChanged
    bool local_hold = false, wanted_hold = false, remote_hold = false;

    sip::TransactionId invite_client = 0;  ///< our INVITE or re-INVITE, until its final response
    std::optional<Instant> reinvite_at;    ///< after glare (§14.1)

    sip::TransactionId invite_server = 0;  ///< their INVITE or re-INVITE
    sip::Message invite;                   ///< that one
    std::string answer_sdp;                ///< to an offer that is still ringing
    std::optional<Instant> ring_again_at;  ///< §13.3.1.1: once a minute

    // Our 2xx until its ACK (§13.3.1.4).
    bool awaiting_ack = false, offer_in_2xx = false, bye_after_ack = false;
    sip::Message success;
    Instant resend_at{}, give_up_at{};
    Duration resend_after{};
  };

  enum class Purpose : std::uint8_t { invite, reinvite, bye, info };
  /// A request of ours under way; an INVITE is kept for 64*T1 after its 2xx, to acknowledge what
  /// comes late.
  struct Exchange {
    CallId call = 0;
    Purpose purpose = Purpose::bye;
    sip::Message request;
    bool abandoned = false;  ///< hung up meanwhile: a 2xx gets ACK and BYE
    std::string ack, acked_tag;
    std::optional<Instant> forget_at;
  };

  // call_agent.cpp
  Call* find(CallId id);
  Call* find_dialog(const sip::Message& request);
  Call& add_call(bool outgoing, std::uint16_t channel);
  std::optional<std::uint16_t> free_channel();
  void announce_media(Call& call);
  void change(Call& call, int status = 0, std::string reason = {});
  void settle(Call& call, int status, std::string reason);
  void end(Call& call, EndCause cause, int status, std::string reason);
  void send_bye(Call& call, int cause, std::string_view text);
  void send_exchange(Call& call, Purpose purpose, sip::Message request);
  void fail_call(Call& call, EndCause cause, int status, const std::string& reason);

  // call_client.cpp
  void on_invite_response(sip::TransactionId client, Exchange& exchange,
                          const sip::Message& response);
  void on_provisional(Call& call, const Exchange& exchange, const sip::Message& response);
  void on_success(Exchange& exchange, const sip::Message& response);
  void on_first_success(Call& call, Exchange& exchange, const sip::Message& response);
  void on_invite_refused(CallId id, Purpose purpose, const sip::Message& response);
  void on_reinvite_refused(Call& call, int status, const std::string& reason);
  void acknowledge(Exchange& exchange, sip::Dialog& dialog, const sip::Message& response,
                   std::string_view sdp);
  void acknowledge_and_end(Exchange& exchange, const sip::Message& response);
  void send_reinvite(Call& call);
  bool retry_with_credentials(const Exchange& exchange, const sip::Message& response);

  // call_server.cpp
  void on_new_invite(sip::TransactionId server, const sip::Message& invite);
  bool refuse_invite(sip::TransactionId server, const sip::Message& invite);
  void on_dialog_request(Call& call, sip::TransactionId server, const sip::Message& request);
  void on_reinvite(Call& call, sip::TransactionId server, const sip::Message& request);
  void on_update(Call& call, sip::TransactionId server, const sip::Message& request);
  void on_bye(Call& call, sip::TransactionId server, const sip::Message& request);
  void on_info(Call& call, sip::TransactionId server, const sip::Message& request);
  void ring(Call& call);
  void send_success(Call& call, const std::string& sdp);
  void on_due(Call& call);

  Context& context_;
  std::map<CallId, std::unique_ptr<Call>> calls_;
  std::unordered_map<sip::TransactionId, Exchange> exchanges_;
  CallId last_id_ = 0;
  std::uint32_t next_channel_ = limits::kFirstMediaChannel;
};

/// The first words of a status line, for a person: "486 Busy Here".
std::string describe(const sip::Message& response);
/// Text of a Reason header (RFC 3326), else of the status line's kind; empty if there is none.
std::string reason_text(const sip::Message& message);

}  // namespace isthmus::ua
