// The closed form counts what looking at every pair counts, and gives the bounds published for
// NATTEN's tiles (arXiv 2504.16922). The oracle is a transcription of the definition that shares no
// code with the library.
#include <clattn/neighborhood.hpp>
#include <cmath>
#include <map>
#include <set>

#include "tests/support.hpp"

namespace clattn {
namespace {

using test::Random;
using test::uniform;
using Lengths = std::vector<std::int64_t>;

bool sees(const Neighborhood& n, std::size_t i, std::int64_t query, std::int64_t key) {
  const std::int64_t d = n.dilation[i], w = n.window[i], s = n.stride[i];
  if (query % d != key % d) return false;
  std::int64_t length = 0;
  for (std::int64_t token = query % d; token < n.grid[i]; token += d) ++length;
  const std::int64_t x = query / d, y = key / d;
  if (n.causal[i]) {
    const std::int64_t leader = std::min(x / s * s + s - 1, length - 1);
    return y >= std::max<std::int64_t>(leader - w + 1, 0) && y <= x;
  }
  const std::int64_t leader = std::min(x / s * s + s / 2, length - 1);
  const std::int64_t start = std::clamp<std::int64_t>(leader - w / 2, 0, length - w);
  return y >= start && y < start + w;
}

struct Token {
  std::vector<std::int64_t> coordinates;
  std::vector<std::int64_t> query_tile, key_tile;  // with the group: unique
};

TileStatistics by_pairs(const Neighborhood& n, const Lengths& query_tile, const Lengths& key_tile) {
  std::vector<Token> tokens(1);
  for (std::size_t i = 0; i < n.grid.size(); ++i) {
    std::vector<Token> longer;
    for (const Token& token : tokens) {
      for (std::int64_t j = 0; j < n.grid[i]; ++j) {
        Token next = token;
        next.coordinates.push_back(j);
        for (auto [tile, size] :
             {std::pair(&next.query_tile, query_tile[i]), std::pair(&next.key_tile, key_tile[i])}) {
          tile->push_back(j % n.dilation[i]);
          tile->push_back(j / n.dilation[i] / size);
        }
        longer.push_back(next);
      }
    }
    tokens = longer;
  }
  struct Pairs {
    std::int64_t visible = 0, all = 0;
  };
  std::map<std::pair<Lengths, Lengths>, Pairs> tiles;
  TileStatistics result;
  for (const Token& query : tokens) {
    for (const Token& key : tokens) {
      bool visible = true;
      for (std::size_t i = 0; i < n.grid.size(); ++i) {
        visible = visible && sees(n, i, query.coordinates[i], key.coordinates[i]);
      }
      Pairs& pairs = tiles[{query.query_tile, key.key_tile}];
      pairs.visible += visible;
      ++pairs.all;
      result.visible_pairs += visible;
    }
  }
  for (const auto& [tile, pairs] : tiles) {
    result.tiles_visited += pairs.visible > 0;
    result.tiles_masked += pairs.visible > 0 && pairs.visible < pairs.all;
  }
  std::int64_t queries = 1, keys = 1;
  for (std::size_t i = 0; i < n.grid.size(); ++i) queries *= query_tile[i], keys *= key_tile[i];
  const auto count = static_cast<std::int64_t>(tokens.size());
  result.tiles_total = static_cast<double>(((count - 1) / queries + 1) * ((count - 1) / keys + 1));
  return result;
}

TEST(TileSimulation, CountsWhatPairsCount) {
  Random random = test::make_random();
  const std::int64_t longest[] = {60, 14, 7};
  for (int i = 0; i < 500; ++i) {
    const auto rank = static_cast<std::size_t>(uniform(random, 1, 3));
    Lengths grid, query_tile, key_tile;
    for (std::size_t j = 0; j < rank; ++j) {
      grid.push_back(uniform(random, 2, longest[rank - 1]));
      query_tile.push_back(uniform(random, 1, grid[j] + 1));
      key_tile.push_back(uniform(random, 1, grid[j] + 1));
    }
    Neighborhood n = test::random_neighborhood(random, grid);
    n.extra_keys = uniform(random, 0, 3);  // don't count
    const TileStatistics expected = by_pairs(n, query_tile, key_tile);
    const TileStatistics actual = simulate_tiles(n, query_tile, key_tile);
    ASSERT_EQ(actual.visible_pairs, expected.visible_pairs) << i;
    ASSERT_EQ(actual.tiles_visited, expected.tiles_visited) << i;
    ASSERT_EQ(actual.tiles_masked, expected.tiles_masked) << i;
    ASSERT_EQ(actual.tiles_total, expected.tiles_total) << i;
    const auto pairs = std::pow(static_cast<double>(n.tokens()), 2);
    ASSERT_DOUBLE_EQ(actual.flop_bound, pairs / expected.visible_pairs) << i;
    ASSERT_DOUBLE_EQ(actual.tile_bound, expected.tiles_total / expected.tiles_visited) << i;
  }
}

// At one decimal, as published.
double rounded(double bound) { return std::round(bound * 10) / 10; }

TEST(TileSimulation, GivesThePublishedBounds) {
  struct Case {
    Neighborhood neighborhood;
    Lengths tile;  // of queries and of keys
    double flop_bound, tile_bound;
  };
  const Neighborhood line{{32768}, {2048}, {}, {}, {}};
  const Neighborhood image{{256, 256}, {80, 80}, {}, {}, {}};
  const Neighborhood video{{30, 48, 80}, {18, 24, 24}, {}, {}, {}};
  const auto strided = [](Neighborhood neighborhood, Lengths stride) {
    neighborhood.stride = std::move(stride);
    return neighborhood;
  };
  for (const Case& c : {Case{line, {128}, 16, 15.1},
                        {strided(line, {256}), {128}, 16, 16},
                        {image, {16, 8}, 10.2, 7.5},
                        {strided(image, {16, 16}), {16, 8}, 10.2, 10.2},
                        {video, {2, 8, 8}, 11.1, 5.4},
                        {strided(video, {16, 8, 8}), {2, 8, 8}, 11.1, 11.1}}) {
    const TileStatistics statistics = simulate_tiles(c.neighborhood, c.tile, c.tile);
    EXPECT_EQ(rounded(statistics.flop_bound), c.flop_bound) << c.tile.size();
    EXPECT_EQ(rounded(statistics.tile_bound), c.tile_bound) << c.tile.size();
    if (!c.neighborhood.stride.empty()) {
      EXPECT_EQ(statistics.tiles_masked, 0) << c.tile.size();
      EXPECT_DOUBLE_EQ(statistics.tile_bound, statistics.flop_bound) << c.tile.size();
    }
  }
}

// In time for no pair to be looked at.
TEST(TileSimulation, TakesTheLargestGrids) {
  const std::int64_t length = Problem::kMaxLength;
  const Lengths tile = {128};
  const Neighborhood causal{{length}, {4096}, {}, {}, {true}};
  const double window = 4096, tokens = static_cast<double>(length);
  EXPECT_EQ(simulate_tiles(causal, tile, tile).visible_pairs,
            tokens * window - window * (window - 1) / 2);
  const Lengths whole = {length + 1};
  EXPECT_EQ(simulate_tiles(causal, whole, whole).tiles_visited, 1);
  EXPECT_EQ(simulate_tiles(causal, whole, whole).tiles_masked, 1);
}

TEST(TileSimulation, RefusesTilesOfAnotherRank) {
  const Neighborhood image{{8, 8}, {3, 3}, {}, {}, {}};
  const Lengths line = {8}, square = {8, 8}, empty = {8, 0};
  test::expect_error(ErrorCategory::invalid_argument, {"query tile has 1 dimensions", "grid has 2"},
                     [&] { simulate_tiles(image, line, square); });
  test::expect_error(ErrorCategory::invalid_argument, {"key tile is 0 in dimension 1"},
                     [&] { simulate_tiles(image, square, empty); });
  test::expect_error(ErrorCategory::invalid_argument, {"window"}, [&] {
    simulate_tiles({{8, 8}, {9, 3}, {}, {}, {}}, square, square);
  });
}

}  // namespace
}  // namespace clattn
