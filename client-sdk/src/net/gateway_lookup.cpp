#include "net/gateway_lookup.hpp"

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <utility>

#include "base/limits.hpp"
#include "net/dns.hpp"
#include "net/gateway_srv.hpp"

namespace isthmus::net {

namespace {

/// A server that is silent must not keep a client from a gateway that is at the name itself.
constexpr Duration kTimeLimit = seconds(2);
constexpr milliseconds kServerTime{600};

}  // namespace

struct GatewayLookup::State : std::enable_shared_from_this<State> {
  State(boost::asio::io_context& io, std::vector<Place> places, Random& draws, Done then)
      : configured(std::move(places)),
        asked(configured.size()),
        random(draws),
        done(std::move(then)),
        limit(io) {}

  void ask(const std::string& name, dns::Answer& to);
  void finish();

  struct Asked {
    SrvQuestions questions;
    dns::Answer udp{dns::Status::none}, tcp{dns::Status::none};
  };

  std::vector<Place> configured;
  std::vector<Asked> asked;  ///< of each
  Random& random;
  Done done;
  std::unique_ptr<Dns> dns;
  boost::asio::steady_timer limit;
  std::size_t open = 0;  ///< questions
};

void GatewayLookup::State::ask(const std::string& name, dns::Answer& to) {
  if (name.empty()) return;
  to.status = dns::Status::failed;  // until the answer is there
  if (!dns) return;
  ++open;
  dns->ask({dns::Type::srv, name},
           [weak = weak_from_this(), &to](const dns::Question&, const dns::Answer& answer) {
             const auto self = weak.lock();
             if (!self) return;
             to = answer;
             if (--self->open == 0) self->finish();
           });
}

void GatewayLookup::State::finish() {
  Done then = std::exchange(done, nullptr);
  if (!then) return;
  limit.cancel();
  Found found;
  found.life = limits::kDnsMostLife;
  found.failed = true;
  for (std::size_t i = 0; i < configured.size(); ++i) {
    if (asked[i].questions.none()) {
      found.places.push_back(configured[i]);
      continue;
    }
    auto located = locate_gateways(configured[i].url, asked[i].udp, asked[i].tcp, random);
    found.life = std::min(found.life, located.life);
    found.failed = found.failed && located.failed;
    for (GatewayUrl& url : located.urls) {
      found.places.push_back({std::move(url), configured[i].proxy});
    }
  }
  then(std::move(found));
}

bool GatewayLookup::needed(const std::vector<Place>& configured) {
  return std::ranges::any_of(configured,
                             [](const Place& place) { return !srv_questions(place.url).none(); });
}

GatewayLookup::GatewayLookup(boost::asio::io_context& io, const std::vector<Endpoint>& servers,
                             std::vector<Place> configured, Random& random, Done done)
    : state_(std::make_shared<State>(io, std::move(configured), random, std::move(done))) {
  DnsOptions options;
  options.servers = servers;
  options.timeout = kServerTime;
  if (auto opened = Dns::open(io, options)) state_->dns = std::move(*opened);
  for (std::size_t i = 0; i < state_->configured.size(); ++i) {
    State::Asked& asked = state_->asked[i];
    asked.questions = srv_questions(state_->configured[i].url);
    state_->ask(asked.questions.udp, asked.udp);
    state_->ask(asked.questions.tcp, asked.tcp);
  }
  state_->limit.expires_after(state_->dns ? kTimeLimit : Duration{});
  state_->limit.async_wait([weak = state_->weak_from_this()](boost::system::error_code error) {
    const auto self = weak.lock();
    if (!error && self) self->finish();
  });
}

GatewayLookup::~GatewayLookup() {
  state_->done = nullptr;
  state_->limit.cancel();
  state_->dns.reset();
}

}  // namespace isthmus::net
