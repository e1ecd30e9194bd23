// Made-up results of tuning, for the tests of what the tool does with them.
#pragma once

#include <clattn/tuning.hpp>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "host/tuning/store.hpp"

namespace clattn::test {

inline Trial correct_trial(KernelConfig config, std::vector<double> seconds) {
  Trial trial;
  trial.config = std::move(config);
  trial.seconds = std::move(seconds);
  trial.timestamp = "2025-03-01T10:00:00Z";
  return trial;
}

inline Trial failed_trial(KernelConfig config, TrialOutcome outcome, std::string message) {
  Trial trial;
  trial.config = std::move(config);
  trial.outcome = outcome;
  trial.message = std::move(message);
  trial.timestamp = "2025-03-01T10:00:00Z";
  return trial;
}

inline DeviceFacts made_up_device(const std::string& name) {
  DeviceFacts facts;
  facts.name = name;
  facts.vendor = "Maker";
  facts.driver_version = "1.0";
  return facts;
}

// Of a dense problem with so many queries.
inline TuningEntry made_up_entry(const DeviceFacts& facts, std::int64_t query_len) {
  Problem problem;
  problem.query_len = query_len;
  problem.key_len = 64;
  problem.head_dim = problem.value_dim = 32;
  TuningEntry entry;
  entry.key = tuning_key(problem, facts, "portable");
  entry.config = {{"key_tile", 32}, {"query_tile", 16}};
  entry.heuristic = {{"key_tile", 16}, {"query_tile", 16}};
  entry.seconds = 2e-3;
  entry.heuristic_seconds = 3e-3;
  entry.timestamp = "2025-03-01T12:00:00Z";
  entry.version = "0.1.0";
  entry.strategy = "guided";
  return entry;
}

// Times with all bits of a double in use.
class RandomTimes {
 public:
  double operator()() { return std::exp(uniform_(generator_)); }
  std::vector<double> some(std::size_t count) {
    std::vector<double> times;
    while (times.size() < count) times.push_back((*this)());
    return times;
  }

 private:
  std::mt19937_64 generator_{7};
  std::uniform_real_distribution<double> uniform_{-14, 2};
};

// Entries with correct trials, failures of every kind, without trials, with failures alone.
inline TuningStore made_up_store() {
  RandomTimes times;
  TuningStore store;
  const DeviceFacts facts = made_up_device("Accelerator 9000");
  for (std::int64_t i = 0; i < 6; ++i) {
    TuningEntry entry = made_up_entry(facts, 10 << i);
    entry.seconds = times();
    entry.heuristic_seconds = times();
    entry.spread = times();
    for (std::int64_t j = 0; j < 20 * (i % 3); ++j) {
      const KernelConfig config = {{"key_tile", 8 << (j % 4)}, {"query_tile", j}};
      Trial trial = correct_trial(config, times.some(1 + static_cast<std::size_t>(j) % 7));
      if (j % 5 == 1 || i == 5) {
        trial.outcome = static_cast<TrialOutcome>(1 + j % 5);
        trial.message = "line \"1\"\nline 2, \xC3\xA9";
        trial.seconds.clear();
      }
      trial.build_seconds = times();
      trial.check_seconds = times();
      entry.trials.push_back(trial);
    }
    store.add(entry);
  }
  return store;
}

}  // namespace clattn::test
