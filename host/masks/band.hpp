// A band: key j is visible to query i iff first <= j - i <= last, where either end may be missing
// and may be counted from the diagonal, key_len - query_len, or from 0. Causal and window masks are
// bands: they say where the ends lie and get their views from here.
#pragma once

#include <clattn/mask.hpp>

namespace clattn {

class BandMask : public MaskNode {
 public:
  bool allows(const Point& point, const Extent& extent) const final;
  std::string expression(ExpressionWriter& writer) const final;
  Coverage classify(const Slice& slice, const Range& queries, const Range& keys,
                    const Extent& extent) const final;
  std::optional<Band> band(const Slice& slice, const Range& queries, const Range& keys,
                           const Extent& extent) const final;
  Range reach(const Slice& slice, const Range& queries, const Extent& extent) const final;

 protected:
  // Ends of an absolute value up to kMaxLength change nothing beyond it and are cut there.
  BandMask(std::optional<std::int64_t> first, std::optional<std::int64_t> last, bool from_diagonal);

 private:
  // The ends counted from 0; an absent one lies beyond every pair.
  Band ends(const Extent& extent) const;

  std::optional<std::int64_t> first_;
  std::optional<std::int64_t> last_;
  bool from_diagonal_;
};

}  // namespace clattn
