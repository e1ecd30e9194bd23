// The parts of the JSON form of a problem (README, "Problems"), each from its own JSON. All throw
// Error (invalid_argument) with the place of the offence.
#pragma once

#include <clattn/problem.hpp>
#include <optional>
#include <string>

#include "host/json/members.hpp"

namespace clattn {

// What a part needs to know beside its own text.
struct JsonContext {
  std::string folder;            // of the paths in it; empty: the working directory
  std::optional<Extent> extent;  // where the problem says both lengths
};

Mask mask_from_json(const json& object, const JsonContext& context);
// Adds a modifier or sink logits to the problem.
void add_score(const json& object, const JsonContext& context, Problem& problem);

}  // namespace clattn
