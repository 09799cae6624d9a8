#include "call/register_throttle.hpp"

#include <openssl/evp.h>

#include <algorithm>

#include "base/bytes.hpp"
#include "base/limits.hpp"
#include "base/text.hpp"
#include "sip/digest.hpp"

namespace isthmus::call {

using sip::HeaderId;

namespace {

/// A refresh that goes to the registrar has this long to get through: one timer F (RFC 3261 §17).
constexpr std::uint32_t kRefreshRoom_s = 32;

/// What may differ between two REGISTERs that ask for the same.
bool is_passing(HeaderId id) {
  switch (id) {
    case HeaderId::via:
    case HeaderId::route:
    case HeaderId::record_route:
    case HeaderId::cseq:
    case HeaderId::max_forwards:
    case HeaderId::content_length:
    case HeaderId::expires:
    case HeaderId::date:
    case HeaderId::authorization:  // its user is compared apart
    case HeaderId::proxy_authorization:
      return true;
    default:
      return false;
  }
}

/// A name-addr without the parameters that belong to the moment.
std::string lasting(std::string_view value, std::string_view passing) {
  Result<sip::NameAddr, sip::Fault> address = sip::NameAddr::parse(value);
  if (!address) return std::string(value);
  address->params.remove(passing);
  return address->to_string();
}

std::string hashed(std::string_view text) {
  std::uint8_t digest[EVP_MAX_MD_SIZE] = {};
  unsigned length = 0;
  EVP_Digest(text.data(), text.size(), digest, &length, EVP_sha256(), nullptr);
  return std::string(reinterpret_cast<const char*>(digest), length);
}

std::string fingerprint_of(const sip::Message& request) {
  std::string text(request.request_uri());
  for (std::size_t i = 0; i < request.field_count(); ++i) {
    sip::Message::Field field = request.field(i);
    if (is_passing(field.id) || iequals(field.name, "Timestamp")) continue;
    text += '\n' + (field.id == HeaderId::other ? to_lower(field.name)
                                                : std::string(sip::to_text(field.id)));
    if (field.id == HeaderId::contact) {
      for (std::string_view value : sip::split_list(field.value))
        text += '\n' + lasting(value, "expires");
    } else {
      text += '\n' +
              (field.id == HeaderId::from ? lasting(field.value, "tag") : std::string(field.value));
    }
  }
  text += '\n';
  text += request.body();
  return hashed(text);
}

std::string digest_user_of(const sip::Message& request) {
  std::string users;
  for (HeaderId id : {HeaderId::authorization, HeaderId::proxy_authorization}) {
    for (std::string_view value : request.fields(id)) {
      auto credentials = sip::DigestCredentials::parse(value);
      if (credentials) users += credentials->realm + ' ' + credentials->username + '\n';
      if (!credentials) users += std::string(value) + '\n';  // not ours to understand
    }
  }
  return users;
}

std::vector<std::string> sorted(std::vector<std::string> tokens) {
  std::sort(tokens.begin(), tokens.end());
  return tokens;
}

/// Headers of a 2xx that hold as long as the registration does.
bool is_lasting_answer(const sip::Message::Field& field) {
  switch (field.id) {
    case HeaderId::via:
    case HeaderId::from:
    case HeaderId::to:
    case HeaderId::call_id:
    case HeaderId::cseq:
    case HeaderId::contact:
    case HeaderId::expires:
    case HeaderId::date:
    case HeaderId::content_length:
    case HeaderId::content_type:
    case HeaderId::record_route:
    case HeaderId::authentication_info:
    case HeaderId::server:
      return false;
    default:
      return !iequals(field.name, "Timestamp");
  }
}

}  // namespace

std::optional<std::uint32_t> asked_expires(const sip::Message& request,
                                           const sip::NameAddr& contact) {
  if (std::optional<std::string_view> own = contact.params.get("expires")) {
    if (auto number = parse_number<std::uint32_t>(*own)) return number;
  }
  return request.number(HeaderId::expires);
}

void RegisterThrottle::accepted(const sip::Message& request, const sip::Message& response,
                                Grant grant, Instant now) {
  forget(grant.tokens);
  // The device must get two more chances before the binding lapses, and no provider is to be asked
  // more than twice as often as it wants.
  std::uint32_t room =
      std::max(2 * grant.client_refresh_s + kRefreshRoom_s, grant.upstream_expires_s / 20);
  room = std::min(room, grant.upstream_expires_s / 2);
  Result<sip::CSeq, sip::Fault> cseq = request.cseq();
  if (!cseq || grant.tokens.empty()) return;
  auto entry = std::make_shared<Kept>();
  Kept& kept = *entry;
  kept.fingerprint = fingerprint_of(request);
  kept.digest_user = digest_user_of(request);
  kept.upstream = std::move(grant.upstream);
  kept.cseq = cseq->number;
  kept.upstream_expires = now + seconds(grant.upstream_expires_s);
  kept.pass_at = kept.upstream_expires - seconds(room);
  kept.tokens = sorted(std::move(grant.tokens));
  std::size_t size = 0;
  for (std::string_view value : response.values(HeaderId::contact)) {
    Result<sip::NameAddr, sip::Fault> contact = sip::NameAddr::parse(value);
    if (!contact) continue;
    KeptContact known;
    known.own = std::find(grant.own_uris.begin(), grant.own_uris.end(), contact->uri) !=
                grant.own_uris.end();
    std::uint32_t left = asked_expires(response, *contact).value_or(grant.upstream_expires_s);
    known.expires = now + seconds(left);
    contact->params.remove("expires");
    known.value = contact->to_string();
    size += known.value.size();
    kept.contacts.push_back(std::move(known));
  }
  for (std::size_t i = 0; i < response.field_count(); ++i) {
    sip::Message::Field field = response.field(i);
    if (!is_lasting_answer(field)) continue;
    size += field.name.size() + field.value.size();
    kept.headers.emplace_back(field.name, field.value);
  }
  if (size > limits::kKeptRegisterBytes) return;
  for (const std::string& token : kept.tokens) kept_[token] = entry;
}

std::optional<sip::Message> RegisterThrottle::answer(const sip::Message& request,
                                                     const std::vector<std::string>& tokens,
                                                     std::uint32_t client_refresh_s, Instant now,
                                                     std::string_view to_tag) {
  auto found = tokens.empty() ? kept_.end() : kept_.find(tokens.front());
  if (found == kept_.end()) return std::nullopt;
  Kept& kept = *found->second;
  Result<sip::CSeq, sip::Fault> cseq = request.cseq();
  if (now >= kept.pass_at || !cseq || cseq->number <= kept.cseq) return std::nullopt;
  if (kept.tokens != sorted(tokens) || kept.fingerprint != fingerprint_of(request)) {
    return std::nullopt;
  }
  std::string digest_user = digest_user_of(request);
  if (!digest_user.empty() && digest_user != kept.digest_user) return std::nullopt;
  std::uint32_t life_s = client_refresh_s;
  for (std::string_view value : request.values(HeaderId::contact)) {
    Result<sip::NameAddr, sip::Fault> contact = sip::NameAddr::parse(value);
    if (!contact) return std::nullopt;
    std::uint32_t asked = asked_expires(request, *contact).value_or(client_refresh_s);
    if (asked == 0) return std::nullopt;
    life_s = std::min(life_s, asked);
  }
  auto left = std::chrono::floor<seconds>(kept.upstream_expires - now).count();
  life_s = std::min(life_s, static_cast<std::uint32_t>(left / 2));
  kept.cseq = cseq->number;
  sip::Message response = sip::Message::response_to(request, 200, {}, to_tag);
  for (const KeptContact& contact : kept.contacts) {
    auto rest = contact.own ? life_s : std::chrono::ceil<seconds>(contact.expires - now).count();
    if (rest > 0)
      response.add(HeaderId::contact, contact.value + ";expires=" + std::to_string(rest));
  }
  for (const auto& [name, value] : kept.headers) response.add(name, value);
  return response;
}

void RegisterThrottle::forget(const std::vector<std::string>& tokens) {
  for (const std::string& token : tokens) {
    auto found = kept_.find(token);
    if (found == kept_.end()) continue;
    std::shared_ptr<Kept> kept = found->second;
    for (const std::string& other : kept->tokens) kept_.erase(other);
  }
}

void RegisterThrottle::forget_upstream(std::string_view upstream) {
  std::erase_if(kept_, [&](const auto& entry) { return entry.second->upstream == upstream; });
}

void RegisterThrottle::expire(Instant now) {
  std::erase_if(kept_, [&](const auto& entry) { return entry.second->pass_at <= now; });
}

}  // namespace isthmus::call
