// What tiles cost: the families' way to compare theirs for one problem, by counting what each would
// compute. Where tokens stay in place, that is what the problem's schedule holds; where tiles are
// boxes of a grid, what tilings.hpp says. Pure, but for remembering what was counted.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "host/planning/tilings.hpp"

namespace clattn {

// Whether rows of tiles have natural places to begin, so that the size of the tile matters.
bool has_seams(const Problem& problem);

// What a tile makes of the problem's seams, in the first slice: keys that its rows walk, and pairs
// that they compute, where a row counts as many queries as its granules hold, and a span as many
// keys as a multiple of `key_step`, and each row `row_keys` more.
struct TileCost {
  double keys = 0;
  double pairs = 0;
};

// Counts for one problem. Of a grid, if its tiles may be boxes; both must outlive this.
class TileCosts {
 public:
  TileCosts(const Problem& problem, const std::optional<GridProblem>& grid,
            const PlanOptions& options);

  const std::optional<GridProblem>& grid() const { return grid_; }

  // Where tokens stay in place.
  TileCost cost(const Tile& tile, std::int64_t key_step = 1, double row_keys = 0);
  double time(const TileSpeed& speed);
  // Which of a family's tiles takes the least time, an index.
  std::size_t fit_rows(const std::vector<TileSpeed>& tiles);

  // Where tiles are boxes of the grid: which of a family's tiles takes the least time, an index;
  // the tilings of that tile are left in `tilings`. Nothing where what was asked for fits none, not
  // even the first tile, the largest, and then `reason` says so.
  std::optional<std::size_t> fit_boxes(const std::vector<TileSpeed>& tiles,
                                       std::vector<Tiling>& tilings, std::string& reason);

 private:
  const std::vector<Tiling>& tilings(const TileSpeed& speed);

  const Problem& problem_;
  const std::optional<GridProblem>& grid_;
  const PlanOptions options_;
  std::optional<TilingWeigher> weigher_;
  std::map<std::tuple<Tile, std::int64_t, double>, TileCost> costs_;
  std::map<TileSpeed, std::vector<Tiling>> tilings_;
};

}  // namespace clattn
