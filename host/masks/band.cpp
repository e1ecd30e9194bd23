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

bool Band::allows(const Point& point) const {
  const std::int64_t difference = point.key - point.query;
  return (!first || difference >= *first) && (!last || difference <= *last);
}

std::string Band::expression(ExpressionWriter& writer, const Extent& extent) const {
  std::string text;
  if (first) text += "key - query >= " + writer.integer(clamp_end(*first, extent));
  if (first && last) text += " && ";
  if (last) text += "key - query <= " + writer.integer(clamp_end(*last, extent));
  return text.empty() ? "1" : text;
}

Coverage Band::classify(const Range& queries, const Range& keys) const {
  if (queries.empty() || keys.empty()) return Coverage::none;
  const std::int64_t smallest = keys.begin - (queries.end - 1);
  const std::int64_t largest = (keys.end - 1) - queries.begin;
  if ((first && largest < *first) || (last && smallest > *last)) return Coverage::none;
  if ((!first || smallest >= *first) && (!last || largest <= *last)) return Coverage::all;
  return Coverage::some;
}

Range Band::reach(const Range& queries, const Extent& extent) const {
  if (queries.empty()) return {};
  const std::int64_t begin =
      first ? std::clamp<std::int64_t>(queries.begin + clamp_end(*first, extent), 0, extent.key_len)
            : 0;
  const std::int64_t end =
      last ? std::clamp<std::int64_t>(queries.end + clamp_end(*last, extent), 0, extent.key_len)
           : extent.key_len;
  return {begin, std::max(begin, end)};
}

}  // namespace clattn
