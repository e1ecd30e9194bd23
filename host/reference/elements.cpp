// Conversions between stored elements and double. Eigen's half and bfloat16 convert from float,
// which would round twice: a value is therefore first rounded to what the type can hold, in double,
// and the conversion behind it is exact.
#include <Eigen/Core>
#include <clattn/reference.hpp>
#include <cmath>
#include <cstring>
#include <limits>

namespace clattn {
namespace {

template <typename Element>
Element read(const std::byte* base, std::int64_t index) {
  Element element;
  std::memcpy(&element, base + index * static_cast<std::int64_t>(sizeof element), sizeof element);
  return element;
}

template <typename Element>
void write(Element element, std::byte* base, std::int64_t index) {
  std::memcpy(base + index * static_cast<std::int64_t>(sizeof element), &element, sizeof element);
}

// To the nearest multiple of the last place of a number with `digits` significant bits and
// exponents from `min_exponent` up; ties go to even. What is too large becomes infinite.
double round_to(double value, int digits, int min_exponent, double largest) {
  if (value == 0.0 || !std::isfinite(value)) return value;
  const int last_place = std::max(std::ilogb(value), min_exponent) - (digits - 1);
  const double rounded = std::ldexp(std::nearbyint(std::ldexp(value, -last_place)), last_place);
  if (std::abs(rounded) <= largest) return rounded;
  return std::copysign(std::numeric_limits<double>::infinity(), value);
}

}  // namespace

double load_element(DataType type, const std::byte* base, std::int64_t index) {
  switch (type) {
    case DataType::f32:
      return read<float>(base, index);
    case DataType::f16:
      return static_cast<float>(read<Eigen::half>(base, index));
    case DataType::bf16:
      return static_cast<float>(read<Eigen::bfloat16>(base, index));
  }
  return std::numeric_limits<double>::quiet_NaN();
}

void store_element(DataType type, double value, std::byte* base, std::int64_t index) {
  switch (type) {
    case DataType::f32:
      write(static_cast<float>(value), base, index);
      break;
    case DataType::f16:
      write(Eigen::half(static_cast<float>(round_to(value, 11, -14, 65504.0))), base, index);
      break;
    case DataType::bf16:
      write(Eigen::bfloat16(static_cast<float>(round_to(value, 8, -126, std::ldexp(255.0, 120)))),
            base, index);
      break;
  }
}

}  // namespace clattn
