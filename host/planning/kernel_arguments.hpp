// What a plan tells its kernels beside their buffers: the members of clattn_arguments
// (kernels_cl/common/arguments.h) that a problem and its schedule fix. Pure.
#pragma once

#include <vector>

#include "host/planning/family.hpp"

namespace clattn {

// All but the offsets, which each launch brings, and the schedule's.
clattn_arguments make_arguments(const Problem& problem, const Hooks& hooks);

// The schedule of a decision for a problem whose blocks are not listed.
Schedule schedule_of(const Problem& problem, const Decision& decision, std::int64_t workers);
// `parts` are none where no row is split.
void set_schedule(const Schedule& schedule, clattn_arguments& arguments);

// Of blocks whose lists come at launch: each row of blocks is cut into tiles of so many queries,
// and its lists into parts. Returns what is to be merged where that is more than one.
std::vector<clattn_merge> set_listed_schedule(const Problem& problem, std::int64_t query_tile,
                                              std::int64_t parts, clattn_arguments& arguments);

}  // namespace clattn
