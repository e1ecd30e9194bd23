// What a Plan holds. Everything is fixed once planned, but for the kernel's arguments: OpenCL keeps
// those in the kernel object, so setting them and launching happen under one lock.
#pragma once

#include <clattn/engine.hpp>
#include <memory>
#include <mutex>

#include "host/planning/family.hpp"
#include "kernels_cl/common/arguments.h"
#include "runtime/program.hpp"
#include "runtime/trace.hpp"

namespace clattn {

struct Engine::State {
  State(Context context, Device device, const EngineOptions& options);

  const Context context;
  const Device device;
  const LogCallback log;
  ProgramStore programs;
  std::unique_ptr<Trace> trace;  // null unless asked for

  std::mutex rates_mutex;
  std::optional<DeviceRates> rates;
};

struct Plan::State {
  std::shared_ptr<Engine::State> engine;
  Problem problem;
  PlanReport report;  // but for the visible pairs and FLOPs
  mutable std::once_flag visible_pairs_once;
  mutable std::int64_t visible_pairs = 0;

  // Absent where there is nothing to write.
  Kernel kernel;
  Memory rows;
  Memory spans;
  clattn_arguments arguments = {};  // all but the offsets
  std::size_t global[2] = {0, 0};
  std::size_t local[2] = {1, 1};
  mutable std::mutex launch_mutex;
};

std::string explain(const Problem& problem, const Device& device, const PlanReport& report,
                    const std::optional<DeviceRates>& rates);

}  // namespace clattn
