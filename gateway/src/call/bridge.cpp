#include "call/bridge.hpp"

#include <algorithm>

#include "base/text.hpp"
#include "call/bridge_core.hpp"
#include "call/call_manager.hpp"
#include "call/crossing.hpp"
#include "call/exchange_relay.hpp"
#include "call/own_requests.hpp"
#include "call/parked_requests.hpp"
#include "call/register_relay.hpp"
#include "call/secure_route.hpp"
#include "call/service_agent.hpp"
#include "sip/scan.hpp"

namespace isthmus::call {

using sip::HeaderId;
using sip::Method;

namespace {

constexpr Duration kSweepInterval =
    seconds(1);  // media timeouts and expiries are counted in seconds

// What an INVITE through the bridge may be answered with (RFC 3261 §11.2).
constexpr const char* kCarried =
    "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK, REFER, SUBSCRIBE, NOTIFY, MESSAGE, "
    "PUBLISH, REGISTER";
constexpr const char* kCarriedOfProviders =
    "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK, REFER, SUBSCRIBE, NOTIFY, MESSAGE, "
    "PUBLISH";
constexpr const char* kExtensions = "100rel, timer, replaces, join, tdialog";

template <class... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};
template <class... Ts>
Overloaded(Ts...) -> Overloaded<Ts...>;

/// Methods whose 2xx makes a dialog (RFC 3261, 6665, 3515).
bool forms_dialog(Method method) {
  return method == Method::invite || method == Method::subscribe || method == Method::refer;
}

/// Methods that mean something inside a dialog only, whose absence is said by 481 (RFC 3261
/// §15.1.2, RFC 3262 §3, RFC 3311 §5.2, RFC 6086 §4.2.2).
bool needs_dialog(Method method) {
  return method == Method::bye || method == Method::prack || method == Method::update ||
         method == Method::info;
}

/// A NOTIFY may come before the response that brings the tag. The others are of a dialog with an
/// RFC 2543 peer, which gave no tag (RFC 3261 §12.1.1, §12.2.1.1).
bool may_lack_to_tag(Method method) {
  return method == Method::notify || method == Method::bye || method == Method::info;
}

/// Of "host:port".
std::string_view host_in(std::string_view host_port) {
  const std::size_t bracket = host_port.find(']');
  return host_port.substr(0, host_port.find(':', bracket == host_port.npos ? 0 : bracket));
}

/// Whether that is a host by which we name ourselves. Addresses may be written in several ways.
bool is_ours(std::string_view host, const BridgeConfig& config) {
  const auto any = [&](auto same) {
    return same(host_in(config.link_host)) ||
           std::any_of(config.network_sent_by.begin(), config.network_sent_by.end(),
                       [&](const SentBy& listener) { return same(host_in(listener.host_port)); });
  };
  if (any([&](std::string_view own) { return own == host; })) return true;
  const auto address = IpAddress::parse(host);
  return any([&](std::string_view own) {
    return iequals(own, host) || (address && address == IpAddress::parse(own));
  });
}

/// RFC 3261 §8.1.3.3, §18.1.2: our requests bear our Via alone, and so do the responses to them.
bool is_misrouted(const sip::Message& response, const BridgeConfig& config) {
  std::string_view first;
  for (std::size_t i = 0; i < response.field_count(); ++i) {
    const sip::Message::Field field = response.field(i);
    if (field.id != HeaderId::via) continue;
    sip::scan::List values(field.value);
    for (std::string_view value; values.next(value); first = value)
      if (!first.empty()) return true;
  }
  const std::optional<sip::scan::Via> via = sip::scan::via(first);
  return !via || !is_ours(via->host, config);
}

}  // namespace

class Bridge::Impl {
 public:
  Impl(BridgeConfig config, Router& router, MediaPlane& media, BindingTable& bindings,
       RegisterHandler* registrar, Random& random)
      : core_(std::move(config), router, media, bindings, registrar, random),
        calls_(core_),
        exchanges_(core_),
        registers_(core_),
        own_(core_),
        services_(core_),
        parked_(core_, [this](ParkedRequests::Parked parked) { route(std::move(parked)); }) {}

