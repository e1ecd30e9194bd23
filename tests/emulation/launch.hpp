// A case from its problem to the verdict: the planner decides, as on an H200, the program of its
// decision is built for the emulation, and what the machine computes is held to the CPU reference.
#pragma once

#include <cstdint>
#include <filesystem>

#include "tests/emulation/cases.hpp"

namespace clattn::emulation {

// Launches it twice for each seed from the first one on, the second time over what the first one
// left, prints what it did, and returns whether all is well. Prints errors; ends the process at one
// that leaves nothing to go on with.
bool run_case(const std::string& family, const Case& test_case, std::uint64_t first_seed,
              std::uint64_t seeds, const std::filesystem::path& folder);

}  // namespace clattn::emulation
