// From a decision to a plan: builds the programs, makes the schedule, lays out what a plan holds in
// device memory, and sets the kernels' fixed arguments.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "host/invalid.hpp"
#include "host/planning/attention_program.hpp"
#include "host/planning/kernel_arguments.hpp"
#include "host/planning/plan_state.hpp"
#include "runtime/status.hpp"

namespace clattn {
namespace {

std::int64_t work_group_limit(const Kernel& kernel, cl_device_id device) {
  std::size_t limit = 0;
  check(clGetKernelWorkGroupInfo(kernel.get(), device, CL_KERNEL_WORK_GROUP_SIZE, sizeof limit,
                                 &limit, nullptr),
        "clGetKernelWorkGroupInfo");
  return static_cast<std::int64_t>(limit);
}

// Fills a plan step by step.
class PlanMaker {
 public:
  PlanMaker(Plan::State& plan, const Decision& decision, const Program& program)
      : plan_(plan),
        problem_(plan.problem),
        decision_(decision),
        choice_(decision.choice),
        program_(program) {}

  void report() {
    PlanReport& report = plan_.report;
    report.family = decision_.family->name();
    report.config = choice_.id;
    report.parameters = choice_.config;
    report.config_source = decision_.config_source;
    report.why = choice_.why;
    report.rejected = decision_.rejected;
    report.query_tile = choice_.tile.queries;
    report.key_tile = choice_.tile.keys;
    report.work_group_size = choice_.work_group_size;
    report.local_memory_bytes = choice_.local_memory_bytes;
    report.tilings = choice_.tilings;
    report.dense_efficiency = choice_.dense_efficiency;
    for (Role role : {Role::query, Role::key, Role::value, Role::output}) {
      report.bytes += double(tensor_shape(problem_, role).elements()) * size_of(problem_.data_type);
    }
    if (problem_.lse) {
      report.bytes += 4 * double(problem_.batch * problem_.heads * problem_.query_len);
    }
  }

  // Copies in the order of tiles, where the planner chose so, and the arguments.
  void arrange_tensors() {
    const bool permuted = !choice_.tilings.empty() && !problem_.token_order &&
                          choice_.tilings.front().tokens == TokenAccess::permuted;
    if (permuted) {
      plan_.permuted.emplace(*plan_.engine, problem_, *decision_.grid, choice_.tilings.front(),
                             memory_);
    }
    plan_.arguments =
        make_arguments(permuted ? plan_.permuted->problem() : problem_, decision_.hooks);
  }

  // Rows and spans that the host makes.
  void compute_schedule() {
    const std::int64_t workers = plan_.engine->device.facts.compute_units;
    const Schedule schedule = schedule_of(problem_, decision_, workers);
    PlanReport& report = plan_.report;
    report.tiles_total = schedule.tiles_total;
    report.tiles_visited = schedule.tiles_visited;
    report.tiles_masked = schedule.tiles_masked;
    report.balance = schedule.balance;
    plan_.pairs_visited = schedule.pairs_visited * double(choice_.pack);
    set_schedule(schedule, plan_.arguments);
    const auto groups =
        choice_.dealing == Dealing::binned ? schedule.bins.size() - 1 : schedule.rows.size();
    launch(static_cast<std::int64_t>(groups), schedule.repeats);
    if (!plan_.attention) return;
    keep(plan_.attention, plan_.attention_walk, memory_.upload(schedule.rows));
    keep(plan_.attention, plan_.attention_walk + 1, memory_.upload(schedule.spans));
    keep(plan_.attention, plan_.attention_walk + 2, memory_.upload(schedule.bins));
    const Memory query_entries = memory_.upload(schedule.query_entries);
    keep(plan_.attention, plan_.attention_walk + 3, query_entries);
    keep(plan_.attention, plan_.attention_walk + 4, memory_.upload(schedule.key_entries));
    split(schedule.merges, schedule.repeats, query_entries);
    set_hooks(plan_.attention_walk + 5);
  }

  // Rows of blocks, whose lists come at launch.
  void list_schedule() {
    const BlockShape& shape = *problem_.blocks;
    const Extent extent = problem_.extent();
    const std::int64_t tile = choice_.tile.queries;
    const std::int64_t tiles = (shape.query_block + tile - 1) / tile;
    const std::int64_t rows = shape.batch * shape.heads * shape.query_blocks(extent);
    const std::int64_t slices = shape.batch * shape.heads;
    const std::int64_t repeats = slices ? problem_.batch * problem_.heads / slices : 0;
    // How long the lists are is known at launch only: where there are too few rows for the device,
    // each is split into as many parts.
    constexpr std::int64_t kMostParts = 16;
    const std::int64_t groups = std::max<std::int64_t>(rows * tiles * repeats, 1);
    const std::int64_t parts = std::clamp<std::int64_t>(
        plan_.engine->device.facts.compute_units / groups, 1,
        std::min(kMostParts, std::max<std::int64_t>(shape.row_capacity(extent), 1)));
    PlanReport& report = plan_.report;
    report.tiles_total = double(rows * tiles * repeats) *
                         double((problem_.key_len + choice_.tile.keys - 1) / choice_.tile.keys);
    report.tiles_visited = report.tiles_masked = report.tiles_total;
    plan_.pairs_visited = double(problem_.batch * problem_.heads) * double(problem_.query_len) *
                          double(problem_.key_len);
    const std::vector<clattn_merge> merges =
        set_listed_schedule(problem_, tile, parts, plan_.arguments);
    constexpr std::int64_t kMostGroups = 8;  // a compute unit, where each takes several rows
    launch(
        choice_.dealing == Dealing::binned
            ? std::min(kMostGroups * plan_.engine->device.facts.compute_units, rows * tiles * parts)
            : rows * tiles * parts,
        repeats);
    if (!plan_.attention) return;
    split(merges, repeats, Memory());
    set_hooks(plan_.attention_walk + sizeof(BlockListBuffers) / sizeof(cl_mem));
  }

