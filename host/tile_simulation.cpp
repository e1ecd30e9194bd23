// Counts tiles of a neighborhood without looking at pairs. In one dimension of one dilation group
// the windows of consecutive queries begin and end in ascending order and leave no gap between
// them, so a query tile sees the keys from the start of its first window to the end of its last,
// and all of it sees those from the start of its last to the end of its first. Tiles are boxes and
// dimensions are independent: a pair of tiles is visible, or visible throughout, iff it is so in
// every dimension. Counts are therefore products over dimensions; and since every combination of
// the dimensions' groups is a group of the grid, of sums over the groups of each dimension.
#include <algorithm>
#include <clattn/neighborhood.hpp>
#include <cmath>

#include "host/invalid.hpp"

namespace clattn {
namespace {

std::int64_t divide_up(std::int64_t length, std::int64_t size) {
  return length / size + (length % size != 0);
}

struct Counts {
  double visible_pairs = 0;
  double visited = 0;  // pairs of tiles
  double full = 0;     // of these, those without a hidden pair
};

// A causal query x sees its window's start to x itself. All `stride` queries of a stride group
// share the start, (g + 1) * stride - window for group g where that is positive; the last group may
// be short, and then its start is that of the axis's last window.
double causal_pairs(const NeighborhoodAxis& axis) {
  const auto length = static_cast<double>(axis.length);
  const auto window = static_cast<double>(axis.window);
  const auto stride = static_cast<double>(axis.stride);
  const std::int64_t groups = axis.length / axis.stride;
  const std::int64_t first = divide_up(axis.window, axis.stride) - 1;  // whose start is positive
  double hidden = static_cast<double>(axis.length % axis.stride) * (length - window);
  if (groups > first) {
    const auto count = static_cast<double>(groups - first);
    const double mean = static_cast<double>(first + 1 + groups) / 2 * stride - window;
    hidden += count * stride * mean;
  }
  return length * (length + 1) / 2 - hidden;
}

Counts count_group(const NeighborhoodAxis& axis, std::int64_t query_tile, std::int64_t key_tile) {
  Counts counts;
  counts.visible_pairs = axis.causal
                             ? causal_pairs(axis)
                             : static_cast<double>(axis.length) * static_cast<double>(axis.window);
  for (std::int64_t begin = 0; begin < axis.length; begin += query_tile) {
    const Range first = axis.keys_of(begin);
    const Range last = axis.keys_of(std::min(begin + query_tile, axis.length) - 1);
    const std::int64_t visited = divide_up(last.end, key_tile) - first.begin / key_tile;
    // A tile that the axis cuts is seen whole where its keys end.
    const std::int64_t full_end =
        first.end == axis.length ? divide_up(first.end, key_tile) : first.end / key_tile;
    const std::int64_t full = full_end - divide_up(last.begin, key_tile);
    counts.visited += static_cast<double>(visited);
    counts.full += static_cast<double>(std::max<std::int64_t>(full, 0));
  }
  return counts;
}

// The groups of one dimension are of two lengths at most: the first L % d of them are one longer.
Counts count_dimension(const Neighborhood& neighborhood, std::size_t dimension,
                       std::int64_t query_tile, std::int64_t key_tile) {
  const std::int64_t dilation = neighborhood.dilation[dimension];
  const std::int64_t longer = neighborhood.grid[dimension] % dilation;
  Counts sum;
  const auto add = [&](std::int64_t group, std::int64_t alike) {
    if (alike == 0) return;
    const Counts counts =
        count_group(neighborhood_axis(neighborhood, dimension, group), query_tile, key_tile);
    sum.visible_pairs += static_cast<double>(alike) * counts.visible_pairs;
    sum.visited += static_cast<double>(alike) * counts.visited;
    sum.full += static_cast<double>(alike) * counts.full;
  };
  add(0, longer);
  add(longer, dilation - longer);
  return sum;
}

// Tiles that dense attention has where they hold as many tokens as `tile`, all of them but the
// last.
double dense_tiles(const Neighborhood& neighborhood, std::span<const std::int64_t> tile,
                   const char* name) {
  if (tile.size() != neighborhood.rank()) {
    invalid("the {} tile has {} dimensions, but the grid has {}", name, tile.size(),
            neighborhood.rank());
  }
  double tokens = 1;
  for (std::size_t i = 0; i < tile.size(); ++i) {
    if (tile[i] < 1) invalid("the {} tile is {} in dimension {}, less than 1", name, tile[i], i);
    tokens *= static_cast<double>(tile[i]);
  }
  return std::ceil(static_cast<double>(neighborhood.tokens()) / tokens);
}

}  // namespace

TileStatistics simulate_tiles(const Neighborhood& neighborhood,
                              std::span<const std::int64_t> query_tile,
                              std::span<const std::int64_t> key_tile) {
  const Neighborhood full = checked(neighborhood);
  const auto tokens = static_cast<double>(full.tokens());
  TileStatistics statistics;
  statistics.tiles_total =
      dense_tiles(full, query_tile, "query") * dense_tiles(full, key_tile, "key");
  Counts counts{1, 1, 1};
  for (std::size_t i = 0; i < full.rank(); ++i) {
    const Counts dimension = count_dimension(full, i, std::min(query_tile[i], full.grid[i]),
                                             std::min(key_tile[i], full.grid[i]));
    counts.visible_pairs *= dimension.visible_pairs;
    counts.visited *= dimension.visited;
    counts.full *= dimension.full;
  }
  statistics.visible_pairs = counts.visible_pairs;
  statistics.flop_bound = tokens * tokens / counts.visible_pairs;
  statistics.tiles_visited = counts.visited;
  statistics.tiles_masked = counts.visited - counts.full;
  statistics.tile_bound = statistics.tiles_total / statistics.tiles_visited;
  return statistics;
}

}  // namespace clattn
