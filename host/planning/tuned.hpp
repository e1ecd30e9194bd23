// Configurations from tuning stores, in the planner's decision. What was tuned for the problem
// itself is taken wherever it is legal. What was tuned for one like it is taken if it gained
// something there, and is expected to do as well beside the heuristic's choice here as there.
#pragma once

#include "host/planning/family.hpp"

namespace clattn {

// Puts what `lookup` has for the problem in the place of the heuristic's choice, if it may, and
// says in `config_source` what became of it. Pure, as far as `lookup` is.
void take_tuned(const Problem& problem, const DeviceFacts& facts, const TuningLookup& lookup,
                TileCosts& costs, Decision& decision);

}  // namespace clattn
