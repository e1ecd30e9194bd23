// Most operators are monotone in each operand while the other is fixed, so that their bounds lie at
// corners of the rectangle of operands. Integer corners are computed without wrapping; where one
// leaves the type, numbers in between may have wrapped, and nothing is known.
#include "host/expressions/interval.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace clattn::expressions {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

bool within(const Interval& inner, const Interval& outer) {
  return inner.low >= outer.low && inner.high <= outer.high;
}

bool finite(const Interval& a) { return std::isfinite(a.low) && std::isfinite(a.high); }

template <typename Function>
Interval corners(const Interval& a, const Interval& b, Function&& function) {
  const double values[] = {function(a.low, b.low), function(a.low, b.high), function(a.high, b.low),
                           function(a.high, b.high)};
  const auto [low, high] = std::minmax_element(std::begin(values), std::end(values));
  return {*low, *high};
}

Interval arithmetic(Operator op, Type type, const Interval& a, const Interval& b) {
  const bool integer = type != Type::float_type;
  // Infinities may cancel anywhere in between.
  if (!finite(a) || !finite(b)) return whole(type);
  Interval result;
  switch (op) {
    case Operator::add:
      result = {a.low + b.low, a.high + b.high};
      break;
    case Operator::subtract:
      result = {a.low - b.high, a.high - b.low};
      break;
    case Operator::multiply:
      result = corners(a, b, [](double x, double y) { return x * y; });
      break;
    default:
      if (b.may_be_false()) return whole(type);
      result = corners(a, b, [](double x, double y) { return x / y; });
      if (integer) result = {std::trunc(result.low), std::trunc(result.high)};
      break;
  }
  result.nan = a.nan || b.nan;
  return !integer || within(result, whole(type)) ? result : whole(type);
}

// Within one period x % c = x - c * trunc(x / c) ascends with x; else it is at most |c| - 1 and of
// the sign of x.
Interval remainder(Type type, const Interval& a, const Interval& b) {
  if (b.may_be_false()) return whole(type);
  if (b.single() && std::trunc(a.low / b.low) == std::trunc(a.high / b.low)) {
    return {std::fmod(a.low, b.low), std::fmod(a.high, b.low)};
  }
  const double most = std::max(std::fabs(b.low), std::fabs(b.high)) - 1;
  return {std::clamp(a.low, -most, 0.0), std::clamp(a.high, 0.0, most)};
}

// x << s is x * 2^s, x >> s the floor of x / 2^s.
Interval shift(Operator op, Type type, const Interval& a, const Interval& b) {
  if (b.low < 0 || b.high > 31) return whole(type);
  const int sign = op == Operator::shift_left ? 1 : -1;
  const Interval result = corners(a, b, [&](double x, double s) {
    return std::floor(std::ldexp(x, sign * static_cast<int>(s)));
  });
  return within(result, whole(type)) ? result : whole(type);
}

// What is known of the bits of an interval's numbers: those in `ones` are set, those outside
// ones | unknown are not.
struct Bits {
  std::uint32_t ones = 0;
  std::uint32_t unknown = 0;
};

Bits bits_of(const Interval& a) {
  const auto low = static_cast<std::uint32_t>(static_cast<std::int64_t>(a.low));
  const auto high = static_cast<std::uint32_t>(static_cast<std::int64_t>(a.high));
  if ((a.low < 0) != (a.high < 0)) return {0, ~0u};
  // Numbers between two that share their first bits share them too.
  const int differing = std::bit_width(low ^ high);
  const std::uint32_t unknown = differing == 32 ? ~0u : (1u << differing) - 1;
  return {low & ~unknown, unknown};
}

Interval bitwise(Operator op, Type type, const Interval& a, const Interval& b) {
  const Bits x = bits_of(a), y = bits_of(b);
  std::uint32_t must, may;
  switch (op) {
    case Operator::bit_and:
      must = x.ones & y.ones;
      may = (x.ones | x.unknown) & (y.ones | y.unknown);
      break;
    case Operator::bit_or:
      must = x.ones | y.ones;
      may = must | x.unknown | y.unknown;
      break;
    default:
      must = (x.ones ^ y.ones) & ~(x.unknown | y.unknown);
      may = must | x.unknown | y.unknown;
      break;
  }
  if (type == Type::uint_type) return {double(must), double(may)};
  const auto low = std::bit_cast<std::int32_t>(must), high = std::bit_cast<std::int32_t>(may);
  if ((low < 0) != (high < 0)) return whole(type);  // the sign itself is unknown
  return {double(low), double(high)};
}

Interval truth(bool may_be_true, bool may_be_false) {
  return {may_be_false ? 0.0 : 1.0, may_be_true ? 1.0 : 0.0};
}

Interval compare(Operator op, const Interval& a, const Interval& b) {
  const bool nan = a.nan || b.nan;
  const bool apart = a.high < b.low || b.high < a.low;
  const bool same = a.low == a.high && b.low == b.high && a.low == b.low;
  switch (op) {
    case Operator::less:
      return truth(a.low < b.high, nan || a.high >= b.low);
    case Operator::less_equal:
      return truth(a.low <= b.high, nan || a.high > b.low);
    case Operator::equal:
      return truth(!apart, nan || !same);
    default:
      return truth(nan || !same, !apart);
  }
}

Interval magnitude(const Interval& a) {
  const double low = std::fabs(a.low), high = std::fabs(a.high);
  return {a.low <= 0 && a.high >= 0 ? 0.0 : std::min(low, high), std::max(low, high), a.nan};
}

