#include "host/planning/permute.hpp"

#include <algorithm>

#include "host/planning/plan_state.hpp"
#include "runtime/status.hpp"

namespace clattn {
namespace {

// Arguments of the kernel, in order.
enum Argument : cl_uint {
  kSourceView,
  kTargetView,
  kSource,
  kTarget,
  kPlaces,
  kCount,
  kLength,
  kHeads,
  kSlices,
  kRounds,
};

// Heads whose rows follow one another in both tensors move as one row.
void join_heads(TensorShape& source, TensorShape& target) {
  constexpr std::int64_t kLongestRow = 1 << 16;  // elements
  const std::int64_t row = source.heads * source.dim;
  if (source.heads == 1 || row > kLongestRow || source.strides.head != source.dim ||
      target.strides.head != target.dim) {
    return;
  }
  for (TensorShape* shape : {&source, &target}) {
    shape->heads = 1;
    shape->dim = row;
  }
}

clattn_view view_of(const TensorShape& shape) {
  return {0, shape.strides.batch, shape.strides.head, shape.strides.token};
}

}  // namespace

std::vector<std::int32_t> token_places(const TokenOrder& order, PermutationDirection direction) {
  std::vector<std::int32_t> tokens = tokens_in_order(order);
  if (direction == PermutationDirection::out_of_order) return tokens;
  std::vector<std::int32_t> positions(tokens.size());
  std::int32_t position = 0;
  for (std::int32_t token : tokens) positions[static_cast<std::size_t>(token)] = position++;
  return positions;
}

PermuteKernel::PermuteKernel(Engine::State& engine, cl_mem places, std::int64_t count,
                             std::size_t element_size, const TensorShape& whole_source,
                             const TensorShape& whole_target)
    : engine_(engine), bytes_(2.0 * double(whole_source.elements()) * double(element_size)) {
  if (whole_source.elements() == 0) return;
  TensorShape source = whole_source, target = whole_target;
  join_heads(source, target);
  source_ = view_of(source);
  target_ = view_of(target);

  // A work-item of a CPU moves whole rows by wide vectors, and many of them, for it costs as much
  // as some kilobytes; on other devices neighbouring work-items move neighbouring 16 bytes.
  const DeviceFacts& facts = engine.device.facts;
  const bool cpu = facts.kind == DeviceKind::cpu;
  const auto size = static_cast<std::int64_t>(element_size);
  const std::int64_t row = source.dim * size;  // bytes
  const std::int64_t unit = std::min<std::int64_t>(cpu ? 64 : 16, row & -row);
  const std::int64_t lanes = cpu ? 1 : std::min<std::int64_t>(128, facts.max_work_group_size);
  const std::int64_t unit_lanes = std::min(lanes, row / unit);
  const std::int64_t token_lanes = lanes / unit_lanes;
  const std::int64_t slices = source.batch * source.heads;
  constexpr std::int64_t kRun = 1 << 16;  // bytes that a CPU's work-item should move
  constexpr std::int64_t kRuns = 4;       // that each of its compute units should have
  std::int64_t rounds = 4;
  if (cpu) {
    rounds = std::clamp<std::int64_t>(slices * source.length / (kRuns * facts.compute_units), 1,
                                      std::max<std::int64_t>(kRun / row, 1));
  }
  // Smaller targets should stay in the caches until they are read again.
  constexpr double kStreamed = 1 << 24;  // bytes
  const bool stream = cpu && bytes_ / 2 >= kStreamed;

  const Program program =
      engine.programs.get({"permute",
                           {kernel_file("common/arguments.h"), kernel_file("common/permute.cl")},
                           {{"ELEMENT", size},
                            {"ROW", source.dim},
                            {"UNIT", unit},
                            {"UNIT_LANES", unit_lanes},
                            {"TOKEN_LANES", token_lanes},
                            {"STREAM", stream}}});
  kernel_ = make_kernel(program, "permute");
  set_memory(kernel_, kPlaces, places);
  const auto set_number = [&](cl_uint index, std::int64_t value) {
    const auto number = static_cast<clattn_int32>(value);
    set_argument(kernel_, index, sizeof number, &number);
  };
  set_number(kCount, count);
  set_number(kLength, source.length);
  set_number(kHeads, source.heads);
  set_number(kSlices, slices);
  set_number(kRounds, rounds);

  const std::int64_t tokens = token_lanes * rounds;  // of a work-group
  constexpr std::int64_t kMostSlices = 1 << 15;      // beside one another
  local_[0] = static_cast<std::size_t>(unit_lanes);
  local_[1] = static_cast<std::size_t>(token_lanes);
  global_[0] = local_[0];
  global_[1] = static_cast<std::size_t>((source.length + tokens - 1) / tokens) * local_[1];
  global_[2] = static_cast<std::size_t>(std::min(slices, kMostSlices));
}

Event PermuteKernel::enqueue(cl_command_queue queue, const TensorView& source,
                             const TensorView& target, std::span<const cl_event> wait_list) const {
  const auto waits = static_cast<cl_uint>(wait_list.size());
  const cl_event* const waits_or_null = wait_list.empty() ? nullptr : wait_list.data();
  cl_event raw = nullptr;
  if (!kernel_) {
    check(clEnqueueMarkerWithWaitList(queue, waits, waits_or_null, &raw),
          "clEnqueueMarkerWithWaitList");
    return Event::adopt(raw);
  }
  clattn_view source_view = source_, target_view = target_;
  source_view.offset = source.offset;
  target_view.offset = target.offset;
  const std::lock_guard lock(launch_mutex_);
  set_argument(kernel_, kSourceView, sizeof source_view, &source_view);
  set_argument(kernel_, kTargetView, sizeof target_view, &target_view);
  set_memory(kernel_, kSource, source.buffer);
  set_memory(kernel_, kTarget, target.buffer);
  check(clEnqueueNDRangeKernel(queue, kernel_.get(), 3, nullptr, global_, local_, waits,
                               waits_or_null, &raw),
        "clEnqueueNDRangeKernel");
  auto event = Event::adopt(raw);
  if (engine_.trace) engine_.trace->record(queue, event, {"permute", "", 0, bytes_});
  return event;
}

}  // namespace clattn
