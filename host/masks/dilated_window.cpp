// Dilated window: every few keys of a window. Whether a pair is visible depends on the distance
// from the query's position to the key alone, and all distances between the smallest and the
// largest occur in a rectangle of pairs, so that it is classified exactly.
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <clattn/problem.hpp>

#include "host/invalid.hpp"

namespace clattn {
namespace {

// Beside p no distance is larger, hence no multiple of a dilation of kMaxLength but 0.
constexpr std::int64_t kFurthest = Problem::kMaxLength - 1;

std::int64_t distance(std::int64_t query, std::int64_t key, const Extent& extent) {
  return key - (query + extent.key_len - extent.query_len);
}

class DilatedWindow final : public MaskNode {
 public:
  using End = std::optional<std::int64_t>;
  DilatedWindow(End left, End right, std::int64_t dilation)
      : left_(left),
        right_(right),
        dilation_(dilation),
        step_(std::min(dilation, Problem::kMaxLength)),
        first_(-reach_of(left)),
        last_(reach_of(right)) {}

  bool allows(const Point& point, const Extent& extent) const override {
    const std::int64_t t = distance(point.query, point.key, extent);
    return t % step_ == 0 && first_ <= t && t <= last_;
  }

  std::string expression(ExpressionWriter& writer) const override {
    const std::string t = "(key - query - (key_len - query_len))";
    // The numbers of mask_divides. Newton's iteration doubles the correct bits, 3 at the start.
    const int twos = std::countr_zero(static_cast<std::uint32_t>(step_));
    const std::uint32_t odd = static_cast<std::uint32_t>(step_) >> twos;
    std::uint32_t inverse = odd;
    for (int bits = 3; bits < 32; bits *= 2) inverse *= 2 - odd * inverse;
    const std::uint32_t numbers[] = {inverse, std::uint32_t((32 - twos) % 32),
                                     0xffffffffu / static_cast<std::uint32_t>(step_)};
    std::string text = "mask_divides(";
    for (std::uint32_t number : numbers) {
      text += "(uint)" + writer.integer(std::bit_cast<std::int32_t>(number)) + ", ";
    }
    text += "abs(" + t + "))";
    if (left_) text = t + " >= " + writer.integer(first_) + " && " + text;
    if (right_) text = t + " <= " + writer.integer(last_) + " && " + text;
    return text;
  }

  Coverage classify(const Slice&, const Range& queries, const Range& keys,
                    const Extent& extent) const override {
    if (queries.empty() || keys.empty()) return Coverage::none;
    const std::int64_t smallest = distance(queries.end - 1, keys.begin, extent);
    const std::int64_t largest = distance(queries.begin, keys.end - 1, extent);
    const std::int64_t low = std::max(smallest, first_), high = std::min(largest, last_);
    // The largest multiple up to `high`, by division towards zero.
    const std::int64_t multiple = high - (high % step_ + step_) % step_;
    if (low > high || multiple < low) return Coverage::none;
    const bool inside = smallest == low && largest == high;
    return inside && (step_ == 1 || low == high) ? Coverage::all : Coverage::some;
  }

  Range reach(const Slice&, const Range& queries, const Extent& extent) const override {
    if (queries.empty()) return {};
    const auto key = [&](std::int64_t query, std::int64_t end) {
      return std::clamp<std::int64_t>(query + extent.key_len - extent.query_len + end, 0,
                                      extent.key_len);
    };
    const std::int64_t begin = key(queries.begin, first_);
    return {begin, std::max(begin, key(queries.end, last_))};
  }

  std::string to_json() const override {
    const auto end = [](const End& value) { return value ? fmt::to_string(*value) : "null"; };
    return fmt::format("{{\"dilated_window\":{{\"left\":{},\"right\":{},\"dilation\":{}}}}}",
                       end(left_), end(right_), dilation_);
  }

 private:
  std::int64_t reach_of(End steps) const {
    return steps ? std::min(std::min(*steps, kFurthest) * step_, kFurthest) : kFurthest;
  }

  End left_;
  End right_;
  std::int64_t dilation_;
  std::int64_t step_;
  std::int64_t first_;  // smallest distance in the window
  std::int64_t last_;   // largest distance in the window
};

}  // namespace

Mask dilated_window_mask(std::optional<std::int64_t> left, std::optional<std::int64_t> right,
                         std::int64_t dilation) {
  for (const auto& [name, end] : {std::pair("left", left), std::pair("right", right)}) {
    if (end && *end < 0) invalid("dilated window {} is {}, but must be 0 or more", name, *end);
  }
  if (dilation < 1) invalid("dilation is {}, but must be 1 or more", dilation);
  return std::make_shared<DilatedWindow>(left, right, dilation);
}

}  // namespace clattn
