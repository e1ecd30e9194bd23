// The table of strides: which are listed, and what is said of them.
#include "clattn/stride_table.hpp"

#include <cmath>

#include "tests/support.hpp"

namespace clattn::tool {
namespace {

using Numbers = std::vector<std::int64_t>;

TEST(StrideTable, ListsEveryDimension) {
  const Neighborhood n{{256, 256}, {80, 81}, {3, 1}, {}, {}};
  const Numbers query_tile = {16, 8}, key_tile = {24, 8};
  Numbers first, second;
  for (const StrideChoice& choice : stride_choices(n, query_tile, key_tile)) {
    (choice.dimension == 0 ? first : second).push_back(choice.stride);
    Neighborhood changed = checked(n);
    changed.stride[choice.dimension] = choice.stride;
    const TileStatistics expected = simulate_tiles(changed, query_tile, key_tile);
    EXPECT_EQ(choice.statistics.tile_bound, expected.tile_bound) << choice.stride;
    EXPECT_EQ(choice.block_sparse, expected.tiles_masked == 0) << choice.stride;
    EXPECT_EQ(choice.current, choice.stride == (choice.dimension == 0 ? 3 : 1));
  }
  EXPECT_EQ(first, (Numbers{1, 2, 3, 4, 8, 16, 24, 32, 48, 64, 72, 80}));
  EXPECT_EQ(second, (Numbers{1, 2, 4, 8, 16, 24, 32, 64, 81}));
}

// The published case: with strides of 16 its tiles need no mask, and nothing is faster.
TEST(StrideTable, SaysWhatIsSparseAndFree) {
  const Numbers tile = {16, 8};
  const Neighborhood n{{256, 256}, {80, 80}, {1, 16}, {}, {}};
  const std::vector<StrideChoice> choices = stride_choices(n, tile, tile);
  for (const StrideChoice& choice : choices) {
    if (choice.dimension != 0) continue;
    // Windows begin at multiples of the tile, if strides and what is left of their leaders are.
    const bool aligned = choice.stride % 16 == 0 && (choice.stride / 2 - 40) % 16 == 0;
    EXPECT_EQ(choice.block_sparse, aligned) << choice.stride;
    EXPECT_EQ(choice.free, choice.statistics.tile_bound == 10.24) << choice.stride;
    if (choice.stride == 16) {
      EXPECT_TRUE(choice.block_sparse && choice.free);
    }
  }
  const std::string text = stride_table(choices, tile, tile);
  EXPECT_NE(text.find("tiles of 16x8 queries and 16x8 keys"), std::string::npos) << text;
  EXPECT_NE(text.find("10.24x   0.0% sparse free"), std::string::npos) << text;
  EXPECT_EQ(text.find(" \n"), std::string::npos) << text;
}

TEST(StrideTable, TakesTilesLargerThanWindows) {
  const Numbers tile = {64};
  Numbers strides;
  for (const StrideChoice& choice : stride_choices({{128}, {5}, {}, {}, {true}}, tile, tile)) {
    strides.push_back(choice.stride);
    EXPECT_FALSE(choice.block_sparse) << choice.stride;
  }
  EXPECT_EQ(strides, (Numbers{1, 2, 4, 5}));
}

}  // namespace
}  // namespace clattn::tool
