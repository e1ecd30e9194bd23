// Every token's kind is what looking at all pairs of the tile's queries and the token gives.
#include "clattn/neighborhood_picture.hpp"

#include <array>
#include <set>

#include "tests/support.hpp"

namespace clattn::tool {
namespace {

using test::Random;
using test::uniform;

struct Case {
  Neighborhood neighborhood;
  GridTile tile;
};

Case random_case(Random& random) {
  Case result;
  auto& [n, tile] = result;
  const auto rank = static_cast<std::size_t>(uniform(random, 1, 3));
  const std::int64_t longest[] = {60, 20, 9};
  std::vector<std::int64_t> grid(rank);
  for (std::int64_t& length : grid) length = uniform(random, 2, longest[rank - 1]);
  n = test::random_neighborhood(random, grid);
  for (std::size_t i = 0; i < rank; ++i) {
    const std::int64_t length = (n.grid[i] - 1) / n.dilation[i] + 1;
    tile.shape.push_back(uniform(random, 1, length));
    tile.index.push_back(uniform(random, 0, (length - 1) / tile.shape[i]));
  }
  return result;
}

// The coordinates of a token, the last dimension fastest.
std::vector<std::int64_t> coordinates_of(const Neighborhood& n, std::int64_t token) {
  std::vector<std::int64_t> result(n.grid.size());
  for (std::size_t i = n.grid.size(); i-- > 0; token /= n.grid[i]) result[i] = token % n.grid[i];
  return result;
}

// The index of the token's tile in its group; empty outside of the first group.
std::vector<std::int64_t> tile_index(const Case& c, std::int64_t token) {
  std::vector<std::int64_t> result = coordinates_of(c.neighborhood, token);
  for (std::size_t i = 0; i < result.size(); ++i) {
    if (result[i] % c.neighborhood.dilation[i] != 0) return {};
    result[i] = result[i] / c.neighborhood.dilation[i] / c.tile.shape[i];
  }
  return result;
}

TEST(NeighborhoodPicture, KindsAreThoseOfAllPairs) {
  Random random = test::make_random();
  for (int i = 0; i < 200; ++i) {
    const Case c = random_case(random);
    const std::int64_t tokens = c.neighborhood.tokens();
    const Extent extent{tokens, tokens};
    const Mask mask = neighborhood_mask(c.neighborhood);
    std::vector<std::int64_t> queries;
    for (std::int64_t token = 0; token < tokens; ++token) {
      if (tile_index(c, token) == c.tile.index) queries.push_back(token);
    }
    std::vector<std::size_t> seen(static_cast<std::size_t>(tokens));
    std::set<std::vector<std::int64_t>> visited;
    for (std::int64_t key = 0; key < tokens; ++key) {
      for (const std::int64_t query : queries) {
        seen[static_cast<std::size_t>(key)] += mask->allows({0, 0, query, key}, extent);
      }
      if (seen[static_cast<std::size_t>(key)] > 0) visited.insert(tile_index(c, key));
    }

    const WindowMap map = make_window_map(c.neighborhood, c.tile, tokens);
    ASSERT_EQ(map.tokens_per_cell, 1);
    ASSERT_EQ(slices_of(c.neighborhood, c.tile),
              (Range{map.first_slice, map.first_slice + map.slices}));
    std::array<std::int64_t, kTokenKinds> total = {};
    const std::int64_t slice_tokens = map.rows * map.columns;
    for (std::int64_t token = 0; token < tokens; ++token) {
      const std::size_t by = seen[static_cast<std::size_t>(token)];
      const std::vector<std::int64_t> tile = tile_index(c, token);
      const TokenKind kind = tile == c.tile.index     ? TokenKind::query
                             : by == queries.size()   ? TokenKind::seen_by_all
                             : by > 0                 ? TokenKind::seen_by_some
                             : visited.contains(tile) ? TokenKind::hidden
                                                      : TokenKind::not_visited;
      const std::int64_t slice = token / slice_tokens - map.first_slice;
      if (slice < 0 || slice >= map.slices) {
        ASSERT_EQ(kind, TokenKind::not_visited) << "case " << i << ", token " << token;
        continue;
      }
      const auto& cell = map.cell(slice, token % slice_tokens / map.columns, token % map.columns);
      ASSERT_EQ(cell[static_cast<std::size_t>(kind)], 1) << "case " << i << ", token " << token;
      ++total[static_cast<std::size_t>(kind)];
    }
    ASSERT_EQ(map.total, total) << "case " << i;

    const std::int64_t most = uniform(random, 1, 8);
    const WindowMap coarse = make_window_map(c.neighborhood, c.tile, most);
    ASSERT_LE(std::max(coarse.rows, coarse.columns), most);
    ASSERT_EQ(coarse.total, total);
    std::array<std::int64_t, kTokenKinds> sum = {};
    for (const auto& cell : coarse.cells) {
      for (std::size_t kind = 0; kind < kTokenKinds; ++kind) sum[kind] += cell[kind];
    }
    ASSERT_EQ(sum, total);
  }
}

TEST(NeighborhoodPicture, ChoosesTheMiddleTile) {
  EXPECT_EQ(middle_tile({{40, 20}, {9, 9}, {}, {}, {}}).shape, (std::vector<std::int64_t>{8, 8}));
  EXPECT_EQ(middle_tile({{40, 20}, {9, 9}, {}, {}, {}}).index, (std::vector<std::int64_t>{2, 1}));
  EXPECT_EQ(middle_tile({{40}, {3}, {}, {7}, {}}).shape, (std::vector<std::int64_t>{6}));
  EXPECT_EQ(middle_tile({{8, 8, 8}, {3, 3, 3}, {}, {}, {}}, {8, 4, 3}).index,
            (std::vector<std::int64_t>{0, 1, 1}));
}

TEST(NeighborhoodPicture, RefusesTilesOutsideOfTheGrid) {
  const Neighborhood n{{40, 20}, {9, 9}, {}, {}, {}};
  const auto refused = [&](const GridTile& tile, const std::vector<std::string>& words) {
    test::expect_error(ErrorCategory::invalid_argument, words,
                       [&] { make_window_map(n, tile, 10); });
  };
  refused({{8}, {0, 0}}, {"the tile has 1 dimensions, but the grid has 2"});
  refused({{8, 8}, {0}}, {"the tile's index has 1 dimensions, but the grid has 2"});
  refused({{8, 21}, {0, 0}}, {"the tile is 21 in dimension 1, not within 1 to 20"});
  refused({{0, 8}, {0, 0}}, {"the tile is 0 in dimension 0, not within 1 to 40"});
  refused({{8, 8}, {0, 3}}, {"the tile's index is 3 in dimension 1, not within 0 to 2"});
}

}  // namespace
}  // namespace clattn::tool
