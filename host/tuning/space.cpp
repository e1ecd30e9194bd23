#include "host/tuning/space.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "host/planning/family.hpp"

namespace clattn {
namespace {

// Calls `body` with every combination of values, in lexicographic order.
template <typename Body>
void for_each_config(const std::vector<Parameter>& parameters, Body&& body) {
  KernelConfig config;
  const auto choose_from = [&](const auto& recurse, std::size_t index) -> void {
    if (index == parameters.size()) {
      body(config);
      return;
    }
    for (const std::int64_t value : parameters[index].values) {
      config[parameters[index].name] = value;
      recurse(recurse, index + 1);
    }
  };
  choose_from(choose_from, 0);
}

}  // namespace

Space make_space(const Problem& problem, const DeviceFacts& facts, const PlanOptions& options) {
  PlanOptions heuristic_options = options;
  heuristic_options.config.clear();
  const Decision decision = decide(problem, facts, heuristic_options);
  require_family(decision, facts);
  const Family& family = *decision.family;
  const KernelConfig& heuristic = decision.choice.config;

  Space space;
  space.family = family.name();
  space.parameters = family.parameters(problem, facts);
  space.size = 1;
  for (Parameter& parameter : space.parameters) {
    std::vector<std::int64_t>& values = parameter.values;
    const std::int64_t chosen = heuristic.at(parameter.name);
    const auto place = std::ranges::lower_bound(values, chosen);
    if (place == values.end() || *place != chosen) values.insert(place, chosen);
    space.size *= double(values.size());
  }
  TileCosts costs(problem, decision.grid, heuristic_options);
  for_each_config(space.parameters, [&](const KernelConfig& config) {
    if (const auto broken = family.violation(config, problem, facts, decision.grid.has_value())) {
      ++space.pruned[broken->constraint];
      return;
    }
    std::string reason;
    const auto choice = family.choose(problem, facts, config, costs, reason);
    if (!choice) {  // a tile of the grid that was asked for has too many queries for it
      ++space.pruned["tile"];
      return;
    }
    if (config == heuristic) space.heuristic = space.configs.size();
    space.configs.push_back(config);
    space.predicted.push_back(choice->predicted);
  });
  return space;
}

std::string describe(const KernelConfig& config, const std::vector<Parameter>& parameters) {
  std::vector<std::string> pieces;
  for (const Parameter& parameter : parameters) {
    pieces.push_back(fmt::format("{}={}", parameter.name, config.at(parameter.name)));
  }
  return fmt::format("{}", fmt::join(pieces, " "));
}

}  // namespace clattn