  /// Runs one input and everything that follows from it.
  template <class Input>
  void run(Instant now, Actions& out, Input input) {
    core_.out = &out;
    core_.now = now;
    input();
    // Handling an event may raise more, and may move the vector.
    for (std::size_t i = 0; i < core_.events.size(); ++i) {
      sip::TransactionEvent event = std::move(core_.events[i]);
      dispatch(event);
    }
    core_.events.clear();
    core_.out = nullptr;
  }

  void dispatch(sip::TransactionEvent& event) {
    std::visit(Overloaded{
                   [&](sip::SendMessage& e) {
                     core_.emit(SendSip{e.flow, std::move(e.bytes)});
                   },
                   [&](sip::RequestReceived& e) { on_request(e.server, e.flow, e.request); },
                   [&](sip::AckReceived& e) {
                     if (!calls_.on_ack(e.flow, e.ack)) services_.on_ack(e.flow, e.ack);
                   },
                   [&](sip::CancelReceived& e) {
                     if (!calls_.on_cancel(e.server, e.cancel)) parked_.on_cancel(e.server);
                   },
                   [&](sip::ResponseReceived& e) {
                     if (e.fault && on_broken(e)) return;
                     if (!core_.on_bye_response(e.client, e.response) &&
                         !calls_.on_response(e.client, e.response) &&
                         !exchanges_.on_response(e.client, e.flow, e.response) &&
                         !registers_.on_response(e.client, e.flow, e.response) &&
                         !own_.on_response(e.client, e.response)) {
                       calls_.on_late_answer(e.flow, e.response);
                     }
                   },
                   [&](sip::StrayResponse&) {},  // counted by the layer
                   [&](sip::ClientFailed& e) {
                     core_.on_bye_failed(e.client);
                     if (!calls_.on_client_failed(e.client, e.why) &&
                         !exchanges_.on_client_failed(e.client, e.why) &&
                         !registers_.on_client_failed(e.client, e.why)) {
                       own_.on_client_failed(e.client, e.why);
                     }
                   },
                   [&](sip::ServerFailed& e) {
                     core_.merged.end(e.server);
                     parked_.forget(e.server);
                     calls_.on_server_failed(e.server);
                   },
               },
               event);
  }

  /// @return false: what is left of it goes the way of all responses.
  bool on_broken(sip::ResponseReceived& event) {
    sip::Message& response = event.response;
    if (response.status() < 200) return false;
    const bool good = response.status() < 300;
    if (good && response.method() == Method::invite)
      return calls_.on_broken_answer(event.client, response, *event.fault);
    ++core_.counters.broken_responses;
    if (good) response.set_status(502, event.fault->reason() + " in the answer");
    return false;
  }

  void on_request(sip::TransactionId server, const sip::Flow& flow, sip::Message& request) {
    // RFC 3261 §16.3 step 3 is about what goes on. An OPTIONS may be for us: route() knows.
    const bool may_be_ours = request.method() == Method::options && request.to_tag().empty();
    if (!may_be_ours && refuse_last_hop(server, request)) return;
    if (refuse_unknown_extensions(server, request)) return;
    if (!request.to_tag().empty()) {
      if (calls_.on_dialog_request(server, flow, request)) return;
      if (services_.on_dialog_request(server, flow, request)) return;
      ++core_.counters.unmatched_dialog;
      core_.reject(server, request, 481, {});
      return;
    }
    if (may_lack_to_tag(request.method()) && calls_.on_dialog_request(server, flow, request))
      return;
    if (needs_dialog(request.method())) {
      ++core_.counters.unmatched_dialog;
      core_.reject(server, request, 481, {});
      return;
    }
    if (!core_.merged.begin(server, request)) {
      ++core_.counters.loops;
      core_.reject(server, request, 482, {});
      return;
    }
    if (auto refused = core_.router.admit(request, flow, core_.now)) {
      ++core_.counters.rejected_over_limit;
      core_.reject(server, request, refused->status, refused->reason, refused->retry_after_s);
      return;
    }
    if (core_.registrar) {
      if (auto refusal = core_.registrar->challenge(request, flow, core_.now)) {
        refusal->add(HeaderId::server, core_.config.software);
        core_.respond(server, std::move(*refusal));
        return;
      }
    }
    route({server, flow, std::move(request), 0, std::nullopt});
  }

