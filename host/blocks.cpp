// Block lists: their shape, the check of lists that come from outside, the exact lists of a mask,
// and the transposed lists. A slice is one head of one batch; a row is one row of query blocks (of
// key blocks in transposed lists). Rows are numbered (batch * heads + head) * rows + row.
#include "host/masks/blocks.hpp"

#include <algorithm>
#include <clattn/blocks.hpp>
#include <limits>
#include <string_view>

namespace clattn {
namespace {

std::int64_t block_count(std::int64_t length, std::int64_t block) {
  return length / block + (length % block != 0);
}

void check_shape(const BlockShape& shape) {
  check_at_least("query_block", shape.query_block, 1);
  check_at_least("key_block", shape.key_block, 1);
  check_at_least("batch", shape.batch, 1);
  check_at_least("heads", shape.heads, 1);
  check_at_least("capacity", shape.capacity, 0);
}

void check_size(std::string_view name, std::size_t size, std::int64_t expected) {
  if (size != static_cast<std::size_t>(expected)) {
    invalid("{} has {} entries, but its shape asks for {}", name, size, expected);
  }
}

// Names a row of an array for a message.
std::string place(std::string_view array, const BlockShape& shape, std::int64_t slice,
                  std::int64_t row) {
  return fmt::format("{} of batch {}, head {}, row {}", array, slice / shape.heads,
                     slice % shape.heads, row);
}

// One of the two lists; its arrays may be empty: no entries.
struct List {
  std::string_view count_name;
  std::string_view index_name;
  const std::vector<std::int32_t>& counts;
  const std::vector<std::int32_t>& indices;
};

void check_list(const List& list, const BlockShape& shape, const Extent& extent) {
  const std::int64_t rows = shape.query_blocks(extent);
  const std::int64_t columns = shape.key_blocks(extent);
  const std::int64_t capacity = shape.row_capacity(extent);
  check_size(list.count_name, list.counts.size(), count_of({shape.batch, shape.heads, rows}));
  check_size(list.index_name, list.indices.size(),
             count_of({shape.batch, shape.heads, rows, capacity}));
  for (std::int64_t slice = 0; slice < shape.batch * shape.heads; ++slice) {
    for (std::int64_t row = 0; row < rows; ++row) {
      const std::int64_t count = list.counts[slice * rows + row];
      if (count < 0 || count > capacity) {
        invalid("{} is {}, but must be within 0 and {}, the capacity of a row",
                place(list.count_name, shape, slice, row), count, capacity);
      }
      std::int64_t previous = -1;
      for (std::int64_t entry = 0; entry < count; ++entry) {
        const std::int64_t index = list.indices[(slice * rows + row) * capacity + entry];
        if (index < 0 || index >= columns) {
          invalid("{}, entry {} is {}, but must be within 0 and {}, for there are {} key blocks",
                  place(list.index_name, shape, slice, row), entry, index, columns - 1, columns);
        }
        if (index <= previous) {
          invalid("{}, entry {} is {}, but must be above the entry before, {}",
                  place(list.index_name, shape, slice, row), entry, index, previous);
        }
        previous = index;
      }
    }
  }
}

}  // namespace

std::int64_t BlockShape::query_blocks(const Extent& extent) const {
  return block_count(extent.query_len, query_block);
}

std::int64_t BlockShape::key_blocks(const Extent& extent) const {
  return block_count(extent.key_len, key_block);
}

std::int64_t BlockShape::row_capacity(const Extent& extent) const {
  return capacity ? capacity : key_blocks(extent);
}

void validate(const BlockLists& lists, const Extent& extent) {
  const BlockShape& shape = lists.shape;
  check_shape(shape);
  const std::int64_t rows = shape.query_blocks(extent);
  const std::int64_t columns = shape.key_blocks(extent);
  const std::int64_t capacity = shape.row_capacity(extent);
  check_list({"partial_count", "partial_index", lists.partial_count, lists.partial_index}, shape,
             extent);
  if (!lists.full_count.empty() || !lists.full_index.empty()) {
    check_list({"full_count", "full_index", lists.full_count, lists.full_index}, shape, extent);
    for (std::int64_t row = 0; row < shape.batch * shape.heads * rows; ++row) {
      const auto partial = lists.partial_index.begin() + row * capacity;
      const auto full = lists.full_index.begin() + row * capacity;
      for (std::int32_t entry = 0; entry < lists.full_count[row]; ++entry) {
        if (!std::binary_search(partial, partial + lists.partial_count[row], full[entry])) continue;
        invalid("{}, entry {} is {}, which is in partial_index, too; a block must be in one list",
                place("full_index", shape, row / rows, row % rows), entry, full[entry]);
      }
    }
  }
  if (lists.key_lengths.empty()) return;
  check_size("key_lengths", lists.key_lengths.size(),
             count_of({shape.batch, shape.heads, columns}));
  for (std::int64_t row = 0; row < shape.batch * shape.heads * columns; ++row) {
    if (lists.key_lengths[row] < 0 || lists.key_lengths[row] > shape.key_block) {
      invalid("{} is {}, but must be within 0 and {}, the keys of a block",
              place("key_lengths", shape, row / columns, row % columns), lists.key_lengths[row],
              shape.key_block);
    }
  }
}

std::optional<Coverage> exact_coverage(const MaskNode& mask, const Slice& slice,
                                       const Range& queries, const Range& keys,
                                       const Extent& extent, std::int64_t& budget) {
  const Coverage coverage = mask.classify(slice, queries, keys, extent);
  if (coverage != Coverage::some) return coverage;
  if (--budget < 0) return std::nullopt;
  if (queries.size() == 1 && keys.size() == 1) {
    return mask.allows({slice.batch, slice.head, queries.begin, keys.begin}, extent)
               ? Coverage::all
               : Coverage::none;
  }
  Range query_halves[2] = {queries, queries};
  Range key_halves[2] = {keys, keys};
  Range* const longer = queries.size() >= keys.size() ? query_halves : key_halves;
  longer[0].end = longer[1].begin = longer[0].begin + longer[0].size() / 2;
  const auto first = exact_coverage(mask, slice, query_halves[0], key_halves[0], extent, budget);
  if (!first || *first == Coverage::some) return first;
  const auto second = exact_coverage(mask, slice, query_halves[1], key_halves[1], extent, budget);
  return !second || first == second ? second : Coverage::some;
}

BlockLists make_block_lists(const MaskNode& mask, const BlockShape& shape, const Extent& extent) {
  check_shape(shape);
  const Variation variation = mask.variation();
  for (const auto& [name, varies, size] : {std::tuple("batch", variation.batch, shape.batch),
                                           std::tuple("heads", variation.head, shape.heads)}) {
    if (varies && size == 1) {
      invalid("{} of blocks is 1, but the mask varies with it and needs the problem's", name);
    }
  }

  const std::int64_t rows = shape.query_blocks(extent);
  const std::int64_t capacity = shape.row_capacity(extent);
  BlockLists lists;
  lists.shape = shape;
  lists.shape.capacity = capacity;
  for (auto* counts : {&lists.partial_count, &lists.full_count}) {
    counts->resize(count_of({shape.batch, shape.heads, rows}));
  }
  for (auto* indices : {&lists.partial_index, &lists.full_index}) {
    indices->resize(count_of({shape.batch, shape.heads, rows, capacity}));
  }
  for (std::int64_t row = 0; row < shape.batch * shape.heads * rows; ++row) {
    const std::int64_t slice_index = row / rows;
    const Slice slice{slice_index / shape.heads, slice_index % shape.heads};
    const Range queries =
        tokens_of({row % rows, row % rows + 1}, shape.query_block, extent.query_len);
    const Range reach = mask.reach(slice, queries, extent);
    const Range columns = reach.empty() ? Range{} : blocks_of(reach, shape.key_block);
    for (std::int64_t column = columns.begin; column < columns.end; ++column) {
      const Range keys = tokens_of({column, column + 1}, shape.key_block, extent.key_len);
      std::int64_t budget = std::numeric_limits<std::int64_t>::max();
      const auto coverage = exact_coverage(mask, slice, queries, keys, extent, budget);
      if (coverage == Coverage::none) continue;
      const bool full = coverage == Coverage::all;
      std::int32_t& count = (full ? lists.full_count : lists.partial_count)[row];
      auto& indices = full ? lists.full_index : lists.partial_index;
      // Rows that need more are counted to their end, for the message.
      if (count < capacity) indices[row * capacity + count] = static_cast<std::int32_t>(column);
      ++count;
    }
    for (const auto& [name, counts] : {std::pair("partial_count", &lists.partial_count),
                                       std::pair("full_count", &lists.full_count)}) {
      if ((*counts)[row] <= capacity) continue;
      invalid("{} is {}, but the capacity of a row is {}",
              place(name, shape, slice_index, row % rows), (*counts)[row], capacity);
    }
  }
  return lists;
}

BlockLists transpose(const BlockLists& lists, const Extent& extent) {
  validate(lists, extent);
  const std::int64_t slices = lists.shape.batch * lists.shape.heads;
  const std::int64_t rows = lists.shape.query_blocks(extent);
  const std::int64_t columns = lists.shape.key_blocks(extent);
  const std::int64_t capacity = lists.shape.row_capacity(extent);
  BlockLists result;
  result.shape = lists.shape;
  result.shape.capacity = rows;
  result.key_lengths = lists.key_lengths;
  const auto turn = [&](const auto& counts, const auto& indices, auto& turned_counts,
                        auto& turned_indices) {
    if (counts.empty() && rows > 0) return;
    turned_counts.resize(slices * columns);
    turned_indices.resize(slices * columns * rows);
    for (std::int64_t row = 0; row < slices * rows; ++row) {
      for (std::int32_t entry = 0; entry < counts[row]; ++entry) {
        const std::int64_t turned = row / rows * columns + indices[row * capacity + entry];
        turned_indices[turned * rows + turned_counts[turned]++] =
            static_cast<std::int32_t>(row % rows);
      }
    }
  };
  turn(lists.partial_count, lists.partial_index, result.partial_count, result.partial_index);
  turn(lists.full_count, lists.full_index, result.full_count, result.full_index);
  return result;
}

}  // namespace clattn
