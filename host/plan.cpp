// Launching a plan, and what it says of itself.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "host/invalid.hpp"
#include "host/planning/plan_state.hpp"
#include "runtime/status.hpp"

namespace clattn {
namespace {

// Of all batches and heads; nothing where that would take long.
std::optional<double> count_pairs(const Problem& problem) {
  constexpr std::int64_t kBudget = std::int64_t{1} << 24;  // single pairs
  if (problem.blocks) return std::nullopt;
  const Variation variation = problem.mask->variation();
  const std::int64_t batches = variation.batch ? problem.batch : 1;
  const std::int64_t heads = variation.head ? problem.heads : 1;
  double pairs = 0;
  for (std::int64_t slice = 0; slice < batches * heads; ++slice) {
    const auto counted = count_visible_pairs(*problem.mask, {slice / heads, slice % heads},
                                             problem.extent(), kBudget / (batches * heads));
    if (!counted) return std::nullopt;
    pairs += double(*counted);
  }
  return pairs * double(problem.batch * problem.heads) / double(batches * heads);
}

PlanReport report_of(const Plan::State& plan) {
  // Counted on demand: for a long sequence it takes longer than planning.
  std::call_once(plan.visible_pairs_once, [&] { plan.visible_pairs = count_pairs(plan.problem); });
  PlanReport report = plan.report;
  report.pairs_counted = plan.visible_pairs.has_value();
  report.visible_pairs = plan.visible_pairs.value_or(plan.pairs_visited);
  report.flops =
      2.0 * double(plan.problem.head_dim + plan.problem.value_dim) * report.visible_pairs;
  return report;
}

// Launches the attention and, where rows are split, the merge. Tensors were checked.
Event launch(const Plan::State& plan, cl_command_queue queue, const Tensors& tensors,
             std::span<const cl_mem> hooks, std::span<const cl_event> waits) {
  const Problem& problem = plan.problem;
  clattn_arguments arguments = plan.arguments;
  arguments.query.offset = tensors.query.offset;
  arguments.key.offset = tensors.key.offset;
  arguments.value.offset = tensors.value.offset;
  arguments.output.offset = tensors.output.offset;
  arguments.lse_offset = tensors.lse.offset;
  const cl_mem lse = problem.lse ? tensors.lse.buffer : nullptr;
  Trace* const trace = plan.engine->trace.get();
  Launch entry;
  if (trace) {
    const PlanReport report = report_of(plan);
    entry = {"attention", report.family + " " + report.config, report.flops, report.bytes};
  }
  set_argument(plan.attention, kArguments, sizeof arguments, &arguments);
  set_memory(plan.attention, kQuery, tensors.query.buffer);
  set_memory(plan.attention, kKey, tensors.key.buffer);
  set_memory(plan.attention, kValue, tensors.value.buffer);
  set_memory(plan.attention, kOutput, tensors.output.buffer);
  set_memory(plan.attention, kLse, lse);
  if (problem.blocks) {
    const BlockListBuffers& lists = tensors.blocks;
    const cl_mem memories[] = {lists.partial_count, lists.partial_index, lists.full_count,
                               lists.full_index,    lists.key_lengths,   lists.row_order};
    set_memories(plan.attention, plan.attention_walk, memories);
  }
  set_memories(plan.attention, plan.attention_hooks, hooks);
  cl_event raw = nullptr;
  check(clEnqueueNDRangeKernel(queue, plan.attention.get(), 2, nullptr, plan.global, plan.local,
                               static_cast<cl_uint>(waits.size()),
                               waits.empty() ? nullptr : waits.data(), &raw),
        "clEnqueueNDRangeKernel");
  auto event = Event::adopt(raw);
  if (trace) trace->record(queue, event, std::move(entry));
  if (!plan.merge) return event;

  set_argument(plan.merge, kMergeArguments, sizeof arguments, &arguments);
  set_memory(plan.merge, kMergeOutput, tensors.output.buffer);
  set_memory(plan.merge, kMergeLse, lse);
  set_memories(plan.merge, kMergeHooks, hooks);
  const cl_event parts_done = event.get();
  check(clEnqueueNDRangeKernel(queue, plan.merge.get(), 3, nullptr, plan.merge_global, nullptr, 1,
                               &parts_done, &raw),
        "clEnqueueNDRangeKernel");
  auto merged = Event::adopt(raw);
  if (trace) trace->record(queue, merged, {"merge", plan.report.family, 0, 0});
  return merged;
}

}  // namespace

Event Plan::enqueue(cl_command_queue queue, const Tensors& tensors,
                    std::span<const cl_event> wait_list) const {
  const State& plan = *state_;
  const Problem& problem = plan.problem;
  const cl_context context = plan.engine->context.get();
  check_queue(*plan.engine, queue);
  const std::array<std::pair<Role, const TensorView*>, 4> views = {
      {{Role::query, &tensors.query},
       {Role::key, &tensors.key},
       {Role::value, &tensors.value},
       {Role::output, &tensors.output}}};
  for (const auto& [role, view] : views) {
    check_view(context, to_string(role), *view, tensor_shape(problem, role).span(),
               size_of(problem.data_type));
  }
  if (problem.lse) {
    check_view(context, "lse", tensors.lse, problem.batch * problem.heads * problem.query_len,
               sizeof(float));
  }
  if (problem.blocks) check_block_list_buffers(context, problem, tensors.blocks);
  const std::vector<cl_mem> hooks = plan.hooks.arguments(context, tensors.buffers);

  std::vector<cl_event> waits(wait_list.begin(), wait_list.end());
  if (!plan.attention) {
    cl_event raw = nullptr;
    check(clEnqueueMarkerWithWaitList(queue, static_cast<cl_uint>(waits.size()),
                                      waits.empty() ? nullptr : waits.data(), &raw),
          "clEnqueueMarkerWithWaitList");
    return Event::adopt(raw);
  }
  const std::lock_guard lock(plan.launch_mutex);
  if (plan.last_launch) waits.push_back(plan.last_launch.get());
  if (!plan.permuted) {
    const Event done = launch(plan, queue, tensors, hooks, waits);
    if (plan.has_workspace) plan.last_launch = done;
    return done;
  }
  const std::vector<Event> ready = plan.permuted->permute_inputs(queue, tensors, waits);
  for (const Event& event : ready) waits.push_back(event.get());
  const Event done = launch(plan, queue, plan.permuted->inner(tensors), hooks, waits);
  plan.last_launch = plan.permuted->permute_results(queue, tensors, done);
  return plan.last_launch;
}

const Problem& Plan::problem() const { return state_->problem; }

PlanReport Plan::report() const { return report_of(*state_); }

std::string Plan::explain(const std::optional<DeviceRates>& rates) const {
  return clattn::explain(state_->problem, state_->engine->device, report(), rates);
}

}  // namespace clattn
