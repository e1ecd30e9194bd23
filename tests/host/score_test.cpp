// Score modifiers on the host, against their formulas, and what they refuse.
#include <fmt/format.h>

#include <array>
#include <clattn/score.hpp>
#include <cmath>
#include <nlohmann/json.hpp>

#include "tests/support.hpp"

namespace clattn {
namespace {

using test::Random;
using test::uniform;

const auto kInvalid = ErrorCategory::invalid_argument;

double normal(Random& random) { return std::normal_distribution<double>(0, 3)(random); }

std::vector<float> random_floats(Random& random, std::int64_t count) {
  std::vector<float> values;
  while (std::ssize(values) < count) values.push_back(static_cast<float>(normal(random)));
  return values;
}

Point random_point(Random& random, const Extent& extent, std::int64_t batch, std::int64_t heads) {
  return {uniform(random, 0, batch - 1), uniform(random, 0, heads - 1),
          uniform(random, 0, extent.query_len - 1), uniform(random, 0, extent.key_len - 1)};
}

std::shared_ptr<const Buffer> bias_buffer(ElementType type, std::int64_t count,
                                          std::vector<std::byte> values = {}) {
  return std::make_shared<const Buffer>(Buffer{"bias", type, count, std::move(values)});
}

TEST(Score, SoftcapIsTanh) {
  for (float cap : {0.5f, 30.0f, 50.0f}) {
    const Score score = softcap_score(cap);
    for (double s : {-1e9, -30.0, -1.0, -1e-12, 0.0, 1e-12, 0.3, 7.0, 49.0, 1e9}) {
      EXPECT_DOUBLE_EQ(score->apply(s, {}, {}), cap * std::tanh(s / cap));
    }
    EXPECT_EQ(score->apply(INFINITY, {}, {}), cap);
    EXPECT_TRUE(std::isnan(score->apply(NAN, {}, {})));
  }
  EXPECT_EQ(softcap_score(30)->to_json(), R"({"softcap":30})");
  EXPECT_EQ(softcap_score(0.1f)->to_json(), R"({"softcap":0.1})");
  for (float cap : {0.0f, -1.0f, 1e-31f, 1e31f, INFINITY, NAN}) {
    test::expect_error(kInvalid, {"softcap is " + fmt::format("{}", cap), "1e-30", "1e+30"},
                       [&] { softcap_score(cap); });
  }
}

TEST(Score, AlibiFallsWithTheDistance) {
  Random random = test::make_random();
  const std::vector<float> slopes = random_floats(random, 6);
  const Score by_head = alibi_score({slopes.begin(), slopes.begin() + 3});
  const Score by_batch = alibi_score(slopes, 2);
  for (int repeat = 0; repeat < 1000; ++repeat) {
    const Extent extent{uniform(random, 1, 50), uniform(random, 1, 50)};
    const Point at = random_point(random, extent, 2, 3);
    const double s = normal(random);
    const double distance =
        std::fabs(static_cast<double>(at.query + extent.key_len - extent.query_len - at.key));
    const auto head = static_cast<std::size_t>(at.head);
    const auto row = static_cast<std::size_t>(at.batch * 3 + at.head);
    ASSERT_DOUBLE_EQ(by_head->apply(s, at, extent), s - slopes[head] * distance);
    ASSERT_DOUBLE_EQ(by_batch->apply(s, at, extent), s - slopes[row] * distance);
  }
  EXPECT_NO_THROW(by_head->validate({}, 7, 3));
  EXPECT_NO_THROW(by_batch->validate({}, 2, 3));
  test::expect_error(kInvalid, {"3 slopes", "4 heads"}, [&] { by_head->validate({}, 1, 4); });
  test::expect_error(kInvalid, {"2 batches", "3"}, [&] { by_batch->validate({}, 3, 3); });
  test::expect_error(kInvalid, {"alibi slope 1 is nan"}, [] { alibi_score({1, NAN}); });
  test::expect_error(kInvalid, {"slope 0 is inf"}, [] { alibi_score({INFINITY}); });
  test::expect_error(kInvalid, {"0 slopes"}, [] { alibi_score({}); });
  test::expect_error(kInvalid, {"3 slopes", "2 batches"}, [] { alibi_score({1, 2, 3}, 2); });
  test::expect_error(kInvalid, {"0 batches"}, [] { alibi_score({1}, 0); });
  EXPECT_EQ(alibi_score({0.5f, 2})->to_json(), R"({"alibi":{"slopes":[0.5,2]}})");
  EXPECT_EQ(alibi_score({0.5f, 2, 1, 0.1f}, 2)->to_json(),
            R"({"alibi":{"slopes":[[0.5,2],[1,0.1]]}})");
}

TEST(Score, AlibiSlopesAreThoseOfThePaper) {
  EXPECT_EQ(alibi_slopes(8), (std::vector<float>{0.5f, 0.25f, 0.125f, 0.0625f, 0.03125f, 0.015625f,
                                                 0.0078125f, 0.00390625f}));
  EXPECT_EQ(alibi_slopes(1), std::vector<float>{std::exp2(-8.0f)});
  // 12 heads: those of 8, then the 1st, 3rd, 5th and 7th of 16.
  const std::vector<float> twelve = alibi_slopes(12);
  ASSERT_EQ(twelve.size(), 12u);
  EXPECT_TRUE(std::equal(twelve.begin(), twelve.begin() + 8, alibi_slopes(8).begin()));
  for (int i = 0; i < 4; ++i) {
    EXPECT_FLOAT_EQ(twelve[static_cast<std::size_t>(8 + i)],
                    static_cast<float>(std::pow(2.0, -0.5 * (2 * i + 1))));
  }
  for (std::int64_t heads = 1; heads < 70; ++heads) {
    EXPECT_EQ(std::ssize(alibi_slopes(heads)), heads);
  }
  test::expect_error(kInvalid, {"0 heads"}, [] { alibi_slopes(0); });
}

TEST(Score, BiasBroadcasts) {
  Random random = test::make_random();
  const Extent extent{5, 7};
  constexpr std::int64_t kBatch = 2, kHeads = 3;
  for (int which = 0; which < 16; ++which) {
    const BiasShape shape{which & 1 ? kBatch : 1, which & 2 ? kHeads : 1,
                          which & 4 ? extent.query_len : 1, which & 8 ? extent.key_len : 1};
    const std::int64_t count = shape.batch * shape.heads * shape.query_len * shape.key_len;
    for (const auto& [type, data] :
         {std::pair(ElementType::f32, DataType::f32), std::pair(ElementType::f16, DataType::f16),
          std::pair(ElementType::bf16, DataType::bf16)}) {
      const std::vector<std::byte> values = test::random_elements(random, data, count);
      const Score score = bias_score(bias_buffer(type, count, values), shape);
      EXPECT_NO_THROW(score->validate(extent, kBatch, kHeads));
      for (int repeat = 0; repeat < 50; ++repeat) {
        const Point at = random_point(random, extent, kBatch, kHeads);
        // Contiguous strides, 0 where the tensor broadcasts.
        const std::int64_t index =
            (shape.key_len > 1) * at.key + (shape.query_len > 1) * at.query * shape.key_len +
            (shape.heads > 1) * at.head * shape.query_len * shape.key_len +
            (shape.batch > 1) * at.batch * shape.heads * shape.query_len * shape.key_len;
        ASSERT_EQ(score->apply(1.5, at, extent), 1.5 + load_element(data, values.data(), index));
      }
    }
  }
}

TEST(Score, BiasChecksItsShape) {
  const auto make = [](std::int64_t count, const BiasShape& shape) {
    return bias_score(bias_buffer(ElementType::f32, count), shape);
  };
  const Score score = make(2 * 3 * 5 * 7, {2, 3, 5, 7});
  EXPECT_NO_THROW(score->validate({5, 7}, 2, 3));
  test::expect_error(kInvalid, {"\"bias\" has batch 2, but the problem 4"}, [&] {
    score->validate({5, 7}, 4, 3);
  });
  test::expect_error(kInvalid, {"heads 3", "4"}, [&] { score->validate({5, 7}, 2, 4); });
  test::expect_error(kInvalid, {"q_len 5", "6"}, [&] { score->validate({6, 7}, 2, 3); });
  test::expect_error(kInvalid, {"kv_len 7", "8"}, [&] { score->validate({5, 8}, 2, 3); });
  test::expect_error(kInvalid, {"\"bias\" are bound at launch", "reference"}, [&] {
    score->apply(0, {}, {5, 7});
  });
  test::expect_error(kInvalid, {"9 elements", "[1, 2, 1, 4]"}, [&] { make(9, {1, 2, 1, 4}); });
  test::expect_error(kInvalid, {"8 elements", "[-1, -2, 1, 4]"}, [&] { make(8, {-1, -2, 1, 4}); });
  test::expect_error(kInvalid, {"0 elements"}, [&] { make(0, {1, 0, 1, 4}); });
  const std::int64_t half = std::int64_t{1} << 32;
  test::expect_error(kInvalid, {"4 elements", "4294967296"}, [&] { make(4, {half, half, 1, 4}); });
  test::expect_error(kInvalid, {"elements"}, [&] { make(half, {half, half, half, 1}); });
  test::expect_error(kInvalid, {"5 bytes", "2 elements"}, [&] {
    bias_score(bias_buffer(ElementType::f32, 2, std::vector<std::byte>(5)), {1, 1, 1, 2});
  });
  test::expect_error(kInvalid, {"\"bias\"", "i32"}, [&] {
    bias_score(bias_buffer(ElementType::i32, 2), {1, 1, 1, 2});
  });
  test::expect_error(kInvalid, {"null"}, [] { bias_score(nullptr, {}); });
}

TEST(Score, BiasIsWrittenAsJson) {
  EXPECT_EQ(bias_score(bias_buffer(ElementType::f16, 12), {1, 3, 1, 4})->to_json(),
            R"({"bias":{"name":"bias","type":"f16","batch":1,"heads":3,"q_len":1,"kv_len":4}})");
  const std::vector<float> values = {0.5f, -INFINITY};
  const auto bytes = std::as_bytes(std::span(values));
  EXPECT_EQ(bias_score(bias_buffer(ElementType::f32, 2, {bytes.begin(), bytes.end()}), {1, 1, 1, 2})
                ->to_json(),
            R"({"bias":{"name":"bias","type":"f32","batch":1,"heads":1,"q_len":1,"kv_len":2,)"
            R"("values":[0.5,"-inf"]}})");
}

TEST(Score, BiasIndexesWithFewOperations) {
  const auto expression = [](const BiasShape& shape, ElementType type = ElementType::f32) {
    const std::int64_t count = shape.batch * shape.heads * shape.query_len * shape.key_len;
    ExpressionWriter writer;
    return bias_score(bias_buffer(type, count), shape)->expression(writer);
  };
  EXPECT_EQ(expression({}), "score + hooks->buffer0[0]");
  EXPECT_EQ(expression({1, 1, 1, 9}), "score + hooks->buffer0[key]");
  EXPECT_EQ(expression({1, 4, 8, 9}, ElementType::bf16),
            "score + as_float((uint)hooks->buffer0[((head) * HOOK_VALUE(0) + query) * "
            "HOOK_VALUE(1) + key] << 16)");
  EXPECT_EQ(expression({2, 1, 1, 9}, ElementType::f16),
            "score + vload_half((batch) * HOOK_VALUE(0) + key, hooks->buffer0)");
  EXPECT_EQ(expression({1, 1, 65536, 65536}),
            "score + hooks->buffer0[((long)query) * HOOK_VALUE(0) + key]");
}

TEST(Score, RelativePositionClamps) {
  Random random = test::make_random();
  constexpr std::int64_t kReach = 4, kColumns = 2 * kReach + 1;
  const std::vector<float> table = random_floats(random, 3 * kColumns);
  const Score by_head = relative_position_score(table, kReach);
  const Score shared = relative_position_score({table.begin(), table.begin() + kColumns}, kReach);
  for (int repeat = 0; repeat < 1000; ++repeat) {
    const Extent extent{uniform(random, 1, 20), uniform(random, 1, 20)};
    const Point at = random_point(random, extent, 2, 3);
    const double s = normal(random);
    std::int64_t distance = at.key - (at.query + extent.key_len - extent.query_len);
    if (distance < -kReach) distance = -kReach;
    if (distance > kReach) distance = kReach;
    const auto column = static_cast<std::size_t>(distance + kReach);
    const auto row = static_cast<std::size_t>(at.head * kColumns);
    ASSERT_DOUBLE_EQ(by_head->apply(s, at, extent), s + table[row + column]);
    ASSERT_DOUBLE_EQ(shared->apply(s, at, extent), s + table[column]);
  }
  EXPECT_NO_THROW(shared->validate({}, 1, 9));
  test::expect_error(kInvalid, {"3 heads", "9"}, [&] { by_head->validate({}, 1, 9); });
  test::expect_error(kInvalid, {"4 numbers", "3 (2 * reach + 1)"}, [] {
    relative_position_score({1, 2, 3, 4}, 1);
  });
  test::expect_error(kInvalid, {"0 numbers"}, [] { relative_position_score({}, 1); });
  test::expect_error(kInvalid, {"reach -1"}, [] { relative_position_score({1}, -1); });
  test::expect_error(kInvalid, {"reach 4611686018427387904"},
                     [] { relative_position_score({1}, std::int64_t{1} << 62); });
  test::expect_error(kInvalid, {"element 2 is nan"}, [] {
    relative_position_score({1, 2, NAN}, 1);
  });
  EXPECT_EQ(relative_position_score({1, 0.5f, 2, 3, 4, 5}, 1)->to_json(),
            R"({"relative_position":{"reach":1,"table":[[1,0.5,2],[3,4,5]]}})");
}

// Against coordinates made by counting.
TEST(Score, GridPositionClampsEachDimension) {
  Random random = test::make_random();
  for (std::size_t rank = 1; rank <= 3; ++rank) {
    for (int repeat = 0; repeat < 20; ++repeat) {
      std::vector<std::int64_t> grid(3, 1), reach(3, 0);
      for (std::size_t d = 3 - rank; d < 3; ++d) {
        grid[d] = uniform(random, 1, 7);
        reach[d] = uniform(random, 0, 8);
      }
      std::vector<std::array<std::int64_t, 3>> coordinates;  // of each token
      for (std::int64_t z = 0; z < grid[0]; ++z) {
        for (std::int64_t y = 0; y < grid[1]; ++y) {
          for (std::int64_t x = 0; x < grid[2]; ++x) coordinates.push_back({z, y, x});
        }
      }
      const std::int64_t tokens = std::ssize(coordinates);
      const std::int64_t columns = 2 * reach[2] + 1, rows = 2 * reach[1] + 1;
      const std::int64_t entries = (2 * reach[0] + 1) * rows * columns;
      const std::vector<float> table = random_floats(random, 2 * entries);
      const auto last = [&](const std::vector<std::int64_t>& sizes) {
        return std::vector<std::int64_t>(sizes.end() - static_cast<std::ptrdiff_t>(rank),
                                         sizes.end());
      };
      const Score by_head = grid_position_score(table, last(grid), last(reach));
      const Score shared =
          grid_position_score({table.begin(), table.begin() + entries}, last(grid), last(reach));
      const Extent extent{tokens + 1, tokens + 2};
      ASSERT_NO_THROW(by_head->validate(extent, 5, 2));
      ASSERT_NO_THROW(shared->validate(extent, 5, 9));
      for (std::int64_t query = 0; query < extent.query_len; ++query) {
        for (std::int64_t key = 0; key < extent.key_len; ++key) {
          const std::int64_t head = uniform(random, 0, 1);
          const Point at{uniform(random, 0, 4), head, query, key};
          const double s = normal(random);
          if (query >= tokens || key >= tokens) {
            ASSERT_EQ(by_head->apply(s, at, extent), s);
            continue;
          }
          std::int64_t shift[3];
          for (std::size_t d = 0; d < 3; ++d) {
            shift[d] = coordinates[static_cast<std::size_t>(key)][d] -
                       coordinates[static_cast<std::size_t>(query)][d];
            if (shift[d] < -reach[d]) shift[d] = -reach[d];
            if (shift[d] > reach[d]) shift[d] = reach[d];
            shift[d] += reach[d];
          }
          const auto index =
              static_cast<std::size_t>((shift[0] * rows + shift[1]) * columns + shift[2]);
          const std::size_t of_head = static_cast<std::size_t>(head * entries);
          ASSERT_DOUBLE_EQ(by_head->apply(s, at, extent), s + table[of_head + index]);
          ASSERT_DOUBLE_EQ(shared->apply(s, at, extent), s + table[index]);
        }
      }
    }
  }
  EXPECT_EQ(grid_position_score({1, 0.5f, 2, 3, 4, 5}, {7, 9}, {1, 0})->to_json(),
            R"({"grid_position":{"grid":[7,9],"reach":[1,0],)"
            R"("table":[[[1],[0.5],[2]],[[3],[4],[5]]]}})");
}

TEST(Score, GridPositionRefusesWhatDoesNotFit) {
  const Score score = grid_position_score({1, 2, 3, 4, 5, 6}, {4, 5}, {1, 0});
  EXPECT_NO_THROW(score->validate({20, 20}, 1, 2));
  test::expect_error(kInvalid, {"q_len is 19", "20", "4 x 5"}, [&] {
    score->validate({19, 20}, 1, 2);
  });
  test::expect_error(kInvalid, {"kv_len is 19", "20", "4 x 5"}, [&] {
    score->validate({20, 19}, 1, 2);
  });
  test::expect_error(kInvalid, {"2 heads", "3"}, [&] { score->validate({20, 20}, 1, 3); });

  using Sizes = std::vector<std::int64_t>;
  const auto refuse = [](const std::vector<std::string>& parts, std::vector<float> table,
                         const Sizes& grid, const Sizes& reach) {
    test::expect_error(kInvalid, parts,
                       [&] { grid_position_score(std::move(table), grid, reach); });
  };
  refuse({"grid has 0 dimensions"}, {1}, {}, {});
  refuse({"grid has 4 dimensions", "1 to 3"}, {1}, {1, 1, 1, 1}, {0, 0, 0, 0});
  refuse({"reach has 1 dimensions", "grid has 2"}, {1}, {1, 1}, {0});
  refuse({"grid of dimension 1 is 0"}, {1}, {3, 0}, {0, 0});
  refuse({"grid has more tokens", "1073741824"}, {1}, {2, 1 << 30}, {0, 0});
  refuse({"grid of dimension 0 is 4611686018427387904"}, {1}, {std::int64_t{1} << 62}, {0});
  refuse({"reach of dimension 1 is -1"}, {1}, {3, 3}, {0, -1});
  refuse({"reach of dimension 0 is 4611686018427387904"}, {1}, {3}, {std::int64_t{1} << 62});
  refuse({"table of 4 numbers", "3 x 1 (2 * reach + 1)"}, {1, 2, 3, 4}, {3, 3}, {1, 0});
  refuse({"table of 2 numbers", "3 x 1"}, {1, 2}, {3, 3}, {1, 0});
  refuse({"table of 0 numbers"}, {}, {3}, {0});
  refuse({"table of 3 numbers"}, {1, 2, 3}, {3, 3, 3}, {1 << 29, 1 << 29, 1 << 29});
  refuse({"element 1 is nan"}, {1, NAN, 2}, {3}, {1});
}

// Other numbers must not need another program.
TEST(Score, NumbersAreArguments) {
  const auto same = [](const Score& a, const Score& b) {
    ExpressionWriter first, second;
    EXPECT_EQ(a->expression(first), b->expression(second));
    EXPECT_EQ(first.functions(), second.functions());
    EXPECT_NE(std::pair(first.values(), first.tables()),
              std::pair(second.values(), second.tables()));
  };
  same(softcap_score(30), softcap_score(50));
  same(alibi_score({1, 2}), alibi_score({3, 4, 5}));
  same(relative_position_score({1, 2, 3}, 1), relative_position_score({1, 2, 3, 4, 5}, 2));
  same(grid_position_score({1, 2, 3}, {5, 6}, {1, 0}), grid_position_score({1}, {7, 8}, {0, 0}));
  same(bias_score(bias_buffer(ElementType::f32, 12), {1, 1, 3, 4}),
       bias_score(bias_buffer(ElementType::f32, 30), {1, 1, 5, 6}));
  same(expression_score({"score * x", {}, {{"x", 1.0f}}}),
       expression_score({"score * x", {}, {{"x", 2.0f}}}));
}

}  // namespace
}  // namespace clattn
