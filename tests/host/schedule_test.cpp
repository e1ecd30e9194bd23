// The computed schedule against brute force: every visible pair is visited once, spans without the
// element mask need none, split rows are merged, and the cost does not grow with the square of the
// length.
#include "host/planning/schedule.hpp"

#include <clattn/blocks.hpp>
#include <clattn/neighborhood.hpp>

#include "tests/support.hpp"

namespace clattn {
namespace {

using test::Random;
using test::uniform;

constexpr std::int64_t kBatch = 2, kHeads = 3;

// A random schedule, held to its promises pair by pair.
class Checker {
 public:
  Checker(const MaskNode& mask, const Extent& extent, const Tile& tile, std::int64_t workers,
          Dealing dealing)
      : mask_(mask),
        extent_(extent),
        tile_(tile),
        schedule_(make_schedule(mask, extent, kBatch, kHeads, tile, workers, dealing)),
        visits_(kBatch * kHeads * extent.query_len * extent.key_len) {}

  void check() {
    check_order_and_sums();
    for (const clattn_row& row : schedule_.rows) {
      for (std::int64_t repeat = 0; repeat < schedule_.repeats; ++repeat) {
        ASSERT_NO_FATAL_FAILURE(check_row(row, slice_of(row.slice, repeat)));
      }
    }
    check_coverage();
    check_merges();
  }

 private:
  // As kernels_cl/common/walk.cl tells slices apart.
  Slice slice_of(std::int64_t slice, std::int64_t repeat) const {
    const std::int64_t repeat_heads = kHeads / schedule_.heads;
    return {slice / schedule_.heads + repeat / repeat_heads,
            slice % schedule_.heads + repeat % repeat_heads};
  }

  // Marks what the row visits.
  void check_row(const clattn_row& row, const Slice& slice) {
    ASSERT_LT(row.queries.begin, row.queries.end);
    ASSERT_LE(row.queries.end, extent_.query_len);
    ASSERT_LE(row.queries.end - row.queries.begin, tile_.queries);
    std::int64_t previous_end = 0;
    for (int s = row.span_begin; s < row.span_end; ++s) {
      const clattn_span& span = schedule_.spans.at(s);
      ASSERT_LT(span.key_begin, span.key_end);
      ASSERT_GE(span.key_begin, previous_end) << "spans overlap or are out of order";
      ASSERT_LE(span.key_end, extent_.key_len);
      previous_end = span.key_end;
      for (std::int64_t i = row.queries.begin; i < row.queries.end; ++i) {
        for (std::int64_t j = span.key_begin; j < span.key_end; ++j) {
          ++visits_[index(slice, i, j)];
          const bool visible = mask_.allows({slice.batch, slice.head, i, j}, extent_);
          if (span.mask == CLATTN_MASK_NONE) {
            ASSERT_TRUE(visible) << i << ", " << j;
          }
          if (span.mask == CLATTN_MASK_BAND) {
            ASSERT_EQ(visible, j - i >= span.first && j - i <= span.last) << i << ", " << j;
          }
        }
      }
    }
  }

  void check_order_and_sums() const {
    double visited = 0, masked = 0;
    constexpr std::int64_t kHeaviest = std::numeric_limits<std::int64_t>::max();
    std::int64_t heaviest = kHeaviest;
    if (!schedule_.bins.empty()) {
      EXPECT_EQ(schedule_.bins.front(), 0);
      EXPECT_EQ(schedule_.bins.back(), std::ssize(schedule_.rows));
      EXPECT_TRUE(std::ranges::is_sorted(schedule_.bins));
    }
    for (const clattn_row& row : schedule_.rows) {
      std::int64_t weight = 0;
      for (int s = row.span_begin; s < row.span_end; ++s) {
        const clattn_span& span = schedule_.spans.at(s);
        const std::int64_t steps = (span.key_end - span.key_begin + tile_.keys - 1) / tile_.keys;
        weight += steps;
        if (span.mask) masked += double(steps);
      }
      const std::int64_t index = &row - schedule_.rows.data();
      const bool late = index >= std::ssize(schedule_.rows) - schedule_.late_rows;
      if (late || std::ranges::count(schedule_.bins, index)) heaviest = kHeaviest;
      EXPECT_LE(weight, heaviest) << "a heavier row stands behind a lighter one";
      heaviest = weight;
      visited += double(weight);
    }
    EXPECT_EQ(schedule_.batch * schedule_.heads * schedule_.repeats, kBatch * kHeads);
    EXPECT_EQ(schedule_.tiles_visited, visited * double(schedule_.repeats));
    EXPECT_EQ(schedule_.tiles_masked, masked * double(schedule_.repeats));
    EXPECT_LE(schedule_.tiles_visited, schedule_.tiles_total);
    EXPECT_GT(schedule_.balance, 0);
    EXPECT_LE(schedule_.balance, 1);
  }

