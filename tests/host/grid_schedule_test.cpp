// Schedules whose rows are boxes of a grid, gathered and in the order of tiles, against brute
// force: every visible pair is visited once and masked rightly, whatever the tiling; and what the
// planner counts in closed form is what such a schedule holds.
#include <clattn/neighborhood.hpp>
#include <numeric>

#include "host/planning/family.hpp"
#include "tests/support.hpp"

namespace clattn {
namespace {

using test::expect_error;
using test::Random;
using test::uniform;

Problem problem_of(const Neighborhood& neighborhood, Mask mask) {
  Problem problem;
  problem.batch = 2;
  problem.heads = 2;
  problem.query_len = neighborhood.tokens();
  problem.key_len = problem.query_len + neighborhood.extra_keys;
  problem.head_dim = problem.value_dim = 8;
  problem.mask = std::move(mask);
  return problem;
}

Neighborhood random_neighborhood(Random& random) {
  std::vector<std::int64_t> grid;
  constexpr std::int64_t kLongest[] = {300, 20, 8};
  const auto rank = static_cast<std::size_t>(uniform(random, 1, 3));
  for (std::size_t d = 0; d < rank; ++d) grid.push_back(uniform(random, 2, kLongest[rank - 1]));
  return checked(
      test::random_neighborhood(random, grid, uniform(random, 0, 3) ? 0 : uniform(random, 1, 30)));
}

// One schedule, expanded to pairs of tokens.
class Checker {
 public:
  Checker(const Problem& problem, const GridProblem& grid, const Tiling& tiling, const Tile& tile,
          std::int64_t workers)
      : problem_(problem),
        tile_(tile),
        schedule_(make_grid_schedule(problem, grid, tiling, tile, workers, Dealing::single)),
        ordered_(tiling.tokens == TokenAccess::permuted) {
    if (!ordered_) return;
    query_rows_ = tokens_in_order(query_order(grid, tiling));
    key_rows_ = tokens_in_order(key_order(grid, tiling));
    for (std::int64_t token = std::ssize(key_rows_); token < problem.key_len; ++token) {
      key_rows_.push_back(static_cast<std::int32_t>(token));
    }
  }

  void check() {
    visits_.assign(static_cast<std::size_t>(schedule_.batch * schedule_.heads * problem_.query_len *
                                            problem_.key_len),
                   0);
    for (const clattn_row& row : schedule_.rows) ASSERT_NO_FATAL_FAILURE(check_row(row));
    for (std::int64_t slice = 0; slice < schedule_.batch * schedule_.heads; ++slice) {
      for (std::int64_t i = 0; i < problem_.query_len; ++i) {
        for (std::int64_t j = 0; j < problem_.key_len; ++j) {
          const int visits = visits_[index(slice, i, j)];
          ASSERT_LE(visits, 1) << "query " << i << ", key " << j;
          if (allows(slice, i, j)) {
            ASSERT_EQ(visits, 1) << "query " << i << ", key " << j;
          }
        }
      }
    }
  }

  double pairs() const { return double(std::accumulate(visits_.begin(), visits_.end(), 0)); }
  const Schedule& schedule() const { return schedule_; }

 private:
  std::size_t index(std::int64_t slice, std::int64_t i, std::int64_t j) const {
    return static_cast<std::size_t>((slice * problem_.query_len + i) * problem_.key_len + j);
  }
  bool allows(std::int64_t slice, std::int64_t i, std::int64_t j) const {
    return problem_.mask->allows({slice / schedule_.heads, slice % schedule_.heads, i, j},
                                 problem_.extent());
  }

  void check_row(const clattn_row& row) {
    ASSERT_LT(row.queries.begin, row.queries.end);
    ASSERT_LE(row.queries.end - row.queries.begin, tile_.queries);
    for (std::int32_t e = row.queries.begin; e < row.queries.end; ++e) {
      const clattn_query_entry& query = schedule_.query_entries.at(static_cast<std::size_t>(e));
      const std::int64_t i = row.queries.token + query.token;
      if (ordered_) {
        ASSERT_EQ(query_rows_.at(static_cast<std::size_t>(row.queries.row + e)), i);
      }
      for (std::int32_t s = row.span_begin; s < row.span_end; ++s) {
        const clattn_span& span = schedule_.spans.at(static_cast<std::size_t>(s));
        ASSERT_LT(span.key_begin, span.key_end);
        for (std::int32_t k = span.key_begin; k < span.key_end; ++k) {
          const clattn_key_entry& key = schedule_.key_entries.at(static_cast<std::size_t>(k));
          const std::int64_t j = span.token + key.token;
          if (ordered_) {
            ASSERT_EQ(key_rows_.at(static_cast<std::size_t>(k)), j);
          }
          ++visits_.at(index(row.slice, i, j));
          if (span.mask == CLATTN_MASK_EXPRESSION) continue;
          bool visible = true;
          if (span.mask == CLATTN_MASK_BOX) {
            const std::int32_t guard = span.first;
            visible = ((((key.coordinates | guard) - query.low) & (query.high - key.coordinates)) &
                       guard) == guard;
          } else {
            ASSERT_EQ(span.mask, CLATTN_MASK_NONE);
          }
          ASSERT_EQ(visible, allows(row.slice, i, j)) << "query " << i << ", key " << j;
        }
      }
    }
  }

