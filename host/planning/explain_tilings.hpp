// The ways to tile a neighborhood that were weighed for a plan, in words.
#pragma once

#include <clattn/engine.hpp>
#include <optional>
#include <string>

namespace clattn {

// What the planner expects of a tiling, its permutations included, at measured rates;
// `dense_efficiency` is the report's.
inline double predicted_seconds(const Tiling& tiling, double dense_efficiency,
                                const DeviceRates& rates) {
  return tiling.cost_flops / (rates.flops_per_second * dense_efficiency);
}

// A table of the first few tilings, under the bound of the visible pairs; empty if there are none.
std::string explain_tilings(const PlanReport& report, double all_pairs,
                            const std::optional<DeviceRates>& rates);

}  // namespace clattn
