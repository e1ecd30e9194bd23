// Holds the views of every mask together: for random masks, lengths and rectangles, `classify`,
// `reach` and the exact count must say what `allows` says pair by pair. The OpenCL view is held to
// the same in mask_expression_test.cpp. Hand-written cases fix what the masks mean.
#include <clattn/mask.hpp>

#include "tests/support.hpp"

namespace clattn {
namespace {

using test::expect_error;
using test::Random;
using test::uniform;

constexpr std::int64_t kFar = std::int64_t{1} << 40;

// The visible pairs as rows of '#' and '.'.
std::string picture(const Mask& mask, const Extent& extent) {
  std::string text;
  for (std::int64_t i = 0; i < extent.query_len; ++i) {
    if (i > 0) text += '/';
    for (std::int64_t j = 0; j < extent.key_len; ++j) {
      text += mask->allows({0, 0, i, j}, extent) ? '#' : '.';
    }
  }
  return text;
}

TEST(MaskMeaning, Dense) { EXPECT_EQ(picture(dense_mask(), {2, 3}), "###/###"); }

TEST(MaskMeaning, CausalBottomRightPutsTheLastQueryBesideTheLastKey) {
  EXPECT_EQ(picture(causal_mask(), {3, 3}), "#../##./###");
  EXPECT_EQ(picture(causal_mask(), {2, 4}), "###./####");
  EXPECT_EQ(picture(causal_mask(), {4, 2}), "../../#./##");  // the first queries see nothing
  EXPECT_EQ(picture(causal_mask(), {1, 3}), "###");
}

TEST(MaskMeaning, CausalTopLeftPutsTheFirstQueryBesideTheFirstKey) {
  const Mask mask = causal_mask(CausalAlign::top_left);
  EXPECT_EQ(picture(mask, {3, 3}), "#../##./###");
  EXPECT_EQ(picture(mask, {2, 4}), "#.../##..");
  EXPECT_EQ(picture(mask, {4, 2}), "#./##/##/##");
}

TEST(MaskMeaning, WindowEndsAreInclusiveAndBottomRight) {
  EXPECT_EQ(picture(window_mask(0, 0), {3, 3}), "#../.#./..#");
  EXPECT_EQ(picture(window_mask(1, 0), {4, 4}), "#.../##../.##./..##");
  EXPECT_EQ(picture(window_mask(0, 2), {4, 4}), "###./.###/..##/...#");
  EXPECT_EQ(picture(window_mask(1, 1), {2, 4}), ".###/..##");
  EXPECT_EQ(picture(window_mask(1, 0), {4, 2}), "../../#./##");
  EXPECT_EQ(picture(window_mask(0, 1), {4, 2}), "../#./##/.#");
}

TEST(MaskMeaning, AnAbsentWindowEndDoesNotBound) {
  EXPECT_EQ(picture(window_mask({}, {}), {2, 3}), "###/###");
  EXPECT_EQ(picture(window_mask({}, 0), {2, 4}), picture(causal_mask(), {2, 4}));
  EXPECT_EQ(picture(window_mask(1, {}), {3, 3}), "###/###/.##");
  constexpr std::int64_t kFurthest = std::numeric_limits<std::int64_t>::max();
  EXPECT_EQ(picture(window_mask(kFar, kFurthest), {2, 3}), "###/###");
  EXPECT_EQ(picture(window_mask(kFurthest, kFar), {3, 1}), "#/#/#");
}

TEST(Mask, WindowRefusesNegativeEnds) {
  expect_error(ErrorCategory::invalid_argument, {"left", "-1"}, [] { window_mask(-1, 0); });
  expect_error(ErrorCategory::invalid_argument, {"right", "-7"}, [] { window_mask({}, -7); });
}

Range random_range(Random& random, std::int64_t length) {
  const std::int64_t begin = uniform(random, 0, length - 1);
  return {begin, uniform(random, begin + 1, length)};
}

TEST(MaskProperty, ClassifyReachAndCountAgreeWithAllows) {
  Random random = test::make_random();
  for (int repeat = 0; repeat < 3000; ++repeat) {
    const Extent extent{uniform(random, 0, 24), uniform(random, 0, 24)};
    const Mask mask = test::random_mask(random, extent);
    SCOPED_TRACE(mask->to_json() + " over " + std::to_string(extent.query_len) + " x " +
                 std::to_string(extent.key_len));
    std::int64_t visible = 0;
    for (std::int64_t i = 0; i < extent.query_len; ++i) {
      for (std::int64_t j = 0; j < extent.key_len; ++j) {
        visible += mask->allows({0, 0, i, j}, extent);
      }
    }
    ASSERT_EQ(count_visible_pairs(*mask, extent), visible);
    if (extent.query_len == 0) continue;

    for (int rectangle = 0; rectangle < 8; ++rectangle) {
      const Range queries = random_range(random, extent.query_len);
      const Range reach = mask->reach(queries, extent);
      ASSERT_GE(reach.begin, 0);
      ASSERT_LE(reach.begin, reach.end);
      ASSERT_LE(reach.end, extent.key_len);
      const Range keys = extent.key_len ? random_range(random, extent.key_len) : Range{};
      std::int64_t inside = 0;
      for (std::int64_t i = queries.begin; i < queries.end; ++i) {
        for (std::int64_t j = 0; j < extent.key_len; ++j) {
          if (!mask->allows({0, 0, i, j}, extent)) continue;
          ASSERT_TRUE(j >= reach.begin && j < reach.end) << i << ", " << j;
          inside += j >= keys.begin && j < keys.end;
        }
      }
      if (keys.empty()) continue;
      // Bands promise more than the interface asks: 'some' only where both kinds are there.
      const Coverage expected = inside == 0                              ? Coverage::none
                                : inside == queries.size() * keys.size() ? Coverage::all
                                                                         : Coverage::some;
      ASSERT_EQ(mask->classify(queries, keys, extent), expected);
    }
  }
}

// The views at lengths where 32-bit arithmetic or a sum with a huge window would overflow.
TEST(MaskProperty, LengthsUpToTheLimitDoNotOverflow) {
  Random random = test::make_random();
  constexpr std::int64_t kLong = std::int64_t{1} << 30;
  const auto length = [&] {
    return uniform(random, 0, 1) ? uniform(random, kLong - 3, kLong) : uniform(random, 1, 3);
  };
  for (int repeat = 0; repeat < 5000; ++repeat) {
    const Extent extent{length(), length()};
    const Mask mask = test::random_mask(random, extent);
    SCOPED_TRACE(mask->to_json() + " over " + std::to_string(extent.query_len) + " x " +
                 std::to_string(extent.key_len));
    const Range queries = random_range(random, extent.query_len);
    const Range keys = random_range(random, extent.key_len);
    const Range reach = mask->reach(queries, extent);
    const Coverage coverage = mask->classify(queries, keys, extent);
    for (int sample = 0; sample < 20; ++sample) {
      const std::int64_t query = uniform(random, queries.begin, queries.end - 1);
      // Beside the diagonal, where the boundary of a band is, or anywhere.
      std::int64_t key = uniform(random, keys.begin, keys.end - 1);
      if (sample % 2) {
        key = std::clamp(query + extent.key_len - extent.query_len + uniform(random, -2, 2),
                         keys.begin, keys.end - 1);
      }
      const bool allows = mask->allows({0, 0, query, key}, extent);
      if (coverage == Coverage::all) {
        ASSERT_TRUE(allows);
      }
      if (coverage == Coverage::none) {
        ASSERT_FALSE(allows);
      }
      if (allows) {
        ASSERT_TRUE(key >= reach.begin && key < reach.end);
      }
    }
    ExpressionWriter writer;
    mask->expression(writer, extent);
    for (std::int64_t value : writer.values()) {
      ASSERT_LE(std::abs(value), kLong);  // so that no sum of it and an index overflows
    }
  }
}

TEST(CountVisiblePairs, OfLongBandsIsExact) {
  constexpr std::int64_t n = 100000;
  EXPECT_EQ(count_visible_pairs(*dense_mask(), {1 << 30, 1 << 30}), std::int64_t{1} << 60);
  EXPECT_EQ(count_visible_pairs(*causal_mask(), {n, n}), n * (n + 1) / 2);
  EXPECT_EQ(count_visible_pairs(*causal_mask(), {n, 3 * n}), n * (n + 1) / 2 + n * 2 * n);
  EXPECT_EQ(count_visible_pairs(*causal_mask(), {3 * n, n}), n * (n + 1) / 2);
  EXPECT_EQ(count_visible_pairs(*window_mask(255, 0), {n, n}), 256 * n - 255 * 256 / 2);
  EXPECT_EQ(count_visible_pairs(*window_mask(0, 0), {n, n}), n);
}

TEST(ExpressionWriter, RefusesWhatKernelsCannotHold) {
  ExpressionWriter writer;
  for (int i = 0; i < 8; ++i) EXPECT_EQ(writer.integer(i), "MASK_VALUE(" + std::to_string(i) + ")");
  expect_error(ErrorCategory::unsupported, {"8"}, [&] { writer.integer(0); });
  for (std::int64_t value : {std::int64_t{1} << 31, -(std::int64_t{1} << 31) - 1}) {
    expect_error(ErrorCategory::unsupported, {std::to_string(value), "32 bits"},
                 [&] { ExpressionWriter().integer(value); });
  }
  EXPECT_EQ(writer.values().size(), 8u);
}

}  // namespace
}  // namespace clattn
