#include "host/masks/band.hpp"

#include <algorithm>

namespace clattn {
namespace {

// Beside the diagonal no end further than this matters, and every sum fits 32 bits on the device.
constexpr std::int64_t kFurthest = (std::int64_t{1} << 30) - 1;

std::optional<std::int64_t> clamp_end(std::optional<std::int64_t> end) {
  if (end) end = std::clamp(*end, -kFurthest, kFurthest);
  return end;
}

}  // namespace

BandMask::BandMask(std::optional<std::int64_t> first, std::optional<std::int64_t> last,
                   bool from_diagonal)
    : first_(clamp_end(first)), last_(clamp_end(last)), from_diagonal_(from_diagonal) {}

Band BandMask::ends(const Extent& extent) const {
  const std::int64_t diagonal = from_diagonal_ ? extent.key_len - extent.query_len : 0;
  return {first_ ? *first_ + diagonal : -extent.query_len,
          last_ ? *last_ + diagonal : extent.key_len};
}

bool BandMask::allows(const Point& point, const Extent& extent) const {
  const auto [first, last] = ends(extent);
  const std::int64_t difference = point.key - point.query;
  return difference >= first && difference <= last;
}

std::string BandMask::expression(ExpressionWriter& writer) const {
  const std::string difference =
      from_diagonal_ ? "key - query - (key_len - query_len)" : "key - query";
  // 0 needs no argument: causal masks of all lengths are one program, as are all windows.
  const auto end = [&](std::int64_t value) { return value ? writer.integer(value) : "0"; };
  std::string text;
  if (first_) text += difference + " >= " + end(*first_);
  if (first_ && last_) text += " && ";
  if (last_) text += difference + " <= " + end(*last_);
  return text.empty() ? "1" : text;
}

Coverage BandMask::classify(const Slice&, const Range& queries, const Range& keys,
                            const Extent& extent) const {
  if (queries.empty() || keys.empty()) return Coverage::none;
  const auto [first, last] = ends(extent);
  const std::int64_t smallest = keys.begin - (queries.end - 1);
  const std::int64_t largest = (keys.end - 1) - queries.begin;
  if (largest < first || smallest > last) return Coverage::none;
  if (smallest >= first && largest <= last) return Coverage::all;
  return Coverage::some;
}

std::optional<Band> BandMask::band(const Slice&, const Range&, const Range&,
                                   const Extent& extent) const {
  return ends(extent);
}

Range BandMask::reach(const Slice&, const Range& queries, const Extent& extent) const {
  if (queries.empty()) return {};
  const auto [first, last] = ends(extent);
  const auto inside = [&](std::int64_t key) {
    return std::clamp<std::int64_t>(key, 0, extent.key_len);
  };
  const std::int64_t begin = inside(queries.begin + first);
  return {begin, std::max(begin, inside(queries.end + last))};
}

}  // namespace clattn
