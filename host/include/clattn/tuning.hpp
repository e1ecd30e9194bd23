// Tuning: the search for the configuration of a kernel that is fastest for a problem on a device.
// Engine::tune searches in the calling process; the tool's `clattn tune` does so from outside,
// where kernels that hang or crash cost no more than a child process. What is found goes into a
// tuning store, a JSON text, from which plans take their configurations (README, "Tuning").
#pragma once

#include <clattn/export.h>

#include <clattn/engine.hpp>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace clattn {

enum class SearchStrategy {
  exhaustive,  // every legal configuration
  random,      // in random order
  guided,      // from the heuristic's choice and its neighbors on, by a model of what was measured
};

// "exhaustive", "random" or "guided".
CLATTN_API const char* to_string(SearchStrategy strategy);

// When a search ends: at the first of these, or when there is nothing left to try. A guided search
// also ends when it no longer gets on.
struct TuneBudget {
  SearchStrategy strategy = SearchStrategy::guided;
  std::int64_t evaluations = 0;  // configurations that are tried; 0: any number
  double seconds = 0;            // 0: any time
  std::uint64_t seed = 1;        // the same answers of the device give the same search
};

// What became of a configuration, in the words of the T4 results format.
enum class TrialOutcome {
  correct,
  compile,      // it does not build
  runtime,      // the device refused or failed a launch, or the process died
  correctness,  // the result is not the reference's
  constraints,  // it is not legal for the problem on the device
  timeout,
};

// The enumerators' names.
CLATTN_API const char* to_string(TrialOutcome outcome);

// A configuration that was tried.
struct Trial {
  KernelConfig config;
  TrialOutcome outcome = TrialOutcome::correct;
  std::string message;          // of a failure; a long one is cut
  std::vector<double> seconds;  // of each launch that was timed, by device events
  double build_seconds = 0;
  double check_seconds = 0;
  std::string timestamp;  // of the first try, ISO 8601, UTC
};

struct TuneResult {
  std::string family;
  KernelConfig heuristic;  // what the planner takes without a store
  KernelConfig best;       // the same unless another is faster by more than the noise
  // Of launches of both, in turns, at the end: medians, and the median absolute deviation of
  // best's.
  double heuristic_seconds = 0;  // 0 where it fails
  double best_seconds = 0;
  double spread = 0;
  std::vector<Trial> trials;  // in the order in which they were begun
  std::string stop;           // why the search ended
};

// How far a search is.
struct TuneProgress {
  std::int64_t evaluations = 0;  // done
  std::int64_t expected = 0;     // by the budget and the size of the space
  std::int64_t failures = 0;
  double gain = 1;          // of the best so far over the heuristic, in time
  double best_seconds = 0;  // of the best so far; 0: none was correct yet
  double seconds = 0;       // since the start
};

// Called after each step; return false to end the search with what it has.
using TuneCallback = std::function<bool(const TuneProgress& progress)>;

}  // namespace clattn
