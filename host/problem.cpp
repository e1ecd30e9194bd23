#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <clattn/problem.hpp>
#include <cmath>
#include <tuple>
#include <vector>

#include "host/invalid.hpp"

namespace clattn {
namespace {

void check_count(const char* name, std::int64_t value, std::int64_t low, std::int64_t high) {
  if (value < low) invalid("{} is {}, but must be at least {}", name, value, low);
  if (value > high) invalid("{} {} exceeds the largest supported, {}", name, value, high);
}

void check_dim(const char* name, std::int64_t value) {
  check_count(name, value, 8, Problem::kMaxDim);
  if (value % 8 != 0) invalid("{} is {}, but must be a multiple of 8", name, value);
}

// Strides of inputs may be anything from 0 up that keeps the tensor within kMaxSpan. Behind this no
// product of sizes and strides overflows; kernels count in 32 bits between the tokens of a tile.
void check_strides(const Problem& problem, Role role) {
  constexpr std::int64_t kMaxSpan = std::int64_t{1} << 48;
  constexpr std::int64_t kMaxTokenStride = std::int64_t{1} << 23;
  const TensorShape shape = tensor_shape(problem, role);
  const std::array<std::pair<const char*, std::int64_t>, 3> strides = {
      {{"batch", shape.strides.batch},
       {"head", shape.strides.head},
       {"token", shape.strides.token}}};
  const std::array<std::int64_t, 3> counts = {shape.batch, shape.heads, shape.length};
  double elements = double(shape.dim), span = double(shape.dim);  // which can't overflow
  for (std::size_t i = 0; i < strides.size(); ++i) {
    const auto& [name, stride] = strides[i];
    if (stride < 0) {
      invalid("{} {} stride is {}, but must be 0 or more", to_string(role), name, stride);
    }
    elements *= double(counts[i]);
    span += double(counts[i] - 1) * double(stride);
  }
  if (elements == 0) return;
  if (std::max(elements, span) > double(kMaxSpan)) {
    invalid("the {} tensor has {:.0f} elements and spans {:.0f}, but the largest supported is {}",
            to_string(role), elements, span, kMaxSpan);
  }
  if (shape.strides.token > kMaxTokenStride) {
    invalid("{} token stride {} exceeds the largest supported, {}", to_string(role),
            shape.strides.token, kMaxTokenStride);
  }
  if (role != Role::output) return;
  // Dimensions of one element need no stride. The others, sorted, must each step over everything
  // that the smaller ones reach.
  std::vector<std::tuple<std::int64_t, std::int64_t, const char*>> order;
  for (std::size_t i = 0; i < strides.size(); ++i) {
    if (counts[i] > 1) order.emplace_back(strides[i].second, counts[i], strides[i].first);
  }
  std::sort(order.begin(), order.end());
  std::int64_t reached = shape.dim;
  for (const auto& [stride, count, name] : order) {
    if (stride < reached) {
      invalid("output strides overlap: the {} stride is {}, but must be at least {}", name, stride,
              reached);
    }
    reached = stride * (count - 1) + reached;
  }
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
  if (problem.data_type != DataType::f32 && problem.data_type != DataType::f16 &&
      problem.data_type != DataType::bf16) {
    invalid("data type {} is unknown; known are f32 (0), f16 (1) and bf16 (2)",
            static_cast<int>(problem.data_type));
  }
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
    check_strides(problem, role);
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
}

}  // namespace clattn
