// What a few measured configurations say of the others. The logarithm of a configuration's time is
// taken for
//   level + trust * log(predicted) + a term a parameter + a term a pair of parameters + noise
// with independent normal priors, under which the terms of near values of a parameter are alike:
// Bayesian linear regression, done by its covariances (a Gaussian process; Rasmussen and Williams,
// Gaussian Processes for Machine Learning, 2006, chapter 2), so that its size is that of the
// measurements. How large the terms are is what makes the measurements most likely. Pure.
#pragma once

#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <cstddef>
#include <vector>

#include "host/tuning/space.hpp"

namespace clattn {

struct Observation {
  std::size_t config = 0;  // an index into Space::configs
  double log_time = 0;
};

struct Belief {
  double mean = 0;       // of the log time
  double deviation = 0;  // standard
};

class Surrogate {
 public:
  explicit Surrogate(const Space& space);

  // Of each configuration, for each parameter, the rank of its value among those that occur.
  const std::vector<std::vector<int>>& coordinates() const { return coordinates_; }

  // Forgets what it was fitted to before. Needs an observation; times are relative to those of the
  // heuristic's choice, more or less.
  void fit(const std::vector<Observation>& observations);
  Belief belief(std::size_t config) const;

 private:
  // Prior standard deviations of the terms.
  struct Scales {
    double single = 0;
    double pair = 0;
  };
  double covariance(std::size_t left, std::size_t right) const;
  // Takes the scales, and returns how likely they are, as a logarithm, up to a constant.
  double condition(const Scales& scales);

  std::vector<std::vector<int>> coordinates_;
  std::vector<double> likeness_;       // correlation of terms, by the distance of ranks
  std::vector<double> log_predicted_;  // relative to the heuristic's choice
  std::vector<Observation> observations_;
  Scales scales_;
  Eigen::LLT<Eigen::MatrixXd> factor_;  // of the observations' covariances
  Eigen::VectorXd weights_;             // of the observations, in a mean
};

}  // namespace clattn
