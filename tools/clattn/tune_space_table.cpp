#include "tune_space_table.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>
#include <vector>

namespace clattn::tool {
namespace {

constexpr std::size_t kPredicted = 5;
constexpr int kIndent = 14;

// Indices of the configurations that the planner expects to be fastest.
std::vector<std::size_t> best_predicted(const Space& space) {
  std::vector<std::size_t> order(space.configs.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, {}, [&](std::size_t i) { return space.predicted[i]; });
  order.resize(std::min(order.size(), kPredicted));
  return order;
}

std::string line(const std::string& label, const std::string& value) {
  return fmt::format("{:<{}}{}\n", label, kIndent, value);
}

// "a", "b", ... below each other, with the label before the first.
std::string lines(const std::string& label, const std::vector<std::string>& values) {
  std::string text;
  for (const std::string& value : values) text += line(text.empty() ? label : "", value);
  return text;
}

double relative(const Space& space, std::size_t index) {
  return space.predicted[index] / space.predicted[space.heuristic];
}

}  // namespace

std::string space_table(const Space& space) {
  std::size_t width = 0;
  for (const Parameter& parameter : space.parameters) {
    width = std::max(width, parameter.name.size());
  }
  std::vector<std::string> parameters, pruned, predicted;
  for (const Parameter& parameter : space.parameters) {
    parameters.push_back(
        fmt::format("{:<{}}  {}", parameter.name, width, fmt::join(parameter.values, " ")));
  }
  for (const auto& [constraint, combinations] : space.pruned) {
    pruned.push_back(fmt::format("{:>8}  {}", combinations, constraint));
  }
  for (const std::size_t i : best_predicted(space)) {
    predicted.push_back(fmt::format("{:>7.2f}x  {}", relative(space, i),
                                    describe(space.configs[i], space.parameters)));
  }
  const auto legal = static_cast<double>(space.configs.size());
  return line("family", space.family) + lines("parameters", parameters) +
         line("size", fmt::format("{} combinations, {} of them legal ({:.3g}%)", space.size,
                                  space.configs.size(), 100 * legal / space.size)) +
         lines("ruled out by", pruned) +
         line("heuristic", describe(space.configs[space.heuristic], space.parameters)) +
         lines("predicted", predicted) +
         line("", "fastest first, in times of what the planner expects of the heuristic's choice");
}

nlohmann::ordered_json to_json(const Space& space) {
  nlohmann::ordered_json parameters = nlohmann::ordered_json::object();
  nlohmann::ordered_json predicted = nlohmann::ordered_json::array();
  for (const Parameter& parameter : space.parameters) parameters[parameter.name] = parameter.values;
  for (const std::size_t i : best_predicted(space)) {
    predicted.push_back({{"config", space.configs[i]}, {"relative_time", relative(space, i)}});
  }
  return {{"family", space.family}, {"parameters", parameters},
          {"size", space.size},     {"legal", space.configs.size()},
          {"pruned", space.pruned}, {"heuristic", space.configs[space.heuristic]},
          {"predicted", predicted}};
}

}  // namespace clattn::tool
