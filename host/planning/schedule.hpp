// The computed schedule: for every tile of queries, the spans of key tiles to walk. It is made from
// the mask's `reach` and `classify` alone, so that each new mask brings its schedule along. The
// cost in time and memory grows with the length of the mask's boundary, not with the number of
// tiles.
#pragma once

#include <clattn/mask.hpp>
#include <cstdint>
#include <vector>

#include "kernels_cl/common/arguments.h"

namespace clattn {

struct Tile {
  std::int64_t queries = 1;
  std::int64_t keys = 1;
};

struct Schedule {
  std::vector<clattn_row> rows;  // heaviest first: the last work-groups to start are short ones
  std::vector<clattn_span> spans;
  std::int64_t tiles_total = 0;
  std::int64_t tiles_visited = 0;
  std::int64_t tiles_masked = 0;
};

// Every query tile gets a row, also one that sees no key. Pure.
Schedule make_schedule(const MaskNode& mask, const Extent& extent, const Tile& tile);

}  // namespace clattn
