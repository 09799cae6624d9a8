#include "connector/connector.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "app/admin_json.hpp"
#include "app/key_log.hpp"
#include "app/state_secret.hpp"
#include "app/version.hpp"
#include "net/clock.hpp"

namespace isthmus::connector {

namespace json = boost::json;
using net::clock_now;

namespace {

constexpr Duration kDrainTime = seconds(2);  // BYEs are on their way in far less

app::BridgeHostOptions host_options(const ops::ConnectorConfig& config,
                                    const std::string& instance) {
  app::BridgeHostOptions options;
  options.sip = config.sip;
  options.media = config.media;
  options.timers = config.timers;
  options.link_host = instance;
  return options;
}

/// A name for this installation that stays, so that its Contacts do.
std::string instance_name(const Bytes& secret) {
  return "connector-" + to_hex(ByteView(secret).first(6)) + ".invalid";
}

}  // namespace

Connector::Connector(boost::asio::io_context& io, ops::ConnectorConfig config,
                     const std::string& state_dir, ops::Log log)
    : io_(io),
      config_(std::move(config)),
      log_(std::move(log)),
      started_(clock_now()),
      bindings_(app::load_or_make_secret(state_dir, "contact-key", random_)),
      router_({}, bindings_),
      instance_(instance_name(app::load_or_make_secret(state_dir, "instance", random_))),
      host_(io, host_options(config_, instance_), random_, log_, metrics_),
      drain_timer_(io) {}

Connector::~Connector() = default;

std::vector<std::string> Connector::start() {
  std::vector<std::string> faults;
  auto allowed = [this](const Endpoint& source) {
    return std::any_of(
        config_.allow.begin(), config_.allow.end(),
        [&](const ops::Network& network) { return network.contains(source.address); });
  };
  if (auto fault = host_.start(router_, bindings_, nullptr, allowed)) {
    faults.push_back(*fault);
  } else {
    router_.set_own_hosts(host_.own_hosts());
    router_.set_datagram_bytes(config_.sip.udp.datagram_bytes);
  }
  if (auto fault = make_connection()) faults.push_back("gateway: " + *fault);
  if (config_.admin.port != 0) {
    admin_ = std::make_unique<ops::AdminServer>(io_.get_executor(), *this, metrics_, log_);
    auto port = admin_->listen(config_.admin.address, config_.admin.port);
    if (!port) faults.push_back("admin: " + port.error().text);
  }
  if (!faults.empty()) return faults;
  metrics_.before_scrape([this] { collect_metrics(); });
  serving_ = true;
  log_.info("serving", {{"version", app::kVersion},
                        {"sip_udp", host_.sip_address().to_string()},
                        {"advertised", host_.sip_advertised().to_string()},
                        {"gateway", config_.gateway.url}});
  connection_->start();
  return faults;
}

std::optional<std::string> Connector::make_connection() {
  net::ConnectionOptions options;
  options.url = config_.gateway.url;
  options.other_urls = config_.gateway.other_urls;
  options.dns_servers = config_.gateway.dns_servers;
  options.hello.software = std::string("isthmus-connector/") + app::kVersion;
  options.hello.instance = instance_;
  if (!config_.gateway.token.empty()) {
    options.hello.credentials = wire::TokenCredentials{config_.gateway.token.reveal()};
  } else {
    options.hello.credentials =
        wire::PasswordCredentials{config_.gateway.user, config_.gateway.password.reveal()};
  }
  options.trust.ca_file = config_.gateway.trust.ca_file;
  if (!config_.gateway.trust.pin.empty()) options.trust.pins = {config_.gateway.trust.pin};
  options.trust.insecure = config_.gateway.trust.insecure;
  options.trust.key_log = config_.gateway.trust.key_log;
  if (options.trust.key_log) app::warn_of_key_log(log_);
  options.proxy = config_.gateway.proxy.reveal();
  options.keep_alive = config_.gateway.keep_alive;
  options.retry_refused = true;
  options.compact_rtp = config_.media.compact_rtp;
  auto made = net::ClientConnection::make(io_, std::move(options), *this);
  if (!made) return made.error().text;
  connection_ = std::move(*made);
  return std::nullopt;
}

void Connector::on_established(const wire::WelcomeInfo& welcome) {
  up_ = true;
  ++session_;
  gateway_address_ = Endpoint::parse(connection_->remote_text()).value_or(Endpoint{});
  log_.info("link_up", {{"user", ops::Personal{welcome.user}},
                        {"local", connection_->local_text()},
                        {"remote", connection_->remote_text()},
                        {"link", net::to_text(connection_->link_kind())},
                        {"found_at", connection_->gateway_text()},
                        {"gateway", welcome.software}});
  router_.link_up(session_, welcome.sip_domain);
  host_.session_opened(session_, *this);
}

void Connector::on_sip(std::string message) {
  host_.on_link_sip(session_, message);
}

void Connector::on_media(wire::Channel channel, ByteView bytes) {
  host_.on_link_media(session_, channel, bytes);
}

/// The bridge sees nothing of it: what it sends waits for the next link.
void Connector::on_link_lost(wire::CloseCode code, const std::string& reason,
                             Duration will_retry_in) {
  log_.warning("link_lost", {{"code", wire::to_text(code)},
                             {"reason", reason},
                             {"calls", host_.bridge().call_count()},
                             {"retry_in_s", app::as_seconds(will_retry_in)}});
}

void Connector::on_link_back(const wire::WelcomeInfo&, Duration gap) {
  ++resumes_;
  gateway_address_ = Endpoint::parse(connection_->remote_text()).value_or(gateway_address_);
  log_.info("link_back", {{"gap_s", app::as_seconds(gap)},
                          {"link", net::to_text(connection_->link_kind())},
                          {"reason", connection_->move_reason()},
                          {"local", connection_->local_text()},
                          {"remote", connection_->remote_text()}});
}

void Connector::on_go_away(const std::string& reason, Duration deadline) {
  log_.warning("gateway_goes_away", {{"reason", reason},
                                     {"calls", host_.bridge().call_count()},
                                     {"deadline_s", app::as_seconds(deadline)}});
}

void Connector::on_closed(wire::CloseCode code, const std::string& reason,
                          std::optional<Duration> will_retry_in) {
  log_.warning("link_down",
               {{"code", wire::to_text(code)},
                {"reason", reason},
                {"retry_in_s", will_retry_in ? app::as_seconds(*will_retry_in) : -1.0}});
  end_session();
}

void Connector::end_session() {
  if (!up_) return;
  up_ = false;
  ended_links_ += link_totals();
  router_.link_down();
  host_.session_closed(session_);
}

void Connector::send_sip(std::string_view message) {
  connection_->send_sip(as_bytes(message));
}

void Connector::send_media(std::uint32_t channel, ByteView bytes) {
  connection_->send_media(channel, bytes);
}

void Connector::drain(std::function<void()> done) {
  serving_ = false;
  log_.info("draining", {{"calls", host_.bridge().call_count()}});
  host_.end_all_calls("Connector is shutting down");
  drain_timer_.expires_after(kDrainTime);
  drain_timer_.async_wait([this, done = std::move(done)](boost::system::error_code) {
    connection_->close(wire::CloseCode::normal, "Connector is shutting down");
    if (admin_) admin_->stop();
    host_.stop();
    log_.info("stopped");
    boost::asio::post(io_, done);
  });
}

void Connector::reload_certificates() {
  if (auto wrong = host_.reload_certificates()) {
    log_.error("certificate_not_reloaded", {{"problem", "sip.tls: " + *wrong}});
  } else if (config_.sip.tls.enabled()) {
    log_.info("certificate_reloaded", {{"file", config_.sip.tls.certificate}});
  }
}

json::value Connector::status() const {
  const wire::SessionStatistics session = connection_->session_statistics();
  return json::object{{"software", std::string("isthmus-connector/") + app::kVersion},
                      {"uptime_s", app::as_seconds(clock_now() - started_)},
                      {"session_up", up_},
                      {"link_up", connection_->has_link()},
                      {"resumes", resumes_},
                      {"gateway", config_.gateway.url},
                      {"found_at", connection_->gateway_text()},
                      {"link", net::to_text(connection_->link_kind())},
                      {"move_reason", connection_->move_reason()},
                      {"keep_alive_s", app::as_seconds(session.keep_alive)},
                      {"keep_alive_adapts", session.keep_alive_adapts},
                      {"way_back_lost", session.way_back_lost},
                      {"local", connection_->local_text()},
                      {"remote", connection_->remote_text()},
                      {"attempts", connection_->attempts()},
                      {"calls", host_.bridge().call_count()},
                      {"registrations", bindings_.size()},
                      {"media_endpoints", host_.relay().open_endpoints()},
                      {"media_port_pairs_free", host_.relay().free_port_pairs()}};
}

json::value Connector::sessions() const {
  if (!up_) return json::array{};
  wire::LinkCounters counters = connection_->link_counters();
  json::object session{{"id", session_},
                       {"remote", connection_->remote_text()},
                       {"media_frames_in", counters.media_frames_in},
                       {"media_frames_out", counters.media_frames_out},
                       {"media_dropped", counters.media_dropped},
                       {"bytes_in", counters.bytes_in},
                       {"bytes_out", counters.bytes_out}};
  app::append_media(session, link_totals());
  return json::array{std::move(session)};
}

json::value Connector::calls() const {
  return app::calls_json(host_.bridge());
}

json::value Connector::registrations() const {
  json::array list;
  app::append_bindings(list, bindings_, clock_now());
  return list;
}

app::LinkTotals Connector::link_totals() const {
  return {connection_->link_counters(), connection_->media_in(), connection_->media_out()};
}

void Connector::collect_metrics() {
  app::LinkTotals totals = ended_links_;
  if (up_) totals += link_totals();
  app::collect_links(metrics_, totals);
  metrics_.gauge("isthmus_link_up", "1 while there is a link with the gateway")
      .set(up_ && connection_->has_link() ? 1 : 0);
  const net::LinkKind kind = up_ ? connection_->link_kind() : net::LinkKind::none;
  for (const net::LinkKind one : {net::LinkKind::websocket, net::LinkKind::udp}) {
    metrics_
        .gauge("isthmus_link_kind", "1 for the kind of link that is in use",
               {{"kind", net::to_text(one)}})
        .set(kind == one ? 1 : 0);
  }
  const wire::SessionStatistics session = connection_->session_statistics();
  metrics_.gauge("isthmus_link_keep_alive_seconds", "The longest silence that the link is left in")
      .set(app::as_seconds(session.keep_alive));
  metrics_
      .gauge("isthmus_link_way_back_lost",
             "Times in this session that a NAT had forgotten the link after a silence")
      .set(static_cast<double>(session.way_back_lost));
  metrics_.counter("isthmus_link_resumes_total", "Links that took up the session of a lost one")
      .set(resumes_);
  metrics_.gauge("isthmus_registrations", "Live registrations of phones")
      .set(static_cast<double>(bindings_.size()));
  metrics_.counter("isthmus_link_attempts_total", "Attempts to reach the gateway")
      .set(connection_->attempts());
}

}  // namespace isthmus::connector
