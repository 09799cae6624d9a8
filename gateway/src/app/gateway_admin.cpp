// Gateway: what the admin server and the metrics show.
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "app/admin_json.hpp"
#include "app/gateway.hpp"
#include "app/route_explain.hpp"
#include "app/version.hpp"
#include "net/clock.hpp"

namespace isthmus::app {

namespace json = boost::json;

json::value Gateway::status() const {
  auto uptime = net::clock_now() - started_;
  return json::object{{"software", std::string("isthmus-gateway/") + kVersion},
                      {"uptime_s", as_seconds(uptime)},
                      {"domain", config_.domain},
                      {"draining", draining()},
                      {"sessions", sessions_.size()},
                      {"calls", host_.bridge().call_count()},
                      {"registrations", registrar_->contact_count() + bindings_.size()},
                      {"media_endpoints", host_.relay().open_endpoints()},
                      {"media_port_pairs_free", host_.relay().free_port_pairs()}};
}

json::value Gateway::sessions() const {
  json::array list;
  for (const auto& [id, session] : sessions_) {
    if (!session->established() && !session->detached()) continue;
    wire::SessionStatistics statistics = session->statistics();
    wire::LinkCounters counters = session->link_counters();
    json::object entry{{"id", id},
                       {"user", session->identity().user},
                       {"remote", session->remote().to_string()},
                       {"software", session->software()},
                       {"age_s", as_seconds(net::clock_now() - session->opened())},
                       {"detached", session->detached()},
                       {"resumes", statistics.resumes},
                       {"sip_frames_in", statistics.sip_frames_in},
                       {"sip_frames_out", statistics.sip_frames_out},
                       {"media_frames_in", counters.media_frames_in},
                       {"media_frames_out", counters.media_frames_out},
                       {"media_dropped", counters.media_dropped},
                       {"bytes_in", counters.bytes_in},
                       {"bytes_out", counters.bytes_out}};
    append_media(entry, session->link_totals());
    list.push_back(std::move(entry));
  }
  return list;
}

json::value Gateway::calls() const {
  return calls_json(host_.bridge());
}

json::value Gateway::registrations() const {
  Instant now = net::clock_now();
  json::array list;
  for (const provider::Registrar::Entry& entry : registrar_->all()) {
    list.push_back(
        json::object{{"aor", "sip:" + entry.user + "@" + config_.domain},
                     {"contact", entry.contact.uri},
                     {"session", entry.contact.flow.session},
                     {"reachable", entry.contact.reachable},
                     {"registrar", "built-in"},
                     {"q", entry.contact.q},
                     {"instance", entry.contact.instance},
                     {"reg_id", entry.contact.reg_id},
                     {"path", json::array(entry.contact.path.begin(), entry.contact.path.end())},
                     {"user_agent", entry.contact.user_agent},
                     {"expires_s", as_seconds(entry.contact.expires - now)}});
  }
  append_bindings(list, bindings_, now);
  return list;
}

json::value Gateway::providers() const {
  return targets_.json();
}

json::value Gateway::route(const ops::AdminQuery& query) const {
  auto value = [&](const char* key) {
    auto found = query.find(key);
    return found == query.end() ? std::string() : found->second;
  };
  RouteQuestion question{value("uri"), value("from"), value("source")};
  if (query.contains("method")) question.method = value("method");
  return explain_route(*router_, config_, question, net::clock_now());
}

void Gateway::collect_metrics() {
  std::size_t established = 0, detached = 0;
  std::uint64_t without_link = resume_counters_.media_without_link;
  for (const auto& [id, session] : sessions_) {
    established += session->established();
    detached += session->detached();
    without_link += session->media_without_link();
  }
  metrics_.gauge("isthmus_sessions_detached", "Sessions that wait for a link")
      .set(static_cast<double>(detached));
  metrics_.gauge("isthmus_sessions", "Established sessions").set(static_cast<double>(established));
  metrics_.gauge("isthmus_registrations", "Live registrations, built-in and passed through")
      .set(static_cast<double>(registrar_->contact_count() + bindings_.size()));
  LinkTotals totals = ended_links_;
  for (const auto& [id, session] : sessions_) {
    if (!session->over()) totals += session->link_totals();
  }
  const link::ClientListenersCounters sockets = listeners_->counters();
  totals.link += sockets.handover.unclaimed;
  collect_links(metrics_, totals);
  link_ends_.collect(metrics_);
  registrar_host_.collect_metrics(metrics_);
  upstream_.collect(metrics_);
  auto set = [&](const char* name, const char* help, std::uint64_t value) {
    metrics_.counter(name, help).set(value);
  };
  set("isthmus_sessions_opened_total", "Sessions that were welcomed", sessions_opened_);
  set("isthmus_sessions_refused_total", "Sessions refused over a limit", sessions_refused_);
  set("isthmus_sessions_detached_total", "Times that a session lost its link and waited",
      resume_counters_.detached);
  set("isthmus_sessions_resumed_total", "Times that a link came for a session that waited",
      resume_counters_.resumed);
  set("isthmus_sessions_moved_total", "Times that a link took over from one that stood",
      resume_counters_.moved);
  set("isthmus_sessions_expired_total", "Sessions that no link came for in time",
      resume_counters_.expired);
  set("isthmus_sessions_detached_over_limit_total",
      "Sessions ended because too many waited for a link", resume_counters_.over_limit);
  set("isthmus_resumes_refused_total", "Resume tokens that were unknown, used or too late",
      resume_counters_.refused);
  set("isthmus_media_without_link_total", "Media packets for clients that had no link",
      without_link);
  set("isthmus_authentication_failures_total", "Credentials that were refused", auth_failures_);
  set("isthmus_strangers_answered_total",
      "Packets on the SIP port from sources that are not served, among the first of each",
      strangers_.answered());
  set("isthmus_strangers_silenced_total", "Those that came after, and all of their connections",
      strangers_.silenced());
  for (std::size_t i = 0; i < static_cast<std::size_t>(provider::AdmissionReason::count_); ++i) {
    auto reason = static_cast<provider::AdmissionReason>(i);
    metrics_
        .counter("isthmus_admission_refused_total", "Requests refused by a limit",
                 {{"limit", std::string(provider::to_text(reason))}})
        .set(router_->admission().refused(reason));
  }
  const link::ListenerCounters& listener = sockets.websocket;
  set("isthmus_connections_accepted_total", "TCP connections accepted", listener.accepted);
  set("isthmus_connections_over_limit_total", "TCP connections closed for max_connections",
      listener.over_limit);
  set("isthmus_tls_failures_total", "TLS handshakes that failed", listener.tls_failed);
  set("isthmus_http_failures_total", "Upgrades to a link that broke off or were not HTTP",
      listener.http_failed);
  set("isthmus_accept_errors_total", "TCP connections that the system could not hand over",
      listener.accept_errors);
  set("isthmus_handshake_timeouts_total", "TLS or HTTP handshakes that took too long",
      listener.timed_out);
  if (sockets.udp) collect_udp_metrics(*sockets.udp);
  for (std::size_t i = 0; i < sockets.open.size(); ++i) {
    metrics_
        .gauge("isthmus_shard_links", "Sockets and UDP links, by the shard that carries them",
               {{"shard", std::to_string(i)}})
        .set(static_cast<double>(sockets.open[i]));
  }
  set("isthmus_shard_media_dropped_total",
      "Media packets dropped because too much waited between threads",
      sockets.handover.media_dropped);
  set("isthmus_shard_links_cut_total", "Links cut because too much SIP waited between threads",
      sockets.handover.links_cut);
}

}  // namespace isthmus::app
