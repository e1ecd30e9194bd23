// Neighborhood attention in one to three dimensions (Hassani et al., arXiv 2204.07143; dilated,
// 2209.15001; generalized with strides, 2504.16922): tokens lie on a grid, and a query sees the
// window of tokens around it. Tokens are numbered row-major over the grid, its last dimension
// fastest; vectors hold one element a dimension. Pure functions; thread-safe.
//
// Meaning, per dimension, with length L, window W, stride s, dilation d, causal c, and whole-number
// division; a query at coordinate i sees the keys of all windows at once:
//   Dilation: i sees j only if i % d == j % d. The tokens i with i % d == g form group g, with
//   coordinates x = i / d and length ceil((L - g) / d); the rest is about coordinates and length
//   of a group.
//   Not causal: leader = min(x / s * s + s / 2, L - 1), start = clamp(leader - W / 2, 0, L - W);
//   x sees [start, start + W). At a border the window is moved inside, not cut.
//   Causal: leader = min(x / s * s + s - 1, L - 1), start = max(leader - (W - 1), 0); x sees
//   [start, x + 1).
// Extra keys stand behind the tokens of the grid and are seen by every query.
#pragma once

#include <clattn/export.h>

#include <clattn/mask.hpp>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace clattn {

struct CLATTN_API Neighborhood {
  std::vector<std::int64_t> grid;           // tokens, 1 to 3 dimensions
  std::vector<std::int64_t> window;         // 2 or more; window * dilation within the grid
  std::vector<std::int64_t> stride = {};    // 1 to window; empty: 1 everywhere
  std::vector<std::int64_t> dilation = {};  // 1 or more; empty: 1 everywhere
  std::vector<bool> causal = {};            // empty: false everywhere
  std::int64_t extra_keys = 0;

  std::size_t rank() const { return grid.size(); }
  std::int64_t tokens() const;  // of the grid
  friend bool operator==(const Neighborhood&, const Neighborhood&) = default;
};

// The same with nothing left empty. Throws Error (invalid_argument) that names the dimension, the
// value and the limit for whatever is not as said above.
CLATTN_API Neighborhood checked(Neighborhood neighborhood);

// For as many queries as the grid has tokens, and as many keys and the extra ones: other lengths
// are refused when a problem is validated. Throws as `checked`.
CLATTN_API Mask neighborhood_mask(Neighborhood neighborhood);

// One dimension of one dilation group, in coordinates of the group.
struct CLATTN_API NeighborhoodAxis {
  std::int64_t length = 0;  // of the group
  std::int64_t window = 0;
  std::int64_t stride = 1;
  bool causal = false;

  Range keys_of(std::int64_t query) const;  // the window
  // The queries whose windows hold a key, which follow one another: the inverse window, which a
  // backward pass over keys needs.
  Range queries_of(std::int64_t key) const;
};
// `neighborhood` is checked; group < dilation[dimension].
CLATTN_API NeighborhoodAxis neighborhood_axis(const Neighborhood& neighborhood,
                                              std::size_t dimension, std::int64_t group);

// An order of the tokens of a grid in which its tiles are contiguous: dilation groups one behind
// another, each row-major over its tiles, each tile row-major over its tokens. Tiles at the far
// ends are cut where the grid, or the group, ends: every position holds a token.
struct CLATTN_API TokenOrder {
  std::vector<std::int64_t> grid;
  std::vector<std::int64_t> tile;      // 1 or more; counts tokens of a group
  std::vector<std::int64_t> dilation;  // empty: 1 everywhere

  std::int64_t tokens() const;
  friend bool operator==(const TokenOrder&, const TokenOrder&) = default;
};
// The same with nothing left empty. Throws Error (invalid_argument) with the value and the limit.
CLATTN_API TokenOrder checked(TokenOrder order);
// The token at each position, [tokens]. Throws as `checked`.
CLATTN_API std::vector<std::int32_t> tokens_in_order(const TokenOrder& order);

// What tiles make of a neighborhood, without its extra keys: counts of one head, in closed form.
// A tile that is cut where the grid or a group ends takes a kernel as long as a whole one, so it
// counts as one; dense attention takes consecutive tokens and has no such tiles but the last.
struct TileStatistics {
  double visible_pairs = 0;
  double flop_bound = 0;     // all pairs to visible ones: what any kernel could gain over dense
  double tiles_total = 0;    // pairs of tiles of dense attention: of as many tokens, rounded up
  double tiles_visited = 0;  // pairs of a query tile and a key tile that hold a visible pair
  double tiles_masked = 0;   // of these, those that also hold a hidden pair
  double tile_bound = 0;  // tiles_total to tiles_visited: what a kernel of these tiles could gain
};
// Tiles of grid tokens as in TokenOrder. Throws as `checked`, and for tiles that are not of the
// grid's dimensions or smaller than 1.
CLATTN_API TileStatistics simulate_tiles(const Neighborhood& neighborhood,
                                         std::span<const std::int64_t> query_tile,
                                         std::span<const std::int64_t> key_tile);

}  // namespace clattn
