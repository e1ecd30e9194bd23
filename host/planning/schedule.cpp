#include "host/planning/schedule.hpp"

#include <algorithm>

namespace clattn {
namespace {

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

// Collects the spans of one row. Halves a range of key tiles until it is wholly visible, wholly
// hidden, or one tile that needs the mask; neighbours of one kind are joined again.
class RowBuilder {
 public:
  RowBuilder(const MaskNode& mask, const Extent& extent, const Tile& tile, const Range& queries,
             std::vector<clattn_span>& spans)
      : mask_(mask),
        extent_(extent),
        tile_(tile),
        queries_(queries),
        spans_(spans),
        first_span_(spans.size()) {}

  void visit(const Range& tiles) {
    if (tiles.empty()) return;
    const Range keys{tiles.begin * tile_.keys, std::min(tiles.end * tile_.keys, extent_.key_len)};
    // A ragged last tile has keys that don't exist: it goes through the element mask.
    const bool ragged = tiles.end * tile_.keys > extent_.key_len;
    Coverage coverage = mask_.classify(queries_, keys, extent_);
    if (coverage == Coverage::all && ragged) coverage = Coverage::some;
    if (coverage == Coverage::none) return;
    if (coverage == Coverage::all || tiles.size() == 1) {
      append(tiles, coverage == Coverage::some);
      return;
    }
    const std::int64_t middle = tiles.begin + tiles.size() / 2;
    visit({tiles.begin, middle});
    visit({middle, tiles.end});
  }

 private:
  void append(const Range& tiles, bool masked) {
    if (spans_.size() > first_span_ && spans_.back().tile_end == tiles.begin &&
        spans_.back().masked == masked) {
      spans_.back().tile_end = static_cast<clattn_int32>(tiles.end);
      return;
    }
    spans_.push_back(
        {static_cast<clattn_int32>(tiles.begin), static_cast<clattn_int32>(tiles.end), masked});
  }

  const MaskNode& mask_;
  const Extent& extent_;
  const Tile& tile_;
  const Range queries_;
  std::vector<clattn_span>& spans_;
  const std::size_t first_span_;
};

}  // namespace

Schedule make_schedule(const MaskNode& mask, const Extent& extent, const Tile& tile) {
  Schedule schedule;
  const std::int64_t query_tiles = ceil_div(extent.query_len, tile.queries);
  const std::int64_t key_tiles = ceil_div(extent.key_len, tile.keys);
  schedule.tiles_total = query_tiles * key_tiles;
  std::vector<std::int64_t> weights;
  for (std::int64_t row = 0; row < query_tiles; ++row) {
    const Range queries{row * tile.queries, std::min((row + 1) * tile.queries, extent.query_len)};
    const std::size_t first = schedule.spans.size();
    const Range reach = mask.reach(queries, extent);
    if (!reach.empty()) {
      RowBuilder(mask, extent, tile, queries, schedule.spans)
          .visit({reach.begin / tile.keys, ceil_div(reach.end, tile.keys)});
    }
    std::int64_t visited = 0;
    for (std::size_t i = first; i < schedule.spans.size(); ++i) {
      const clattn_span& span = schedule.spans[i];
      visited += span.tile_end - span.tile_begin;
      if (span.masked) schedule.tiles_masked += span.tile_end - span.tile_begin;
    }
    schedule.tiles_visited += visited;
    schedule.rows.push_back({static_cast<clattn_int32>(row), static_cast<clattn_int32>(first),
                             static_cast<clattn_int32>(schedule.spans.size())});
    weights.push_back(visited);
  }
  std::stable_sort(schedule.rows.begin(), schedule.rows.end(),
                   [&](const clattn_row& a, const clattn_row& b) {
                     return weights[a.query_tile] > weights[b.query_tile];
                   });
  return schedule;
}

}  // namespace clattn
