#include <fmt/format.h>
#include <fmt/ranges.h>

#include <clattn/problem.hpp>
#include <cmath>
#include <tuple>
#include <vector>

#include "host/invalid.hpp"
#include "host/tensor_check.hpp"

namespace clattn {
namespace {

void check_dim(const char* name, std::int64_t value) {
  check_count(name, value, 8, Problem::kMaxDim);
  if (value % 8 != 0) invalid("{} is {}, but must be a multiple of 8", name, value);
}

void check_blocks(const Problem& problem) {
  const BlockShape& shape = *problem.blocks;
  check_count("blocks q_block", shape.query_block, 1, Problem::kMaxLength);
  check_count("blocks k_block", shape.key_block, 1, Problem::kMaxLength);
  check_count("blocks capacity", shape.capacity, 0, shape.key_blocks(problem.extent()));
  if (shape.batch != 1 && shape.batch != problem.batch) {
    invalid("blocks batch is {}, but must be 1 or the problem's, {}", shape.batch, problem.batch);
  }
  if (shape.heads != 1 && shape.heads != problem.heads) {
    invalid("blocks heads is {}, but must be 1 or the problem's, {}", shape.heads, problem.heads);
  }
}

// Tiles of the order must be boxes of every mask's grid: one order serves all slices.
void check_token_order(const Problem& problem) {
  if (problem.blocks) {
    invalid("block lists count consecutive tokens: they cannot come with a token order");
  }
  const TokenOrder order = checked(*problem.token_order);
  if (order.tokens() != problem.query_len) {
    invalid("the token order's grid {} has {} tokens, but q_len is {}", fmt::join(order.grid, "x"),
            order.tokens(), problem.query_len);
  }
  if (order.tokens() > problem.key_len) {
    invalid("the token order's grid {} has {} tokens, but kv_len is {}", fmt::join(order.grid, "x"),
            order.tokens(), problem.key_len);
  }
  const Variation variation = problem.mask->variation();
  const std::int64_t batches = variation.batch ? problem.batch : 1;
  const std::int64_t heads = variation.head ? problem.heads : 1;
  for (std::int64_t slice = 0; slice < batches * heads; ++slice) {
    const Slice at{slice / heads, slice % heads};
    const Neighborhood* const neighborhood = problem.mask->neighborhood(at).neighborhood;
    if (!neighborhood) {
      invalid(
          "the mask of batch {}, head {} lies within no neighborhood, which a token order needs",
          at.batch, at.head);
    }
    const std::tuple<const char*, const std::vector<std::int64_t>&,
                     const std::vector<std::int64_t>&>
        sizes[] = {{"grid", order.grid, neighborhood->grid},
                   {"dilation", order.dilation, neighborhood->dilation}};
    for (const auto& [name, ours, theirs] : sizes) {
      if (ours == theirs) continue;
      invalid("the token order's {} is {}, but that of the mask of batch {}, head {} is {}", name,
              fmt::join(ours, "x"), at.batch, at.head, fmt::join(theirs, "x"));
    }
  }
}

}  // namespace

const char* to_string(DataType type) {
  switch (type) {
    case DataType::f32:
      return "f32";
    case DataType::f16:
      return "f16";
    case DataType::bf16:
      return "bf16";
  }
  return "unknown";
}

std::size_t size_of(DataType type) { return type == DataType::f32 ? 4 : 2; }

const char* to_string(Role role) {
  switch (role) {
    case Role::query:
      return "query";
    case Role::key:
      return "key";
    case Role::value:
      return "value";
    case Role::output:
      return "output";
  }
  return "unknown";
}

Strides contiguous_strides(Layout layout, std::int64_t heads, std::int64_t length,
                           std::int64_t dim) {
  if (layout == Layout::blhd) return {length * heads * dim, dim, heads * dim};
  return {heads * length * dim, length * dim, dim};
}

float Problem::effective_scale() const {
  return scale ? *scale : 1.0f / std::sqrt(static_cast<float>(head_dim));
}

std::int64_t TensorShape::span() const {
  if (elements() == 0) return 0;
  return (batch - 1) * strides.batch + (heads - 1) * strides.head + (length - 1) * strides.token +
         dim;
}

TensorShape tensor_shape(const Problem& problem, Role role) {
  const bool of_query = role == Role::query || role == Role::output;
  TensorShape shape;
  shape.batch = problem.batch;
  shape.heads = of_query ? problem.heads : problem.kv_heads;
  shape.length = of_query ? problem.query_len : problem.key_len;
  shape.dim = role == Role::query || role == Role::key ? problem.head_dim : problem.value_dim;
  const std::optional<Strides>& given = role == Role::query   ? problem.query_strides
                                        : role == Role::key   ? problem.key_strides
                                        : role == Role::value ? problem.value_strides
                                                              : problem.output_strides;
  shape.strides =
      given ? *given : contiguous_strides(problem.layout, shape.heads, shape.length, shape.dim);
  return shape;
}

void validate(const Problem& problem) {
  constexpr std::int64_t kMaxCount = std::int64_t{1} << 20;
  check_data_type(problem.data_type);
  if (!problem.mask) invalid("the mask is null; dense_mask() is the mask that hides nothing");
  check_count("batch", problem.batch, 0, kMaxCount);
  check_count("heads", problem.heads, 1, kMaxCount);
  check_count("kv_heads", problem.kv_heads, 1, kMaxCount);
  if (problem.heads % problem.kv_heads != 0) {
    invalid("kv_heads {} does not divide heads {}", problem.kv_heads, problem.heads);
  }
  check_count("batch * heads", problem.batch * problem.heads, 0, (std::int64_t{1} << 31) - 1);
  check_count("q_len", problem.query_len, 0, Problem::kMaxLength);
  check_count("kv_len", problem.key_len, 0, Problem::kMaxLength);
  check_dim("head_dim", problem.head_dim);
  check_dim("value_dim", problem.value_dim);
  if (!std::isfinite(problem.effective_scale())) {
    invalid("scale is {}, but must be finite", problem.effective_scale());
  }
  for (Role role : {Role::query, Role::key, Role::value, Role::output}) {
    check_strides(to_string(role), tensor_shape(problem, role), role == Role::output);
  }
  problem.mask->validate(problem.extent(), problem.batch, problem.heads);
  for (const Score& score : problem.scores) {
    if (!score) invalid("a score modifier is null");
    score->validate(problem.extent(), problem.batch, problem.heads);
  }
  if (!problem.sink_logits.empty() &&
      static_cast<std::int64_t>(problem.sink_logits.size()) != problem.heads) {
    invalid("there are {} sink logits, but {} heads", problem.sink_logits.size(), problem.heads);
  }
  for (float logit : problem.sink_logits) {
    if (!std::isfinite(logit)) invalid("a sink logit is {}, but must be finite", logit);
  }
  if (problem.blocks) check_blocks(problem);
  if (problem.token_order) check_token_order(problem);
}

}  // namespace clattn
