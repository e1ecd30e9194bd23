// Prefix: the first keys are seen by every query.
#include <fmt/format.h>

#include <algorithm>
#include <clattn/problem.hpp>

#include "host/invalid.hpp"

namespace clattn {
namespace {

class Prefix final : public MaskNode {
 public:
  explicit Prefix(std::int64_t length) : length_(length) {}

  bool allows(const Point& point, const Extent&) const override { return point.key < length_; }

  std::string expression(ExpressionWriter& writer) const override {
    return "key < " + writer.integer(std::min(length_, Problem::kMaxLength));
  }

  Coverage classify(const Slice&, const Range& queries, const Range& keys,
                    const Extent&) const override {
    if (queries.empty() || keys.empty() || keys.begin >= length_) return Coverage::none;
    return keys.end <= length_ ? Coverage::all : Coverage::some;
  }

  Range reach(const Slice&, const Range&, const Extent& extent) const override {
    return {0, std::min(length_, extent.key_len)};
  }

  std::string to_json() const override {
    return fmt::format("{{\"prefix\":{{\"length\":{}}}}}", length_);
  }

 private:
  std::int64_t length_;
};

}  // namespace

Mask prefix_mask(std::int64_t length) {
  if (length < 0) invalid("prefix length is {}, but must be 0 or more", length);
  return std::make_shared<Prefix>(length);
}

}  // namespace clattn
