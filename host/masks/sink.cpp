// Attention sinks: the first keys are seen by every query that is not before them.
#include <fmt/format.h>

#include <algorithm>
#include <clattn/problem.hpp>

#include "host/invalid.hpp"

namespace clattn {
namespace {

class Sink final : public MaskNode {
 public:
  explicit Sink(std::int64_t tokens) : tokens_(tokens) {}

  bool allows(const Point& point, const Extent& extent) const override {
    return point.key < end(point.query, extent);
  }

  std::string expression(ExpressionWriter& writer) const override {
    const std::string last = writer.integer(std::min(tokens_, Problem::kMaxLength) - 1);
    return "key <= min(" + last + ", query + (key_len - query_len))";
  }

  Coverage classify(const Slice&, const Range& queries, const Range& keys,
                    const Extent& extent) const override {
    if (queries.empty() || keys.empty() || keys.begin >= end(queries.end - 1, extent)) {
      return Coverage::none;
    }
    return keys.end <= end(queries.begin, extent) ? Coverage::all : Coverage::some;
  }

  Range reach(const Slice&, const Range& queries, const Extent& extent) const override {
    if (queries.empty()) return {};
    return {0, std::max<std::int64_t>(0, end(queries.end - 1, extent))};
  }

  std::string to_json() const override {
    return fmt::format("{{\"sink\":{{\"tokens\":{}}}}}", tokens_);
  }

 private:
  // One past the last key that a query sees; grows with the query.
  std::int64_t end(std::int64_t query, const Extent& extent) const {
    return std::min(tokens_, query + extent.key_len - extent.query_len + 1);
  }

  std::int64_t tokens_;
};

}  // namespace

Mask sink_mask(std::int64_t tokens) {
  if (tokens < 0) invalid("sink tokens is {}, but must be 0 or more", tokens);
  return std::make_shared<Sink>(tokens);
}

}  // namespace clattn
