#pragma once
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "call/answer_repeater.hpp"
#include "call/bridge_core.hpp"
#include "call/call.hpp"
#include "call/deadlines.hpp"
#include "call/use_table.hpp"

namespace isthmus::call {

/// All calls and subscriptions of a bridge: what happens from the dialog-forming request to the
/// last response of its BYE. Internal to the room; one per bridge.
class CallManager : private DialogBook {
 public:
  explicit CallManager(BridgeCore& core)
      : core_(core),
        identifiers_(core, *this),
        answers_(core, [this](sip::TransactionId server) { on_server_failed(server); }) {
    core.identifiers = &identifiers_;
  }
  ~CallManager() override { core_.identifiers = nullptr; }
  CallManager(const CallManager&) = delete;
  CallManager& operator=(const CallManager&) = delete;

  /// A dialog-forming request outside any dialog, and where it goes.
  void start(sip::TransactionId server, const sip::Flow& flow, sip::Message request,
             const RouteTargets& route);
  /// @return false if no dialog of ours is meant (the caller answers 481 or drops an ACK).
  /// @param waited  for a lookup of its next hop: it does not wait again.
  bool on_dialog_request(sip::TransactionId server, const sip::Flow& flow, sip::Message& request,
                         bool waited = false);
  bool on_ack(const sip::Flow& flow, sip::Message& ack, bool waited = false);
  bool on_cancel(sip::TransactionId server, const sip::Message& cancel);
  bool on_response(sip::TransactionId client, sip::Message& response);
  /// A 2xx to an INVITE that could not be read, with what was sound of it.
  /// @return false: it is to be handled as any other.
  bool on_broken_answer(sip::TransactionId client, const sip::Message& response,
                        const sip::Fault& fault);
  /// A 2xx of a client transaction whose call is over: late, or its ACK was lost.
  void on_late_answer(const sip::Flow& flow, const sip::Message& response);
  bool on_client_failed(sip::TransactionId client, sip::ClientFailure why);
  /// A digit was taken out of the media of that call.
  void on_digit(CallId id, MediaEndpointId from, const DtmfInfo& digit);
  void on_server_failed(sip::TransactionId server);
  void on_session_closed(std::uint64_t session);
  bool end_call(CallId id, std::string_view reason);
  void sweep();  ///< timeouts of media and subscriptions; about once a second
  void on_timeout();
  std::optional<Instant> next_deadline() const;

  std::size_t size() const { return calls_.size(); }  ///< those too of which usages are left
  std::size_t open() const { return calls_.size() - usages_only_; }
  std::vector<CallRecord> records() const;

 private:
  /// A client transaction and what its response means.
  struct InitialUse {
    Call* call;
    Branch* branch;
  };
  /// Where a request inside a dialog went, and where it may still go.
  struct InDialogPlaces {
    sip::Flow hop;
    std::vector<sip::Flow> more;
    std::optional<sip::Message> sent;  ///< as it went out, without Via; kept if there are more
    bool heard = false;                ///< a response came that kept the request here
  };
  struct DialogUse {
    Call* call;
    Branch* branch;
    DialogPair* dialog;
    Side from;  ///< the side that sent the request
    sip::TransactionId server;
    sip::Message request;  ///< as it came
    bool had_offer;
    bool ends;              ///< a BYE that ends the call
    bool finished = false;  ///< a final response went back (kept for 2xx retransmissions)
    Instant kept_until{};
    std::optional<sip::Message> sent{};  ///< as it went out, where we hold credentials
    sip::Flow hop{};
    unsigned challenges = 0;  ///< that were answered with them
    InDialogPlaces places{};
    ReliableProvisional reliable{};
    bool offered_back = false;  ///< a response carried the offer
  };
  /// A session refresh of our own that is under way, or was just acknowledged.
  struct Refresh {
    CallId call;
    DialogPair* dialog;
    Side to;
    bool invite;  ///< else an UPDATE
    sip::Message sent;
    sip::Flow hop, on_behalf;
    std::optional<sip::Message> challenged{};  ///< as it went out, where we hold credentials
    unsigned challenges = 0;
    bool tells = false;             ///< it offers what the other leg said in answer to a refresh:
    std::string told{}, offered{};  ///< in its words, and in those of the leg that is told
    SentAck ack{};                  ///< of the 2xx, to repeat until `kept_until`
    Instant kept_until{};
  };
  /// A digit of ours that is under way in an INFO.
  struct DigitUse {
    CallId call;
    std::string token;  ///< of its branch
    Side to;
    sip::Flow hop;
    std::optional<sip::Message> sent{};  ///< as it went out, where we hold credentials
    unsigned challenges = 0;
  };
  struct TokenUse {
    Call* call;
    Branch* branch;
    Side side;  ///< requests to this token come from this side
  };
  struct DialogRef {
    Call* call = nullptr;
    Branch* branch = nullptr;
    DialogPair* dialog = nullptr;
    Side from = Side::caller;
  };

