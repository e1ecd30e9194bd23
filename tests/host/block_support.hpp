// Block lists for tests.
#pragma once

#include <clattn/blocks.hpp>
#include <cstdint>
#include <vector>

#include "tests/support.hpp"

namespace clattn::test {

inline std::int64_t ceil_divide(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

// The entries of one row.
inline std::vector<std::int32_t> row_of(const std::vector<std::int32_t>& counts,
                                        const std::vector<std::int32_t>& indices, std::int64_t row,
                                        std::int64_t capacity) {
  const auto begin = indices.begin() + row * capacity;
  return {begin, begin + counts[row]};
}

// Lists of random blocks, drawn block by block: hidden, partial or full.
inline BlockLists random_lists(Random& random, const BlockShape& shape, const Extent& extent,
                               bool with_full, bool with_key_lengths) {
  const std::int64_t rows =
      shape.batch * shape.heads * ceil_divide(extent.query_len, shape.query_block);
  const std::int64_t columns = ceil_divide(extent.key_len, shape.key_block);
  const std::int64_t capacity = shape.capacity ? shape.capacity : columns;
  BlockLists lists;
  lists.shape = shape;
  lists.partial_count.resize(rows);
  lists.partial_index.assign(rows * capacity, -77);  // never read past the counts
  if (with_full) {
    lists.full_count = lists.partial_count;
    lists.full_index = lists.partial_index;
  }
  const std::int64_t density = uniform(random, 0, 4);
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t column = 0; column < columns; ++column) {
      if (uniform(random, 0, 4) > density) continue;
      const bool full = with_full && uniform(random, 0, 1);
      std::int32_t& count = full ? lists.full_count[row] : lists.partial_count[row];
      if (count == capacity) continue;
      (full ? lists.full_index : lists.partial_index)[row * capacity + count++] =
          static_cast<std::int32_t>(column);
    }
  }
  if (with_key_lengths) {
    for (std::int64_t i = 0; i < shape.batch * shape.heads * columns; ++i) {
      lists.key_lengths.push_back(static_cast<std::int32_t>(uniform(random, 0, shape.key_block)));
    }
  }
  return lists;
}

}  // namespace clattn::test
