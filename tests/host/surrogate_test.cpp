// What the model believes, where that is known without it: at what was measured, near it, and far.
#include "host/tuning/surrogate.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/host/search_support.hpp"

namespace clattn {
namespace {

TEST(Surrogate, BeforeMuchIsKnownItBelievesThePrediction) {
  const test::Landscape landscape = test::gpu_landscape(0.5, 1);
  const Space& space = landscape.space;
  Surrogate surrogate(space);
  surrogate.fit({{space.heuristic, 0}});
  EXPECT_NEAR(surrogate.belief(space.heuristic).mean, 0, 1e-9);
  for (std::size_t i = 0; i < space.configs.size(); ++i) {
    const double expected = std::log(space.predicted[i] / space.predicted[space.heuristic]);
    EXPECT_NEAR(surrogate.belief(i).mean, expected, 1e-9);
  }
}

TEST(Surrogate, WhatWasMeasuredIsCertainAndItsNeighborhoodLikely) {
  const test::Landscape landscape = test::chance_landscape(4, 4, 0, 1);
  const Space& space = landscape.space;
  Surrogate surrogate(space);
  std::vector<Observation> observations = {{space.heuristic, 0}};
  // The first configuration, of the least values, is three times slower than predicted.
  const double slow = std::log(3 * space.predicted[0] / space.predicted[space.heuristic]);
  observations.push_back({0, slow});
  surrogate.fit(observations);
  EXPECT_NEAR(surrogate.belief(0).mean, slow, 0.05);
  EXPECT_LT(surrogate.belief(0).deviation, 0.05);
  const auto excess = [&](std::size_t config) {
    return surrogate.belief(config).mean -
           std::log(space.predicted[config] / space.predicted[space.heuristic]);
  };
  // In lexicographic order: the next value of the last parameter, and the last values of all.
  EXPECT_GT(excess(1), 0.2);
  EXPECT_LT(excess(space.configs.size() - 1), excess(1));
  EXPECT_GT(surrogate.belief(space.configs.size() - 1).deviation, surrogate.belief(1).deviation);
}

TEST(Surrogate, LearnsWhatIsASumOfEffects) {
  const test::Landscape landscape = test::chance_landscape(4, 4, 0, 1);
  const Space& space = landscape.space;
  Surrogate surrogate(space);
  const auto log_time = [&](std::size_t i) {
    return 0.1 * surrogate.coordinates()[i][0] - 0.2 * surrogate.coordinates()[i][3];
  };
  std::vector<Observation> observations;
  for (std::size_t i = 0; i < space.configs.size(); i += 3)
    observations.push_back({i, log_time(i)});
  surrogate.fit(observations);
  for (std::size_t i = 0; i < space.configs.size(); ++i) {
    EXPECT_NEAR(surrogate.belief(i).mean, log_time(i), 0.05);
  }
}

}  // namespace
}  // namespace clattn
