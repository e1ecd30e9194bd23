// A kernel family: which devices it runs on, and which configuration it takes for a problem. All of
// it is pure code over facts, tested without a device.
#pragma once

#include <clattn/device.hpp>
#include <clattn/engine.hpp>
#include <clattn/error.hpp>
#include <clattn/problem.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "host/planning/hooks.hpp"
#include "host/planning/parameters.hpp"
#include "host/planning/tile_costs.hpp"
#include "host/tuning/store.hpp"
#include "runtime/program.hpp"

namespace clattn {

// A chosen configuration of a family's kernel, ready to be built and launched.
struct KernelChoice {
  std::string id;                     // readable, unique in the family for a problem
  KernelConfig config;                // as PlanOptions takes it
  double predicted = 0;               // time, in a unit of the family and the problem
  Defines defines;                    // in a fixed order
  std::vector<std::string> files;     // of kernels_cl, behind the hooks
  std::vector<SourceFile> generated;  // in front of `files`
  std::optional<ProgramPatch> patch;
  // Of each work-group, in memory that the attention takes behind part_lse; 0: it takes none. Zeros
  // at first; what a launch leaves there the next one finds.
  std::int64_t scratch_bytes = 0;
  Tile tile;
  std::int64_t work_group_size = 1;  // work-items of one row
  Dealing dealing = Dealing::single;
  std::int64_t pack = 1;          // query heads that a row holds for each of the tile's queries
  bool counts_registers = false;  // the work-group fits, whatever the driver says of a kernel
  std::int64_t local_memory_bytes = 0;  // of one work-group
  std::string why;
  std::vector<Tiling> tilings;  // of a grid, the chosen one first; empty: tokens stay in place
  double dense_efficiency = 0;  // share of the multiply-add rate
};

class Family {
 public:
  virtual ~Family() = default;
  virtual std::string name() const = 0;

  // Why the family does not run on a device at all; empty if it does.
  virtual std::string rejection(const DeviceFacts& facts) const = 0;

  // What can be tuned of the kernel, always the same names, with values that are worth a trial for
  // a problem on a device.
  virtual std::vector<Parameter> parameters(const Problem& problem,
                                            const DeviceFacts& facts) const = 0;
  // The first constraint that a configuration of these parameters breaks; without one the kernel is
  // right, if not fast. `boxes`: whether tiles are boxes of a grid.
  virtual std::optional<Violation> violation(const KernelConfig& config, const Problem& problem,
                                             const DeviceFacts& facts, bool boxes) const = 0;

  // The configuration for a valid problem on a device that is not rejected: `config`, or if that is
  // empty, the one that is expected to be fastest. Nothing where no legal configuration fits the
  // device, or what was asked for, and then `reason` says what does not fit. `costs` are the
  // problem's.
  virtual std::optional<KernelChoice> choose(const Problem& problem, const DeviceFacts& facts,
                                             const KernelConfig& config, TileCosts& costs,
                                             std::string& reason) const = 0;
};

// Every family, the preferred ones first.
const std::vector<const Family*>& families();

const Family& nvidia_wgmma_family();
const Family& nvidia_mma_family();
const Family& cpu_family();
const Family& portable_family();

// The planner's decision: pure, as far as what it asks of tuned configurations is.
struct Decision {
  const Family* family = nullptr;  // null: nothing fits, see `rejected`
  // Where nothing fits: device_limit if some family would run on the device, else unsupported.
  ErrorCategory category = ErrorCategory::unsupported;
  KernelChoice choice;
  std::string config_source;  // where the configuration comes from, see PlanReport
  std::optional<GridProblem> grid;
  Hooks hooks;
  std::vector<std::string> rejected;  // "family: reason"
};

// Throws Error (invalid_argument) for an invalid problem, or options that are unknown or not for
// this problem, and (unsupported) for a mask that no kernel can evaluate.
Decision decide(const Problem& problem, const DeviceFacts& facts, const PlanOptions& options,
                const TuningLookup& tuned = {});
// Throws the Error of a decision that has no family.
void require_family(const Decision& decision, const DeviceFacts& facts);

}  // namespace clattn
