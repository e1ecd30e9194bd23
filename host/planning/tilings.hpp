// How a neighborhood is tiled: which boxes of the grid become rows of tiles, and how the kernels
// come to their tokens. Tilings are compared by counting, in closed form, what a kernel of a given
// tile would compute, load and mask: a box is a product over its dimensions, and so are counts.
// Pure.
#pragma once

#include <clattn/engine.hpp>
#include <clattn/neighborhood.hpp>
#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <tuple>
#include <vector>

#include "host/planning/schedule.hpp"

namespace clattn {

// One dimension of a tile of queries in one dilation group, and of the keys that any of them sees,
// and that all of them see.
struct AxisTile {
  Range queries;
  Range any;
  Range all;
};
// With `key_tile` above 1, keys are rounded to whole tiles, outwards for `any`, inwards for `all`;
// the last tile of the group may be cut.
AxisTile axis_tile(const NeighborhoodAxis& axis, const Range& queries, std::int64_t key_tile);

// The grid whose boxes may be the rows of a problem.
struct GridProblem {
  std::vector<NeighborhoodHint> slices;  // those that the mask tells apart
  bool permutable = false;               // dilations are the same, too: one order serves all
  bool boxes_suffice = false;            // no pair needs the mask's expression
};
// Nothing where the slices have not all a neighborhood of the same grid, or where block lists come
// at launch.
std::optional<GridProblem> grid_problem(const Problem& problem);

// What a kernel takes for a tile, as a family measured it.
struct TileSpeed {
  Tile tile;
  double speed = 1;           // to the family's best dense speed
  std::int64_t key_step = 1;  // keys come at the cost of the next multiple
  double row_keys = 0;        // a row takes as much longer as with so many more keys
  double key_queries = 0;     // loading a key takes as long as so many queries with it
  double gathering = 1;       // how much longer keys take that are gathered one by one
  bool copies_boxes = false;  // boxes of whole tiles are gathered at once
  double mask_flops = 0;      // asking the mask about a pair
  double flops_per_byte = 0;  // in the time that a permutation takes for a byte, read or written

  friend auto operator<=>(const TileSpeed&, const TileSpeed&) = default;
};

// Weighs the tilings of one problem for tiles of several sizes.
class TilingWeigher {
 public:
  // Options may restrict the tilings; tensors in an order of their own leave one.
  TilingWeigher(const Problem& problem, const GridProblem& grid, const PlanOptions& options);

  // The best tilings for a tile, by cost, a few of each access; none that is in_place. One that is
  // gathered and has a tile of keys takes boxes of the tensors. Empty where what was asked for does
  // not fit the tile.
  std::vector<Tiling> weigh(const TileSpeed& speed);

 private:
  // Tiles of a dimension of all groups that count alike.
  struct AxisClass {
    std::int64_t count, queries, any, all;
  };
  struct Part {  // slices of one neighborhood
    const Neighborhood* neighborhood;
    bool exact;
    double share;  // of all slices
    std::map<std::tuple<std::size_t, std::int64_t, std::int64_t>, std::vector<AxisClass>> classes;
  };
  const std::vector<AxisClass>& classes(Part& part, std::size_t dimension, std::int64_t query_tile,
                                        std::int64_t key_tile);
  void weigh(const TileSpeed& speed, Tiling& tiling);

  const Problem& problem_;
  const PlanOptions options_;
  std::vector<Part> parts_;
  std::vector<std::int64_t> grid_;
  bool permutable_;
  bool boxes_lie_whole_;
};

// What permuting all tensors into these tiles and back reads and writes: nothing where the order
// stays as it is.
double permutation_bytes(const Problem& problem, const TokenOrder& query_order,
                         const TokenOrder& key_order);
bool is_identity(const TokenOrder& order);
// The orders of a tiling that is permuted, of the queries and of the keys.
TokenOrder query_order(const GridProblem& grid, const Tiling& tiling);
TokenOrder key_order(const GridProblem& grid, const Tiling& tiling);

// The schedule of a tiling that is not in_place.
Schedule make_grid_schedule(const Problem& problem, const GridProblem& grid, const Tiling& tiling,
                            const Tile& tile, std::int64_t workers, Dealing dealing);

}  // namespace clattn
