#include "call/binding_table.hpp"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>

#include "base/text.hpp"
#include "sip/uri.hpp"

namespace isthmus::call {
namespace {

constexpr std::size_t kTokenCharacters = 20;        // 100 bits: not to be guessed
constexpr Duration kUnconfirmedLife = seconds(64);  // a REGISTER transaction ends before this

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
  Binding& binding = bindings_[token];
  if (!binding.confirmed) {
    binding.token = token;
    binding.owner = owner;
    binding.aor = aor;
    binding.contact_uri = contact_uri;
    binding.expires = now + kUnconfirmedLife;
  }
  binding.flow = flow;
  binding.reachable = true;
  binding.silent_after = Instant::max();
  return binding;
}

void BindingTable::confirm(std::string_view token, Instant expires) {
  if (Binding* binding = find(token)) {
    binding->confirmed = true;
    binding->expires = expires;
  }
}

void BindingTable::heard(std::string_view token, Instant silent_after) {
  if (Binding* binding = find(token)) {
    binding->silent_after = silent_after;
    binding->reachable = true;
  }
}

Binding* BindingTable::find(std::string_view token) {
  auto found = bindings_.find(std::string(token));
  return found == bindings_.end() ? nullptr : &found->second;
}

void BindingTable::remove(std::string_view token) {
  bindings_.erase(std::string(token));
}

void BindingTable::drop_unconfirmed(std::string_view token) {
  Binding* binding = find(token);
  if (binding && !binding->confirmed) remove(token);
}

void BindingTable::remove_all_of(std::string_view owner, std::string_view aor) {
  std::erase_if(bindings_, [&](const auto& entry) {
    return entry.second.owner == owner && entry.second.aor == aor;
  });
}

void BindingTable::session_closed(std::uint64_t session) {
  for (auto& [token, binding] : bindings_) {
    if (binding.flow.is_link() && binding.flow.session == session) binding.reachable = false;
  }
}

void BindingTable::flow_closed(const sip::Flow& flow) {
  if (flow.connection == 0) return;  // one that we open ourselves can be opened again
  for (auto& [token, binding] : bindings_) {
    if (binding.flow == flow) binding.reachable = false;
  }
}

void BindingTable::reattach(std::string_view owner, std::string_view instance,
                            const sip::Flow& flow) {
  for (auto& [token, binding] : bindings_) {
    if (binding.reachable || binding.owner != owner) continue;
    Result<sip::Uri, sip::Fault> contact = sip::Uri::parse(binding.contact_uri);
    if (!contact || !iequals(contact->host, instance)) continue;
    binding.flow = flow;
    binding.reachable = true;
    binding.silent_after = Instant::max();  // until it refreshes anew
  }
}

void BindingTable::expire(Instant now) {
  for (auto& [token, binding] : bindings_) {
    if (binding.silent_after <= now) binding.reachable = false;
  }
  std::erase_if(bindings_, [&](const auto& entry) { return entry.second.expires <= now; });
}

std::size_t BindingTable::count_of_flow(const sip::Flow& flow) const {
  return static_cast<std::size_t>(
      std::count_if(bindings_.begin(), bindings_.end(),
                    [&](const auto& entry) { return entry.second.flow == flow; }));
}

std::vector<const Binding*> BindingTable::all() const {
  std::vector<const Binding*> out;
  out.reserve(bindings_.size());
  for (const auto& [token, binding] : bindings_) out.push_back(&binding);
  return out;
}

}  // namespace isthmus::call
