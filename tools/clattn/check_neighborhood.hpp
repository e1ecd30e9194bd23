// The cases of 'clattn check --suite' for neighborhood attention: shapes that caught faults
// elsewhere, grids around the edges of tiles, a random sweep, and the ways to tile a grid; alone
// and composed with other masks and modifiers.
#pragma once

#include "check_suite.hpp"

namespace clattn::tool {

std::vector<CheckCase> neighborhood_cases(bool reduced);

}  // namespace clattn::tool
