// Neighborhood attention. Its views are exact and of constant cost: tokens that follow one another
// are a few boxes of the grid, windows are independent of one another in each dimension, and there
// the windows of queries that follow one another leave no gap, for they begin and end in the order
// of their queries and move on by at most their width. The groups of a dilation are alike but for a
// few classes of them.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <clattn/neighborhood.hpp>

#include "host/invalid.hpp"
#include "host/masks/divisor.hpp"
#include "host/masks/grid_fields.hpp"
#include "host/masks/parts.hpp"

namespace clattn {
namespace {

constexpr std::size_t kMaxRank = 3;

using Box = std::array<Range, kMaxRank>;  // [rank] ranges of coordinates

// The boxes that tokens which follow one another are: whole slices, and those begun at both ends.
class Boxes {
 public:
  Boxes(const std::vector<std::int64_t>& grid, std::int64_t tokens, const Range& range)
      : grid_(grid) {
    if (!range.empty()) split(0, tokens, range, {});
  }
  auto begin() const { return boxes_.begin(); }
  auto end() const { return boxes_.begin() + count_; }

 private:
  // `range` counts tokens of the `slice` tokens from this dimension on.
  void split(std::size_t dimension, std::int64_t slice, const Range& range, Box box) {
    if (dimension == grid_.size()) {
      boxes_[static_cast<std::size_t>(count_++)] = box;
      return;
    }
    const std::int64_t part = slice / grid_[dimension];
    const auto split_part = [&](std::int64_t at, std::int64_t begin, std::int64_t end) {
      box[dimension] = {at, at + 1};
      split(dimension + 1, part, {begin, end}, box);
    };
    Range whole{range.begin / part, range.end / part};
    const std::int64_t head = range.begin % part, tail = range.end % part;
    if (whole.begin == whole.end) return split_part(whole.begin, head, tail);
    if (head > 0) split_part(whole.begin++, head, part);
    if (tail > 0) split_part(whole.end, 0, tail);
    if (whole.empty()) return;
    box[dimension] = whole;
    split(dimension + 1, part, {0, part}, box);
  }

  const std::vector<std::int64_t>& grid_;
  std::array<Box, 2 * kMaxRank - 1> boxes_;
  std::ptrdiff_t count_ = 0;
};

// The tokens of a dilation group among coordinates, in its own.
Range in_group(const Range& coordinates, std::int64_t group, std::int64_t dilation) {
  const auto first_from = [&](std::int64_t coordinate) {
    return (coordinate + dilation - 1 - group) / dilation;
  };
  return {first_from(coordinates.begin), first_from(coordinates.end)};
}

// The keys that some of `queries` see, and those that all of them see.
Range seen_by_any(const NeighborhoodAxis& axis, const Range& queries) {
  return {axis.keys_of(queries.begin).begin, axis.keys_of(queries.end - 1).end};
}
Range seen_by_all(const NeighborhoodAxis& axis, const Range& queries) {
  return {axis.keys_of(queries.end - 1).begin, axis.keys_of(queries.begin).end};
}

bool holds(const Range& outer, const Range& inner) {
  return outer.begin <= inner.begin && inner.end <= outer.end;
}
bool meet(const Range& a, const Range& b) {
  return std::max(a.begin, b.begin) < std::min(a.end, b.end);
}

class NeighborhoodMask final : public MaskNode {
 public:
  explicit NeighborhoodMask(Neighborhood neighborhood)
      : own_(std::move(neighborhood)), tokens_(own_.tokens()) {}

  bool allows(const Point& point, const Extent&) const override {
    if (point.key >= tokens_) return true;
    std::int64_t query = point.query, key = point.key;
    for (std::size_t d = own_.rank(); d-- > 0;) {
      const std::int64_t length = own_.grid[d], dilation = own_.dilation[d];
      const std::int64_t query_at = query % length, key_at = key % length;
      if (query_at % dilation != key_at % dilation) return false;
      const NeighborhoodAxis axis = neighborhood_axis(own_, d, query_at % dilation);
      const Range window = axis.keys_of(query_at / dilation);
      if (key_at / dilation < window.begin || key_at / dilation >= window.end) return false;
      query /= length;
      key /= length;
    }
    return true;
  }

