// The median has the standard error sqrt(pi / 2) * sigma / sqrt(n) where the noise is normal, and
// 1.4826 times the median absolute deviation estimates sigma (Rousseeuw and Croux, Alternatives to
// the median absolute deviation, 1993). Both hold against the outliers that timings have.
#include "host/tuning/comparison.hpp"

#include <algorithm>
#include <cmath>

namespace clattn {
namespace {

constexpr double kLeastGain = 0.005;  // of the time: less is not worth a change
// One side. With several looks at few pairs, 2 of 100 that are as fast pass (simulated).
constexpr double kStandardErrors = 3;
// A few that were lucky are no winner: one that is dropped for its bad luck is the smaller loss.
constexpr std::size_t kLeastPairs = 6;
// Of a few pairs, the deviation is often near 0 by chance, and no device repeats better than this.
constexpr double kLeastSigma = 0.005;

}  // namespace

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  return (*middle + *std::max_element(values.begin(), middle)) / 2;
}

double median_absolute_deviation(const std::vector<double>& values) {
  const double center = median(values);
  std::vector<double> deviations;
  for (double value : values) deviations.push_back(std::abs(value - center));
  return median(std::move(deviations));
}

RaceVerdict judge_race(const std::vector<double>& log_ratios) {
  const double center = median(log_ratios);
  const double sigma = std::max(1.4826 * median_absolute_deviation(log_ratios), kLeastSigma);
  const double noise =
      kStandardErrors * 1.2533 * sigma / std::sqrt(static_cast<double>(log_ratios.size()));
  if (center < -std::max(noise, kLeastGain)) {
    return log_ratios.size() < kLeastPairs ? RaceVerdict::open : RaceVerdict::faster;
  }
  if (center - noise > -kLeastGain) return RaceVerdict::not_faster;
  return RaceVerdict::open;
}

}  // namespace clattn