  const Problem& problem_;
  const Tile tile_;
  const Schedule schedule_;
  const bool ordered_;
  std::vector<std::int32_t> query_rows_, key_rows_;  // the token in each row of the tensors
  std::vector<int> visits_;
};

Tile random_tile(Random& random) {
  const std::int64_t granule = uniform(random, 1, 16);
  return {granule * uniform(random, 1, 4), 8 * uniform(random, 1, 8), granule};
}

TEST(GridSchedule, VisitsEveryVisiblePairOnce) {
  Random random = test::make_random();
  for (int repeat = 0; repeat < 400; ++repeat) {
    const Neighborhood neighborhood = random_neighborhood(random);
    Mask mask = neighborhood_mask(neighborhood);
    const bool exact = repeat % 4 != 0;
    if (!exact) mask = all_of_mask({mask, causal_mask()});
    const Problem problem = problem_of(neighborhood, mask);
    const auto grid = grid_problem(problem);
    ASSERT_TRUE(grid);
    EXPECT_EQ(grid->boxes_suffice, exact);
    TileSpeed speed;
    speed.tile = random_tile(random);
    TilingWeigher weigher(problem, *grid, {});
    const std::vector<Tiling> tilings = weigher.weigh(speed);
    ASSERT_FALSE(tilings.empty());
    const Tiling& tiling =
        tilings[static_cast<std::size_t>(uniform(random, 0, std::ssize(tilings) - 1))];
    SCOPED_TRACE(mask->to_json());
    SCOPED_TRACE(to_string(tiling.tokens));
    Checker checker(problem, *grid, tiling, speed.tile, uniform(random, 1, 64));
    ASSERT_NO_FATAL_FAILURE(checker.check());
    // The closed form is what was made.
    const double all = double(problem.query_len) * double(problem.key_len);
    EXPECT_NEAR(tiling.bound, all / checker.pairs(), 1e-9 * tiling.bound);
  }
}

TEST(GridSchedule, OrdersOfTheCallerTakeTilesOfAnySize) {
  Random random = test::make_random();
  for (int repeat = 0; repeat < 200; ++repeat) {
    const Neighborhood neighborhood = random_neighborhood(random);
    Problem problem = problem_of(neighborhood, neighborhood_mask(neighborhood));
    std::vector<std::int64_t> tile;
    for (std::int64_t length : neighborhood.grid) tile.push_back(uniform(random, 1, length + 2));
    problem.token_order = TokenOrder{neighborhood.grid, tile, neighborhood.dilation};
    const auto grid = grid_problem(problem);
    ASSERT_TRUE(grid);
    TileSpeed speed;
    speed.tile = random_tile(random);
    const auto tilings = TilingWeigher(problem, *grid, {}).weigh(speed);
    ASSERT_EQ(tilings.size(), 1u);
    EXPECT_EQ(tilings[0].query_tile, tile);
    EXPECT_EQ(tilings[0].permutation_bytes, 0);
    SCOPED_TRACE(problem_to_json(problem));
    Checker checker(problem, *grid, tilings[0], speed.tile, 1);
    ASSERT_NO_FATAL_FAILURE(checker.check());
  }
}

TEST(GridSchedule, HeadsMayHaveNeighborhoodsOfTheirOwn) {
  Random random = test::make_random();
  for (int repeat = 0; repeat < 100; ++repeat) {
    const Neighborhood first = random_neighborhood(random);
    Neighborhood second = checked(test::random_neighborhood(random, first.grid, first.extra_keys));
    const bool alike = repeat % 2;
    if (alike) {
      second = first;
      for (std::size_t d = 0; d < second.rank(); ++d) second.stride[d] = second.window[d];
    }
    const Problem problem =
        problem_of(first, per_head_mask({neighborhood_mask(first), neighborhood_mask(second)}));
    const auto grid = grid_problem(problem);
    ASSERT_TRUE(grid);
    EXPECT_EQ(grid->permutable, first.dilation == second.dilation);
    PlanOptions options;
    if (alike) options.tokens = TokenAccess::permuted;
    TileSpeed speed;
    speed.tile = random_tile(random);
    const auto tilings = TilingWeigher(problem, *grid, options).weigh(speed);
    ASSERT_FALSE(tilings.empty());
    SCOPED_TRACE(problem.mask->to_json());
    Checker checker(problem, *grid, tilings.front(), speed.tile, 3);
    ASSERT_NO_FATAL_FAILURE(checker.check());
  }
}

// Tables hold kinds of tiles, not tiles.
TEST(GridSchedule, TablesStaySmall) {
  const Neighborhood video = checked({{30, 48, 80}, {18, 24, 24}, {}, {}, {}, 0});
  const Problem problem = problem_of(video, neighborhood_mask(video));
  const auto grid = grid_problem(problem);
  Tiling tiling;
  tiling.tokens = TokenAccess::gathered;
  tiling.query_tile = {2, 8, 8};
  const Schedule schedule =
      make_grid_schedule(problem, *grid, tiling, {128, 64, 128}, 100, Dealing::single);
  const double keys_of_rows = schedule.pairs_visited / 4 / 128;
  EXPECT_LT(double(schedule.key_entries.size()), 0.1 * keys_of_rows);
  EXPECT_LT(schedule.key_entries.size(), 1u << 20);
  EXPECT_LT(schedule.query_entries.size(), 1u << 14);
}

TEST(GridSchedule, OrdersThatChangeNothingAreNotPermuted) {
  EXPECT_TRUE(is_identity({{100}, {7}, {1}}));
  EXPECT_FALSE(is_identity({{100}, {7}, {2}}));
  EXPECT_TRUE(is_identity({{8, 10}, {1, 5}, {1, 1}}));
  EXPECT_TRUE(is_identity({{8, 10}, {3, 10}, {1, 1}}));
  EXPECT_FALSE(is_identity({{8, 10}, {3, 5}, {1, 1}}));
  EXPECT_TRUE(is_identity({{4, 8, 10}, {1, 2, 12}, {1, 1, 1}}));
  EXPECT_FALSE(is_identity({{4, 8, 10}, {2, 2, 10}, {1, 1, 1}}));
}

DeviceFacts cpu() {
  DeviceFacts facts;
  facts.name = "made-up CPU";
  facts.kind = DeviceKind::cpu;
  facts.compute_units = 4;
  facts.native_float_width = 16;
  facts.max_work_group_size = facts.max_work_item_size = 4096;
  facts.local_memory_reported = facts.local_memory_bytes = 256 * 1024;
  return facts;
}

// What was asked for is taken, and what can't be had refused.
TEST(GridSchedule, OptionsAreKeptOrRefused) {
  const Neighborhood image = {{40, 40}, {9, 9}, {}, {}, {}, 0};
  const Problem problem = problem_of(image, neighborhood_mask(image));
  EXPECT_EQ(decide(problem, cpu(), {}).choice.tilings.front().tokens, TokenAccess::gathered);
  for (const TokenAccess tokens : {TokenAccess::gathered, TokenAccess::permuted}) {
    PlanOptions options;
    options.tokens = tokens;
    options.query_tile = {5, 6};
    if (tokens == TokenAccess::permuted) options.key_tile = {4, 7};
    for (const char* family : {"cpu", "portable"}) {
      options.family = family;
      const Decision decision = decide(problem, cpu(), options);
      ASSERT_TRUE(decision.family) << family;
      for (const Tiling& tiling : decision.choice.tilings) {
        EXPECT_EQ(tiling.tokens, tokens);
        EXPECT_EQ(tiling.query_tile, options.query_tile);
        EXPECT_EQ(tiling.key_tile, options.key_tile);
      }
    }
  }
  EXPECT_TRUE(decide(problem, cpu(), {.tokens = TokenAccess::in_place}).choice.tilings.empty());

  const auto refuses = [&](const Problem& of, const PlanOptions& options, const char* text) {
    expect_error(ErrorCategory::invalid_argument, {text}, [&] { decide(of, cpu(), options); });
  };
  const Problem dense = problem_of(image, dense_mask());
  refuses(dense, {.tokens = TokenAccess::gathered}, "masks within one neighborhood");
  refuses(dense, {.query_tile = {4, 4}}, "masks within one neighborhood");
  refuses(problem, {.query_tile = {4, 4, 4}}, "query tile has 3 dimensions, but the grid has 2");
  refuses(problem, {.query_tile = {4, 0}}, "query tile of dimension 1 is 0");
  refuses(problem, {.key_tile = {4, 4}}, "a key tile is for tokens that are permuted");
  refuses(problem, {.tokens = TokenAccess::in_place, .query_tile = {4, 4}}, "a query tile");
  Neighborhood dilated = image;
  dilated.dilation = {2, 1};
  refuses(problem_of(image, per_head_mask({problem.mask, neighborhood_mask(dilated)})),
          {.tokens = TokenAccess::permuted}, "the dilations");
  Problem ordered = problem;
  ordered.token_order = TokenOrder{image.grid, {8, 8}, {}};
  refuses(ordered, {.tokens = TokenAccess::permuted}, "order of their own");
  const Decision large = decide(problem, cpu(), {.query_tile = {40, 40}});
  EXPECT_FALSE(large.family);
  EXPECT_TRUE(std::ranges::any_of(large.rejected, [](const std::string& reason) {
    return reason.find("40x40") != std::string::npos;
  })) << testing::PrintToString(large.rejected);
}

}  // namespace
}  // namespace clattn
