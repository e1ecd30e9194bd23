#include <fmt/format.h>

#include <clattn/error.hpp>
#include <clattn/mask.hpp>
#include <limits>

#include "kernels_cl/common/arguments.h"

namespace clattn {
namespace {

// Halves the longer side until a rectangle is wholly visible or wholly not: only rectangles that
// the mask's boundary crosses are split.
std::int64_t count(const MaskNode& mask, const Extent& extent, const Range& queries,
                   const Range& keys) {
  if (queries.empty() || keys.empty()) return 0;
  switch (mask.classify(queries, keys, extent)) {
    case Coverage::none:
      return 0;
    case Coverage::all:
      return queries.size() * keys.size();
    case Coverage::some:
      break;
  }
  if (queries.size() == 1 && keys.size() == 1) {
    return mask.allows({0, 0, queries.begin, keys.begin}, extent);
  }
  if (queries.size() >= keys.size()) {
    const std::int64_t middle = queries.begin + queries.size() / 2;
    return count(mask, extent, {queries.begin, middle}, keys) +
           count(mask, extent, {middle, queries.end}, keys);
  }
  const std::int64_t middle = keys.begin + keys.size() / 2;
  return count(mask, extent, queries, {keys.begin, middle}) +
         count(mask, extent, queries, {middle, keys.end});
}

}  // namespace

std::string ExpressionWriter::integer(std::int64_t value) {
  if (value < std::numeric_limits<std::int32_t>::min() ||
      value > std::numeric_limits<std::int32_t>::max()) {
    throw Error(ErrorCategory::unsupported,
                fmt::format("mask parameter {} does not fit 32 bits", value));
  }
  if (values_.size() == CLATTN_MASK_VALUES) {
    throw Error(ErrorCategory::unsupported,
                fmt::format("the mask has more than {} parameters", CLATTN_MASK_VALUES));
  }
  values_.push_back(static_cast<std::int32_t>(value));
  return fmt::format("MASK_VALUE({})", values_.size() - 1);
}

std::int64_t count_visible_pairs(const MaskNode& mask, const Extent& extent) {
  return count(mask, extent, {0, extent.query_len}, {0, extent.key_len});
}

}  // namespace clattn
