// A table for who designs a neighborhood: what strides of one dimension make of its tiles while the
// other dimensions stay as they are. A larger stride lets more queries share one window, which
// spares a kernel tiles, and places the windows more coarsely.
#pragma once

#include <clattn/neighborhood.hpp>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace clattn::tool {

struct StrideChoice {
  std::size_t dimension = 0;
  std::int64_t stride = 1;
  TileStatistics statistics;
  bool block_sparse = false;  // no visited tile holds a hidden pair: nothing is left to mask
  bool free = false;          // no other stride of the dimension's list has a higher tile bound
  bool current = false;       // the neighborhood's own
};

// For each dimension 1, powers of two, the tiles' extents and small multiples of them, the window
// and the stride that is, as far as they are legal; by dimension, then ascending.
std::vector<StrideChoice> stride_choices(const Neighborhood& neighborhood,
                                         std::span<const std::int64_t> query_tile,
                                         std::span<const std::int64_t> key_tile);

// A row a stride, a column a dimension, and what the words in it mean.
std::string stride_table(std::span<const StrideChoice> choices,
                         std::span<const std::int64_t> query_tile,
                         std::span<const std::int64_t> key_tile);

}  // namespace clattn::tool
