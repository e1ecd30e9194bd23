#include "host/planning/tile_costs.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace clattn {
namespace {

TileCost count(const Problem& problem, const Tile& tile, std::int64_t key_step, double row_keys) {
  TileCost cost;
  const auto up = [](std::int64_t count, std::int64_t step) {
    return double((count + step - 1) / step * step);
  };
  const auto add = [&](std::int64_t queries, std::int64_t keys) {
    cost.keys += up(keys, key_step);
    cost.pairs += up(queries, tile.granule) * up(keys, key_step);
  };
  if (problem.blocks) {
    const std::int64_t block = problem.blocks->query_block;
    for (std::int64_t begin = 0; begin < block; begin += tile.queries) {
      add(std::min(tile.queries, block - begin), problem.blocks->key_block);
    }
    return cost;
  }
  const Schedule schedule = make_schedule(*problem.mask, problem.extent(), 1, 1, tile, 1);
  for (const clattn_row& row : schedule.rows) {
    const std::int64_t queries = row.queries.end - row.queries.begin;
    cost.pairs += up(queries, tile.granule) * row_keys;
    for (clattn_int32 s = row.span_begin; s < row.span_end; ++s) {
      const clattn_span& span = schedule.spans[s];
      add(queries, span.key_end - span.key_begin);
    }
  }
  return cost;
}

}  // namespace

bool has_seams(const Problem& problem) {
  return problem.blocks || !problem.mask->seams({}, problem.extent()).empty();
}

TileCosts::TileCosts(const Problem& problem, const std::optional<GridProblem>& grid,
                     const PlanOptions& options)
    : problem_(problem), grid_(grid), options_(options) {
  if (grid) weigher_.emplace(problem, *grid, options);
}

TileCost TileCosts::cost(const Tile& tile, std::int64_t key_step, double row_keys) {
  const auto [place, is_new] = costs_.try_emplace({tile, key_step, row_keys});
  if (is_new) place->second = count(problem_, tile, key_step, row_keys);
  return place->second;
}

double TileCosts::time(const TileSpeed& speed) {
  return cost(speed.tile, speed.key_step, speed.row_keys).pairs / speed.speed;
}

std::size_t TileCosts::fit_rows(const std::vector<TileSpeed>& tiles) {
  std::vector<double> times;
  for (const TileSpeed& each : tiles) times.push_back(time(each));
  return static_cast<std::size_t>(std::ranges::min_element(times) - times.begin());
}

const std::vector<Tiling>& TileCosts::tilings(const TileSpeed& speed) {
  const auto [place, is_new] = tilings_.try_emplace(speed);
  if (is_new) place->second = weigher_->weigh(speed);
  return place->second;
}

std::optional<std::size_t> TileCosts::fit_boxes(const std::vector<TileSpeed>& tiles,
                                                std::vector<Tiling>& tilings, std::string& reason) {
  std::optional<std::size_t> best;
  for (std::size_t i = 0; i < tiles.size(); ++i) {
    const std::vector<Tiling>& weighed = this->tilings(tiles[i]);
    if (weighed.empty()) continue;
    if (best && weighed.front().cost_flops >= tilings.front().cost_flops) continue;
    best = i;
    tilings = weighed;
  }
  if (!best) {
    reason =
        fmt::format("a query tile of {} holds more than {} queries, the largest of this device",
                    fmt::join(options_.query_tile, "x"), tiles.front().tile.queries);
  }
  return best;
}

}  // namespace clattn