// fmin and fmax give the other operand for a NaN.
Interval extreme(Operator op, const Interval& a, const Interval& b) {
  const auto one = [&](double x, double y) { return compute(op, Type::float_type, x, y); };
  const Interval both = {one(a.low, b.low), one(a.high, b.high), a.nan && b.nan};
  return a.nan || b.nan ? hull(both, hull(a, b)) : both;
}

// An ascending function on the part of `a` where it is defined, [from, infinity). The C library
// may be wrong in the last place, and so not quite ascend.
Interval ascending(Operator op, const Interval& a, double from) {
  const auto at = [&](double x) { return compute(op, Type::float_type, std::max(x, from), 0); };
  constexpr double kError = 4 * std::numeric_limits<double>::epsilon();
  const double low = at(a.low), high = at(a.high);
  return {std::isinf(low) ? low : low - std::fabs(low) * kError, high + std::fabs(high) * kError,
          a.nan || a.low < from};
}

Interval elementary(Operator op, const Interval& a) {
  switch (op) {
    case Operator::absolute:
    case Operator::fabs:
      return magnitude(a);
    case Operator::floor:
    case Operator::ceil:
    case Operator::round:
      return {compute(op, Type::float_type, a.low, 0), compute(op, Type::float_type, a.high, 0),
              a.nan};
    case Operator::sqrt:
      return ascending(op, a, 0);
    case Operator::log:
    case Operator::log2:
      // Where it may be -infinity, nothing could be said of what follows anyway.
      return a.low > 0 ? ascending(op, a, 0) : whole(Type::float_type);
    case Operator::exp:
    case Operator::exp2:
    case Operator::tanh:
      return ascending(op, a, -kInfinity);
    case Operator::sin:
    case Operator::cos:
      return {-1, 1, a.nan || !finite(a)};
    case Operator::fmod: {
      const double most = magnitude(a).high;
      return {-most, most, true};
    }
    default:
      return whole(Type::float_type);
  }
}

}  // namespace

Interval whole(Type type) {
  switch (type) {
    case Type::uchar_type:
      return {0, std::numeric_limits<std::uint8_t>::max()};
    case Type::int_type:
      return {std::numeric_limits<std::int32_t>::min(), std::numeric_limits<std::int32_t>::max()};
    case Type::uint_type:
      return {0, std::numeric_limits<std::uint32_t>::max()};
    case Type::float_type:
      break;
  }
  return {-kInfinity, kInfinity, true};
}

Interval hull(const Interval& a, const Interval& b) {
  return {std::min(a.low, b.low), std::max(a.high, b.high), a.nan || b.nan};
}

Interval compute(Operator op, Type type, const Interval& a, const Interval& b) {
  const bool divides = op == Operator::divide || op == Operator::remainder;
  // A 0 does not tell its sign, which matters where it is divided by.
  const bool inverts_zero = (divides && b.low == 0) || (op == Operator::pow && a.low == 0);
  if (a.single() && b.single() && !inverts_zero) {
    const double value = compute(op, type, a.low, b.low);
    return std::isnan(value) ? whole(type) : Interval{value, value};
  }
  switch (op) {
    case Operator::add:
    case Operator::subtract:
    case Operator::multiply:
    case Operator::divide:
      return arithmetic(op, type, a, b);
    case Operator::remainder:
      return remainder(type, a, b);
    case Operator::shift_left:
    case Operator::shift_right:
      return shift(op, type, a, b);
    case Operator::bit_and:
    case Operator::bit_xor:
    case Operator::bit_or:
      return bitwise(op, type, a, b);
    case Operator::less:
    case Operator::less_equal:
    case Operator::equal:
    case Operator::not_equal:
      return compare(op, a, b);
    case Operator::minimum:
    case Operator::maximum:
      return extreme(op, a, b);
    default:
      return elementary(op, a);
  }
}

Interval convert(const Interval& value, Type to, Type from) {
  if (to == Type::float_type) return value;
  if (from == Type::float_type) {
    const Interval result = {convert(value.low, to, from), convert(value.high, to, from)};
    return value.nan ? hull(result, {0, 0}) : result;
  }
  // Between integers a conversion wraps; it ascends where both ends wrap alike.
  const Interval result = {convert(value.low, to, from), convert(value.high, to, from)};
  return result.high - result.low == value.high - value.low ? result : whole(to);
}

BufferBounds::BufferBounds(std::shared_ptr<const Buffer> buffer) : buffer_(std::move(buffer)) {
  for (std::int64_t size = buffer_->count; size > 1; size = (size + kFanout - 1) / kFanout) {
    std::vector<Interval> level;
    for (std::int64_t i = 0; i < size; ++i) {
      const Interval below = at(levels_.size(), i);
      if (i % kFanout == 0) {
        level.push_back(below);
      } else {
        level.back() = hull(level.back(), below);
      }
    }
    levels_.push_back(std::move(level));
  }
}

Interval BufferBounds::at(std::size_t level, std::int64_t index) const {
  if (level > 0) return levels_[level - 1][static_cast<std::size_t>(index)];
  const double value = load(*buffer_, index);
  return std::isnan(value) ? whole(Type::float_type) : Interval{value, value};
}

Interval BufferBounds::over(std::int64_t begin, std::int64_t end) const {
  Interval result = at(0, begin);
  for (std::size_t level = 0; begin < end; ++level) {
    while (begin < end && begin % kFanout) result = hull(result, at(level, begin++));
    while (begin < end && end % kFanout) result = hull(result, at(level, --end));
    begin /= kFanout;
    end /= kFanout;
  }
  return result;
}

}  // namespace clattn::expressions
