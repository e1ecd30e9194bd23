// What the benchmarks share: problems that are checked before they are timed, medians, and lines
// that say whether a ratio holds.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <clattn/engine.hpp>
#include <cstdio>
#include <string>
#include <vector>

#include "clattn/launch.hpp"
#include "host/trial/verify.hpp"
#include "host/tuning/comparison.hpp"

namespace clattn::tool {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kSeed = 1;

inline double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Batch 1, as many queries as keys, head and value dimension 64.
inline Problem square_problem(std::int64_t heads, std::int64_t length, Mask mask,
                              DataType type = DataType::f32) {
  Problem problem;
  problem.data_type = type;
  problem.heads = problem.kv_heads = heads;
  problem.query_len = problem.key_len = length;
  problem.head_dim = problem.value_dim = 64;
  problem.mask = std::move(mask);
  return problem;
}

// A problem that is ready to be timed. Where its block lists come at launch, `equal` is the problem
// whose mask says the same.
class Case {
 public:
  Case(const Launcher& launcher, const Problem& problem, const PlanOptions& options = {})
      : Case(launcher.engine().plan(problem, options), launcher, problem, {}) {}
  Case(const Launcher& launcher, const Problem& problem, const Problem& equal,
       const BlockListBuffers& lists)
      : Case(launcher.engine().plan(problem), launcher, equal, lists) {}

  double seconds() const { return tensors_.run(plan_, lists_); }
  double flops() const { return plan_.report().flops; }
  PlanReport report() const { return plan_.report(); }

 private:
  Case(Plan plan, const Launcher& launcher, const Problem& equal, const BlockListBuffers& lists)
      : Case(std::move(plan), launcher, equal, lists, random_inputs(equal, kSeed),
             poisoned_result(equal)) {}
  Case(Plan plan, const Launcher& launcher, const Problem& equal, const BlockListBuffers& lists,
       const HostInputs& inputs, HostResult result)
      : plan_(std::move(plan)),
        tensors_(launcher.engine(), launcher.queue(), inputs, result),
        lists_(lists) {
    seconds();
    tensors_.read(result);
    const auto failures = RowCheck(equal, inputs, plan_.report().query_tile).failures(result);
    if (failures.empty()) return;
    throw Error(ErrorCategory::device_failure, "not timed, for it is wrong: " + failures.front());
  }

  Plan plan_;
  DeviceTensors tensors_;
  BlockListBuffers lists_;
};

// Median over alternating rounds of the time of `a` to that of `b`.
inline double ratio(const Case& a, const Case& b, int rounds = 15) {
  std::vector<double> ratios;
  for (int round = 0; round < rounds; ++round) {
    const double time = a.seconds();
    ratios.push_back(time / b.seconds());
  }
  return median(ratios);
}

enum class Sense { at_least, at_most };

inline void print_line(const std::string& what, double value, Sense sense, double target,
                       const std::string& unit, const std::string& details) {
  const bool holds = sense == Sense::at_least ? value >= target : value <= target;
  fmt::print("{:<52} {:>8.3g}{:<4} {} {:>5.3g}{:<4} {:<5} {}\n", what, value, unit,
             sense == Sense::at_least ? ">=" : "<=", target, unit, holds ? "holds" : "FAILS",
             details);
  std::fflush(stdout);
}

// The main of a benchmark whose only option is --device.
inline int bench_main(int argc, char** argv, int (*bench)(const std::string& device)) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  try {
    if (arguments.empty()) return bench("");
    if (arguments.size() == 2 && arguments[0] == "--device") return bench(arguments[1]);
    fmt::print(stderr, "usage: {} [--device SELECTOR]\n", argv[0]);
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}: {}\n", argv[0], error.what());
  }
  return 2;
}

}  // namespace clattn::tool
