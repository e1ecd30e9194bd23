// The cases of 'clattn check --suite' for masks beyond bands, score modifiers and block lists: each
// mask and each modifier alone, then a grid of combinations, with grouped heads, ragged lengths and
// unequal dimensions. Numbers are arguments of kernels, so that a case a mask is a kernel a mask.
#pragma once

#include "check_suite.hpp"

namespace clattn::tool {

std::vector<CheckCase> sparse_cases(bool reduced);

}  // namespace clattn::tool
