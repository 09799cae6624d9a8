#pragma once
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "call/answer_lines.hpp"
#include "call/event_terms.hpp"
#include "call/media_plane.hpp"
#include "sdp/session_description.hpp"
#include "sip/flow.hpp"

namespace isthmus::call {

/// The two legs of a dialog pair: who sent the first request, and who got it.
enum class Side : std::uint8_t { caller = 0, callee = 1 };
constexpr Side other(Side side) {
  return side == Side::caller ? Side::callee : Side::caller;
}
constexpr std::size_t index_of(Side side) {
  return static_cast<std::size_t>(side);
}

/// Why a session description could not be carried across, and the status that answers it.
struct MediaFault {
  int status = 488;
  std::string reason;
};

/// The relayed streams of one call branch: one pair of media endpoints for each m= line, and the
/// rewriting of descriptions that cross (wire protocol, "SDP inside the link"). What is rewritten:
/// c=, m= port, a=rtcp; ICE attributes are taken out, because their candidates would contradict the
/// address (RFC 8839 §4.2.5) and name hosts that the other side cannot reach. All else passes as it
/// is. Closes its endpoints when destroyed.
class MediaSession {
 public:
  MediaSession(MediaPlane& plane, sip::Flow caller, sip::Flow callee);
  ~MediaSession();
  MediaSession(const MediaSession&) = delete;
  MediaSession& operator=(const MediaSession&) = delete;

  /// Digits are converted between the forms of the two legs from the next description on; not at
  /// all if both are DtmfForm::pass.
  /// @param call  told with each digit that was heard (TelephoneEvents::call)
  void convert_digits(std::array<DtmfForm, 2> forms, std::uint64_t call);
  /// Whether digits for that side are to be played to it as telephone events.
  bool plays_digits(Side to) const;
  /// @return false: too many wait
  bool play_digit(Side to, char digit, unsigned duration_ms);
  /// Whose endpoint that is.
  std::optional<Side> side_of(MediaEndpointId id) const;

  /// The callee is somewhere else now, before anything came from it. @return false: it needs
  /// another kind of endpoint (address family, link), so this session is of no use.
  bool move_callee(const sip::Flow& callee);

  /// Carries a description from one leg to the other.
  /// @param offer false: the answer to the last offer.
  /// @param dialog  the callee's tag, "" before there is one. Until settle(), each dialog has terms
  /// of
  ///   its own, which begin as what the first request offered; media flows as the dialog says whose
  ///   description came last.
  /// @return the text for the other leg, or what to answer to an offer that cannot be carried.
  Result<std::string, MediaFault> translate(Side from, std::string_view sdp, bool offer,
                                            std::string_view dialog = {});
  /// The last offer of that side was refused: all is as it was before (RFC 3264 §8). Streams that
  /// came with it are closed. An offer of the other side that waits for its answer stays.
  void rollback(Side offerer, std::string_view dialog = {});
  /// An offer of ours, in the name of that side: what the other one heard last, once more.
  void begin_offer(Side offerer, std::string_view dialog = {}) {
    fork_of(dialog).pending = offerer;
  }
  /// The request that carried the last offer of that side is over, with a description in its answer
  /// or without.
  void end_offer(Side offerer, std::string_view dialog = {});
  /// Whose offer waits for its answer in that dialog.
  std::optional<Side> pending_offer(std::string_view dialog = {}) const;
  /// This dialog was answered: its terms are those of the call from now on, and what no other has
  /// use for is closed.
  void settle(std::string_view dialog);
  /// This early dialog is forgotten.
  void forget(std::string_view dialog);

  /// Neither side said hold or inactive for every stream: silence on both is a fault.
  bool expects_media() const;
  /// Longest-silent to liveliest: time since any packet came from either leg; nothing before the
  /// first.
  std::optional<std::uint64_t> idle_ms() const;
  /// Figures of the first audio stream, as received from that leg.
  MediaStatistics statistics(Side side) const;
  std::size_t stream_count() const;

 private:
  /// The endpoints of one m= line. All early dialogs share them: one offer named one port.
  struct Stream {
    std::array<LocalMedia, 2> local;
    std::array<RemoteMedia, 2> told;  ///< what the plane was told last
    bool open = false;
  };
  /// What an unanswered offer of one side replaced.
  struct Before {
    RemoteMedia remote;
    bool used = false, held = false;
  };
  /// What one dialog has agreed on for one m= line.
  struct Terms {
    std::array<RemoteMedia, 2> remote;
    std::array<std::optional<Before>, 2> before;  ///< by offering side
    bool mux_offered = false;                     ///< a=rtcp-mux in the last offer
    std::array<bool, 2> held{};                   ///< by the last description of that side
    EventTerms events;                            ///< where digits are converted
    bool used = false;
  };
  struct Fork {
    std::string dialog;
    std::vector<Terms> terms;
    std::optional<Side> pending;
    std::vector<OfferedLine> offered, agreed;  ///< m= lines of the last offer, of the last answer
  };
  Fork& fork_of(std::string_view dialog);
  const Fork& fork_of(std::string_view dialog) const;
  std::optional<MediaFault> open(Stream& stream);
  void close(Stream& stream);
  void release_unused();
  void tell(std::size_t index, std::size_t side, const RemoteMedia& remote);
  void activate(const Fork& fork);
  void learn_remote(Fork& fork, std::size_t index, std::size_t from,
                    const sdp::SessionDescription& description,
                    const sdp::SessionDescription::Media& media, bool offer);
  static void keep_or_settle(Fork& fork, std::size_t from, bool offer);
  Result<LocalMedia, MediaError> open_end(const sip::Flow& flow);
  bool converts() const { return forms_ != std::array<DtmfForm, 2>{}; }
  void carry_events(Fork& fork, std::size_t index, std::size_t from,
                    sdp::SessionDescription::Media& media, bool offer);
  std::optional<std::size_t> stream_with_events(Side to) const;

  MediaPlane& plane_;
  std::array<sip::Flow, 2> flows_;
  std::vector<Stream> streams_;
  std::vector<Fork> forks_{Fork{}};  ///< [0]: the first offer's, and the call's once settled
  std::string active_;               ///< whose terms the plane knows
  bool settled_ = false;
  std::array<DtmfForm, 2> forms_{};
  std::uint64_t call_ = 0;
};

/// Whether a message body is a session description that must be rewritten.
bool is_sdp(std::string_view content_type);
/// Of a description whose Content-Encoding hides it (RFC 3261 §8.2.3).
inline MediaFault encoded_body() {
  return {415, "Session description in a Content-Encoding"};
}
/// Removes what only makes sense between the two that wrote it: ICE attributes.
void strip_ice(sdp::SessionDescription& description);
/// Where a section's sender wants to receive. An address that is a host name stays unspecified:
/// learned from packets.
RemoteMedia remote_of(const sdp::SessionDescription& description,
                      const sdp::SessionDescription::Media& media);

}  // namespace isthmus::call
