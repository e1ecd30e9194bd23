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
#include <utility>
#include <vector>

#include "host/planning/hooks.hpp"
#include "host/planning/schedule.hpp"
#include "host/planning/tilings.hpp"
#include "runtime/program.hpp"

namespace clattn {

// A chosen configuration of a family's kernel, ready to be built and launched.
struct KernelChoice {
  std::string id;                                             // readable, unique in the family
  std::vector<std::pair<std::string, std::int64_t>> defines;  // in a fixed order
  std::vector<std::string> files;                             // of kernels_cl, behind the hooks
  std::vector<SourceFile> generated;                          // in front of `files`
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

  // The configuration for a valid problem on a device that is not rejected. Nothing where no legal
  // configuration fits the device, or what was asked for, and then `reason` says what does not fit.
  // `grid` is the problem's, if its tiles may be boxes.
  virtual std::optional<KernelChoice> choose(const Problem& problem,
                                             const std::optional<GridProblem>& grid,
                                             const DeviceFacts& facts, const PlanOptions& options,
                                             std::string& reason) const = 0;
};

// Every family, the preferred ones first.
const std::vector<const Family*>& families();

const Family& nvidia_wgmma_family();
const Family& nvidia_mma_family();
const Family& cpu_family();
const Family& portable_family();

// Whether rows of tiles have natural places to begin, so that the size of the tile matters.
bool has_seams(const Problem& problem);
// What a tile makes of the problem's seams, in the first slice: keys that its rows walk, and pairs
// that they compute, where a row counts as many queries as its granules hold, and a span as many
// keys as a multiple of `key_step`, and each row `row_keys` more. For comparing tiles of one
// problem.
struct TileCost {
  double keys = 0;
  double pairs = 0;
};
TileCost tile_cost(const Problem& problem, const Tile& tile, std::int64_t key_step = 1,
                   double row_keys = 0);

// Which of a family's tiles takes the least time where tokens stay in place, an index.
std::size_t fit_rows(const Problem& problem, const std::vector<TileSpeed>& tiles);
// Which of a family's tiles takes the least time where tiles are boxes of a grid, an index; the
// tilings of that tile are left in `tilings`. Nothing where what was asked for fits none, not even
// the first tile, the largest, and then `reason` says so.
std::optional<std::size_t> fit_boxes(const Problem& problem, const GridProblem& grid,
                                     const PlanOptions& options,
                                     const std::vector<TileSpeed>& tiles,
                                     std::vector<Tiling>& tilings, std::string& reason);

// The planner's decision: pure.
struct Decision {
  const Family* family = nullptr;  // null: nothing fits, see `rejected`
  // Where nothing fits: device_limit if some family would run on the device, else unsupported.
  ErrorCategory category = ErrorCategory::unsupported;
  KernelChoice choice;
  std::optional<GridProblem> grid;
  Hooks hooks;
  std::vector<std::string> rejected;  // "family: reason"
};

// Throws Error (invalid_argument) for an invalid problem, or options that are unknown or not for
// this problem, and (unsupported) for a mask that no kernel can evaluate.
Decision decide(const Problem& problem, const DeviceFacts& facts, const PlanOptions& options);

}  // namespace clattn
