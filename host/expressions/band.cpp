// What a mask's expression is within a rectangle where interval arithmetic settles most of it: if
// only comparisons of key - query with constants are left, a band. Kernels then compare, whatever
// the expression costs.
#include <algorithm>

#include "host/expressions/formula.hpp"

namespace clattn::expressions {
namespace {

constexpr std::int64_t kBeyond = std::int64_t{1} << 40;  // any difference of a key and a query

}  // namespace

std::optional<Formula::Line> Formula::line(std::int32_t index,
                                           const Variables<Interval>& variables) const {
  const Node& node = tree_.nodes[static_cast<std::size_t>(index)];
  if (node.type != Type::int_type) return std::nullopt;
  const Interval bounds = range(index, variables);
  // A sum that may have wrapped is no line.
  if (bounds.low == whole(node.type).low) return std::nullopt;
  if (bounds.single()) return Line{0, 0, static_cast<std::int64_t>(bounds.low)};
  if (node.op == Operator::variable) {
    return Line{node.operands[0] == static_cast<int>(Variable::query),
                node.operands[0] == static_cast<int>(Variable::key), 0};
  }
  if (node.op != Operator::add && node.op != Operator::subtract) return std::nullopt;
  const std::optional<Line> a = line(node.operands[0], variables);
  const std::optional<Line> b = line(node.operands[1], variables);
  if (!a || !b) return std::nullopt;
  const int sign = node.op == Operator::add ? 1 : -1;
  return Line{a->query + sign * b->query, a->key + sign * b->key, a->constant + sign * b->constant};
}

std::optional<Band> Formula::band(const Variables<Interval>& variables) const {
  return band(static_cast<std::int32_t>(tree_.nodes.size()) - 1, variables);
}

std::optional<Band> Formula::band(std::int32_t index, const Variables<Interval>& variables) const {
  const Node& node = tree_.nodes[static_cast<std::size_t>(index)];
  const auto settled = [&](std::size_t operand, bool value) {
    const Interval bounds = range(node.operands[operand], variables);
    return value ? !bounds.may_be_false() : !bounds.may_be_true();
  };
  const auto part = [&](std::size_t operand) { return band(node.operands[operand], variables); };
  switch (node.op) {
    case Operator::logical_and: {
      if (settled(0, true)) return part(1);
      if (settled(1, true)) return part(0);
      const std::optional<Band> a = part(0), b = part(1);
      if (!a || !b) return std::nullopt;
      return Band{std::max(a->first, b->first), std::min(a->last, b->last)};
    }
    case Operator::logical_or:
      return settled(0, false) ? part(1) : settled(1, false) ? part(0) : std::nullopt;
    case Operator::conditional:
      return settled(0, true) ? part(1) : settled(0, false) ? part(2) : std::nullopt;
    case Operator::less:
    case Operator::less_equal:
    case Operator::equal:
      break;
    default:
      return std::nullopt;
  }
  const std::optional<Line> left = line(node.operands[0], variables);
  const std::optional<Line> right = line(node.operands[1], variables);
  if (!left || !right) return std::nullopt;
  // left - right = slope * (key - query) + constant.
  const int slope = left->key - right->key;
  const std::int64_t constant = left->constant - right->constant;
  if (slope * slope != 1 || left->query - right->query != -slope) return std::nullopt;
  if (node.op == Operator::equal) return Band{-slope * constant, -slope * constant};
  // slope * difference <= most.
  const std::int64_t most = -constant - (node.op == Operator::less);
  return slope > 0 ? Band{-kBeyond, most} : Band{-most, kBeyond};
}

}  // namespace clattn::expressions
