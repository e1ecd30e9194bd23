// Takes tensors from the order of their tokens to an order of tiles and back, on the device: once
// at the entrance of a network and once at its exit, if all that lies between works in tile order
// (Problem::token_order). Tokens behind those of the grid stay in place.
#pragma once

#include <clattn/engine.hpp>
#include <clattn/neighborhood.hpp>
#include <memory>

namespace clattn {

enum class PermutationDirection {
  into_order,  // target[position] = source[token at position]
  out_of_order,
};

// One tensor's permutation on one device: a handle to an immutable plan, copies share it. Strides
// of source and target may differ; a broadcasting stride of 0 is legal in the source only.
class CLATTN_API TokenPermutation {
 public:
  // Both shapes are of the same sizes; lengths are at least the order's tokens. Elements are moved,
  // never changed; LSE is a tensor of f32 with dim 1. Throws Error: invalid_argument with the value
  // and the limit, build_failure, out_of_memory.
  TokenPermutation(const Engine& engine, const TokenOrder& order, PermutationDirection direction,
                   DataType type, const TensorShape& source, const TensorShape& target);

  // Launches after `wait_list` and returns the event; as Plan::enqueue in what it demands of queue
  // and buffers. Source and target must not overlap.
  Event enqueue(cl_command_queue queue, const TensorView& source, const TensorView& target,
                std::span<const cl_event> wait_list = {}) const;

  struct State;

 private:
  std::shared_ptr<const State> state_;
};

}  // namespace clattn
