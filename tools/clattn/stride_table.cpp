#include "stride_table.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>

namespace clattn::tool {
namespace {

constexpr std::int64_t kMultiples = 3;  // of the tiles' extents
constexpr int kIndent = 10;             // as in Plan::explain
constexpr int kColumn = 30;             // characters of a dimension

std::set<std::int64_t> candidates(const Neighborhood& neighborhood, std::size_t dimension,
                                  std::int64_t query_tile, std::int64_t key_tile) {
  const std::int64_t window = neighborhood.window[dimension];
  std::set<std::int64_t> strides = {window, neighborhood.stride[dimension]};
  for (std::int64_t stride = 1; stride <= window; stride *= 2) strides.insert(stride);
  for (const std::int64_t tile : {query_tile, key_tile}) {
    if (tile == 1) continue;
    for (std::int64_t i = 1; i <= kMultiples && i <= window / tile; ++i) strides.insert(i * tile);
  }
  return strides;
}

std::string cell(const StrideChoice& choice) {
  const TileStatistics& statistics = choice.statistics;
  return fmt::format("{:>8.2f}x {:>5.1f}%{}{}{}", statistics.tile_bound,
                     100 * statistics.tiles_masked / statistics.tiles_visited,
                     choice.current ? " *" : "", choice.block_sparse ? " sparse" : "",
                     choice.free ? " free" : "");
}

}  // namespace

std::vector<StrideChoice> stride_choices(const Neighborhood& neighborhood,
                                         std::span<const std::int64_t> query_tile,
                                         std::span<const std::int64_t> key_tile) {
  const Neighborhood full = checked(neighborhood);
  std::vector<StrideChoice> choices;
  for (std::size_t i = 0; i < full.rank(); ++i) {
    const std::size_t first = choices.size();
    double highest = 0;
    for (const std::int64_t stride : candidates(full, i, query_tile[i], key_tile[i])) {
      Neighborhood changed = full;
      changed.stride[i] = stride;
      const TileStatistics statistics = simulate_tiles(changed, query_tile, key_tile);
      highest = std::max(highest, statistics.tile_bound);
      choices.push_back({.dimension = i,
                         .stride = stride,
                         .statistics = statistics,
                         .block_sparse = statistics.tiles_masked == 0,
                         .current = stride == full.stride[i]});
    }
    for (StrideChoice& choice : std::span(choices).subspan(first)) {
      choice.free = choice.statistics.tile_bound == highest;
    }
  }
  return choices;
}

std::string stride_table(std::span<const StrideChoice> choices,
                         std::span<const std::int64_t> query_tile,
                         std::span<const std::int64_t> key_tile) {
  std::map<std::int64_t, std::vector<std::string>> rows;
  std::string head = fmt::format("{:{}}{:>6} ", "", kIndent, "stride");
  for (std::size_t i = 0; i < query_tile.size(); ++i) {
    head += fmt::format("  {:<{}}", fmt::format("of dimension {}", i), kColumn);
  }
  for (const StrideChoice& choice : choices) {
    std::vector<std::string>& row = rows[choice.stride];
    row.resize(query_tile.size());
    row[choice.dimension] = cell(choice);
  }
  const auto trimmed = [](std::string line) {
    line.erase(line.find_last_not_of(' ') + 1);
    return line + '\n';
  };
  const bool single_keys =
      std::ranges::all_of(key_tile, [](std::int64_t tile) { return tile == 1; });
  std::string text =
      fmt::format("{:<{}}tiles of {} queries and {} keys: tile bound, masked share\n", "strides",
                  kIndent, fmt::join(query_tile, "x"),
                  single_keys ? "single" : fmt::format("{}", fmt::join(key_tile, "x")));
  text += trimmed(head);
  for (const auto& [stride, row] : rows) {
    std::string line = fmt::format("{:{}}{:>6} ", "", kIndent, stride);
    for (const std::string& words : row) line += fmt::format("  {:<{}}", words, kColumn);
    text += trimmed(line);
  }
  for (const char* line :
       {"*: as it is; a column changes one dimension's stride alone",
        "sparse: no visited tile holds a hidden pair, so none is masked",
        "free: no stride of the column has a higher bound, so that finer windows",
        "      than those of a larger stride cost no speed"}) {
    text += fmt::format("{:{}}{}\n", "", kIndent, line);
  }
  return text;
}

}  // namespace clattn::tool
