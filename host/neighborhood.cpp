// What a neighborhood is, dimension by dimension: its checks, and the windows of one dimension of a
// dilation group. Both kinds of window are one formula: a window begins `behind` its leader and is
// moved inside the group, and a causal one ends with the query itself.
#include <algorithm>
#include <clattn/neighborhood.hpp>

#include "host/grid_check.hpp"

namespace clattn {
std::int64_t Neighborhood::tokens() const {
  std::int64_t tokens = 1;
  for (std::int64_t length : grid) tokens *= length;
  return tokens;
}

Neighborhood checked(Neighborhood neighborhood) {
  auto& [grid, window, stride, dilation, causal, extra_keys] = neighborhood;
  const GridCheck check("the neighborhood", grid);
  check.size("window", window);
  check.fill<std::int64_t>("stride", stride, 1);
  check.fill<std::int64_t>("dilation", dilation, 1);
  check.fill("causal", causal, false);
  for (std::size_t d = 0; d < grid.size(); ++d) {
    check.within("window", d, window[d], 2, grid[d]);
    check.within("stride", d, stride[d], 1, window[d]);
    check.within("dilation", d, dilation[d], 1, grid[d]);
    if (window[d] * dilation[d] > grid[d]) {
      invalid(
          "the neighborhood's window of dimension {} is {} and its dilation {}, but their product "
          "must be at most {}, the grid's",
          d, window[d], dilation[d], grid[d]);
    }
  }
  const std::int64_t most = Problem::kMaxLength - neighborhood.tokens();
  if (extra_keys < 0 || extra_keys > most) {
    invalid("the neighborhood has {} extra keys, but must have 0 to {}", extra_keys, most);
  }
  return neighborhood;
}

NeighborhoodAxis neighborhood_axis(const Neighborhood& neighborhood, std::size_t dimension,
                                   std::int64_t group) {
  const std::int64_t dilation = neighborhood.dilation[dimension];
  return {(neighborhood.grid[dimension] - group + dilation - 1) / dilation,
          neighborhood.window[dimension], neighborhood.stride[dimension],
          neighborhood.causal[dimension]};
}

Range NeighborhoodAxis::keys_of(std::int64_t query) const {
  const std::int64_t ahead = causal ? stride - 1 : stride / 2;
  const std::int64_t behind = causal ? window - 1 : window / 2;
  const std::int64_t leader = std::min(query / stride * stride + ahead, length - 1);
  // The far end moves no causal window: its leader is a token.
  const std::int64_t begin = std::clamp<std::int64_t>(leader - behind, 0, length - window);
  return {begin, causal ? query + 1 : begin + window};
}

// Windows begin and end no earlier than those of the queries before, so that those of a key lie
// between the first stride group that ends behind it and the last one that begins at or before it.
Range NeighborhoodAxis::queries_of(std::int64_t key) const {
  if (causal) {
    const std::int64_t end =
        key + window >= length ? length : std::min((key + window) / stride * stride, length);
    return {key, end};
  }
  const std::int64_t right = window - window / 2 - 1;  // keys of a window behind its leader
  const std::int64_t rest = stride - stride / 2 - 1;   // queries of a group behind its leader
  const std::int64_t begin = key < window ? 0 : (key - right + rest) / stride * stride;
  const std::int64_t end = key >= length - window
                               ? length
                               : std::min((key + window / 2 + rest + 1) / stride * stride, length);
  return {begin, end};
}

}  // namespace clattn