 private:
  // How many work-groups there are, and their scratch memory.
  void launch(std::int64_t groups, std::int64_t repeats) {
    if (choice_.dealing == Dealing::taken) {
      groups = std::min(groups * repeats, plan_.engine->device.facts.compute_units);
      repeats = 1;
    }
    plan_.report.work_groups = groups * repeats;
    plan_.local[0] = static_cast<std::size_t>(choice_.work_group_size);
    plan_.global[0] = static_cast<std::size_t>(groups) * plan_.local[0];
    plan_.global[1] = static_cast<std::size_t>(repeats);
    plan_.attention_walk = kWalk;
    if (choice_.scratch_bytes == 0 || !plan_.attention) return;
    const std::vector<std::byte> zeros(
        static_cast<std::size_t>(choice_.scratch_bytes * plan_.report.work_groups));
    keep(plan_.attention, plan_.attention_walk++, memory_.upload(zeros));
    plan_.has_workspace = true;
  }

  // The workspace of split rows and the kernel that merges them.
  void split(const std::vector<clattn_merge>& merges, std::int64_t repeats,
             const Memory& query_entries) {
    if (merges.empty()) {
      set_memory(plan_.attention, kPartOutputs, nullptr);
      set_memory(plan_.attention, kPartLse, nullptr);
      return;
    }
    plan_.has_workspace = true;
    plan_.report.split_rows = static_cast<std::int64_t>(merges.size()) * repeats;
    const std::int64_t parts = plan_.arguments.parts * repeats;
    plan_.report.parts = parts;
    plan_.merge = make_kernel(program_, "merge_parts");
    const std::int64_t rows = parts * choice_.tile.queries * choice_.pack;
    const Memory outputs = memory_.allocate(4 * rows * problem_.value_dim);
    const Memory lse = memory_.allocate(4 * rows);
    keep(plan_.attention, kPartOutputs, outputs);
    keep(plan_.attention, kPartLse, lse);
    keep(plan_.merge, kMerges, memory_.upload(merges));
    const auto count = static_cast<clattn_int32>(merges.size());
    set_argument(plan_.merge, kMergeCount, sizeof count, &count);
    set_memory(plan_.merge, kMergePartOutputs, outputs.get());
    set_memory(plan_.merge, kMergePartLse, lse.get());
    set_memory(plan_.merge, kMergeQueryEntries, query_entries.get());
    plan_.merge_global[0] = static_cast<std::size_t>(problem_.value_dim / 8);
    plan_.merge_global[1] = static_cast<std::size_t>(choice_.tile.queries * choice_.pack);
    plan_.merge_global[2] = merges.size() * static_cast<std::size_t>(repeats);
  }

  // Tables and buffers, the last arguments of both kernels.
  void set_hooks(cl_uint attention_index) {
    plan_.attention_hooks = attention_index;
    plan_.hooks = HookMemory(decision_.hooks, memory_);
    plan_.report.device_memory_bytes = memory_.bytes();
  }

  // Sets an argument that stays as it is.
  void keep(const Kernel& kernel, cl_uint index, Memory memory) {
    set_memory(kernel, index, memory.get());
    plan_.memory.push_back(std::move(memory));
  }

  Plan::State& plan_;
  const Problem& problem_;
  const Decision& decision_;
  const KernelChoice& choice_;
  const Program& program_;
  DeviceMemory memory_{plan_.engine->context.get()};
};

}  // namespace

Plan Engine::plan(const Problem& problem, const PlanOptions& options) const {
  auto plan = std::make_shared<Plan::State>();
  plan->engine = state_;
  plan->problem = problem;

  const TuningLookup tuned = state_->tuning.lookup();
  DeviceFacts facts = state_->device.facts;
  Decision decision;
  Program program;
  for (;;) {
    decision = decide(problem, facts, options, tuned);
    require_family(decision, facts);
    if (problem.batch * problem.query_len == 0) break;  // nothing to write, nothing to build
    try {
      program = state_->programs.get(attention_program(problem, decision));
      plan->attention = make_kernel(program, "attention");
    } catch (const Error& error) {
      if (error.category() != ErrorCategory::build_failure || decision.hooks.notes.empty()) throw;
      throw Error(ErrorCategory::build_failure,
                  fmt::format("the problem's expressions may not be OpenCL C:\n  {}\n{}",
                              fmt::join(decision.hooks.notes, "\n  "), error.what()));
    }
    // Registers can make a kernel's limit smaller than the device's: then choose again below it.
    const std::int64_t limit = work_group_limit(plan->attention, state_->device.id);
    if (decision.choice.counts_registers || decision.choice.work_group_size <= limit) break;
    facts.max_work_group_size = limit;
  }

  PlanMaker maker(*plan, decision, program);
  maker.report();
  maker.arrange_tensors();
  if (problem.blocks) {
    maker.list_schedule();
  } else {
    maker.compute_schedule();
  }
  if (options.config.empty()) state_->problems.add(problem, facts.name, plan->report);
  return Plan(std::move(plan));
}

}  // namespace clattn
