#include <clattn/permutation.hpp>

#include "host/invalid.hpp"
#include "host/planning/permute.hpp"
#include "host/planning/plan_state.hpp"
#include "host/tensor_check.hpp"

namespace clattn {
namespace {

void check_shapes(const TokenOrder& order, const TensorShape& source, const TensorShape& target) {
  constexpr std::int64_t kMaxCount = std::int64_t{1} << 20;
  check_count("source batch", source.batch, 0, kMaxCount);
  check_count("source heads", source.heads, 0, kMaxCount);
  check_count("source batch * heads", source.batch * source.heads, 0, (std::int64_t{1} << 31) - 1);
  check_count("source dim", source.dim, 1, kMaxCount);
  check_count("source length", source.length, order.tokens(), Problem::kMaxLength);
  constexpr std::pair<const char*, std::int64_t TensorShape::*> kSizes[] = {
      {"batch", &TensorShape::batch},
      {"heads", &TensorShape::heads},
      {"length", &TensorShape::length},
      {"dim", &TensorShape::dim}};
  for (const auto& [name, size] : kSizes) {
    if (source.*size != target.*size) {
      invalid("source {0} is {1}, but target {0} is {2}", name, source.*size, target.*size);
    }
  }
  check_strides("source", source, false);
  check_strides("target", target, true);
}

}  // namespace

struct TokenPermutation::State {
  State(std::shared_ptr<Engine::State> engine_state, const TokenOrder& order,
        PermutationDirection direction, DataType type, const TensorShape& source,
        const TensorShape& target)
      : engine(std::move(engine_state)),
        element_size(size_of(type)),
        source_span(source.span()),
        target_span(target.span()),
        places(DeviceMemory(engine->context.get()).upload(token_places(order, direction))),
        kernel(*engine, places.get(), order.tokens(), element_size, source, target) {}

  const std::shared_ptr<Engine::State> engine;
  const std::size_t element_size;
  const std::int64_t source_span, target_span;
  const Memory places;
  const PermuteKernel kernel;
};

TokenPermutation::TokenPermutation(const Engine& engine, const TokenOrder& order,
                                   PermutationDirection direction, DataType type,
                                   const TensorShape& source, const TensorShape& target) {
  if (direction != PermutationDirection::into_order &&
      direction != PermutationDirection::out_of_order) {
    invalid("direction {} is unknown; known are into_order (0) and out_of_order (1)",
            static_cast<int>(direction));
  }
  check_data_type(type);
  check_shapes(checked(order), source, target);
  state_ = std::make_shared<const State>(engine.state_, order, direction, type, source, target);
}

Event TokenPermutation::enqueue(cl_command_queue queue, const TensorView& source,
                                const TensorView& target,
                                std::span<const cl_event> wait_list) const {
  const cl_context context = state_->engine->context.get();
  check_queue(*state_->engine, queue);
  check_view(context, "source", source, state_->source_span, state_->element_size);
  check_view(context, "target", target, state_->target_span, state_->element_size);
  return state_->kernel.enqueue(queue, source, target, wait_list);
}

}  // namespace clattn
