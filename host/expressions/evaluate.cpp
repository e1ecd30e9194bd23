// What the operators of expressions compute. Integers wrap at 32 bits; sums, products and bits are
// the same for signed and unsigned operands.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "host/expressions/tree.hpp"

namespace clattn::expressions {
namespace {

std::uint32_t bits(double value) {
  return static_cast<std::uint32_t>(static_cast<std::int64_t>(value));
}

double from_bits(Type type, std::uint32_t value) {
  if (type == Type::uint_type) return value;
  return std::bit_cast<std::int32_t>(value);
}

// Operators of integers alone, or that differ for integers and floats.
double compute_integer(Operator op, Type type, double a, double b) {
  const std::uint32_t x = bits(a), y = bits(b);
  const auto shift = y % 32;  // as OpenCL C has it
  switch (op) {
    case Operator::add:
      return from_bits(type, x + y);
    case Operator::subtract:
      return from_bits(type, x - y);
    case Operator::multiply:
      return from_bits(type, x * y);
    case Operator::divide:
      return from_bits(type, bits(std::trunc(a / b)));
    case Operator::remainder:
      return from_bits(type, bits(std::fmod(a, b)));
    case Operator::shift_left:
      return from_bits(type, x << shift);
    case Operator::shift_right:
      return std::floor(std::ldexp(a, -static_cast<int>(shift)));
    case Operator::bit_and:
      return from_bits(type, x & y);
    case Operator::bit_xor:
      return from_bits(type, x ^ y);
    case Operator::bit_or:
      return from_bits(type, x | y);
    default:
      return std::numeric_limits<double>::quiet_NaN();
  }
}

}  // namespace

double compute(Operator op, Type type, double a, double b) {
  const bool integer = type != Type::float_type;
  switch (op) {
    case Operator::add:
      return integer ? compute_integer(op, type, a, b) : a + b;
    case Operator::subtract:
      return integer ? compute_integer(op, type, a, b) : a - b;
    case Operator::multiply:
      return integer ? compute_integer(op, type, a, b) : a * b;
    case Operator::divide:
      return integer ? compute_integer(op, type, a, b) : a / b;
    case Operator::less:
      return a < b;
    case Operator::less_equal:
      return a <= b;
    case Operator::equal:
      return a == b;
    case Operator::not_equal:
      return a != b;
    case Operator::minimum:
      return std::fmin(a, b);
    case Operator::maximum:
      return std::fmax(a, b);
    case Operator::absolute:
    case Operator::fabs:
      return std::fabs(a);
    case Operator::floor:
      return std::floor(a);
    case Operator::ceil:
      return std::ceil(a);
    case Operator::round:
      return std::round(a);
    case Operator::sqrt:
      return std::sqrt(a);
    case Operator::exp:
      return std::exp(a);
    case Operator::exp2:
      return std::exp2(a);
    case Operator::log:
      return std::log(a);
    case Operator::log2:
      return std::log2(a);
    case Operator::sin:
      return std::sin(a);
    case Operator::cos:
      return std::cos(a);
    case Operator::tanh:
      return std::tanh(a);
    case Operator::pow:
      return std::pow(a, b);
    case Operator::fmod:
      return std::fmod(a, b);
    default:
      return compute_integer(op, type, a, b);
  }
}

double convert(double value, Type to, Type from) {
  if (to == Type::float_type) return value;
  if (from == Type::float_type) {
    if (std::isnan(value)) return 0;
    const double low = to == Type::int_type ? std::numeric_limits<std::int32_t>::min() : 0;
    const double high = to == Type::int_type    ? std::numeric_limits<std::int32_t>::max()
                        : to == Type::uint_type ? std::numeric_limits<std::uint32_t>::max()
                                                : std::numeric_limits<std::uint8_t>::max();
    return std::clamp(std::trunc(value), low, high);
  }
  return to == Type::uchar_type ? bits(value) & 0xff : from_bits(to, bits(value));
}

double load(const Buffer& buffer, std::int64_t index) {
  const auto read = [&]<typename Element>(Element element) -> double {
    std::memcpy(&element, buffer.values.data() + static_cast<std::size_t>(index) * sizeof element,
                sizeof element);
    return element;
  };
  switch (buffer.type) {
    case ElementType::u8:
      return read(std::uint8_t{});
    case ElementType::i32:
      return read(std::int32_t{});
    default:
      return read(float{});
  }
}

Type type_of(ElementType type) {
  switch (type) {
    case ElementType::u8:
      return Type::uchar_type;
    case ElementType::i32:
      return Type::int_type;
    default:
      return Type::float_type;
  }
}

}  // namespace clattn::expressions
