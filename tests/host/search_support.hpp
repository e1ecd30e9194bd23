// Made-up kernels for tests of the search: spaces whose times are known, and an examiner that
// measures them as badly as a device does. Times are products of what kernels have: lanes that stay
// empty, work that is shared by a tile, memory that runs out, registers that spill. Predictions are
// the times, more or less blurred.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <numbers>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "host/tuning/search.hpp"

namespace clattn::test {

// The distributions of the standard library differ from one to another.
inline double uniform_unit(std::mt19937_64& random) {
  return static_cast<double>(random() >> 11) * 0x1p-53;
}

inline double normal(std::mt19937_64& random) {
  const double radius = std::sqrt(-2 * std::log(1 - uniform_unit(random)));
  return radius * std::cos(2 * std::numbers::pi * uniform_unit(random));
}

struct Landscape {
  std::string name;
  Space space;
  std::map<KernelConfig, double> seconds;
  std::map<KernelConfig, TrialOutcome> failures;  // of configurations that fail

  double optimum() const {
    double least = std::numeric_limits<double>::infinity();
    for (const auto& [config, time] : seconds) {
      if (!failures.contains(config)) least = std::min(least, time);
    }
    return least;
  }
  // How much longer a configuration takes than the best.
  double loss(const KernelConfig& config) const { return seconds.at(config) / optimum() - 1; }
};

// A time in seconds; of a configuration that is not legal, 0.
using Cost = std::function<double(const KernelConfig& config)>;

// `quality` of the prediction: 1 is the truth, 0 has nothing to do with it.
inline Landscape make_landscape(std::string name, std::vector<Parameter> parameters,
                                const Cost& cost, double quality, std::uint64_t seed) {
  Landscape landscape;
  landscape.name = std::move(name);
  Space& space = landscape.space;
  space.family = "made_up";
  space.parameters = std::move(parameters);
  std::vector<KernelConfig> all = {{}};
  for (const Parameter& parameter : space.parameters) {
    std::vector<KernelConfig> longer;
    for (const KernelConfig& config : all) {
      for (std::int64_t value : parameter.values) {
        longer.push_back(config);
        longer.back()[parameter.name] = value;
      }
    }
    all = std::move(longer);
  }
  space.size = static_cast<double>(all.size());
  std::mt19937_64 random(seed);
  std::map<std::pair<std::string, std::int64_t>, double> errors;
  for (const Parameter& parameter : space.parameters) {
    for (std::int64_t value : parameter.values) {
      errors[{parameter.name, value}] = 0.3 * normal(random);
    }
  }
  for (const KernelConfig& config : all) {
    const double seconds = cost(config);
    if (seconds == 0) continue;
    space.configs.push_back(config);
    landscape.seconds[config] = seconds;
    double error = 0.1 * normal(random);
    for (const auto& value : config) error += errors[value];
    space.predicted.push_back(std::pow(seconds, quality) * std::exp((1 - quality) * error));
  }
  const auto best = std::ranges::min_element(space.predicted);
  space.heuristic = static_cast<std::size_t>(best - space.predicted.begin());
  return landscape;
}

// Vectors by registers: as the cpu family.
inline Landscape cpu_landscape(double quality, std::uint64_t seed) {
  const Cost cost = [](const KernelConfig& config) {
    const auto value = [&](const char* name) { return static_cast<double>(config.at(name)); };
    const double width = value("vector_width");
    const double vectors = value("query_vectors");
    const double block = value("key_block");
    const double keys = value("key_tile");
    const double queries = width * vectors * value("query_panels");
    if (queries > 128) return 0.0;
    double seconds = 1e-3 * 16 / width;
    const double registers = vectors * (block + 1) + block / 2;
    seconds *= 1 + 3 / (vectors * block);
    if (registers > 30) seconds *= 1 + 2 * std::min(1.0, (registers - 30) / 10);  // they spill
    seconds *= 1 + 10 / queries + 3 / keys;
    const double bytes = 4 * keys * (128 + width * vectors);
    if (bytes > 40e3) seconds *= 1.12;  // of a near cache
    const double tiles = 4096 / queries;
    return seconds * std::ceil(tiles / 24) / (tiles / 24);  // cores that wait at the end
  };
  return make_landscape("cpu",
                        {{"key_block", {2, 4, 8, 16}},
                         {"key_tile", {16, 32, 64, 128}},
                         {"query_panels", {1, 2, 4}},
                         {"query_vectors", {1, 2, 3, 4}},
                         {"vector_width", {8, 16}}},
                        cost, quality, seed);
}

// Work-groups by local memory: as the families of GPUs.
inline Landscape gpu_landscape(double quality, std::uint64_t seed) {
  const Cost cost = [](const KernelConfig& config) {
    const auto value = [&](const char* name) { return static_cast<double>(config.at(name)); };
    const double queries = value("query_tile");
    const double keys = value("key_tile");
    const double warps = value("warps");
    const double stages = value("stages");
    const double bytes = 256 * (queries + 2 * stages * keys);
    if (bytes > 160e3 || queries < 8 * warps) return 0.0;
    const double registers = queries * (128 + keys) / (32 * warps) + 40;
    const double groups = std::max(
        1.0, std::floor(std::min({164e3 / bytes, 64 / warps, 2048 / (registers * warps)})));
    double seconds = 1e-4 * (1 + 10 / queries) * (1 + 6 / keys);
    seconds *= 1 + 8 / (groups * warps * std::sqrt(stages));  // what latency is not hidden
    if (registers > 255) seconds *= 1.6 + std::min(1.0, (registers - 255) / 100);
    if (config.at("split") == 2) seconds *= keys >= 64 ? 0.95 : 1.08;
    return seconds;
  };
  return make_landscape("gpu",
                        {{"key_tile", {16, 32, 64, 128}},
                         {"query_tile", {16, 32, 64, 128}},
                         {"split", {1, 2}},
                         {"stages", {1, 2, 3}},
                         {"warps", {1, 2, 4, 8}}},
                        cost, quality, seed);
}

// Each value and each pair of values has an effect by chance, values near each other alike ones;
// where the first two parameters are both large, it is three times slower.
inline Landscape chance_landscape(std::size_t parameters, std::size_t values, double quality,
                                  std::uint64_t seed) {
  std::mt19937_64 random(seed + 100);
  std::vector<Parameter> names;
  std::map<std::string, std::vector<double>> single;
  std::map<std::pair<std::string, std::int64_t>, double> ranks;
  for (std::size_t i = 0; i < parameters; ++i) {
    Parameter& parameter = names.emplace_back();
    parameter.name = std::string(1, static_cast<char>('a' + i));
    const double best = uniform_unit(random) * static_cast<double>(values - 1);
    const double bend = 0.03 + 0.1 * uniform_unit(random);
    for (std::size_t rank = 0; rank < values; ++rank) {
      parameter.values.push_back(std::int64_t{8} << rank);
      const double off = static_cast<double>(rank) - best;
      single[parameter.name].push_back(bend * off * off + 0.02 * normal(random));
    }
  }
  std::map<std::vector<std::int64_t>, double> pairs;
  const Cost cost = [&](const KernelConfig& config) {
    double log_time = 0;
    for (auto left = config.begin(); left != config.end(); ++left) {
      const auto rank = static_cast<std::size_t>(std::lround(std::log2(left->second / 8)));
      log_time += single[left->first][rank];
      for (auto right = config.begin(); right != left; ++right) {
        const auto [found, is_new] =
            pairs.try_emplace({left->first[0], left->second, right->first[0], right->second});
        if (is_new) found->second = 0.03 * normal(random);
        log_time += found->second;
      }
    }
    const std::int64_t large = std::int64_t{8} << (values - 2);
    const bool spills = config.at("a") >= large && config.at("b") >= large;
    return 1e-3 * std::exp(log_time) * (spills ? 3 : 1);
  };
  return make_landscape("chance", std::move(names), cost, quality, seed);
}

// Fails the test where the search breaks its promises to an examiner.
class SimulatedExaminer : public Examiner {
 public:
  SimulatedExaminer(const Landscape& landscape, std::uint64_t seed, double noise = 0.015)
      : landscape_(landscape), seed_(seed), noise_(noise) {}

