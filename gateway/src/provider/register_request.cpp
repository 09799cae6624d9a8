#include "provider/register_request.hpp"

#include <algorithm>
#include <cstdlib>
#include <optional>

#include "base/limits.hpp"
#include "base/text.hpp"

namespace isthmus::provider {

using sip::HeaderId;
using sip::Message;

namespace {

constexpr std::uint32_t kHour_s = 3600;

bool says(const Message& request, std::string_view option) {
  return request.lists(HeaderId::supported, option) || request.lists(HeaderId::require, option);
}

/// RFC 3261 §10.3 step 2, §8.2.2.3: all options that are not known, at once.
std::optional<Refusal> refuse_options(const Message& request, const RegisterPolicy& policy) {
  std::string unknown;
  for (std::string_view value : request.values(HeaderId::require)) {
    std::string_view option = trim(value);
    bool known =
        iequals(option, "outbound") || (iequals(option, "path") && policy.path != PathPolicy::off);
    if (known) continue;
    if (!unknown.empty()) unknown += ", ";
    unknown += option;
  }
  if (unknown.empty()) return std::nullopt;
  return Refusal{420, {}, {{"Unsupported", unknown}}};
}

struct Path {
  std::vector<std::string> values;
  bool outbound = false;  ///< the first hop said that it keeps flows (";ob", RFC 5626 §5.1)
};

Result<Path, Refusal> read_path(const Message& request, const RegisterPolicy& policy) {
  Path path;
  if (policy.path == PathPolicy::off || !request.has(HeaderId::path)) return path;
  if (policy.path == PathPolicy::strict && !says(request, "path")) {
    return Refusal{421, {}, {{"Require", "path"}}};
  }
  for (std::string_view value : request.values(HeaderId::path)) {
    Result<sip::NameAddr, sip::Fault> hop = sip::NameAddr::parse(value);
    Result<sip::Uri, sip::Fault> uri =
        hop && !hop->star ? sip::Uri::parse(hop->uri) : sip::Uri::parse("");
    if (!uri || !uri->is_sip()) return Refusal{400, "Path holds something that is no SIP URI"};
    // Only the first hop puts it there, wherever proxies behind it have put their own.
    path.outbound = path.outbound || uri->params.has("ob");
    path.values.emplace_back(value);
  }
  if (path.values.size() > limits::kPathPerContact) return Refusal{400, "Path is too long"};
  return path;
}

std::optional<double> q_of(const sip::NameAddr& contact) {
  std::optional<std::string_view> q = contact.params.get("q");
  if (!q) return 1.0;
  bool digits = !q->empty() && q->size() <= 5 &&
                q->find_first_not_of("0123456789.") == std::string_view::npos;
  if (!digits) return std::nullopt;
  double value = std::strtod(std::string(*q).c_str(), nullptr);
  return value <= 1 ? std::optional(value) : std::nullopt;
}

/// A malformed time counts as none (RFC 3261 §10.3 step 7).
std::uint32_t expires_of(const sip::NameAddr& contact, const Message& request,
                         const RegisterPolicy& policy) {
  std::uint32_t common = request.number(HeaderId::expires).value_or(policy.default_expires_s);
  std::optional<std::string_view> own = contact.params.get("expires");
  return own ? parse_number<std::uint32_t>(*own).value_or(policy.default_expires_s) : common;
}

/// One Contact; RFC 5626's part of it is judged later.
Result<RegisterRequest::Update, Refusal> read_contact(std::string_view value,
                                                      const Message& request,
                                                      const RegisterPolicy& policy) {
  Result<sip::NameAddr, sip::Fault> contact = sip::NameAddr::parse(value);
  if (!contact) return Refusal{400, contact.error().reason()};
  Result<sip::Uri, sip::Fault> uri = sip::Uri::parse(contact->uri);
  if (!uri || !uri->is_sip()) return Refusal{400, "Contact is no SIP URI"};
  std::optional<double> q = q_of(*contact);
  if (!q) return Refusal{400, "q of a Contact is not between 0 and 1"};
  RegisterRequest::Update update;
  update.contact.uri = contact->uri;
  update.contact.host = to_lower(uri->host);
  update.contact.instance = std::string(contact->params.get("+sip.instance").value_or(""));
  if (auto reg_id = contact->params.get("reg-id")) {
    auto number = parse_number<std::uint32_t>(*reg_id);
    if (!number || *number == 0) return Refusal{400, "reg-id is no number from 1 up"};
    update.contact.reg_id = update.contact.instance.empty() ? 0 : *number;  // RFC 5626 §6
  }
  update.contact.q = *q;
  update.expires_s = expires_of(*contact, request, policy);
  contact->params.remove("expires");
  update.contact.params = contact->params.to_string();
  if (update.contact.uri.size() + update.contact.params.size() > limits::kContactBytes) {
    return Refusal{400, "Contact is too long"};
  }
  // RFC 3261 §10.3 step 7: an hour is never too brief.
  if (update.expires_s > 0 && update.expires_s < std::min(policy.min_expires_s, kHour_s)) {
    return Refusal{423, {}, {{"Min-Expires", std::to_string(policy.min_expires_s)}}};
  }
  update.expires_s = std::min(update.expires_s, policy.max_expires_s);
  return update;
}

/// RFC 5626 §6: whether a flow may be used for what asks for it, and what becomes of reg-id if not.
std::optional<Refusal> judge_outbound(const Message& request, const Path& path,
                                      RegisterRequest& out) {
  auto numbered = [](const RegisterRequest::Update& update) { return update.contact.reg_id > 0; };
  if (std::none_of(out.updates.begin(), out.updates.end(), numbered)) return std::nullopt;
  auto kept = std::count_if(out.updates.begin(), out.updates.end(),
                            [](const auto& update) { return update.expires_s > 0; });
  if (kept > 1) return Refusal{400, "A request with reg-id registers one Contact"};
  bool first_hop_keeps_flows = request.values(HeaderId::via).size() == 1 || path.outbound;
  if (first_hop_keeps_flows) {
    out.outbound = true;
    out.returns_outbound = says(request, "outbound");
    return std::nullopt;
  }
  if (says(request, "outbound")) return Refusal{439, {}};
  for (RegisterRequest::Update& update : out.updates) update.contact.reg_id = 0;
  return std::nullopt;
}

}  // namespace

Result<RegisterRequest, Refusal> read_register(const Message& request,
                                               const RegisterPolicy& policy) {
  if (auto refusal = refuse_options(request, policy)) return *refusal;
  Result<Path, Refusal> path = read_path(request, policy);
  if (!path) return path.error();
  RegisterRequest out;
  std::vector<std::string_view> contacts = request.values(HeaderId::contact);
  std::size_t path_bytes = 0;
  for (const std::string& value : path->values) {
    path_bytes += value.size();
    if (says(request, "path")) out.path += (out.path.empty() ? "" : ", ") + value;
  }
  if (path_bytes > limits::kContactBytes) return Refusal{400, "Path is too long"};
  if (std::any_of(contacts.begin(), contacts.end(),
                  [](std::string_view value) { return trim(value) == "*"; })) {
    bool alone = contacts.size() == 1 && request.number(HeaderId::expires) == std::uint32_t{0};
    if (!alone) return Refusal{400, "Contact * stands alone and needs Expires: 0"};
    out.remove_all = true;
    return out;
  }
  if (contacts.size() > limits::kContactsPerAor) return Refusal{403, "Too many contacts"};
  Result<sip::CSeq, sip::Fault> cseq = request.cseq();
  for (std::string_view value : contacts) {
    Result<RegisterRequest::Update, Refusal> update = read_contact(value, request, policy);
    if (!update) return update.error();
    update->contact.path = path->values;
    update->contact.call_id = std::string(request.call_id());
    update->contact.cseq = cseq ? cseq->number : 0;
    update->contact.user_agent =
        std::string(request.get(HeaderId::user_agent).value_or("").substr(0, 128));
    out.updates.push_back(std::move(*update));
  }
  if (auto refusal = judge_outbound(request, *path, out)) return *refusal;
  return out;
}

}  // namespace isthmus::provider
