// A bias for each head and each distance on a grid, dimension by dimension, up to a reach beyond
// which it stays the same. The table is [heads, 2 * reach + 1, ...], the last dimension fastest, as
// tokens run over the grid.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <clattn/problem.hpp>
#include <clattn/score.hpp>

#include "host/grid_check.hpp"
#include "host/masks/divisor.hpp"
#include "host/scores/tables.hpp"

namespace clattn {
namespace {

constexpr std::int64_t kMostReach = std::int64_t{1} << 29;  // 2 * reach + 1 fits 32 bits

class GridPosition final : public ScoreNode {
 public:
  GridPosition(std::vector<float> table, std::vector<std::int64_t> grid,
               std::vector<std::int64_t> reach)
      : table_(std::move(table)), grid_(std::move(grid)), reach_(std::move(reach)) {
    std::int64_t entries = 1;
    for (std::size_t d = 0; d < grid_.size(); ++d) {
      tokens_ *= grid_[d];
      sizes_.push_back(2 * reach_[d] + 1);
      entries *= sizes_[d];
    }
    heads_ = std::ssize(table_) / entries;
  }

  double apply(double score, const Point& point, const Extent&) const override {
    if (std::max(point.query, point.key) >= tokens_) return score;
    std::int64_t query = point.query, key = point.key;
    std::int64_t index = 0, entries = 1;
    for (std::size_t d = grid_.size(); d-- > 0;) {
      const std::int64_t distance = key % grid_[d] - query % grid_[d];
      index += (std::clamp(distance, -reach_[d], reach_[d]) + reach_[d]) * entries;
      entries *= sizes_[d];
      query /= grid_[d];
      key /= grid_[d];
    }
    if (heads_ > 1) index += point.head * entries;
    return score + table_[static_cast<std::size_t>(index)];
  }

  // The rank is written out, so that a compiler may unroll the loop over dimensions.
  std::string expression(ExpressionWriter& writer) const override {
    std::vector<std::int32_t> grid = {static_cast<std::int32_t>(tokens_)};
    for (std::size_t d = 0; d < grid_.size(); ++d) {
      append_divisor(grid, grid_[d]);
      grid.push_back(static_cast<std::int32_t>(reach_[d]));
    }
    const std::string grid_table = writer.table(grid);
    return fmt::format("score + grid_position_bias({}, {}, {}, {}, query, key)", grid_table,
                       float_table(writer, table_), grid_.size(), heads_ > 1 ? "head" : "0");
  }

  void validate(const Extent& extent, std::int64_t, std::int64_t heads) const override {
    const auto check_length = [&](const char* name, std::int64_t length) {
      if (length >= tokens_) return;
      invalid("{} is {}, but must be at least {}, the tokens of grid_position's grid {}", name,
              length, tokens_, fmt::join(grid_, " x "));
    };
    check_length("q_len", extent.query_len);
    check_length("kv_len", extent.key_len);
    if (heads_ != 1 && heads_ != heads) {
      invalid("grid_position has a table of {} heads, but the problem {} (or 1 for all)", heads_,
              heads);
    }
  }

  std::string to_json() const override {
    return fmt::format(R"({{"grid_position":{{"grid":[{}],"reach":[{}],"table":{}}}}})",
                       fmt::join(grid_, ","), fmt::join(reach_, ","), json_arrays(table_, sizes_));
  }

 private:
  std::vector<float> table_;  // [heads_, sizes_...]
  std::vector<std::int64_t> grid_;
  std::vector<std::int64_t> reach_;
  std::vector<std::int64_t> sizes_;
  std::int64_t tokens_ = 1;
  std::int64_t heads_ = 0;
};

}  // namespace

Score grid_position_score(std::vector<float> table, std::vector<std::int64_t> grid,
                          std::vector<std::int64_t> reach) {
  const GridCheck check("grid_position", grid);
  check.size("reach", reach);
  for (std::size_t d = 0; d < grid.size(); ++d) check.within("reach", d, reach[d], 0, kMostReach);
  std::vector<std::int64_t> sizes;
  std::int64_t heads = std::ssize(table);  // rounded down
  std::int64_t entries = 1;
  for (std::int64_t at : reach) {
    sizes.push_back(2 * at + 1);
    heads /= sizes.back();
    entries *= heads > 0 ? sizes.back() : 1;
  }
  if (heads < 1 || heads * entries != std::ssize(table)) {
    invalid("grid_position has a table of {} numbers, but must have {} (2 * reach + 1) a head",
            table.size(), fmt::join(sizes, " x "));
  }
  require_finite("grid_position table element", table);
  return std::make_shared<GridPosition>(std::move(table), std::move(grid), std::move(reach));
}

}  // namespace clattn