  std::string expression(ExpressionWriter& writer) const override {
    constexpr std::int64_t kMostTabled = std::int64_t{1} << 20;  // tokens
    if (tokens_ + own_.extra_keys <= kMostTabled) {
      if (const auto boxes = tabled_boxes()) {
        return fmt::format("mask_box({}, query, key)", writer.table(*boxes));
      }
    }
    // The rank is written out, so that a compiler may unroll the loop over dimensions.
    std::vector<std::int32_t> table = {static_cast<std::int32_t>(tokens_)};
    for (std::size_t d = 0; d < own_.rank(); ++d) {
      append_divisor(table, own_.grid[d]);
      append_divisor(table, own_.stride[d]);
      append_divisor(table, own_.dilation[d]);
      table.push_back(static_cast<std::int32_t>(own_.window[d]));
      table.push_back(own_.causal[d]);
    }
    return fmt::format("mask_neighborhood({}, {}, query, key)", writer.table(table), own_.rank());
  }

  Coverage classify(const Slice&, const Range& queries, const Range& keys,
                    const Extent&) const override {
    if (queries.empty() || keys.empty()) return Coverage::none;
    bool visible = keys.end > tokens_;
    bool hidden = false;
    const Boxes query_boxes(own_.grid, tokens_, queries);
    const Boxes key_boxes(own_.grid, tokens_, {keys.begin, std::min(keys.end, tokens_)});
    for (const Box& query_box : query_boxes) {
      for (const Box& key_box : key_boxes) {
        const Coverage coverage = of_boxes(query_box, key_box);
        visible = visible || coverage != Coverage::none;
        hidden = hidden || coverage != Coverage::all;
        if (visible && hidden) return Coverage::some;
      }
    }
    return visible ? Coverage::all : Coverage::none;
  }

  // Away from the ends of a line, where windows follow their queries one by one.
  std::optional<Band> band(const Slice&, const Range& queries, const Range& keys,
                           const Extent&) const override {
    if (own_.rank() > 1 || own_.stride[0] > 1 || own_.dilation[0] > 1 || keys.end > tokens_) {
      return std::nullopt;
    }
    const std::int64_t window = own_.window[0];
    if (own_.causal[0]) return Band{1 - window, 0};
    const std::int64_t left = window / 2;
    if (queries.begin < left || queries.end - 1 - left > tokens_ - window) return std::nullopt;
    return Band{-left, window - left - 1};
  }

  Range reach(const Slice&, const Range& queries, const Extent& extent) const override {
    Range result;
    for (const Box& box : Boxes(own_.grid, tokens_, queries)) {
      std::int64_t first = 0, last = 0;
      for (std::size_t d = 0; d < own_.rank(); ++d) {
        const Range seen = seen_from(d, box[d]);
        first = first * own_.grid[d] + seen.begin;
        last = last * own_.grid[d] + seen.end - 1;
      }
      result = hull(result, {first, last + 1});
    }
    if (own_.extra_keys > 0 && !queries.empty()) result.end = extent.key_len;
    return result;
  }

  NeighborhoodHint neighborhood(const Slice&) const override { return {&own_, true}; }

  void validate(const Extent& extent, std::int64_t, std::int64_t) const override {
    if (extent.query_len != tokens_) {
      invalid("q_len is {}, but the neighborhood's grid {} has {} tokens", extent.query_len,
              fmt::join(own_.grid, " x "), tokens_);
    }
    if (extent.key_len != tokens_ + own_.extra_keys) {
      invalid("kv_len is {}, but the neighborhood's grid {} and {} extra keys make {}",
              extent.key_len, fmt::join(own_.grid, " x "), own_.extra_keys,
              tokens_ + own_.extra_keys);
    }
  }

  std::string to_json() const override {
    std::string text = fmt::format(R"("grid":[{}],"window":[{}])", fmt::join(own_.grid, ","),
                                   fmt::join(own_.window, ","));
    const auto add = [&](const char* name, const std::vector<std::int64_t>& values) {
      if (std::ranges::count(values, 1) == std::ssize(values)) return;
      text += fmt::format(R"(,"{}":[{}])", name, fmt::join(values, ","));
    };
    add("stride", own_.stride);
    add("dilation", own_.dilation);
    if (std::ranges::count(own_.causal, true) > 0) {
      text += fmt::format(R"(,"causal":[{}])", fmt::join(own_.causal, ","));
    }
    if (own_.extra_keys > 0) text += fmt::format(R"(,"extra_keys":{})", own_.extra_keys);
    return "{\"neighborhood\":{" + text + "}}";
  }

