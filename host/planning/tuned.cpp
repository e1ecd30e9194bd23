#include "host/planning/tuned.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace clattn {
namespace {

std::string words(const TuningHit& hit, const TuningKey& wanted) {
  const TuningEntry& entry = hit.entry;
  const TuningKey& key = entry.key;
  std::string text = "tuned for this problem";
  if (hit.level != HitLevel::exact) {
    text = fmt::format("tuned for a problem like it: {}, 2^{} heads, 2^{} queries, 2^{} keys",
                       key.mask, key.heads_bucket, key.query_bucket, key.key_bucket);
  }
  if (hit.level == HitLevel::vendor) text += fmt::format(" on {}", key.device);
  const bool other_driver = hit.level != HitLevel::vendor && key.driver != wanted.driver;
  const bool other_source = key.source != wanted.source;
  if (other_driver || other_source) {
    text += fmt::format(" with {}{}{}", other_driver ? "another driver" : "",
                        other_driver && other_source ? " and " : "",
                        other_source ? "other kernels" : "");
  }
  text += " (";
  if (hit.level != HitLevel::exact) text += fmt::format("{}, ", to_string(hit.level));
  text += fmt::format("{} store, {}", hit.layer, entry.timestamp.substr(0, 10));
  if (entry.seconds > 0 && entry.heuristic_seconds > 0) {
    text += fmt::format(", {:.2f} times the heuristic's speed",
                        entry.heuristic_seconds / entry.seconds);
  }
  return text + ")";
}

// Entries may come from another version of the family, with other parameters.
std::optional<KernelChoice> choose(const Problem& problem, const DeviceFacts& facts,
                                   const KernelConfig& config, TileCosts& costs,
                                   const Family& family, std::string& reason) {
  try {
    check_names(config, family.parameters(problem, facts), family.name());
  } catch (const Error& error) {
    reason = error.what();
    return std::nullopt;
  }
  return family.choose(problem, facts, config, costs, reason);
}

// Where something else was tuned, a configuration may be expected to do no more worse here than
// there, beside the heuristic's choice: what was gained would be lost, or the shape is another.
constexpr double kMostWorse = 1.05;

// How long a configuration is expected to take, to the heuristic's choice, for the problem that was
// tuned; 1 where that can't be said.
double expected_there(const TuningEntry& entry, const DeviceFacts& facts, const Family& family) {
  try {
    const Problem problem = problem_from_json(entry.key.problem);
    const Decision decision = decide(problem, facts, {.family = family.name()});
    const Decision tuned =
        decide(problem, facts, {.family = family.name(), .config = entry.config});
    if (decision.family && tuned.family) return tuned.choice.predicted / decision.choice.predicted;
  } catch (const Error&) {
    // A hash stands for some of it.
  }
  return 1;
}

}  // namespace

void take_tuned(const Problem& problem, const DeviceFacts& facts, const TuningLookup& lookup,
                TileCosts& costs, Decision& decision) {
  const TuningKey key = tuning_key(problem, facts, decision.family->name());
  const std::optional<TuningHit> hit = lookup(key);
  if (!hit) return;
  const std::string found = words(*hit, key);
  // Where the heuristic knew best, it will here, too.
  if (hit->level != HitLevel::exact && hit->entry.config == hit->entry.heuristic) {
    decision.config_source = fmt::format("heuristic, nothing better was {}", found);
    return;
  }
  std::string reason;
  auto choice = choose(problem, facts, hit->entry.config, costs, *decision.family, reason);
  if (!choice) {
    decision.config_source = fmt::format("heuristic; what was {} does not fit: {}", found, reason);
    return;
  }
  const double heuristic = decision.choice.predicted;
  if (hit->level != HitLevel::exact) {
    const TuningEntry& entry = hit->entry;
    const double gain = entry.seconds > 0 ? entry.heuristic_seconds / entry.seconds : 1;
    const double here = choice->predicted / heuristic;
    const double there = expected_there(entry, facts, *decision.family);
    if (here > there * std::min(gain, kMostWorse)) {
      decision.config_source = fmt::format(
          "heuristic; what was {} is expected to take {:.2f} times as long here, and {:.2f} there",
          found, here, there);
      return;
    }
  }
  decision.choice = std::move(*choice);
  decision.config_source = found;
}

}  // namespace clattn