  std::vector<Entry> dialogs_of(std::string_view call_id) const override;
  std::optional<Place> place_of(std::string_view token) const override;

  // call_setup.cpp
  std::optional<MediaFault> add_branch(Call& call, const RouteTarget& target,
                                       const std::vector<int>& failover_on);
  std::optional<MediaFault> send_branch(Call& call, Branch& branch, const RouteTarget& target);
  bool try_next_place(Call& call, Branch& branch, HopFailure failure, int status);
  void on_hop_failed(Call& call, Branch& branch, HopFailure failure);
  void on_silence(sip::TransactionId client);
  void index(const std::string& call_id, Call& call);
  void index(const sip::Flow& flow, Call& call);
  bool answer_challenge(Call& call, Branch& branch, const sip::Message& response);

  // call_redirect.cpp
  bool follow_redirect(Call& call, Branch& branch, sip::Message& response);
  bool try_next_contact(Call& call, Branch& branch);
  bool send_to_contact(Call& call, Branch& branch, const std::string& uri, bool waited);
  void cancel_branch(Branch& branch, std::vector<std::pair<std::string, std::string>> extra);
  void on_initial_response(Call& call, Branch& branch, sip::Message& response);
  void on_provisional(Call& call, Branch& branch, sip::Message& response);
  void on_answered(Call& call, Branch& branch, sip::Message& response);
  void on_repeated_answer(Branch& branch, sip::Message& response);
  void on_refused(Call& call, Branch& branch, sip::Message response, bool ours = false);
  static void keep_failure(Branch& branch, sip::Message response, const sip::Flow* from);
  void finish_if_nobody_left(Call& call);
  void cancel_branches(Call& call, const Branch* except, std::string_view reason);
  void hang_up_answer(Branch& branch, const sip::Message& response, std::string_view reason);
  SentAck acknowledge_and_end(const sip::Flow& flow, const sip::Flow* on_behalf,
                              const sip::Message& invite, const sip::Message& response,
                              std::string_view reason);
  void turn_to_caller(const Call& call, const Branch& branch, sip::Message& response) const;
  bool carry_to_caller(Call& call, Branch& branch, const DialogPair* dialog,
                       sip::Message& response);
  DialogPair& dialog_of(Call& call, Branch& branch, const sip::Message& response);
  void forget_an_early_dialog(Call& call, Branch& branch);
  void forget_dialog(Call& call, Branch& branch, const DialogPair& dialog);
  void fail_setup(Call& call, int status, std::string_view reason, unsigned retry_after_s = 0);

  // call_timers.cpp
  void prepare_timers(const Call& call, Branch& branch, sip::Message& out);
  bool raise_interval(Call& call, Branch& branch, const sip::Message& response);
  void begin_timers(const Call& call, Branch& branch, sip::Message& response);
  void arm_timers(const Call& call);
  void refuse_interval(sip::TransactionId server, const sip::Message& request, seconds least);
  bool answer_refresh(const DialogRef& ref, sip::TransactionId server, const sip::Message& request);
  void carry_timer(Branch& branch, Side to, sip::Message& request);
  void carry_timer_answer(const DialogUse& use, sip::Message& response);
  void on_session_timer(CallId id);
  void refresh(Call& call, Side to);
  void note_change(Call& call, Side of, std::string_view answer, const std::string& carried);
  void tell_change(Call& call, Side to);
  DialogPair* idle_dialog(const Call& call, Branch& branch, bool for_invite);
  bool send_refresh(Call& call, DialogPair& dialog, Side to, bool invite, bool tells,
                    const std::string& description);
  sip::Message own_request(DialogPair& dialog, Side to, std::string_view method) const;
  sip::Message own_request(const DialogPair& dialog, Side to, std::string_view method,
                           std::uint32_t cseq) const;
  bool on_refresh_response(sip::TransactionId client, const sip::Message& response);
  void acknowledge_refresh(Call& call, Refresh& refresh, const sip::Message& response);
  bool answer_refresh_challenge(Refresh& refresh, const sip::Message& response);
  bool on_refresh_failed(sip::TransactionId client);

  // call_digits.cpp
  std::array<DtmfForm, 2> forms_of(const Branch& branch) const;
  bool take_digit(const DialogRef& ref, sip::TransactionId server, const sip::Message& request);
  void send_next_digit(Call& call, Branch& branch, Side to);
  bool answer_digit_challenge(DigitUse& use, const sip::Message& response);
  bool on_digit_response(sip::TransactionId client, const sip::Message& response);
  bool on_digit_failed(sip::TransactionId client);

  // call_answers.cpp
  void refuse_answer(sip::TransactionId client, DialogUse& use, const sip::Message& response,
                     std::string_view reason);