 private:
  // What mask_box reads. A group of a dilation is a coordinate, too.
  std::optional<std::vector<std::int32_t>> tabled_boxes() const {
    const std::size_t rank = own_.rank();
    std::vector<std::int64_t> sizes;
    for (std::size_t d = 0; d < rank; ++d) {
      sizes.push_back((own_.grid[d] + own_.dilation[d] - 1) / own_.dilation[d]);
    }
    sizes.insert(sizes.end(), own_.dilation.begin(), own_.dilation.end());
    const GridFields fields(sizes);
    if (!fields.fit()) return std::nullopt;
    const std::int64_t keys = tokens_ + own_.extra_keys;
    std::vector<std::int32_t> table = {fields.guard(), static_cast<std::int32_t>(tokens_),
                                       static_cast<std::int32_t>(keys)};
    const auto header = table.size();
    table.resize(header + static_cast<std::size_t>(keys + 2 * tokens_));
    const auto coordinates = table.begin() + static_cast<std::ptrdiff_t>(header);
    const auto lows = coordinates + keys, highs = lows + tokens_;
    std::array<std::int64_t, kMaxRank> at = {};
    for (std::int64_t token = 0; token < tokens_; ++token) {
      std::int64_t key = 0, low = 0, high = fields.guard();
      for (std::size_t d = 0; d < rank; ++d) {
        const std::int64_t group = at[d] % own_.dilation[d], x = at[d] / own_.dilation[d];
        const Range window = neighborhood_axis(own_, d, group).keys_of(x);
        const std::int64_t group_field = fields.packed(rank + d, group);
        key += fields.packed(d, x) + group_field;
        low += fields.packed(d, window.begin) + group_field;
        high += fields.packed(d, window.end - 1) + group_field;
      }
      coordinates[token] = static_cast<std::int32_t>(key);
      lows[token] = static_cast<std::int32_t>(low);
      highs[token] = static_cast<std::int32_t>(high);
      for (std::size_t d = rank; d-- > 0 && ++at[d] == own_.grid[d];) at[d] = 0;
    }
    return table;
  }

  // Calls visit(axis, groups) for groups of a dimension that are alike: of one length, and with the
  // same coordinates of their own in each of `ranges`.
  template <std::size_t count, typename Visit>
  void for_each_class(std::size_t dimension, const std::array<Range, count>& ranges,
                      Visit&& visit) const {
    const std::int64_t dilation = own_.dilation[dimension];
    std::array<std::int64_t, 2 * count + 3> ends;
    std::size_t size = 0;
    ends[size++] = 0;
    ends[size++] = dilation;
    ends[size++] = own_.grid[dimension] % dilation;
    for (const Range& range : ranges) {
      ends[size++] = range.begin % dilation;
      ends[size++] = range.end % dilation;
    }
    if (dilation > 1) std::ranges::sort(ends);  // else the first two are the one group
    for (std::size_t i = 0; i + 1 < size; ++i) {
      const Range groups{ends[i], ends[i + 1]};
      if (!groups.empty()) visit(neighborhood_axis(own_, dimension, groups.begin), groups);
    }
  }

  Coverage along(std::size_t dimension, const Range& queries, const Range& keys) const {
    const std::int64_t dilation = own_.dilation[dimension];
    bool visible = false, hidden = false;
    for_each_class(dimension, std::array{queries, keys},
                   [&](const NeighborhoodAxis& axis, const Range& groups) {
                     const Range group_queries = in_group(queries, groups.begin, dilation);
                     const Range group_keys = in_group(keys, groups.begin, dilation);
                     if (group_queries.empty()) return;
                     // A query sees no key of another group.
                     hidden = hidden || group_keys.size() < keys.size();
                     if (group_keys.empty()) return;
                     visible = visible || meet(seen_by_any(axis, group_queries), group_keys);
                     hidden = hidden || !holds(seen_by_all(axis, group_queries), group_keys);
                   });
    if (visible && hidden) return Coverage::some;
    return visible ? Coverage::all : Coverage::none;
  }

  Coverage of_boxes(const Box& queries, const Box& keys) const {
    Coverage result = Coverage::all;
    for (std::size_t d = 0; d < own_.rank(); ++d) {
      const Coverage coverage = along(d, queries[d], keys[d]);
      if (coverage == Coverage::none) return Coverage::none;
      if (coverage == Coverage::some) result = Coverage::some;
    }
    return result;
  }

  // From the first to the last coordinate that some of `queries` see.
  Range seen_from(std::size_t dimension, const Range& queries) const {
    const std::int64_t dilation = own_.dilation[dimension];
    Range result;
    for_each_class(dimension, std::array{queries},
                   [&](const NeighborhoodAxis& axis, const Range& groups) {
                     const Range group_queries = in_group(queries, groups.begin, dilation);
                     if (group_queries.empty()) return;
                     const Range seen = seen_by_any(axis, group_queries);
                     result = hull(result, {seen.begin * dilation + groups.begin,
                                            (seen.end - 1) * dilation + groups.end});
                   });
    return result;
  }

  Neighborhood own_;
  std::int64_t tokens_;
};

}  // namespace

Mask neighborhood_mask(Neighborhood neighborhood) {
  return std::make_shared<NeighborhoodMask>(checked(std::move(neighborhood)));
}

}  // namespace clattn
