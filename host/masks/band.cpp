#include "host/masks/band.hpp"

#include <algorithm>

namespace clattn {
namespace {

// j - i lies strictly between -query_len and key_len, so that ends beyond them change nothing and
// every sum fits 32 bits on the device.
std::int64_t clamp_end(std::int64_t end, const Extent& extent) {
  return std::clamp(end, -extent.query_len, extent.key_len);
}

}  // namespace

bool BandMask::allows(const Point& point, const Extent& extent) const {
  const auto [first, last] = band(extent);
  const std::int64_t difference = point.key - point.query;
  return (!first || difference >= *first) && (!last || difference <= *last);
}

std::string BandMask::expression(ExpressionWriter& writer, const Extent& extent) const {
  const auto [first, last] = band(extent);
  std::string text;
  if (first) text += "key - query >= " + writer.integer(clamp_end(*first, extent));
  if (first && last) text += " && ";
  if (last) text += "key - query <= " + writer.integer(clamp_end(*last, extent));
  return text.empty() ? "1" : text;
}

Coverage BandMask::classify(const Range& queries, const Range& keys, const Extent& extent) const {
  if (queries.empty() || keys.empty()) return Coverage::none;
  const auto [first, last] = band(extent);
  const std::int64_t smallest = keys.begin - (queries.end - 1);
  const std::int64_t largest = (keys.end - 1) - queries.begin;
  if ((first && largest < *first) || (last && smallest > *last)) return Coverage::none;
  if ((!first || smallest >= *first) && (!last || largest <= *last)) return Coverage::all;
  return Coverage::some;
}

Range BandMask::reach(const Range& queries, const Extent& extent) const {
  if (queries.empty()) return {};
  const auto [first, last] = band(extent);
  const auto key = [&](std::int64_t position, std::int64_t end) {
    return std::clamp<std::int64_t>(position + clamp_end(end, extent), 0, extent.key_len);
  };
  const std::int64_t begin = first ? key(queries.begin, *first) : 0;
  return {begin, std::max(begin, last ? key(queries.end, *last) : extent.key_len)};
}

}  // namespace clattn
