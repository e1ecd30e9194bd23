// The mask language. A mask is a boolean function of (batch, head, query, key), written once and
// seen in four views that must agree: `allows` for one pair, an OpenCL C expression for the tiles
// that need an element mask, `classify` for a rectangle of pairs, and `reach` for the keys that a
// range of queries can see at all. Masks combine with all_of, any_of, not, per_head and documents,
// which derive their views from those of their parts. Indices count tokens from 0; ranges are
// half-open.
//
// Meaning, fixed: query i and key j stand on one line with the last query beside the last key
// ("bottom-right"), so that query i is at position i + key_len - query_len among the keys.
#pragma once

#include <clattn/export.h>

#include <clattn/expression.hpp>
#include <cstdint>
#include <functional>
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

// One head of one batch.
struct Slice {
  std::int64_t batch = 0;
  std::int64_t head = 0;
};

// What a mask depends on beside query and key.
struct Variation {
  bool batch = false;
  bool head = false;
};

enum class Coverage { none, some, all };

struct Neighborhood;  // neighborhood.hpp

// The neighborhood that a mask lies within.
struct NeighborhoodHint {
  const Neighborhood* neighborhood = nullptr;  // checked, lives as long as the mask; null: none
  bool exact = false;                          // the mask is nothing else
};

// Key j is visible to query i iff first <= j - i <= last.
struct Band {
  std::int64_t first = 0;
  std::int64_t last = 0;
  friend bool operator==(const Band&, const Band&) = default;
};

// One mask. Immutable, hence thread-safe. Slices, points and ranges passed in lie inside a problem
// that `validate` took.
class CLATTN_API MaskNode {
 public:
  virtual ~MaskNode() = default;

  virtual bool allows(const Point& point, const Extent& extent) const = 0;

  // An OpenCL C expression of the ints `batch`, `head`, `query`, `key`, `query_len` and `key_len`;
  // 0 is false. It is evaluated for 0 <= query < query_len and 0 <= key < key_len only, with both
  // lengths at most 2^30. An operator outside parentheses may be of any precedence.
  virtual std::string expression(ExpressionWriter& writer) const = 0;

  // `none` and `all` are promises; `some` is always a safe answer.
  virtual Coverage classify(const Slice& slice, const Range& queries, const Range& keys,
                            const Extent& extent) const = 0;

  // The band that the mask is within a rectangle that `classify` calls `some`, if it is known to be
  // one: kernels then compare instead of evaluating the expression. A hint only.
  virtual std::optional<Band> band(const Slice& slice, const Range& queries, const Range& keys,
                                   const Extent& extent) const;

  // A range outside which no query of `queries` sees any key; it lies inside [0, key_len). Cheap:
  // its cost does not grow with the lengths.
  virtual Range reach(const Slice& slice, const Range& queries, const Extent& extent) const = 0;

  // A neighborhood outside which no pair of the slice is visible: rows of tiles then are boxes of
  // its grid. A hint only.
  virtual NeighborhoodHint neighborhood(const Slice&) const { return {}; }

  virtual Variation variation() const { return {}; }

  // Queries, ascending, in front of which the pattern changes abruptly (a document or a block
  // begins): rows of tiles should begin there. A hint only.
  virtual std::vector<std::int64_t> seams(const Slice&, const Extent&) const { return {}; }

