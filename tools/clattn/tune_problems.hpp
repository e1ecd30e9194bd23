// What `clattn tune` tunes: one problem, those of a file, or those that an application planned.
#pragma once

#include <clattn/engine.hpp>
#include <string>
#include <vector>

#include "problem_input.hpp"

namespace clattn::tool {

// A JSON array of problems. Throws Error (invalid_argument) that names the file and the problem.
std::vector<Problem> problems_of_suite(const std::string& path);

// Those of a log that CLATTN_TUNE_LOG made, the ones that take the most time first: a launch of
// each is timed on the engine's device, and counts as often as the problem was planned. Problems
// that the engine does not take are left out, and `skipped` says why.
std::vector<Problem> problems_of_log(const std::string& path, const Engine& engine,
                                     std::vector<std::string>& skipped);

}  // namespace clattn::tool
