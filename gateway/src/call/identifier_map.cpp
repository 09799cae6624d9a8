#include "call/identifier_map.hpp"

#include <algorithm>

#include "base/limits.hpp"
#include "base/text.hpp"
#include "call/bridge_core.hpp"
#include "call/crossing.hpp"

namespace isthmus::call {

using sip::HeaderId;

namespace {

/// Makes room in a table that is full: the older half goes, so that this is rare.
template <class Table>
void bound(Table& table) {
  if (table.size() < limits::kReferrals) return;
  std::vector<Instant> ends;
  ends.reserve(table.size());
  for (const auto& [key, entry] : table) ends.push_back(entry.expires);
  auto middle = ends.begin() + static_cast<std::ptrdiff_t>(ends.size() / 2);
  std::nth_element(ends.begin(), middle, ends.end());
  Instant limit = *middle;
  std::size_t most = table.size() / 2 + 1;  // of many that end at once, some stay
  std::erase_if(table, [&](const auto& entry) {
    if (most == 0 || entry.second.expires > limit) return false;
    --most;
    return true;
  });
}

/// Of several dialogs with one Call-ID, each is told of by its own tag.
std::string alias_key(const std::string& call_id, const std::string& tag) {
  return call_id + ';' + tag;
}

/// A referral token and the headers that the URI bore.
std::string with_headers(std::string uri, std::string_view headers) {
  if (!headers.empty()) uri.append("?").append(headers);
  return uri;
}

/// Whether a host can be reached over the flow only by which it was named (RFC 7118 §5, RFC 6761
/// §6.4).
bool is_nowhere(std::string_view host) {
  constexpr std::string_view kEnd = ".invalid";
  return host.size() > kEnd.size() && iequals(host.substr(host.size() - kEnd.size()), kEnd);
}

}  // namespace

/// Whether two flows lead to who knows of the other's dialogs: the same session, the same provider
/// (by whichever of its hosts), the same phone.
bool IdentifierMap::same_side(const sip::Flow& a, const sip::Flow& b) const {
  if (a.is_link() != b.is_link()) return false;
  if (a.is_link()) return a.session == b.session;
  return a.remote.address == b.remote.address ||
         core_.router.owner_of(a) == core_.router.owner_of(b);
}

std::optional<IdentifierMap::Match> IdentifierMap::find(const DialogWords& words) const {
  std::optional<Match> vague;  // by Call-ID and one tag: an early dialog may have no other yet
  for (const DialogBook::Entry& entry : book_.dialogs_of(words.call_id)) {
    for (const DialogNames& names : entry.dialog->identity.names) {
      if (names.call_id != words.call_id) continue;
      for (Side side : {Side::caller, Side::callee}) {
        if (names.tag[index_of(side)] != words.local_tag) continue;
        if (names.tag[index_of(other(side))] == words.remote_tag) return Match{entry, side};
        if (words.remote_tag.empty()) vague = Match{entry, side};
      }
    }
  }
  return vague;
}

const IdentifierMap::Alias* IdentifierMap::alias_of(const DialogWords& told,
                                                    const sip::Flow& by) const {
  auto found = aliases_.find(alias_key(told.call_id, told.local_tag));
  if (found == aliases_.end()) found = aliases_.find(alias_key(told.call_id, told.remote_tag));
  if (found == aliases_.end()) return nullptr;
  const Alias& alias = found->second;
  if (alias.owner != core_.router.owner_of(by)) return nullptr;
  const DialogWords& words = alias.words;
  auto is = [&](const std::string& tag, const std::string& given) {
    return given == told_tag(alias, tag);
  };
  bool straight = is(words.local_tag, told.local_tag) && is(words.remote_tag, told.remote_tag);
  bool crossed = is(words.remote_tag, told.local_tag) && is(words.local_tag, told.remote_tag);
  return straight || crossed ? &alias : nullptr;
}

std::string IdentifierMap::told_tag(const Alias& alias, const std::string& tag) const {
  return alias.plain ? tag : core_.aliases.tag(alias.owner, alias.words.call_id, tag);
}

/// A dialog between others, of which a side tells that is not told of others' itself (a provider's
/// phone refers ours to its colleague, with Replaces): when the receiver names it back, it is that
/// side's own, and not to be put into words of ours.
void IdentifierMap::note_plain(const DialogWords& words, const Crossing& crossing) {
  if (!core_.router.policy_of(crossing.from).topology_hiding) return;
  std::string key = alias_key(words.call_id, words.local_tag);
  if (!aliases_.contains(key)) bound(aliases_);
  aliases_[std::move(key)] = {core_.router.owner_of(crossing.to), words, crossing.from,
                              core_.now + limits::kReferralLife, true};
}

/// Tells of a dialog that the receiver has no part in.
/// @param ours  the dialog runs through us; else it is one of the sender's side.
std::optional<DialogWords> IdentifierMap::in_our_words(const DialogWords& words,
                                                       const Crossing& crossing, bool ours) {
  if (!crossing.hides) {
    if (!ours) note_plain(words, crossing);
    return std::nullopt;
  }
  std::string owner = core_.router.owner_of(crossing.to);
  DialogWords told{core_.aliases.call_id(owner, words.call_id),
                   core_.aliases.tag(owner, words.call_id, words.local_tag),
                   core_.aliases.tag(owner, words.call_id, words.remote_tag)};
  std::string key = alias_key(told.call_id, told.local_tag);
  auto known = aliases_.find(key);
  if (known == aliases_.end()) {
    bound(aliases_);
    known = aliases_.emplace(std::move(key), Alias{}).first;
  }
  known->second = {owner, words, std::nullopt, core_.now + limits::kReferralLife, false};
  if (!ours) known->second.origin = crossing.from;
  return told;
}

/// @param words  local_tag is that of who is meant: to-tag in Replaces and Join.
/// @return nothing: they stay as they are.
std::optional<DialogWords> IdentifierMap::translate(const DialogWords& words,
                                                    const Crossing& crossing,
                                                    std::optional<Match>* out) {
  std::optional<Match> match = find(words);
  DialogWords plain = words;
  if (!match) {
    if (const Alias* alias = alias_of(words, crossing.from)) {
      bool straight = told_tag(*alias, alias->words.local_tag) == words.local_tag;
      plain = alias->words;
      if (!straight) std::swap(plain.local_tag, plain.remote_tag);
      if (alias->origin && same_side(*alias->origin, crossing.to)) return plain;
      match = find(plain);
      if (!match && alias->origin) return in_our_words(plain, crossing, false);
    }
  }
  if (out) *out = match;
  if (!match) return in_our_words(words, crossing, false);
  const auto& [branch, dialog] = match->entry;
  for (Side leg : {match->named, other(match->named)}) {
    if (!same_side(crossing.to, branch->flow[index_of(leg)])) continue;
    const DialogNames& names = dialog->identity.names[index_of(leg)];
    return DialogWords{names.call_id, names.tag[index_of(match->named)],
                       names.tag[index_of(other(match->named))]};
  }
  const DialogNames& names = dialog->identity.names[0];
  DialogWords own{names.call_id, names.tag[index_of(match->named)],
                  names.tag[index_of(other(match->named))]};
  if (std::optional<DialogWords> told = in_our_words(own, crossing, true)) return told;
  return plain.call_id == words.call_id ? std::nullopt : std::optional(plain);
}

/// Where the party on that side of a branch is reached, in its own words.
std::string IdentifierMap::target_of(const Branch& branch, Side party,
                                     const DialogPair* dialog) const {
  if (dialog && !dialog->remote_target[index_of(party)].empty())
    return dialog->remote_target[index_of(party)];
  for (auto entry = branch.dialogs.rbegin(); entry != branch.dialogs.rend(); ++entry) {
    const std::string& target = (*entry)->remote_target[index_of(party)];
    if (!target.empty()) return target;
  }
  return party == Side::callee ? std::string(branch.sent.request_uri()) : std::string();
}

std::string IdentifierMap::referral(const sip::Flow& flow, const std::string& uri,
                                    const Crossing& crossing, std::string_view headers) {
  std::string owner = core_.router.owner_of(crossing.to);
  std::string token = core_.aliases.token(owner, flow.to_string(), uri);
  auto known = referrals_.find(token);
  if (known == referrals_.end()) {
    bound(referrals_);
    known = referrals_.emplace(token, Referral{}).first;
  }
  known->second = {owner, flow, uri, core_.now + limits::kReferralLife};
  return with_headers(core_.contact_uri(token, crossing.to), headers);
}

/// How the receiver reaches that place: as it is known there, or through us.
std::optional<std::string> IdentifierMap::lead(const sip::Flow& flow, const std::string& uri,
                                               const Crossing& crossing, std::string_view headers) {
  if (uri.empty()) return std::nullopt;
  if (same_side(flow, crossing.to)) return with_headers(uri, headers);
  return referral(flow, uri, crossing, headers);
}

/// @param match  the dialog that the URI's Replaces names. @return nothing: the URI stays.
std::optional<std::string> IdentifierMap::map_uri(std::string_view text, const Crossing& crossing,
                                                  const std::optional<Match>& match) {
  Result<sip::Uri, sip::Fault> uri = sip::Uri::parse(text);
  if (!uri || !uri->is_sip()) return std::nullopt;
  const std::string headers = uri->headers;
  uri->headers.clear();
  std::string place = uri->to_string();

  std::optional<DialogBook::Place> leg = book_.place_of(uri->user);
  if (leg && same_side(crossing.from, leg->branch->flow[index_of(leg->user)])) {
    Side party = other(leg->user);
    const DialogPair* dialog =
        match && match->entry.branch == leg->branch ? match->entry.dialog : nullptr;
    return lead(leg->branch->flow[index_of(party)], target_of(*leg->branch, party, dialog),
                crossing, headers);
  }
  auto told = referrals_.find(uri->user);
  if (told != referrals_.end() && told->second.owner == core_.router.owner_of(crossing.from)) {
    Referral meant = told->second;
    return lead(meant.flow, meant.uri, crossing, headers);
  }
  if (!crossing.from.is_link()) {
    if (const Binding* binding = core_.bindings.find(uri->user)) {
      std::string contact = binding->contact_uri;
      return lead(sip::Flow(binding->flow), contact, crossing, headers);
    }
  }
  // The dialog to replace tells who is meant, whatever the URI says: an address of record may be
  // unknown where the receiver is.
  if (match && !crossing.to.is_link()) {
    const auto& [branch, dialog] = match->entry;
    const sip::Flow& flow = branch->flow[index_of(match->named)];
    if (!same_side(flow, crossing.to))
      return lead(flow, target_of(*branch, match->named, dialog), crossing, headers);
  }
  Result<sip::Uri, sip::Fault> contact = sip::Uri::parse(crossing.contact);
  bool of_sender = contact && contact->is_sip() && iequals(contact->host, uri->host);
  bool only_there = crossing.from.is_link() && is_nowhere(uri->host);
  bool hidden = crossing.hides &&
                (of_sender || (!crossing.from.is_link() &&
                               IpAddress::parse(uri->host) == crossing.from.remote.address));
  if (only_there || hidden) return lead(crossing.from, place, crossing, headers);
  return std::nullopt;
}

std::optional<RouteTarget> IdentifierMap::route(const sip::Message& request,
                                                const sip::Flow& from) {
  std::string user = request_user(request);
  if (user.empty()) return std::nullopt;
  if (std::optional<DialogBook::Place> leg = book_.place_of(user)) {
    if (!same_side(from, leg->branch->flow[index_of(leg->user)])) return std::nullopt;
    Side party = other(leg->user);
    std::string uri = target_of(*leg->branch, party, nullptr);
    if (uri.empty()) return std::nullopt;
    return RouteTarget{leg->branch->flow[index_of(party)], uri};
  }
  auto told = referrals_.find(user);
  if (told == referrals_.end() || told->second.expires <= core_.now ||
      told->second.owner != core_.router.owner_of(from)) {
    return std::nullopt;
  }
  return RouteTarget{told->second.flow, told->second.uri};
}

std::string IdentifierMap::map_call_id(std::string_view call_id, const Crossing& crossing) const {
  for (const DialogBook::Entry& entry : book_.dialogs_of(call_id)) {
    for (Side leg : {Side::caller, Side::callee}) {
      if (same_side(crossing.to, entry.branch->flow[index_of(leg)]))
        return entry.dialog->identity.names[index_of(leg)].call_id;
    }
  }
  for (const PastCall& call : past_) {
    for (std::size_t leg : {std::size_t{0}, std::size_t{1}}) {
      if (call.call_id[leg] == call_id && same_side(crossing.from, call.flow[leg]) &&
          same_side(crossing.to, call.flow[1 - leg]))
        return call.call_id[1 - leg];
    }
  }
  if (!crossing.hides) return std::string(call_id);
  return core_.aliases.call_id(core_.router.owner_of(crossing.to), call_id);
}

void IdentifierMap::remember(const Call& call) {
  for (const auto& branch : call.branches) {
    if (branch->identity.same_names()) continue;
    if (past_.size() >= limits::kEndedCallIds) past_.pop_front();
    past_.push_back({{branch->identity.names[0].call_id, branch->identity.names[1].call_id},
                     branch->flow,
                     core_.now + std::chrono::hours(1)});
  }
}

void IdentifierMap::expire() {
  auto over = [&](const auto& entry) { return entry.second.expires <= core_.now; };
  std::erase_if(referrals_, over);
  std::erase_if(aliases_, over);
  while (!past_.empty() && past_.front().expires <= core_.now) past_.pop_front();
}

}  // namespace isthmus::call
