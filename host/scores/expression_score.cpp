// A user's score modifier.
#include <clattn/score.hpp>

#include "host/expressions/formula.hpp"

namespace clattn {
namespace {

using Apply = std::function<double(double score, const Point& point, const Extent& extent)>;

class ExpressionScore final : public ScoreNode {
 public:
  ExpressionScore(Expression expression, Apply apply)
      : formula_(std::move(expression), true), apply_(std::move(apply)) {}

  double apply(double score, const Point& point, const Extent& extent) const override {
    if (apply_) return apply_(score, point, extent);
    return formula_.evaluate(point, extent, score, "apply");
  }

  std::string expression(ExpressionWriter& writer) const override {
    return formula_.call(writer, "float");
  }

  std::string to_json() const override { return formula_.to_json(); }

 private:
  expressions::Formula formula_;
  Apply apply_;
};

}  // namespace

Score expression_score(Expression expression, Apply apply) {
  return std::make_shared<ExpressionScore>(std::move(expression), std::move(apply));
}

}  // namespace clattn
