// A process that measures, or builds, for `clattn tune`, so that a kernel that hangs or crashes
// takes no more than it with it. It is `clattn tune-worker`, and speaks in lines of JSON. The first
// it hears is its task: {"device", "problem", "plan": {"family", "tokens", ...}, "seed",
// "measures"}; it answers {"ready": true}, or {"error": message} and ends. Then come questions
// (tune_json.hpp), which it answers; or, if it does not measure, {"build": configuration}, which
// leaves a program in the disk cache, and which it answers with {"built": true}.
#pragma once

#include "host/tuning/search.hpp"

namespace clattn::tool {

struct TuneTask {
  std::string device;
  Problem problem;
  PlanOptions plan;  // the family must be named
  std::uint64_t seed = 1;
};

std::string task_line(const TuneTask& task, bool measures);

}  // namespace clattn::tool
