// The space of a kernel's configurations in words, for `clattn tune --space`: the parameters, how
// much of the space is legal and what rules out the rest, the heuristic's choice and what the
// planner expects to be fastest. Pure.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "host/tuning/space.hpp"

namespace clattn::tool {

std::string space_table(const Space& space);
nlohmann::ordered_json to_json(const Space& space);

}  // namespace clattn::tool
