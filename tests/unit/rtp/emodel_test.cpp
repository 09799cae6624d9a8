#include "rtp/emodel.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace isthmus::rtp {
namespace {

TEST(EModel, perfect_line_has_the_rating_of_all_defaults) {
  EXPECT_NEAR(rating({}), 93.2, 0.05);
  EXPECT_NEAR(mos(rating({})), 4.41, 0.005);
}

// ITU-T G.107 Annex B, Table B.1 and its ends. The table rounds 4.024 up.
TEST(EModel, opinion_scores_match_annex_b) {
  const std::pair<double, double> kTable[] = {{90, 4.34}, {80, 4.03},  {70, 3.60}, {60, 3.10},
                                              {50, 2.58}, {0, 1.0},    {100, 4.5}, {120, 4.5},
                                              {-5, 1.0},  {93.2, 4.41}};
  for (const auto& [r, score] : kTable) EXPECT_NEAR(mos(r), score, 0.0065) << r;
  for (double r = 0; r < 10; r += 0.1) EXPECT_GE(mos(r), 1.0) << r;
}

// ITU-T G.113 (2001) Table I.2, G.729A with VAD under random loss: Ie = 11, Bpl = 19.
TEST(EModel, loss_of_g729a_matches_g113) {
  const std::pair<double, double> kTable[] = {{0, 11}, {0.5, 13}, {1, 15}, {1.5, 17}, {2, 19},
                                              {3, 23}, {4, 26},   {8, 36}, {16, 49}};
  for (const auto& [percent, impairment] : kTable) {
    EXPECT_NEAR(93.2 - rating({0, percent / 100, 11, 19}), impairment, 0.6) << percent;
  }
}

// ITU-T G.113 (2001) Table I.2, G.711 with concealment under random loss; the formula fits it
// within two points.
TEST(EModel, loss_of_g711_with_concealment_matches_g113) {
  const std::pair<double, double> kTable[] = {{0, 0},  {1, 5},   {2, 7},   {3, 10}, {5, 15},
                                              {7, 20}, {10, 25}, {15, 35}, {20, 45}};
  for (const auto& [percent, impairment] : kTable) {
    EXPECT_NEAR(93.2 - rating({0, percent / 100, 0, 25.1}), impairment, 3) << percent;
  }
  EXPECT_GT(93.2 - rating({0, 0.01, 0, 4.3}), 15) << "without concealment 1 % is plainly heard";
}

// The approximation of Cole and Rosenbluth (2001), 0.024 d + 0.11 (d - 177.3) beyond the knee,
// holds to 300 ms.
TEST(EModel, delay_follows_the_published_approximation) {
  for (double d = 0; d <= 300; d += 5) {
    const double approximation = 0.024 * d + (d > 177.3 ? 0.11 * (d - 177.3) : 0);
    EXPECT_NEAR(93.2 - rating({d, 0, 0, 25.1}), approximation, 1.0) << d;
  }
}

// ITU-T G.114 (2003) §7: up to 150 ms users are very satisfied or nearly so, past 400 ms planning
// is to avoid.
TEST(EModel, delay_bands_of_g114_hold) {
  EXPECT_GT(rating({150, 0, 0, 25.1}), 89);
  EXPECT_LT(rating({300, 0, 0, 25.1}), 80);
  EXPECT_NEAR(rating({400, 0, 0, 25.1}), 62, 1);
}

TEST(EModel, more_delay_or_loss_is_never_better) {
  double last = rating({});
  for (double d = 0; d < 2000; d += 0.5) {
    const double r = rating({d, 0, 0, 25.1});
    ASSERT_LE(r, last + 1e-9) << d;
    last = r;
  }
  last = rating({});
  for (double loss = 0; loss <= 1; loss += 0.001) {
    const double r = rating({0, loss, 0, 25.1});
    ASSERT_LE(r, last) << loss;
    last = r;
  }
}

TEST(EModel, impairments_add_up) {
  const double delay = 93.2 - rating({200, 0, 0, 19});
  const double loss = 93.2 - rating({0, 0.02, 11, 19});
  EXPECT_NEAR(93.2 - rating({200, 0.02, 11, 19}), delay + loss, 1e-9);
}

TEST(EModel, nonsense_gives_a_rating_all_the_same) {
  const double kNan = std::numeric_limits<double>::quiet_NaN();
  const double kInf = std::numeric_limits<double>::infinity();
  for (const double bad : {kNan, kInf, -kInf, -1.0, 1e300}) {
    for (const QualityInput& input : {QualityInput{bad, 0, 0, 25}, QualityInput{0, bad, 0, 25},
                                      QualityInput{0, 0, bad, 25}, QualityInput{0, 0.5, 0, bad}}) {
      const double r = rating(input);
      EXPECT_GE(r, 0) << bad;
      EXPECT_LE(r, 93.2) << bad;
    }
    EXPECT_GE(mos(bad), 1) << bad;
    EXPECT_LE(mos(bad), 4.5) << bad;
  }
}

}  // namespace
}  // namespace isthmus::rtp
