#pragma once
#include <array>
#include <cstdint>
#include <optional>

#include "base/address.hpp"
#include "base/time.hpp"

namespace isthmus::media {

/// `strict`: only the address and port of the SDP. `learn`: also another source that proves itself
/// in time.
enum class SourcePolicy : std::uint8_t { strict, learn };

enum class SourceVerdict : std::uint8_t {
  accepted,
  no_remote,  ///< no SDP address is known yet
  unproven,   ///< first packets of a stream from elsewhere (RFC 3550 §A.1 wants two in sequence)
  wrong_source,  ///< from anywhere else: never forwarded, never redirects
};

/// Decides which source address of a media socket is heard, and where its media is sent. Pure.
///
///     no remote ──set_remote──▶ learning ──SDP address heard──▶ locked
///                                  │  ▲                            │
///              proven other source │  │ set_remote with another    │
///                                  ▼  │ address                    │
///                              tentative ──window over──▶ locked ──┘
///
/// While learning, the SDP address locks at once. Another source locks after two packets of one
/// SSRC in sequence; until limits::kLearnWindow is over, a better one still takes its place (the
/// SDP address before the SDP's host with another port, before any other). Afterwards only the
/// locked source is heard; its SSRC may change. If nothing came in the window, only the SDP address
/// can lock. After a change of the SDP address the source locked before stays heard until a new one
/// locks, but is not sent to.
class SourceLatch {
 public:
  explicit SourceLatch(SourcePolicy policy = SourcePolicy::learn) : policy_(policy) {}

  /// The SDP's address and port. The same as before leaves what is locked; another one starts
  /// learning anew.
  /// @param reachable  false: it is no address that we can send to.
  void set_remote(const Endpoint& sdp, Instant now, bool reachable = true);

  /// A description of the other side came, after which media may begin: an offer may have waited
  /// for it as long as a phone rings. Unless a source is locked, learning has its time again.
  void renew(Instant now);

  /// A valid RTP packet.
  SourceVerdict on_media(const Endpoint& source, std::uint32_t ssrc, std::uint16_t sequence,
                         Instant now);
  /// RTCP that shares the RTP port (RFC 5761): heard from where RTP is heard, never locks.
  SourceVerdict on_muxed_control(const Endpoint& source) const;
  /// RTCP on its own port, where this latch is that port's. A source other than the SDP's locks if
  /// it has the address that RTP is locked to; no window, because the first report may come later
  /// than that (RFC 3550 §6.2).
  SourceVerdict on_control(const Endpoint& source, const SourceLatch& media);

  /// Locked source, else SDP address if it can be reached, else nothing.
  std::optional<Endpoint> destination() const { return locked_ || !reachable_ ? locked_ : sdp_; }
  const std::optional<Endpoint>& locked() const { return locked_; }
  std::uint32_t ssrc() const { return ssrc_; }  ///< of the last packet heard

 private:
  struct Candidate {
    Endpoint source;
    std::uint32_t ssrc = 0;
    std::uint16_t sequence = 0;
    bool used = false;
  };

  int rank(const Endpoint& source) const;
  bool prove(const Endpoint& source, std::uint32_t ssrc, std::uint16_t sequence);
  void lock(const Endpoint& source);
  bool is_previous(const Endpoint& source) const { return !locked_ && previous_ == source; }

  SourcePolicy policy_;
  std::optional<Endpoint> sdp_, locked_, previous_;
  bool reachable_ = true;  ///< sdp_
  Instant learn_until_{};
  std::uint32_t ssrc_ = 0;
  std::array<Candidate, 4> candidates_{};  ///< several, so that junk cannot crowd a real stream out
  std::size_t next_candidate_ = 0;
};

}  // namespace isthmus::media
