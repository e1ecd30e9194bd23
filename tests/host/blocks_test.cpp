// Block lists and masks of blocks against plain loops over blocks and pairs: the lists that a mask
// makes, the transposed lists, every offence that lists can have, and the views of the masks, which
// must agree with each other.
#include <clattn/blocks.hpp>
#include <set>

#include "tests/host/block_support.hpp"

namespace clattn {
namespace {

using test::ceil_divide;
using test::expect_error;
using test::Random;
using test::random_lists;
using test::row_of;
using test::uniform;

constexpr ErrorCategory kInvalid = ErrorCategory::invalid_argument;

BlockShape shape_of(std::int64_t query_block, std::int64_t key_block, std::int64_t batch = 1,
                    std::int64_t heads = 1, std::int64_t capacity = 0) {
  return {query_block, key_block, batch, heads, capacity};
}

// What a block is, counted pair by pair.
Coverage counted(const MaskNode& mask, const Slice& slice, const Range& queries, const Range& keys,
                 const Extent& extent) {
  std::int64_t visible = 0;
  for (std::int64_t i = queries.begin; i < queries.end; ++i) {
    for (std::int64_t j = keys.begin; j < keys.end; ++j) {
      visible += mask.allows({slice.batch, slice.head, i, j}, extent);
    }
  }
  if (visible == 0) return Coverage::none;
  return visible == queries.size() * keys.size() ? Coverage::all : Coverage::some;
}

BlockShape random_shape(Random& random) {
  return shape_of(uniform(random, 1, 9), uniform(random, 1, 9), uniform(random, 1, 2),
                  uniform(random, 1, 3));
}

Range random_range(Random& random, std::int64_t length) {
  const std::int64_t begin = uniform(random, 0, length - 1);
  return {begin, uniform(random, begin + 1, length)};
}

// `classify`, `reach` and the exact count against `allows`, in every slice.
void expect_views_agree(Random& random, const MaskNode& mask, std::int64_t batch,
                        std::int64_t heads, const Extent& extent) {
  for (std::int64_t index = 0; index < batch * heads; ++index) {
    const Slice slice{index / heads, index % heads};
    std::int64_t visible = 0;
    for (std::int64_t i = 0; i < extent.query_len; ++i) {
      const Range reach = mask.reach(slice, {i, i + 1}, extent);
      ASSERT_TRUE(0 <= reach.begin && reach.begin <= reach.end && reach.end <= extent.key_len);
      for (std::int64_t j = 0; j < extent.key_len; ++j) {
        if (!mask.allows({slice.batch, slice.head, i, j}, extent)) continue;
        ++visible;
        ASSERT_TRUE(reach.begin <= j && j < reach.end) << i << ", " << j;
      }
    }
    ASSERT_EQ(count_visible_pairs(mask, slice, extent), visible);
    for (int repeat = 0; repeat < 6; ++repeat) {
      const Range queries = random_range(random, extent.query_len);
      const Range keys = random_range(random, extent.key_len);
      const Coverage coverage = mask.classify(slice, queries, keys, extent);
      const Coverage expected = counted(mask, slice, queries, keys, extent);
      ASSERT_TRUE(coverage == Coverage::some || coverage == expected)
          << queries.begin << " to " << queries.end << ", " << keys.begin << " to " << keys.end;
      const Range reach = mask.reach(slice, queries, extent);
      for (std::int64_t i = queries.begin; i < queries.end; ++i) {
        const Range row = mask.reach(slice, {i, i + 1}, extent);
        ASSERT_TRUE(row.empty() || (reach.begin <= row.begin && row.end <= reach.end));
      }
    }
  }
}

TEST(BlockShape, LastBlocksMayBeRagged) {
  const BlockShape shape = shape_of(64, 128);
  EXPECT_EQ(shape.query_blocks({128, 0}), 2);
  EXPECT_EQ(shape.query_blocks({129, 0}), 3);
  EXPECT_EQ(shape.key_blocks({0, 0}), 0);
  EXPECT_EQ(shape.key_blocks({0, 1}), 1);
  EXPECT_EQ(shape.row_capacity({0, 257}), 3);
  EXPECT_EQ(shape_of(64, 128, 1, 1, 5).row_capacity({0, 257}), 5);
}

TEST(MakeBlockLists, OfACausalMask) {
  const BlockLists lists = make_block_lists(*causal_mask(), shape_of(2, 2), {5, 5});
  EXPECT_EQ(lists.partial_count, (std::vector<std::int32_t>{1, 1, 0}));  // the last block is 1 x 1
  EXPECT_EQ(lists.partial_index, (std::vector<std::int32_t>{0, 0, 0, 1, 0, 0, 0, 0, 0}));
  EXPECT_EQ(lists.full_count, (std::vector<std::int32_t>{0, 1, 3}));
  EXPECT_EQ(lists.full_index, (std::vector<std::int32_t>{0, 0, 0, 0, 0, 0, 0, 1, 2}));
}

TEST(MakeBlockLists, AreExactForAnyMask) {
  Random random = test::make_random();
  for (int repeat = 0; repeat < 300; ++repeat) {
    const Extent extent{uniform(random, 0, 30), uniform(random, 0, 30)};
    BlockShape shape = random_shape(random);
    shape.batch = 2;
    shape.heads = uniform(random, 2, 3);
    Mask mask = test::random_mask(random, extent, 2, shape.batch, shape.heads);
    if (repeat % 2 && extent.query_len > 0 && extent.key_len > 0) {
      // Blocks of another size, whose `classify` is only safe.
      BlockShape other = random_shape(random);
      if (other.batch > 1) other.batch = shape.batch;
      if (other.heads > 1) other.heads = shape.heads;
      mask = block_lists_mask(random_lists(random, other, extent, true, true), extent, mask);
    }
    if (!mask->variation().batch) shape.batch = 1;
    if (!mask->variation().head) shape.heads = 1;
    SCOPED_TRACE(mask->to_json());
    const BlockLists lists = make_block_lists(*mask, shape, extent);
    validate(lists, extent);
    const std::int64_t rows = shape.query_blocks(extent);
    const std::int64_t columns = shape.key_blocks(extent);
    for (std::int64_t row = 0; row < shape.batch * shape.heads * rows; ++row) {
      const Slice slice{row / rows / shape.heads, row / rows % shape.heads};
      std::vector<std::int32_t> partial, full;
      for (std::int64_t j = 0; j < columns; ++j) {
        const std::int64_t query = row % rows * shape.query_block;
        const std::int64_t key = j * shape.key_block;
        const Coverage coverage =
            counted(*mask, slice, {query, std::min(query + shape.query_block, extent.query_len)},
                    {key, std::min(key + shape.key_block, extent.key_len)}, extent);
        if (coverage == Coverage::some) partial.push_back(static_cast<std::int32_t>(j));
        if (coverage == Coverage::all) full.push_back(static_cast<std::int32_t>(j));
      }
      ASSERT_EQ(row_of(lists.partial_count, lists.partial_index, row, columns), partial) << row;
      ASSERT_EQ(row_of(lists.full_count, lists.full_index, row, columns), full) << row;
    }
  }
}

TEST(MakeBlockLists, RefusesWhatTheListsCannotHold) {
  const BlockShape two_heads = shape_of(4, 4, 1, 2);
  const Mask varied = blocks_mask(two_heads, 2, 2, {1, 0, 0, 1, 0, 1, 1, 0});
  expect_error(kInvalid, {"heads", "1", "varies"}, [&] {
    make_block_lists(*varied, shape_of(4, 4), {8, 8});
  });
  const Mask by_batch = blocks_mask(shape_of(4, 4, 2, 1), 2, 2, {1, 0, 0, 1, 0, 1, 1, 0});
  expect_error(kInvalid, {"batch", "1", "varies"}, [&] {
    make_block_lists(*by_batch, shape_of(4, 4, 1, 2), {8, 8});
  });
  expect_error(kInvalid, {"full_count", "batch 1, head 0, row 2", "is 3", "capacity", "2"}, [] {
    const Mask mask = blocks_mask(shape_of(4, 4, 2, 1), 3, 3,
                                  {1, 1, 0, 1, 0, 1, 1, 0, 0, 1, 1, 0, 1, 0, 1, 1, 1, 1});
    make_block_lists(*mask, shape_of(4, 4, 2, 1, 2), {12, 12});
  });
  expect_error(kInvalid, {"partial_count", "row 1", "is 2", "capacity", "1"}, [] {
    make_block_lists(*window_mask(1, 0), shape_of(2, 2, 1, 1, 1), {4, 4});
  });
  expect_error(kInvalid, {"query_block", "0", "1"}, [] {
    make_block_lists(*dense_mask(), shape_of(0, 2), {4, 4});
  });
}

TEST(TransposedLists, HoldTheSameBlocks) {
  Random random = test::make_random();
  for (int repeat = 0; repeat < 200; ++repeat) {
    const Extent extent{uniform(random, 1, 40), uniform(random, 1, 40)};
    BlockShape shape = random_shape(random);
    shape.capacity = uniform(random, 0, 1) ? uniform(random, 1, 5) : 0;
    const BlockLists lists =
        random_lists(random, shape, extent, uniform(random, 0, 1), uniform(random, 0, 1));
    const BlockLists turned = transpose(lists, extent);
    EXPECT_EQ(turned.key_lengths, lists.key_lengths);
    EXPECT_EQ(turned.full_count.empty(), lists.full_count.empty());
    const std::int64_t rows = shape.query_blocks(extent);
    const std::int64_t columns = shape.key_blocks(extent);
    EXPECT_EQ(turned.shape.capacity, rows);
    const auto expect_turned = [&](const auto& counts, const auto& indices,
                                   const auto& turned_counts, const auto& turned_indices) {
      for (std::int64_t column = 0; column < shape.batch * shape.heads * columns; ++column) {
        std::vector<std::int32_t> expected;
        for (std::int64_t i = 0; i < rows; ++i) {
          const auto row =
              row_of(counts, indices, column / columns * rows + i, shape.row_capacity(extent));
          if (std::find(row.begin(), row.end(), column % columns) != row.end()) {
            expected.push_back(static_cast<std::int32_t>(i));
          }
        }
        ASSERT_EQ(row_of(turned_counts, turned_indices, column, rows), expected);
      }
    };
    expect_turned(lists.partial_count, lists.partial_index, turned.partial_count,
                  turned.partial_index);
    if (!lists.full_count.empty()) {
      expect_turned(lists.full_count, lists.full_index, turned.full_count, turned.full_index);
    }
  }
}

// Two batches, two heads, two rows of three key blocks of four.
BlockLists correct_lists() {
  BlockLists lists;
  lists.shape = shape_of(4, 4, 2, 2);
  lists.partial_count = {1, 0, 2, 1, 0, 3, 1, 1};
  lists.partial_index = {0, 0, 0, 0, 0, 0, 0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 1, 2, 1, 0, 0, 0, 0, 0};
  lists.full_count = {2, 0, 1, 0, 0, 0, 1, 2};
  lists.full_index = {1, 2, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0};
  lists.key_lengths = {4, 4, 1, 0, 4, 1, 4, 2, 1, 4, 4, 4};
  return lists;
}

TEST(ValidateLists, NamesTheFirstOffence) {
  const Extent extent{7, 9};
  validate(correct_lists(), extent);
  const auto expect_refused = [&](const std::vector<std::string>& parts, auto&& spoil) {
    BlockLists lists = correct_lists();
    spoil(lists);
    expect_error(kInvalid, parts, [&] { validate(lists, extent); });
    expect_error(kInvalid, parts, [&] { block_lists_mask(lists, extent); });
  };
  expect_refused({"query_block", "0", "1"}, [](BlockLists& lists) { lists.shape.query_block = 0; });
  expect_refused({"key_block", "-4", "1"}, [](BlockLists& lists) { lists.shape.key_block = -4; });
  expect_refused({"batch", "0", "1"}, [](BlockLists& lists) { lists.shape.batch = 0; });
  expect_refused({"heads", "0", "1"}, [](BlockLists& lists) { lists.shape.heads = 0; });
  expect_refused({"capacity", "-1", "0"}, [](BlockLists& lists) { lists.shape.capacity = -1; });
  expect_refused({"partial_count", "7", "8"},
                 [](BlockLists& lists) { lists.partial_count.pop_back(); });
  expect_refused({"partial_index", "25", "24"},
                 [](BlockLists& lists) { lists.partial_index.push_back(0); });
  expect_refused({"full_count", "0", "8"}, [](BlockLists& lists) { lists.full_count.clear(); });
  expect_refused({"full_index", "0", "24"}, [](BlockLists& lists) { lists.full_index.clear(); });
  expect_refused({"key_lengths", "11", "12"},
                 [](BlockLists& lists) { lists.key_lengths.pop_back(); });
  expect_refused({"partial_count", "8"},
                 [](BlockLists& lists) { lists.shape.batch = std::int64_t{1} << 62; });
  expect_refused({"partial_count", "batch 0, head 1, row 1", "-1", "3"},
                 [](BlockLists& lists) { lists.partial_count[3] = -1; });
  expect_refused({"full_count", "batch 1, head 1, row 0", "4", "3", "capacity"},
                 [](BlockLists& lists) { lists.full_count[6] = 4; });
  expect_refused({"partial_index", "batch 1, head 0, row 1", "entry 2", "3", "2"},
                 [](BlockLists& lists) { lists.partial_index[17] = 3; });
  expect_refused({"full_index", "batch 0, head 0, row 0", "entry 0", "-1", "0"},
                 [](BlockLists& lists) { lists.full_index[0] = -1; });
  expect_refused({"partial_index", "batch 0, head 1, row 0", "entry 1", "is 0", "above", "0"},
                 [](BlockLists& lists) { lists.partial_index[7] = 0; });  // repeated
  expect_refused({"full_index", "batch 1, head 1, row 1", "entry 1", "is 0", "above", "1"},
                 [](BlockLists& lists) { lists.full_index[22] = 0; });  // descending
  expect_refused({"full_index", "batch 0, head 1, row 0", "entry 0", "is 1", "partial_index"},
                 [](BlockLists& lists) { lists.full_index[6] = 1; });
  expect_refused({"key_lengths", "batch 0, head 1, row 2", "5", "4"},
                 [](BlockLists& lists) { lists.key_lengths[5] = 5; });
  expect_refused({"key_lengths", "batch 1, head 0, row 0", "-2", "0"},
                 [](BlockLists& lists) { lists.key_lengths[6] = -2; });
}

TEST(BlocksMask, ViewsAgreeAndMeanWhatTheBlocksSay) {
  Random random = test::make_random();
  for (int repeat = 0; repeat < 200; ++repeat) {
    // Up to 120 key blocks, for rows of more than one word.
    const Extent extent{uniform(random, 1, 20), uniform(random, 1, 120)};
    BlockShape shape = random_shape(random);
    if (repeat % 4 == 0) shape.key_block = 1;
    const std::int64_t rows = shape.query_blocks(extent);
    const std::int64_t columns = shape.key_blocks(extent);
    std::vector<std::uint8_t> kept(shape.batch * shape.heads * rows * columns);
    const std::int64_t density = uniform(random, 0, 4);
    for (auto& value : kept) {
      value =
          uniform(random, 0, 4) <= density ? static_cast<std::uint8_t>(uniform(random, 1, 255)) : 0;
    }
    const Mask mask = blocks_mask(shape, rows, columns, kept);
    SCOPED_TRACE(mask->to_json());
    const std::int64_t batch = shape.batch > 1 ? shape.batch : 2;
    const std::int64_t heads = shape.heads > 1 ? shape.heads : 2;
    mask->validate(extent, batch, heads);
    EXPECT_EQ(mask->variation().batch, shape.batch > 1);
    EXPECT_EQ(mask->variation().head, shape.heads > 1);
    for (std::int64_t b = 0; b < batch; ++b) {
      for (std::int64_t h = 0; h < heads; ++h) {
        for (std::int64_t i = 0; i < extent.query_len; ++i) {
          for (std::int64_t j = 0; j < extent.key_len; ++j) {
            const std::int64_t kept_batch = shape.batch == 1 ? 0 : b;
            const std::int64_t kept_head = shape.heads == 1 ? 0 : h;
            const std::int64_t index =
                ((kept_batch * shape.heads + kept_head) * rows + i / shape.query_block) * columns +
                j / shape.key_block;
            ASSERT_EQ(mask->allows({b, h, i, j}, extent), kept[index] != 0);
          }
        }
      }
    }
    expect_views_agree(random, *mask, batch, heads, extent);
  }
}

// On whole blocks the answers are the best there are, so that no tile is visited for nothing.
TEST(BlocksMask, ClassifiesBlocksExactly) {
  Random random = test::make_random();
  const BlockShape shape = shape_of(4, 2);
  const Extent extent{17, 99};
  std::vector<std::uint8_t> kept(5 * 50);
  for (auto& value : kept) value = uniform(random, 0, 9) > 0;
  const Mask mask = blocks_mask(shape, 5, 50, kept);
  for (int repeat = 0; repeat < 500; ++repeat) {
    const Range queries = random_range(random, extent.query_len);
    const Range keys = random_range(random, extent.key_len);
    ASSERT_EQ(mask->classify({}, queries, keys, extent), counted(*mask, {}, queries, keys, extent));
  }
}

TEST(BlocksMask, RefusesWhatDoesNotFit) {
  expect_error(kInvalid, {"5", "1 x 1 x 2 x 3", "6"},
               [] { blocks_mask(shape_of(4, 4), 2, 3, std::vector<std::uint8_t>(5)); });
  expect_error(kInvalid, {"key_block", "0"}, [] { blocks_mask(shape_of(4, 0), 0, 0, {}); });
  expect_error(kInvalid, {"query_blocks", "-1"}, [] { blocks_mask(shape_of(4, 4), -1, 0, {}); });
  const Mask mask = blocks_mask(shape_of(4, 5, 2, 3), 2, 3, std::vector<std::uint8_t>(36));
  mask->validate({8, 11}, 2, 3);
  mask->validate({5, 15}, 2, 3);
  expect_error(kInvalid, {"query_len", "9", "3 blocks of 4", "2"}, [&] {
    mask->validate({9, 15}, 2, 3);
  });
  expect_error(kInvalid, {"key_len", "16", "4 blocks of 5", "3"}, [&] {
    mask->validate({8, 16}, 2, 3);
  });
  expect_error(kInvalid, {"batch", "2", "4"}, [&] { mask->validate({8, 15}, 4, 3); });
  expect_error(kInvalid, {"heads", "3", "6"}, [&] { mask->validate({8, 15}, 2, 6); });
}

TEST(BlocksMask, WritesItself) {
  const Mask mask = blocks_mask(shape_of(4, 5, 1, 2), 2, 3, {1, 0, 1, 0, 1, 0, 1, 1, 1, 0, 0, 0});
  EXPECT_EQ(mask->to_json(),
            R"({"blocks":{"q_block":4,"k_block":5,"mask":[[["101","010"],["111","000"]]]}})");
  EXPECT_EQ(mask->seams({}, {8, 15}), (std::vector<std::int64_t>{4}));
  EXPECT_EQ(mask->seams({}, {7, 15}), (std::vector<std::int64_t>{4}));
}

TEST(BlockListsMask, ViewsAgreeAndMeanWhatTheListsSay) {
  Random random = test::make_random();
  for (int repeat = 0; repeat < 200; ++repeat) {
    const Extent extent{uniform(random, 1, 20), uniform(random, 1, 90)};
    BlockShape shape = random_shape(random);
    if (repeat % 4 == 0) shape.key_block = 1;
    shape.capacity = uniform(random, 0, 1) ? uniform(random, 1, 8) : 0;
    const BlockLists lists =
        random_lists(random, shape, extent, uniform(random, 0, 1), uniform(random, 0, 1));
    const std::int64_t batch = shape.batch > 1 ? shape.batch : 2;
    const std::int64_t heads = shape.heads > 1 ? shape.heads : 2;
    const Mask inside = test::random_mask(random, extent, 2, batch, heads);
    const Mask mask = block_lists_mask(lists, extent, inside);
    SCOPED_TRACE(mask->to_json());
    mask->validate(extent, batch, heads);
    const std::int64_t rows = shape.query_blocks(extent);
    const std::int64_t columns = shape.key_blocks(extent);
    const std::int64_t capacity = shape.row_capacity(extent);
    for (std::int64_t index = 0; index < batch * heads * extent.query_len; ++index) {
      const std::int64_t i = index % extent.query_len;
      const std::int64_t h = index / extent.query_len % heads;
      const std::int64_t b = index / extent.query_len / heads;
      const std::int64_t slice =
          (shape.batch == 1 ? 0 : b) * shape.heads + (shape.heads == 1 ? 0 : h);
      const std::int64_t row = slice * rows + i / shape.query_block;
      const auto lists_block = [&](const auto& counts, const auto& indices, std::int64_t block) {
        if (counts.empty()) return false;
        const auto entries = row_of(counts, indices, row, capacity);
        return std::find(entries.begin(), entries.end(), block) != entries.end();
      };
      for (std::int64_t j = 0; j < extent.key_len; ++j) {
        const std::int64_t block = j / shape.key_block;
        const bool exists = lists.key_lengths.empty() ||
                            j % shape.key_block < lists.key_lengths[slice * columns + block];
        const bool seen = lists_block(lists.full_count, lists.full_index, block) ||
                          (lists_block(lists.partial_count, lists.partial_index, block) &&
                           inside->allows({b, h, i, j}, extent));
        ASSERT_EQ(mask->allows({b, h, i, j}, extent), exists && seen) << i << ", " << j;
      }
    }
    expect_views_agree(random, *mask, batch, heads, extent);
  }
}

TEST(BlockListsMask, VariesWhereItsMaskDoes) {
  BlockLists lists;
  lists.shape = shape_of(4, 4);
  lists.partial_count = {1};
  lists.partial_index = {0};
  const Mask inside = blocks_mask(shape_of(2, 2, 1, 2), 2, 2, {1, 0, 0, 1, 0, 1, 1, 0});
  const Mask mask = block_lists_mask(lists, {4, 4}, inside);
  EXPECT_FALSE(mask->variation().batch);
  EXPECT_TRUE(mask->variation().head);
  expect_error(kInvalid, {"heads", "2", "3"}, [&] { mask->validate({4, 4}, 1, 3); });
  expect_error(kInvalid, {"block_lists", "null"}, [&] {
    block_lists_mask(lists, {4, 4}, nullptr);
  });
}

TEST(BlockListsMask, WritesItself) {
  BlockLists lists = correct_lists();
  const std::string text = block_lists_mask(lists, {7, 9}, causal_mask())->to_json();
  EXPECT_EQ(text, R"({"block_lists":{"q_block":4,"k_block":4,)"
                  R"("partial_count":[[[1,0],[2,1]],[[0,3],[1,1]]],)"
                  R"("partial_index":[[[[0,0,0],[0,0,0]],[[0,1,0],[2,0,0]]],)"
                  R"([[[0,0,0],[0,1,2]],[[1,0,0],[0,0,0]]]],)"
                  R"("full_count":[[[2,0],[1,0]],[[0,0],[1,2]]],)"
                  R"("full_index":[[[[1,2,0],[0,0,0]],[[2,0,0],[0,0,0]]],)"
                  R"([[[0,0,0],[0,0,0]],[[0,0,0],[1,2,0]]]],)"
                  R"("key_lengths":[[[4,4,1],[0,4,1]],[[4,2,1],[4,4,4]]],)"
                  R"("mask":{"causal":{"align":"bottom_right"}}}})");
}

// Floyd's sample with a set, and random_bits as masks.cl has it.
std::set<std::int64_t> sample(std::uint32_t seed, std::uint32_t row, std::int64_t blocks,
                              std::int64_t count) {
  const auto mix = [](std::uint32_t x) {
    x ^= x >> 16;
    x *= 0x6a09e667u;
    x ^= x >> 15;
    x *= 0xbb67ae85u;
    x ^= x >> 16;
    return x;
  };
  std::set<std::int64_t> result;
  for (std::int64_t j = std::max<std::int64_t>(blocks - count, 0); j < blocks; ++j) {
    const auto t = static_cast<std::uint32_t>(j - std::max<std::int64_t>(blocks - count, 0));
    const std::uint32_t bits = mix(mix(seed + (row + 1) * 0x9e3779b9u) + t);
    const auto drawn = static_cast<std::int64_t>(std::uint64_t{bits} * (j + 1) >> 32);
    result.insert(result.count(drawn) ? j : drawn);
  }
  return result;
}

TEST(RandomBlocksMask, ViewsAgreeWithFloydsSample) {
  Random random = test::make_random();
  for (int repeat = 0; repeat < 300; ++repeat) {
    const Extent extent{uniform(random, 1, 30), uniform(random, 1, 60)};
    const std::int64_t query_block = uniform(random, 1, 9);
    const std::int64_t key_block = uniform(random, 1, 9);
    const std::int64_t count = uniform(random, 0, 8);
    const auto seed = static_cast<std::uint32_t>(random());
    const Mask mask = random_blocks_mask(query_block, key_block, count, seed);
    SCOPED_TRACE(mask->to_json());
    const std::int64_t blocks = ceil_divide(extent.key_len, key_block);
    for (std::int64_t i = 0; i < extent.query_len; ++i) {
      const auto row = static_cast<std::uint32_t>(i / query_block);
      const std::set<std::int64_t> expected = sample(seed, row, blocks, count);
      ASSERT_EQ(static_cast<std::int64_t>(expected.size()), std::min(count, blocks));
      for (std::int64_t j = 0; j < extent.key_len; ++j) {
        ASSERT_EQ(mask->allows({0, 0, i, j}, extent), expected.count(j / key_block) == 1);
      }
    }
    expect_views_agree(random, *mask, 1, 1, extent);
  }
}

// Over many rows each block is drawn equally often, whatever the seed, and neighbouring rows have
// no more blocks in common than chance gives them.
TEST(RandomBlocksMask, DrawsUniformly) {
  constexpr std::int64_t kRows = 20000, kBlocks = 10, kCount = 3;
  for (std::uint32_t seed : {0u, 1u, 12345u, 0xffffffffu}) {
    const Mask mask = random_blocks_mask(1, 1, kCount, seed);
    std::vector<std::int64_t> drawn(kBlocks);
    std::int64_t in_common = 0;
    for (std::int64_t i = 0; i < kRows; ++i) {
      for (std::int64_t j = 0; j < kBlocks; ++j) {
        const bool seen = mask->allows({0, 0, i, j}, {kRows, kBlocks});
        drawn[j] += seen;
        in_common += seen && i > 0 && mask->allows({0, 0, i - 1, j}, {kRows, kBlocks});
      }
    }
    // Binomial, with p = 3/10: 6000 in 20000, standard deviation 65; five of them are allowed.
    for (std::int64_t count : drawn) EXPECT_NEAR(count, kRows * kCount / kBlocks, 325) << seed;
    // Mean 3 * 3/10 a row, variance below 0.5: standard deviation 100.
    EXPECT_NEAR(in_common, kRows * 9 / 10, 500) << seed;
  }
}

TEST(RandomBlocksMask, RefusesSizesThatMakeNoSense) {
  expect_error(kInvalid, {"query_block", "0", "1"}, [] { random_blocks_mask(0, 1, 1, 0); });
  expect_error(kInvalid, {"key_block", "-1", "1"}, [] { random_blocks_mask(1, -1, 1, 0); });
  expect_error(kInvalid, {"count", "-1", "0"}, [] { random_blocks_mask(1, 1, -1, 0); });
  EXPECT_EQ(random_blocks_mask(64, 32, 3, 0xffffffffu)->to_json(),
            R"({"random_blocks":{"q_block":64,"k_block":32,"count":3,"seed":4294967295}})");
}

}  // namespace
}  // namespace clattn
