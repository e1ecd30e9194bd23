// A plan in words.
#include <fmt/format.h>

#include <algorithm>

#include "host/planning/plan_state.hpp"

namespace clattn {
namespace {

double percent(std::int64_t part, std::int64_t whole) {
  return whole == 0 ? 0.0 : 100.0 * double(part) / double(whole);
}

// "12.3 M" and the like, in powers of 1000.
std::string quantity(double value) {
  const char* prefixes[] = {"", " k", " M", " G", " T", " P"};
  std::size_t index = 0;
  for (; value >= 1000.0 && index + 1 < std::size(prefixes); ++index) value /= 1000.0;
  return fmt::format("{:.4g}{}", value, prefixes[index]);
}

}  // namespace

std::string explain(const Problem& problem, const Device& device, const PlanReport& report,
                    const std::optional<DeviceRates>& rates) {
  const Extent extent = problem.extent();
  std::string text;
  const auto line = [&](const char* name, const std::string& words) {
    text += fmt::format("{:<10}{}\n", name, words);
  };
  line("problem", problem_to_json(problem));
  line("device", fmt::format("{} / {} ({}), driver {}", device.facts.platform, device.facts.name,
                             to_string(device.facts.kind), device.facts.driver_version));
  line("family", fmt::format("{}: {}", report.family, report.why));
  for (const std::string& rejected : report.rejected) line("not", rejected);
  line("config", report.config);
  line("launch",
       fmt::format("{} work-groups of {} work-items, {} bytes of local memory each",
                   report.work_groups, report.work_group_size, report.local_memory_bytes));
  line("tiles",
       fmt::format("{} queries by {} keys; of {} a head, {} are visited ({:.1f}%), {} of "
                   "them with the element mask",
                   report.query_tile, report.key_tile, report.tiles_total, report.tiles_visited,
                   percent(report.tiles_visited, report.tiles_total), report.tiles_masked));
  line("pairs", fmt::format("{} of {} a head are visible ({:.1f}%)", report.visible_pairs,
                            extent.query_len * extent.key_len,
                            percent(report.visible_pairs, extent.query_len * extent.key_len)));
  line("work",
       fmt::format("{}FLOP, {}B with every tensor once: {:.4g} FLOP/B", quantity(report.flops),
                   quantity(report.bytes), report.flops / std::max(report.bytes, 1.0)));
  line("memory",
       fmt::format("{} bytes on the device beside the tensors", report.device_memory_bytes));
  if (rates) {
    const double compute = report.flops / rates->flops_per_second;
    const double transfer = report.bytes / rates->bytes_per_second;
    line("bound",
         fmt::format("{:.4g} ms by {} (measured rates: {}FLOP/s of f32 multiply-add, {}B/s "
                     "of copy)",
                     1e3 * std::max(compute, transfer),
                     compute >= transfer ? "arithmetic" : "memory",
                     quantity(rates->flops_per_second), quantity(rates->bytes_per_second)));
  }
  return text;
}

}  // namespace clattn
