// A mask seen from afar: its blocks, each full, partial or empty, in a grid of cells that are one
// block each or, where there would be too many, squares of several.
#pragma once

#include <clattn/mask.hpp>
#include <cstdint>
#include <vector>

namespace clattn::tool {

struct BlockCounts {
  std::int64_t full = 0;     // blocks of which every pair is visible
  std::int64_t partial = 0;  // of which some pairs are
  std::int64_t all = 0;
};

struct BlockMap {
  std::int64_t rows = 0;             // of cells, along the queries
  std::int64_t columns = 0;          // of cells, along the keys
  std::int64_t blocks_per_cell = 1;  // along each side; those at the far ends may have fewer
  std::vector<BlockCounts> cells;    // [rows, columns]
  BlockCounts total;
  std::int64_t visible_pairs = 0;
  std::int64_t pairs = 0;
  bool exact = true;  // false: masks that are hard to classify were sampled in part

  const BlockCounts& cell(std::int64_t row, std::int64_t column) const {
    return cells[static_cast<std::size_t>(row * columns + column)];
  }
};

struct BlockSize {
  std::int64_t queries = 128;
  std::int64_t keys = 128;
};

// At most `most_cells` cells along each side.
BlockMap make_block_map(const MaskNode& mask, const Slice& slice, const Extent& extent,
                        const BlockSize& block, std::int64_t most_cells);

}  // namespace clattn::tool
