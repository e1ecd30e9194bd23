// What the host says of users' expressions over ranges, by interval arithmetic: bounds, classes,
// reach, seams and bands, each against all pairs.
#include <clattn/mask.hpp>
#include <climits>
#include <cmath>

#include "host/expressions/formula.hpp"
#include "tests/host/expression_support.hpp"

namespace clattn {
namespace {

using expressions::Formula;
using expressions::Interval;
using expressions::Variable;
using test::make_buffer;
using test::Names;
using test::Random;
using test::uniform;

// Random texts over integers and floats, with everything that the language has.
class Writer {
 public:
  explicit Writer(Random& random) : random_(random) {}

  std::string integer(int depth) {
    if (depth == 0) {
      switch (uniform(random_, 0, 7)) {
        case 0:
        case 1:
          return "query";
        case 2:
        case 3:
          return "key";
        case 4:
          return pick({"head", "batch", "query_len", "key_len", "whole", "INT_MAX", "INT_MIN"});
        default:
          return std::to_string(uniform(random_, 0, 9));
      }
    }
    const int below = depth - 1;
    switch (uniform(random_, 0, 15)) {
      case 0:
        return pick({"-", "~", "!", "+", "(int)", "(uint)", "(uchar)"}) + "(" + integer(below) +
               ")";
      case 1:
        return "(int)(" + real(below) + ")";
      case 2:
        return "(" + real(below) + pick({" < ", " <= ", " > ", " >= ", " == ", " != "}) +
               real(below) + ")";
      case 3:
        return "(" + integer(below) + " ? " + integer(below) + " : " + integer(below) + ")";
      case 4:
        return pick({"min", "max"}) + "((int)" + braced(below) + ", (int)" + braced(below) + ")";
      case 5:
        return "clamp((int)" + braced(below) + ", -3, " + std::to_string(uniform(random_, 0, 9)) +
               ")";
      case 6:
        return "abs(" + integer(below) + ")";
      case 7:
        return pick({"numbers[", "bytes["}) + integer(below) + "]";
      case 8:
        return "(" + integer(below) + pick({" % ", " / ", " >> ", " << ", " & "}) +
               std::to_string(uniform(random_, 1, 7)) + ")";
      default:
        return "(" + integer(below) +
               pick({" + ", " - ", " - ", " * ", " / ", " % ", " << ", " >> ", " < ", " <= ", " > ",
                     " >= ", " == ", " != ", " & ", " ^ ", " | ", " && ", " || "}) +
               integer(below) + ")";
    }
  }

  std::string real(int depth) {
    if (depth == 0) {
      return pick({"part", "0.5f", "2.0f", "0.0f", "(float)key", "(float)query", "1e30f"});
    }
    const int below = depth - 1;
    switch (uniform(random_, 0, 9)) {
      case 0:
        return pick({"fabs", "floor", "ceil", "round", "sqrt", "exp", "exp2", "log", "log2", "sin",
                     "cos", "tanh"}) +
               "(" + real(below) + ")";
      case 1:
        return pick({"fmin", "fmax", "pow", "fmod", "min", "max"}) + "(" + real(below) + ", " +
               real(below) + ")";
      case 2:
        return "(" + integer(below) + " ? " + real(below) + " : " + real(below) + ")";
      case 3:
        return "reals[" + integer(below) + "]";
      case 4:
        return "(float)(" + integer(below) + ")";
      case 5:
        return "-(" + real(below) + ")";
      default:
        return "(" + real(below) + pick({" + ", " - ", " * ", " / "}) + real(below) + ")";
    }
  }

 private:
  std::string pick(std::vector<std::string> words) {
    return words[static_cast<std::size_t>(uniform(random_, 0, std::ssize(words) - 1))];
  }
  std::string braced(int depth) { return "(" + integer(depth) + ")"; }

