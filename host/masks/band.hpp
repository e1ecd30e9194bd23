// A band: key j is visible to query i iff first <= j - i <= last, where either end may be missing.
// Causal and window masks are bands; both get their views from here.
#pragma once

#include <clattn/mask.hpp>

namespace clattn {

struct Band {
  std::optional<std::int64_t> first;  // smallest visible j - i
  std::optional<std::int64_t> last;   // largest visible j - i

  bool allows(const Point& point) const;
  std::string expression(ExpressionWriter& writer, const Extent& extent) const;
  Coverage classify(const Range& queries, const Range& keys) const;
  Range reach(const Range& queries, const Extent& extent) const;
};

}  // namespace clattn