  void announce(const std::vector<KernelConfig>& configs) override {
    for (const KernelConfig& config : configs) ++announced_[config];
  }

  Answer ask(const Question& question) override {
    // The noise of a question depends on how many came before, not on what was drawn for them.
    random_.seed(seed_ * 1000003 + questions_.size());
    questions_.push_back(question);
    EXPECT_EQ(announced_[question.config], 1) << "once, and before the first question";
    EXPECT_GT(question.repeats, 0);
    Answer answer;
    answer.elapsed = 0.5;
    answer.timestamp = "2024-01-01T00:00:00Z";
    const auto failure = landscape_.failures.find(question.config);
    if (failure != landscape_.failures.end()) {
      answer.outcome = failure->second;
      answer.message = std::string("made up: ") + to_string(failure->second);
      return answer;
    }
    EXPECT_TRUE(question.against.empty() || correct_[question.against]);
    correct_[question.config] = true;
    for (std::int64_t i = 0; i < question.repeats; ++i) {
      answer.seconds.push_back(measure(question.config));
      if (!question.against.empty()) answer.against_seconds.push_back(measure(question.against));
    }
    return answer;
  }

  const std::vector<Question>& questions() const { return questions_; }

 private:
  // Normal noise, and one time of thirty much too long.
  double measure(const KernelConfig& config) {
    const double outlier = uniform_unit(random_) < 1.0 / 30 ? 1 + 2 * uniform_unit(random_) : 1;
    return landscape_.seconds.at(config) * std::exp(noise_ * normal(random_)) * outlier;
  }

  const Landscape& landscape_;
  const std::uint64_t seed_;
  const double noise_;
  std::mt19937_64 random_;
  std::vector<Question> questions_;
  std::map<KernelConfig, int> announced_;
  std::map<KernelConfig, bool> correct_;
};

}  // namespace clattn::test
