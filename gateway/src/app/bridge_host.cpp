#include "app/bridge_host.hpp"

#include <boost/asio/post.hpp>

#include "app/admin_json.hpp"
#include "net/clock.hpp"
#include "transport/fault_answer.hpp"

namespace isthmus::app {

namespace asio = boost::asio;
using net::clock_now;

BridgeHost::BridgeHost(asio::io_context& io, BridgeHostOptions options, Random& random,
                       ops::Log log, ops::Metrics& metrics)
    : io_(io),
      options_(std::move(options)),
      random_(random),
      log_(std::move(log)),
      metrics_(metrics),
      sockets_(io, options_.sip, *this),
      timer_(io, [this] { on_timer(); }),
      tick_(io),
      setup_seconds_(metrics.histogram("isthmus_call_setup_seconds",
                                       "INVITE to 2xx of answered calls",
                                       {0.01, 0.05, 0.1, 0.5, 1, 2, 5, 10, 30, 60})) {}

BridgeHost::~BridgeHost() {
  stop();
}

std::optional<std::string> BridgeHost::start(call::Router& router, call::BindingTable& bindings,
                                             call::RegisterHandler* registrar, Allowed allowed) {
  allowed_ = std::move(allowed);
  std::string faults;
  for (const std::string& fault : sockets_.open(options_.toward)) {
    faults += (faults.empty() ? "" : "; ") + fault;
  }
  if (!faults.empty()) return faults;
  for (const SipSockets::Place& place : sockets_.places()) {
    log_.info("sip_listening", {{"transport", sip::to_text(place.transport)},
                                {"address", place.bound},
                                {"advertised", place.advertised}});
  }
  relay_ = std::make_unique<media::Relay>(io_, relay_config(), random_);

  call::BridgeConfig config;
  config.timers.t1 = options_.timers.t1;
  config.timers.t2 = options_.timers.t2;
  config.timers.t4 = options_.timers.t4;
  config.link_host = options_.link_host;
  config.network_sent_by = sockets_.sent_by();
  config.max_calls = options_.max_calls;
  config.max_calls_per_session = options_.max_calls_per_session;
  config.max_bindings_per_session = options_.max_bindings_per_session;
  config.media_timeout = options_.media.timeout;
  bridge_ = std::make_unique<call::Bridge>(config, router, *relay_, bindings, registrar, random_);
  relay_->on_digit = [this](const media::HeardDigit& heard) {
    call::Actions actions;
    bridge_->on_digit(heard.call, heard.from, {heard.digit, heard.duration_ms}, clock_now(),
                      actions);
    carry_out(actions);
  };
  metrics_.before_scrape([this] { collect_metrics(); });
  arm_tick();
  return std::nullopt;
}

void BridgeHost::stop() {
  timer_.cancel();
  tick_.cancel();
  sockets_.close();
}

Endpoint BridgeHost::sip_address() const {
  return sockets_.places().front().bound;
}

const IpAddress& BridgeHost::sip_advertised() const {
  return sockets_.places().front().advertised.address;
}

provider::Reach BridgeHost::reach() const {
  provider::Reach reach;
  reach.v4 = sockets_.first_of(false) != nullptr;
  reach.v6 = sockets_.first_of(true) != nullptr;
  return reach;
}

void BridgeHost::lookup_done(std::string_view key) {
  call::Actions actions;
  bridge_->on_lookup_done(key, clock_now(), actions);
  carry_out(actions);
}

std::vector<std::string> BridgeHost::own_hosts() const {
  std::vector<std::string> hosts = sockets_.own_hosts();
  hosts.push_back(options_.link_host);
  return hosts;
}

/// Media has a socket of each address family that SIP is spoken on: where it is told to be, else
/// where SIP listens.
media::RelayConfig BridgeHost::relay_config() const {
  const ops::MediaConfig& media = options_.media;
  media::RelayConfig config;
  config.spare_pairs = media::spare_pairs_allowed();
  config.port_low = media.ports.first;
  config.port_high = media.ports.last;
  config.source = media.source == ops::MediaSource::strict ? media::SourcePolicy::strict
                                                           : media::SourcePolicy::learn;
  for (const bool ipv6 : {false, true}) {
    const SipSockets::Place* sip = sockets_.first_of(ipv6);
    std::optional<IpAddress> bind, advertised;
    if (media.address.is_v4() != ipv6) {
      bind = media.address;
      advertised = media.advertised_address;
    } else if (ipv6 && media.ipv6_address) {
      bind = media.ipv6_address;
    } else if (sip) {
      bind = sip->bound.address;
    }
    if (!bind) continue;
    if (!advertised && ipv6) advertised = media.ipv6_advertised_address;
    if (!advertised && !bind->is_unspecified()) advertised = bind;
    if (!advertised && sip) advertised = sip->advertised.address;
    if (ipv6) {
      config.bind_v6 = bind;
      config.advertised_v6 = advertised;
    } else {
      config.bind_v4 = *bind;
      config.advertised_v4 = advertised;
    }
  }
  return config;
}

bool BridgeHost::allowed(const Endpoint& source) {
  return allowed_(source) || bridge_->is_dialog_peer(source.address, clock_now());
}

/// Tells nothing but the status: no software, no methods, no names.
void BridgeHost::on_refused(std::string_view text, const Endpoint& source) {
  if (!on_stranger || !on_stranger(source, false)) return;
  auto request = sip::Message::parse(std::string(text));
  if (!request || !request->is_request() || request->check() ||
      request->method() == sip::Method::ack) {
    return;
  }
  sockets_.send(sip::Flow::udp(source),
                sip::Message::response_to(*request, 403, {}, random_.token(12)).serialize());
}

void BridgeHost::on_message(sip::Message message, const sip::Flow& flow, Instant now) {
  // A host that only a dialog's Contact led to is heard inside dialogs, and opens none of its own.
  bool opens =
      message.is_request() && message.to_tag().empty() && message.method() != sip::Method::cancel;
  if (opens && !flow.is_link() && !allowed_(flow.remote)) {
    ++strangers_refused_;
    return;
  }
  call::Actions actions;
  actions.reserve(4);
  const std::uint64_t unreachable = relay_->counters().unreachable_remotes;
  bridge_->on_message(std::move(message), flow, now, actions);
  if (relay_->counters().unreachable_remotes != unreachable) {
    log_.warning(
        "media_address_unreachable",
        {{"transport", sip::to_text(flow.transport)},
         {"remote", flow.remote},
         {"session", flow.session},
         {"problem", "the description names the kind of IP address that its leg has not"}});
  }
  carry_out(actions);
}

/// The log hears of those that ended something: one line for each request of ours at most.
void BridgeHost::on_broken_response(std::string_view text, const sip::Fault& fault,
                                    const sip::Flow& flow, Instant now) {
  const std::uint64_t before = bridge_->counters().broken_responses;
  call::Actions actions;
  bridge_->on_broken_response(text, fault, flow, now, actions);
  if (bridge_->counters().broken_responses != before) {
    log_.warning("sip_broken_response", {{"transport", sip::to_text(flow.transport)},
                                         {"remote", flow.remote},
                                         {"session", flow.session},
                                         {"fault", fault.reason()}});
  }
  carry_out(actions);
}

void BridgeHost::on_flow_failed(const sip::Flow& flow, Instant now) {
  log_.warning("sip_unreachable",
               {{"transport", sip::to_text(flow.transport)}, {"remote", flow.remote}});
  call::Actions actions;
  bridge_->on_flow_failed(flow, now, actions);
  // Who sends there names no listener of ours; the report does.
  sip::Flow plain = flow;
  plain.local = 0;
  if (flow.connection == 0 && flow != plain) bridge_->on_flow_failed(plain, now, actions);
  carry_out(actions);
}

void BridgeHost::on_flow_closed(const sip::Flow& flow, Instant now) {
  call::Actions actions;
  bridge_->on_flow_closed(flow, now, actions);
  carry_out(actions);
}

void BridgeHost::on_connection_trouble(const sip::Flow& flow, const std::string& text) {
  log_.warning(
      "sip_connection",
      {{"transport", sip::to_text(flow.transport)}, {"remote", flow.remote}, {"problem", text}});
}

void BridgeHost::session_opened(std::uint64_t session, LinkPort& port) {
  links_[session] = &port;
  relay_->add_session(session, port);
}

void BridgeHost::session_closed(std::uint64_t session) {
  if (links_.erase(session) == 0) return;
  call::Actions actions;
  bridge_->on_session_closed(session, clock_now(), actions);
  carry_out(actions);
  relay_->remove_session(session);
}

void BridgeHost::on_link_sip(std::uint64_t session, const std::string& bytes) {
  auto link = links_.find(session);
  if (link == links_.end()) return;
  auto message = sip::Message::parse(bytes);
  std::optional<sip::Fault> fault;
  if (!message) {
    fault = message.error();
  } else {
    fault = message->check();
  }
  if (fault) {
    ++malformed_from_links_;
    log_.debug("sip_malformed", {{"session", session}, {"fault", fault->reason()}});
    if (transport::is_response(bytes))
      return on_broken_response(bytes, *fault, sip::Flow::link(session), clock_now());
    if (auto answer = transport::fault_answer(bytes, *fault, link->second->remote())) {
      link->second->send_sip(*answer);
    }
    return;
  }
  on_message(std::move(*message), sip::Flow::link(session), clock_now());
}

void BridgeHost::user_available(const std::string& user) {
  call::Actions actions;
  bridge_->on_user_available(user, clock_now(), actions);
  carry_out(actions);
}

void BridgeHost::on_link_media(std::uint64_t session, std::uint32_t channel, ByteView bytes) {
  relay_->on_link_media(session, channel, bytes, clock_now());
}

call::OwnRequestId BridgeHost::send_own(call::OwnRequest request, OwnHandler done) {
  call::Actions actions;
  call::OwnRequestId id = bridge_->send_own(std::move(request), clock_now(), actions);
  own_requests_.emplace(id, std::move(done));
  carry_out(actions);
  return id;
}

void BridgeHost::forget_own(call::OwnRequestId id) {
  bridge_->forget_own(id);
  own_requests_.erase(id);
}

void BridgeHost::end_all_calls(std::string_view reason) {
  Instant now = clock_now();
  call::Actions actions;
  for (const call::CallRecord& record : bridge_->calls(now))
    bridge_->end_call(record.id, reason, now, actions);
  carry_out(actions);
}

void BridgeHost::send(const sip::Flow& flow, const std::string& bytes) {
  if (flow.is_link()) {
    auto link = links_.find(flow.session);
    if (link != links_.end()) link->second->send_sip(bytes);
    return;
  }
  if (sockets_.send(flow, bytes) == transport::SendOutcome::too_large) {
    log_.warning("sip_too_large", {{"bytes", bytes.size()}});
  }
}

void BridgeHost::carry_out(call::Actions& actions) {
  for (call::Action& action : actions) {
    if (auto* message = std::get_if<call::SendSip>(&action)) {
      send(message->flow, message->bytes);
    } else if (auto* change = std::get_if<call::CallChanged>(&action)) {
      report(*change);
    } else if (auto* registration = std::get_if<call::RegistrationChanged>(&action)) {
      log_.info(registration->registered ? "registered" : "unregistered",
                {{"aor", ops::Personal{registration->aor}},
                 {"owner", ops::Personal{registration->owner}}});
    } else if (auto* lookup = std::get_if<call::Lookup>(&action)) {
      if (on_lookup) {
        on_lookup(lookup->key);
      } else {
        boost::asio::post(io_, [this, key = lookup->key] { lookup_done(key); });
      }
    } else if (auto* own = std::get_if<call::OwnResponse>(&action)) {
      auto handler = own_requests_.extract(own->id);
      if (!handler.empty()) handler.mapped()(*own);
    } else if (auto* wake = std::get_if<call::WakeUser>(&action)) {
      log_.info("waiting_for_device", {{"user", ops::Personal{wake->user}},
                                       {"from", ops::Personal{wake->from}},
                                       {"call_id", wake->call_id}});
      if (on_wake) on_wake(*wake);
    }
  }
  timer_.arm(bridge_->next_deadline());
  if (after_input) after_input();
}

void BridgeHost::report(const call::CallChanged& change) {
  const call::CallRecord& record = change.record;
  ops::Log log = log_.with({{"call", record.id}});
  if (!change.ended) {
    bool answered = record.state == call::CallState::answered;
    if (answered) setup_seconds_.observe(as_seconds(record.setup_time));
    log.info(answered ? "call_answered" : "call_started",
             {{"call_id", record.call_id},
              {"from", ops::Personal{record.from}},
              {"to", ops::Personal{record.to}},
              {"from_owner", ops::Personal{record.owner[0]}},
              {"to_owner", ops::Personal{record.owner[1]}}});
    return;
  }
  const call::MediaStatistics &caller = record.media[0], &callee = record.media[1];
  log.info("call_ended", {{"call_id", record.call_id},
                          {"reason", record.end_reason},
                          {"status", record.status},
                          {"setup_s", as_seconds(record.setup_time)},
                          {"talk_s", as_seconds(record.talk_time)},
                          {"caller_packets", caller.packets},
                          {"caller_loss", caller.loss_ratio},
                          {"caller_jitter_ms", caller.jitter_ms},
                          {"caller_mos", caller.mos},
                          {"callee_packets", callee.packets},
                          {"callee_loss", callee.loss_ratio},
                          {"callee_jitter_ms", callee.jitter_ms},
                          {"callee_mos", callee.mos}});
}

void BridgeHost::on_timer() {
  call::Actions actions;
  bridge_->on_timeout(clock_now(), actions);
  carry_out(actions);
}

void BridgeHost::arm_tick() {
  tick_.expires_after(seconds(1));
  tick_.async_wait([this](boost::system::error_code error) {
    if (error) return;
    if (on_tick) on_tick();
    arm_tick();
  });
}

void BridgeHost::collect_metrics() {
  const call::BridgeCounters& calls = bridge_->counters();
  auto set = [&](const char* name, const char* help, std::uint64_t value) {
    metrics_.counter(name, help).set(value);
  };
  auto gauge = [&](const char* name, const char* help, std::size_t value) {
    metrics_.gauge(name, help).set(static_cast<double>(value));
  };
  gauge("isthmus_calls", "Calls at this moment", bridge_->call_count());
  set("isthmus_calls_started_total", "Calls that were routed", calls.calls_started);
  set("isthmus_calls_answered_total", "Calls that got a 2xx", calls.calls_answered);
  set("isthmus_calls_failed_total", "Calls that got a failure or were cancelled",
      calls.calls_failed);
  set("isthmus_calls_ended_total", "Calls that are over", calls.calls_ended);
  set("isthmus_registrations_total", "REGISTER requests that succeeded", calls.registrations);
  set("isthmus_registration_failures_total", "REGISTER requests that were refused",
      calls.registration_failures);
  set("isthmus_registration_refreshes_answered_total",
      "REGISTER refreshes answered without asking the provider", calls.refreshes_answered);
  set("isthmus_refused_over_limit_total", "Requests refused because a limit was reached",
      calls.rejected_over_limit);
  set("isthmus_loops_total",
      "Requests refused because they came twice (482) or passed too many hops (483)", calls.loops);
  set("isthmus_media_timeouts_total", "Calls ended for silence", calls.media_timeouts);
  set("isthmus_digits_converted_total", "DTMF digits brought from INFO to RFC 4733 or back",
      calls.digits_converted);
  set("isthmus_broken_responses_total",
      "Final responses that could not be read, and ended their request with what was sound",
      calls.broken_responses);
  set("isthmus_bad_sdp_total", "Session descriptions that could not be carried", calls.bad_sdp);

  const sip::TransactionLayer& layer = bridge_->transactions();
  gauge("isthmus_sip_client_transactions", "Open client transactions",
        layer.open_client_transactions());
  gauge("isthmus_sip_server_transactions", "Open server transactions",
        layer.open_server_transactions());
  set("isthmus_sip_retransmissions_in_total", "Retransmissions that came",
      layer.counters().retransmissions_in);
  set("isthmus_sip_retransmissions_out_total", "Retransmissions that went",
      layer.counters().retransmissions_out);
  set("isthmus_sip_stray_responses_total", "Responses that answer no request that is open",
      layer.counters().stray_responses);
  set("isthmus_sip_misrouted_responses_total",
      "Responses dropped because they bear a Via that is not ours", calls.misrouted_responses);
  set("isthmus_sip_timeouts_total", "Transactions that timed out", layer.counters().timeouts);

  sockets_.collect_metrics(metrics_);
  set("isthmus_sip_strangers_refused_total",
      "Requests outside dialogs from hosts that may speak inside dialogs only", strangers_refused_);
  set("isthmus_link_sip_malformed_total", "Link frames that are no sound SIP message",
      malformed_from_links_);

  const media::RelayCounters& media = relay_->counters();
  gauge("isthmus_media_endpoints", "Open media endpoints", relay_->open_endpoints());
  gauge("isthmus_media_port_pairs_free", "RTP port pairs not in use", relay_->free_port_pairs());
  set("isthmus_media_late_packets_total", "Media packets to ports whose call is over",
      media.late_packets);
  set("isthmus_media_packets_in_total", "Media packets received", media.packets_in);
  set("isthmus_media_packets_out_total", "Media packets sent", media.packets_out);
  set("isthmus_media_event_packets_total",
      "Packets that the conversion of digits took out of media streams", media.event_packets);
  set("isthmus_media_bytes_in_total", "Media bytes received", media.bytes_in);
  set("isthmus_media_bytes_out_total", "Media bytes sent", media.bytes_out);
  set("isthmus_media_unreachable_remotes_total",
      "Media addresses of the other kind (IPv4, IPv6) than the SIP of their leg has",
      media.unreachable_remotes);
  for (std::size_t i = 1; i < media::kDropReasons; ++i) {
    auto reason = static_cast<media::DropReason>(i);
    metrics_
        .counter("isthmus_media_dropped_total", "Media packets dropped",
                 {{"reason", media::to_text(reason)}})
        .set(media.dropped(reason));
  }
}

}  // namespace isthmus::app
