// What a case asks for, and what the planner decides for it on a device with the facts of an H200,
// but for those that the case changes. The device need not be there: planning is pure.
#pragma once

#include <string>

#include "host/planning/family.hpp"
#include "tests/emulation/cases.hpp"

namespace clattn::emulation {

Problem problem_of(const Case& test_case);

// Throws std::runtime_error where the family does not take the problem.
Decision decide_case(const std::string& family, const Problem& problem, const Case& test_case);

}  // namespace clattn::emulation
