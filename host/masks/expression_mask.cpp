// A user's mask. Where the host understands the expression, classify comes from interval arithmetic
// and reach from bisecting the keys with it; where not, every tile may hold visible pairs.
#include <clattn/mask.hpp>

#include "host/expressions/formula.hpp"

namespace clattn {
namespace {

using expressions::Formula;
using expressions::Interval;
using expressions::Variable;

class ExpressionMask final : public MaskNode {
 public:
  ExpressionMask(Expression expression,
                 std::function<bool(const Point& point, const Extent& extent)> allows)
      : formula_(std::move(expression), false), allows_(std::move(allows)) {}

  bool allows(const Point& point, const Extent& extent) const override {
    if (allows_) return allows_(point, extent);
    return formula_.evaluate(point, extent, 0, "allows") != 0;
  }

  std::string expression(ExpressionWriter& writer) const override {
    return formula_.call(writer, "int");
  }

  Coverage classify(const Slice& slice, const Range& queries, const Range& keys,
                    const Extent& extent) const override {
    if (queries.empty() || keys.empty()) return Coverage::none;
    if (formula_.opaque()) return Coverage::some;
    const Interval visible = formula_.bounds(variables(slice, queries, keys, extent));
    if (!visible.may_be_true()) return Coverage::none;
    return visible.may_be_false() ? Coverage::some : Coverage::all;
  }

  std::optional<Band> band(const Slice& slice, const Range& queries, const Range& keys,
                           const Extent& extent) const override {
    if (formula_.opaque()) return std::nullopt;
    return formula_.band(variables(slice, queries, keys, extent));
  }

  Range reach(const Slice& slice, const Range& queries, const Extent& extent) const override {
    if (queries.empty() || extent.key_len == 0) return {};
    const std::int64_t begin = edge(slice, queries, {0, extent.key_len}, extent, true);
    if (begin == extent.key_len) return {};
    return {begin, edge(slice, queries, {begin, extent.key_len}, extent, false)};
  }

  Variation variation() const override {
    return {formula_.names(Variable::batch), formula_.names(Variable::head)};
  }

  std::vector<std::int64_t> seams(const Slice&, const Extent& extent) const override {
    return formula_.steps(Variable::query, extent.query_len);
  }

  std::string to_json() const override { return formula_.to_json(); }

 private:
  static expressions::Variables<Interval> variables(const Slice& slice, const Range& queries,
                                                    const Range& keys, const Extent& extent) {
    const auto one = [](std::int64_t value) { return Interval{double(value), double(value)}; };
    const auto range = [](const Range& r) { return Interval{double(r.begin), double(r.end - 1)}; };
    return {one(slice.batch),      one(slice.head),     range(queries), range(keys),
            one(extent.query_len), one(extent.key_len), Interval{}};
  }

  // Where the keys that may be visible begin (the end of `keys`, if there is none), or end (their
  // begin). A sharp boundary takes two questions for each halving; where the answers stay vague,
  // the search gives up and keeps what is left.
  std::int64_t edge(const Slice& slice, const Range& queries, const Range& keys,
                    const Extent& extent, bool first) const {
    constexpr int kQuestions = 128;
    std::vector<Range> open = {keys};  // the outermost one last
    for (int question = 0; !open.empty(); ++question) {
      const Range range = open.back();
      open.pop_back();
      const Coverage coverage = classify(slice, queries, range, extent);
      if (coverage == Coverage::none) continue;
      if (coverage == Coverage::all || range.size() == 1 || question >= kQuestions) {
        return first ? range.begin : range.end;
      }
      const std::int64_t middle = range.begin + range.size() / 2;
      const Range lower{range.begin, middle}, upper{middle, range.end};
      open.push_back(first ? upper : lower);
      open.push_back(first ? lower : upper);
    }
    return first ? keys.end : keys.begin;
  }

  Formula formula_;
  std::function<bool(const Point& point, const Extent& extent)> allows_;
};

}  // namespace

Mask expression_mask(Expression expression,
                     std::function<bool(const Point& point, const Extent& extent)> allows) {
  return std::make_shared<ExpressionMask>(std::move(expression), std::move(allows));
}

}  // namespace clattn