  // call_dialog.cpp
  DialogRef find_dialog(const sip::Flow& flow, const sip::Message& request);
  DialogRef find_by_tags(const sip::Flow& flow, const sip::Message& request);
  Crossing crossing_of(const Branch& branch, const DialogPair& dialog, Side from,
                       const sip::Flow& to) const;
  static void take_target(DialogPair& dialog, Side from, const sip::Message& request);
  void forward(const DialogRef& ref, sip::TransactionId server, const sip::Flow& flow,
               sip::Message& request, bool waited);
  void on_dialog_response(sip::TransactionId client, DialogUse& use, sip::Message& response);
  bool answer_challenge(sip::TransactionId client, DialogUse& use, const sip::Message& response);
  void on_dialog_failed(DialogUse& use, sip::ClientFailure why);
  void after_final(sip::TransactionId client, DialogUse& use, const sip::Message* response);

  // call_subscriptions.cpp
  void begin_subscription(Call& call, DialogPair& dialog, const sip::Message& response);
  void note_subscription(Call& call, DialogPair& dialog, Side from, const sip::Message& request,
                         const sip::Message& response);
  bool has_waiting(const Call& call, const DialogPair& dialog) const;
  void drop_subscriptions(Call& call);

  // call_offers.cpp
  std::optional<MediaFault> carry_body(Branch& branch, std::string_view dialog, Side from,
                                       sip::Message& message, bool offer);
  bool is_offer(const DialogRef& ref, const sip::Message& request) const;
  std::optional<Side> inviting(const DialogRef& ref) const;
  bool refuse_glare(const DialogRef& ref, sip::TransactionId server, const sip::Message& request);
  bool repeat_provisional(ReliableProvisional& last, sip::TransactionId server, const sip::Flow& to,
                          const sip::Flow& from, const sip::Message& response);
  void repeat_until_prack(const Call& call, DialogPair& dialog, Side to, sip::TransactionId server,
                          const sip::Message& response);
  void on_prack(DialogPair& dialog, Side from, const sip::Message& prack);
  void on_provisional_due(CallId id);
  bool waits_for_final(const Call& call, sip::TransactionId server) const;
  void wait_for_ack(Call& call, DialogPair& dialog, Side side, sip::TransactionId server,
                    const sip::Flow& to, const sip::Message& response, const sip::Flow& from);
  void forget(const Call& call, DialogPair::Unacknowledged& answer);
  void acknowledge_for_peer(Branch& branch, DialogPair& dialog, Side to);
  bool on_acknowledged(const Call& call, DialogPair& dialog, Side side, const sip::Message& ack);

  // call_dialog.cpp
  void address_to(const DialogPair& dialog, Side to, sip::Message& request) const;
  void send_bye(Branch& branch, DialogPair& dialog, Side to, int cause, std::string_view reason);
  void hang_up(Call& call, std::optional<Side> except, int cause, std::string_view reason);

  // call_hops.cpp
  sip::Flow next_hop(const Branch& branch, const DialogPair& dialog, Side to) const;
  void look_ahead(Call& call, const Branch& branch, const DialogPair& dialog, Side to);
  bool find_hops(const DialogRef& ref, sip::TransactionId server, const sip::Flow& flow,
                 sip::Message& request, bool waited, std::vector<sip::Flow>& hops);
  void be_patient(sip::TransactionId client, const DialogUse& use);
  bool try_next_hop(sip::TransactionId client, HopFailure failure, unsigned retry_after_s = 0);

  // call_manager.cpp
  void answer_waiting(const DialogUse& use);
  void end(Call& call, std::string_view reason);
  void end_invite_usage(Call& call);
  void remove(Call& call);
  void report(Call& call, bool ended);
  CallRecord record_of(const Call& call) const;
  Call* call_of_server(sip::TransactionId server);

  BridgeCore& core_;
  IdentifierMap identifiers_;
  CallId next_id_ = 1;
  std::size_t usages_only_ = 0;
  std::unordered_map<CallId, std::unique_ptr<Call>> calls_;
  std::unordered_map<std::string, TokenUse> tokens_;
  std::unordered_multimap<std::string, Call*> by_call_id_;
  std::set<std::pair<std::uint64_t, CallId>> by_session_;  ///< calls with a leg on that link
  std::unordered_map<sip::TransactionId, InitialUse> initial_;
  UseTable<DialogUse> in_dialog_;
  std::unordered_map<sip::TransactionId, CallId>
      servers_;  ///< INVITE server transactions still open
  AnswerRepeater answers_;
  Deadlines<CallId> provisional_timers_;  ///< reliable 1xx that the bridge repeats
  Deadlines<CallId> session_timers_;
  UseTable<Refresh> refreshes_;
  UseTable<DigitUse> digits_;
  Deadlines<sip::TransactionId> silent_;  ///< requests that go elsewhere if nothing is heard
};

}  // namespace isthmus::call
