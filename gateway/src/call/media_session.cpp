#include "call/media_session.hpp"

#include <utility>

#include "base/limits.hpp"
#include "base/text.hpp"

namespace isthmus::call {

const char* to_text(MediaError error) {
  switch (error) {
    case MediaError::ports_exhausted:
      return "No media port is free";
    case MediaError::channels_exhausted:
      return "No media channel is free";
    case MediaError::no_such_session:
      return "The link is gone";
    case MediaError::socket_failed:
      return "A media socket could not be opened";
  }
  return "Media failed";
}

bool is_sdp(std::string_view content_type) {
  return content_type == "application/sdp";
}

void strip_ice(sdp::SessionDescription& description) {
  for (const char* name : {"ice-ufrag", "ice-pwd", "ice-options", "ice-lite", "ice-pacing"}) {
    description.remove_session_attribute(name);
    for (auto& media : description.media()) media.remove_attribute(name);
  }
  for (auto& media : description.media()) {
    for (const char* name :
         {"candidate", "remote-candidates", "end-of-candidates", "ice-mismatch"}) {
      media.remove_attribute(name);
    }
  }
}

RemoteMedia remote_of(const sdp::SessionDescription& description,
                      const sdp::SessionDescription::Media& media) {
  RemoteMedia remote;
  remote.port = media.port();
  std::optional<sdp::Connection> connection = description.connection_of(media);
  if (connection && connection->ip) remote.address = *connection->ip;
  remote.rtcp_port =
      media.rtcp_port().value_or(static_cast<std::uint16_t>(remote.port ? remote.port + 1 : 0));
  remote.rtcp_mux = media.rtcp_mux();
  remote.udptl = iequals(media.protocol(), "udptl");
  if (const std::uint32_t rate = media.first_clock_rate()) remote.clock_rate = rate;
  return remote;
}

namespace {

/// A stream that the relay, which carries datagrams, cannot bring to where the description says.
bool cannot_flow(const sdp::SessionDescription& description,
                 const sdp::SessionDescription::Media& media, const sip::Flow& flow) {
  const std::string protocol = media.protocol();
  if (iequals(std::string_view(protocol).substr(0, protocol.find('/')), "TCP"))
    return true;  // MSRP, BFCP
  const std::optional<sdp::Connection> connection = description.connection_of(media);
  if (flow.is_link() || !connection) return false;
  return !connection->ip;  // a name
}

/// Such streams of an offer are refused (RFC 3264 §6): not offered on. @return why there would be
/// no other, if so
std::optional<MediaFault> refuse_what_cannot_flow(sdp::SessionDescription& description,
                                                  const sip::Flow& flow) {
  std::size_t refused = 0, left = 0;
  for (sdp::SessionDescription::Media& media : description.media()) {
    if (media.port() == 0) continue;
    const bool refuse = cannot_flow(description, media, flow);
    ++(refuse ? refused : left);
    if (refuse) media.set_port(0);
  }
  if (refused == 0 || left != 0) return std::nullopt;
  return MediaFault{488, "Media over TCP or to a host name is not relayed"};
}

}  // namespace

MediaSession::MediaSession(MediaPlane& plane, sip::Flow caller, sip::Flow callee)
    : plane_(plane), flows_{caller, callee} {}

MediaSession::~MediaSession() {
  for (Stream& stream : streams_) close(stream);
}

bool MediaSession::move_callee(const sip::Flow& callee) {
  const sip::Flow& now = flows_[1];
  if (callee.is_link() != now.is_link()) return false;
  if (callee.is_link() ? callee.session != now.session
                       : callee.remote.address.is_v4() != now.remote.address.is_v4()) {
    return false;
  }
  flows_[1] = callee;
  return true;
}

Result<LocalMedia, MediaError> MediaSession::open_end(const sip::Flow& flow) {
  return flow.is_link() ? plane_.open_link(flow.session)
                        : plane_.open_network(!flow.remote.address.is_v4());
}

std::optional<MediaFault> MediaSession::open(Stream& stream) {
  for (std::size_t side : {std::size_t{0}, std::size_t{1}}) {
    Result<LocalMedia, MediaError> local = open_end(flows_[side]);
    if (!local) {
      if (side == 1) plane_.close(stream.local[0].id);
      return MediaFault{503, to_text(local.error())};
    }
    stream.local[side] = *local;
  }
  plane_.join(stream.local[0].id, stream.local[1].id);
  stream.open = true;
  return std::nullopt;
}

void MediaSession::close(Stream& stream) {
  if (!stream.open) return;
  for (const LocalMedia& local : stream.local) plane_.close(local.id);
  stream = {};
}

/// Closes the streams that no dialog has use for.
void MediaSession::release_unused() {
  for (std::size_t i = 0; i < streams_.size(); ++i) {
    bool used = false;
    for (const Fork& fork : forks_) used = used || (i < fork.terms.size() && fork.terms[i].used);
    if (!used) close(streams_[i]);
  }
}

const MediaSession::Fork& MediaSession::fork_of(std::string_view dialog) const {
  if (!settled_ && !dialog.empty()) {
    for (const Fork& fork : forks_) {
      if (fork.dialog == dialog) return fork;
    }
  }
  return forks_.front();
}

MediaSession::Fork& MediaSession::fork_of(std::string_view dialog) {
  if (settled_ || dialog.empty()) return forks_.front();
  for (Fork& fork : forks_) {
    if (fork.dialog == dialog) return fork;
  }
  // The owner bounds the early dialogs, and says which it forgets; this is for want of its word.
  if (forks_.size() > limits::kForksPerCall) forks_.erase(forks_.begin() + 1);
  Fork fresh = forks_.front();
  fresh.dialog = std::string(dialog);
  forks_.push_back(std::move(fresh));
  return forks_.back();
}

void MediaSession::tell(std::size_t index, std::size_t side, const RemoteMedia& remote) {
  streams_[index].told[side] = remote;
  plane_.set_remote(streams_[index].local[side].id, remote);
}

/// Media flows by the terms of this dialog from now on.
void MediaSession::activate(const Fork& fork) {
  if (active_ == fork.dialog) return;
  active_ = fork.dialog;
  for (std::size_t i = 0; i < streams_.size(); ++i) {
    if (!streams_[i].open) continue;
    for (std::size_t side : {std::size_t{0}, std::size_t{1}}) {
      RemoteMedia remote =
          i < fork.terms.size() && fork.terms[i].used ? fork.terms[i].remote[side] : RemoteMedia{};
      if (remote != streams_[i].told[side]) tell(i, side, remote);
    }
  }
}

void MediaSession::learn_remote(Fork& fork, std::size_t index, std::size_t from,
                                const sdp::SessionDescription& description,
                                const sdp::SessionDescription::Media& media, bool offer) {
  Terms& terms = fork.terms[index];
  RemoteMedia remote = remote_of(description, media);
  if (offer) {
    terms.mux_offered = remote.rtcp_mux;
    // Until the answer agrees, the offerer gets RTCP on its own port (RFC 5761 §5.1.1).
    remote.rtcp_mux = remote.rtcp_mux && terms.remote[from].rtcp_mux;
  } else {
    remote.rtcp_mux = remote.rtcp_mux && terms.mux_offered;
    RemoteMedia& offerer = terms.remote[1 - from];
    if (offerer.rtcp_mux != remote.rtcp_mux) {
      offerer.rtcp_mux = remote.rtcp_mux;
      tell(index, 1 - from, offerer);
    }
  }
  remote.events = terms.remote[from].events;  // until an answer says otherwise
  terms.remote[from] = remote;
  std::optional<sdp::Connection> connection = description.connection_of(media);
  bool nowhere = connection && connection->ip && connection->ip->is_unspecified();  // RFC 2543 hold
  terms.held[from] = nowhere || description.direction_of(media) != sdp::Direction::sendrecv;
  tell(index, from, remote);
}

/// An offer keeps what it replaces until it is answered; an answer settles it.
void MediaSession::keep_or_settle(Fork& fork, std::size_t from, bool offer) {
  for (Terms& terms : fork.terms) {
    if (!offer) {
      terms.before[1 - from].reset();
    } else if (!terms.before[from]) {
      terms.before[from] = Before{terms.remote[from], terms.used, terms.held[from]};
    }
  }
  if (offer) {
    fork.pending = from == 0 ? Side::caller : Side::callee;
  } else if (fork.pending && index_of(*fork.pending) != from) {
    fork.pending.reset();
  }
}

Result<std::string, MediaFault> MediaSession::translate(Side from_side, std::string_view sdp,
                                                        bool offer, std::string_view dialog) {
  Result<sdp::SessionDescription, sdp::Fault> parsed = sdp::SessionDescription::parse(sdp);
  if (!parsed) return MediaFault{offer ? 400 : 488, parsed.error().reason()};
  sdp::SessionDescription description = std::move(*parsed);
  strip_ice(description);
  std::size_t from = index_of(from_side), to = 1 - from;
  if (offer) {
    if (auto fault = refuse_what_cannot_flow(description, flows_[from])) return *fault;
  }
  Fork& fork = fork_of(dialog);
  if (offer) {
    fork.offered = lines_of(description);
  } else if (!fit_to_offer(description, fork.offered)) {
    return MediaFault{488, "The answer's m= lines are not those of the offer"};
  } else {
    fork.agreed = fork.offered;
  }
  activate(fork);
  if (streams_.size() < description.media().size()) streams_.resize(description.media().size());
  if (fork.terms.size() < streams_.size()) fork.terms.resize(streams_.size());
  keep_or_settle(fork, from, offer);

  std::optional<IpAddress> address;
  for (std::size_t i = 0; i < description.media().size(); ++i) {
    auto& media = description.media()[i];
    Terms& terms = fork.terms[i];
    if (media.port() == 0) {
      if (terms.used) learn_remote(fork, i, from, description, media, offer);
      if (!offer) terms.used = false;
      continue;
    }
    if (!terms.used) {
      if (!offer) {  // an answer opens nothing that was not on offer (RFC 3264 §6)
        media.set_port(0);
        continue;
      }
      if (!streams_[i].open) {
        if (std::optional<MediaFault> fault = open(streams_[i])) return *fault;
      }
      terms.used = true;
    }
    learn_remote(fork, i, from, description, media, offer);
    if (converts()) carry_events(fork, i, from, media, offer);
    const LocalMedia& local = streams_[i].local[to];
    address = local.address;
    if (std::optional<std::uint16_t> rtcp = media.rtcp_port()) {
      bool muxed = *rtcp == media.port();
      media.set_attribute("rtcp", std::to_string(muxed ? local.port : local.port + 1));
    }
    media.set_port(local.port);
  }
  release_unused();
  // Where nothing flows nobody is told an address of the other leg either.
  description.set_address(address.value_or(IpAddress()));
  return description.to_string();
}

void MediaSession::convert_digits(std::array<DtmfForm, 2> forms, std::uint64_t call) {
  forms_ = forms;
  call_ = call;
}

/// What events become once the answer is known; before, they pass or wait for it.
void MediaSession::carry_events(Fork& fork, std::size_t index, std::size_t from,
                                sdp::SessionDescription::Media& media, bool offer) {
  Terms& terms = fork.terms[index];
  terms.events.carry(forms_, from, media, offer);
  if (offer) return;
  for (std::size_t side : {std::size_t{0}, std::size_t{1}}) {
    TelephoneEvents events = terms.events.events_of(forms_, side);
    events.call = call_;
    if (events == terms.remote[side].events) continue;
    terms.remote[side].events = events;
    tell(index, side, terms.remote[side]);
  }
}

std::optional<std::size_t> MediaSession::stream_with_events(Side to) const {
  const Fork& fork = fork_of(active_);
  for (std::size_t i = 0; i < fork.terms.size(); ++i) {
    const Terms& terms = fork.terms[i];
    if (terms.used && streams_[i].open && terms.remote[index_of(to)].events.plays()) return i;
  }
  return std::nullopt;
}

bool MediaSession::plays_digits(Side to) const {
  return converts() && stream_with_events(to).has_value();
}

bool MediaSession::play_digit(Side to, char digit, unsigned duration_ms) {
  std::optional<std::size_t> stream = stream_with_events(to);
  return stream && plane_.play_digit(streams_[*stream].local[index_of(to)].id, digit, duration_ms);
}

std::optional<Side> MediaSession::side_of(MediaEndpointId id) const {
  for (const Stream& stream : streams_) {
    if (!stream.open) continue;
    if (stream.local[0].id == id) return Side::caller;
    if (stream.local[1].id == id) return Side::callee;
  }
  return std::nullopt;
}

void MediaSession::rollback(Side offerer, std::string_view dialog) {
  std::size_t side = index_of(offerer);
  Fork& fork = fork_of(dialog);
  if (fork.pending == offerer) {
    fork.pending.reset();
    fork.offered = fork.agreed;
  }
  for (std::size_t i = 0; i < fork.terms.size(); ++i) {
    Terms& terms = fork.terms[i];
    std::optional<Before> before = std::exchange(terms.before[side], std::nullopt);
    if (!before || !terms.used) continue;
    terms.used = before->used;
    if (!terms.used) continue;
    terms.remote[side] = before->remote;
    terms.held[side] = before->held;
    if (active_ == fork.dialog) tell(i, side, before->remote);
  }
  release_unused();
}

void MediaSession::end_offer(Side offerer, std::string_view dialog) {
  Fork& fork = fork_of(dialog);
  if (fork.pending == offerer) fork.pending.reset();
}

std::optional<Side> MediaSession::pending_offer(std::string_view dialog) const {
  return fork_of(dialog).pending;
}

void MediaSession::settle(std::string_view dialog) {
  if (settled_) return;
  Fork answered = fork_of(dialog);
  activate(answered);
  answered.dialog.clear();
  active_.clear();
  forks_.clear();
  forks_.push_back(std::move(answered));
  settled_ = true;
  release_unused();
}

void MediaSession::forget(std::string_view dialog) {
  if (settled_ || dialog.empty()) return;
  std::erase_if(forks_, [&](const Fork& fork) { return fork.dialog == dialog; });
  release_unused();
}

bool MediaSession::expects_media() const {
  for (const Terms& terms : fork_of(active_).terms) {
    if (terms.used && !terms.held[0] && !terms.held[1]) return true;
  }
  return false;
}

std::optional<std::uint64_t> MediaSession::idle_ms() const {
  std::optional<std::uint64_t> least;
  for (const Stream& stream : streams_) {
    if (!stream.open) continue;
    for (const LocalMedia& local : stream.local) {
      std::optional<std::uint64_t> idle = plane_.idle_ms(local.id);
      if (idle && (!least || *idle < *least)) least = idle;
    }
  }
  return least;
}

MediaStatistics MediaSession::statistics(Side side) const {
  for (const Stream& stream : streams_) {
    if (stream.open) return plane_.statistics(stream.local[index_of(side)].id);
  }
  return {};
}

std::size_t MediaSession::stream_count() const {
  std::size_t count = 0;
  for (const Stream& stream : streams_) count += stream.open;
  return count;
}

}  // namespace isthmus::call
