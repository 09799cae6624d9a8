#include "provider/digest_gate.hpp"

#include <algorithm>

#include "base/limits.hpp"
#include "base/text.hpp"

namespace isthmus::provider {

using sip::DigestVerdict;
using sip::HeaderId;
using sip::Message;
using sip::Method;

bool SipUser::may_use(std::string_view aor) const {
  return std::any_of(aors.begin(), aors.end(),
                     [&](const std::string& own) { return own == "*" || iequals(own, aor); });
}

DigestGate::DigestGate(sip::DigestServer::Config config, SipUserDirectory& users, IsOwn is_own,
                       Random& random)
    : server_(std::move(config), random),
      users_(users),
      is_own_(std::move(is_own)),
      random_(random),
      attempts_({limits::kAuthBurstPerSource, limits::kAuthRefillPerSource, limits::kAuthKeys}) {}

Message DigestGate::respond(const Message& request, int status, std::string_view reason) {
  return Message::response_to(request, status, reason, random_.token(12));
}

Message DigestGate::challenge(const Message& request, bool proxy, bool stale, Instant now) {
  ++counters_.challenged;
  Message response = respond(request, proxy ? 407 : 401, {});
  server_.challenge(response, proxy, stale, now);
  return response;
}

std::optional<Message> DigestGate::judge(const Message& request, bool proxy, const sip::Flow& flow,
                                         Instant now, std::optional<Accepted>& accepted) {
  std::optional<sip::DigestCredentials> credentials = server_.find(request, proxy);
  if (!credentials) return challenge(request, proxy, false, now);
  // Before the judgement: a right answer must not be found by trying. By link, so that nobody can
  // lock another one's user out; by name, so that one phone cannot lock out those beside it.
  std::string key = flow.to_string() + "/" + credentials->username;
  if (auto wait = attempts_.take(key, now)) {
    ++counters_.limited;
    Message response = respond(request, 403, "Too many wrong passwords");
    response.add(HeaderId::retry_after, std::to_string(std::chrono::ceil<seconds>(*wait).count()));
    return response;
  }
  std::optional<SipUser> user = users_.find_sip_user(credentials->username);
  std::optional<sip::DigestSecrets> secrets;
  if (user) secrets = user->secrets;
  DigestVerdict verdict = server_.judge(*credentials, request, secrets, now);
  if (verdict == DigestVerdict::wrong) {
    ++counters_.wrong;
    return challenge(request, proxy, false, now);
  }
  attempts_.refund(key);
  if (verdict == DigestVerdict::stale) {
    ++counters_.stale;
    return challenge(request, proxy, true, now);
  }
  if (verdict == DigestVerdict::wrong_uri) {
    return respond(request, 400, "Digest uri is not the Request-URI");
  }
  ++counters_.accepted;
  accepted = Accepted{std::move(*user), std::move(*credentials)};
  return std::nullopt;
}

std::optional<Message> DigestGate::refuse_register(const Message& request, std::string_view aor,
                                                   const sip::Flow& flow, Instant now,
                                                   std::optional<Accepted>& accepted) {
  if (auto refusal = judge(request, false, flow, now, accepted)) return refusal;
  // RFC 3261 §10.3 step 4: right password, somebody else's address.
  if (!accepted->user.may_use(aor)) return respond(request, 403, "Not an address of this user");
  return std::nullopt;
}

std::optional<Message> DigestGate::refuse(Message& request, const sip::Flow& flow, Instant now) {
  if (!flow.is_link()) return std::nullopt;  // providers are known by their address
  Result<sip::Uri, sip::Fault> target = sip::Uri::parse(request.request_uri());
  Result<sip::NameAddr, sip::Fault> from = request.from();
  Result<sip::Uri, sip::Fault> caller = from ? sip::Uri::parse(from->uri) : sip::Uri::parse("");
  bool to_us = target && is_own_(*target);
  bool as_ours = caller && is_own_(*caller);
  if (!to_us && !as_ours) return std::nullopt;  // for another domain, which will ask by itself
  // A sign of life of the gateway itself, as phones and connectors ask for it.
  if (request.method() == Method::options && to_us && target->user.empty()) return std::nullopt;
  std::optional<Accepted> accepted;
  if (auto refusal = judge(request, true, flow, now, accepted)) return refusal;
  if (as_ours && !accepted->user.may_use(caller->decoded_user())) {
    return respond(request, 403, "From is not an address of this user");
  }
  server_.remove_credentials(request, true);
  return std::nullopt;
}

void DigestGate::add_authentication_info(Message& response, const Accepted& accepted, Instant now) {
  server_.add_authentication_info(response, accepted.credentials, accepted.user.secrets, now);
}

}  // namespace isthmus::provider
