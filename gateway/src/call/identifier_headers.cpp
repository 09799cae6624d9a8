// IdentifierMap: the headers and bodies in which messages name dialogs and places.
#include <algorithm>

#include "base/limits.hpp"
#include "base/text.hpp"
#include "call/identifier_map.hpp"
#include "sip/quoted_string.hpp"

namespace isthmus::call {

using sip::HeaderId;

namespace {

constexpr std::string_view kInReplyTo = "In-Reply-To";

/// "call-id;to-tag=a;from-tag=b;early-only", as Replaces, Join and Target-Dialog have it.
struct DialogHeader {
  DialogWords words;
  sip::Params params;
  const char* local;  ///< names of the parameters
  const char* remote;

  static std::optional<DialogHeader> parse(std::string_view value, bool target_dialog) {
    DialogHeader header;
    header.local = target_dialog ? "local-tag" : "to-tag";
    header.remote = target_dialog ? "remote-tag" : "from-tag";
    std::size_t end = std::min(value.find(';'), value.size());
    std::optional<sip::Params> params = sip::Params::parse(trim(value.substr(end)));
    header.words.call_id = std::string(trim(value.substr(0, end)));
    if (!params || header.words.call_id.empty()) return std::nullopt;
    header.params = std::move(*params);
    header.words.local_tag = std::string(header.params.get(header.local).value_or(""));
    header.words.remote_tag = std::string(header.params.get(header.remote).value_or(""));
    return header;
  }
  std::string to_string(const DialogWords& other) const {
    sip::Params changed = params;
    if (params.has(local)) changed.set(local, other.local_tag);
    if (params.has(remote)) changed.set(remote, other.remote_tag);
    return other.call_id + changed.to_string();
  }
};

/// What may stand in the value of a URI header as it is (RFC 3261 §25.1, hnv-unreserved left out).
bool is_unreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("-_.!~*'()").find(c) != std::string_view::npos;
}

std::string escaped(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (is_unreserved(c)) {
      out += c;
    } else {
      append_percent_encoded(out, c);
    }
  }
  return out;
}

