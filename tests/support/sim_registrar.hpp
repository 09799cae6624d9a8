#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "sip/digest.hpp"
#include "sip/transaction_layer.hpp"
#include "support/sim_world.hpp"

namespace isthmus::sim {

/// A provider's registrar over UDP that does as it is told: challenges, lets nonces grow stale,
/// shortens, demands longer, forgets, falls silent. Counts what it saw.
class SimRegistrar : public Node {
 public:
  struct Kept {
    std::string contact;
    Instant expires;
  };

  SimRegistrar(World& world, Endpoint address)
      : world_(world), address_(address), random_(world.random.u64()), layer_({}, random_) {
    world.attach_udp(address_, *this);
    world.add(*this);
  }

  std::map<std::string, std::string> passwords;  ///< by user; who is not in it needs none
  std::uint32_t max_expires_s = 3600, min_expires_s = 0;
  std::optional<Duration> nonce_life;
  std::string service_route;
  int refuse_with = 0;
  unsigned retry_after_s = 0;
  bool silent = false;

  int registers = 0, accepted = 0, challenged = 0, removed = 0;
  std::vector<Instant> accepted_at;
  std::vector<sip::Message> requests;
  std::map<std::string, Kept> kept;

  void forget() {
    kept.clear();
    nonces_.clear();
  }
  /// Whether calls would get through now.
  bool reaches(const std::string& user) const {
    auto found = kept.find(user);
    return found != kept.end() && found->second.expires > world_.now;
  }

  void on_udp(const Endpoint& from, const Endpoint&, std::string bytes, Instant now) override {
    if (silent) return;
    auto message = sip::Message::parse(std::move(bytes));
    if (!message || message->check()) return;
    layer_.on_message(std::move(*message), sip::Flow::udp(from), now, events_);
    drain();
  }
  void on_link(std::uint64_t, std::string, Instant) override {}
  void on_timeout(Instant now) override {
    layer_.on_timeout(now, events_);
    drain();
  }
  std::optional<Instant> next_deadline() const override { return layer_.next_deadline(); }

 private:
  void drain() {
    for (std::size_t i = 0; i < events_.size(); ++i) {
      sip::TransactionEvent event = std::move(events_[i]);
      if (auto* send = std::get_if<sip::SendMessage>(&event)) {
        world_.send_udp(address_, send->flow.remote, std::move(send->bytes));
      } else if (auto* request = std::get_if<sip::RequestReceived>(&event)) {
        requests.push_back(request->request);
        sip::Message response = request->request.method() == sip::Method::register_
                                    ? on_register(request->request)
                                    : sip::Message::response_to(request->request, 200, {}, "r");
        layer_.respond(request->server, std::move(response), world_.now, events_);
      }
    }
    events_.clear();
  }

  sip::Message on_register(const sip::Message& request) {
    using sip::HeaderId;
    ++registers;
    auto to = sip::Uri::parse(request.to()->uri);
    auto answer = [&](int status) { return sip::Message::response_to(request, status, {}, "r"); };
    if (refuse_with != 0) {
      sip::Message response = answer(refuse_with);
      if (retry_after_s > 0) response.add(HeaderId::retry_after, std::to_string(retry_after_s));
      return response;
    }
    if (passwords.contains(to->user)) {
      if (auto challenge = refused(request, to->user, to->host)) {
        ++challenged;
        sip::Message response = answer(401);
        response.add(HeaderId::www_authenticate, challenge->to_string());
        return response;
      }
    }
    auto contact = request.contact();
    if (!contact) return answer(200);
    auto own = contact->params.get("expires");
    std::uint32_t asked = own ? static_cast<std::uint32_t>(std::stoul(std::string(*own)))
                              : request.number(HeaderId::expires).value_or(3600);
    if (asked > 0 && asked < min_expires_s) {
      sip::Message response = answer(423);
      response.add(HeaderId::min_expires, std::to_string(min_expires_s));
      return response;
    }
    sip::Message ok = answer(200);
    if (asked == 0) {
      ++removed;
      kept.erase(to->user);
      return ok;
    }
    ++accepted;
    accepted_at.push_back(world_.now);
    std::uint32_t granted = std::min(asked, max_expires_s);
    kept[to->user] = {contact->uri, world_.now + seconds(granted)};
    contact->params.set("expires", std::to_string(granted));
    ok.add(HeaderId::contact, contact->to_string());
    if (!service_route.empty()) ok.add(HeaderId::service_route, service_route);
    return ok;
  }

  /// The challenge that this request gets; nothing when its credentials are right.
  std::optional<sip::DigestChallenge> refused(const sip::Message& request, const std::string& user,
                                              const std::string& realm) {
    sip::DigestChallenge challenge;
    challenge.realm = realm;
    challenge.qop_auth = true;
    for (std::string_view value : request.fields(sip::HeaderId::authorization)) {
      auto given = sip::DigestCredentials::parse(value);
      if (!given || given->realm != realm) continue;
      std::string ha1 =
          sip::digest_ha1(given->algorithm, given->username, realm, passwords.at(user));
      if (sip::digest_response(given->algorithm, ha1, "REGISTER", *given) != given->response)
        continue;
      auto issued = nonces_.find(given->nonce);
      if (issued != nonces_.end() && (!nonce_life || issued->second + *nonce_life > world_.now))
        return std::nullopt;
      challenge.stale = true;
    }
    challenge.nonce = random_.token(16);
    nonces_[challenge.nonce] = world_.now;
    return challenge;
  }

  World& world_;
  Endpoint address_;
  SeededRandom random_;
  sip::TransactionLayer layer_;
  sip::TransactionEvents events_;
  std::map<std::string, Instant> nonces_;
};

}  // namespace isthmus::sim
