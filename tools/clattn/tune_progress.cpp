#include "tune_progress.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "progress.hpp"

namespace clattn::tool {

std::optional<double> seconds_left(const TuneProgress& progress, const TuneBudget& budget) {
  std::optional<double> left;
  if (budget.seconds > 0) left = std::max(0.0, budget.seconds - progress.seconds);
  if (progress.evaluations > 0 && progress.expected >= progress.evaluations) {
    const double each = progress.seconds / static_cast<double>(progress.evaluations);
    const double all = each * static_cast<double>(progress.expected - progress.evaluations);
    left = std::min(left.value_or(all), all);
  }
  return left;
}

std::string tune_progress_line(const TuneProgress& progress, const TuneBudget& budget) {
  std::string line = fmt::format("tune {}/{}", progress.evaluations, progress.expected);
  if (progress.best_seconds > 0) {
    line += fmt::format(", best {:.2f} times the heuristic ({})", progress.gain,
                        format_duration(progress.best_seconds));
  }
  if (progress.failures > 0) line += fmt::format(", {} failed", progress.failures);
  const std::optional<double> left = seconds_left(progress, budget);
  if (left) line += fmt::format(", {} left", *left < 1 ? "0 s" : format_duration(*left));
  return line;
}

}  // namespace clattn::tool
