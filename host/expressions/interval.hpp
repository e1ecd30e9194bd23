// Interval arithmetic over the operators of expressions: bounds of a result from bounds of its
// operands, which count as independent of each other. Bounds hold for the evaluation on the host,
// to the last bit; where nothing better is known, they are all numbers of the type.
#pragma once

#include <clattn/expression.hpp>
#include <cstdint>
#include <memory>
#include <vector>

#include "host/expressions/tree.hpp"

namespace clattn::expressions {

// Every number from low to high, and NaN if it may be one.
struct Interval {
  double low = 0;
  double high = 0;
  bool nan = false;

  bool single() const { return low == high && !nan; }
  bool may_be_true() const { return nan || low != 0 || high != 0; }
  bool may_be_false() const { return low <= 0 && high >= 0; }
};

Interval whole(Type type);
Interval hull(const Interval& a, const Interval& b);

Interval compute(Operator op, Type type, const Interval& a, const Interval& b);
Interval convert(const Interval& value, Type to, Type from);

// Bounds of ranges of a buffer's elements, in a number of steps that grows with the logarithm of
// the range: a pyramid, each of whose levels keeps the bounds of kFanout bounds below.
class BufferBounds {
 public:
  explicit BufferBounds(std::shared_ptr<const Buffer> buffer);
  // Of the elements [begin, end), which must not be empty.
  Interval over(std::int64_t begin, std::int64_t end) const;

 private:
  static constexpr std::int64_t kFanout = 16;
  Interval at(std::size_t level, std::int64_t index) const;

  std::shared_ptr<const Buffer> buffer_;       // level 0
  std::vector<std::vector<Interval>> levels_;  // from 1 up
};

}  // namespace clattn::expressions
