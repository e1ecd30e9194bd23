// ALiBi: a penalty that grows with the distance from the query's own position.
#include <fmt/ranges.h>

#include <array>
#include <bit>
#include <clattn/score.hpp>
#include <cmath>

#include "host/invalid.hpp"
#include "host/scores/tables.hpp"

namespace clattn {
namespace {

class Alibi final : public ScoreNode {
 public:
  Alibi(std::vector<float> slopes, std::int64_t batch)
      : slopes_(std::move(slopes)),
        batch_(batch),
        heads_(static_cast<std::int64_t>(slopes_.size()) / batch) {}

  double apply(double score, const Point& point, const Extent& extent) const override {
    const std::int64_t position = point.query + extent.key_len - extent.query_len;
    const std::int64_t row = batch_ > 1 ? point.batch : 0;
    const float slope = slopes_[static_cast<std::size_t>(row * heads_ + point.head)];
    return score - slope * static_cast<double>(std::abs(position - point.key));
  }

  std::string expression(ExpressionWriter& writer) const override {
    const std::string table = float_table(writer, slopes_);
    const std::string row = batch_ > 1 ? "batch * " + writer.integer(heads_) + " + head" : "head";
    return fmt::format(
        "score - as_float({}[{}]) * fabs((float)(query + (key_len - query_len) - key))", table,
        row);
  }

  void validate(const Extent&, std::int64_t batch, std::int64_t heads) const override {
    if (heads_ != heads) invalid("alibi has {} slopes, but the problem {} heads", heads_, heads);
    if (batch_ != 1 && batch_ != batch) {
      invalid("alibi has slopes of {} batches, but the problem {} (or 1 for all)", batch_, batch);
    }
  }

  std::string to_json() const override {
    const std::string slopes = batch_ > 1 ? json_arrays(slopes_, std::array{heads_})
                                          : fmt::format("[{}]", fmt::join(slopes_, ","));
    return fmt::format("{{\"alibi\":{{\"slopes\":{}}}}}", slopes);
  }

 private:
  std::vector<float> slopes_;  // [batch_, heads_]
  std::int64_t batch_;
  std::int64_t heads_;
};

}  // namespace

Score alibi_score(std::vector<float> slopes, std::int64_t batch) {
  if (batch < 1) invalid("alibi has slopes of {} batches, but must have 1 or more", batch);
  if (slopes.empty() || slopes.size() % static_cast<std::size_t>(batch) != 0) {
    invalid("alibi has {} slopes, but must have as many for each of {} batches", slopes.size(),
            batch);
  }
  require_finite("alibi slope", slopes);
  return std::make_shared<Alibi>(std::move(slopes), batch);
}

std::vector<float> alibi_slopes(std::int64_t heads) {
  if (heads < 1) invalid("alibi slopes for {} heads, but there must be 1 or more", heads);
  const auto power = static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(heads)));
  std::vector<float> slopes;
  const auto append = [&](std::int64_t of, std::int64_t step) {
    for (std::int64_t h = 1; h <= of && std::ssize(slopes) < heads; h += step) {
      slopes.push_back(
          static_cast<float>(std::exp2(-8.0 * static_cast<double>(h) / static_cast<double>(of))));
    }
  };
  append(power, 1);
  append(2 * power, 2);
  return slopes;
}

}  // namespace clattn