  void check_coverage() const {
    for (std::int64_t b = 0; b < kBatch; ++b) {
      for (std::int64_t h = 0; h < kHeads; ++h) {
        for (std::int64_t i = 0; i < extent_.query_len; ++i) {
          for (std::int64_t j = 0; j < extent_.key_len; ++j) {
            const int visits = visits_[index({b, h}, i, j)];
            ASSERT_LE(visits, 1) << "a pair is visited twice";
            if (mask_.allows({b, h, i, j}, extent_)) {
              ASSERT_EQ(visits, 1) << i << ", " << j;
            }
          }
        }
      }
    }
  }

  // Each query is in one whole row or in one merge, whose parts are its own.
  void check_merges() const {
    std::vector<int> rows(schedule_.batch * schedule_.heads * extent_.query_len);
    std::vector<int> parts(schedule_.parts);
    const auto mark = [&](std::int64_t slice, std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) ++rows.at(slice * extent_.query_len + i);
    };
    for (const clattn_row& row : schedule_.rows) {
      if (row.part < 0) mark(row.slice, row.queries.begin, row.queries.end);
      if (row.part >= 0) ++parts.at(row.part);
    }
    for (const clattn_merge& merge : schedule_.merges) {
      mark(merge.slice, merge.queries.begin, merge.queries.end);
      ASSERT_GE(merge.part_end - merge.part_begin, 2);
      for (const clattn_row& row : schedule_.rows) {
        if (row.part < merge.part_begin || row.part >= merge.part_end) continue;
        ASSERT_EQ(row.slice, merge.slice);
        ASSERT_EQ(row.queries.begin, merge.queries.begin);
        ASSERT_EQ(row.queries.end, merge.queries.end);
      }
    }
    ASSERT_TRUE(std::ranges::all_of(rows, [](int count) { return count == 1; }));
    ASSERT_TRUE(std::ranges::all_of(parts, [](int count) { return count == 1; }));
  }

  std::size_t index(const Slice& slice, std::int64_t i, std::int64_t j) const {
    return static_cast<std::size_t>(
        ((slice.batch * kHeads + slice.head) * extent_.query_len + i) * extent_.key_len + j);
  }

