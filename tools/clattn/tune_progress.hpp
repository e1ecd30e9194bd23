// The line that `clattn tune` shows while it searches: evaluations, the best so far, failures and
// the time left. Pure; ProgressLine shows it.
#pragma once

#include <clattn/tuning.hpp>
#include <optional>
#include <string>

namespace clattn::tool {

// Seconds until the budget ends the search: what is left of its seconds or of the evaluations that
// are expected, at the speed so far, whichever is less. Empty where neither is known.
std::optional<double> seconds_left(const TuneProgress& progress, const TuneBudget& budget);

// "tune 37/120, best 1.23 times the heuristic (1.23 ms), 2 failed, 3 min 20 s left"
std::string tune_progress_line(const TuneProgress& progress, const TuneBudget& budget);

}  // namespace clattn::tool
