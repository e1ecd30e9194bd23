// The computed schedule against brute force: every visible pair is visited once, tiles without the
// element mask need none, and the cost does not grow with the square of the length.
#include "host/planning/schedule.hpp"

#include "tests/support.hpp"

namespace clattn {
namespace {

using test::Random;
using test::uniform;

bool any_visible(const MaskNode& mask, const Extent& extent, const Range& queries,
                 const Range& keys) {
  for (std::int64_t i = queries.begin; i < queries.end; ++i) {
    for (std::int64_t j = keys.begin; j < keys.end; ++j) {
      if (mask.allows({0, 0, i, j}, extent)) return true;
    }
  }
  return false;
}

// Marks in `visits` each tile that the row visits, and holds its spans to their promises.
void check_row(const MaskNode& mask, const Extent& extent, const Tile& tile,
               const Schedule& schedule, const clattn_row& row, std::vector<int>& visits) {
  const Range queries{row.query_tile * tile.queries,
                      std::min((row.query_tile + 1) * tile.queries, extent.query_len)};
  ASSERT_FALSE(queries.empty());
  std::int64_t previous_end = 0;
  for (int s = row.span_begin; s < row.span_end; ++s) {
    const clattn_span& span = schedule.spans.at(s);
    ASSERT_LT(span.tile_begin, span.tile_end);
    ASSERT_GE(span.tile_begin, previous_end) << "spans overlap or are out of order";
    previous_end = span.tile_end;
    for (std::int64_t t = span.tile_begin; t < span.tile_end; ++t) {
      const Range keys{t * tile.keys, std::min((t + 1) * tile.keys, extent.key_len)};
      ASSERT_FALSE(keys.empty()) << "a tile beyond the last key";
      ++visits[row.query_tile * ((extent.key_len + tile.keys - 1) / tile.keys) + t];
      ASSERT_TRUE(any_visible(mask, extent, queries, keys)) << "a wholly hidden tile is visited";
      if (span.masked) continue;
      ASSERT_EQ(keys.size(), tile.keys) << "a ragged tile goes without the mask";
      for (std::int64_t i = queries.begin; i < queries.end; ++i) {
        for (std::int64_t j = keys.begin; j < keys.end; ++j) {
          ASSERT_TRUE(mask.allows({0, 0, i, j}, extent)) << i << ", " << j;
        }
      }
    }
  }
}

TEST(ScheduleProperty, AgreesWithBruteForce) {
  Random random = test::make_random();
  for (int repeat = 0; repeat < 1500; ++repeat) {
    const Extent extent{uniform(random, 0, 70), uniform(random, 0, 70)};
    const Tile tile{uniform(random, 1, 24), uniform(random, 1, 24)};
    const Mask mask = test::random_mask(random, extent);
    SCOPED_TRACE(mask->to_json() + " over " + std::to_string(extent.query_len) + " x " +
                 std::to_string(extent.key_len) + " in tiles of " + std::to_string(tile.queries) +
                 " x " + std::to_string(tile.keys));
    const Schedule schedule = make_schedule(*mask, extent, tile);

    const std::int64_t query_tiles = (extent.query_len + tile.queries - 1) / tile.queries;
    const std::int64_t key_tiles = (extent.key_len + tile.keys - 1) / tile.keys;
    ASSERT_EQ(schedule.tiles_total, query_tiles * key_tiles);
    ASSERT_EQ(static_cast<std::int64_t>(schedule.rows.size()), query_tiles);
    std::vector<int> visits(query_tiles * key_tiles);
    std::vector<int> rows_seen(query_tiles);
    std::int64_t visited = 0, masked = 0;
    std::int64_t heaviest = std::numeric_limits<std::int64_t>::max();
    for (const clattn_row& row : schedule.rows) {
      ASSERT_EQ(++rows_seen.at(row.query_tile), 1) << "a query tile has two rows";
      check_row(*mask, extent, tile, schedule, row, visits);
      if (testing::Test::HasFatalFailure()) return;
      std::int64_t weight = 0;
      for (int s = row.span_begin; s < row.span_end; ++s) {
        const clattn_span& span = schedule.spans[s];
        weight += span.tile_end - span.tile_begin;
        if (span.masked) masked += span.tile_end - span.tile_begin;
      }
      ASSERT_LE(weight, heaviest) << "a heavier row stands behind a lighter one";
      heaviest = weight;
      visited += weight;
    }
    ASSERT_EQ(schedule.tiles_visited, visited);
    ASSERT_EQ(schedule.tiles_masked, masked);
    for (std::int64_t i = 0; i < extent.query_len; ++i) {
      for (std::int64_t j = 0; j < extent.key_len; ++j) {
        if (!mask->allows({0, 0, i, j}, extent)) continue;
        ASSERT_EQ(visits[i / tile.queries * key_tiles + j / tile.keys], 1) << i << ", " << j;
      }
    }
  }
}

TEST(Schedule, EmptyLengths) {
  EXPECT_TRUE(make_schedule(*dense_mask(), {0, 100}, {16, 16}).rows.empty());
  const Schedule no_keys = make_schedule(*dense_mask(), {100, 0}, {16, 16});
  EXPECT_EQ(no_keys.rows.size(), 7u);
  EXPECT_TRUE(no_keys.spans.empty());
  EXPECT_EQ(no_keys.tiles_total, 0);
}

TEST(Schedule, DenseNeedsTheMaskInTheRaggedColumnOnly) {
  const Schedule even = make_schedule(*dense_mask(), {128, 128}, {32, 32});
  EXPECT_EQ(even.tiles_visited, 16);
  EXPECT_EQ(even.tiles_masked, 0);
  EXPECT_EQ(even.spans.size(), 4u);
  EXPECT_EQ(make_schedule(*dense_mask(), {128, 129}, {32, 32}).tiles_masked, 4);
}

// Counts the questions, so that the cost is known without a clock.
class Counting final : public MaskNode {
 public:
  explicit Counting(Mask mask) : mask_(std::move(mask)) {}
  bool allows(const Point& point, const Extent& extent) const override {
    ++questions;
    return mask_->allows(point, extent);
  }
  std::string expression(ExpressionWriter& writer, const Extent& extent) const override {
    return mask_->expression(writer, extent);
  }
  Coverage classify(const Range& queries, const Range& keys, const Extent& extent) const override {
    ++questions;
    return mask_->classify(queries, keys, extent);
  }
  Range reach(const Range& queries, const Extent& extent) const override {
    ++questions;
    return mask_->reach(queries, extent);
  }
  std::string to_json() const override { return mask_->to_json(); }

