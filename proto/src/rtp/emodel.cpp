#include "rtp/emodel.hpp"

#include <algorithm>
#include <cmath>

namespace isthmus::rtp {
namespace {

// ITU-T G.107 Table 2, default values, and what follows from them.
constexpr double kBaseRating = 93.2;     // Ro - Is of all defaults at no delay
constexpr double kRo = 94.77;            // basic signal-to-noise ratio
constexpr double kNo = -61.18;           // dBm0p, all circuit noise at the 0 dBr point
constexpr double kRlr = 2;               // dB, receive loudness rating
constexpr double kTelr = 65;             // dB, talker echo loudness rating
constexpr double kWepl = 110;            // dB, weighted echo path loss
constexpr double kDelayThreshold = 100;  // ms, below which delay alone does no harm

/// Talker echo (G.107 §7.4, Idte; STMR at its default of 15 dB).
double talker_echo_impairment(double delay_ms) {
  const double roe = -1.5 * (kNo - kRlr);
  const double terv = kTelr - 40 * std::log10((1 + delay_ms / 10) / (1 + delay_ms / 150)) +
                      6 * std::exp(-0.3 * delay_ms * delay_ms);
  const double half = (roe - (80 + 2.5 * (terv - 14))) / 2;
  return (half + std::sqrt(half * half + 100) - 1) * (1 - std::exp(-delay_ms));
}

/// Listener echo (G.107 §7.4, Idle) beyond what the base rating holds already.
double listener_echo_impairment(double delay_ms) {
  const auto idle = [](double round_trip_ms) {
    const double rle = 10.5 * (kWepl + 7) * std::pow(round_trip_ms + 1, -0.25);
    const double half = (kRo - rle) / 2;
    return half + std::sqrt(half * half + 169);
  };
  return idle(2 * delay_ms) - idle(0);
}

/// Too long a delay for conversation, echo or not (G.107 §7.4, Idd).
double absolute_delay_impairment(double delay_ms) {
  if (delay_ms <= kDelayThreshold) return 0;
  const double x = std::log2(delay_ms / kDelayThreshold);
  return 25 * (std::pow(1 + std::pow(x, 6), 1.0 / 6) -
               3 * std::pow(1 + std::pow(x / 3, 6), 1.0 / 6) + 2);
}

/// Zero for what is no number, so that a rating always is one.
double bounded(double value, double low, double high) {
  return std::isnan(value) ? low : std::clamp(value, low, high);
}

}  // namespace

double rating(const QualityInput& input) {
  const double delay_ms = bounded(input.one_way_delay_ms, 0, 60'000);
  const double loss_percent = 100 * bounded(input.loss_ratio, 0, 1);
  const double ie = bounded(input.equipment_impairment, 0, 95);
  const double bpl = bounded(input.loss_robustness, 1, 1000);

  const double id = talker_echo_impairment(delay_ms) + listener_echo_impairment(delay_ms) +
                    absolute_delay_impairment(delay_ms);
  // Ie,eff (G.107 §7.5) of loss at random, BurstR = 1.
  const double ie_eff = ie + (95 - ie) * loss_percent / (loss_percent + bpl);
  return std::clamp(kBaseRating - id - ie_eff, 0.0, kBaseRating);
}

double mos(double rating) {
  const double r = bounded(rating, 0, 100);
  const double score = 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6;
  return std::clamp(score, 1.0, 4.5);  // the cubic dips below 1 for R under 6.5
}

}  // namespace isthmus::rtp
