// A user's expression as masks and score modifiers use it: checked, evaluated on the host where the
// host understands it, written into kernels as it stands.
#pragma once

#include <array>
#include <clattn/expression.hpp>
#include <clattn/mask.hpp>
#include <optional>
#include <string>
#include <vector>

#include "host/expressions/interval.hpp"
#include "host/expressions/tree.hpp"

namespace clattn::expressions {

template <typename Number>
using Variables = std::array<Number, kVariables>;  // by Variable

// Immutable, hence thread-safe.
class Formula {
 public:
  // Throws Error (invalid_argument) for names or text that expression.hpp forbids.
  Formula(Expression expression, bool with_score);

  // The host does not understand the text.
  bool opaque() const { return tree_.nodes.empty(); }
  bool names(Variable variable) const;

  // Throws Error: unsupported where the text is opaque, invalid_argument for a division by 0, an
  // element that does not exist, and one of a buffer that is bound at launch. `instead` names the
  // parameter with which users can bring a function of their own.
  double evaluate(const Point& point, const Extent& extent, double score,
                  const char* instead) const;

  // Where integer divisions, remainders and shifts of `variable` by a constant step, and where a
  // buffer that it indexes holds another value than before, below `length`: ascending. What changes
  // at nearly every number is left out.
  std::vector<std::int64_t> steps(Variable variable, std::int64_t length) const;

  // Bounds of all values that `evaluate` could give for such variables; the text is not opaque.
  // They are sharper for masks, whose buffers alone are prepared for it.
  Interval bounds(const Variables<Interval>& variables) const;

  // The band that the expression is for such variables, if it is known to be one.
  std::optional<Band> band(const Variables<Interval>& variables) const;

  // A call of a function of this result, "int" (0 or 1) or "float", that holds the text.
  std::string call(ExpressionWriter& writer, const std::string& result) const;

  // {"opencl":{...}}
  std::string to_json() const;

 private:
  double value(std::int32_t node, const Variables<double>& variables) const;
  double element(const Node& node, double index) const;
  Interval range(std::int32_t node, const Variables<Interval>& variables) const;
  // query * query number + key * key number + constant.
  struct Line {
    int query;
    int key;
    std::int64_t constant;
  };
  std::optional<Line> line(std::int32_t node, const Variables<Interval>& variables) const;
  std::optional<Band> band(std::int32_t node, const Variables<Interval>& variables) const;
  [[noreturn]] void fail(const Node& node, const std::string& message) const;

  Expression expression_;
  bool with_score_;
  Tree tree_;
  std::vector<std::optional<BufferBounds>> buffers_;  // of a mask's with values
};

}  // namespace clattn::expressions
