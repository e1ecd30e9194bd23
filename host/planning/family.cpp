#include "host/planning/family.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <clattn/engine.hpp>

#include "host/invalid.hpp"

namespace clattn {

const std::vector<const Family*>& families() {
  static const std::vector<const Family*> all = {&nvidia_wgmma_family(), &nvidia_mma_family(),
                                                 &cpu_family(), &portable_family()};
  return all;
}

bool has_seams(const Problem& problem) {
  return problem.blocks || !problem.mask->seams({}, problem.extent()).empty();
}

TileCost tile_cost(const Problem& problem, const Tile& tile, std::int64_t key_step,
                   double row_keys) {
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

std::size_t fit_rows(const Problem& problem, const std::vector<TileSpeed>& tiles) {
  std::vector<double> times;
  for (const TileSpeed& each : tiles) {
    times.push_back(tile_cost(problem, each.tile, each.key_step, each.row_keys).pairs / each.speed);
  }
  return static_cast<std::size_t>(std::ranges::min_element(times) - times.begin());
}

std::optional<std::size_t> fit_boxes(const Problem& problem, const GridProblem& grid,
                                     const PlanOptions& options,
                                     const std::vector<TileSpeed>& tiles,
                                     std::vector<Tiling>& tilings, std::string& reason) {
  TilingWeigher weigher(problem, grid, options);
  std::optional<std::size_t> best;
  for (std::size_t i = 0; i < tiles.size(); ++i) {
    std::vector<Tiling> weighed = weigher.weigh(tiles[i]);
    if (weighed.empty()) continue;
    if (best && weighed.front().cost_flops >= tilings.front().cost_flops) continue;
    best = i;
    tilings = std::move(weighed);
  }
  if (!best) {
    reason =
        fmt::format("a query tile of {} holds more than {} queries, the largest of this device",
                    fmt::join(options.query_tile, "x"), tiles.front().tile.queries);
  }
  return best;
}

namespace {

void check_tile(const char* name, const std::vector<std::int64_t>& tile, const GridProblem& grid) {
  if (tile.empty()) return;
  const std::size_t rank = grid.slices.front().neighborhood->rank();
  if (tile.size() != rank) {
    invalid("the {} has {} dimensions, but the grid has {}", name, tile.size(), rank);
  }
  for (std::size_t d = 0; d < rank; ++d) {
    if (tile[d] < 1 || tile[d] > Problem::kMaxLength) {
      invalid("the {} of dimension {} is {}, but must be 1 to {}", name, d, tile[d],
              Problem::kMaxLength);
    }
  }
}

// The grid whose boxes may be tiles, in view of what was asked for.
std::optional<GridProblem> choose_grid(const Problem& problem, const PlanOptions& options) {
  const bool asked = options.tokens != TokenAccess::automatic || !options.query_tile.empty() ||
                     !options.key_tile.empty();
  if (problem.token_order && asked) {
    invalid("the tensors lie in an order of their own: its tiles and access can't be chosen");
  }
  std::optional<GridProblem> grid = grid_problem(problem);
  if (!grid) {
    if (asked) {
      invalid(
          "tokens \"{}\" and tiles of a grid are for masks within one neighborhood, whose "
          "blocks are not listed",
          to_string(options.tokens));
    }
    return std::nullopt;
  }
  check_tile("query tile", options.query_tile, *grid);
  check_tile("key tile", options.key_tile, *grid);
  if (options.tokens == TokenAccess::permuted && !grid->permutable) {
    invalid("tokens can't be permuted: the dilations of the heads or batches differ");
  }
  if (!options.key_tile.empty() && options.tokens != TokenAccess::permuted) {
    invalid("a key tile is for tokens that are permuted, but they are {}",
            to_string(options.tokens));
  }
  if (options.tokens == TokenAccess::in_place) {
    if (!options.query_tile.empty()) {
      invalid("a query tile of the grid is for tokens that are gathered or permuted");
    }
    return std::nullopt;
  }
  return grid;
}

}  // namespace

Decision decide(const Problem& problem, const DeviceFacts& facts, const PlanOptions& options) {
  validate(problem);
  const std::string& wanted = options.family;
  const std::vector<std::string> names = family_names();
  if (!wanted.empty() && std::find(names.begin(), names.end(), wanted) == names.end()) {
    invalid("family \"{}\" is unknown; known are {}", wanted, fmt::join(names, ", "));
  }
  Decision decision;
  decision.grid = choose_grid(problem, options);
  decision.hooks = make_hooks(problem, !decision.grid || !decision.grid->boxes_suffice);
  for (const Family* family : families()) {
    std::string reason;
    if (!facts.compiler) {
      reason = fmt::format("device {} has no OpenCL C compiler", facts.name);
    } else if (!wanted.empty() && family->name() != wanted) {
      reason = fmt::format("{} was asked for", wanted);
    } else if (decision.family) {
      reason = fmt::format("{} is preferred", decision.family->name());
    } else {
      reason = family->rejection(facts);
    }
    if (reason.empty()) {
      if (auto choice = family->choose(problem, decision.grid, facts, options, reason)) {
        decision.family = family;
        decision.choice = std::move(*choice);
        continue;
      }
      decision.category = ErrorCategory::device_limit;
    }
    decision.rejected.push_back(fmt::format("{}: {}", family->name(), reason));
  }
  return decision;
}

std::vector<std::string> family_names() {
  std::vector<std::string> names;
  for (const Family* family : families()) names.push_back(family->name());
  return names;
}

std::string family_rejection(const std::string& name, const DeviceFacts& facts) {
  for (const Family* family : families()) {
    if (family->name() != name) continue;
    return facts.compiler ? family->rejection(facts) : "the device has no OpenCL C compiler";
  }
  invalid("family \"{}\" is unknown", name);
}

}  // namespace clattn
