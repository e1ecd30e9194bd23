// Holds the views of every mask together: for random masks, lengths and rectangles, `classify`,
// `reach` and the exact count must say what `allows` says pair by pair. The OpenCL view is held to
// the same in mask_expression_test.cpp. Hand-written cases fix what the masks mean.
#include <clattn/mask.hpp>
#include <clattn/neighborhood.hpp>

#include "tests/support.hpp"

namespace clattn {
namespace {

using test::expect_error;
using test::Random;
using test::uniform;

constexpr std::int64_t kFar = std::int64_t{1} << 40;
constexpr std::int64_t kFurthest = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kLong = std::int64_t{1} << 30;

// The visible pairs as rows of '#' and '.'.
std::string picture(const Mask& mask, const Extent& extent, std::int64_t head = 0) {
  mask->validate(extent, 1, head + 1);
  std::string text;
  for (std::int64_t i = 0; i < extent.query_len; ++i) {
    if (i > 0) text += '/';
    for (std::int64_t j = 0; j < extent.key_len; ++j) {
      text += mask->allows({0, head, i, j}, extent) ? '#' : '.';
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
  EXPECT_EQ(picture(window_mask(kFar, kFurthest), {2, 3}), "###/###");
  EXPECT_EQ(picture(window_mask(kFurthest, kFar), {3, 1}), "#/#/#");
}

TEST(MaskMeaning, DilatedWindowTakesStepsFromTheOwnPosition) {
  EXPECT_EQ(picture(dilated_window_mask(1, 1, 2), {5, 5}), "#.#../.#.#./#.#.#/.#.#./..#.#");
  EXPECT_EQ(picture(dilated_window_mask(2, 0, 3), {2, 8}), "#..#..#./.#..#..#");
  EXPECT_EQ(picture(dilated_window_mask(1, 0, 1), {4, 2}), picture(window_mask(1, 0), {4, 2}));
  EXPECT_EQ(picture(dilated_window_mask({}, 0, 2), {3, 5}), "#.#../.#.#./#.#.#");
  EXPECT_EQ(picture(dilated_window_mask({}, {}, 2), {3, 3}), "#.#/.#./#.#");
  EXPECT_EQ(picture(dilated_window_mask(kFurthest, kFar, kFurthest), {2, 3}), ".#./..#");
}

TEST(MaskMeaning, PrefixIsSeenByAll) {
  EXPECT_EQ(picture(prefix_mask(2), {2, 3}), "##./##.");
  EXPECT_EQ(picture(prefix_mask(0), {1, 2}), "..");
  EXPECT_EQ(picture(prefix_mask(kFurthest), {1, 2}), "##");
}

TEST(MaskMeaning, SinkIsNotSeenFromBeforeIt) {
  EXPECT_EQ(picture(sink_mask(2), {4, 4}), "#.../##../##../##..");
  EXPECT_EQ(picture(sink_mask(2), {2, 4}), "##../##..");
  EXPECT_EQ(picture(sink_mask(kFurthest), {3, 2}), "../#./##");
  EXPECT_EQ(picture(sink_mask(0), {1, 2}), "..");
}

TEST(MaskMeaning, GlobalTokensSeeAndAreSeen) {
  EXPECT_EQ(picture(global_mask({2}), {4, 4}), "..#./..#./####/..#.");
  EXPECT_EQ(picture(global_mask({3, 0}), {2, 4}), "#..#/####");  // the last query is at position 3
  EXPECT_EQ(picture(global_mask({0, 1}), {4, 2}), "##/##/##/##");
  EXPECT_EQ(picture(global_mask({0}), {4, 2}), "#./#./##/#.");
  EXPECT_EQ(picture(global_mask({}), {1, 2}), "..");
}

TEST(MaskMeaning, DocumentsSeeThemselvesOnly) {
  EXPECT_EQ(picture(documents_mask({{1, 2}, {1, 2}}), {3, 3}), "#../.##/.##");
  EXPECT_EQ(picture(documents_mask({{2, 0, 1}, {1, 1, 2}}), {3, 4}), "#.../#.../..##");
  EXPECT_EQ(picture(documents_mask({{1, 2}, {3, 0}}), {3, 3}), "###/.../...");
  EXPECT_EQ(picture(documents_mask({{}, {}}), {0, 0}), "");
}

TEST(MaskMeaning, TheMaskInsideDocumentsKnowsTheOwnLengthsOnly) {
  EXPECT_EQ(picture(documents_mask({{2, 2}, {3, 1}}, causal_mask()), {4, 4}),
            "##../###./..../...#");
  EXPECT_EQ(picture(documents_mask({{2, 2}, {2, 2}}, global_mask({1})), {4, 4}),
            ".#../##../...#/..##");
  const Mask pairs = documents_mask({{1, 1}, {1, 1}});
  EXPECT_EQ(picture(documents_mask({{2, 2}, {2, 2}}, pairs), {4, 4}), "#.../.#../..#./...#");
}

TEST(MaskMeaning, LengthsFromOffsets) {
  EXPECT_EQ(lengths_from_offsets({0, 3, 3, 7}), (std::vector<std::int64_t>{3, 0, 4}));
  EXPECT_EQ(lengths_from_offsets({0}), std::vector<std::int64_t>{});
}

TEST(MaskMeaning, EachHeadHasItsOwnMask) {
  const Mask mask = per_head_mask({causal_mask(), window_mask(0, 0), causal_mask()});
  const Extent extent{2, 2};
  for (const auto& [head, expected] : {std::pair(0, "#./##"), {1, "#./.#"}, {2, "#./##"}}) {
    for (std::int64_t i = 0; i < 2; ++i) {
      for (std::int64_t j = 0; j < 2; ++j) {
        EXPECT_EQ(mask->allows({0, head, i, j}, extent), expected[i * 3 + j] == '#');
      }
    }
  }
  EXPECT_TRUE(mask->variation().head);
  EXPECT_FALSE(mask->variation().batch);
  EXPECT_FALSE(per_head_mask({causal_mask(), causal_mask()})->variation().head);
}

TEST(MaskMeaning, Combinations) {
  EXPECT_EQ(picture(all_of_mask({causal_mask(), prefix_mask(2)}), {3, 3}), "#../##./##.");
  EXPECT_EQ(picture(any_of_mask({window_mask(0, 0), prefix_mask(1)}), {3, 3}), "#../##./#.#");
  EXPECT_EQ(picture(not_mask(causal_mask()), {2, 3}), "..#/...");
  EXPECT_EQ(picture(all_of_mask({}), {1, 2}), "##");
  EXPECT_EQ(picture(any_of_mask({}), {1, 2}), "..");
}

TEST(Mask, SeamsAreWhereDocumentsBegin) {
  const Mask inner = documents_mask({{1, 2}, {2, 1}});
  const Mask outer = documents_mask({{0, 3, 3, 0}, {0, 3, 3, 0}}, inner);
  using Seams = std::vector<std::int64_t>;
  EXPECT_EQ(outer->seams({}, {6, 6}), (Seams{1, 3, 4}));
  const Mask other = documents_mask({{4, 2}, {4, 2}});
  EXPECT_EQ(any_of_mask({other, causal_mask(), outer})->seams({}, {6, 6}), (Seams{1, 3, 4}));
  EXPECT_EQ(not_mask(other)->seams({}, {6, 6}), Seams{4});
  const Mask heads = per_head_mask({other, documents_mask({{5, 1}, {5, 1}})});
  EXPECT_EQ(heads->seams({0, 1}, {6, 6}), Seams{5});
}

TEST(Mask, RefusesWhatMakesNoSense) {
  const auto refuses = [](const std::vector<std::string>& parts, auto&& make) {
    expect_error(ErrorCategory::invalid_argument, parts, make);
  };
  refuses({"left", "-1"}, [] { window_mask(-1, 0); });
  refuses({"right", "-7"}, [] { window_mask({}, -7); });
  refuses({"left", "-1"}, [] { dilated_window_mask(-1, 0, 1); });
  refuses({"right", "-2"}, [] { dilated_window_mask({}, -2, 1); });
  refuses({"dilation", "0", "1 or more"}, [] { dilated_window_mask({}, {}, 0); });
  refuses({"prefix", "-1"}, [] { prefix_mask(-1); });
  refuses({"sink", "-3"}, [] { sink_mask(-3); });
  refuses({"global token", "-4"}, [] { global_mask({2, -4}); });
  refuses({"global token", "5", "repeated"}, [] { global_mask({5, 3, 5}); });
  refuses({"global token", "4", "4 keys"}, [] { global_mask({4})->validate({9, 4}, 1, 1); });
  refuses({"2 query", "1 key"}, [] { documents_mask({{1, 2}, {3}}); });
  refuses({"document 1", "key", "-2"}, [] { documents_mask({{1, 2}, {3, -2}}); });
  refuses({"query", "1073741824"}, [] { documents_mask({{kLong, 1}, {1, 1}}); });
  refuses({"query", "1073741824"}, [] { documents_mask({{1, kFurthest}, {1, 1}}); });
  refuses({"query", "3", "4"}, [] { documents_mask({{1, 2}, {2, 2}})->validate({4, 4}, 1, 1); });
  refuses({"key", "5", "4"}, [] { documents_mask({{2, 2}, {2, 3}})->validate({4, 4}, 1, 1); });
  refuses({"global token", "2", "2 keys"}, [] {
    documents_mask({{1, 1}, {3, 2}}, global_mask({2}))->validate({2, 5}, 1, 1);
  });
  refuses({"offset", "0"}, [] { lengths_from_offsets({}); });
  refuses({"offset", "1", "0"}, [] { lengths_from_offsets({1, 2}); });
  refuses({"offset 2", "3", "5"}, [] { lengths_from_offsets({0, 5, 3}); });
  refuses({"per_head", "0"}, [] { per_head_mask({}); });
  refuses({"2 masks", "3 heads"}, [] {
    any_of_mask({not_mask(per_head_mask({dense_mask(), dense_mask()}))})->validate({1, 1}, 1, 3);
  });
  refuses({"documents", "null"}, [] { documents_mask({{1}, {1}}, nullptr); });
  refuses({"per_head", "null"}, [] { per_head_mask({dense_mask(), nullptr}); });
  refuses({"all_of", "null"}, [] { all_of_mask({nullptr}); });
  refuses({"any_of", "null"}, [] { any_of_mask({nullptr}); });
  refuses({"not", "null"}, [] { not_mask(nullptr); });
}

TEST(Mask, WritesItselfAsJson) {
  EXPECT_EQ(dilated_window_mask(4, {}, 2)->to_json(),
            R"({"dilated_window":{"left":4,"right":null,"dilation":2}})");
  EXPECT_EQ(prefix_mask(64)->to_json(), R"({"prefix":{"length":64}})");
  EXPECT_EQ(sink_mask(4)->to_json(), R"({"sink":{"tokens":4}})");
  EXPECT_EQ(global_mask({5, 0})->to_json(), R"({"global":{"tokens":[5,0]}})");
  EXPECT_EQ(documents_mask({{1, 2}, {1, 2}})->to_json(), R"({"documents":{"lengths":[1,2]}})");
  EXPECT_EQ(documents_mask({{1, 2}, {2, 1}}, sink_mask(1))->to_json(),
            R"({"documents":{"lengths":[1,2],"key_lengths":[2,1],"mask":{"sink":{"tokens":1}}}})");
  EXPECT_EQ(per_head_mask({dense_mask(), sink_mask(1)})->to_json(),
            R"({"per_head":[{},{"sink":{"tokens":1}}]})");
  EXPECT_EQ(all_of_mask({not_mask(any_of_mask({}))})->to_json(),
            R"({"all_of":[{"not":{"any_of":[]}}]})");
}

TEST(Mask, EqualHeadsShareABranch) {
  std::vector<Mask> masks;
  for (int head = 0; head < 32; ++head) masks.push_back(window_mask(head % 4, 0));
  ExpressionWriter writer;
  per_head_mask(masks)->expression(writer);
  ASSERT_EQ(writer.functions().size(), 1u);
  const std::string body = writer.functions()[0].second;
  EXPECT_EQ(std::count(body.begin(), body.end(), '?'), 3) << body;
}

Range random_range(Random& random, std::int64_t length) {
  const std::int64_t begin = uniform(random, 0, length - 1);
  return {begin, uniform(random, begin + 1, length)};
}

// All pairs of one slice as `allows` has them.
class Truth {
 public:
  Truth(const MaskNode& mask, const Slice& slice, const Extent& extent) : extent_(extent) {
    for (std::int64_t i = 0; i < extent.query_len; ++i) {
      for (std::int64_t j = 0; j < extent.key_len; ++j) {
        visible_.push_back(mask.allows({slice.batch, slice.head, i, j}, extent));
      }
    }
  }

  std::int64_t count(const Range& queries, const Range& keys) const {
    std::int64_t result = 0;
    for (std::int64_t i = queries.begin; i < queries.end; ++i) {
      for (std::int64_t j = keys.begin; j < keys.end; ++j) {
        result += visible_[static_cast<std::size_t>(i * extent_.key_len + j)];
      }
    }
    return result;
  }

  Coverage coverage(const Range& queries, const Range& keys) const {
    const std::int64_t visible = count(queries, keys);
    if (visible == 0) return Coverage::none;
    return visible == queries.size() * keys.size() ? Coverage::all : Coverage::some;
  }

  bool operator==(const Truth& other) const { return visible_ == other.visible_; }

 private:
  Extent extent_;
  std::vector<bool> visible_;
};

std::string describe(const MaskNode& mask, const Extent& extent) {
  return mask.to_json() + " over " + std::to_string(extent.query_len) + " x " +
         std::to_string(extent.key_len);
}

TEST(MaskProperty, ClassifyReachAndCountAgreeWithAllows) {
  Random random = test::make_random();
  std::int64_t uniform_rectangles = 0, called_some = 0, keys_hidden = 0, keys_cut = 0;
  for (int repeat = 0; repeat < 12000; ++repeat) {
    Extent extent{uniform(random, 0, 24), uniform(random, 0, 24)};
    if (repeat % 3 == 0) extent.key_len = extent.query_len;
    const std::int64_t batch = uniform(random, 1, 2), heads = uniform(random, 1, 4);
    const Mask mask = test::random_mask(random, extent, repeat % 4, batch, heads);
    SCOPED_TRACE(describe(*mask, extent));
    mask->validate(extent, batch, heads);
    const Truth first(*mask, {0, 0}, extent);
    for (std::int64_t index = 0; index < batch * heads; ++index) {
      const Slice slice{index / heads, index % heads};
      const Truth truth(*mask, slice, extent);
      const auto [varies_by_batch, varies_by_head] = mask->variation();
      if ((slice.batch == 0 || !varies_by_batch) && (slice.head == 0 || !varies_by_head)) {
        ASSERT_EQ(truth, first);
      }
      const Range all_queries{0, extent.query_len}, all_keys{0, extent.key_len};
      ASSERT_EQ(count_visible_pairs(*mask, slice, extent), truth.count(all_queries, all_keys));
      std::int64_t previous = 0;
      for (std::int64_t seam : mask->seams(slice, extent)) {
        ASSERT_LT(previous, seam);
        ASSERT_LT(seam, extent.query_len);
        previous = seam;
      }
      if (extent.query_len == 0) continue;

      for (int rectangle = 0; rectangle < 4; ++rectangle) {
        const Range queries = random_range(random, extent.query_len);
        const Range reach = mask->reach(slice, queries, extent);
        ASSERT_GE(reach.begin, 0);
        ASSERT_LE(reach.begin, reach.end);
        ASSERT_LE(reach.end, extent.key_len);
        ASSERT_EQ(truth.count(queries, {0, reach.begin}), 0);
        ASSERT_EQ(truth.count(queries, {reach.end, extent.key_len}), 0);
        Range tightest = all_keys;
        while (!tightest.empty() && truth.count(queries, {tightest.begin, tightest.begin + 1}) == 0)
          ++tightest.begin;
        while (!tightest.empty() && truth.count(queries, {tightest.end - 1, tightest.end}) == 0)
          --tightest.end;
        keys_hidden += extent.key_len - tightest.size();
        keys_cut += extent.key_len - reach.size();
        if (extent.key_len == 0) continue;
        const Range keys = random_range(random, extent.key_len);
        const Coverage coverage = mask->classify(slice, queries, keys, extent);
        const Coverage expected = truth.coverage(queries, keys);
        ASSERT_TRUE(coverage == expected || coverage == Coverage::some);
        uniform_rectangles += expected != Coverage::some;
        called_some += expected != Coverage::some && coverage == Coverage::some;
      }
    }
  }
  // `some` for everything and a reach of all keys would be safe, too, and worthless.
  EXPECT_LT(20 * called_some, uniform_rectangles);
  EXPECT_GT(10 * keys_cut, 8 * keys_hidden);
}

TEST(MaskProperty, MasksOfClosedFormClassifyExactly) {
  Random random = test::make_random();
  for (int repeat = 0; repeat < 20000; ++repeat) {
    const Extent extent{uniform(random, 1, 24), uniform(random, 1, 24)};
    const Mask mask = test::MaskMaker(random, random, 1, 1).closed_form(extent);
    SCOPED_TRACE(describe(*mask, extent));
    const Range queries = random_range(random, extent.query_len);
    const Range keys = random_range(random, extent.key_len);
    ASSERT_EQ(mask->classify({}, queries, keys, extent),
              Truth(*mask, {}, extent).coverage(queries, keys));
  }
}

// The views at lengths where 32-bit arithmetic or a sum with a huge number would overflow.
TEST(MaskProperty, LengthsUpToTheLimitDoNotOverflow) {
  Random random = test::make_random();
  const auto length = [&] {
    return uniform(random, 0, 1) ? uniform(random, kLong - 3, kLong) : uniform(random, 1, 3);
  };
  for (int repeat = 0; repeat < 5000; ++repeat) {
    Extent extent{length(), length()};
    if (repeat % 3 == 0) extent.key_len = extent.query_len;
    const std::int64_t heads = 3;
    const Mask mask = test::random_mask(random, extent, repeat % 4, 1, heads);
    SCOPED_TRACE(describe(*mask, extent));
    const Slice slice{0, uniform(random, 0, heads - 1)};
    const Range queries = random_range(random, extent.query_len);
    const Range keys = random_range(random, extent.key_len);
    const Range reach = mask->reach(slice, queries, extent);
    const Coverage coverage = mask->classify(slice, queries, keys, extent);
    for (int sample = 0; sample < 20; ++sample) {
      const std::int64_t query = uniform(random, queries.begin, queries.end - 1);
      // Beside the diagonal, where the boundary of a band is, or anywhere.
      std::int64_t key = uniform(random, keys.begin, keys.end - 1);
      if (sample % 2) {
        key = std::clamp(query + extent.key_len - extent.query_len + uniform(random, -2, 2),
                         keys.begin, keys.end - 1);
      }
      const bool allows = mask->allows({0, slice.head, query, key}, extent);
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
  }
}

TEST(CountVisiblePairs, OfLongMasksIsExact) {
  constexpr std::int64_t n = 100000;
  const auto count = [](const Mask& mask, const Extent& extent) {
    return count_visible_pairs(*mask, {}, extent);
  };
  EXPECT_EQ(count(dense_mask(), {kLong, kLong}), kLong * kLong);
  EXPECT_EQ(count(causal_mask(), {n, n}), n * (n + 1) / 2);
  EXPECT_EQ(count(causal_mask(), {n, 3 * n}), n * (n + 1) / 2 + n * 2 * n);
  EXPECT_EQ(count(causal_mask(), {3 * n, n}), n * (n + 1) / 2);
  EXPECT_EQ(count(window_mask(255, 0), {n, n}), 256 * n - 255 * 256 / 2);
  EXPECT_EQ(count(window_mask(0, 0), {n, n}), n);
  EXPECT_EQ(count(any_of_mask({sink_mask(4), window_mask(255, 0)}), {n, n}),
            256 * n - 255 * 256 / 2 + 4 * (n - 256) - 6);
  EXPECT_EQ(count(prefix_mask(7), {n, n}), 7 * n);
  EXPECT_EQ(count(global_mask({5, n - 1}), {n, n}), 4 * n - 4);
  const std::vector<std::int64_t> lengths(1000, 100);
  EXPECT_EQ(count(documents_mask({lengths, lengths}, causal_mask()), {n, n}), 1000 * 5050);
  constexpr std::int64_t tokens = 30 * 48 * 80;
  EXPECT_EQ(count(neighborhood_mask({{30, 48, 80}, {18, 24, 24}, {1, 8, 8}, {}, {}, 9}),
                  {tokens, tokens + 9}),
            tokens * (18 * 24 * 24 + 9));
  EXPECT_EQ(count(neighborhood_mask({{n}, {256}, {}, {}, {true}}), {n, n}),
            256 * n - 255 * 256 / 2);
}

TEST(CountVisiblePairs, GivesUpBeyondTheBudget) {
  constexpr std::int64_t n = 1000;  // a dilated window has no larger uniform rectangle than a pair
  const Mask mask = dilated_window_mask({}, {}, 2);
  EXPECT_EQ(count_visible_pairs(*mask, {}, {n, n}), n * n / 2);
  EXPECT_EQ(count_visible_pairs(*mask, {}, {n, n}, n), std::nullopt);
  const Mask hole = not_mask(neighborhood_mask({{n}, {2}, {}, {500}, {}}));
  EXPECT_EQ(count_visible_pairs(*hole, {}, {n, n}), n * n - 2 * n);
}

TEST(ExpressionWriter, PassesNumbersAsArgumentsThenInTables) {
  ExpressionWriter writer;
  EXPECT_EQ(writer.integer(7), "HOOK_VALUE(0)");
  expect_error(ErrorCategory::unsupported, {"2147483648", "32 bits"},
               [&] { writer.integer(std::int64_t{1} << 31); });
  expect_error(ErrorCategory::unsupported, {"-2147483649", "32 bits"},
               [&] { writer.integer(-(std::int64_t{1} << 31) - 1); });
  const std::vector<std::int32_t> table = {3, 1, 4};
  EXPECT_EQ(writer.table(table), "(hooks->tables + HOOK_VALUE(1))");
  for (int i = 2; i < 24; ++i) writer.integer(i);
  EXPECT_EQ(writer.values().size(), 24u);
  EXPECT_EQ(writer.integer(99), "hooks->tables[3]");
  EXPECT_EQ(writer.table(table), "(hooks->tables + hooks->tables[4])");
  EXPECT_EQ(writer.tables(), (std::vector<std::int32_t>{3, 1, 4, 99, 5, 3, 1, 4}));
}

TEST(ExpressionWriter, DefinesEqualFunctionsOnce) {
  ExpressionWriter writer;
  EXPECT_EQ(writer.function("int", "  return 1;"), "hook_function0");
  EXPECT_EQ(writer.function("float", "  return 1;"), "hook_function1");
  EXPECT_EQ(writer.function("int", "  return 1;"), "hook_function0");
  EXPECT_EQ(writer.functions().size(), 2u);
}

}  // namespace
}  // namespace clattn
