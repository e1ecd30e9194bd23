// The order of tokens in which the tiles of a grid are contiguous. Grids of fewer dimensions are
// treated as three-dimensional ones whose first dimensions hold one token. Coordinates run
// row-major, the last dimension fastest.
#include <algorithm>
#include <array>
#include <clattn/neighborhood.hpp>
#include <utility>

#include "host/grid_check.hpp"

namespace clattn {
namespace {

constexpr std::size_t kMaxRank = 3;
using Coordinates = std::array<std::int64_t, kMaxRank>;

Coordinates widened(const std::vector<std::int64_t>& sizes) {
  Coordinates result;
  const auto rest = std::fill_n(result.begin(), kMaxRank - sizes.size(), 1);
  std::copy(sizes.begin(), sizes.end(), rest);
  return result;
}

// Goes to the next point of a box, row-major; false, and back at the first, behind the last.
bool advance(Coordinates& point, const Coordinates& box) {
  for (std::size_t d = kMaxRank; d-- > 0;) {
    if (++point[d] < box[d]) return true;
    point[d] = 0;
  }
  return false;
}

}  // namespace

std::int64_t TokenOrder::tokens() const {
  std::int64_t tokens = 1;
  for (std::int64_t length : grid) tokens *= length;
  return tokens;
}

TokenOrder checked(TokenOrder order) {
  const GridCheck check("the token order", order.grid);
  check.size("tile", order.tile);
  check.fill<std::int64_t>("dilation", order.dilation, 1);
  for (std::size_t d = 0; d < order.grid.size(); ++d) {
    check.within("tile", d, order.tile[d], 1, Problem::kMaxLength);
    check.within("dilation", d, order.dilation[d], 1, order.grid[d]);
  }
  return order;
}

std::vector<std::int32_t> tokens_in_order(const TokenOrder& order) {
  const TokenOrder whole = checked(order);
  const Coordinates grid = widened(whole.grid);
  const Coordinates tile = widened(whole.tile);
  const Coordinates dilation = widened(whole.dilation);
  Coordinates stride;  // tokens from one to the next of the same group
  std::int64_t plane = 1;
  for (std::size_t d = kMaxRank; d-- > 0; plane *= grid[d]) stride[d] = plane * dilation[d];

  std::vector<std::int32_t> tokens(static_cast<std::size_t>(whole.tokens()));
  auto position = tokens.begin();
  Coordinates group = {};
  do {
    Coordinates length, tiles;
    for (std::size_t d = 0; d < kMaxRank; ++d) {
      length[d] = (grid[d] - group[d] + dilation[d] - 1) / dilation[d];
      tiles[d] = (length[d] + tile[d] - 1) / tile[d];
    }
    Coordinates at = {};
    do {
      std::int64_t first = 0;
      Coordinates rows;  // of the tile: its last dimension is the inner loop
      for (std::size_t d = 0; d < kMaxRank; ++d) {
        rows[d] = std::min(tile[d], length[d] - at[d] * tile[d]);
        first += (group[d] + at[d] * tile[d] * dilation[d]) * (stride[d] / dilation[d]);
      }
      const std::int64_t row_length = std::exchange(rows.back(), 1);
      Coordinates row = {};
      do {
        std::int64_t token = first;
        for (std::size_t d = 0; d < kMaxRank; ++d) token += row[d] * stride[d];
        for (std::int64_t i = 0; i < row_length; ++i, token += stride.back()) {
          *position++ = static_cast<std::int32_t>(token);
        }
      } while (advance(row, rows));
    } while (advance(at, tiles));
  } while (advance(group, dilation));
  return tokens;
}

}  // namespace clattn
