#include "call/credential_agent.hpp"

#include "base/limits.hpp"
#include "call/crossing.hpp"

namespace isthmus::call {

using sip::HeaderId;
using sip::Method;

CredentialAgent::Client* CredentialAgent::client_for(const sip::Message& request,
                                                     const sip::Flow& to,
                                                     const sip::Flow* on_behalf) {
  Method method = request.method();
  // An ACK repeats its INVITE's, a CANCEL cannot be sent again (RFC 3261 §22.1).
  if (to.is_link() || method == Method::register_ || method == Method::ack ||
      method == Method::cancel) {
    return nullptr;
  }
  std::optional<Credentials> held =
      router_.credentials_for(to, party_uri(request, HeaderId::from), on_behalf);
  if (!held) return nullptr;

  std::string key = router_.owner_of(to);
  key += '\n';
  key += held->user;
  auto known = clients_.find(key);
  if (known != clients_.end()) {
    Client& client = *known->second;
    if (client.credentials.user == held->user && client.credentials.password == held->password) {
      recent_.splice(recent_.begin(), recent_, known->second);
      return &client;
    }
    recent_.erase(known->second);  // the configuration says something else now
    clients_.erase(known);
  }
  if (clients_.size() >= limits::kDigestClients) {
    clients_.erase(recent_.back().key);
    recent_.pop_back();
  }
  recent_.push_front({key, *held, sip::DigestClient(held->user, held->password, random_)});
  clients_.emplace(std::move(key), recent_.begin());
  return &recent_.front();
}

bool CredentialAgent::prepare(sip::Message& request, const sip::Flow& to,
                              const sip::Flow* on_behalf) {
  Client* client = client_for(request, to, on_behalf);
  if (client) client->digest.anticipate(request);
  return client != nullptr;
}

std::optional<sip::Message> CredentialAgent::answer(const sip::Message& sent,
                                                    const sip::Message& response,
                                                    const sip::Flow& to,
                                                    const sip::Flow* on_behalf) {
  Client* client = client_for(sent, to, on_behalf);
  if (!client) return std::nullopt;
  sip::Message again = sent;
  if (!client->digest.authorize(again, response)) return std::nullopt;
  return again;
}

void CredentialAgent::accept(const sip::Message& sent, sip::Message& response, const sip::Flow& to,
                             const sip::Flow* on_behalf) {
  if (!response.has(HeaderId::authentication_info) && !response.get("Proxy-Authentication-Info"))
    return;
  Client* client = client_for(sent, to, on_behalf);
  if (!client || !client->digest.learn(sent, response)) return;
  response.remove(HeaderId::authentication_info);
  response.remove("Proxy-Authentication-Info");
}

}  // namespace isthmus::call
