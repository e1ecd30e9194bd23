#include "host/planning/tilings.hpp"

#include <algorithm>
#include <array>
#include <numeric>
#include <ranges>

#include "host/masks/grid_fields.hpp"

namespace clattn {
namespace {

constexpr std::size_t kMaxRank = 3;
constexpr std::size_t kReported = 6;  // tilings of each access

std::int64_t round_up(std::int64_t value, std::int64_t step) {
  return (value + step - 1) / step * step;
}

std::int64_t product(const std::vector<std::int64_t>& sizes) {
  return std::accumulate(sizes.begin(), sizes.end(), std::int64_t{1}, std::multiplies());
}

// Extents worth trying: those of few prime factors, and those that go with the stride.
std::vector<std::int64_t> extents(std::int64_t most, std::int64_t stride) {
  std::vector<std::int64_t> result = {1,  2,  3,  4,  5,  6,  8,   10,  12,  16,  20,  24,
                                      32, 40, 48, 64, 80, 96, 128, 160, 192, 256, most};
  for (std::int64_t multiple = stride; multiple <= 2 * stride; multiple += stride) {
    result.push_back(multiple);
  }
  std::ranges::sort(result);
  result.erase(std::unique(result.begin(), result.end()), result.end());
  std::erase_if(result, [&](std::int64_t extent) { return extent > most; });
  return result;
}

// Whether boxes of the grid are boxes of all tensors, for which a head may follow the one before it
// in the next batch, too.
bool boxes_lie_whole(const Problem& problem, const GridProblem& grid) {
  const Neighborhood& first = *grid.slices.front().neighborhood;
  const std::int64_t tokens = product(first.grid);
  const auto heads_follow = [&](Role role) {
    const TensorShape shape = tensor_shape(problem, role);
    return shape.batch == 1 || shape.strides.batch == shape.heads * shape.strides.head;
  };
  return grid.permutable &&
         std::ranges::all_of(first.dilation, [](std::int64_t dilation) { return dilation == 1; }) &&
         problem.query_len == tokens && problem.key_len == tokens && heads_follow(Role::query) &&
         heads_follow(Role::key) && heads_follow(Role::value);
}

// Every tile of these extents with `least` to `most` tokens, or as many as the grid has.
void add_tiles(const std::vector<std::vector<std::int64_t>>& choices, std::int64_t least,
               std::int64_t most, std::vector<std::int64_t>& tile,
               std::vector<std::vector<std::int64_t>>& tiles) {
  const std::size_t dimension = tile.size();
  if (dimension == choices.size()) {
    if (product(tile) >= least) tiles.push_back(tile);
    return;
  }
  for (std::int64_t extent : choices[dimension]) {
    if (product(tile) * extent > most) break;
    tile.push_back(extent);
    add_tiles(choices, least, most, tile, tiles);
    tile.pop_back();
  }
}

}  // namespace

AxisTile axis_tile(const NeighborhoodAxis& axis, const Range& queries, std::int64_t key_tile) {
  const Range first = axis.keys_of(queries.begin), last = axis.keys_of(queries.end - 1);
  AxisTile tile = {queries, {first.begin, last.end}, {last.begin, first.end}};
  if (key_tile > 1) {
    tile.any.begin -= tile.any.begin % key_tile;
    tile.any.end = std::min(round_up(tile.any.end, key_tile), axis.length);
    tile.all.begin = round_up(tile.all.begin, key_tile);
    if (tile.all.end < axis.length) tile.all.end -= tile.all.end % key_tile;
  }
  if (tile.all.empty()) tile.all = {tile.any.begin, tile.any.begin};
  return tile;
}

std::optional<GridProblem> grid_problem(const Problem& problem) {
  if (problem.blocks || problem.query_len == 0) return std::nullopt;
  const Variation variation = problem.mask->variation();
  GridProblem grid;
  grid.permutable = true;
  for (std::int64_t b = 0; b < (variation.batch ? problem.batch : 1); ++b) {
    for (std::int64_t h = 0; h < (variation.head ? problem.heads : 1); ++h) {
      const NeighborhoodHint hint = problem.mask->neighborhood({b, h});
      if (!hint.neighborhood) return std::nullopt;
      grid.slices.push_back(hint);
      const Neighborhood& first = *grid.slices.front().neighborhood;
      if (hint.neighborhood->grid != first.grid) return std::nullopt;
      grid.permutable = grid.permutable && hint.neighborhood->dilation == first.dilation;
    }
  }
  if (grid.slices.empty()) return std::nullopt;
  grid.boxes_suffice =
      GridFields(grid.slices.front().neighborhood->grid).fit() &&
      std::ranges::all_of(grid.slices, [](const NeighborhoodHint& hint) { return hint.exact; });
  return grid;
}

TokenOrder query_order(const GridProblem& grid, const Tiling& tiling) {
  const Neighborhood& neighborhood = *grid.slices.front().neighborhood;
  return {neighborhood.grid, tiling.query_tile, neighborhood.dilation};
}

TokenOrder key_order(const GridProblem& grid, const Tiling& tiling) {
  const Neighborhood& neighborhood = *grid.slices.front().neighborhood;
  return {neighborhood.grid, tiling.key_tile, neighborhood.dilation};
}

bool is_identity(const TokenOrder& order) {
  // Tiles are runs of tokens: whole in the last dimensions, and of one token in the first ones.
  std::size_t d = order.grid.size() - 1;
  while (d > 0 && order.tile[d] >= order.grid[d]) --d;
  return std::ranges::all_of(order.dilation, [](std::int64_t dilation) { return dilation == 1; }) &&
         std::all_of(order.tile.begin(), order.tile.begin() + static_cast<std::ptrdiff_t>(d),
                     [](std::int64_t extent) { return extent == 1; });
}

double permutation_bytes(const Problem& problem, const TokenOrder& query_order,
                         const TokenOrder& key_order) {
  double bytes = 0;
  const auto add = [&](Role role) {
    bytes +=
        2 * double(tensor_shape(problem, role).elements()) * double(size_of(problem.data_type));
  };
  if (!is_identity(query_order)) {
    add(Role::query);
    add(Role::output);
    if (problem.lse) bytes += 8 * double(problem.batch * problem.heads * problem.query_len);
  }
  if (!is_identity(key_order)) {
    add(Role::key);
    add(Role::value);
  }
  return bytes;
}

TilingWeigher::TilingWeigher(const Problem& problem, const GridProblem& grid,
                             const PlanOptions& options)
    : problem_(problem),
      options_(options),
      grid_(grid.slices.front().neighborhood->grid),
      permutable_(grid.permutable),
      boxes_lie_whole_(boxes_lie_whole(problem, grid)) {
  const double share = 1 / double(grid.slices.size());
  for (const NeighborhoodHint& hint : grid.slices) {
    const auto same = std::ranges::find_if(parts_, [&](const Part& part) {
      return part.exact == hint.exact && *part.neighborhood == *hint.neighborhood;
    });
    if (same != parts_.end()) {
      same->share += share;
    } else {
      parts_.push_back({hint.neighborhood, hint.exact, share, {}});
    }
  }
}

const std::vector<TilingWeigher::AxisClass>& TilingWeigher::classes(Part& part,
                                                                    std::size_t dimension,
                                                                    std::int64_t query_tile,
                                                                    std::int64_t key_tile) {
  const auto [place, is_new] = part.classes.try_emplace({dimension, query_tile, key_tile});
  std::vector<AxisClass>& classes = place->second;
  if (!is_new) return classes;
  const std::int64_t dilation = part.neighborhood->dilation[dimension];
  // Groups are of at most two lengths: the first `long_groups` are longer by one.
  const std::int64_t long_groups = grid_[dimension] % dilation;
  for (const auto& [group, groups] :
       {std::pair(std::int64_t{0}, long_groups), {long_groups, dilation - long_groups}}) {
    if (groups == 0) continue;
    const NeighborhoodAxis axis = neighborhood_axis(*part.neighborhood, dimension, group);
    for (std::int64_t begin = 0; begin < axis.length; begin += query_tile) {
      const AxisTile tile =
          axis_tile(axis, {begin, std::min(begin + query_tile, axis.length)}, key_tile);
      const AxisClass counts = {groups, tile.queries.size(), tile.any.size(), tile.all.size()};
      const auto same = std::ranges::find_if(classes, [&](const AxisClass& other) {
        return std::tie(other.queries, other.any, other.all) ==
               std::tie(counts.queries, counts.any, counts.all);
      });
      if (same != classes.end()) {
        same->count += groups;
      } else {
        classes.push_back(counts);
      }
    }
  }
  return classes;
}

void TilingWeigher::weigh(const TileSpeed& speed, Tiling& tiling) {
  const double pair_flops = 2.0 * double(problem_.head_dim + problem_.value_dim);
  const std::int64_t extra = problem_.key_len - product(grid_);
  double pairs = 0, masked = 0, flops = 0;
  for (Part& part : parts_) {
    // What is counted of a box of the dimensions so far, times how many there are.
    std::vector<AxisClass> boxes = {{1, 1, 1, 1}};
    for (std::size_t d = 0; d < grid_.size(); ++d) {
      std::vector<AxisClass> wider;
      const std::int64_t key_tile = tiling.key_tile.empty() ? 1 : tiling.key_tile[d];
      for (const AxisClass& axis : classes(part, d, tiling.query_tile[d], key_tile)) {
        for (const AxisClass& box : boxes) {
          wider.push_back({box.count * axis.count, box.queries * axis.queries, box.any * axis.any,
                           box.all * axis.all});
        }
      }
      boxes = std::move(wider);
    }
    for (const AxisClass& box : boxes) {
      // A tile of the caller's may be larger than the kernel's.
      const std::int64_t rows = (box.queries + speed.tile.queries - 1) / speed.tile.queries;
      const double queries =
          double(rows * round_up((box.queries + rows - 1) / rows, speed.tile.granule));
      // Gathered keys that need no mask come in whole steps, the others with the masked ones.
      const bool gathered = tiling.tokens == TokenAccess::gathered && tiling.key_tile.empty();
      const std::int64_t free_keys = !part.exact ? 0
                                     : !gathered || box.all == box.any
                                         ? box.all
                                         : box.all / speed.tile.keys * speed.tile.keys;
      const double weight = part.share * double(box.count);
      const double keys =
          double(round_up(box.any, speed.key_step) + round_up(extra, speed.key_step));
      pairs += weight * double(box.queries) * double(box.any + extra);
      masked += weight * double(box.queries) * double(box.any - free_keys);
      flops +=
          weight * ((queries / speed.speed + double(rows) * speed.key_queries) *
                        (keys + speed.row_keys) * pair_flops * (gathered ? speed.gathering : 1) +
                    queries * double(box.any - free_keys) * speed.mask_flops);
    }
  }
  const double heads = double(problem_.batch * problem_.heads);
  tiling.bound = double(problem_.query_len) * double(problem_.key_len) / pairs;
  tiling.masked_share = masked / pairs;
  if (tiling.tokens == TokenAccess::permuted && !problem_.token_order) {
    const auto& dilation = parts_.front().neighborhood->dilation;
    tiling.permutation_bytes = permutation_bytes(problem_, {grid_, tiling.query_tile, dilation},
                                                 {grid_, tiling.key_tile, dilation});
  }
  tiling.cost_flops = heads * flops + tiling.permutation_bytes * speed.flops_per_byte;
}

std::vector<Tiling> TilingWeigher::weigh(const TileSpeed& speed) {
  if (problem_.token_order) {
    Tiling tiling{TokenAccess::permuted, problem_.token_order->tile, problem_.token_order->tile};
    weigh(speed, tiling);
    return {tiling};
  }
  // Tiles with `least` to `most` tokens, or as many as the largest group has.
  const auto tiles_between = [&](std::int64_t least, std::int64_t most) {
    const Neighborhood& neighborhood = *parts_.front().neighborhood;
    std::vector<std::vector<std::int64_t>> choices, tiles;
    std::int64_t whole = 1;
    for (std::size_t d = 0; d < grid_.size(); ++d) {
      const std::int64_t length = neighborhood_axis(neighborhood, d, 0).length;
      choices.push_back(extents(std::min(length, most), neighborhood.stride[d]));
      whole *= length;
    }
    std::vector<std::int64_t> tile;
    add_tiles(choices, std::min(least, whole), most, tile, tiles);
    return tiles;
  };
  const auto by_cost = [&](std::vector<Tiling>& tilings) {
    std::ranges::stable_sort(tilings, {}, &Tiling::cost_flops);
    if (tilings.size() > kReported) tilings.resize(kReported);
  };

  auto query_tiles = tiles_between(speed.tile.queries / 2 + 1, speed.tile.queries);
  if (!options_.query_tile.empty()) {
    query_tiles.clear();
    if (product(options_.query_tile) <= speed.tile.queries) query_tiles = {options_.query_tile};
  }
  std::vector<Tiling> gathered;
  for (const auto& query_tile : query_tiles) {
    Tiling& tiling = gathered.emplace_back();
    tiling.tokens = TokenAccess::gathered;
    tiling.query_tile = query_tile;
    weigh(speed, tiling);
  }
  by_cost(gathered);
  std::vector<Tiling> boxes;
  if (speed.copies_boxes && boxes_lie_whole_) {
    const auto divide_grid = [&](const std::vector<std::int64_t>& tile) {
      return std::ranges::equal(tile, grid_, [](std::int64_t extent, std::int64_t length) {
        return length % extent == 0;
      });
    };
    const auto key_tiles = tiles_between(speed.tile.keys, speed.tile.keys);
    for (const auto& query_tile : query_tiles) {
      if (product(query_tile) != speed.tile.queries || !divide_grid(query_tile)) continue;
      for (const auto& key_tile : key_tiles | std::views::filter(divide_grid)) {
        Tiling& tiling = boxes.emplace_back();
        tiling.tokens = TokenAccess::gathered;
        tiling.query_tile = query_tile;
        tiling.key_tile = key_tile;
        weigh(speed, tiling);
      }
    }
    by_cost(boxes);
  }
  std::vector<Tiling> permuted;
  if (permutable_ && options_.tokens != TokenAccess::gathered) {
    auto key_tiles = tiles_between(speed.tile.keys / 2 + 1, 2 * speed.tile.keys);
    if (!options_.key_tile.empty()) key_tiles = {options_.key_tile};
    for (const Tiling& like : gathered) {
      for (const auto& key_tile : key_tiles) {
        Tiling& tiling = permuted.emplace_back();
        tiling.tokens = TokenAccess::permuted;
        tiling.query_tile = like.query_tile;
        tiling.key_tile = key_tile;
        weigh(speed, tiling);
      }
    }
    by_cost(permuted);
  }
  if (options_.tokens == TokenAccess::permuted) {
    gathered.clear();
    boxes.clear();
  }
  gathered.insert(gathered.end(), boxes.begin(), boxes.end());
  gathered.insert(gathered.end(), permuted.begin(), permuted.end());
  std::ranges::stable_sort(gathered, {}, &Tiling::cost_flops);
  return gathered;
}

}  // namespace clattn
