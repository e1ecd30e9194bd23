#include "block_map.hpp"

#include <algorithm>
#include <clattn/blocks.hpp>
#include <cmath>
#include <optional>

namespace clattn::tool {
namespace {

// Rectangles that may be halved to find the kind of blocks, and again to count pairs, until the
// rest is sampled: a second or two.
constexpr std::int64_t kBudget = std::int64_t{1} << 23;
constexpr int kSamples = 64;  // pairs of a rectangle

std::int64_t divide_up(std::int64_t length, std::int64_t size) {
  return length / size + (length % size != 0);
}

Range tokens_of(const Range& blocks, std::int64_t block, std::int64_t length) {
  return {blocks.begin * block, std::min(blocks.end * block, length)};
}

class Mapper {
 public:
  Mapper(const MaskNode& mask, const Slice& slice, const Extent& extent, const BlockSize& block,
         BlockMap& map)
      : mask_(mask), slice_(slice), extent_(extent), block_(block), map_(map) {}

  // Adds a rectangle of blocks to `counts`, halving it down to blocks where the mask crosses it.
  void add(const Range& rows, const Range& columns, BlockCounts& counts) {
    const Range queries = tokens_of(rows, block_.queries, extent_.query_len);
    const Range keys = tokens_of(columns, block_.keys, extent_.key_len);
    const std::int64_t blocks = rows.size() * columns.size();
    const bool whole = blocks == 1 || coverage_budget_ < 0;
    const Coverage coverage =
        whole ? coverage_of(queries, keys) : mask_.classify(slice_, queries, keys, extent_);
    if (whole || coverage != Coverage::some) {
      note(coverage, queries, keys, blocks, counts);
      return;
    }
    --coverage_budget_;
    if (rows.size() >= columns.size()) {
      const std::int64_t middle = rows.begin + rows.size() / 2;
      add({rows.begin, middle}, columns, counts);
      add({middle, rows.end}, columns, counts);
    } else {
      const std::int64_t middle = columns.begin + columns.size() / 2;
      add(rows, {columns.begin, middle}, counts);
      add(rows, {middle, columns.end}, counts);
    }
  }

 private:
  void note(Coverage coverage, const Range& queries, const Range& keys, std::int64_t blocks,
            BlockCounts& counts) {
    for (BlockCounts* sum : {&counts, &map_.total}) {
      sum->all += blocks;
      if (coverage == Coverage::all) sum->full += blocks;
      if (coverage == Coverage::some) sum->partial += blocks;
    }
    if (coverage == Coverage::all) map_.visible_pairs += queries.size() * keys.size();
    if (coverage == Coverage::some) map_.visible_pairs += count(queries, keys);
  }

  Coverage coverage_of(const Range& queries, const Range& keys) {
    const auto exact = exact_coverage(mask_, slice_, queries, keys, extent_, coverage_budget_);
    if (exact) return *exact;
    const double share = sampled_share(queries, keys);
    return share == 0 ? Coverage::none : share == 1 ? Coverage::all : Coverage::some;
  }

  std::int64_t count(const Range& queries, const Range& keys) {
    const auto exact = count_visible_pairs(mask_, slice_, queries, keys, extent_, count_budget_);
    if (exact) return *exact;
    const auto pairs = static_cast<double>(queries.size() * keys.size());
    return static_cast<std::int64_t>(sampled_share(queries, keys) * pairs);
  }

  // The share of visible pairs, from points that no stride of a mask is in step with: multiples of
  // 1 / g and 1 / g^2 with g^3 = g + 1, the golden ratio's relative in two dimensions.
  double sampled_share(const Range& queries, const Range& keys) {
    map_.exact = false;
    int hits = 0;
    for (int i = 1; i <= kSamples; ++i) {
      const auto at = [&](const Range& range, double step) {
        const double place = i * step - std::floor(i * step);
        return range.begin + static_cast<std::int64_t>(place * static_cast<double>(range.size()));
      };
      const Point point{slice_.batch, slice_.head, at(queries, 0.7548776662466927),
                        at(keys, 0.5698402909980532)};
      hits += mask_.allows(point, extent_);
    }
    return static_cast<double>(hits) / kSamples;
  }

  const MaskNode& mask_;
  const Slice& slice_;
  const Extent& extent_;
  const BlockSize& block_;
  BlockMap& map_;
  std::int64_t coverage_budget_ = kBudget;
  std::int64_t count_budget_ = kBudget;
};

}  // namespace

BlockMap make_block_map(const MaskNode& mask, const Slice& slice, const Extent& extent,
                        const BlockSize& block, std::int64_t most_cells) {
  const std::int64_t rows = divide_up(extent.query_len, block.queries);
  const std::int64_t columns = divide_up(extent.key_len, block.keys);
  BlockMap map;
  map.blocks_per_cell = std::max<std::int64_t>(1, divide_up(std::max(rows, columns), most_cells));
  map.rows = divide_up(rows, map.blocks_per_cell);
  map.columns = divide_up(columns, map.blocks_per_cell);
  map.cells.resize(static_cast<std::size_t>(map.rows * map.columns));
  map.pairs = extent.query_len * extent.key_len;
  Mapper mapper(mask, slice, extent, block, map);
  for (std::size_t i = 0; i < map.cells.size(); ++i) {
    const auto blocks_of = [&](std::int64_t cell, std::int64_t blocks) {
      return Range{cell * map.blocks_per_cell, std::min((cell + 1) * map.blocks_per_cell, blocks)};
    };
    const auto cell = static_cast<std::int64_t>(i);
    mapper.add(blocks_of(cell / map.columns, rows), blocks_of(cell % map.columns, columns),
               map.cells[i]);
  }
  return map;
}

}  // namespace clattn::tool
