#include "app/upstream_driver.hpp"

#include <algorithm>
#include <boost/json/object.hpp>
#include <map>

#include "app/admin_json.hpp"
#include "net/clock.hpp"

namespace isthmus::app {

namespace json = boost::json;
using net::clock_now;
using provider::RegistrationMachine;

UpstreamDriver::UpstreamDriver(boost::asio::io_context& io, BridgeHost& host, ops::Log log,
                               Random& random)
    : host_(host),
      log_(std::move(log)),
      registrations_(random),
      timer_(io, [this] { on_timer(); }) {}

void UpstreamDriver::start(Flows flows, Belongs belongs) {
  flows_ = std::move(flows);
  belongs_ = std::move(belongs);
  for (const auto& status : registrations_.status(clock_now())) {
    const std::string& name = status.account->provider;
    if (std::find(not_started_.begin(), not_started_.end(), name) == not_started_.end())
      not_started_.push_back(name);
  }
}

void UpstreamDriver::tick(const std::function<bool(const std::string& aor)>& present) {
  if (registrations_.empty()) return;
  provider::UpstreamActions actions;
  std::erase_if(not_started_, [&](const std::string& name) {
    if (flows_(name).empty()) return false;
    registrations_.start(name, clock_now(), actions);
    return true;
  });
  registrations_.update_presence(present, clock_now(), actions);
  carry_out(std::move(actions));
}

void UpstreamDriver::renew(const std::string& provider) {
  registrations_.renew(provider, clock_now());
  timer_.arm(registrations_.next_deadline());
}

void UpstreamDriver::stop() {
  provider::UpstreamActions actions;
  not_started_.clear();
  registrations_.stop(clock_now(), actions);
  carry_out(std::move(actions));
}

void UpstreamDriver::on_timer() {
  provider::UpstreamActions actions;
  registrations_.on_timeout(clock_now(), actions);
  carry_out(std::move(actions));
}

void UpstreamDriver::carry_out(provider::UpstreamActions actions) {
  for (const provider::UpstreamChanged& change : actions.changes) report(change);
  for (provider::SendRegister& request : actions.sends) send(request);
  timer_.arm(registrations_.next_deadline());
}

void UpstreamDriver::send(provider::SendRegister& request) {
  std::size_t account = request.account;
  call::OwnRequest own;
  own.flows = flows_of(request);
  own.contact_token = registrations_.account(account).contact_user;
  own.request = std::move(request.request);
  host_.send_own(std::move(own), [this, account](call::OwnResponse& ended) {
    provider::UpstreamActions actions;
    registrations_.on_response(account, ended.response ? &*ended.response : nullptr, ended.flow,
                               clock_now(), actions);
    carry_out(std::move(actions));
  });
}

/// A redirection is followed to addresses of the same provider only: whoever can send one response
/// must not get our REGISTERs.
std::vector<sip::Flow> UpstreamDriver::flows_of(const provider::SendRegister& request) const {
  const std::string& provider = registrations_.account(request.account).provider;
  std::vector<sip::Flow> flows = flows_(provider);
  if (request.redirect.empty()) return flows;
  Result<sip::Uri, sip::Fault> uri = sip::Uri::parse(request.redirect);
  std::optional<IpAddress> address;
  if (uri) address = IpAddress::parse(uri->host);
  if (address && !flows.empty()) {
    sip::Flow there = flows.front();  // same transport and listener
    there.remote = Endpoint{*address, uri->port ? uri->port : std::uint16_t{5060}};
    if (belongs_(provider, there.remote)) return {there};
  }
  log_.warning("registration_redirect_refused",
               {{"provider", provider}, {"to", ops::Personal{request.redirect}}});
  return {};
}

void UpstreamDriver::report(const provider::UpstreamChanged& change) {
  const provider::UpstreamAccount& account = registrations_.account(change.account);
  std::string aor = "sip:" + account.user + "@" + account.domain;
  if (!change.error.empty()) {
    log_.warning("upstream_registration_failed", {{"provider", account.provider},
                                                  {"aor", ops::Personal{aor}},
                                                  {"problem", change.error},
                                                  {"still_registered", change.registered}});
  } else {
    log_.info(change.registered ? "upstream_registered" : "upstream_unregistered",
              {{"provider", account.provider}, {"aor", ops::Personal{aor}}});
  }
}

json::array UpstreamDriver::status() const {
  json::array list;
  for (const auto& status : registrations_.status(clock_now())) {
    const provider::UpstreamAccount& account = *status.account;
    json::object entry{{"provider", account.provider},
                       {"aor", "sip:" + account.user + "@" + account.domain},
                       {"state", to_text(status.state)},
                       {"registered", status.registered}};
    if (!account.trunk()) entry["user"] = account.aor;
    if (status.registered) entry["expires_s"] = as_seconds(status.left);
    if (status.failures > 0) {
      entry["failures"] = status.failures;
      entry["problem"] = *status.error;
      entry["next_try_s"] = as_seconds(status.next_try);
    }
    list.push_back(std::move(entry));
  }
  return list;
}

void UpstreamDriver::collect(ops::Metrics& metrics) const {
  using State = RegistrationMachine::State;
  std::map<std::string, std::map<State, std::size_t>> counts;
  for (const auto& status : registrations_.status(clock_now()))
    ++counts[status.account->provider][status.state];
  for (const auto& [provider, states] : counts) {
    for (State state : {State::off, State::registering, State::registered, State::refreshing,
                        State::waiting, State::leaving, State::removing, State::returning}) {
      auto found = states.find(state);
      metrics
          .gauge("isthmus_registrations_upstream", "Registrations of ours at a provider, by state",
                 {{"provider", provider}, {"state", std::string(to_text(state))}})
          .set(found == states.end() ? 0 : static_cast<double>(found->second));
    }
  }
}

}  // namespace isthmus::app
