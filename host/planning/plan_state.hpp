// What a Plan holds. Everything is fixed once planned, but for the kernel's arguments: OpenCL keeps
// those in the kernel object, so setting them and launching happen under one lock.
#pragma once

#include <clattn/engine.hpp>
#include <memory>
#include <mutex>

#include "host/planning/family.hpp"
#include "host/planning/launch.hpp"
#include "host/planning/permuted_tensors.hpp"
#include "host/tuning/engine_stores.hpp"
#include "host/tuning/problem_log.hpp"
#include "kernels_cl/common/arguments.h"
#include "runtime/program.hpp"
#include "runtime/trace.hpp"

namespace clattn {

struct Engine::State {
  State(Context context, Device device, const EngineOptions& options);

  const Context context;
  const LogCallback log;
  ProgramStore programs;
  const Device device;           // probed with the programs
  std::unique_ptr<Trace> trace;  // null unless asked for
  EngineStores tuning;
  ProblemLog problems;

  std::mutex rates_mutex;
  std::optional<DeviceRates> rates;
};

struct Plan::State {
  std::shared_ptr<Engine::State> engine;
  Problem problem;
  PlanReport report;         // but for the counted pairs and FLOPs
  double pairs_visited = 0;  // what counts where the pairs can't be counted
  mutable std::once_flag visible_pairs_once;
  mutable std::optional<double> visible_pairs;

  // Absent where there is nothing to write.
  Kernel attention;
  std::size_t global[2] = {0, 0};
  std::size_t local[2] = {1, 1};
  clattn_arguments arguments = {};  // all but the offsets
  std::vector<Memory> memory;       // of the kernels' fixed arguments
  HookMemory hooks;
  cl_uint attention_walk = 0;  // first arguments in the attention kernel
  cl_uint attention_hooks = 0;
  // Absent where no row is split.
  Kernel merge;
  std::size_t merge_global[3] = {0, 0, 0};

  // Absent where tensors are taken as they lie.
  std::optional<PermutedTensors> permuted;

  mutable std::mutex launch_mutex;
  bool has_workspace = false;  // which each launch writes
  mutable Event last_launch;   // the workspace is free behind it; null if there is none
};

// Arguments of the kernels, in order. Behind the walk's come the tables and buffers of the hooks.
enum AttentionArgument : cl_uint {
  kArguments,
  kQuery,
  kKey,
  kValue,
  kOutput,
  kLse,
  kPartOutputs,
  kPartLse,
  kWalk,  // behind the scratch memory, if there is any: rows, spans, bins and the entries of
          // queries and keys; or BlockListBuffers' six buffers
};
enum MergeArgument : cl_uint {
  kMergeArguments,
  kMerges,
  kMergeCount,
  kMergePartOutputs,
  kMergePartLse,
  kMergeOutput,
  kMergeLse,
  kMergeQueryEntries,
  kMergeHooks,
};

std::string explain(const Problem& problem, const Device& device, const PlanReport& report,
                    const std::optional<DeviceRates>& rates);

}  // namespace clattn