  // Throws Error (invalid_argument) with the value and the limit if the mask cannot be laid over
  // `extent` with so many batches and heads.
  virtual void validate(const Extent& extent, std::int64_t batch, std::int64_t heads) const;

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

// Every `dilation`-th key of a window that is counted in such steps: key j is visible iff
// j = p + t * dilation for some whole t with -left <= t <= right. An absent end does not bound:
// with right = 0 that is the strided pattern of the Sparse Transformer (arXiv 1904.10509); with
// ends, the dilated window of Longformer (arXiv 2004.05150). Throws Error (invalid_argument) on a
// negative end or a dilation below 1.
CLATTN_API Mask dilated_window_mask(std::optional<std::int64_t> left,
                                    std::optional<std::int64_t> right, std::int64_t dilation);

// Every query sees the first `length` keys (any_of with causal_mask: prefix-LM, arXiv 1910.10683).
CLATTN_API Mask prefix_mask(std::int64_t length);

// Every query sees those of the first `tokens` keys that are not behind its own position: j <
// tokens and j <= p (attention sinks: StreamingLLM, arXiv 2309.17453).
CLATTN_API Mask sink_mask(std::int64_t tokens);

// Global tokens see every key and are seen by every query (Longformer, arXiv 2004.05150): visible
// iff j or p is one of `tokens`, positions among the keys in any order. Throws Error
// (invalid_argument) on a negative or repeated one; one beyond the last key is refused when a
// problem is validated.
CLATTN_API Mask global_mask(std::vector<std::int64_t> tokens);

// Every row of query blocks sees `count` different key blocks, drawn uniformly (BigBird, arXiv
// 2007.14062). The last block of a length may be ragged; where there are no more than `count` key
// blocks, all are seen. The draw depends on seed, row and number of key blocks alone: for t = 0 to
// count - 1, in this order, it takes Floyd's sample with the random numbers random_bits of
// kernels_cl/common/masks.cl.
CLATTN_API Mask random_blocks_mask(std::int64_t query_block, std::int64_t key_block,
                                   std::int64_t count, std::uint32_t seed);

// Sequences packed one behind another: query i of document d sees keys of document d only, as
// `inside` says, which is laid over the document's own lengths (so that causal is bottom-right
// aligned in each). Lengths are of queries and of keys; they may differ, and may be 0.
struct DocumentLengths {
  std::vector<std::int64_t> queries;
  std::vector<std::int64_t> keys;
};
// Throws Error (invalid_argument) on a negative length or different numbers of documents; lengths
// that don't add up to the problem's are refused when a problem is validated.
CLATTN_API Mask documents_mask(DocumentLengths lengths, Mask inside = dense_mask());
// Lengths from cumulative offsets, 0 first and the total last. Throws Error (invalid_argument) if
// they descend or don't begin with 0.
CLATTN_API std::vector<std::int64_t> lengths_from_offsets(const std::vector<std::int64_t>& offsets);

// Head h has masks[h]. Throws Error (invalid_argument) where there is none; a number that is not
// the problem's is refused when a problem is validated.
CLATTN_API Mask per_head_mask(std::vector<Mask> masks);

// Visible iff so in all of them (of none: visible), in any of them (of none: hidden), not in it.
CLATTN_API Mask all_of_mask(std::vector<Mask> masks);
CLATTN_API Mask any_of_mask(std::vector<Mask> masks);
CLATTN_API Mask not_mask(Mask mask);

// A mask written by the user as an OpenCL C expression (see expression.hpp) of the ints batch,
// head, query, key, query_len and key_len. Where the expression is of the language that the host
// can evaluate itself, all four views follow from it: classify by interval arithmetic. Anything
// else OpenCL C has may be used, too, but then the mask cannot be held against the reference unless
// `allows` is given, and its schedule visits every tile unless its blocks are listed. `allows`,
// where given, is view 1. Floats are doubles on the host: pairs that hang on the rounding of a
// float may come out otherwise on a device. Throws Error (invalid_argument) for a name that is
// neither known nor one of the expression's.
CLATTN_API Mask
expression_mask(Expression expression,
                std::function<bool(const Point& point, const Extent& extent)> allows = {});

// The number of pairs (query, key) that `mask` allows in one slice: the exact count, by recursive
// classification; the cost grows with the length of the mask's boundary. Nothing where more than
// `budget` rectangles would have to be halved.
CLATTN_API std::optional<std::int64_t> count_visible_pairs(const MaskNode& mask, const Slice& slice,
                                                           const Extent& extent,
                                                           std::int64_t budget = std::int64_t{1}
                                                                                 << 40);
// The same in a rectangle; `budget` is lowered to what is left of it, and below 0 where it did not
// suffice.
CLATTN_API std::optional<std::int64_t> count_visible_pairs(const MaskNode& mask, const Slice& slice,
                                                           const Range& queries, const Range& keys,
                                                           const Extent& extent,
                                                           std::int64_t& budget);

}  // namespace clattn
