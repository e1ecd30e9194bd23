// Block maps say of every block what asking all its pairs says; masks too hard for that are
// sampled.
#include "clattn/block_map.hpp"

#include "clattn/block_picture.hpp"
#include "tests/support.hpp"

namespace clattn::tool {
namespace {

using test::uniform;

// Every pair of (query + key) % 8 < hits, without any help.
class Opaque final : public MaskNode {
 public:
  explicit Opaque(std::int64_t hits) : hits_(hits) {}
  bool allows(const Point& point, const Extent&) const override {
    return (point.query + point.key) % 8 < hits_;
  }
  std::string expression(ExpressionWriter&) const override { return "1"; }
  Coverage classify(const Slice&, const Range&, const Range&, const Extent&) const override {
    return Coverage::some;
  }
  Range reach(const Slice&, const Range&, const Extent& extent) const override {
    return {0, extent.key_len};
  }
  std::string to_json() const override { return "{}"; }

 private:
  std::int64_t hits_;
};

TEST(BlockMap, AgreesWithAskingEveryPair) {
  test::Random random = test::make_random();
  for (int repeat = 0; repeat < 100; ++repeat) {
    const Extent extent{uniform(random, 1, 40), uniform(random, 1, 40)};
    const BlockSize block{uniform(random, 1, 12), uniform(random, 1, 12)};
    const std::int64_t most_cells = uniform(random, 1, 20);
    const Mask mask = test::random_mask(random, extent);
    SCOPED_TRACE(mask->to_json());
    const BlockMap map = make_block_map(*mask, {}, extent, block, most_cells);

    const std::int64_t rows = (extent.query_len + block.queries - 1) / block.queries;
    const std::int64_t columns = (extent.key_len + block.keys - 1) / block.keys;
    const std::int64_t group = map.blocks_per_cell;
    ASSERT_LE(std::max(map.rows, map.columns), most_cells);
    ASSERT_EQ(map.rows, (rows + group - 1) / group);
    ASSERT_EQ(map.columns, (columns + group - 1) / group);
    std::vector<BlockCounts> cells(map.cells.size());
    std::int64_t all_visible = 0;
    for (std::int64_t row = 0; row < rows; ++row) {
      for (std::int64_t column = 0; column < columns; ++column) {
        std::int64_t visible = 0, pairs = 0;
        for (std::int64_t i = row * block.queries; i < (row + 1) * block.queries; ++i) {
          for (std::int64_t j = column * block.keys; j < (column + 1) * block.keys; ++j) {
            if (i >= extent.query_len || j >= extent.key_len) continue;
            ++pairs;
            visible += mask->allows({0, 0, i, j}, extent);
          }
        }
        all_visible += visible;
        BlockCounts& cell =
            cells[static_cast<std::size_t>(row / group * map.columns + column / group)];
        ++cell.all;
        cell.full += visible == pairs;
        cell.partial += visible > 0 && visible < pairs;
      }
    }
    BlockCounts total;
    for (std::size_t i = 0; i < cells.size(); ++i) {
      ASSERT_EQ(map.cells[i].all, cells[i].all) << i;
      ASSERT_EQ(map.cells[i].full, cells[i].full) << i;
      ASSERT_EQ(map.cells[i].partial, cells[i].partial) << i;
      total.full += cells[i].full;
      total.partial += cells[i].partial;
    }
    EXPECT_TRUE(map.exact);
    EXPECT_EQ(map.total.full, total.full);
    EXPECT_EQ(map.total.partial, total.partial);
    EXPECT_EQ(map.total.all, rows * columns);
    EXPECT_EQ(map.visible_pairs, all_visible);
    EXPECT_EQ(map.pairs, extent.query_len * extent.key_len);
  }
}

TEST(BlockMap, SamplesWhatIsTooHard) {
  constexpr Extent kExtent{8192, 8192};  // more pairs than are asked
  for (const std::int64_t hits : {0, 3, 8}) {
    SCOPED_TRACE(hits);
    const BlockMap map = make_block_map(Opaque(hits), {}, kExtent, {128, 128}, 64);
    EXPECT_FALSE(map.exact);
    EXPECT_EQ(map.total.full, hits == 8 ? 4096 : 0);
    EXPECT_EQ(map.total.partial, hits == 3 ? 4096 : 0);
    EXPECT_NEAR(density(map), 100.0 * static_cast<double>(hits) / 8, 5);
    EXPECT_NE(statistics(map).find("samples"), std::string::npos);
  }
}

// A cell of several blocks has the mean of their tones, a cell of one block its own.
TEST(BlockPicture, TonesAreThoseOfTheBlocks) {
  const auto text = [](std::int64_t full, std::int64_t partial, std::int64_t all) {
    BlockMap map;
    map.rows = map.columns = 1;
    map.cells = {{full, partial, all}};
    return text_picture(map);
  };
  EXPECT_EQ(text(1, 0, 1), "██\n");
  EXPECT_EQ(text(0, 1, 1), "▒▒\n");
  EXPECT_EQ(text(0, 0, 1), "··\n");
  EXPECT_EQ(text(0, 1, 9), "░░\n");
  EXPECT_EQ(text(8, 0, 9), "▓▓\n");
  EXPECT_EQ(text(9, 0, 9), "██\n");
}

}  // namespace
}  // namespace clattn::tool
