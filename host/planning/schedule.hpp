// The computed schedule: rows of at most a tile of queries, each with the spans of keys to walk. It
// is made from the mask's `seams`, `reach` and `classify` alone, so that each new mask brings its
// schedule along. The cost in time and memory grows with the length of the mask's boundary, not
// with the number of tiles. Heavy rows come first, so that the last work-groups to start are short
// ones; rows that would keep the device waiting are split into parts, which are merged by LSE.
#pragma once

#include <clattn/mask.hpp>
#include <compare>
#include <cstdint>
#include <vector>

#include "kernels_cl/common/arguments.h"

namespace clattn {

struct Tile {
  std::int64_t queries = 1;  // at most so many a row
  std::int64_t keys = 1;     // a step of the walk along a span
  std::int64_t granule = 1;  // queries come at the cost of the next multiple; divides `queries`

  friend auto operator<=>(const Tile&, const Tile&) = default;
};

// How rows come to work-groups.
enum class Dealing {
  single,  // one each
  binned,  // a bin of several
  taken,   // work-groups take the next one when they are done with one
};

struct Schedule {
  // Slices that the schedule tells apart: each is the problem's number, or 1 where the mask does
  // not vary. The rows of one repeat serve all the others.
  std::int64_t batch = 1;
  std::int64_t heads = 1;
  std::int64_t repeats = 1;
  std::vector<clattn_row> rows;
  std::vector<clattn_span> spans;
  std::vector<clattn_merge> merges;
  // Where tiles are boxes of a grid: what rows and spans point into.
  std::vector<clattn_query_entry> query_entries;
  std::vector<clattn_key_entry> key_entries;
  // Where work-groups take several rows: that of each begins here, and the last one ends. Bins hold
  // nearly the same number of steps.
  std::vector<clattn_int32> bins;
  std::int64_t parts = 0;  // of all merges
  // Where work-groups take rows: so many at the end of `rows` start behind the others of all
  // repeats. They are parts, for rows of equal weight would leave workers idle at the end.
  std::int64_t late_rows = 0;
  // Steps of all batches and heads, and the pairs in the visited ones.
  double tiles_total = 0;
  double tiles_visited = 0;
  double tiles_masked = 0;
  double pairs_visited = 0;
  // Share of `workers` that are busy until the last one ends, if each row's time is its number of
  // tiles and an idle worker takes the next row: 1 is perfect.
  double balance = 1;
};

// Makes a schedule of rows in any order: balances, splits, sorts and bins them. Pure.
class ScheduleMaker {
 public:
  ScheduleMaker(const Variation& variation, const Extent& extent, std::int64_t batch,
                std::int64_t heads, const Tile& tile);

  std::int64_t slices() const { return schedule_.batch * schedule_.heads; }
  Slice slice(std::int64_t index) const {
    return {index / schedule_.heads, index % schedule_.heads};
  }
  // A row of slice `index`, which walks `spans`.
  void add_row(std::int64_t index, const clattn_queries& queries,
               const std::vector<clattn_span>& spans);
  Schedule finish(std::int64_t workers, Dealing dealing) &&;

 private:
  Schedule schedule_;
  Tile tile_;
  std::int64_t key_len_;
  std::vector<clattn_row> rows_;
  std::vector<clattn_span> spans_;
  std::vector<std::int64_t> weights_;  // steps of each row
};

// Where rows begin, and the end: pieces of at most a tile, which start at seams that are half a
// tile or more apart. Ascending, from 0 to query_len.
std::vector<std::int64_t> row_cuts(const std::vector<std::int64_t>& seams, std::int64_t query_len,
                                   const Tile& tile);

// Every query stands in one row, also one that sees no key. `workers` is how many work-groups the
// device runs at once. Pure.
Schedule make_schedule(const MaskNode& mask, const Extent& extent, std::int64_t batch,
                       std::int64_t heads, const Tile& tile, std::int64_t workers,
                       Dealing dealing = Dealing::single);

}  // namespace clattn
