// Softcap: scores between -cap and cap.
#include <fmt/format.h>

#include <clattn/score.hpp>
#include <cmath>

#include "host/invalid.hpp"

namespace clattn {
namespace {

class Softcap final : public ScoreNode {
 public:
  explicit Softcap(float cap) : cap_(cap) {}

  double apply(double score, const Point&, const Extent&) const override {
    return cap_ * std::tanh(score / cap_);
  }

  // The device divides by cap with a product: one division less for every pair.
  std::string expression(ExpressionWriter& writer) const override {
    const std::string cap = writer.real(cap_);
    return fmt::format("softcap(score, {}, {})", cap, writer.real(1 / cap_));
  }

  std::string to_json() const override { return fmt::format("{{\"softcap\":{}}}", cap_); }

 private:
  float cap_;
};

}  // namespace

Score softcap_score(float cap) {
  constexpr float kSmallest = 1e-30f, kLargest = 1e30f;  // 1 / cap must be a normal number too
  if (!(cap >= kSmallest && cap <= kLargest)) {
    invalid("softcap is {}, but must be {} to {}", cap, kSmallest, kLargest);
  }
  return std::make_shared<Softcap>(cap);
}

}  // namespace clattn
