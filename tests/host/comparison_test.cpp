// The rule by which one kernel counts as faster than another.
#include "host/tuning/comparison.hpp"

#include <gtest/gtest.h>

namespace clattn {
namespace {

// `count` ratios around a center, one beside the other by `step`.
std::vector<double> around(double center, int count, double step) {
  std::vector<double> ratios;
  for (int i = 0; i < count; ++i) ratios.push_back(center + step * (i - (count - 1) / 2.0));
  return ratios;
}

TEST(Comparison, MediansWithoutOutliers) {
  EXPECT_EQ(median({3}), 3);
  EXPECT_EQ(median({9, 1, 2}), 2);
  EXPECT_EQ(median({4, 1, 100, 2}), 3);
  EXPECT_EQ(median_absolute_deviation({1, 2, 3, 4, 1000}), 1);
}

TEST(Comparison, AFewPairsDropALoserButMakeNoWinner) {
  EXPECT_EQ(judge_race(around(0.2, 3, 0.01)), RaceVerdict::not_faster);
  EXPECT_EQ(judge_race(around(-0.2, 3, 0.01)), RaceVerdict::open);
  EXPECT_EQ(judge_race(around(-0.2, 6, 0.01)), RaceVerdict::faster);
}

TEST(Comparison, ItTakesMoreThanTheNoise) {
  EXPECT_EQ(judge_race(around(-0.02, 8, 0.02)), RaceVerdict::open);
  EXPECT_EQ(judge_race(around(-0.08, 8, 0.02)), RaceVerdict::faster);
  EXPECT_EQ(judge_race(around(0.08, 8, 0.02)), RaceVerdict::not_faster);
}

TEST(Comparison, ItTakesAGainThatIsWorthAChange) {
  EXPECT_EQ(judge_race(std::vector<double>(1000, -0.004)), RaceVerdict::not_faster);
  EXPECT_EQ(judge_race(std::vector<double>(1000, -0.006)), RaceVerdict::faster);
}

TEST(Comparison, OutliersDecideNothing) {
  std::vector<double> ratios = around(-0.05, 20, 0.001);
  for (int i = 0; i < 5; ++i) ratios[i] = 3;
  EXPECT_EQ(judge_race(ratios), RaceVerdict::faster);
  for (double& ratio : ratios) ratio = -ratio;
  EXPECT_EQ(judge_race(ratios), RaceVerdict::not_faster);
}

}  // namespace
}  // namespace clattn
