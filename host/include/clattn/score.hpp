// Score modifiers: what happens to a score between the product and the softmax. The order is fixed:
// score = scale * q . k, then the modifiers of Problem::scores in their order, then the mask (a
// hidden pair has weight 0 whatever its score), then the softmax with the sink logits. Positions
// are those of mask.hpp: query i is at p = i + key_len - query_len among the keys.
#pragma once

#include <clattn/export.h>

#include <clattn/expression.hpp>
#include <clattn/mask.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace clattn {

// One modifier. Immutable, hence thread-safe.
class CLATTN_API ScoreNode {
 public:
  virtual ~ScoreNode() = default;

  virtual double apply(double score, const Point& point, const Extent& extent) const = 0;

  // An OpenCL C expression of the float `score` and the ints of a mask's expression, for visible
  // and hidden pairs alike.
  virtual std::string expression(ExpressionWriter& writer) const = 0;

  // Throws Error (invalid_argument) with the value and the limit.
  virtual void validate(const Extent& extent, std::int64_t batch, std::int64_t heads) const;

  virtual std::string to_json() const = 0;
};

using Score = std::shared_ptr<const ScoreNode>;

// cap * tanh(score / cap) (Gemma 2, arXiv 2408.00118). Throws Error (invalid_argument) unless cap
// is within 1e-30 to 1e30.
CLATTN_API Score softcap_score(float cap);

// score - slope * |p - j| (ALiBi, arXiv 2108.12409). Slopes are [heads] or [batch, heads], finite.
CLATTN_API Score alibi_score(std::vector<float> slopes, std::int64_t batch = 1);
// The slopes of the paper: 2^(-8 h / heads) for h = 1 .. heads where heads is a power of two, else
// those of the next smaller power of two and every other one of the next larger.
CLATTN_API std::vector<float> alibi_slopes(std::int64_t heads);

// score + bias[b, h, i, j]. Sizes are each the problem's or 1, which broadcasts; the innermost is
// that of the keys. The buffer is contiguous, of type f32, f16 or bf16, and may be bound at launch.
struct BiasShape {
  std::int64_t batch = 1;
  std::int64_t heads = 1;
  std::int64_t query_len = 1;
  std::int64_t key_len = 1;
};
CLATTN_API Score bias_score(std::shared_ptr<const Buffer> buffer, const BiasShape& shape);

// score + table[h, clamp(j - p, -reach, reach) + reach]: a bias by relative position (T5, arXiv
// 1910.10683; Shaw et al., arXiv 1803.02155). The table is [heads or 1, 2 * reach + 1], finite.
CLATTN_API Score relative_position_score(std::vector<float> table, std::int64_t reach);

// The same on a grid of one to three dimensions (neighborhood attention, arXiv 2204.07143; Swin
// Transformer, arXiv 2103.14030): score + table[h, d0, d1, ...], where d of each dimension is
// clamp(coordinate of j - coordinate of i, -reach, reach) + reach. Token t of queries and keys
// alike is that of the grid, row-major; a pair with a token beyond the grid gets no bias. The table
// is [heads or 1, 2 * reach + 1, ...], finite. A problem with fewer queries or keys than the grid
// has tokens is refused when it is validated.
CLATTN_API Score grid_position_score(std::vector<float> table, std::vector<std::int64_t> grid,
                                     std::vector<std::int64_t> reach);

// A user's modifier: an expression of the float score and the ints batch, head, query, key,
// query_len and key_len. As for expression_mask, `apply` is needed only where the expression is
// beyond what the host evaluates itself, and the result shall be held against the reference; given,
// it is what the reference takes.
CLATTN_API Score expression_score(
    Expression expression,
    std::function<double(double score, const Point& point, const Extent& extent)> apply = {});

}  // namespace clattn