  bool refuse_last_hop(sip::TransactionId server, const sip::Message& request) {
    if (request.number(HeaderId::max_forwards) != std::uint32_t{0}) return false;
    ++core_.counters.loops;
    core_.reject(server, request, 483, {});
    return true;
  }

  /// RFC 3261 §16.3 step 5: what Proxy-Require asks of us and we do not know. Require is between
  /// the end points, and crosses.
  bool refuse_unknown_extensions(sip::TransactionId server, const sip::Message& request) {
    std::string unsupported;
    for (std::string_view option : request.values(HeaderId::proxy_require)) {
      // RFC 3323 §4.2: whoever is trusted with the caller's identity fulfils it. It crosses whole.
      if (iequals(option, "privacy")) continue;
      if (!unsupported.empty()) unsupported += ", ";
      unsupported += option;
    }
    if (unsupported.empty()) return false;
    sip::Message response = sip::Message::response_to(request, 420, {}, core_.random.token(12));
    response.add(HeaderId::unsupported, unsupported);
    response.add(HeaderId::server, core_.config.software);
    core_.respond(server, std::move(response));
    return true;
  }

  void route(ParkedRequests::Parked parked) {
    sip::TransactionId server = parked.server;
    const sip::Flow& flow = parked.flow;
    sip::Message& request = parked.request;
    Route decision = core_.router.route(request, flow, core_.now);
    // A Contact of ours on some leg, or a place that the sender was told of by a token: the router
    // does not know it, but may still forbid its sender to speak as it does.
    if (std::optional<RouteTarget> place = core_.identifiers->route(request, flow)) {
      const auto* refused = std::get_if<RouteRejection>(&decision);
      if (!refused || refused->status != 403) decision = RouteTargets{{std::move(*place)}};
    }
    if (!std::holds_alternative<RouteToService>(decision) && refuse_last_hop(server, request))
      return;
    if (auto* targets = std::get_if<RouteTargets>(&decision)) {
      if (targets->targets.empty()) {
        core_.reject(server, request, 404, {});
      } else if (keep_secure(*targets, request, core_.router); targets->targets.empty()) {
        core_.reject_sips(server, request);
      } else if (forms_dialog(request.method())) {
        calls_.start(server, flow, std::move(request), *targets);
      } else if (request.method() == Method::register_) {
        registers_.start(server, flow, std::move(request), *targets);
      } else {
        exchanges_.start(server, flow, std::move(request), *targets);
      }
    } else if (auto* rejection = std::get_if<RouteRejection>(&decision);
               rejection && rejection->status == 405) {
      refuse_method(server, request, kCarriedOfProviders, rejection->reason);
    } else if (rejection) {
      core_.reject(server, request, rejection->status, rejection->reason, rejection->retry_after_s);
    } else if (auto* service = std::get_if<RouteToService>(&decision)) {
      to_service(server, flow, request, service->service);
    } else if (auto* pending = std::get_if<RoutePending>(&decision)) {
      parked_.wait_for_lookup(std::move(parked), pending->lookup);
    } else if (auto* wait = std::get_if<RouteWait>(&decision)) {
      parked_.wait_for_user(std::move(parked), *wait);
    } else if (core_.registrar) {
      sip::Message response = core_.registrar->on_register(request, flow, core_.now);
      bool good = response.status() < 300;
      ++(good ? core_.counters.registrations : core_.counters.registration_failures);
      response.add(HeaderId::server, core_.config.software);
      core_.respond(server, std::move(response));
    } else {
      refuse_method(server, request, kCarriedOfProviders, "No registrar here");
    }
  }

