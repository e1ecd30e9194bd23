// What is to be computed: scaled dot-product attention (Vaswani et al., arXiv 1706.03762)
//   output[b, h, i, :] = sum over visible j of softmax_j(score(b, h, i, j)) * value[b, g, j, :]
//   score(b, h, i, j) = scale * query[b, h, i] . key[b, g, j], changed by the modifiers of
//   score.hpp g = h / (heads / kv_heads)
// A sink logit is one more term of the softmax's sum that has no value (gpt-oss, arXiv 2508.10925):
// it takes weight away from the keys, and counts in LSE. A row that sees no key gives zeros, and
// LSE -inf, or its sink logit. A hidden key has weight 0, with which its value may still be
// multiplied: values must be finite for hidden keys too, or NaN may reach rows that don't see them.
// Hidden keys themselves may hold anything. A Problem knows no device; it is plain data.
#pragma once

#include <clattn/export.h>

#include <clattn/blocks.hpp>
#include <clattn/mask.hpp>
#include <clattn/neighborhood.hpp>
#include <clattn/score.hpp>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace clattn {

// How tensor elements are stored. Arithmetic is f32 always.
enum class DataType { f32, f16, bf16 };

CLATTN_API const char* to_string(DataType type);
CLATTN_API std::size_t size_of(DataType type);  // bytes

// Distance, in elements, between neighbours along each dimension; the innermost dimension (head_dim
// or value_dim) is contiguous. A stride of 0 broadcasts an input.
struct Strides {
  std::int64_t batch = 0;
  std::int64_t head = 0;
  std::int64_t token = 0;
  friend bool operator==(const Strides&, const Strides&) = default;
};

// Order of the dimensions of a contiguous tensor: [batch, heads, length, dim] or
// [batch, length, heads, dim].
enum class Layout { bhld, blhd };

CLATTN_API Strides contiguous_strides(Layout layout, std::int64_t heads, std::int64_t length,
                                      std::int64_t dim);

struct CLATTN_API Problem {
  static constexpr std::int64_t kMaxDim = 256;
  static constexpr std::int64_t kMaxLength = std::int64_t{1} << 30;

  DataType data_type = DataType::f32;  // of query, key, value and output
  std::int64_t batch = 1;              // 0 and up
  std::int64_t heads = 1;              // query heads, a multiple of kv_heads
  std::int64_t kv_heads = 1;           // 1: multi-query; fewer than heads: grouped-query
  std::int64_t query_len = 0;          // 0 to kMaxLength
  std::int64_t key_len = 0;            // 0 to kMaxLength
  std::int64_t head_dim = 0;           // of query and key: a multiple of 8, 8 to kMaxDim
  std::int64_t value_dim = 0;          // of value and output: the same limits
  std::optional<float> scale;          // 1 / sqrt(head_dim) where absent; 0 and negative are legal
  Mask mask = dense_mask();
  // Block lists of this shape come with each launch (Tensors::blocks) and may change between
  // launches: blocks that they don't list are hidden, `mask` decides in their partial blocks.
  std::optional<BlockShape> blocks;
  // Query, key, value, output and LSE lie in this order of a grid's tokens; those behind the grid's
  // stand in place. Masks, modifiers and their tables still count tokens row-major over the grid.
  // For masks that lie within a neighborhood (MaskNode::neighborhood) of the same grid and
  // dilation.
  std::optional<TokenOrder> token_order;
  std::vector<Score> scores;       // in the order in which they apply
  std::vector<float> sink_logits;  // [heads], finite; empty: none
  bool lse = false;                // also write LSE: f32 [batch, heads, query_len], natural log
  Layout layout = Layout::bhld;    // of every tensor whose strides are absent
  std::optional<Strides> query_strides;
  std::optional<Strides> key_strides;
  std::optional<Strides> value_strides;
  std::optional<Strides> output_strides;  // must not make two elements overlap

  Extent extent() const { return {query_len, key_len}; }
  float effective_scale() const;
};

// The four tensors of a problem.
enum class Role { query, key, value, output };

CLATTN_API const char* to_string(Role role);

// Sizes and strides of one tensor of a problem.
struct CLATTN_API TensorShape {
  std::int64_t batch = 0;
  std::int64_t heads = 0;
  std::int64_t length = 0;
  std::int64_t dim = 0;
  Strides strides;
  std::int64_t elements() const { return batch * heads * length * dim; }
  // Elements from the first to one past the last: what a buffer must hold behind the offset.
  std::int64_t span() const;
};

CLATTN_API TensorShape tensor_shape(const Problem& problem, Role role);

// Throws Error (invalid_argument or unsupported) with the value and the limit for anything that no
// device could compute. Every entry of the library calls it.
CLATTN_API void validate(const Problem& problem);

// The JSON form (README, "Problems"): {"scale": 0.125, "dtype": "bf16", "mask": {"causal": {}},
// "score": [{"softcap": 30}], "lse": true, "layout": "bhld", "batch": ..., "heads": ...,
// "kv_heads": ..., "q_len": ..., "kv_len": ..., "head_dim": ..., "value_dim": ...}. Sizes may be
// absent: they stay as in a default Problem, kv_heads follows heads and value_dim follows head_dim.
// Throws Error (invalid_argument) on a syntax error, a wrong type, an unknown value, or an unknown
// key, which is named together with the nearest legal one. Files that the object names are looked
// up in `folder`.
CLATTN_API Problem problem_from_json(std::string_view text, const std::string& folder = "");
// One mask, or one modifier (not sink logits), of that object. Block lists in the text need
// `extent`.
CLATTN_API Mask mask_from_json(std::string_view text, const std::string& folder = "",
                               const std::optional<Extent>& extent = {});
CLATTN_API Score score_from_json(std::string_view text, const std::string& folder = "");
CLATTN_API std::string problem_to_json(const Problem& problem);

}  // namespace clattn
