// The reference itself: hand-computed cases, identities of attention, element conversions over
// every bit pattern, and the comparison that decides over kernels.
#include <algorithm>
#include <atomic>
#include <clattn/reference.hpp>
#include <cmath>

#include "tests/support.hpp"

namespace clattn {
namespace {

using test::expect_error;
using test::Random;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
const double kNan = std::numeric_limits<double>::quiet_NaN();

struct Inputs {
  std::vector<std::byte> query, key, value;
  HostTensors view() const { return {query, key, value}; }
};

std::vector<std::byte> stored(DataType type, const std::vector<double>& values) {
  std::vector<std::byte> result(values.size() * size_of(type));
  for (std::size_t i = 0; i < values.size(); ++i) {
    store_element(type, values[i], result.data(), static_cast<std::int64_t>(i));
  }
  return result;
}

Problem make_problem(std::int64_t query_len, std::int64_t key_len, std::int64_t dim = 8) {
  Problem problem;
  problem.query_len = query_len;
  problem.key_len = key_len;
  problem.head_dim = problem.value_dim = dim;
  problem.lse = true;
  return problem;
}

Inputs random_inputs(Random& random, const Problem& problem) {
  const auto make = [&](Role role) {
    return test::random_elements(random, problem.data_type, tensor_shape(problem, role).span());
  };
  return {make(Role::query), make(Role::key), make(Role::value)};
}

// One dimension of weight, the others zero: rows of `dim` with `values` in the first column.
std::vector<std::byte> column(const std::vector<double>& values, std::int64_t dim = 8) {
  std::vector<double> rows(values.size() * dim);
  for (std::size_t i = 0; i < values.size(); ++i) rows[i * dim] = values[i];
  return stored(DataType::f32, rows);
}

TEST(Reference, HandComputed) {
  Problem problem = make_problem(1, 2);
  problem.scale = 0.5f;
  const float ln3 = std::log(3.0f);  // scores ln 3 and 0, weights 3/4 and 1/4
  const Inputs inputs = {column({2.0}), column({ln3, 0.0}), column({1.0, 5.0})};
  const ReferenceResult result = reference_attention(problem, inputs.view());
  ASSERT_EQ(result.output.size(), 8u);
  EXPECT_NEAR(result.output[0], 2.0, 1e-7);
  for (int d = 1; d < 8; ++d) EXPECT_EQ(result.output[d], 0.0);
  EXPECT_NEAR(result.lse.at(0), std::log(4.0), 1e-7);
}

TEST(Reference, DefaultScaleIsTheRootOfTheHeadDimension) {
  const Problem problem = make_problem(1, 2, 16);
  const Inputs inputs = {column({4.0}, 16), column({1.0, 0.0}, 16), column({1.0, 0.0}, 16)};
  const double e = std::exp(1.0);  // 4 * 1 / sqrt(16) = 1
  EXPECT_NEAR(reference_attention(problem, inputs.view()).output[0], e / (e + 1.0), 1e-12);
}

TEST(Reference, ZeroQueriesWeighAllKeysAlike) {
  Random random = test::make_random();
  const Problem problem = make_problem(3, 7);
  Inputs inputs = random_inputs(random, problem);
  std::fill(inputs.query.begin(), inputs.query.end(), std::byte{0});
  const ReferenceResult result = reference_attention(problem, inputs.view());
  for (int d = 0; d < 8; ++d) {
    double mean = 0;
    for (int j = 0; j < 7; ++j)
      mean += load_element(DataType::f32, inputs.value.data(), j * 8 + d) / 7;
    for (int i = 0; i < 3; ++i) EXPECT_NEAR(result.output[i * 8 + d], mean, 1e-14);
  }
  for (double lse : result.lse) EXPECT_NEAR(lse, std::log(7.0), 1e-14);
}

TEST(Reference, OneKeyGivesItsValue) {
  Random random = test::make_random();
  for (DataType type : {DataType::f32, DataType::f16, DataType::bf16}) {
    Problem problem = make_problem(5, 1);
    problem.data_type = type;
    const Inputs inputs = random_inputs(random, problem);
    const ReferenceResult result = reference_attention(problem, inputs.view());
    for (int i = 0; i < 5 * 8; ++i) {
      EXPECT_EQ(result.output[i], load_element(type, inputs.value.data(), i % 8));
    }
  }
}

TEST(Reference, CausalWithOneQuerySeesEverything) {
  Random random = test::make_random();
  Problem problem = make_problem(1, 9);
  const Inputs inputs = random_inputs(random, problem);
  const ReferenceResult dense = reference_attention(problem, inputs.view());
  problem.mask = causal_mask();
  const ReferenceResult causal = reference_attention(problem, inputs.view());
  EXPECT_EQ(causal.output, dense.output);
  EXPECT_EQ(causal.lse, dense.lse);
  problem.mask = causal_mask(CausalAlign::top_left);  // the first key only
  const ReferenceResult first = reference_attention(problem, inputs.view());
  for (int d = 0; d < 8; ++d) {
    EXPECT_EQ(first.output[d], load_element(DataType::f32, inputs.value.data(), d));
  }
}

TEST(Reference, OrderOfKeysDoesNotMatter) {
  Random random = test::make_random();
  const Problem problem = make_problem(4, 11);
  const Inputs inputs = random_inputs(random, problem);
  Inputs turned = inputs;
  constexpr std::size_t kRow = 8 * sizeof(float);
  std::rotate(turned.key.begin(), turned.key.begin() + 3 * kRow, turned.key.end());
  std::rotate(turned.value.begin(), turned.value.begin() + 3 * kRow, turned.value.end());
  const ReferenceResult a = reference_attention(problem, inputs.view());
  const ReferenceResult b = reference_attention(problem, turned.view());
  for (std::size_t i = 0; i < a.output.size(); ++i) EXPECT_NEAR(a.output[i], b.output[i], 1e-13);
  for (std::size_t i = 0; i < a.lse.size(); ++i) EXPECT_NEAR(a.lse[i], b.lse[i], 1e-13);
}

TEST(Reference, LseIsTheLogarithmOfTheSumOfExponentials) {
  Random random = test::make_random();
  Problem problem = make_problem(6, 10);
  problem.scale = -0.75f;
  problem.mask = window_mask(3, 1);
  const Inputs inputs = random_inputs(random, problem);
  const ReferenceResult result = reference_attention(problem, inputs.view());
  for (int i = 0; i < 6; ++i) {
    double sum = 0;  // small scores: no maximum is needed
    for (int j = std::max(0, i + 4 - 3); j <= std::min(9, i + 4 + 1); ++j) {
      double score = 0;
      for (int d = 0; d < 8; ++d) {
        score += load_element(DataType::f32, inputs.query.data(), i * 8 + d) *
                 load_element(DataType::f32, inputs.key.data(), j * 8 + d);
      }
      sum += std::exp(-0.75 * score);
    }
    EXPECT_NEAR(result.lse[i], std::log(sum), 1e-12);
  }
}

TEST(Reference, HalvesMergeByTheirLse) {
  Random random = test::make_random();
  Problem problem = make_problem(4, 12);
  const Inputs inputs = random_inputs(random, problem);
  const ReferenceResult whole = reference_attention(problem, inputs.view());
  problem.key_len = 6;
  constexpr std::size_t kHalf = 6 * 8 * sizeof(float);
  const HostTensors all = inputs.view();
  const ReferenceResult a = reference_attention(problem, all);
  const ReferenceResult b =
      reference_attention(problem, {all.query, all.key.subspan(kHalf), all.value.subspan(kHalf)});
  for (int i = 0; i < 4; ++i) {
    const double total = std::log(std::exp(a.lse[i]) + std::exp(b.lse[i]));
    EXPECT_NEAR(whole.lse[i], total, 1e-13);
    for (int d = 0; d < 8; ++d) {
      EXPECT_NEAR(whole.output[i * 8 + d],
                  a.output[i * 8 + d] * std::exp(a.lse[i] - total) +
                      b.output[i * 8 + d] * std::exp(b.lse[i] - total),
                  1e-13);
    }
  }
}

TEST(Reference, GroupedHeadsReadTheirKeyHead) {
  Random random = test::make_random();
  Problem grouped = make_problem(3, 5);
  grouped.batch = 2;
  grouped.heads = 6;
  grouped.kv_heads = 2;
  const Inputs inputs = random_inputs(random, grouped);
  const ReferenceResult result = reference_attention(grouped, inputs.view());
  const Problem single = make_problem(3, 5);
  const HostTensors all = inputs.view();
  for (int b = 0; b < 2; ++b) {
    for (int h = 0; h < 6; ++h) {
      const std::size_t query_at = (b * 6 + h) * 3 * 8 * sizeof(float);
      const std::size_t key_at = (b * 2 + h / 3) * 5 * 8 * sizeof(float);
      const ReferenceResult alone = reference_attention(
          single,
          {all.query.subspan(query_at), all.key.subspan(key_at), all.value.subspan(key_at)});
      for (int i = 0; i < 3 * 8; ++i) {
        EXPECT_EQ(result.output[(b * 6 + h) * 3 * 8 + i], alone.output[i]);
      }
    }
  }
}

// Tensors whose tokens are put in order give the same rows, in that order; the extra keys stay.
TEST(Reference, TensorsInATokenOrderGiveTheSameRows) {
  Random random = test::make_random();
  for (const TokenOrder& order :
       {TokenOrder{{13}, {2}, {3}}, TokenOrder{{5, 7}, {2, 4}, {}},
        TokenOrder{{5, 7}, {2, 2}, {1, 3}}, TokenOrder{{3, 4, 5}, {2, 2, 2}, {1, 2, 1}}}) {
    const std::vector<std::int32_t> tokens = tokens_in_order(order);
    const auto count = static_cast<std::int64_t>(tokens.size());
    Problem problem = make_problem(count, count + 3);
    problem.heads = 2;
    problem.mask = neighborhood_mask(
        {order.grid, std::vector<std::int64_t>(order.grid.size(), 2), {}, order.dilation, {}, 3});
    problem.scores = {alibi_score({0.5f, 0.25f})};
    const Inputs inputs = random_inputs(random, problem);
    const ReferenceResult plain = reference_attention(problem, inputs.view());

    Inputs ordered = inputs;
    const std::pair<Role, std::vector<std::byte> Inputs::*> tensors[] = {
        {Role::query, &Inputs::query}, {Role::key, &Inputs::key}, {Role::value, &Inputs::value}};
    for (const auto& [role, tensor] : tensors) {
      const TensorShape shape = tensor_shape(problem, role);
      const std::size_t row = shape.dim * size_of(problem.data_type);
      for (std::int64_t head = 0; head < shape.heads; ++head) {
        for (std::int64_t position = 0; position < count; ++position) {
          const auto* from =
              (inputs.*tensor).data() + (head * shape.length + tokens[position]) * row;
          std::copy_n(from, row, (ordered.*tensor).data() + (head * shape.length + position) * row);
        }
      }
    }
    problem.token_order = order;
    const ReferenceResult result = reference_attention(problem, ordered.view());
    const std::int64_t last[] = {count - 1};
    const ReferenceResult one = reference_attention(
        problem, ordered.view(), ReferencePrecision::exact, ReferenceProgress(), last);
    for (std::int64_t head = 0; head < 2; ++head) {
      for (std::int64_t position = 0; position < count; ++position) {
        const std::int64_t row = head * count + position;
        const std::int64_t expected = head * count + tokens[position];
        EXPECT_NEAR(result.lse[row], plain.lse[expected], 1e-12);
        for (std::int64_t d = 0; d < 8; ++d) {
          EXPECT_NEAR(result.output[row * 8 + d], plain.output[expected * 8 + d], 1e-12);
        }
      }
      EXPECT_EQ(one.lse[head], result.lse[head * count + count - 1]);
    }
  }
}

TEST(Reference, RowsThatSeeNothingAreZeroWithLseMinusInfinity) {
  Random random = test::make_random();
  Problem problem = make_problem(4, 2);
  problem.mask = causal_mask();
  const ReferenceResult result =
      reference_attention(problem, random_inputs(random, problem).view());
  for (int i = 0; i < 4 * 8; ++i) EXPECT_EQ(result.output[i] == 0.0, i < 2 * 8) << i;
  for (int i = 0; i < 4; ++i) EXPECT_EQ(result.lse[i] == -kInfinity, i < 2);

  problem = make_problem(3, 0);
  const ReferenceResult empty = reference_attention(problem, random_inputs(random, problem).view());
  EXPECT_EQ(empty.output, std::vector<double>(24, 0.0));
  EXPECT_EQ(empty.lse, std::vector<double>(3, -kInfinity));
}

TEST(Reference, HiddenNanStaysHiddenAndVisibleNanShows) {
  Problem problem = make_problem(2, 2);
  problem.mask = causal_mask();
  const Inputs inputs = {column({1.0, 1.0}), column({0.0, kNan}), column({1.0, kNan})};
  const ReferenceResult result = reference_attention(problem, inputs.view());
  EXPECT_EQ(result.output[0], 1.0);
  EXPECT_EQ(result.lse[0], 0.0);
  EXPECT_TRUE(std::isnan(result.output[8]));
  EXPECT_TRUE(std::isnan(result.lse[1]));
}

TEST(Reference, ScoresOfMinusInfinityWeighNothing) {
  const Problem problem = make_problem(1, 2);
  const Inputs some = {column({1.0}), column({-kInfinity, 0.0}), column({7.0, 3.0})};
  EXPECT_EQ(reference_attention(problem, some.view()).output[0], 3.0);
  const Inputs all = {column({1.0}), column({-kInfinity, -kInfinity}), column({7.0, 3.0})};
  EXPECT_EQ(reference_attention(problem, all.view()).output[0], 0.0);
  EXPECT_EQ(reference_attention(problem, all.view()).lse[0], -kInfinity);
}

TEST(Reference, PlainEvaluationIsNearTheExactOne) {
  Random random = test::make_random();
  for (const auto& [type, tolerance] :
       {std::pair(DataType::f32, 1e-5), {DataType::f16, 5e-3}, {DataType::bf16, 4e-2}}) {
    Problem problem = make_problem(20, 30, 16);
    problem.data_type = type;
    const Inputs inputs = random_inputs(random, problem);
    const auto exact = reference_attention(problem, inputs.view());
    const auto plain = reference_attention(problem, inputs.view(), ReferencePrecision::storage);
    double worst = 0;
    for (std::size_t i = 0; i < exact.output.size(); ++i) {
      worst = std::max(worst, std::abs(exact.output[i] - plain.output[i]));
    }
    EXPECT_GT(worst, 0) << to_string(type);
    EXPECT_LT(worst, tolerance) << to_string(type);
  }
}

TEST(Reference, ShortTensorsAreRefusedWithBothSizes) {
  Random random = test::make_random();
  const Problem problem = make_problem(4, 6);
  Inputs inputs = random_inputs(random, problem);
  inputs.key.pop_back();
  expect_error(ErrorCategory::invalid_argument, {"key", "191", "192"},
               [&] { reference_attention(problem, inputs.view()); });
}

TEST(Reference, ProgressCountsRowsAndCanStop) {
  Random random = test::make_random();
  Problem problem = make_problem(600, 4);
  problem.heads = 3;
  problem.kv_heads = 1;
  const Inputs inputs = random_inputs(random, problem);
  std::int64_t last = 0;
  int calls = 0;
  reference_attention(problem, inputs.view(), ReferencePrecision::exact,
                      [&](std::int64_t done, std::int64_t total) {
                        EXPECT_GT(done, last);
                        EXPECT_EQ(total, 1800);
                        last = done;
                        ++calls;
                        return true;
                      });
  EXPECT_EQ(last, 1800);
  EXPECT_GT(calls, 3);
  calls = 0;
  reference_attention(problem, inputs.view(), ReferencePrecision::exact,
                      [&](std::int64_t, std::int64_t) { return ++calls < 2; });
  EXPECT_LT(calls, 9) << "it was not stopped";
}

// Whatever the callback throws must reach the caller, from whichever thread.
TEST(Reference, ExceptionsOfTheCallbackReachTheCaller) {
  Random random = test::make_random();
  Problem problem = make_problem(600, 4);
  problem.heads = 8;
  problem.kv_heads = 1;
  const Inputs inputs = random_inputs(random, problem);
  EXPECT_THROW(reference_attention(
                   problem, inputs.view(), ReferencePrecision::exact,
                   [](std::int64_t, std::int64_t) -> bool { throw std::runtime_error("stop"); }),
               std::runtime_error);
}

// An independent decoding of IEEE formats with `exponent_bits` and `mantissa_bits`.
double decode(std::uint32_t bits, int exponent_bits, int mantissa_bits) {
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const std::uint32_t mantissa = bits & ((1u << mantissa_bits) - 1);
  const int exponent = static_cast<int>(bits >> mantissa_bits) & ((1 << exponent_bits) - 1);
  const double sign = bits >> (exponent_bits + mantissa_bits) ? -1.0 : 1.0;
  if (exponent == (1 << exponent_bits) - 1) return mantissa ? kNan : sign * kInfinity;
  if (exponent == 0) return sign * std::ldexp(double(mantissa), 1 - bias - mantissa_bits);
  return sign *
         std::ldexp(double(mantissa | (1u << mantissa_bits)), exponent - bias - mantissa_bits);
}

std::uint16_t store_16(DataType type, double value) {
  std::byte bytes[2];
  store_element(type, value, bytes, 0);
  std::uint16_t bits;
  std::memcpy(&bits, bytes, 2);
  return bits;
}

double load_16(DataType type, std::uint16_t bits) {
  std::byte bytes[2];
  std::memcpy(bytes, &bits, 2);
  return load_element(type, bytes, 0);
}

struct Format {
  DataType type;
  int exponent_bits;
  int mantissa_bits;
};
constexpr Format kFormats[] = {{DataType::f16, 5, 10}, {DataType::bf16, 8, 7}};

TEST(Elements, EveryPatternLoadsExactlyAndComesBack) {
  for (const Format& format : kFormats) {
    for (std::uint32_t bits = 0; bits < 65536; ++bits) {
      const double expected = decode(bits, format.exponent_bits, format.mantissa_bits);
      const double loaded = load_16(format.type, static_cast<std::uint16_t>(bits));
      if (std::isnan(expected)) {
        ASSERT_TRUE(std::isnan(loaded)) << bits;
        ASSERT_TRUE(std::isnan(load_16(format.type, store_16(format.type, loaded)))) << bits;
        continue;
      }
      ASSERT_EQ(loaded, expected) << to_string(format.type) << " " << bits;
      ASSERT_EQ(std::signbit(loaded), std::signbit(expected)) << bits;
      ASSERT_EQ(store_16(format.type, loaded), bits) << to_string(format.type);
    }
  }
}

// Between every two neighbours: the middle goes to the even one, anything else to the nearer one,
// also by so little that a detour over float would lose it.
TEST(Elements, RoundToNearestEven) {
  for (const Format& format : kFormats) {
    const std::uint32_t infinity = ((1u << format.exponent_bits) - 1) << format.mantissa_bits;
    for (std::uint32_t low = 0; low < infinity; ++low) {
      const std::uint32_t high = low + 1;
      const double a = decode(low, format.exponent_bits, format.mantissa_bits);
      // Beyond the largest number, infinity takes the place of the next power of two.
      const double b = high == infinity ? std::ldexp(1.0, 1 << (format.exponent_bits - 1))
                                        : decode(high, format.exponent_bits, format.mantissa_bits);
      const double middle = (a + b) / 2;
      const std::uint32_t even = low % 2 ? high : low;
      for (const std::uint32_t sign : {0u, 0x8000u}) {
        const double factor = sign ? -1.0 : 1.0;
        ASSERT_EQ(store_16(format.type, factor * middle), sign | even) << low;
        ASSERT_EQ(store_16(format.type, factor * std::nextafter(middle, 0)), sign | low) << low;
        ASSERT_EQ(store_16(format.type, factor * std::nextafter(middle, kInfinity)), sign | high)
            << low;
      }
    }
    ASSERT_EQ(store_16(format.type, 1e300), infinity);
    ASSERT_EQ(store_16(format.type, -kInfinity), 0x8000u | infinity);
    ASSERT_EQ(store_16(format.type, 1e-300), 0u);
    ASSERT_EQ(store_16(format.type, -1e-300), 0x8000u);
  }
}

TEST(Compare, HoldsTheErrorToTwiceThePlainOne) {
  const std::vector<double> exact = {1.0, 2.0, 3.0};
  const std::vector<double> plain = {1.0, 2.25, 3.0};
  const Comparison near = compare(std::vector<double>{1.5, 2.0, 3.0}, exact, plain, 0.0);
  EXPECT_TRUE(near.pass);
  EXPECT_EQ(near.limit, 0.5);
  EXPECT_EQ(near.max_error, 0.5);
  EXPECT_EQ(near.worst, 0);
  const Comparison far = compare(std::vector<double>{1.25, 2.0, 3.75}, exact, plain, 0.125);
  EXPECT_FALSE(far.pass);
  EXPECT_EQ(far.limit, 0.625);
  EXPECT_EQ(far.worst, 2);
  EXPECT_EQ(far.worst_actual, 3.75);
  EXPECT_EQ(far.worst_expected, 3.0);
  EXPECT_DOUBLE_EQ(far.relative_error, std::sqrt((0.0625 + 0.5625) / 14.0));
}

TEST(Compare, WhatIsNotFiniteNeverPassesUnlessTheReferenceHasTheSame) {
  const auto pass = [](double actual, double exact, double absolute = 1e30) {
    return compare(std::vector<double>{0.0, actual}, std::vector<double>{0.0, exact},
                   std::vector<double>{0.0, exact}, absolute)
        .pass;
  };
  for (double value : {kNan, kInfinity, -kInfinity}) {
    EXPECT_FALSE(pass(value, 1.0)) << value;
    EXPECT_FALSE(pass(1.0, value)) << value;
    EXPECT_TRUE(pass(value, value)) << value;
  }
  EXPECT_FALSE(pass(kInfinity, -kInfinity));
  EXPECT_FALSE(pass(kNan, kInfinity));
  EXPECT_FALSE(pass(kInfinity, kNan));
  const Comparison result =
      compare(std::vector<double>{kNan, 5.0, kInfinity}, std::vector<double>{1.0, 1.0, 1.0},
              std::vector<double>{1.0, 1.0, 1.0}, 0.0);
  EXPECT_EQ(result.non_finite, 2);
  EXPECT_EQ(result.worst, 0);
  EXPECT_EQ(result.max_error, kInfinity);
}

TEST(Compare, APlainOverflowDoesNotWidenTheLimit) {
  EXPECT_FALSE(compare(std::vector<double>{2.0}, std::vector<double>{1.0},
                       std::vector<double>{kInfinity}, 0.5)
                   .pass);
}

TEST(Compare, EmptyPassesAndUnequalLengthsAreRefused) {
  const Comparison empty = compare({}, {}, {}, 0.0);
  EXPECT_TRUE(empty.pass);
  EXPECT_EQ(empty.worst, -1);
  const std::vector<double> one = {1.0};
  expect_error(ErrorCategory::invalid_argument, {"0", "1"}, [&] { compare({}, one, one, 0.0); });
}

}  // namespace
}  // namespace clattn
