// clattn explain: the plan of a problem in words and numbers, and the bound that the device sets,
// without running it.
#include <fmt/format.h>

#include <algorithm>
#include <clattn/engine.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "command.hpp"
#include "launch.hpp"
#include "problem_input.hpp"

namespace clattn::tool {
namespace {

struct Options {
  ProblemOptions problem;
  std::string device, family;
  bool json = false;
};

nlohmann::ordered_json to_json(const PlanReport& report, const DeviceRates& rates) {
  const double bound = std::max(static_cast<double>(report.flops) / rates.flops_per_second,
                                static_cast<double>(report.bytes) / rates.bytes_per_second);
  return {{"family", report.family},
          {"config", report.config},
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

int explain(const Options& options) {
  const Problem problem = problem_without_tensors(options.problem);
  const Launcher launcher(options.device);
  const Plan plan = launcher.engine().plan(problem, {.family = options.family});
  const DeviceRates rates = launcher.engine().rates();
  if (options.json) {
    nlohmann::ordered_json result = {
        {"device", launcher.engine().device().facts.name},
        {"problem", nlohmann::ordered_json::parse(problem_to_json(problem))}};
    result.update(to_json(plan.report(), rates));
    fmt::print("{}\n", result.dump(2));
  } else {
    const std::string text = plan.explain(rates);
    fmt::print("{}{}", text, text.ends_with('\n') ? "" : "\n");
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
  add_family_option(*app, options->family);
  add_json_option(*app, options->json);
  return {app, [options] { return explain(*options); }};
}

}  // namespace clattn::tool
