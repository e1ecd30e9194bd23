// A plan in words.
#include <fmt/format.h>

#include <algorithm>

#include "host/planning/explain_tilings.hpp"
#include "host/planning/plan_state.hpp"

namespace clattn {
namespace {

double percent(double part, double whole) { return whole == 0 ? 0.0 : 100.0 * part / whole; }

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
  std::string text;
  const auto line = [&](const char* name, const std::string& words) {
    text += fmt::format("{:<10}{}\n", name, words);
  };
  line("problem", problem_to_json(problem));
  line("device", fmt::format("{} / {} ({}), driver {}", device.facts.platform, device.facts.name,
                             to_string(device.facts.kind), device.facts.driver_version));
  line("family", fmt::format("{}: {}", report.family, report.why));
  for (const std::string& rejected : report.rejected) line("not", rejected);
  line("config", fmt::format("{} ({}): {}", report.config, to_string(report.parameters),
                             report.config_source));
  line("launch",
       fmt::format("{} work-groups of {} work-items, {} bytes of local memory each",
                   report.work_groups, report.work_group_size, report.local_memory_bytes));
  line("tiles",
       fmt::format("{} queries by {} keys; of {:.0f}, {:.0f} are visited ({:.1f}%), {:.0f} of "
                   "them with the element mask",
                   report.query_tile, report.key_tile, report.tiles_total, report.tiles_visited,
                   percent(report.tiles_visited, report.tiles_total), report.tiles_masked));
  if (problem.blocks) {
    line("", "their block lists come at launch: as many count as there could be");
  }
  line("balance",
       fmt::format("{:.0f}% of {} compute units busy, if tiles take the same time: {}",
                   100 * report.balance, device.facts.compute_units,
                   problem.blocks ? "unknown before launch" : "heavy rows start first") +
           (report.parts ? fmt::format("; {} rows are split into {} parts, merged by LSE",
                                       report.split_rows, report.parts)
                         : ""));
  const double all_pairs =
      double(problem.batch * problem.heads) * double(problem.query_len) * double(problem.key_len);
  line("pairs", fmt::format("{}{:.0f} of {:.0f} are visible ({:.1f}%)",
                            report.pairs_counted ? "" : "at most ", report.visible_pairs, all_pairs,
                            percent(report.visible_pairs, all_pairs)));
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
  return text + explain_tilings(report, all_pairs, rates);
}

}  // namespace clattn