  Random& random_;
};

TEST(ExpressionRange, IntervalsHoldEveryValue) {
  Random random = test::make_random();
  Writer writer(random);
  std::int64_t values = 0, bounded = 0, decided = 0;
  for (int repeat = 0; repeat < 6000; ++repeat) {
    const Names names(random);
    const int depth = static_cast<int>(uniform(random, 1, 4));
    const std::string text = repeat % 3 ? writer.integer(depth) : writer.real(depth);
    const Formula formula(names.expression(text), false);
    ASSERT_FALSE(formula.opaque()) << text;
    const Extent extent{uniform(random, 1, 40), uniform(random, 1, 40)};
    const Point slice{uniform(random, 0, 2), uniform(random, 0, 2), 0, 0};
    const auto range = [&](std::int64_t length) {
      const std::int64_t begin = uniform(random, 0, length - 1);
      return Range{begin, std::min(length, begin + uniform(random, 1, 9))};
    };
    const Range queries = range(extent.query_len), keys = range(extent.key_len);
    const auto interval = [](const Range& r) {
      return Interval{double(r.begin), double(r.end - 1)};
    };
    const auto one = [](std::int64_t value) { return Interval{double(value), double(value)}; };
    const Interval bounds =
        formula.bounds({one(slice.batch), one(slice.head), interval(queries), interval(keys),
                        one(extent.query_len), one(extent.key_len), Interval{}});
    ASSERT_LE(bounds.low, bounds.high) << text;
    bounded += std::isfinite(bounds.low) && bounds.high - bounds.low < 1e6;
    decided += !bounds.may_be_true() || !bounds.may_be_false();
    for (std::int64_t query = queries.begin; query < queries.end; ++query) {
      for (std::int64_t key = keys.begin; key < keys.end; ++key) {
        double value = 0;
        try {
          value = formula.evaluate({slice.batch, slice.head, query, key}, extent, 0, "");
        } catch (const Error&) {
          continue;  // a division by 0 or an element that does not exist
        }
        ++values;
        ASSERT_TRUE(std::isnan(value) ? bounds.nan : value >= bounds.low && value <= bounds.high)
            << text << " at query " << query << " of [" << queries.begin << ", " << queries.end
            << "), key " << key << " of [" << keys.begin << ", " << keys.end << "): " << value
            << " outside [" << bounds.low << ", " << bounds.high << "], NaN " << bounds.nan;
      }
    }
  }
  EXPECT_GT(values, 40000);
  EXPECT_GT(bounded, 3000);
  EXPECT_GT(decided, 1500);
}

TEST(ExpressionRange, ViewsAgree) {
  Random random = test::make_random();
  Writer writer(random);
  std::int64_t none = 0, all = 0, narrowed = 0;
  for (int repeat = 0; repeat < 1500; ++repeat) {
    const Names names(random);
    const std::string text = writer.integer(static_cast<int>(uniform(random, 2, 4)));
    SCOPED_TRACE(text);
    const Mask mask = expression_mask(names.expression(text));
    const Extent extent{uniform(random, 1, 20), uniform(random, 1, 40)};
    const Slice slice{uniform(random, 0, 2), uniform(random, 0, 2)};
    const auto range = [&](std::int64_t length) {
      const std::int64_t begin = uniform(random, 0, length);
      return Range{begin, uniform(random, begin, std::min(length, begin + 8))};
    };
    const Range queries = range(extent.query_len), keys = range(extent.key_len);
    const Coverage coverage = mask->classify(slice, queries, keys, extent);
    const Range reach = mask->reach(slice, queries, extent);
    ASSERT_TRUE(reach.begin >= 0 && reach.begin <= reach.end && reach.end <= extent.key_len);
    none += coverage == Coverage::none && !queries.empty() && !keys.empty();
    all += coverage == Coverage::all;
    narrowed += !queries.empty() && reach.size() < extent.key_len;
    for (std::int64_t query = queries.begin; query < queries.end; ++query) {
      for (std::int64_t key = 0; key < extent.key_len; ++key) {
        bool visible = false;
        try {
          visible = mask->allows({slice.batch, slice.head, query, key}, extent);
        } catch (const Error&) {
          continue;
        }
        ASSERT_TRUE(!visible || (key >= reach.begin && key < reach.end)) << query << ", " << key;
        if (key < keys.begin || key >= keys.end || coverage == Coverage::some) continue;
        ASSERT_EQ(visible, coverage == Coverage::all) << query << ", " << key;
      }
    }
  }
  EXPECT_GT(none, 50);
  EXPECT_GT(all, 50);
  EXPECT_GT(narrowed, 50);
}

// Where one comparison decides, classify must be exact: `some` only where there is some.
TEST(ExpressionRange, ClassifiesCommonPatternsExactly) {
  Random random = test::make_random();
  std::vector<std::int32_t> documents, firsts;
  for (std::int32_t document = 0; documents.size() < 400; ++document) {
    const auto first = static_cast<std::int32_t>(documents.size());
    for (std::int64_t i = uniform(random, 1, 40); i > 0; --i) {
      documents.push_back(document);
      firsts.push_back(first);
    }
  }
  const Expression given{"",
                         {make_buffer("documents", ElementType::i32, documents),
                          make_buffer("firsts", ElementType::i32, firsts)},
                         {{"window", 37}, {"block", 16}, {"prefix", 50}}};
  const char* texts[] = {
      "key <= query + key_len - query_len",
      "query - key >= 0",
      "key - query - (key_len - query_len) >= -window && key - query <= key_len - query_len",
      "abs(key - query) <= window",
      "!(key > query)",
      "key / block == query / block",
      "key / block <= query / block",
      "(key >> 4) == (query >> 4)",
      "(key & ~15) == (query & ~15)",
      "documents[key] == documents[query]",
      "key >= firsts[query]",
      "head == 0 ? key <= query : key < prefix",
      "min(query, key) < prefix",
      "max(query, key) >= 3 * window",
      "(float)key * 0.5f <= (float)query",
      "key * 3 - query * 2 > window",
      "key < prefix && query < prefix",
  };
  for (const char* text : texts) {
    SCOPED_TRACE(text);
    Expression expression = given;
    expression.text = text;
    const Mask mask = expression_mask(expression);
    int seen[3] = {};
    for (int repeat = 0; repeat < 300; ++repeat) {
      const Extent extent{uniform(random, 1, 400), uniform(random, 1, 400)};
      const Slice slice{0, uniform(random, 0, 1)};
      // Blocks, as schedules ask for: a range of another shape may hide what intervals can't see.
      const auto range = [&](std::int64_t length) {
        const std::int64_t size = std::int64_t{1} << uniform(random, 0, 4);
        const std::int64_t begin = uniform(random, 0, (length - 1) / size) * size;
        return Range{begin, std::min(length, begin + size)};
      };
      const Range queries = range(extent.query_len), keys = range(extent.key_len);
      std::int64_t visible = 0;
      for (std::int64_t query = queries.begin; query < queries.end; ++query) {
        for (std::int64_t key = keys.begin; key < keys.end; ++key) {
          visible += mask->allows({0, slice.head, query, key}, extent);
        }
      }
      const Coverage expected = visible == 0                              ? Coverage::none
                                : visible == queries.size() * keys.size() ? Coverage::all
                                                                          : Coverage::some;
      ++seen[static_cast<int>(expected)];
      ASSERT_EQ(mask->classify(slice, queries, keys, extent), expected)
          << "queries [" << queries.begin << ", " << queries.end << "), keys [" << keys.begin
          << ", " << keys.end << ") of " << extent.query_len << " x " << extent.key_len;
    }
    EXPECT_GT(seen[0], 0);
    EXPECT_GT(seen[2], 0);
  }
}

TEST(ExpressionRange, ReachIsAsNarrowAsTheMaskAndCheap) {
  const Extent extent{1 << 30, 1 << 30};
  Expression expression{
      "key - query <= right && key - query >= -left", {}, {{"left", 1000}, {"right", 5}}};
  const Mask mask = expression_mask(expression);
  const Mask window = window_mask(1000, 5);
  Random random = test::make_random();
  for (int repeat = 0; repeat < 200; ++repeat) {
    const std::int64_t begin = uniform(random, 0, extent.query_len - 128);
    const Range queries{begin, begin + uniform(random, 1, 128)};
    ASSERT_EQ(mask->reach({}, queries, extent), window->reach({}, queries, extent)) << begin;
  }
  // Of no use to intervals, but answered all the same.
  const Mask vague = expression_mask({"((key ^ query) * 2654435 >> 7 & 63) == 5", {}, {}});
  EXPECT_EQ(vague->reach({}, {100, 228}, extent), (Range{0, extent.key_len}));
  EXPECT_EQ(expression_mask({"0", {}, {}})->reach({}, {0, 9}, extent), Range{});
}

TEST(ExpressionRange, BoundsLongRangesOfBuffers) {
  Random random = test::make_random();
  for (std::int64_t count : {1, 2, 15, 16, 17, 255, 256, 257, 5000}) {
    std::vector<std::int32_t> values;
    for (std::int64_t i = 0; i < count; ++i) {
      values.push_back(static_cast<std::int32_t>(uniform(random, -1000000, 1000000)));
    }
    const expressions::BufferBounds bounds(make_buffer("x", ElementType::i32, values));
    for (int repeat = 0; repeat < 200; ++repeat) {
      const std::int64_t begin = uniform(random, 0, count - 1);
      const std::int64_t end = uniform(random, begin + 1, count);
      const auto [low, high] = std::minmax_element(values.begin() + begin, values.begin() + end);
      const Interval found = bounds.over(begin, end);
      ASSERT_EQ(found.low, *low);
      ASSERT_EQ(found.high, *high);
      ASSERT_FALSE(found.nan);
    }
  }
  const expressions::BufferBounds bounds(make_buffer<float>(
      "x", ElementType::f32, {1, 2, std::numeric_limits<float>::quiet_NaN(), 4}));
  EXPECT_FALSE(bounds.over(0, 2).nan);
  EXPECT_TRUE(bounds.over(1, 3).nan);
}

// --- What kernels and files get

TEST(ExpressionRange, SeamsAreWhereTheQueryStepsIntoAnotherBlock) {
  using Seams = std::vector<std::int64_t>;
  const auto seams = [](const Expression& expression, std::int64_t query_len) {
    return expression_mask(expression)->seams({}, {query_len, 64});
  };
  EXPECT_EQ(seams({"query / 40 == key / 16", {}, {}}, 130), (Seams{40, 80, 120}));
  EXPECT_EQ(seams({"query % page < 3 || query >> 5 == key", {}, {{"page", 48}}}, 100),
            (Seams{32, 48, 64, 96}));
  EXPECT_EQ(seams({"query / 3 == key || key / 32 == 0 || query / later[0] == 0",
                   {std::make_shared<const Buffer>(Buffer{"later", ElementType::i32, 1, {}})},
                   {}},
                  100),
            Seams());
  std::vector<std::int32_t> documents(64);
  for (int i = 0; i < 64; ++i) documents[i] = i < 20 ? 0 : i < 50 ? 7 : 3;
  EXPECT_EQ(
      seams({"ids[query] == ids[key]", {make_buffer("ids", ElementType::i32, documents)}, {}}, 64),
      (Seams{20, 50}));
}

TEST(ExpressionRange, IsABandWhereTheRestIsSettled) {
  constexpr Extent kExtent{512, 640};
  const auto band = [&](const std::string& text, const Range& queries, const Range& keys) {
    const Mask mask = expression_mask({text, {}, {{"page", 64}}});
    const std::optional<Band> result = mask->band({}, queries, keys, kExtent);
    for (std::int64_t i = queries.begin; result && i < queries.end; ++i) {
      for (std::int64_t j = keys.begin; j < keys.end; ++j) {
        EXPECT_EQ(mask->allows({0, 0, i, j}, kExtent),
                  j - i >= result->first && j - i <= result->last)
            << text << " " << i << ", " << j;
      }
    }
    return result.has_value();
  };
  EXPECT_TRUE(band("key <= query + key_len - query_len", {0, 64}, {100, 200}));
  EXPECT_TRUE(band("query - key < 7 && 3 > key - query", {0, 64}, {0, 64}));
  EXPECT_TRUE(band("key + 5 == query", {0, 64}, {0, 64}));
  const std::string pages = "key <= query && (query / page - key / page) % 2 == 0";
  EXPECT_TRUE(band(pages, {64, 128}, {64, 128}));
  EXPECT_FALSE(band(pages, {60, 128}, {60, 128}));
  EXPECT_TRUE(band("key < 64 || query > key", {64, 128}, {64, 128}));
  EXPECT_FALSE(band("key < 64 || query > key", {64, 128}, {60, 128}));
  EXPECT_TRUE(band("query < 64 ? key > query : key <= query", {64, 128}, {64, 128}));
  EXPECT_FALSE(band("2 * key <= query", {0, 64}, {0, 64}));
  EXPECT_FALSE(band("key + 2147483647 <= query", {0, 64}, {0, 64}));
  EXPECT_FALSE(band("key <= query + 0.5f", {0, 64}, {0, 64}));
}

}  // namespace
}  // namespace clattn
