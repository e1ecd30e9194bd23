#include "host/scores/tables.hpp"

#include <fmt/ranges.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <span>

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

std::string json_rows(const std::vector<float>& values, std::size_t columns) {
  std::string text;
  for (std::size_t row = 0; row < values.size(); row += columns) {
    text += fmt::format("{}[{}]", row ? "," : "",
                        fmt::join(std::span(values).subspan(row, columns), ","));
  }
  return "[" + text + "]";
}

}  // namespace clattn
