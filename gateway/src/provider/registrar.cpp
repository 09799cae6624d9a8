#include "provider/registrar.hpp"

#include <algorithm>
#include <cstdlib>

#include "base/limits.hpp"
#include "base/text.hpp"

namespace isthmus::provider {

using sip::HeaderId;
using sip::Message;

namespace {

double q_of(const sip::NameAddr& contact) {
  std::optional<std::string_view> q = contact.params.get("q");
  if (!q) return 1.0;
  double value = std::strtod(std::string(*q).c_str(), nullptr);
  return value >= 0 && value <= 1 ? value : 1.0;
}

bool same_device(const Contact& a, const Contact& b) {
  if (!a.instance.empty() && a.instance == b.instance) return true;
  Result<sip::Uri, sip::Fault> x = sip::Uri::parse(a.uri), y = sip::Uri::parse(b.uri);
  return x && y && sip::equivalent(*x, *y);
}

}  // namespace

Registrar::Registrar(Config config, std::function<bool(const sip::Flow&, std::string_view)> may_use,
                     Random& random)
    : config_(std::move(config)), may_use_(std::move(may_use)), random_(random) {}

/// Checks of RFC 3261 §10.3 steps 3 to 5; sets the user part of the address of record.
std::optional<Message> Registrar::refuse(const Message& request, const sip::Flow& flow,
                                         std::string& user) const {
  Result<sip::NameAddr, sip::Fault> to = request.to();
  Result<sip::Uri, sip::Fault> aor = to ? sip::Uri::parse(to->uri) : sip::Uri::parse("");
  if (!aor || !aor->is_sip() || aor->user.empty()) {
    return Message::response_to(request, 400, "To is not a SIP address of record",
                                random_.token(12));
  }
  if (!iequals(aor->host, config_.domain)) {
    return Message::response_to(request, 404, "Not a domain of this registrar", random_.token(12));
  }
  user = aor->decoded_user();
  if (!may_use_(flow, user)) {
    return Message::response_to(request, 403, "Not an address of this session", random_.token(12));
  }
  for (std::string_view option : request.values(HeaderId::require)) {
    if (iequals(trim(option), "path") || iequals(trim(option), "outbound")) continue;
    Message response = Message::response_to(request, 420, {}, random_.token(12));
    response.add(HeaderId::unsupported, option);
    return response;
  }
  return std::nullopt;
}

Message Registrar::on_register(const Message& request, const sip::Flow& flow, Instant now) {
  std::string user;
  if (std::optional<Message> refusal = refuse(request, flow, user)) return *refusal;
  std::uint32_t common = request.number(HeaderId::expires).value_or(config_.default_expires_s);
  Result<sip::CSeq, sip::Fault> cseq = request.cseq();
  std::vector<Update> updates;
  for (std::string_view value : request.values(HeaderId::contact)) {
    Result<sip::NameAddr, sip::Fault> contact = sip::NameAddr::parse(value);
    if (!contact)
      return Message::response_to(request, 400, contact.error().reason(), random_.token(12));
    if (contact->star) {
      bool alone = request.values(HeaderId::contact).size() == 1 && common == 0 &&
                   request.has(HeaderId::expires);
      if (!alone)
        return Message::response_to(request, 400, "Contact * needs Expires: 0", random_.token(12));
      contacts_.erase(user);
      return answer(request, user, now);
    }
    Update update;
    update.contact.uri = contact->uri;
    update.contact.instance = std::string(contact->params.get("+sip.instance").value_or(""));
    update.contact.flow = flow;
    update.contact.call_id = request.call_id();
    update.contact.cseq = cseq ? cseq->number : 0;
    update.contact.q = q_of(*contact);
    std::optional<std::string_view> own = contact->params.get("expires");
    update.expires_s =
        own ? parse_number<std::uint32_t>(*own).value_or(config_.default_expires_s) : common;
    if (update.expires_s > 0 && update.expires_s < config_.min_expires_s) {
      Message response = Message::response_to(request, 423, {}, random_.token(12));
      response.add(HeaderId::min_expires, std::to_string(config_.min_expires_s));
      return response;
    }
    update.expires_s = std::min(update.expires_s, config_.max_expires_s);
    updates.push_back(std::move(update));
  }
  // All or nothing (RFC 3261 §10.3 step 7): on a copy first. Refreshing takes no new place.
  auto known = contacts_.find(user);
  std::vector<Contact> contacts = known == contacts_.end() ? std::vector<Contact>() : known->second;
  std::erase_if(contacts, [&](const Contact& contact) { return contact.expires <= now; });
  for (Update& update : updates) apply(contacts, std::move(update), now);
  if (contacts.size() > limits::kContactsPerAor) {
    return Message::response_to(request, 403, "Too many contacts of this address",
                                random_.token(12));
  }
  if (contacts.empty()) {
    contacts_.erase(user);
  } else {
    contacts_[user] = std::move(contacts);
  }
  return answer(request, user, now);
}

void Registrar::apply(std::vector<Contact>& contacts, Update update, Instant now) {
  auto known = std::find_if(contacts.begin(), contacts.end(), [&](const Contact& contact) {
    return same_device(contact, update.contact);
  });
  update.contact.expires = now + seconds(update.expires_s);
  if (known == contacts.end()) {
    if (update.expires_s > 0) contacts.push_back(std::move(update.contact));
    return;
  }
  // An old request that arrives late changes nothing (RFC 3261 §10.3 step 7).
  if (known->call_id == update.contact.call_id && update.contact.cseq < known->cseq) return;
  if (update.expires_s == 0) {
    contacts.erase(known);
  } else {
    *known = std::move(update.contact);
  }
}

Message Registrar::answer(const Message& request, const std::string& user, Instant now) const {
  Message response = Message::response_to(request, 200, {}, random_.token(12));
  for (const Contact& contact : lookup(user, now)) {
    auto left = std::chrono::ceil<seconds>(contact.expires - now).count();
    std::string value = "<" + contact.uri + ">;expires=" + std::to_string(left);
    if (!contact.instance.empty()) value += ";+sip.instance=" + contact.instance;
    response.add(HeaderId::contact, value);
  }
  return response;
}

std::vector<Contact> Registrar::lookup(std::string_view user, Instant now) const {
  std::vector<Contact> live;
  auto found = contacts_.find(user);
  if (found == contacts_.end()) return live;
  for (const Contact& contact : found->second) {
    if (contact.expires > now && contact.reachable) live.push_back(contact);
  }
  std::stable_sort(live.begin(), live.end(),
                   [](const Contact& a, const Contact& b) { return a.q > b.q; });
  return live;
}

void Registrar::session_closed(std::uint64_t session) {
  for (auto& [user, contacts] : contacts_) {
    for (Contact& contact : contacts) {
      if (contact.flow.is_link() && contact.flow.session == session) contact.reachable = false;
    }
  }
}

void Registrar::reattach(std::string_view instance, const sip::Flow& flow) {
  for (auto& [user, contacts] : contacts_) {
    if (!may_use_(flow, user)) continue;
    for (Contact& contact : contacts) {
      Result<sip::Uri, sip::Fault> uri = sip::Uri::parse(contact.uri);
      if (contact.reachable || !uri || !iequals(uri->host, instance)) continue;
      contact.flow = flow;
      contact.reachable = true;
    }
  }
}

void Registrar::expire(Instant now) {
  for (auto& [user, contacts] : contacts_) {
    std::erase_if(contacts, [&](const Contact& contact) { return contact.expires <= now; });
  }
  std::erase_if(contacts_, [](const auto& entry) { return entry.second.empty(); });
}

std::size_t Registrar::contact_count() const {
  std::size_t count = 0;
  for (const auto& [user, contacts] : contacts_) count += contacts.size();
  return count;
}

std::vector<Registrar::Entry> Registrar::all() const {
  std::vector<Entry> out;
  for (const auto& [user, contacts] : contacts_) {
    for (const Contact& contact : contacts) out.push_back({user, contact});
  }
  return out;
}

}  // namespace isthmus::provider
