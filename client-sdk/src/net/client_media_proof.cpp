// ClientConnection: what is learned of the link in use. Whether media passes it, whether UDP is
// worth another attempt, and how long it may be silent.
#include <algorithm>
#include <utility>

#include "base/limits.hpp"
#include "net/client_connection_impl.hpp"

namespace isthmus::net {

using wire::CloseCode;

/// A link carries the session from now.
void ClientConnection::Impl::link_taken(const wire::WelcomeInfo& welcome) {
  const Instant now = clock_now();
  moves_failed_ = 0;
  quiet_armed_ = false;
  quiet_timer_.cancel();
  if (on_udp()) {
    udp_trust_.on_up(now);
  } else {
    udp_trust_.on_over();
  }
  // With no other kind of link to go to, what passes is taken as it is.
  if (on_udp() && session_place_.url.kinds == LinkKinds::either && session_->media_pings()) {
    proof_.begin(now, session_->statistics().round_trip);
  } else {
    proof_.end();
  }
  proof_timer_.arm(proof_.next_deadline());
  const Duration fixed = options_.keep_alive;
  if (fixed > Duration{}) {
    session_->keep_alive({fixed, fixed, fixed}, now);
  } else if (on_udp()) {
    const Duration said = welcome.keep_alive_ms == 0
                              ? limits::kKeepAlive
                              : Duration(milliseconds(welcome.keep_alive_ms));
    session_->keep_alive({said, std::min(said, wire::kLeastSearchedKeepAlive),
                          std::max(said, wire::kMostSearchedKeepAlive)},
                         now);
  }
  look_for_udp();
}

/// The link in use is about to be given up.
void ClientConnection::Impl::link_left(CloseCode code) {
  if (on_udp() && code == CloseCode::timeout) {
    udp_trust_.on_down(clock_now(), false);
  } else {
    udp_trust_.on_over();
  }
  proof_.end();
  proof_timer_.cancel();
}

void ClientConnection::Impl::on_proof_timer() {
  if (!on_udp() || !session_) return proof_.end();
  const Instant now = clock_now();
  const auto asked_before = proof_.asking_since();
  switch (proof_.on_timeout(now)) {
    case MediaProof::Step::ask:
      ask_for_media(now);
      break;
    case MediaProof::Step::failed:
      media_lost(now, asked_before && reliable_at_ > *asked_before);
      break;
    case MediaProof::Step::none:
      break;
  }
  proof_timer_.arm(proof_.next_deadline());
  drain();
}

void ClientConnection::Impl::ask_for_media(Instant now) {
  current_->link->send_media(wire::kControlChannel, wire::ClientSession::media_ping());
  // Whether it is media alone that is lost shows in the answer to this one.
  if (proof_.asking_since() == now) session_->probe(now, events_);
}

void ClientConnection::Impl::media_lost(Instant now, bool media_alone) {
  if (!may_dial() || !session_->resume_hello(options_.hello)) return;
  udp_trust_.on_down(now, media_alone);
  move_reason_ = media_alone ? "media did not pass UDP" : "nothing came back over UDP";
  dial();
}

std::string ClientConnection::Impl::gateway_text() const {
  const Place& place = established() ? session_place_ : places_.here();
  std::string text = place.url.whereabouts();
  if (place.proxy && !on_udp()) text += " by the proxy " + place.proxy->authority();
  return text;
}

}  // namespace isthmus::net
