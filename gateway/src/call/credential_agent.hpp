#pragma once
#include <list>
#include <optional>
#include <string>
#include <unordered_map>

#include "call/router.hpp"
#include "sip/digest.hpp"

namespace isthmus::call {

/// Answers digest challenges of providers with the credentials that the gateway holds
/// (Router::credentials_for), and keeps for each provider and user what it learned, so that later
/// requests bear their credentials from the start (RFC 3261 §22.1, RFC 7616 §3.6). Where it holds
/// none, challenges and the client's answers pass. REGISTER is not its business. Internal to the
/// room.
class CredentialAgent {
 public:
  CredentialAgent(const Router& router, Random& random) : router_(router), random_(random) {}

  /// Puts credentials on a request that is about to go there, for realms that asked before.
  /// @param on_behalf  here and below: the leg that the request is from; null: not known.
  /// @return whether a challenge from there would be answered; then keep the request as it is now.
  bool prepare(sip::Message& request, const sip::Flow& to, const sip::Flow* on_behalf);
  /// What to send after a 401 or 407: the request once more, with credentials. Its CSeq still is
  /// the old one. Nothing: no credentials, or they are refused; the response passes.
  std::optional<sip::Message> answer(const sip::Message& sent, const sip::Message& response,
                                     const sip::Flow& to, const sip::Flow* on_behalf);
  /// Takes the next nonce from a 2xx, and takes off what answers our own credentials.
  void accept(const sip::Message& sent, sip::Message& response, const sip::Flow& to,
              const sip::Flow* on_behalf);
  std::size_t size() const { return clients_.size(); }

 private:
  struct Client {
    std::string key;
    Credentials credentials;
    sip::DigestClient digest;
  };
  /// The client of that place and account; nothing where we hold no credentials.
  Client* client_for(const sip::Message& request, const sip::Flow& to, const sip::Flow* on_behalf);

  const Router& router_;
  Random& random_;
  std::list<Client> recent_;  ///< last used first
  std::unordered_map<std::string, std::list<Client>::iterator> clients_;
};

}  // namespace isthmus::call
