#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/time.hpp"
#include "call/dialog_identity.hpp"
#include "call/dialog_peers.hpp"
#include "call/dialog_usages.hpp"
#include "call/dtmf_info.hpp"
#include "call/failover.hpp"
#include "call/media_session.hpp"
#include "call/redirection.hpp"
#include "call/sent_ack.hpp"
#include "call/session_timer.hpp"
#include "sip/dialog.hpp"
#include "sip/message.hpp"
#include "sip/transaction_layer.hpp"

namespace isthmus::call {

using CallId = std::uint64_t;

/// The last reliable provisional response of a transaction (RFC 3262), as it went to the other leg:
/// its sender repeats it until the PRACK comes.
struct ReliableProvisional {
  std::uint32_t rseq = 0;
  std::optional<sip::Message> carried;
};

/// A reliable provisional response that the bridge repeats itself: its sender is behind a flow that
/// loses nothing and is done with it, its receiver behind one that may.
struct RepeatedProvisional {
  sip::TransactionId server = 0;
  std::uint32_t rseq = 0;
  Side to = Side::caller;
  sip::Message response;
  Duration interval{};
  Instant next{}, give_up_at{};
};

/// One dialog of a branch: a pair of legs. Early until a 2xx.
struct DialogPair {
  std::string callee_tag;   ///< as the callee gave it
  DialogIdentity identity;  ///< what each leg calls the dialog, and how its requests are numbered
  std::array<std::string, 2>
      party;  ///< From value of the caller, To value of the callee, with tags
  /// From as the callee knows it, where routing changed it; else empty. Inside the dialog each side
  /// goes on to see what it saw first (RFC 3261 §12.2.1.1).
  std::string shown_from;
  std::array<std::string, 2> remote_target;    ///< Contact URI that each leg's peer gave
  std::array<std::uint32_t, 2> target_cseq{};  ///< of that peer's request that gave it last
  /// Of a peer that gave none (RFC 2543): the caller's From, the Request-URI that the callee got.
  std::array<std::string, 2> address;
  std::array<std::vector<std::string>, 2> route_set;
  DialogUsages usages;  ///< subscriptions beside the INVITE
  /// Of a subscription's dialog: its last NOTIFY came, or one of its peers knows it no more.
  bool over = false;
  Instant until{};  ///< likewise: it lapses, unless it is refreshed
  bool confirmed = false;
  struct Ack {
    SentAck sent;
    std::uint32_t cseq = 0;
  };
  std::array<Ack, 2> last_ack;  ///< that went to that leg for its last 2xx, to repeat
  /// A 2xx that went to that leg and waits for its ACK.
  struct Unacknowledged {
    sip::TransactionId server = 0;
    std::uint32_t cseq = 0;
  };
  std::array<Unacknowledged, 2> unacknowledged;
  ReliableProvisional reliable;  ///< the callee's last one (RFC 3262)
  std::vector<RepeatedProvisional> repeated;
  bool answered_in_prack = false;  ///< the offer of a reliable provisional response was
};

enum class BranchState : std::uint8_t { calling, cancelled, won, lost };

/// One target of the first request: its client transaction, both legs and their media.
struct Branch {
  std::array<sip::Flow, 2> flow;
  std::array<std::string, 2> token;  ///< user part of our Contact toward that leg
  sip::TransactionId client = 0;
  BranchState state = BranchState::calling;
  sip::Message sent =
      sip::Message::request("INVITE", "sip:invalid.invalid");  ///< as it went out, without Via
  DialogIdentity identity;     ///< of the dialogs to come: as yet without the callee's tag
  unsigned challenges = 0;     ///< that were answered with credentials of ours
  bool credentials = false;    ///< we hold some for that place
  bool initial_offer = false;  ///< the first request carried the offer
  std::unique_ptr<MediaSession> media;
  std::unique_ptr<TimedLegs> timers;  ///< where the bridge keeps session timers itself
  std::vector<std::unique_ptr<DialogPair>> dialogs;
  Failover places;                      ///< where it may still go
  Redirection redirection;              ///< that this place and those before it made
  bool heard = false;                   ///< the place it went to last has sent a response
  std::optional<sip::Message> failure;  ///< its final failure, translated for the caller
  std::optional<sip::Flow> failed_at;   ///< where it came from; nothing: it is ours
  struct Unwanted {
    std::string tag;
    SentAck ack;
  };
  std::vector<Unwanted> unwanted;  ///< 2xx that were acknowledged and hung up
  struct Digits {
    std::vector<DtmfInfo> waiting;  ///< to go in INFOs of ours, in their order
    bool sending = false;           ///< one at a time: UDP would bring them out of order
  };
  std::array<Digits, 2> digits;  ///< toward each leg, where they are converted
};

enum class CallState : std::uint8_t { setup, answered, ending };

/// A dialog-forming request and all that comes of it. INVITE: a call. SUBSCRIBE and REFER:
/// subscriptions, one in each dialog of a fork, with no media.
///
///     setup ──2xx──▶ answered ──BYE, session or media lost──▶ ending ──final response, timeout──▶
///     (gone)
///       └── failure, CANCEL, nobody left ──▶ (gone)
struct Call {
  CallId id = 0;
  CallState state = CallState::setup;
  sip::TransactionId server = 0;  ///< 0 once answered finally
  sip::Message request = sip::Message::request("INVITE", "sip:invalid.invalid");  ///< as it came
  sip::Flow caller;  ///< the flow it came on
  bool invite = true;
  std::vector<std::string> call_ids;    ///< under which it is found: of all its legs
  std::vector<std::uint64_t> sessions;  ///< likewise: whose links its legs are or were on
  DialogPeers::Held peers;              ///< hosts that its dialogs lead to
  std::vector<std::unique_ptr<Branch>> branches;
  Branch* winner = nullptr;
  std::array<std::string, 2> owner;  ///< Router::owner_of each leg, for limits and records
  Instant started{};
  std::optional<Instant> answered;
  /// Of subscriptions: the first of them lapses. Of a call: its BYE was challenged.
  std::optional<Instant> expires;
  int final_status = 0;
  std::string end_reason;
  std::size_t transactions = 0;  ///< in-dialog requests under way
  /// The INVITE usage is over and reported; subscriptions in its dialogs go on until `expires`.
  bool usages_only = false;
};

/// What is told of a call when it changes (for records, metrics, the admin interface).
struct CallRecord {
  CallId id = 0;
  std::string call_id, from, to;
  std::array<std::string, 2> owner;
  CallState state = CallState::setup;
  Duration setup_time{};                 ///< INVITE to 2xx, once answered
  Duration talk_time{};                  ///< 2xx to the end
  int status = 0;                        ///< final status of the INVITE
  std::string end_reason;                ///< "BYE from caller", "link lost", "media timeout"
  std::array<MediaStatistics, 2> media;  ///< received from caller, from callee
};

}  // namespace isthmus::call
