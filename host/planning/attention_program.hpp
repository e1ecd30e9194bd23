// The program of an attention kernel: which files stand in it, in which order, and the macros that
// make the common files and the family's kernel those of one problem. Pure.
#pragma once

#include "host/planning/family.hpp"

namespace clattn {

// What to build for a decision that has a family.
ProgramRequest attention_program(const Problem& problem, const Decision& decision);

}  // namespace clattn
