#include "media/source_latch.hpp"

#include "base/limits.hpp"

namespace isthmus::media {
namespace {
constexpr int kSdpAddress = 3, kSdpHost = 2, kElsewhere = 1;
constexpr std::uint16_t kMaxGap = 16;  // packets that may be lost while a stream proves itself
}  // namespace

void SourceLatch::set_remote(const Endpoint& sdp, Instant now, bool reachable) {
  if (sdp_ == sdp) return renew(now);
  sdp_ = sdp;
  reachable_ = reachable;
  if (locked_) previous_ = locked_;
  locked_.reset();
  candidates_ = {};
  learn_until_ = now + limits::kLearnWindow;
}

void SourceLatch::renew(Instant now) {
  if (sdp_ && !locked_) learn_until_ = now + limits::kLearnWindow;
}

int SourceLatch::rank(const Endpoint& source) const {
  if (source == *sdp_) return kSdpAddress;
  return source.address == sdp_->address ? kSdpHost : kElsewhere;
}

void SourceLatch::lock(const Endpoint& source) {
  locked_ = source;
  previous_.reset();
  candidates_ = {};
}

SourceVerdict SourceLatch::on_media(const Endpoint& source, std::uint32_t ssrc,
                                    std::uint16_t sequence, Instant now) {
  if (!sdp_) return SourceVerdict::no_remote;
  const bool learning = policy_ == SourcePolicy::learn && now < learn_until_;
  if (locked_ != source) {
    const int offered = rank(source);
    const bool better = !locked_ || (learning && offered > rank(*locked_));
    const bool named = offered == kSdpAddress && better;
    // Heard without a lock: packets on their way when the SDP changed.
    const bool late = !named && policy_ == SourcePolicy::learn && is_previous(source);
    if (!named && !late) {
      if (!learning || !better) return SourceVerdict::wrong_source;
      if (!prove(source, ssrc, sequence)) return SourceVerdict::unproven;
    }
    if (!late) lock(source);
  }
  ssrc_ = ssrc;
  return SourceVerdict::accepted;
}

bool SourceLatch::prove(const Endpoint& source, std::uint32_t ssrc, std::uint16_t sequence) {
  for (auto& candidate : candidates_) {
    if (!candidate.used || candidate.source != source || candidate.ssrc != ssrc) continue;
    const auto step = static_cast<std::uint16_t>(sequence - candidate.sequence);
    candidate.sequence = sequence;
    return step >= 1 && step <= kMaxGap;
  }
  candidates_[next_candidate_] = {source, ssrc, sequence, true};
  next_candidate_ = (next_candidate_ + 1) % candidates_.size();
  return false;
}

SourceVerdict SourceLatch::on_muxed_control(const Endpoint& source) const {
  if (!sdp_) return SourceVerdict::no_remote;
  const bool heard = locked_ ? *locked_ == source : *sdp_ == source || is_previous(source);
  return heard ? SourceVerdict::accepted : SourceVerdict::wrong_source;
}

SourceVerdict SourceLatch::on_control(const Endpoint& source, const SourceLatch& media) {
  if (!sdp_) return SourceVerdict::no_remote;
  if (locked_ == source) return SourceVerdict::accepted;
  const bool same_host =
      policy_ == SourcePolicy::learn && media.locked_ && media.locked_->address == source.address;
  // The SDP's address may take over from a guess, but not from itself.
  if (source == *sdp_ || (!locked_ && same_host)) {
    lock(source);
    return SourceVerdict::accepted;
  }
  return SourceVerdict::wrong_source;
}

}  // namespace isthmus::media
