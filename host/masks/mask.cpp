#include <clattn/mask.hpp>
#include <clattn/neighborhood.hpp>

namespace clattn {
namespace {

// Halves the longer side until a rectangle is wholly visible or wholly not: only rectangles that
// the mask's boundary crosses are split.
class Counter {
 public:
  Counter(const MaskNode& mask, const Slice& slice, const Extent& extent, std::int64_t& budget)
      : mask_(mask), slice_(slice), extent_(extent), budget_(budget) {}

  std::int64_t count(const Range& queries, const Range& keys) {
    if (queries.empty() || keys.empty() || budget_ < 0) return 0;
    switch (mask_.classify(slice_, queries, keys, extent_)) {
      case Coverage::none:
        return 0;
      case Coverage::all:
        return queries.size() * keys.size();
      case Coverage::some:
        --budget_;
        break;
    }
    if (queries.size() == 1 && keys.size() == 1) {
      return mask_.allows({slice_.batch, slice_.head, queries.begin, keys.begin}, extent_);
    }
    if (queries.size() >= keys.size()) {
      const std::int64_t middle = queries.begin + queries.size() / 2;
      return count({queries.begin, middle}, keys) + count({middle, queries.end}, keys);
    }
    const std::int64_t middle = keys.begin + keys.size() / 2;
    return count(queries, {keys.begin, middle}) + count(queries, {middle, keys.end});
  }

 private:
  const MaskNode& mask_;
  const Slice& slice_;
  const Extent& extent_;
  std::int64_t& budget_;
};

}  // namespace

std::optional<Band> MaskNode::band(const Slice&, const Range&, const Range&, const Extent&) const {
  return std::nullopt;
}

void MaskNode::validate(const Extent&, std::int64_t, std::int64_t) const {}

std::optional<std::int64_t> count_visible_pairs(const MaskNode& mask, const Slice& slice,
                                                const Extent& extent, std::int64_t budget) {
  // A neighborhood of several dimensions has a boundary at every few tokens, but a closed form.
  if (const NeighborhoodHint hint = mask.neighborhood(slice); hint.exact) {
    const Neighborhood& of = *hint.neighborhood;
    const double pairs = simulate_tiles(of, of.grid, of.grid).visible_pairs +
                         double(of.tokens()) * double(of.extra_keys);
    constexpr double kExact = 9007199254740992.0;  // 2^53: below, doubles are whole numbers
    if (pairs < kExact) return static_cast<std::int64_t>(pairs);
  }
  return count_visible_pairs(mask, slice, {0, extent.query_len}, {0, extent.key_len}, extent,
                             budget);
}

std::optional<std::int64_t> count_visible_pairs(const MaskNode& mask, const Slice& slice,
                                                const Range& queries, const Range& keys,
                                                const Extent& extent, std::int64_t& budget) {
  const std::int64_t pairs = Counter(mask, slice, extent, budget).count(queries, keys);
  if (budget < 0) return std::nullopt;
  return pairs;
}

}  // namespace clattn
