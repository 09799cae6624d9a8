// Gateway: sessions between their links, and their end.
#include <algorithm>
#include <boost/asio/post.hpp>

#include "app/gateway.hpp"
#include "app/version.hpp"

namespace isthmus::app {

namespace asio = boost::asio;

/// @param link  the session whose link carries the Welcome
wire::WelcomeInfo Gateway::welcome_for(const LinkSession& session, const LinkSession& link,
                                       const std::string& user) const {
  wire::WelcomeInfo welcome;
  welcome.session_id = session.id();
  welcome.software = std::string("isthmus-gateway/") + kVersion;
  welcome.user = user;
  welcome.sip_domain = config_.domain;
  welcome.observed_address = link.remote().to_string();
  welcome.keep_alive_ms = static_cast<std::uint32_t>(
      std::chrono::duration_cast<milliseconds>(limits::kKeepAlive).count());
  welcome.max_channels = limits::kChannelsPerSession;
  wire::announce(welcome.capabilities, wire::kCompactRtpCapability, config_.media.compact_rtp);
  wire::announce(welcome.capabilities, wire::kHeldPongCapability, true);
  wire::announce(welcome.capabilities, wire::kMediaPingCapability, true);
  welcome.resume_window_ms =
      static_cast<std::uint32_t>(milliseconds(config_.links.resume_window).count());
  return welcome;
}

/// One answer whatever is wrong with the token: whoever guesses learns nothing, and a client does
/// the same in every case, it begins a new session.
void Gateway::resume(LinkSession& greeting, const wire::ResumeCredentials& credentials) {
  const auto claim = resume_tokens_.open(credentials.token);
  const auto found = claim ? sessions_.find(claim->session) : sessions_.end();
  if (found == sessions_.end() || found->second->over() ||
      !found->second->can_resume(claim->generation, credentials.sip_frames)) {
    ++resume_counters_.refused;
    log_.info("resume_refused", {{"remote", greeting.remote()}});
    greeting.reject(wire::CloseCode::resume_refused, "no session to resume; begin a new one", 0);
    return;
  }
  LinkSession& session = *found->second;
  const bool was_detached = session.detached();
  ++(was_detached ? resume_counters_.resumed : resume_counters_.moved);
  log_.with({{"session", session.id()}})
      .info("session_resumed", {{"remote", greeting.remote()},
                                {"from", session.remote()},
                                {"link_was_up", !was_detached},
                                {"media_dropped", session.media_without_link()}});
  waiting_.remove(session.id());
  session.resume(greeting, claim->generation, credentials.sip_frames,
                 welcome_for(session, greeting, session.identity().user), resume_tokens_);
  if (draining()) session.go_away(go_away_info());
  asio::post(io_, [this, id = greeting.id()] { sessions_.erase(id); });
}

/// A client that begins anew has forgotten what its last session held: nobody will come for it.
void Gateway::end_orphans(const session::Identity& identity, const std::string& instance) {
  if (instance.empty()) return;
  for (const std::uint64_t id : waiting_.of_instance(identity.user, instance)) {
    const auto found = sessions_.find(id);
    if (found == sessions_.end()) continue;
    found->second->close(wire::CloseCode::replaced, "the client has begun a new session");
  }
}

void Gateway::on_detached(LinkSession& session, wire::CloseCode code, const std::string& reason) {
  ++resume_counters_.detached;
  link_ends_.link_lost(code);
  const std::string& user = session.identity().user;
  waiting_.add(session.id(), user, session.instance());
  log_.with({{"session", session.id()}})
      .info("session_detached", {{"code", wire::to_text(code)},
                                 {"reason", reason},
                                 {"remote", session.remote()},
                                 {"waits_s", config_.links.resume_window.count()}});
  if (waiting_.size() <= config_.limits.detached_sessions &&
      waiting_.of_user(user) <= config_.limits.detached_sessions_per_user) {
    return;
  }
  ++resume_counters_.over_limit;
  asio::post(io_, [this, id = session.id()] {
    const auto found = sessions_.find(id);
    if (found == sessions_.end() || !found->second->detached()) return;
    found->second->close(wire::CloseCode::limit_exceeded, "too many sessions without a link");
  });
}

void Gateway::on_over(LinkSession& session, wire::CloseCode code, const std::string& reason) {
  const std::uint64_t id = session.id();
  if (session.expired()) ++resume_counters_.expired;
  const bool was_admitted = !session.identity().user.empty();
  if (was_admitted) --admitted_;
  link_ends_.session_ended(was_admitted, code);
  resume_counters_.media_without_link += session.media_without_link();
  log_.with({{"session", id}})
      .info("session_over", {{"code", wire::to_text(code)},
                             {"reason", reason},
                             {"resumes", session.statistics().resumes},
                             {"media_dropped", session.media_without_link()}});
  waiting_.remove(id);
  ended_links_ += session.link_totals();
  registrar_->session_closed(id);
  host_.session_closed(id);
  router_->remove_session(id);
  asio::post(io_, [this, id] { sessions_.erase(id); });
}

}  // namespace isthmus::app
