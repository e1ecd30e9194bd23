// clattn explain: the plan of a problem in words and numbers, and the bound that the device sets,
// without running it.
#include <fmt/format.h>

#include <algorithm>
#include <clattn/engine.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "command.hpp"
#include "host/planning/explain_tilings.hpp"
#include "launch.hpp"
#include "problem_input.hpp"
#include "stride_table.hpp"

namespace clattn::tool {
namespace {

struct Options {
  ProblemOptions problem;
  std::string device;
  PlanOptions plan;
  bool json = false;
};

nlohmann::ordered_json to_json(const PlanReport& report, const DeviceRates& rates) {
  const double bound = std::max(static_cast<double>(report.flops) / rates.flops_per_second,
                                static_cast<double>(report.bytes) / rates.bytes_per_second);
  return {{"family", report.family},
          {"config", report.config},
          {"config_source", report.config_source},
          {"parameters", report.parameters},
          {"why", report.why},
          {"rejected", report.rejected},
          {"query_tile", report.query_tile},
          {"key_tile", report.key_tile},
          {"tiles_total", report.tiles_total},
          {"tiles_visited", report.tiles_visited},
          {"tiles_masked", report.tiles_masked},
          {"visible_pairs", report.visible_pairs},
          {"pairs_counted", report.pairs_counted},
          {"balance", report.balance},
          {"split_rows", report.split_rows},
          {"parts", report.parts},
          {"flops", report.flops},
          {"bytes", report.bytes},
          {"work_groups", report.work_groups},
          {"work_group_size", report.work_group_size},
          {"local_memory_bytes", report.local_memory_bytes},
          {"device_memory_bytes", report.device_memory_bytes},
          {"flops_per_second", rates.flops_per_second},
          {"bytes_per_second", rates.bytes_per_second},
          {"bound_seconds", bound}};
}

nlohmann::ordered_json to_json(const Tiling& tiling, double dense_efficiency,
                               const DeviceRates& rates) {
  return {{"tokens", to_string(tiling.tokens)},
          {"query_tile", tiling.query_tile},
          {"key_tile", tiling.key_tile},
          {"bound", tiling.bound},
          {"masked_share", tiling.masked_share},
          {"permutation_bytes", tiling.permutation_bytes},
          {"cost_flops", tiling.cost_flops},
          {"predicted_seconds", predicted_seconds(tiling, dense_efficiency, rates)}};
}

nlohmann::ordered_json to_json(const StrideChoice& choice) {
  const TileStatistics& statistics = choice.statistics;
  return {{"dimension", choice.dimension},
          {"stride", choice.stride},
          {"tile_bound", statistics.tile_bound},
          {"masked_share", statistics.tiles_masked / statistics.tiles_visited},
          {"block_sparse", choice.block_sparse},
          {"free", choice.free},
          {"current", choice.current}};
}

// The tiles that strides are weighed with: those of the plan or, where they are no boxes of the
// grid, those of the cheapest tiling whose tiles are; empty if there are none. Gathered keys come
// one by one.
struct GridTiles {
  std::vector<std::int64_t> query, key;
};

GridTiles grid_tiles(const Problem& problem, const Neighborhood& neighborhood,
                     const PlanReport& report) {
  if (problem.token_order) return {problem.token_order->tile, problem.token_order->tile};
  const bool in_place =
      report.tilings.empty() || report.tilings.front().tokens == TokenAccess::in_place;
  if (in_place && neighborhood.rank() == 1 && neighborhood.dilation[0] == 1) {
    return {{report.query_tile}, {report.key_tile}};
  }
  const auto boxes = std::ranges::find_if(
      report.tilings, [](const Tiling& tiling) { return !tiling.query_tile.empty(); });
  if (boxes == report.tilings.end()) return {};
  if (!boxes->key_tile.empty()) return {boxes->query_tile, boxes->key_tile};
  return {boxes->query_tile, std::vector<std::int64_t>(neighborhood.rank(), 1)};
}

int explain(const Options& options) {
  const Problem problem = problem_without_tensors(options.problem);
  const Launcher launcher(options.device);
  const Plan plan = launcher.engine().plan(problem, options.plan);
  const DeviceRates rates = launcher.engine().rates();
  const PlanReport report = plan.report();
  const Neighborhood* const neighborhood = problem.mask->neighborhood({}).neighborhood;
  GridTiles tiles;
  std::vector<StrideChoice> strides;
  if (neighborhood) tiles = grid_tiles(problem, *neighborhood, report);
  if (!tiles.query.empty()) strides = stride_choices(*neighborhood, tiles.query, tiles.key);
  if (options.json) {
    nlohmann::ordered_json result = {
        {"device", launcher.engine().device().facts.name},
        {"problem", nlohmann::ordered_json::parse(problem_to_json(problem))}};
    result.update(to_json(report, rates));
    for (const Tiling& tiling : report.tilings) {
      result["tilings"].push_back(to_json(tiling, report.dense_efficiency, rates));
    }
    for (const StrideChoice& choice : strides) result["strides"].push_back(to_json(choice));
    fmt::print("{}\n", result.dump(2));
  } else {
    const std::string text = plan.explain(rates);
    fmt::print("{}{}", text, text.ends_with('\n') ? "" : "\n");
    if (!strides.empty()) fmt::print("{}", stride_table(strides, tiles.query, tiles.key));
  }
  return kSuccess;
}

}  // namespace

Command add_explain(CLI::App& parent) {
  CLI::App* const app =
      parent.add_subcommand("explain", "The plan of a problem, without running it");
  app->footer(
      "Example: clattn explain --q-len 4096 --kv-len 4096 --head-dim 128 --dtype bf16 "
      "--problem '{\"mask\": {\"causal\": {}}}'");
  const auto options = std::make_shared<Options>();
  add_problem_option(*app, options->problem);
  add_size_options(*app, options->problem);
  add_device_option(*app, options->device);
  add_plan_options(*app, options->plan);
  add_json_option(*app, options->json);
  return {app, [options] { return explain(*options); }};
}

}  // namespace clattn::tool
