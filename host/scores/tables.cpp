#include "host/scores/tables.hpp"

#include <fmt/ranges.h>

#include <bit>
#include <cmath>

#include "host/invalid.hpp"

namespace clattn {

void require_finite(const char* what, const std::vector<float>& values) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) invalid("{} {} is {}, but must be finite", what, i, values[i]);
  }
}

std::string float_table(ExpressionWriter& writer, const std::vector<float>& values) {
  std::vector<std::int32_t> bits;
  for (float value : values) bits.push_back(std::bit_cast<std::int32_t>(value));
  return writer.table(bits);
}

std::string json_arrays(std::span<const float> values, std::span<const std::int64_t> sizes) {
  if (sizes.empty()) return fmt::format("[{}]", fmt::join(values, ","));
  std::size_t part = 1;
  for (std::int64_t size : sizes) part *= static_cast<std::size_t>(size);
  std::string text;
  for (std::size_t begin = 0; begin < values.size(); begin += part) {
    text += (begin ? "," : "") + json_arrays(values.subspan(begin, part), sizes.subspan(1));
  }
  return "[" + text + "]";
}

}  // namespace clattn