  mutable std::int64_t questions = 0;

 private:
  Mask mask_;
};

TEST(Schedule, CostGrowsWithTheBoundaryAndNotWithTheArea) {
  constexpr std::int64_t kLength = std::int64_t{1} << 20;
  constexpr Tile kTile{64, 64};
  constexpr std::int64_t kRows = kLength / 64;  // 16384, hence 2^28 tiles
  for (const Mask& mask : {dense_mask(), causal_mask(), window_mask(256, 0), window_mask({}, {})}) {
    const Counting counting(mask);
    const Schedule schedule = make_schedule(counting, {kLength, kLength}, kTile);
    EXPECT_LE(counting.questions, kRows * 64) << mask->to_json();  // a logarithm a row
    EXPECT_LE(static_cast<std::int64_t>(schedule.spans.size()), kRows * 3) << mask->to_json();
  }
  EXPECT_EQ(make_schedule(*causal_mask(), {kLength, kLength}, kTile).tiles_visited,
            kRows * (kRows + 1) / 2);
  EXPECT_EQ(make_schedule(*causal_mask(), {kLength, kLength}, kTile).tiles_masked, kRows);
  EXPECT_EQ(make_schedule(*window_mask(256, 0), {kLength, kLength}, kTile).tiles_visited,
            5 * kRows - 4 - 3 - 2 - 1);
}

}  // namespace
}  // namespace clattn
