// The gateway's UDP links: what their listener is told, and its metrics.
#include <algorithm>

#include "app/gateway.hpp"
#include "app/state_secret.hpp"

namespace isthmus::app {

link::UdpListenerOptions Gateway::udp_options() {
  link::UdpListenerOptions options;
  options.key_log = config_.websocket.key_log;
  options.server.max_links = config_.websocket.max_connections;
  options.server.retry_above = config_.udp_link.retry_above;
  options.server.early_data = config_.udp_link.early_data;
  const Bytes secret = load_or_make_secret(state_dir_, "quic-key", random_);
  std::copy_n(secret.begin(), std::min(secret.size(), options.server.secret.size()),
              options.server.secret.begin());
  return options;
}

void Gateway::collect_udp_metrics(const link::UdpListenerCounters& counters) {
  const quic::LinkServerCounters& server = counters.server;
  const quic::UdpCounters& links = counters.links;
  metrics_.gauge("isthmus_udp_links", "UDP links, those still shaking hands included")
      .set(static_cast<double>(counters.open));
  const auto set = [this](const char* name, const char* help, std::uint64_t value) {
    metrics_.counter(name, help).set(value);
  };
  set("isthmus_udp_connections_accepted_total", "QUIC connections that began", server.accepted);
  set("isthmus_udp_links_opened_total", "UDP links whose handshake ended well", counters.upgraded);
  set("isthmus_udp_handshakes_failed_total", "QUIC handshakes that failed",
      counters.handshakes_failed);
  set("isthmus_udp_datagrams_in_total", "Datagrams of links received", links.datagrams_in);
  set("isthmus_udp_datagrams_out_total", "Datagrams of links sent", links.datagrams_out);
  set("isthmus_udp_not_sent_total", "Datagrams that the system did not take", counters.not_sent);
  set("isthmus_udp_address_moves_total", "Times that a client's address changed",
      links.address_moves);
  set("isthmus_udp_media_lost_total", "Media packets of clients that never came", links.media_lost);
  set("isthmus_udp_key_updates_total", "Times that QUIC of a link went on to new keys",
      links.key_updates);
  const auto early = [this](const char* outcome, std::uint64_t value) {
    metrics_
        .counter("isthmus_udp_early_data_total", "UDP links that began with early data",
                 {{"outcome", outcome}})
        .set(value);
  };
  early("taken", links.early_hellos);
  early("waited", links.early_held);
  early("replayed", counters.early_replayed);
  const auto answered = [this](const char* how, std::uint64_t value) {
    metrics_
        .counter("isthmus_udp_answered_total", "Datagrams of no link that were answered",
                 {{"with", how}})
        .set(value);
  };
  answered("retry", server.retries);
  answered("refusal", server.refused + server.bad_tokens);
  answered("version_negotiation", server.version_negotiations);
  answered("stateless_reset", server.stateless_resets);
  const auto dropped = [this](const char* why, std::uint64_t value) {
    metrics_
        .counter("isthmus_udp_dropped_total", "Datagrams and frames of UDP links that were dropped",
                 {{"reason", why}})
        .set(value);
  };
  dropped("malformed", server.malformed + links.media_malformed + links.other_datagrams);
  dropped("unknown_connection", server.unknown_connections);
  dropped("unknown_media", server.unknown_media);
  dropped("forged", links.media_forged);
  dropped("replayed", links.media_replayed);
  dropped("too_large", links.media_too_large);
  dropped("early", links.media_early);
}

}  // namespace isthmus::app
