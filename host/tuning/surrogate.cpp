// The constants were chosen on made-up spaces (smooth ones with interactions, cliffs and roughness)
// for predictions that are good, fair and useless; none of them matters much.
#include "host/tuning/surrogate.hpp"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <limits>
#include <set>

namespace clattn {
namespace {

// Prior means and standard deviations, of log times.
constexpr double kTrust = 1;
constexpr double kTrustDeviation = 0.3;
constexpr double kLevelDeviation = 0.5;
// Of measurements, and of what no term explains.
constexpr double kNoise = 0.03;
// The terms of values that lie so many ranks apart correlate by 1 / e: a random walk that is drawn
// back to 0. A smoother one believes too much, since kernels have cliffs.
constexpr double kReach = 1.5;

// The cost grows with the cube of the observations, and the fast ones tell the most.
constexpr std::size_t kMostObservations = 256;

}  // namespace

Surrogate::Surrogate(const Space& space) : coordinates_(space.configs.size()) {
  for (const Parameter& parameter : space.parameters) {
    std::set<std::int64_t> values;
    for (const KernelConfig& config : space.configs) values.insert(config.at(parameter.name));
    for (std::size_t ranks = likeness_.size(); ranks < values.size(); ++ranks) {
      likeness_.push_back(std::exp(-static_cast<double>(ranks) / kReach));
    }
    for (std::size_t i = 0; i < space.configs.size(); ++i) {
      const auto found = values.find(space.configs[i].at(parameter.name));
      coordinates_[i].push_back(static_cast<int>(std::distance(values.begin(), found)));
    }
  }
  for (double predicted : space.predicted) {
    const double log = std::log(predicted / space.predicted[space.heuristic]);
    log_predicted_.push_back(std::isfinite(log) ? log : 0);  // 0: nothing is computed at all
  }
}

double Surrogate::covariance(std::size_t left, std::size_t right) const {
  double sum = 0;
  double squares = 0;
  for (std::size_t parameter = 0; parameter < coordinates_[left].size(); ++parameter) {
    const double like =
        likeness_[std::abs(coordinates_[left][parameter] - coordinates_[right][parameter])];
    sum += like;
    squares += like * like;
  }
  const double pairs = (sum * sum - squares) / 2;  // the sum of products of two parameters'
  return kLevelDeviation * kLevelDeviation +
         kTrustDeviation * kTrustDeviation * log_predicted_[left] * log_predicted_[right] +
         scales_.single * scales_.single * sum + scales_.pair * scales_.pair * pairs;
}

double Surrogate::condition(const Scales& scales) {
  scales_ = scales;
  const std::size_t count = observations_.size();
  Eigen::MatrixXd covariances(count, count);
  Eigen::VectorXd unexplained(count);
  for (std::size_t i = 0; i < count; ++i) {
    const Observation& observation = observations_[i];
    for (std::size_t j = 0; j <= i; ++j) {
      covariances(i, j) = covariance(observation.config, observations_[j].config);
    }
    covariances(i, i) += kNoise * kNoise;
    unexplained(i) = observation.log_time - kTrust * log_predicted_[observation.config];
  }
  factor_.compute(covariances);  // reads the lower triangle
  weights_ = factor_.solve(unexplained);
  // Of single effects, 0.15 more or less are expected, before there are measurements.
  const double surprise = std::log(scales.single / 0.15);
  return -(unexplained.dot(weights_) + surprise * surprise) / 2 -
         factor_.matrixLLT().diagonal().array().log().sum();
}

void Surrogate::fit(const std::vector<Observation>& observations) {
  observations_ = observations;
  if (observations_.size() > kMostObservations) {
    std::ranges::stable_sort(observations_, {}, &Observation::log_time);
    observations_.resize(kMostObservations);
  }
  Scales best;
  double most = -std::numeric_limits<double>::infinity();
  for (double single : {0.05, 0.1, 0.2, 0.4}) {
    for (double share : {0.1, 0.25, 0.5}) {
      const Scales scales{single, share * single};
      const double likelihood = condition(scales);
      if (likelihood <= most) continue;
      most = likelihood;
      best = scales;
    }
  }
  condition(best);
}

Belief Surrogate::belief(std::size_t config) const {
  Eigen::VectorXd covariances(weights_.size());
  for (std::size_t i = 0; i < observations_.size(); ++i) {
    covariances(i) = covariance(config, observations_[i].config);
  }
  const double explained = factor_.matrixL().solve(covariances).squaredNorm();
  return {kTrust * log_predicted_[config] + covariances.dot(weights_),
          std::sqrt(std::max(covariance(config, config) - explained, 0.0))};
}

}  // namespace clattn