  std::string extensions() const {
    return core_.registrar ? std::string(kExtensions) + ", path" : kExtensions;
  }

  void to_service(sip::TransactionId server, const sip::Flow& flow, const sip::Message& request,
                  MediaService service) {
    if (request.method() == Method::invite) {
      services_.start(server, flow, request, service);
    } else if (request.method() == Method::options) {
      const Result<sip::Uri, sip::Fault> target = sip::Uri::parse(request.request_uri());
      const bool gateway = target && target->user.empty();  // it is asked itself
      sip::Message response = sip::Message::response_to(request, 200, {}, core_.random.token(12));
      response.add(HeaderId::accept, "application/sdp");
      response.add("Accept-Encoding", "identity");
      response.add("Accept-Language", "en");
      response.add(HeaderId::allow, gateway ? kCarried : ServiceAgent::kAllow);
      response.add(HeaderId::supported, gateway ? extensions() : std::string());
      response.add(HeaderId::server, core_.config.software);
      core_.respond(server, std::move(response));
    } else {
      refuse_method(server, request, ServiceAgent::kAllow, {});
    }
  }

  /// RFC 3261 §8.2.1: 405 says what there is instead.
  void refuse_method(sip::TransactionId server, const sip::Message& request, const char* allow,
                     std::string_view reason) {
    sip::Message response = sip::Message::response_to(request, 405, reason, core_.random.token(12));
    response.add(HeaderId::allow, allow);
    response.add(HeaderId::server, core_.config.software);
    core_.respond(server, std::move(response));
  }

  void sweep_if_due() {
    if (core_.now < next_sweep_) return;
    next_sweep_ = core_.now + kSweepInterval;
    calls_.sweep();
    services_.sweep();
    registers_.sweep();
    core_.bindings.expire(core_.now);
  }

  BridgeCore core_;
  CallManager calls_;
  ExchangeRelay exchanges_;
  RegisterRelay registers_;
  OwnRequests own_;
  OwnRequestId next_own_ = 1;
  ServiceAgent services_;
  ParkedRequests parked_;
  Instant next_sweep_{};
};

Bridge::Bridge(BridgeConfig config, Router& router, MediaPlane& media, BindingTable& bindings,
               RegisterHandler* registrar, Random& random)
    : impl_(std::make_unique<Impl>(std::move(config), router, media, bindings, registrar, random)) {
}
Bridge::~Bridge() = default;

void Bridge::on_message(sip::Message message, const sip::Flow& flow, Instant now, Actions& out) {
  if (message.is_response() && is_misrouted(message, impl_->core_.config)) {
    ++impl_->core_.counters.misrouted_responses;
    return;
  }
  impl_->run(now, out, [&] {
    impl_->core_.layer.on_message(std::move(message), flow, now, impl_->core_.events);
  });
}

void Bridge::on_broken_response(std::string_view text, const sip::Fault& fault,
                                const sip::Flow& flow, Instant now, Actions& out) {
  impl_->run(now, out, [&] {
    impl_->core_.layer.on_broken_response(text, fault, flow, now, impl_->core_.events);
  });
}

void Bridge::on_flow_failed(const sip::Flow& flow, Instant now, Actions& out) {
  impl_->run(now, out, [&] {
    impl_->core_.bindings.flow_closed(flow);
    impl_->core_.large.on_flow_failed(flow, now);
    impl_->core_.layer.on_flow_failed(flow, now, impl_->core_.events);
  });
}

void Bridge::on_flow_closed(const sip::Flow& flow, Instant now, Actions& out) {
  impl_->run(now, out, [&] {
    impl_->core_.bindings.flow_closed(flow);
    impl_->core_.layer.on_flow_closed(flow, now, impl_->core_.events);
  });
}

