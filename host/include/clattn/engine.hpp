// How attention is computed on one OpenCL device. An Engine owns what lives long (context, built
// programs); Engine::plan turns a Problem into a Plan, doing all checks, compilation and
// allocation; Plan::enqueue only launches. Both are handles: copies share one immutable state, and
// a Plan keeps what it needs of its Engine alive. Every member function is thread-safe.
#pragma once

#include <clattn/export.h>

#include <clattn/device.hpp>
#include <clattn/error.hpp>
#include <clattn/handle.hpp>
#include <clattn/log.hpp>
#include <clattn/problem.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace clattn {

struct TuneBudget;  // tuning.hpp
struct TuneProgress;
struct TuneResult;

struct EngineOptions {
  std::string device = {};  // a selector, see select_device; ignored when a context is given
  // Folder of compiled programs: the default is $XDG_CACHE_HOME/clattn, or ~/.cache/clattn;
  // an empty string turns the disk cache off.
  std::optional<std::string> cache_dir = {};
  LogCallback log = {};  // the library itself never prints
  bool trace = false;    // record every launch for Engine::write_trace
  // The text of a tuning store, which plans ask before all others: what the application tuned
  // before (Engine::tuning), or ships.
  std::optional<std::string> tuning = {};
  // Whether plans also ask the user's store ($XDG_DATA_HOME/clattn/tuning.json, or below
  // ~/.local/share), the system's (below $XDG_DATA_DIRS) and the one that is built in. They are
  // read once, before the first plan.
  bool default_tuning = true;
};

// A tensor argument: a buffer of the engine's context and the offset, in elements, of its element
// [0, 0, 0, 0]. Strides are the Problem's. The buffer may be null where the tensor has no elements.
struct TensorView {
  cl_mem buffer = nullptr;
  std::int64_t offset = 0;
};

// The block lists of a launch (blocks.hpp), for a Problem with `blocks`: int32 buffers of the
// engine's context. They are not read on the host: a count outside [0, capacity] makes the rows of
// its block NaN, and so does an index out of range; check_block_lists says where.
struct BlockListBuffers {
  cl_mem partial_count = nullptr;
  cl_mem partial_index = nullptr;
  cl_mem full_count = nullptr;  // null with full_index: there are no full blocks
  cl_mem full_index = nullptr;
  cl_mem key_lengths = nullptr;  // null: all keys of a block exist
  // A permutation of the rows of blocks, [batch * heads * query_blocks]: the order in which they
  // start; null: their own. Heavy rows first keeps the device busy to the end.
  cl_mem row_order = nullptr;
};

// A buffer that an expression or a bias leaves to be bound at launch, by its name.
struct NamedMemory {
  std::string name;
  cl_mem buffer = nullptr;
};

struct Tensors {
  TensorView query;
  TensorView key;
  TensorView value;
  TensorView output;
  TensorView lse = {};           // read only if the Problem asks for LSE
  BlockListBuffers blocks = {};  // read only if the Problem has blocks
  std::vector<NamedMemory> buffers = {};
};

// A configuration of a family's kernel: a value for each of its parameters, by the parameter's
// name.
using KernelConfig = std::map<std::string, std::int64_t>;

// How the kernels of a neighborhood come to tiles that are boxes of the grid.
enum class TokenAccess {
  automatic,  // the planner chooses
  in_place,   // not at all: tiles are consecutive tokens, as for every other mask
  gathered,   // loads and stores go to the tokens of a box
  permuted,   // tensors are copied into tile order, and the result back
};

// "automatic", "in_place", "gathered" or "permuted".
CLATTN_API const char* to_string(TokenAccess access);

// Overrides of the planner's choice. Those of tokens and tiles are for masks that lie within a
// neighborhood (MaskNode::neighborhood); other problems refuse them, and so do problems whose
// tensors lie in an order of their own.
struct PlanOptions {
  std::string family = {};  // of family_names(); empty: the planner chooses
  TokenAccess tokens = TokenAccess::automatic;
  std::vector<std::int64_t> query_tile = {};  // of a grid; empty: the planner chooses
  std::vector<std::int64_t> key_tile = {};    // the same, where tokens are permuted
  // A value for each parameter of the family's kernel (tuning.hpp), which must be named, too;
  // empty: what was tuned for the problem, or for one like it, else what the planner's heuristic
  // chooses.
  KernelConfig config = {};
};

struct Support {
  bool supported = false;
  std::string reason;  // why not
};

// One way to tile a neighborhood, and what the planner expects of it.
struct Tiling {
  TokenAccess tokens = TokenAccess::in_place;
  std::vector<std::int64_t> query_tile;  // of the grid; empty: in_place
  std::vector<std::int64_t> key_tile;    // empty unless keys come in tiles (permuted)
  double bound = 0;                      // all pairs to those that are computed
  double masked_share = 0;       // of the computed pairs, those that the mask is asked about
  double permutation_bytes = 0;  // read and written beside the attention
  // The time of so many FLOPs at the family's best dense speed: what the planner compares.
  double cost_flops = 0;
};

