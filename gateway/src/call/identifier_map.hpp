#pragma once
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "call/call.hpp"
#include "call/dialog_info.hpp"
#include "call/router.hpp"
#include "call/topology.hpp"

namespace isthmus::call {

struct BridgeCore;

/// A message on its way from one leg to another.
struct Crossing {
  const sip::Flow& from;
  const sip::Flow& to;
  bool hides = false;        ///< the receiver is not shown the other leg (LegPolicy)
  std::string_view contact;  ///< URI at which its sender is reached; may be empty
  bool described = false;    ///< a session description in it was translated
};

/// What the map asks about the dialogs of the bridge.
class DialogBook {
 public:
  struct Entry {
    const Branch* branch = nullptr;
    const DialogPair* dialog = nullptr;
  };
  struct Place {
    const Branch* branch = nullptr;
    Side user = Side::caller;  ///< the side that sends requests to the token
  };
  virtual ~DialogBook() = default;
  /// Every dialog that has this Call-ID on one of its legs.
  virtual std::vector<Entry> dialogs_of(std::string_view call_id) const = 0;
  /// The leg whose Contact has this user part.
  virtual std::optional<Place> place_of(std::string_view token) const = 0;
};

/// Maps names of other dialogs and places that a message bears, from how its sender knows them to
/// how its receiver does: Replaces (RFC 3891), Join (RFC 3911), Target-Dialog (RFC 4538),
/// In-Reply-To, Refer-To with embedded Replaces (RFC 3515), `Event: dialog;call-id=` and
/// dialog-info bodies (RFC 4235), Contacts of a 3xx. docs/dialogs.md tells who sees what, and why.
/// Internal to the room.
///
/// A party to a dialog is told of it as its own leg knows it. Anybody else is told what the sender
/// said, or, where its leg hides others, in words that only we can read. A URI that cannot be
/// reached from the receiver's side, as our Contact on another leg, becomes a token of ours there:
/// a referral, which leads requests on to the place meant.
class IdentifierMap {
 public:
  IdentifierMap(BridgeCore& core, const DialogBook& book) : core_(core), book_(book) {}

  void map(sip::Message& message, const Crossing& crossing);
  /// Where a request outside dialogs goes whose Request-URI is a Contact of ours on a leg of the
  /// sender's, or a referral that it was told. Nothing: it is neither.
  std::optional<RouteTarget> route(const sip::Message& request, const sip::Flow& from);
  /// The call is over; what In-Reply-To may still name of it is remembered.
  void remember(const Call& call);
  void expire();
  std::size_t size() const { return referrals_.size() + aliases_.size(); }

 private:
  /// A dialog that was named, and which of its parties `to-tag` (or local-tag) means.
  struct Match {
    DialogBook::Entry entry;
    Side named = Side::caller;
  };
  /// A place that somebody was told of by a token.
  struct Referral {
    std::string owner;  ///< who may use it
    sip::Flow flow;
    std::string uri;
    Instant expires{};
  };
  /// A dialog that somebody was told of, in our own words as a rule.
  struct Alias {
    std::string owner;                ///< who was told
    DialogWords words;                ///< as it is called where it is
    std::optional<sip::Flow> origin;  ///< of a dialog that is not ours: where it is
    Instant expires{};
    bool plain = false;  ///< who was told heard those very words
  };
  struct PastCall {
    std::array<std::string, 2> call_id;
    std::array<sip::Flow, 2> flow;
    Instant expires{};
  };

  bool same_side(const sip::Flow& a, const sip::Flow& b) const;
  std::optional<Match> find(const DialogWords& words) const;
  std::optional<DialogWords> translate(const DialogWords& words, const Crossing& crossing,
                                       std::optional<Match>* match = nullptr);
  std::optional<DialogWords> in_our_words(const DialogWords& words, const Crossing& crossing,
                                          bool ours);
  void note_plain(const DialogWords& words, const Crossing& crossing);
  std::string told_tag(const Alias& alias, const std::string& tag) const;
  const Alias* alias_of(const DialogWords& told, const sip::Flow& by) const;
  std::string map_call_id(std::string_view call_id, const Crossing& crossing) const;
  std::optional<std::string> map_uri(std::string_view uri, const Crossing& crossing,
                                     const std::optional<Match>& match);
  std::optional<std::string> lead(const sip::Flow& flow, const std::string& uri,
                                  const Crossing& crossing, std::string_view headers);
  std::string target_of(const Branch& branch, Side party, const DialogPair* dialog) const;
  std::string referral(const sip::Flow& flow, const std::string& uri, const Crossing& crossing,
                       std::string_view headers);

  void map_dialog_header(sip::Message& message, sip::HeaderId header, const Crossing& crossing);
  void map_event(sip::Message& message, const Crossing& crossing);
  void map_in_reply_to(sip::Message& message, const Crossing& crossing);
  void map_refer_to(sip::Message& message, const Crossing& crossing);
  void map_redirect(sip::Message& message, const Crossing& crossing);
  void map_dialog_info(sip::Message& message, const Crossing& crossing);

  BridgeCore& core_;
  const DialogBook& book_;
  std::unordered_map<std::string, Referral> referrals_;  ///< by token
  std::unordered_map<std::string, Alias> aliases_;       ///< by Call-ID and tag as told
  std::deque<PastCall> past_;                            ///< oldest first
};

}  // namespace isthmus::call
