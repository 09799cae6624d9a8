#include "provider/header_policy.hpp"

#include <algorithm>

#include "base/text.hpp"

namespace isthmus::provider {

using sip::HeaderId;
using sip::Message;
using sip::Method;

namespace {

/// Privacy values stand between semicolons (RFC 3323 §4.2), though some senders use commas.
std::vector<std::string> privacy_values(const Message& message) {
  std::vector<std::string> values;
  for (std::string_view field : message.fields(HeaderId::privacy)) {
    while (!field.empty()) {
      std::size_t end = field.find_first_of(";,");
      std::string_view value = trim(field.substr(0, end));
      if (!value.empty()) values.push_back(to_lower(value));
      field = end == std::string_view::npos ? std::string_view() : field.substr(end + 1);
    }
  }
  return values;
}

/// Takes out values that were done, as RFC 3323 §5 asks.
void drop_privacy(Message& message, std::initializer_list<std::string_view> done) {
  std::vector<std::string> left = privacy_values(message);
  std::erase_if(left, [&](const std::string& value) {
    return std::find(done.begin(), done.end(), value) != done.end();
  });
  std::string text;
  for (const std::string& value : left) text += (text.empty() ? "" : ";") + value;
  if (left.empty() || text == "critical") {
    message.remove(HeaderId::privacy);
  } else {
    message.set(HeaderId::privacy, text);
  }
}

/// RFC 3325 §9.1 with RFC 5876 §4: where P-Asserted-Identity has a meaning.
bool carries_identity(const Message& message) {
  Method method = message.method();
  return message.is_request() && method != Method::ack && method != Method::cancel &&
         method != Method::register_;
}

/// The identity that the client prefers, if it may be it; else who the session is (RFC 3325 §5).
std::string identity_to_assert(const Message& message, const ClientIdentity* client) {
  if (!client) return {};
  for (std::string_view value : message.values(HeaderId::p_preferred_identity)) {
    auto preferred = sip::NameAddr::parse(value);
    if (preferred && client->may_be(preferred->uri)) {
      preferred->params = {};
      return preferred->to_string();
    }
  }
  auto from = message.from();
  if (from && client->may_be(from->uri)) return "<" + from->uri + ">";
  return "<" + client->uri() + ">";
}

void apply_identity(Message& message, const HeaderParty& from, const HeaderParty& to) {
  if (!from.in_trust_domain()) message.remove(HeaderId::p_asserted_identity);
  bool asserts = to.provider && to.provider->assert_identity && !from.provider;
  if (asserts && carries_identity(message)) {
    std::string identity = identity_to_assert(message, from.client);
    message.remove(HeaderId::p_preferred_identity);
    bool has_one = message.has(HeaderId::p_asserted_identity);  // of a trusted client: believed
    if (!has_one && !identity.empty()) message.set(HeaderId::p_asserted_identity, identity);
  }
  // RFC 3325 §7: asked to keep it among us, and that side is not of us.
  if (!to.in_trust_domain() && asks_privacy(message, "id")) {
    message.remove(HeaderId::p_asserted_identity);
    message.remove(HeaderId::p_preferred_identity);
  }
  if (!to.in_trust_domain() && asks_privacy(message, "history")) {  // RFC 7044 §10.1.2
    message.remove(HeaderId::history_info);
  }
}

/// RFC 3323 §5.3 and §5.1. From is changed where the request is routed, for its whole dialog.
void apply_privacy(Message& message) {
  bool user = asks_privacy(message, "user"), header = asks_privacy(message, "header");
  if (!user && !header) return;
  for (const char* name : {"Subject", "Call-Info", "Organization", "User-Agent", "Reply-To",
                           "In-Reply-To", "Server"}) {
    message.remove(name);
  }
  drop_privacy(message, {"user", "header"});
}

void edit(Message& message, const HeaderEdits& edits) {
  for (const auto& [from, to] : edits.rename) {
    std::vector<std::string> values;
    for (std::string_view value : message.fields(from)) values.emplace_back(value);
    if (values.empty()) continue;
    message.remove(from);
    for (const std::string& value : values) message.add(to, value);
  }
  for (const std::string& name : edits.remove) message.remove(name);
  for (const auto& [name, value] : edits.set) message.set(name, value);
  for (const auto& [name, value] : edits.add) message.add(name, value);
}

void strip(Message& message, const HeaderPolicy& policy) {
  if (policy.strip_diversion) message.remove(HeaderId::diversion);
  if (policy.strip_history_info) message.remove(HeaderId::history_info);
  if (!policy.strip_software) return;
  message.remove(HeaderId::user_agent);
  message.remove(HeaderId::server);
}

}  // namespace

bool asks_privacy(const Message& message, std::string_view kind) {
  if (!message.has(HeaderId::privacy)) return false;
  std::vector<std::string> values = privacy_values(message);
  return std::find(values.begin(), values.end(), kind) != values.end();
}

void apply_header_policy(Message& message, const HeaderParty* from, const HeaderParty& to) {
  if (from && from->provider) {
    edit(message, from->provider->from_provider);
    strip(message, *from->provider);
  }
  if (from) apply_identity(message, *from, to);
  if (!to.provider) return;
  if (to.provider->apply_privacy && from && message.is_request()) apply_privacy(message);
  if (from) put_redirections(message, to.provider->redirections);
  strip(message, *to.provider);
  if (!to.user_agent.empty()) {
    if (message.is_request()) {
      message.set(HeaderId::user_agent, to.user_agent);
    } else if (message.has(HeaderId::server) || message.has(HeaderId::user_agent)) {
      message.remove(HeaderId::user_agent);
      message.set(HeaderId::server, to.user_agent);
    }
  }
  edit(message, to.provider->to_provider);
}

}  // namespace isthmus::provider
