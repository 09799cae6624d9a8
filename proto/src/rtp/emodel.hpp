#pragma once

namespace isthmus::rtp {

/// Inputs of the E-model (ITU-T G.107, transmission planning defaults for all it does not name).
struct QualityInput {
  double one_way_delay_ms = 0;  ///< mouth to ear: half the round trip, jitter buffer, packetisation
  double loss_ratio = 0;        ///< 0..1 after the jitter buffer
  double equipment_impairment =
      0;                          ///< Ie (G.113): 0 G.711, 11 G.729A, 0 Opus wide-band as used here
  double loss_robustness = 25.1;  ///< Bpl (G.113): 25.1 G.711 with concealment, 4.3 without
};

/// Transmission rating R, 0..93.2.
double rating(const QualityInput& input);
/// Mean opinion score 1.0..4.5 of a rating (G.107 Annex B).
double mos(double rating);

}  // namespace isthmus::rtp
