#include "host/planning/explain_tilings.hpp"

#include <fmt/ranges.h>

#include <algorithm>

namespace clattn {
namespace {

constexpr std::size_t kMostRows = 8;

std::string extents(const std::vector<std::int64_t>& tile) {
  return tile.empty() ? "-" : fmt::format("{}", fmt::join(tile, "x"));
}

}  // namespace

std::string explain_tilings(const PlanReport& report, double all_pairs,
                            const std::optional<DeviceRates>& rates) {
  if (report.tilings.empty()) return "";
  constexpr double kMega = 1e6, kMilli = 1e-3;
  std::string text = fmt::format(
      "tilings   by visible pairs at most {:.4g} times as fast as dense; the chosen one, then by "
      "cost:\n{:<10}{:<9} {:>11} {:>11} {:>8} {:>7} {:>15}{}\n",
      all_pairs / std::max(report.visible_pairs, 1.0), "", "tokens", "query tile", "key tile",
      "bound", "masked", "permutation", rates ? "   predicted" : "");
  const std::size_t rows = std::min(report.tilings.size(), kMostRows);
  for (std::size_t i = 0; i < rows; ++i) {
    const Tiling& tiling = report.tilings[i];
    text +=
        fmt::format("{:<10}{:<9} {:>11} {:>11} {:>7.2f}x {:>6.1f}% {:>12.2f} MB", "",
                    to_string(tiling.tokens), extents(tiling.query_tile), extents(tiling.key_tile),
                    tiling.bound, 100 * tiling.masked_share, tiling.permutation_bytes / kMega);
    if (rates) {
      text += fmt::format(" {:>8.4g} ms",
                          predicted_seconds(tiling, report.dense_efficiency, *rates) / kMilli);
    }
    text += '\n';
  }
  if (rows < report.tilings.size()) {
    text += fmt::format("{:<10}and {} more\n", "", report.tilings.size() - rows);
  }
  return text;
}

}  // namespace clattn