  const MaskNode& mask_;
  const Extent extent_;
  const Tile tile_;
  const Schedule schedule_;
  std::vector<int> visits_;
};

TEST(ScheduleProperty, AgreesWithBruteForce) {
  Random random = test::make_random();
  for (int repeat = 0; repeat < 1500; ++repeat) {
    Extent extent{uniform(random, 0, 70), uniform(random, 0, 70)};
    if (repeat % 3 == 0) extent.key_len = extent.query_len;
    const std::int64_t granule = uniform(random, 1, 8);
    const Tile tile{granule * uniform(random, 1, 4), uniform(random, 1, 24), granule};
    const Mask mask = test::random_mask(random, extent);
    SCOPED_TRACE(mask->to_json() + " over " + std::to_string(extent.query_len) + " x " +
                 std::to_string(extent.key_len) + " in tiles of " + std::to_string(tile.queries) +
                 " x " + std::to_string(tile.keys));
    const auto dealing = static_cast<Dealing>(uniform(random, 0, 2));
    Checker checker(*mask, extent, tile, uniform(random, 1, 40), dealing);
    checker.check();
    if (testing::Test::HasFailure()) return;
  }
}

Schedule schedule_of(const Mask& mask, const Extent& extent, const Tile& tile) {
  return make_schedule(*mask, extent, 1, 1, tile, 1);
}

TEST(Schedule, EmptyLengths) {
  EXPECT_TRUE(schedule_of(dense_mask(), {0, 100}, {16, 16, 16}).rows.empty());
  const Schedule no_keys = schedule_of(dense_mask(), {100, 0}, {16, 16, 16});
  EXPECT_EQ(no_keys.rows.size(), 7u);
  EXPECT_TRUE(no_keys.spans.empty());
  EXPECT_EQ(no_keys.tiles_total, 0);
  EXPECT_TRUE(make_schedule(*dense_mask(), {16, 16}, 0, 2, {16, 16, 16}, 4).repeats == 0);
}

TEST(Schedule, DenseNeedsNoMask) {
  const Schedule even = schedule_of(dense_mask(), {128, 128}, {32, 32, 32});
  EXPECT_EQ(even.tiles_visited, 16);
  EXPECT_EQ(even.spans.size(), 4u);
  EXPECT_EQ(even.tiles_masked, 0);
  EXPECT_EQ(schedule_of(dense_mask(), {128, 129}, {32, 32, 32}).tiles_masked, 0);
}

TEST(Schedule, RowsAreCutEvenlyBetweenSeams) {
  using Cuts = std::vector<std::int64_t>;
  constexpr Tile kTile{192, 64, 48};
  EXPECT_EQ(row_cuts({}, 0, kTile), (Cuts{0}));
  EXPECT_EQ(row_cuts({}, 200, kTile), (Cuts{0, 144, 200}));
  EXPECT_EQ(row_cuts({}, 576, kTile), (Cuts{0, 192, 384, 576}));
  EXPECT_EQ(row_cuts({0, 512, 1024}, 1024, kTile), (Cuts{0, 192, 384, 512, 704, 896, 1024}));
  EXPECT_EQ(row_cuts({0, 128, 256, 384}, 512, kTile), (Cuts{0, 128, 256, 384, 512}));
  EXPECT_EQ(row_cuts({40, 80, 120, 160, 200}, 200, kTile), (Cuts{0, 120, 200}));
  EXPECT_EQ(row_cuts({10, 400}, 410, kTile), (Cuts{0, 144, 288, 400, 410}));
}

TEST(Schedule, BinsAreEven) {
  constexpr std::int64_t kWorkers = 6;
  for (const Mask& mask : {dense_mask(), causal_mask(), window_mask(300, 0)}) {
    const Schedule schedule =
        make_schedule(*mask, {6000, 6000}, 1, 1, {192, 64, 48}, kWorkers, Dealing::binned);
    std::vector<std::int64_t> steps;
    for (std::size_t bin = 0; bin + 1 < schedule.bins.size(); ++bin) {
      steps.push_back(0);
      for (int row = schedule.bins[bin]; row < schedule.bins[bin + 1]; ++row) {
        for (int s = schedule.rows[row].span_begin; s < schedule.rows[row].span_end; ++s) {
          steps.back() += (schedule.spans[s].key_end - schedule.spans[s].key_begin + 63) / 64;
        }
      }
    }
    EXPECT_GE(std::ssize(steps), kWorkers) << mask->to_json();
    const auto [least, most] = std::ranges::minmax(steps);
    EXPECT_LE(most, 1.25 * least) << mask->to_json();
  }
}

TEST(Schedule, LongRowsAreSplitWhereTheDeviceWouldIdle) {
  // One row of 64 steps beside 63 of one: eight workers would wait for it.
  std::vector<std::uint8_t> kept(64 * 64);
  for (int i = 0; i < 64; ++i) kept[i * 64 + i] = kept[31 * 64 + i] = 1;
  const Mask mask = blocks_mask({64, 64}, 64, 64, kept);
  const auto schedule_for = [&](std::int64_t workers) {
    return make_schedule(*mask, {4096, 4096}, 1, 1, {64, 64, 64}, workers);
  };
  EXPECT_TRUE(schedule_for(1).merges.empty());
  const Schedule split = schedule_for(8);
  ASSERT_EQ(split.merges.size(), 1u);
  EXPECT_EQ(split.merges[0].queries.begin, 31 * 64);
  EXPECT_GE(split.parts, 4);
  EXPECT_GT(split.balance, 0.8);
  // Dense rows are all alike: nothing to gain.
  EXPECT_TRUE(make_schedule(*dense_mask(), {4096, 4096}, 1, 1, {64, 64, 64}, 8).merges.empty());
  // One row alone, as of a single query.
  EXPECT_EQ(make_schedule(*dense_mask(), {1, 4096}, 1, 1, {64, 64, 64}, 8).parts, 8);
}

TEST(Schedule, TheLastOfEqualRowsAreSplitWhereTheDeviceWouldIdle) {
  // 16 heads of 86 rows for 132 workers: 10.4 rounds, which would take 11.
  const auto schedule_for = [](std::int64_t heads, Dealing dealing) {
    return make_schedule(*dense_mask(), {16384, 16384}, 1, heads, {192, 80, 64}, 132, dealing);
  };
  EXPECT_LT(schedule_for(16, Dealing::single).balance, 0.95);
  EXPECT_TRUE(schedule_for(16, Dealing::single).merges.empty());
  const Schedule split = schedule_for(16, Dealing::taken);
  EXPECT_GT(split.balance, 0.97);
  EXPECT_EQ(split.late_rows, split.parts);
  EXPECT_LE(16 * std::ssize(split.merges), 132);
  // 20 heads are 13.03 rounds; 132 are even ones.
  EXPECT_GT(schedule_for(20, Dealing::taken).balance, 0.96);
  EXPECT_EQ(schedule_for(132, Dealing::taken).late_rows, 0);
}

// Counts the questions, so that the cost is known without a clock.
class Counting final : public MaskNode {
 public:
  explicit Counting(Mask mask) : mask_(std::move(mask)) {}
  bool allows(const Point& point, const Extent& extent) const override {
    ++questions;
    return mask_->allows(point, extent);
  }
  std::string expression(ExpressionWriter& writer) const override {
    return mask_->expression(writer);
  }
  Coverage classify(const Slice& slice, const Range& queries, const Range& keys,
                    const Extent& extent) const override {
    ++questions;
    return mask_->classify(slice, queries, keys, extent);
  }
  Range reach(const Slice& slice, const Range& queries, const Extent& extent) const override {
    ++questions;
    return mask_->reach(slice, queries, extent);
  }
  std::string to_json() const override { return mask_->to_json(); }

