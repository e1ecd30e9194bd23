#include "host/tensor_check.hpp"

#include <algorithm>
#include <array>
#include <tuple>
#include <vector>

#include "host/invalid.hpp"

namespace clattn {

void check_count(const char* name, std::int64_t value, std::int64_t low, std::int64_t high) {
  if (value < low) invalid("{} is {}, but must be at least {}", name, value, low);
  if (value > high) invalid("{} {} exceeds the largest supported, {}", name, value, high);
}

void check_data_type(DataType type) {
  if (type == DataType::f32 || type == DataType::f16 || type == DataType::bf16) return;
  invalid("data type {} is unknown; known are f32 (0), f16 (1) and bf16 (2)",
          static_cast<int>(type));
}

// Strides of inputs may be anything from 0 up that keeps the tensor within kMaxSpan. Behind this no
// product of sizes and strides overflows; kernels count in 32 bits between the tokens of a tile.
void check_strides(const char* name, const TensorShape& shape, bool written) {
  constexpr std::int64_t kMaxSpan = std::int64_t{1} << 48;
  constexpr std::int64_t kMaxTokenStride = std::int64_t{1} << 23;
  const std::array<std::pair<const char*, std::int64_t>, 3> strides = {
      {{"batch", shape.strides.batch},
       {"head", shape.strides.head},
       {"token", shape.strides.token}}};
  const std::array<std::int64_t, 3> counts = {shape.batch, shape.heads, shape.length};
  double elements = double(shape.dim), span = double(shape.dim);  // which can't overflow
  for (std::size_t i = 0; i < strides.size(); ++i) {
    const auto& [dimension, stride] = strides[i];
    if (stride < 0) {
      invalid("{} {} stride is {}, but must be 0 or more", name, dimension, stride);
    }
    elements *= double(counts[i]);
    span += double(counts[i] - 1) * double(stride);
  }
  if (elements == 0) return;
  if (std::max(elements, span) > double(kMaxSpan)) {
    invalid("the {} tensor has {:.0f} elements and spans {:.0f}, but the largest supported is {}",
            name, elements, span, kMaxSpan);
  }
  if (shape.strides.token > kMaxTokenStride) {
    invalid("{} token stride {} exceeds the largest supported, {}", name, shape.strides.token,
            kMaxTokenStride);
  }
  if (!written) return;
  // Dimensions of one element need no stride. The others, sorted, must each step over everything
  // that the smaller ones reach.
  std::vector<std::tuple<std::int64_t, std::int64_t, const char*>> order;
  for (std::size_t i = 0; i < strides.size(); ++i) {
    if (counts[i] > 1) order.emplace_back(strides[i].second, counts[i], strides[i].first);
  }
  std::sort(order.begin(), order.end());
  std::int64_t reached = shape.dim;
  for (const auto& [stride, count, dimension] : order) {
    if (stride < reached) {
      invalid("{} strides overlap: the {} stride is {}, but must be at least {}", name, dimension,
              stride, reached);
    }
    reached = stride * (count - 1) + reached;
  }
}

}  // namespace clattn