// What was planned, in numbers.
struct PlanReport {
  std::string family;
  std::string config;                 // the kernel configuration's id
  KernelConfig parameters;            // the same, as PlanOptions::config takes it
  std::string config_source;          // "heuristic", "asked for", or what it was tuned for, where
  std::string why;                    // why this family and tile
  std::vector<std::string> rejected;  // "family: reason"
  std::int64_t query_tile = 0;        // queries
  std::int64_t key_tile = 0;          // keys
  // Of all batches and heads. With block lists that come at launch, nothing is known of them: all
  // tiles then count as visited and masked.
  double tiles_total = 0;
  double tiles_visited = 0;
  double tiles_masked = 0;   // visited with the element mask
  double visible_pairs = 0;  // exact, or where the mask is too irregular to count, the pairs of the
  bool pairs_counted = true;  // visited tiles, and this is false
  double flops = 0;           // 2 * (head_dim + value_dim) per visible pair
  double bytes = 0;           // every tensor once
  // Expected share of the compute units that are busy until the last one ends; rows that were
  // split, and the parts they were split into, which are merged by LSE.
  double balance = 1;
  std::int64_t split_rows = 0;
  std::int64_t parts = 0;
  std::int64_t work_groups = 0;
  std::int64_t work_group_size = 0;
  std::int64_t local_memory_bytes = 0;   // of one work-group
  std::int64_t device_memory_bytes = 0;  // that the plan holds beside the tensors
  // For masks within a neighborhood: the ways that were weighed, the chosen one first, then by
  // cost; and the share of the multiply-add rate that the family's best dense speed is.
  std::vector<Tiling> tilings;
  double dense_efficiency = 0;
};

class CLATTN_API Plan {
 public:
  // Launches on `queue` after `wait_list` and returns the event of the last command. Allocates no
  // device memory, compiles nothing and never waits. The tensors must stay alive until the event
  // completes. Throws Error (invalid_argument) and launches nothing when the queue or a buffer is
  // of another context, a buffer is smaller than its strides need, or one that is bound at launch
  // is missing. Launches of a plan that splits rows (PlanReport::parts) share its workspace and run
  // one behind another, whatever their queues: as OpenCL demands where a queue waits for another,
  // flush each of them.
  Event enqueue(cl_command_queue queue, const Tensors& tensors,
                std::span<const cl_event> wait_list = {}) const;

  const Problem& problem() const;
  PlanReport report() const;
  // The report in words; with `rates` also the bound.
  std::string explain(const std::optional<DeviceRates>& rates = {}) const;

  struct State;

 private:
  friend class Engine;
  explicit Plan(std::shared_ptr<const State> state) : state_(std::move(state)) {}
  std::shared_ptr<const State> state_;
};

class CLATTN_API Engine {
 public:
  // A context of its own on the device that options.device selects. On an NVIDIA GPU of compute
  // capability 8.0 or later, this and the next one try instructions of its tensor cores
  // (DeviceFacts::instruction_sets), and wait for the device.
  explicit Engine(const EngineOptions& options = {});
  // The caller's context, which is retained, and one device of it.
  Engine(cl_context context, cl_device_id device, const EngineOptions& options = {});

  // Throws Error: invalid_argument, unsupported, device_limit, build_failure, out_of_memory.
  Plan plan(const Problem& problem, const PlanOptions& options = {}) const;
  // Whether `plan` would choose a kernel, by the same code; compiles nothing.
  Support supports(const Problem& problem, const PlanOptions& options = {}) const;

  cl_context context() const;
  const Device& device() const;
  // Measured once on first use, which takes some tenths of a second, then kept.
  DeviceRates rates() const;

  // Searches the configurations of the kernel that takes a problem (tuning.hpp), in this process
  // and on a queue of its own; plans made from then on use what it finds. A kernel that hangs,
  // hangs here: `clattn tune` measures in child processes. Takes device memory for the tensors.
  // Throws Error as `plan` does, and (invalid_argument) for a problem whose buffers come at launch.
  TuneResult tune(const Problem& problem, const TuneBudget& budget, const PlanOptions& options = {},
                  const std::function<bool(const TuneProgress& progress)>& callback = {});
  // The engine's own tuning store as text: what EngineOptions::tuning brought, and what was tuned
  // since.
  std::string tuning() const;

  // Writes every launch since the engine was made as Chrome trace JSON (chrome://tracing,
  // Perfetto): queued, submitted, started and ended, with bytes and FLOPs. Waits for launches still
  // running. Needs EngineOptions::trace and queues made with CL_QUEUE_PROFILING_ENABLE; launches on
  // other queues are left out and said so once in the log. Throws Error if the file can't be
  // written.
  void write_trace(const std::string& path) const;

  struct State;

 private:
  friend class BlockBuilder;
  friend class TokenPermutation;
  friend struct EngineAccess;  // of the tests: engines whose device has made-up facts
  std::shared_ptr<State> state_;
};

// Names of the kernel families, in order of preference.
CLATTN_API std::vector<std::string> family_names();
// Why a family is out on a device; empty if it is in. Pure.
CLATTN_API std::string family_rejection(const std::string& family, const DeviceFacts& facts);

}  // namespace clattn