void Bridge::on_session_closed(std::uint64_t session, Instant now, Actions& out) {
  impl_->run(now, out, [&] {
    impl_->core_.bindings.session_closed(session);
    impl_->calls_.on_session_closed(session);
    impl_->services_.on_session_closed(session);
    impl_->parked_.on_session_closed(session);
    impl_->exchanges_.on_session_closed(session);
    impl_->registers_.on_session_closed(session);
    impl_->core_.layer.on_flow_failed(sip::Flow::link(session), now, impl_->core_.events);
  });
}

void Bridge::on_lookup_done(std::string_view key, Instant now, Actions& out) {
  impl_->run(now, out, [&] { impl_->core_.lookups.done(key); });
}

void Bridge::on_user_available(std::string_view user, Instant now, Actions& out) {
  impl_->run(now, out, [&] { impl_->parked_.on_user_available(user); });
}

void Bridge::on_digit(CallId call, MediaEndpointId from, const DtmfInfo& digit, Instant now,
                      Actions& out) {
  impl_->run(now, out, [&] { impl_->calls_.on_digit(call, from, digit); });
}

void Bridge::on_timeout(Instant now, Actions& out) {
  impl_->run(now, out, [&] {
    impl_->core_.layer.on_timeout(now, impl_->core_.events);
    impl_->core_.lookups.on_timeout(now);
    impl_->parked_.on_timeout();
    impl_->calls_.on_timeout();
    impl_->exchanges_.on_timeout();
    impl_->registers_.on_timeout();
    impl_->services_.on_timeout();
    impl_->sweep_if_due();
  });
}

std::optional<Instant> Bridge::next_deadline() const {
  std::optional<Instant> next = impl_->core_.layer.next_deadline();
  auto consider = [&](std::optional<Instant> other) {
    if (other && (!next || *other < *next)) next = other;
  };
  consider(impl_->core_.lookups.next_deadline());
  consider(impl_->parked_.next_deadline());
  consider(impl_->calls_.next_deadline());
  consider(impl_->exchanges_.next_deadline());
  consider(impl_->registers_.next_deadline());
  consider(impl_->services_.next_deadline());
  if (impl_->calls_.size() + impl_->services_.size() + impl_->core_.bindings.size() > 0)
    consider(impl_->next_sweep_);
  return next;
}

OwnRequestId Bridge::send_own(OwnRequest request, Instant now, Actions& out) {
  OwnRequestId id = impl_->next_own_++;
  impl_->run(now, out, [&] { impl_->own_.send(id, std::move(request)); });
  return id;
}

void Bridge::forget_own(OwnRequestId id) {
  impl_->own_.forget(id);
}

void Bridge::renew_registrations(std::string_view upstream) {
  impl_->registers_.renew(upstream);
}

bool Bridge::end_call(CallId id, std::string_view reason, Instant now, Actions& out) {
  bool found = false;
  impl_->run(now, out, [&] {
    found = impl_->calls_.end_call(id, reason) || impl_->services_.end_call(id, reason);
  });
  return found;
}

bool Bridge::is_dialog_peer(const IpAddress& address, Instant now) const {
  return impl_->core_.peers.knows(address, now);
}

void Bridge::take_no_more_calls() {
  impl_->core_.takes_calls = false;
}

std::size_t Bridge::call_count() const {
  return impl_->calls_.open() + impl_->services_.size();
}

std::vector<CallRecord> Bridge::calls(Instant now) const {
  impl_->core_.now = std::max(impl_->core_.now, now);
  std::vector<CallRecord> records = impl_->calls_.records();
  std::vector<CallRecord> services = impl_->services_.records();
  records.insert(records.end(), std::make_move_iterator(services.begin()),
                 std::make_move_iterator(services.end()));
  return records;
}

const BridgeCounters& Bridge::counters() const {
  return impl_->core_.counters;
}
const sip::TransactionLayer& Bridge::transactions() const {
  return impl_->core_.layer;
}

}  // namespace isthmus::call
