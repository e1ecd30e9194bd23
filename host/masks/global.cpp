// Global tokens: they see every key and are seen by every query. Neighbouring tokens are kept as
// runs, by the sorted list of their ends [begin, end, begin, end, ...]: a position is in a run iff
// the number of ends up to it is odd, and a range without an end inside is all in or all out.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <clattn/mask.hpp>

#include "host/invalid.hpp"

namespace clattn {
namespace {

class Global final : public MaskNode {
 public:
  Global(std::vector<std::int64_t> tokens, std::vector<std::int64_t> ends)
      : tokens_(std::move(tokens)), ends_(std::move(ends)) {}

  bool allows(const Point& point, const Extent& extent) const override {
    return rank(point.key) % 2 == 1 || rank(position(point.query, extent)) % 2 == 1;
  }

  std::string expression(ExpressionWriter& writer) const override {
    const std::vector<std::int32_t> ends(ends_.begin(), ends_.end());
    const std::string table = writer.table(ends);
    const std::string arguments =
        table + ", " + writer.integer(static_cast<std::int64_t>(ends.size())) + ", ";
    return "(mask_rank(" + arguments + "key) | mask_rank(" + arguments +
           "query + (key_len - query_len))) & 1";
  }

  Coverage classify(const Slice&, const Range& queries, const Range& keys,
                    const Extent& extent) const override {
    if (queries.empty() || keys.empty()) return Coverage::none;
    const Coverage of_keys = coverage(keys), of_queries = coverage(positions(queries, extent));
    if (of_keys == Coverage::all || of_queries == Coverage::all) return Coverage::all;
    const bool none = of_keys == Coverage::none && of_queries == Coverage::none;
    return none ? Coverage::none : Coverage::some;
  }

  Range reach(const Slice&, const Range& queries, const Extent& extent) const override {
    if (queries.empty() || ends_.empty()) return {};
    if (coverage(positions(queries, extent)) != Coverage::none) return {0, extent.key_len};
    return {ends_.front(), ends_.back()};
  }

  void validate(const Extent& extent, std::int64_t, std::int64_t) const override {
    if (!ends_.empty() && ends_.back() > extent.key_len) {
      invalid("global token {} is beyond the last of {} keys", ends_.back() - 1, extent.key_len);
    }
  }

  std::string to_json() const override {
    return fmt::format("{{\"global\":{{\"tokens\":[{}]}}}}", fmt::join(tokens_, ","));
  }

 private:
  static std::int64_t position(std::int64_t query, const Extent& extent) {
    return query + extent.key_len - extent.query_len;
  }
  static Range positions(const Range& queries, const Extent& extent) {
    return {position(queries.begin, extent), position(queries.end, extent)};
  }

  std::ptrdiff_t rank(std::int64_t position) const {
    return std::upper_bound(ends_.begin(), ends_.end(), position) - ends_.begin();
  }

  // How much of a range that is not empty is in runs.
  Coverage coverage(const Range& range) const {
    const std::ptrdiff_t first = rank(range.begin);
    if (first != rank(range.end - 1)) return Coverage::some;
    return first % 2 == 1 ? Coverage::all : Coverage::none;
  }

  std::vector<std::int64_t> tokens_;
  std::vector<std::int64_t> ends_;
};

}  // namespace

Mask global_mask(std::vector<std::int64_t> tokens) {
  std::vector<std::int64_t> sorted = tokens;
  std::sort(sorted.begin(), sorted.end());
  std::vector<std::int64_t> ends;
  for (std::int64_t token : sorted) {
    if (token < 0) invalid("global token {} must be 0 or more", token);
    if (!ends.empty() && token < ends.back()) invalid("global token {} is repeated", token);
    if (ends.empty() || token > ends.back()) {
      ends.insert(ends.end(), {token, token + 1});
    } else {
      ++ends.back();
    }
  }
  return std::make_shared<Global>(std::move(tokens), std::move(ends));
}

}  // namespace clattn
