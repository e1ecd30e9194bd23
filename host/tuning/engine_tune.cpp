// Engine::tune: the search in the calling process.
#include <clattn/version.h>
#include <fmt/format.h>

#include "host/invalid.hpp"
#include "host/planning/plan_state.hpp"
#include "host/tuning/device_examiner.hpp"
#include "host/tuning/tuned_entry.hpp"

namespace clattn {

TuningEntry tuned_entry(const Problem& problem, const DeviceFacts& facts, const TuneBudget& budget,
                        const TuneResult& result) {
  TuningEntry entry;
  entry.key = tuning_key(problem, facts, result.family);
  entry.config = result.best;
  entry.heuristic = result.heuristic;
  entry.seconds = result.best_seconds;
  entry.heuristic_seconds = result.heuristic_seconds;
  entry.spread = result.spread;
  entry.timestamp = timestamp_now();
  entry.version = CLATTN_VERSION_STRING;
  entry.strategy = fmt::format("{}, seed {}", to_string(budget.strategy), budget.seed);
  entry.trials = result.trials;
  return entry;
}

TuneResult Engine::tune(const Problem& problem, const TuneBudget& budget,
                        const PlanOptions& options, const TuneCallback& callback) {
  if (budget.evaluations < 0) {
    invalid("evaluations is {}, but must be 0 or more", budget.evaluations);
  }
  if (!(budget.seconds >= 0)) invalid("seconds is {}, but must be 0 or more", budget.seconds);
  if (!options.config.empty()) invalid("a configuration that is asked for leaves nothing to tune");
  const Space space = make_space(problem, state_->device.facts, options);
  PlanOptions asked = options;
  asked.family = space.family;
  DeviceExaminer examiner(*this, problem, asked, budget.seed);
  TuneResult result = search(space, budget, examiner, callback);
  if (result.best_seconds > 0) {
    state_->tuning.add(tuned_entry(problem, state_->device.facts, budget, result));
  }
  return result;
}

}  // namespace clattn
