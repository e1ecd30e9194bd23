// One tensor's way into an order of tiles or out of it: what TokenPermutation launches, and plans
// that permute their tensors. Tokens behind those of the order stay in place. Elements are moved as
// bits, so that NaNs keep their payload and a data type is but its size.
#pragma once

#include <clattn/neighborhood.hpp>
#include <clattn/permutation.hpp>
#include <memory>
#include <mutex>
#include <vector>

#include "host/planning/launch.hpp"
#include "kernels_cl/common/arguments.h"

namespace clattn {

// Where each token of a source goes in the target: the table of a PermuteKernel.
std::vector<std::int32_t> token_places(const TokenOrder& order, PermutationDirection direction);

// Neither copied nor moved, for its lock; enqueue is thread-safe.
class PermuteKernel {
 public:
  // `places` holds token_places in device memory that the caller keeps, as it keeps the engine;
  // `count` of them, at most the length. Shapes are of the same sizes and were checked;
  // element_size is 2 or 4. Throws Error.
  PermuteKernel(Engine::State& engine, cl_mem places, std::int64_t count, std::size_t element_size,
                const TensorShape& source, const TensorShape& target);

  // Only launches: views were checked. Buffers may be null where the tensor has no elements.
  Event enqueue(cl_command_queue queue, const TensorView& source, const TensorView& target,
                std::span<const cl_event> wait_list) const;

 private:
  const Engine::State& engine_;
  const double bytes_;                     // read and written
  clattn_view source_ = {}, target_ = {};  // all but the offsets
  Kernel kernel_;                          // absent where there is nothing to move
  std::size_t global_[3] = {0, 0, 0};
  std::size_t local_[3] = {1, 1, 1};
  mutable std::mutex launch_mutex_;  // of the kernel's arguments
};

}  // namespace clattn
