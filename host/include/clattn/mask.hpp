// The mask language. A mask is a boolean function of (batch, head, query, key), written once and
// seen in four views that must agree: `allows` for one pair, an OpenCL C expression for the tiles
// that need an element mask, `classify` for a rectangle of pairs, and `reach` for the keys that a
// range of queries can see at all. Indices count tokens from 0; ranges are half-open.
//
// Meaning, fixed: query i and key j stand on one line with the last query beside the last key
// ("bottom-right"), so that query i is at position i + key_len - query_len among the keys.
#pragma once

#include <clattn/export.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace clattn {

struct Range {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  bool empty() const { return end <= begin; }
  std::int64_t size() const { return empty() ? 0 : end - begin; }
  friend bool operator==(const Range&, const Range&) = default;
};

struct Point {
  std::int64_t batch = 0;
  std::int64_t head = 0;
  std::int64_t query = 0;
  std::int64_t key = 0;
};

// The lengths that a mask is laid over.
struct Extent {
  std::int64_t query_len = 0;
  std::int64_t key_len = 0;
};

enum class Coverage { none, some, all };

// Collects the numbers of an expression, so that kernels receive them as arguments and a window of
// another size needs no other program. At most CLATTN_MASK_VALUES (8) of them.
class CLATTN_API ExpressionWriter {
 public:
  // Returns OpenCL C text that evaluates to `value`. Throws Error (unsupported) when the slots are
  // used up or the value does not fit 32 bits.
  std::string integer(std::int64_t value);
  const std::vector<std::int32_t>& values() const { return values_; }

 private:
  std::vector<std::int32_t> values_;
};

// One mask. Immutable, hence thread-safe. Ranges passed in lie inside the extent.
class CLATTN_API MaskNode {
 public:
  virtual ~MaskNode() = default;

  virtual bool allows(const Point& point, const Extent& extent) const = 0;

  // An OpenCL C expression of the ints `batch`, `head`, `query` and `key`; 0 is false. It is
  // evaluated for 0 <= query < query_len and 0 <= key < key_len only, with both below 2^30.
  virtual std::string expression(ExpressionWriter& writer, const Extent& extent) const = 0;

  // `none` and `all` are promises; `some` is always a safe answer.
  virtual Coverage classify(const Range& queries, const Range& keys,
                            const Extent& extent) const = 0;

  // A range outside which no query of `queries` sees any key. In closed form: constant time.
  virtual Range reach(const Range& queries, const Extent& extent) const = 0;

  // The mask as the JSON text of the problem format, "{}" for no mask.
  virtual std::string to_json() const = 0;
};

using Mask = std::shared_ptr<const MaskNode>;

enum class CausalAlign { bottom_right, top_left };

// Every query sees every key.
CLATTN_API Mask dense_mask();

// bottom_right: key j is visible iff j <= i + key_len - query_len. top_left: iff j <= i.
CLATTN_API Mask causal_mask(CausalAlign align = CausalAlign::bottom_right);

// Key j is visible iff p - left <= j <= p + right with p = i + key_len - query_len; both ends are
// inclusive, and an absent end does not bound. Throws Error (invalid_argument) on a negative end.
CLATTN_API Mask window_mask(std::optional<std::int64_t> left, std::optional<std::int64_t> right);

// The number of pairs (query, key) that `mask` allows for one batch and head: the exact count, by
// recursive classification; the cost grows with the length of the mask's boundary.
CLATTN_API std::int64_t count_visible_pairs(const MaskNode& mask, const Extent& extent);

}  // namespace clattn
