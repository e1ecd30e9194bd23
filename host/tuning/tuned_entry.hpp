// What a search found, as an entry of a store.
#pragma once

#include "host/tuning/store.hpp"

namespace clattn {

TuningEntry tuned_entry(const Problem& problem, const DeviceFacts& facts, const TuneBudget& budget,
                        const TuneResult& result);

}  // namespace clattn
