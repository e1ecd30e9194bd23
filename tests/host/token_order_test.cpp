// The order of tiles against a literal transcription of what it means, a sort of the tokens by
// their group, tile and place in the tile.
#include <algorithm>
#include <clattn/neighborhood.hpp>
#include <clattn/problem.hpp>
#include <numeric>

#include "tests/support.hpp"

namespace clattn {
namespace {

using namespace test;

constexpr ErrorCategory kInvalid = ErrorCategory::invalid_argument;
using Sizes = std::vector<std::int64_t>;

// What the tokens of a grid are sorted by.
std::vector<std::int64_t> place_of(const TokenOrder& order, std::int64_t token) {
  const std::size_t rank = order.grid.size();
  std::vector<std::int64_t> place(3 * rank);
  for (std::size_t d = rank; d-- > 0;) {
    const std::int64_t coordinate = token % order.grid[d];
    token /= order.grid[d];
    place[d] = coordinate % order.dilation[d];
    place[rank + d] = coordinate / order.dilation[d] / order.tile[d];
    place[2 * rank + d] = coordinate / order.dilation[d] % order.tile[d];
  }
  return place;
}

std::vector<std::int32_t> sorted_tokens(const TokenOrder& order) {
  std::vector<std::int32_t> tokens(static_cast<std::size_t>(order.tokens()));
  std::iota(tokens.begin(), tokens.end(), 0);
  std::vector<std::vector<std::int64_t>> places;
  for (std::int32_t token : tokens) places.push_back(place_of(order, token));
  std::sort(tokens.begin(), tokens.end(),
            [&](std::int32_t a, std::int32_t b) { return places[a] < places[b]; });
  return tokens;
}

TEST(TokenOrder, IsAsSortedByGroupTileAndPlace) {
  Random random = make_random();
  for (int round = 0; round < 400; ++round) {
    TokenOrder order;
    const std::int64_t rank = uniform(random, 1, 3);
    const std::int64_t longest = rank == 1 ? 200 : rank == 2 ? 24 : 9;
    for (std::int64_t d = 0; d < rank; ++d) {
      order.grid.push_back(uniform(random, 1, longest));
      order.tile.push_back(uniform(random, 1, longest + 2));
      order.dilation.push_back(uniform(random, 1, std::min<std::int64_t>(order.grid.back(), 4)));
    }
    SCOPED_TRACE(::testing::PrintToString(order.grid) + ::testing::PrintToString(order.tile) +
                 ::testing::PrintToString(order.dilation));
    ASSERT_EQ(tokens_in_order(order), sorted_tokens(order));
  }
}

TEST(TokenOrder, IsThatOfTheTokensWhereTilesAreContiguous) {
  for (const TokenOrder& order :
       {TokenOrder{{97}, {8}, {}}, TokenOrder{{9, 7}, {2, 7}, {}}, TokenOrder{{9, 7}, {1, 3}, {}},
        TokenOrder{{4, 5, 6}, {3, 5, 9}, {}}, TokenOrder{{4, 5, 6}, {1, 2, 6}, {1, 1, 1}},
        TokenOrder{{1}, {1}, {}}}) {
    std::vector<std::int32_t> expected(static_cast<std::size_t>(order.tokens()));
    std::iota(expected.begin(), expected.end(), 0);
    EXPECT_EQ(tokens_in_order(order), expected);
  }
}

TEST(TokenOrder, CutsTilesAtTheFarEnds) {
  EXPECT_EQ(tokens_in_order({{3, 5}, {2, 2}, {}}),
            (std::vector<std::int32_t>{0, 1, 5, 6, 2, 3, 7, 8, 4, 9, 10, 11, 12, 13, 14}));
}

TEST(TokenOrder, PutsDilationGroupsOneBehindAnother) {
  EXPECT_EQ(tokens_in_order({{7}, {2}, {3}}), (std::vector<std::int32_t>{0, 3, 6, 1, 4, 2, 5}));
  EXPECT_EQ(tokens_in_order({{3, 3}, {2, 2}, {1, 2}}),
            (std::vector<std::int32_t>{0, 2, 3, 5, 6, 8, 1, 4, 7}));
}

TEST(TokenOrder, CheckedLeavesNothingEmpty) {
  const TokenOrder order = checked(TokenOrder{{4, 6}, {2, 8}, {}});
  EXPECT_EQ(order.dilation, (Sizes{1, 1}));
  EXPECT_EQ(order.tile, (Sizes{2, 8}));
  EXPECT_EQ(order.tokens(), 24);
  EXPECT_EQ(checked(order), order);
}

TEST(TokenOrder, RefusesWhatIsNoOrder) {
  const auto expect_refused = [](TokenOrder order, std::initializer_list<std::string> parts) {
    expect_error(kInvalid, parts, [&] { checked(order); });
    expect_error(kInvalid, parts, [&] { tokens_in_order(order); });
  };
  expect_refused({}, {"grid has 0 dimensions", "1 to 3"});
  expect_refused({{2, 2, 2, 2}, {1, 1, 1, 1}, {}}, {"grid has 4 dimensions", "1 to 3"});
  expect_refused({{4, 4}, {2}, {}}, {"tile has 1 dimensions", "grid has 2"});
  expect_refused({{4, 4}, {2, 2}, {1}}, {"dilation has 1 dimensions", "grid has 2"});
  expect_refused({{4, 0}, {2, 2}, {}}, {"grid of dimension 1 is 0", "at least 1"});
  expect_refused({{4, 4}, {0, 2}, {}}, {"tile of dimension 0 is 0", "at least 1"});
  expect_refused({{4, 4}, {2, 2}, {5, 1}}, {"dilation of dimension 0 is 5", "at most 4"});
  expect_refused({{4, 4}, {2, 2}, {1, -1}}, {"dilation of dimension 1 is -1", "at least 1"});
  expect_refused({{1 << 20, 1 << 20}, {8, 8}, {}}, {"more tokens", "1073741824"});
  expect_refused({{1 << 30, 1 << 30, 1 << 30}, {8, 8, 8}, {}}, {"more tokens"});
}

}  // namespace
}  // namespace clattn
