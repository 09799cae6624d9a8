#include "ua/context.hpp"

namespace isthmus::ua {

using sip::HeaderId;
using sip::Message;

std::string Context::user() const {
  const auto uri = sip::Uri::parse(aor);
  return uri ? uri->user : std::string();
}

std::string Context::contact_uri() const {
  const std::string name = user();
  return "sip:" + (name.empty() ? host : name + '@' + host) + ";transport=tls";
}

std::string Context::from(std::string_view tag) const {
  std::string value;
  if (!options.display_name.empty()) {
    value = '"';
    for (const char c : options.display_name) {
      if (c == '"' || c == '\\') value += '\\';
      if (static_cast<unsigned char>(c) >= ' ') value += c;
    }
    value += "\" ";
  }
  return value.append("<").append(aor).append(">;tag=").append(tag);
}

Message Context::new_request(std::string_view method, std::string_view uri, std::string_view to_uri,
                             std::string_view from_tag, std::string_view call_id,
                             std::uint32_t cseq) {
  Message request = Message::request(method, uri);
  request.add(HeaderId::max_forwards, std::to_string(limits::kMaxForwards));
  request.add(HeaderId::from, from(from_tag));
  request.add(HeaderId::to, '<' + std::string(to_uri) + '>');
  request.add(HeaderId::call_id, call_id);
  request.add(HeaderId::cseq, std::to_string(cseq) + ' ' + std::string(method));
  request.add(HeaderId::contact, contact());
  request.add(HeaderId::user_agent, options.software);
  return request;
}

std::optional<Message> Context::authorized(const Message& request, const Message& response) {
  if (options.digest_password.empty()) return std::nullopt;
  if (!digest) {
    const auto uri = sip::Uri::parse(aor);
    const std::string name = uri ? uri->decoded_user() : std::string();
    digest.emplace(options.digest_user.empty() ? name : options.digest_user,
                   options.digest_password, random);
  }
  const auto cseq = request.cseq();
  if (!cseq) return std::nullopt;
  Message again = request;
  again.set(HeaderId::cseq, std::to_string(cseq->number + 1) + ' ' + cseq->method_text);
  if (!digest->authorize(again, response)) return std::nullopt;
  return again;
}

Message Context::response_to(const Message& request, int status, std::string_view reason,
                             std::string_view to_tag) {
  const std::string tag = to_tag.empty() && status > 100 ? random.token(10) : std::string(to_tag);
  Message response = Message::response_to(request, status, reason, tag);
  response.add(HeaderId::server, options.software);
  if (status == 405 || status == 200) response.add(HeaderId::allow, kAllow);
  return response;
}

}  // namespace isthmus::ua