  mutable std::int64_t questions = 0;

 private:
  Mask mask_;
};

TEST(Schedule, CostGrowsWithTheBoundaryAndNotWithTheArea) {
  constexpr std::int64_t kLength = std::int64_t{1} << 20;
  constexpr Tile kTile{64, 64, 64};
  constexpr std::int64_t kRows = kLength / 64;  // 16384, hence 2^28 tiles
  for (const Mask& mask : {dense_mask(), causal_mask(), window_mask(256, 0), window_mask({}, {}),
                           neighborhood_mask({{kLength}, {256}, {16}, {}, {}})}) {
    const Counting counting(mask);
    const Schedule schedule = make_schedule(counting, {kLength, kLength}, 1, 1, kTile, 1);
    EXPECT_LE(counting.questions, kRows * 64) << mask->to_json();  // a logarithm a row
    EXPECT_LE(static_cast<std::int64_t>(schedule.spans.size()), kRows * 3) << mask->to_json();
  }
  EXPECT_EQ(schedule_of(causal_mask(), {kLength, kLength}, kTile).tiles_visited,
            kRows * (kRows + 1) / 2);
  EXPECT_EQ(schedule_of(causal_mask(), {kLength, kLength}, kTile).tiles_masked, kRows);
  EXPECT_EQ(schedule_of(window_mask(256, 0), {kLength, kLength}, kTile).tiles_visited,
            5 * kRows - 4 - 3 - 2 - 1);
}

}  // namespace
}  // namespace clattn
