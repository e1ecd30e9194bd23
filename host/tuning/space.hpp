// The configurations of a family's kernel that are legal for one problem on one device. A family
// declares its parameters and their values, and says of a configuration which constraint it breaks;
// all of that is known before anything is compiled. Pure.
#pragma once

#include <clattn/export.h>

#include <clattn/engine.hpp>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "host/planning/parameters.hpp"

namespace clattn {

struct Space {
  std::string family;
  std::vector<Parameter> parameters;  // a configuration has a value of each
  std::vector<KernelConfig> configs;  // the legal ones, in lexicographic order of `parameters`
  std::vector<double> predicted;      // of each: time by the planner's reckoning, in any unit
  std::size_t heuristic = 0;          // the planner's choice, an index into `configs`
  double size = 0;                    // all combinations of values
  std::map<std::string, std::int64_t> pruned;  // combinations that each constraint rules out first
};

// The space of the family that `options` name, or that the planner takes. The heuristic's choice is
// part of it, whatever the parameters' values. Throws Error as Engine::plan does where no family
// takes the problem.
CLATTN_API Space make_space(const Problem& problem, const DeviceFacts& facts,
                            const PlanOptions& options);

// "query_tile=128 key_tile=64 ...", in the order of the parameters.
CLATTN_API std::string describe(const KernelConfig& config,
                                const std::vector<Parameter>& parameters);

}  // namespace clattn
