#include "provider/registrar.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

#include "base/text.hpp"

namespace isthmus::provider {

using sip::HeaderId;
using sip::Message;

namespace {

constexpr std::uint32_t kRetryOverLimit_s = 60;
constexpr std::int64_t kOldest_s =
    std::int64_t{86400} * 365;  // a refresh longer ago is as good as this

std::int64_t whole_seconds(Instant instant) {
  return std::chrono::floor<seconds>(instant.time_since_epoch()).count();
}

/// Whether a registration of `fresh` takes the place of `known`: by instance and reg-id (RFC 5626
/// §6), by instance alone for a device with one flow, else by URI (RFC 3261 §10.3 step 7).
bool same_binding(const Contact& known, const Contact& fresh) {
  if (fresh.reg_id > 0 || known.reg_id > 0) {
    return known.reg_id == fresh.reg_id && known.instance == fresh.instance;
  }
  if (!known.instance.empty() && known.instance == fresh.instance) return true;
  Result<sip::Uri, sip::Fault> x = sip::Uri::parse(known.uri), y = sip::Uri::parse(fresh.uri);
  return x && y && sip::equivalent(*x, *y);
}

/// RFC 3261 §10.3 steps 6 and 7: a request that was sent before the one that made the binding, and
/// arrives after it, must not undo it.
bool out_of_order(const Contact& known, const std::string& call_id, std::uint32_t cseq) {
  return known.call_id == call_id && cseq <= known.cseq;
}

const Refusal kOutOfOrder{500, "CSeq is not above that of an earlier request", {}};

/// RFC 3261 §20.17: "Sat, 13 Nov 2010 23:29:00 GMT".
std::string date_text(std::int64_t unix_s) {
  static constexpr std::array kDays{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr std::array kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  std::chrono::sys_seconds at{seconds(unix_s)};
  auto day = std::chrono::floor<std::chrono::days>(at);
  std::chrono::year_month_day date{day};
  std::chrono::hh_mm_ss time{at - day};
  char text[64];
  std::snprintf(text, sizeof text, "%s, %02u %s %04d %02d:%02d:%02d GMT",
                kDays[std::chrono::weekday{day}.c_encoding()], static_cast<unsigned>(date.day()),
                kMonths[static_cast<unsigned>(date.month()) - 1], static_cast<int>(date.year()),
                static_cast<int>(time.hours().count()), static_cast<int>(time.minutes().count()),
                static_cast<int>(time.seconds().count()));
  return text;
}

}  // namespace

Registrar::Registrar(Config config, std::function<bool(const sip::Flow&, std::string_view)> may_use,
                     Random& random)
    : config_(std::move(config)), may_use_(std::move(may_use)), random_(random) {}

Message Registrar::refusal_to(const Message& request, const Refusal& refusal) const {
  Message response =
      Message::response_to(request, refusal.status, refusal.reason, random_.token(12));
  for (const auto& [name, value] : refusal.headers) response.add(name, value);
  return response;
}

/// RFC 3261 §10.3 steps 1, 4 and 5; sets the user part of the address of record.
std::optional<Refusal> Registrar::refuse_address(const Message& request, const sip::Flow& flow,
                                                 std::string& user) const {
  Result<sip::NameAddr, sip::Fault> to = request.to();
  Result<sip::Uri, sip::Fault> aor = to ? sip::Uri::parse(to->uri) : sip::Uri::parse("");
  if (!aor || !aor->is_sip() || aor->user.empty()) {
    return Refusal{400, "To is not a SIP address of record"};
  }
  if (!iequals(aor->host, config_.domain)) return Refusal{404, "Not a domain of this registrar"};
  user = aor->decoded_user();
  if (!may_use_(flow, user)) return Refusal{403, "Not an address of this session"};
  return std::nullopt;
}

Message Registrar::on_register(const Message& request, const sip::Flow& flow, Instant now) {
  now_ = now;
  std::string user;
  if (auto refusal = refuse_address(request, flow, user)) return refusal_to(request, *refusal);
  std::optional<DigestGate::Accepted> accepted;
  if (gate_) {
    if (auto response = gate_->refuse_register(request, user, flow, now, accepted)) {
      return std::move(*response);
    }
  }
  Result<RegisterRequest, Refusal> order = read_register(request, config_.policy);
  if (!order) return refusal_to(request, order.error());
  // All or nothing (RFC 3261 §10.3 step 7): on a copy first.
  const Contacts* known = table_.find(user);
  Contacts contacts = known ? *known : Contacts();
  std::erase_if(contacts, [&](const Contact& contact) { return contact.expires <= now; });
  std::optional<Refusal> refusal =
      order->remove_all ? remove_all(request, contacts) : apply(*order, flow, now, contacts);
  if (!refusal && !order->updates.empty()) refusal = over_limits(user, flow, contacts);
  if (refusal) return refusal_to(request, *refusal);
  bool changes = order->remove_all || !order->updates.empty();
  if (changes) commit(user, std::move(contacts), now);
  Message response = answer(request, user, *order, now);
  if (accepted) gate_->add_authentication_info(response, *accepted, now);
  return response;
}

std::optional<Message> Registrar::challenge(Message& request, const sip::Flow& flow, Instant now) {
  if (!gate_ || request.method() == sip::Method::register_) return std::nullopt;
  return gate_->refuse(request, flow, now);
}

std::optional<Refusal> Registrar::remove_all(const Message& request, Contacts& contacts) const {
  std::string call_id(request.call_id());
  Result<sip::CSeq, sip::Fault> cseq = request.cseq();
  for (const Contact& contact : contacts) {
    if (out_of_order(contact, call_id, cseq ? cseq->number : 0)) return kOutOfOrder;
  }
  contacts.clear();
  return std::nullopt;
}

std::optional<Refusal> Registrar::apply(const RegisterRequest& order, const sip::Flow& flow,
                                        Instant now, Contacts& contacts) const {
  for (const RegisterRequest::Update& update : order.updates) {
    auto known = std::find_if(contacts.begin(), contacts.end(), [&](const Contact& contact) {
      return same_binding(contact, update.contact);
    });
    if (known != contacts.end() &&
        out_of_order(*known, update.contact.call_id, update.contact.cseq)) {
      // The same request may name one device twice; the second time is not out of order.
      if (known->refreshed != now || known->cseq != update.contact.cseq) return kOutOfOrder;
    }
    if (update.expires_s == 0) {
      if (known != contacts.end()) contacts.erase(known);
      continue;
    }
    Contact fresh = update.contact;
    fresh.flow = flow;
    fresh.expires = now + seconds(update.expires_s);
    fresh.refreshed = now;
    if (known == contacts.end()) {
      contacts.push_back(std::move(fresh));
    } else {
      *known = std::move(fresh);
    }
  }
  return std::nullopt;
}

/// Refreshing takes no new place anywhere.
std::optional<Refusal> Registrar::over_limits(const std::string& user, const sip::Flow& flow,
                                              const Contacts& contacts) const {
  const Contacts* known = table_.find(user);
  std::size_t before = known ? known->size() : 0;
  if (contacts.size() <= before) return std::nullopt;
  if (contacts.size() > limits::kContactsPerAor) {
    return Refusal{403, "Too many contacts of this address"};
  }
  std::size_t added = contacts.size() - before;
  std::string wait = std::to_string(kRetryOverLimit_s);
  if (table_.count_of(flow) + added > config_.max_contacts_per_flow) {
    return Refusal{503, "Too many registrations on this link", {{"Retry-After", wait}}};
  }
  if (table_.size() + added > limits::kRegistrarContacts) {
    return Refusal{503, "The registrar is full", {{"Retry-After", wait}}};
  }
  return std::nullopt;
}

void Registrar::commit(const std::string& user, Contacts contacts, Instant now) {
  bool before = available(user, now);
  table_.replace(user, std::move(contacts));
  store(user);
  if (on_available && !before && available(user, now)) on_available(user);
}

void Registrar::store(const std::string& user) {
  if (!store_) return;
  std::vector<StoredContact> kept;
  if (const Contacts* contacts = table_.find(user)) {
    for (const Contact& contact : *contacts) {
      kept.push_back({user, contact.uri, contact.instance, contact.params, contact.reg_id,
                      contact.path, contact.user_agent, contact.call_id, contact.cseq, contact.q,
                      unix_of(contact.expires), unix_of(contact.refreshed)});
    }
  }
  store_->put(user, std::move(kept));
}

bool Registrar::available(std::string_view user, Instant now) const {
  const Contacts* contacts = table_.find(user);
  return contacts && std::any_of(contacts->begin(), contacts->end(), [&](const Contact& contact) {
           return contact.reachable && contact.expires > now;
         });
}

/// RFC 3261 §10.3 step 8, RFC 3327 §5.3, RFC 3608 §6, RFC 5626 §6.
Message Registrar::answer(const Message& request, const std::string& user,
                          const RegisterRequest& order, Instant now) const {
  Message response = Message::response_to(request, 200, {}, random_.token(12));
  if (const Contacts* contacts = table_.find(user)) {
    for (const Contact& contact : *contacts) {
      if (contact.expires <= now) continue;
      auto left = std::chrono::ceil<seconds>(contact.expires - now).count();
      response.add(HeaderId::contact,
                   "<" + contact.uri + ">" + contact.params + ";expires=" + std::to_string(left));
    }
  }
  if (!order.path.empty()) response.add(HeaderId::path, order.path);
  for (const std::string& route : config_.service_route) {
    response.add(HeaderId::service_route, route);
  }
  if (order.outbound && order.returns_outbound) {
    response.add(HeaderId::require, "outbound");
    if (config_.flow_timer_s > 0) {
      response.add("Flow-Timer", std::to_string(config_.flow_timer_s));
    }
  }
  if (wall_offset_s_) response.add(HeaderId::date, date_text(unix_of(now)));
  return response;
}

std::vector<Contact> Registrar::lookup(std::string_view user, Instant now) const {
  std::vector<Contact> live;
  const Contacts* contacts = table_.find(user);
  if (!contacts) return live;
  for (const Contact& contact : *contacts) {
    if (contact.expires > now && contact.reachable) live.push_back(contact);
  }
  std::stable_sort(live.begin(), live.end(),
                   [](const Contact& a, const Contact& b) { return a.q > b.q; });
  return live;
}

std::vector<std::vector<Contact>> Registrar::devices(std::string_view user, Instant now) const {
  std::vector<std::vector<Contact>> devices;
  for (Contact& contact : lookup(user, now)) {
    auto device = std::find_if(devices.begin(), devices.end(), [&](const auto& flows) {
      return contact.reg_id > 0 && flows.front().reg_id > 0 &&
             flows.front().instance == contact.instance;
    });
    if (device == devices.end()) {
      devices.push_back({std::move(contact)});
    } else {
      device->push_back(std::move(contact));
    }
  }
  for (std::vector<Contact>& flows : devices) {
    std::stable_sort(flows.begin(), flows.end(),
                     [](const Contact& a, const Contact& b) { return a.refreshed > b.refreshed; });
  }
  return devices;
}

void Registrar::session_closed(std::uint64_t session) {
  sip::Flow flow = sip::Flow::link(session);
  for (const std::string& user : table_.users_of(flow)) {
    Contacts contacts = *table_.find(user);
    for (Contact& contact : contacts) {
      if (contact.flow == flow) contact.reachable = false;
    }
    table_.replace(user, std::move(contacts));
  }
}

void Registrar::reattach(std::string_view instance, const sip::Flow& flow) {
  for (const std::string& user : table_.users_at(to_lower(instance))) {
    if (!may_use_(flow, user)) continue;
    bool before = available(user, now_);
    Contacts contacts = *table_.find(user);
    for (Contact& contact : contacts) {
      if (contact.reachable || !iequals(contact.host, instance)) continue;
      contact.flow = flow;
      contact.reachable = true;
    }
    table_.replace(user, std::move(contacts));
    if (on_available && !before && available(user, now_)) on_available(user);
  }
}

void Registrar::set_wall_clock(WallSeconds wall, Instant now) {
  wall_offset_s_ = wall.time_since_epoch().count() - whole_seconds(now);
  now_ = now;
}

std::int64_t Registrar::unix_of(Instant instant) const {
  return whole_seconds(instant) + wall_offset_s_.value_or(0);
}

std::size_t Registrar::restore(const std::vector<StoredContact>& stored, Instant now) {
  now_ = now;
  std::map<std::string, Contacts> users;
  std::size_t taken = 0;
  std::int64_t wall = unix_of(now);
  for (const StoredContact& kept : stored) {
    Result<sip::Uri, sip::Fault> uri = sip::Uri::parse(kept.uri);
    if (!uri || kept.expires_unix_s <= wall || taken >= limits::kRegistrarContacts) continue;
    Contacts& contacts = users[kept.user];
    if (contacts.size() >= limits::kContactsPerAor) continue;
    Contact contact;
    contact.uri = kept.uri;
    contact.instance = kept.instance;
    contact.reg_id = kept.reg_id;
    contact.params = kept.params;
    contact.path = kept.path;
    contact.user_agent = kept.user_agent;
    contact.call_id = kept.call_id;
    contact.cseq = kept.cseq;
    contact.q = kept.q;
    // Nobody was granted more: a clock that was set back must not keep a contact for years.
    std::int64_t left =
        std::min<std::int64_t>(kept.expires_unix_s - wall, config_.policy.max_expires_s);
    contact.expires = now + seconds(left);
    std::int64_t age = std::clamp<std::int64_t>(wall - kept.refreshed_unix_s, 0, kOldest_s);
    contact.refreshed = now - seconds(age);
    contact.reachable = false;
    contact.host = to_lower(uri->host);
    contacts.push_back(std::move(contact));
    ++taken;
  }
  for (auto& [user, contacts] : users) table_.replace(user, std::move(contacts));
  return taken;
}

void Registrar::expire(Instant now) {
  now_ = now;
  for (const std::string& user : table_.sweep(now, limits::kRegistrarSweepUsers)) store(user);
}

std::vector<Registrar::Entry> Registrar::all() const {
  std::vector<Entry> out;
  for (const auto& [user, contacts] : table_.all()) {
    for (const Contact& contact : contacts) out.push_back({user, contact});
  }
  return out;
}

}  // namespace isthmus::provider
