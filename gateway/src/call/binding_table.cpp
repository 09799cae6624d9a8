#include "call/binding_table.hpp"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <iterator>

#include "base/text.hpp"
#include "sip/uri.hpp"

namespace isthmus::call {
namespace {

constexpr std::size_t kTokenCharacters = 20;        // 100 bits: not to be guessed
constexpr Duration kUnconfirmedLife = seconds(64);  // a REGISTER transaction ends before this

template <typename Index, typename Key>
void take_out(Index& index, const Key& key, Binding& binding) {
  auto found = index.find(key);
  if (found == index.end()) return;
  found->second.erase(&binding);
  if (found->second.empty()) index.erase(found);
}

}  // namespace

std::string BindingTable::token_for(std::string_view owner, std::string_view aor,
                                    std::string_view contact_uri) const {
  std::string input;
  for (std::string_view part : {owner, aor, contact_uri}) {
    input += std::to_string(part.size()) + ":";
    input += part;
  }
  std::uint8_t digest[EVP_MAX_MD_SIZE] = {};
  unsigned length = 0;
  HMAC(EVP_sha256(), secret_.data(), static_cast<int>(secret_.size()), as_bytes(input).data(),
       input.size(), digest, &length);
  static constexpr char kAlphabet[] = "abcdefghijklmnopqrstuvwxyz234567";
  std::string token;
  for (std::size_t i = 0; i < kTokenCharacters; ++i) token += kAlphabet[digest[i] & 31];
  return token;
}

Binding& BindingTable::note(std::string_view owner, std::string_view aor,
                            std::string_view contact_uri, const sip::Flow& flow, Instant now) {
  std::string token = token_for(owner, aor, contact_uri);
  auto [entry, added] = bindings_.try_emplace(token);
  Binding& binding = entry->second;
  if (added) by_owner_[std::string(owner)].insert(&binding);
  if (!binding.confirmed) {
    binding.token = token;
    binding.owner = owner;
    binding.aor = aor;
    binding.contact_uri = contact_uri;
    binding.expires = now + kUnconfirmedLife;
  }
  move(binding, flow);
  return binding;
}

/// It is reached by that flow from here on, until it refreshes anew.
void BindingTable::move(Binding& binding, const sip::Flow& flow) {
  take_out(by_flow_, binding.flow, binding);
  binding.flow = flow;
  by_flow_[flow].insert(&binding);
  binding.reachable = true;
  binding.silent_after = Instant::max();
}

BindingTable::Bindings::iterator BindingTable::erase(Bindings::iterator binding) {
  take_out(by_flow_, binding->second.flow, binding->second);
  take_out(by_owner_, binding->second.owner, binding->second);
  return bindings_.erase(binding);
}

void BindingTable::confirm(std::string_view token, Instant expires) {
  if (Binding* binding = at(token)) {
    binding->confirmed = true;
    binding->expires = expires;
  }
}

void BindingTable::heard(std::string_view token, Instant silent_after) {
  if (Binding* binding = at(token)) {
    binding->silent_after = silent_after;
    binding->reachable = true;
  }
}

const Binding* BindingTable::find(std::string_view token) const {
  auto found = bindings_.find(std::string(token));
  return found == bindings_.end() ? nullptr : &found->second;
}

Binding* BindingTable::at(std::string_view token) {
  auto found = bindings_.find(std::string(token));
  return found == bindings_.end() ? nullptr : &found->second;
}

void BindingTable::remove(std::string_view token) {
  if (auto found = bindings_.find(std::string(token)); found != bindings_.end()) erase(found);
}

void BindingTable::drop_unconfirmed(std::string_view token) {
  const Binding* binding = find(token);
  if (binding && !binding->confirmed) remove(token);
}

void BindingTable::remove_all_of(std::string_view owner, std::string_view aor) {
  auto found = by_owner_.find(std::string(owner));
  if (found == by_owner_.end()) return;
  const std::vector<Binding*> of_owner(found->second.begin(), found->second.end());
  for (const Binding* binding : of_owner) {
    if (binding->aor == aor) erase(bindings_.find(binding->token));
  }
}

void BindingTable::lose(const sip::Flow& flow) {
  auto found = by_flow_.find(flow);
  if (found == by_flow_.end()) return;
  for (Binding* binding : found->second) binding->reachable = false;
}

void BindingTable::session_closed(std::uint64_t session) {
  lose(sip::Flow::link(session));
}

void BindingTable::flow_closed(const sip::Flow& flow) {
  if (flow.connection == 0) return;  // one that we open ourselves can be opened again
  lose(flow);
}

void BindingTable::reattach(std::string_view owner, std::string_view instance,
                            const sip::Flow& flow) {
  auto found = by_owner_.find(std::string(owner));
  if (found == by_owner_.end()) return;
  for (Binding* binding : found->second) {
    if (binding->reachable) continue;
    Result<sip::Uri, sip::Fault> contact = sip::Uri::parse(binding->contact_uri);
    if (contact && iequals(contact->host, instance)) move(*binding, flow);
  }
}

void BindingTable::expire(Instant now) {
  for (auto entry = bindings_.begin(); entry != bindings_.end();) {
    if (entry->second.silent_after <= now) entry->second.reachable = false;
    entry = entry->second.expires <= now ? erase(entry) : std::next(entry);
  }
}

std::size_t BindingTable::count_of_flow(const sip::Flow& flow) const {
  auto found = by_flow_.find(flow);
  return found == by_flow_.end() ? 0 : found->second.size();
}

std::vector<const Binding*> BindingTable::all() const {
  std::vector<const Binding*> out;
  out.reserve(bindings_.size());
  for (const auto& [token, binding] : bindings_) out.push_back(&binding);
  return out;
}

}  // namespace isthmus::call
