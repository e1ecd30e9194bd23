// A bias for each head and each distance between key and position, up to a reach beyond which it
// stays the same.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <clattn/score.hpp>

#include "host/invalid.hpp"
#include "host/scores/tables.hpp"

namespace clattn {
namespace {

class RelativePosition final : public ScoreNode {
 public:
  RelativePosition(std::vector<float> table, std::int64_t reach)
      : table_(std::move(table)),
        reach_(reach),
        heads_(static_cast<std::int64_t>(table_.size()) / (2 * reach + 1)) {}

  double apply(double score, const Point& point, const Extent& extent) const override {
    const std::int64_t position = point.query + extent.key_len - extent.query_len;
    const std::int64_t column = std::clamp(point.key - position, -reach_, reach_) + reach_;
    const std::int64_t row = heads_ > 1 ? point.head : 0;
    return score + table_[static_cast<std::size_t>(row * (2 * reach_ + 1) + column)];
  }

  std::string expression(ExpressionWriter& writer) const override {
    const std::string table = float_table(writer, table_);
    const std::string reach = writer.integer(reach_);
    const std::string row = heads_ > 1 ? fmt::format("head * (2 * {} + 1) + ", reach) : "";
    return fmt::format(
        "score + as_float({}[{}clamp(key - query - (key_len - query_len), -{}, {}) + {}])", table,
        row, reach, reach, reach);
  }

  void validate(const Extent&, std::int64_t, std::int64_t heads) const override {
    if (heads_ != 1 && heads_ != heads) {
      invalid("relative_position has a table of {} heads, but the problem {} (or 1 for all)",
              heads_, heads);
    }
  }

  std::string to_json() const override {
    return fmt::format("{{\"relative_position\":{{\"reach\":{},\"table\":{}}}}}", reach_,
                       json_arrays(table_, std::array{2 * reach_ + 1}));
  }

 private:
  std::vector<float> table_;  // [heads_, 2 * reach_ + 1]
  std::int64_t reach_;
  std::int64_t heads_;
};

}  // namespace

Score relative_position_score(std::vector<float> table, std::int64_t reach) {
  constexpr std::int64_t kMostReach = std::int64_t{1} << 29;  // 2 * reach + 1 fits 32 bits
  if (reach < 0 || reach > kMostReach) {
    invalid("relative_position has reach {}, but it must be 0 to {}", reach, kMostReach);
  }
  const auto columns = static_cast<std::size_t>(2 * reach + 1);
  if (table.empty() || table.size() % columns != 0) {
    invalid("relative_position has a table of {} numbers, but must have {} (2 * reach + 1) a head",
            table.size(), columns);
  }
  require_finite("relative_position table element", table);
  return std::make_shared<RelativePosition>(std::move(table), reach);
}

}  // namespace clattn
