// Orders of tokens, and their permutations on a device.
#include <algorithm>
#include <clattn/permutation.hpp>

#include "host/c_api/convert.hpp"

namespace clattn::c_api {
namespace {

static_assert(same(PermutationDirection::into_order, CLATTN_PERMUTATION_DIRECTION_INTO_ORDER) &&
              same(PermutationDirection::out_of_order, CLATTN_PERMUTATION_DIRECTION_OUT_OF_ORDER));

TensorShape read_shape(const clattn_tensor_shape& shape) {
  const clattn_strides& strides = shape.strides;
  return {shape.batch,
          shape.heads,
          shape.length,
          shape.dim,
          {strides.batch, strides.head, strides.token}};
}

}  // namespace

TokenOrder read_token_order(const clattn_token_order& source) {
  constexpr std::int64_t kMaxRank = sizeof source.grid / sizeof source.grid[0];
  if (source.rank < 1 || source.rank > kMaxRank) {
    invalid("the token order's rank is {}, but must be 1 to {}", source.rank, kMaxRank);
  }
  const auto read = [&](const std::int64_t* sizes) {
    return std::vector<std::int64_t>(sizes, sizes + source.rank);
  };
  TokenOrder order{read(source.grid), read(source.tile), read(source.dilation)};
  std::replace(order.dilation.begin(), order.dilation.end(), std::int64_t{0}, std::int64_t{1});
  return order;
}

clattn_token_order write_token_order(const TokenOrder& source) {
  const TokenOrder order = checked(source);
  clattn_token_order result{};
  result.rank = static_cast<std::int64_t>(order.grid.size());
  std::copy(order.grid.begin(), order.grid.end(), result.grid);
  std::copy(order.tile.begin(), order.tile.end(), result.tile);
  std::copy(order.dilation.begin(), order.dilation.end(), result.dilation);
  return result;
}

}  // namespace clattn::c_api

using namespace clattn::c_api;
using clattn::invalid;

clattn_status clattn_token_order_get_tokens(clattn_token_order order, int32_t* tokens,
                                            size_t count) {
  return guarded([&] {
    require(tokens, "tokens");
    const std::vector<std::int32_t> made = clattn::tokens_in_order(read_token_order(order));
    if (count < made.size()) {
      invalid("there is room for {} tokens, but the order has {}", count, made.size());
    }
    std::copy(made.begin(), made.end(), tokens);
  });
}

clattn_status clattn_token_permutation_create(const clattn_engine* engine, clattn_token_order order,
                                              int32_t direction, int32_t data_type,
                                              const clattn_tensor_shape* source,
                                              const clattn_tensor_shape* target,
                                              clattn_token_permutation** permutation) {
  return create(permutation, "permutation", [&] {
    require(engine, "engine");
    require(source, "source");
    require(target, "target");
    using clattn::PermutationDirection;
    return clattn::TokenPermutation(
        engine->object, read_token_order(order),
        to_enum(direction, PermutationDirection::out_of_order, "direction"),
        read_data_type(data_type), read_shape(*source), read_shape(*target));
  });
}

clattn_status clattn_token_permutation_retain(clattn_token_permutation* permutation) {
  return retain(permutation, "permutation");
}

void clattn_token_permutation_release(clattn_token_permutation* permutation) {
  release(permutation);
}

clattn_status clattn_token_permutation_enqueue(const clattn_token_permutation* permutation,
                                               cl_command_queue queue, clattn_tensor source,
                                               clattn_tensor target, cl_uint num_wait,
                                               const cl_event* wait_list, cl_event* event) {
  return guarded([&] {
    require(permutation, "permutation");
    require(queue, "queue");
    clattn::Event last = permutation->object.enqueue(queue, {source.buffer, source.offset},
                                                     {target.buffer, target.offset},
                                                     read_wait_list(num_wait, wait_list));
    if (event) *event = last.release();
  });
}