/// "name=value&name=value" of a URI.
std::vector<std::pair<std::string_view, std::string_view>> uri_headers(std::string_view text) {
  std::vector<std::pair<std::string_view, std::string_view>> out;
  while (!text.empty()) {
    std::size_t end = std::min(text.find('&'), text.size());
    std::string_view field = text.substr(0, end);
    std::size_t equals = std::min(field.find('='), field.size());
    out.emplace_back(field.substr(0, equals), field.substr(std::min(equals + 1, field.size())));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

bool is_dialog_info(const sip::Message& message) {
  return message.content_type() == "application/dialog-info+xml";
}

}  // namespace

void IdentifierMap::map(sip::Message& message, const Crossing& crossing) {
  bool replaces = false, join = false, target = false, refer = false, event = false, reply = false;
  for (std::size_t i = 0; i < message.field_count(); ++i) {
    sip::Message::Field field = message.field(i);
    replaces = replaces || field.id == HeaderId::replaces;
    join = join || field.id == HeaderId::join;
    target = target || field.id == HeaderId::target_dialog;
    refer = refer || field.id == HeaderId::refer_to;
    event = event || field.id == HeaderId::event;
    reply = reply || (field.id == HeaderId::other && iequals(field.name, kInReplyTo));
  }
  if (replaces) map_dialog_header(message, HeaderId::replaces, crossing);
  if (join) map_dialog_header(message, HeaderId::join, crossing);
  if (target) map_dialog_header(message, HeaderId::target_dialog, crossing);
  if (refer) map_refer_to(message, crossing);
  if (event) map_event(message, crossing);
  if (reply) map_in_reply_to(message, crossing);
  if (!message.body().empty() && is_dialog_info(message)) map_dialog_info(message, crossing);
  if (message.status() / 100 == 3) map_redirect(message, crossing);
}

void IdentifierMap::map_dialog_header(sip::Message& message, HeaderId header,
                                      const Crossing& crossing) {
  auto named =
      DialogHeader::parse(message.get(header).value_or(""), header == HeaderId::target_dialog);
  if (!named) return;
  std::optional<DialogWords> other = translate(named->words, crossing);
  if (other) message.set(header, named->to_string(*other));
}

/// `Event: dialog;call-id="x";to-tag="y";from-tag="z"` asks for one dialog (RFC 4235 §3.2). The
/// tags are said from who is asked, as in Replaces.
void IdentifierMap::map_event(sip::Message& message, const Crossing& crossing) {
  std::string_view value = message.get(HeaderId::event).value_or("");
  std::size_t end = std::min(value.find(';'), value.size());
  std::string package(trim(value.substr(0, end)));
  if (!iequals(package, "dialog") || end == value.size()) return;
  std::optional<sip::Params> params = sip::Params::parse(trim(value.substr(end)));
  if (!params || !params->has("call-id")) return;
  auto get = [&](std::string_view name) { return sip::unquoted(params->get(name).value_or("")); };
  std::optional<DialogWords> other =
      translate({get("call-id"), get("to-tag"), get("from-tag")}, crossing);
  if (!other) return;
  params->set("call-id", sip::quoted_string(other->call_id));
  if (params->has("to-tag")) params->set("to-tag", sip::quoted_string(other->local_tag));
  if (params->has("from-tag")) params->set("from-tag", sip::quoted_string(other->remote_tag));
  message.set(HeaderId::event, package + params->to_string());
}

void IdentifierMap::map_in_reply_to(sip::Message& message, const Crossing& crossing) {
  std::string values;
  std::size_t count = 0;
  bool changed = false;
  for (std::string_view field : message.fields(kInReplyTo)) {
    for (std::string_view call_id : sip::split_list(field)) {
      if (++count > limits::kDialogInfoElements) return;
      std::string other = map_call_id(trim(call_id), crossing);
      changed = changed || other != trim(call_id);
      if (!values.empty()) values += ", ";
      values += other;
    }
  }
  if (changed) message.set(kInReplyTo, values);
}

void IdentifierMap::map_refer_to(sip::Message& message, const Crossing& crossing) {
  Result<sip::NameAddr, sip::Fault> refer =
      sip::NameAddr::parse(message.get(HeaderId::refer_to).value_or(""));
  Result<sip::Uri, sip::Fault> uri = refer ? sip::Uri::parse(refer->uri) : sip::Uri::parse("");
  if (!uri || !uri->is_sip()) return;
  bool changed = false;
  std::optional<Match> match;
  std::string headers;
  for (auto [name, value] : uri_headers(uri->headers)) {
    if (!headers.empty()) headers += '&';
    headers.append(name).append("=");
    bool names_dialog = iequals(name, "Replaces") || iequals(name, "Join");
    auto named = names_dialog ? DialogHeader::parse(sip::percent_decode(value), false)
                              : std::optional<DialogHeader>();
    std::optional<DialogWords> other =
        named ? translate(named->words, crossing, &match) : std::optional<DialogWords>();
    changed = changed || other.has_value();
    headers += other ? escaped(named->to_string(*other)) : std::string(value);
  }
  if (changed) uri->headers = headers;
  std::string text = changed ? uri->to_string() : refer->uri;
  if (std::optional<std::string> other = map_uri(text, crossing, match)) {
    text = *other;
    changed = true;
  }
  if (!changed) return;
  refer->uri = text;
  message.set(HeaderId::refer_to, refer->to_string());
}

/// The Contacts of a redirection lead where only its sender can reach, or tell where that is.
void IdentifierMap::map_redirect(sip::Message& message, const Crossing& crossing) {
  std::string values;
  bool changed = false;
  for (std::string_view value : message.values(HeaderId::contact)) {
    Result<sip::NameAddr, sip::Fault> contact = sip::NameAddr::parse(value);
    std::optional<std::string> other =
        contact && !contact->star ? map_uri(contact->uri, crossing, std::nullopt) : std::nullopt;
    if (!values.empty()) values += ", ";
    if (other) {
      contact->uri = *other;
      values += contact->to_string();
      changed = true;
    } else {
      values += value;
    }
  }
  if (changed) message.set(HeaderId::contact, values);
}

void IdentifierMap::map_dialog_info(sip::Message& message, const Crossing& crossing) {
  std::optional<std::string> rewritten = rewrite_dialog_info(
      message.body(), [&](const DialogWords& words) { return translate(words, crossing); },
      [&](std::string_view uri) { return map_uri(uri, crossing, std::nullopt); });
  if (rewritten && *rewritten != message.body()) message.set_body(*rewritten);
}

}  // namespace isthmus::call
