// Block-sparse patterns as lists: for every row of query blocks, which key blocks are seen wholly
// ("full": no element mask is asked) and which in part ("partial": the element mask decides). The
// format is that of PyTorch's FlexAttention BlockMask (kv_num_blocks and kv_indices are the partial
// lists, full_kv_num_blocks and full_kv_indices the full ones), so that lists made there can be
// brought over as they are. Blocks are independent of the tiles of the kernels.
//
// Layouts, all int32 and contiguous: counts are [batch, heads, query_blocks], indices [batch,
// heads, query_blocks, capacity], ascending in each row; entries past the count are never read.
// batch and heads are each the problem's or 1, which broadcasts; heads are query heads, so that the
// heads of a GQA group may differ.
#pragma once

#include <clattn/export.h>

#include <clattn/mask.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace clattn {

struct CLATTN_API BlockShape {
  std::int64_t query_block = 128;  // queries of a block, 1 and up; the last one may be ragged
  std::int64_t key_block = 128;    // keys of a block, 1 and up; the last one may be ragged
  std::int64_t batch = 1;
  std::int64_t heads = 1;
  std::int64_t capacity = 0;  // entries a row of the indices; 0: as many as there are key blocks

  std::int64_t query_blocks(const Extent& extent) const;
  std::int64_t key_blocks(const Extent& extent) const;
  std::int64_t row_capacity(const Extent& extent) const;
};

struct BlockLists {
  BlockShape shape;
  std::vector<std::int32_t> partial_count;
  std::vector<std::int32_t> partial_index;
  std::vector<std::int32_t> full_count;  // may be empty with full_index: no full blocks
  std::vector<std::int32_t> full_index;
  // Optional, [batch, heads, key_blocks]: the first so many keys of each key block exist, the
  // others are hidden (VSA's ragged tiles); empty: all.
  std::vector<std::int32_t> key_lengths;
};

// Throws Error (invalid_argument) that names the list, batch, head and row of the first offence: a
// count that is negative or over the capacity, an index out of range, descending, repeated, or in
// both lists; arrays whose sizes are not the shape's; key lengths outside [0, key_block].
CLATTN_API void validate(const BlockLists& lists, const Extent& extent);

// What `mask` allows in a rectangle, exactly: `classify` may say 'some' of one that is all or
// none. Halves it until two parts differ. Nothing where more than `budget` rectangles would have to
// be halved; it is lowered to what is left of it.
CLATTN_API std::optional<Coverage> exact_coverage(const MaskNode& mask, const Slice& slice,
                                                  const Range& queries, const Range& keys,
                                                  const Extent& extent, std::int64_t& budget);

// The lists of a mask that is valid (MaskNode::validate) over `extent` with the problem's batch and
// heads. They are exact: a block is partial only if some of its pairs are visible and some are not.
// Entries past the counts are 0. Throws Error (invalid_argument) where batch or heads of the shape
// are 1 though the mask varies with them (they must be the problem's there), and where a row needs
// more entries than the capacity.
CLATTN_API BlockLists make_block_lists(const MaskNode& mask, const BlockShape& shape,
                                       const Extent& extent);

// The transposed lists: for every key block, its query blocks; counts are [batch, heads,
// key_blocks], indices [batch, heads, key_blocks, query_blocks], the capacity of the shape is the
// number of query blocks, and all else stays. They drive the gradients of keys and values. Throws
// as validate does.
CLATTN_API BlockLists transpose(const BlockLists& lists, const Extent& extent);

// The lists as a mask: a pair is visible iff its block is full, or partial and `inside` allows it,
// and its key is within the block's key length. Throws Error (invalid_argument) as validate does,
// for the number of blocks that the lists have; other lengths are refused when a problem is
// validated.
CLATTN_API Mask block_lists_mask(BlockLists lists, const Extent& extent,
                                 Mask inside = dense_mask());

// A pattern of whole blocks: kept[((b * heads + h) * query_blocks + i) * key_blocks + j] is 0 where
// block (i, j) is hidden. `shape.capacity` is not read. Throws Error (invalid_argument) where the
// size is not batch * heads * query_blocks * key_blocks.
CLATTN_API Mask blocks_mask(const BlockShape& shape, std::int64_t query_blocks,
                            std::int64_t key_blocks, std::vector<std::uint8_t> kept);

}  // namespace clattn
