// A guided search looks at a few of the heuristic's neighbors, and then takes what improves most on
// the best by expectation (Jones, Schonlau and Welch, Efficient global optimization of expensive
// black-box functions, 1998). Of a batch, each is chosen as if those before had come out as
// expected (the "kriging believer": Ginsbourger, Le Riche and Carraro, Kriging is well-suited to
// parallelize optimization, 2010). Draws from the posterior (Thompson sampling) would spend more of
// a budget of ten configurations on exploring.
#include "host/tuning/proposals.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>

namespace clattn {
namespace {

// Larger batches build better in parallel, smaller ones learn faster.
constexpr std::size_t kBatch = 4;
constexpr std::size_t kOrderedBatch = 16;
// With all neighbors, nothing would be left of the least budgets.
constexpr std::size_t kNeighbors = 3;
// Beyond e times the best's time, how bad it is does not matter: cliffs would hide the rest. What
// failed is no better.
constexpr double kBad = 1;
// Expectations that differ by less are as good as each other.
constexpr double kIndifference = 0.1;

// By how much a normal variable falls below `best`, on average.
double expected_improvement(const Belief& belief, double best) {
  const double deviation = std::max(belief.deviation, 1e-9);
  const double gap = (best - belief.mean) / deviation;
  const double below = std::erfc(-gap / std::numbers::sqrt2) / 2;
  const double density = std::exp(-gap * gap / 2) * std::numbers::inv_sqrtpi / std::numbers::sqrt2;
  return deviation * (gap * below + density);
}

// In [0, 1). The distributions of the standard library differ from one to another.
double uniform(std::mt19937_64& random) { return static_cast<double>(random() >> 11) * 0x1p-53; }

}  // namespace

Proposals::Proposals(const Space& space, SearchStrategy strategy, std::uint64_t seed)
    : space_(space),
      guided_(strategy == SearchStrategy::guided),
      random_(seed),
      surrogate_(space),
      proposed_(space.configs.size()) {
  std::vector<std::size_t> rest;
  if (guided_) {
    rest = neighbors();
    rest.resize(std::min(rest.size(), kNeighbors));
  } else {
    rest.resize(space.configs.size());
    std::iota(rest.begin(), rest.end(), std::size_t{0});
    if (strategy == SearchStrategy::exhaustive) {
      std::ranges::stable_sort(rest, {}, [&](std::size_t i) { return space.predicted[i]; });
    } else {
      for (std::size_t i = rest.size(); i > 1; --i) std::swap(rest[i - 1], rest[random_() % i]);
    }
    std::erase(rest, space.heuristic);
  }
  order_ = {space.heuristic};
  order_.insert(order_.end(), rest.begin(), rest.end());
}

std::vector<std::size_t> Proposals::neighbors() const {
  const auto& coordinates = surrogate_.coordinates();
  const std::vector<int>& center = coordinates[space_.heuristic];
  std::vector<std::size_t> found;
  for (std::size_t parameter = 0; parameter < center.size(); ++parameter) {
    for (int direction : {-1, 1}) {
      std::size_t nearest = space_.heuristic;
      int least = std::numeric_limits<int>::max();
      for (std::size_t i = 0; i < coordinates.size(); ++i) {
        if (direction * (coordinates[i][parameter] - center[parameter]) <= 0) continue;
        int steps = 0;
        for (std::size_t other = 0; other < center.size(); ++other) {
          steps += std::abs(coordinates[i][other] - center[other]);
        }
        if (steps > least) continue;
        if (steps == least && space_.predicted[i] >= space_.predicted[nearest]) continue;
        least = steps;
        nearest = i;
      }
      if (nearest != space_.heuristic && std::ranges::count(found, nearest) == 0) {
        found.push_back(nearest);
      }
    }
  }
  std::ranges::stable_sort(found, {}, [&](std::size_t i) { return space_.predicted[i]; });
  return found;
}

std::vector<std::size_t> Proposals::next(const std::vector<Observation>& observations,
                                         std::size_t limit) {
  std::vector<std::size_t> batch;
  const std::size_t ordered = std::min(limit, kOrderedBatch);
  for (std::size_t i : order_) {
    if (batch.size() >= ordered) break;
    if (proposed_[i]) continue;
    proposed_[i] = true;
    batch.push_back(i);
  }
  if (batch.empty() && guided_) propose_promising(observations, std::min(limit, kBatch), batch);
  return batch;
}

void Proposals::propose_promising(std::vector<Observation> observations, std::size_t count,
                                  std::vector<std::size_t>& batch) {
  double best = std::numeric_limits<double>::infinity();
  for (const Observation& observation : observations) best = std::min(best, observation.log_time);
  if (!std::isfinite(best)) best = 0;  // all failed
  for (Observation& observation : observations) {
    observation.log_time = std::min(observation.log_time, best + kBad);
  }
  while (batch.size() < count) {
    surrogate_.fit(observations);
    double most = -1;
    Observation expected;
    for (std::size_t i = 0; i < proposed_.size(); ++i) {
      if (proposed_[i]) continue;
      const Belief belief = surrogate_.belief(i);
      const double improvement =
          expected_improvement(belief, best) * (1 - kIndifference * uniform(random_));
      if (improvement <= most) continue;
      most = improvement;
      expected = {i, belief.mean};
    }
    if (most < 0) return;
    proposed_[expected.config] = true;
    batch.push_back(expected.config);
    observations.push_back(expected);
  }
}

}  // namespace clattn
