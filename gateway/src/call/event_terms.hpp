#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "call/media_plane.hpp"
#include "sdp/session_description.hpp"

namespace isthmus::call {

/// How a leg takes and sends DTMF digits, by its provider's setting. `pass` is a leg of which
/// nothing is said: what its descriptions say holds, while the other leg's form is settled.
enum class DtmfForm : std::uint8_t { pass, info, rfc4733 };

/// What both sides of one audio stream have said of telephone events, where digits are converted
/// between INFO and RFC 4733. Descriptions that cross are changed so that each side sends and is
/// sent its own form:
///
///   the leg that gets it is          description says telephone-event    it does not
///   `info`                           taken out                           –
///   any other, offer to it           stays                               added, if the other leg
///   is
///                                                                        `info` or this `rfc4733`
///   any other, answer to its offer   stays if it offered it, else out    added as it offered it,
///                                                                        unless the other is
///                                                                        `rfc4733`
///
/// Streams that are no audio over RTP/AVP or RTP/AVPF pass as they are: events under a key of the
/// end points (SAVP) can neither be read nor made here.
class EventTerms {
 public:
  /// Rewrites the description that side `from` gave, on its way to the other.
  void carry(const std::array<DtmfForm, 2>& forms, std::size_t from,
             sdp::SessionDescription::Media& media, bool offer);
  /// Once an answer was carried: what the media plane is to do with events of that side. Its `call`
  /// is left 0.
  TelephoneEvents events_of(const std::array<DtmfForm, 2>& forms, std::size_t side) const;

 private:
  struct Format {
    std::uint8_t type;
    std::uint32_t clock_rate;
  };
  using Formats = std::vector<Format>;
  static Formats formats_of(const sdp::SessionDescription::Media& media);
  static void take_out(sdp::SessionDescription::Media& media, const Formats& formats);
  static void put_in(sdp::SessionDescription::Media& media, Formats& formats);
  static Formats missing(const sdp::SessionDescription::Media& media);
  bool knows_events(const std::array<DtmfForm, 2>& forms, std::size_t side) const;

  std::array<Formats, 2> said_;      ///< in that side's own last description
  std::array<Formats, 2> told_;      ///< in the last one that it was given
  std::uint32_t clock_rate_ = 8000;  ///< of the codec that was answered
};

}  // namespace isthmus::call
