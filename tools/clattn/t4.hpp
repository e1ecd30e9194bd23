// Tuning stores in the T4 results format, the autotuning community's "Open Autotuning Results
// Schema" 1.0.0, in which tuners exchange what they measured. Each entry of a store gives one
// result for its winner, as it was timed at the end, and one for each trial; times are in
// milliseconds. What T4 has no field for stands in measurements whose names begin with "clattn.",
// times in seconds to the last bit among them: reading a store's export gives the same store.
#pragma once

#include <nlohmann/json.hpp>

#include "host/tuning/store.hpp"

namespace clattn::tool {

nlohmann::ordered_json to_t4(const TuningStore& store);

// Throws Error (invalid_argument) that names the result and the field: for what is no T4, and for
// the T4 of other tuners, which don't say what a store's key needs.
TuningStore from_t4(const nlohmann::ordered_json& t4);

}  // namespace clattn::tool
