// A band: key j is visible to query i iff first <= j - i <= last, where either end may be missing.
// Causal and window masks are bands: they say where the ends lie and get their views from here.
#pragma once

#include <clattn/mask.hpp>

namespace clattn {

struct Band {
  std::optional<std::int64_t> first;  // smallest visible j - i
  std::optional<std::int64_t> last;   // largest visible j - i
};

class BandMask : public MaskNode {
 public:
  bool allows(const Point& point, const Extent& extent) const final;
  std::string expression(ExpressionWriter& writer, const Extent& extent) const final;
  Coverage classify(const Range& queries, const Range& keys, const Extent& extent) const final;
  Range reach(const Range& queries, const Extent& extent) const final;

 protected:
  virtual Band band(const Extent& extent) const = 0;
};

}  // namespace clattn
