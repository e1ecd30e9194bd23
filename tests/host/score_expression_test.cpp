// The OpenCL view of score modifiers, and of users' expressions, on every device against the
// host's.
#include <algorithm>
#include <clattn/score.hpp>
#include <cmath>

#include "tests/host/hooks_support.hpp"
#include "tests/support.hpp"

namespace clattn {
namespace {

using test::HookEvaluator;
using test::Random;
using test::uniform;

constexpr std::size_t kPoints = 1000;  // of each launch: some implementations compile for a size

Problem make_problem(std::int64_t query_len, std::int64_t key_len) {
  Problem problem;
  problem.batch = 2;
  problem.heads = 3;
  problem.query_len = query_len;
  problem.key_len = key_len;
  return problem;
}

std::vector<cl_int4> random_points(Random& random, const Problem& problem) {
  std::vector<cl_int4> points;
  const auto below = [&](std::int64_t end) {
    return static_cast<cl_int>(uniform(random, 0, end - 1));
  };
  while (points.size() < kPoints) {
    points.push_back({{below(problem.batch), below(problem.heads), below(problem.query_len),
                       below(problem.key_len)}});
  }
  return points;
}

Point point_of(const cl_int4& point) { return {point.s[0], point.s[1], point.s[2], point.s[3]}; }

// Multiples of 1/32, with which simple arithmetic is exact.
std::vector<float> random_scores(Random& random) {
  std::vector<float> scores;
  while (scores.size() < kPoints) {
    scores.push_back(static_cast<float>(uniform(random, -320, 320)) / 32);
  }
  return scores;
}

// Holds the modifiers of `problem` to the host's within `tolerance`, relative to the larger of the
// result and the score.
void expect_same_scores(HookEvaluator& evaluator, Random& random, const Problem& problem,
                        double tolerance, const std::vector<cl_int4>& points) {
  const std::vector<float> scores = random_scores(random);
  const std::vector<float> found = evaluator.evaluate(problem, points, scores).scores;
  for (std::size_t i = 0; i < kPoints; ++i) {
    double expected = scores[i];
    for (const Score& score : problem.scores) {
      expected = score->apply(expected, point_of(points[i]), problem.extent());
    }
    if (found[i] == expected) continue;  // also where both are infinite
    const double size = std::max(std::fabs(expected), std::fabs(double(scores[i])));
    ASSERT_NEAR(found[i], expected, tolerance * size)
        << "score " << scores[i] << " at " << points[i].s[0] << ", " << points[i].s[1] << ", "
        << points[i].s[2] << ", " << points[i].s[3];
  }
}

void expect_same_scores(HookEvaluator& evaluator, Random& random, const Problem& problem,
                        double tolerance) {
  expect_same_scores(evaluator, random, problem, tolerance, random_points(random, problem));
}

template <typename Element>
std::shared_ptr<const Buffer> make_values(const char* name, ElementType type,
                                          const std::vector<Element>& values) {
  const auto bytes = std::as_bytes(std::span(values));
  return std::make_shared<const Buffer>(
      Buffer{name, type, std::ssize(values), {bytes.begin(), bytes.end()}});
}

std::vector<float> random_floats(Random& random, std::size_t count) {
  std::vector<float> values;
  while (values.size() < count) {
    values.push_back(static_cast<float>(uniform(random, -64, 64)) / 16);
  }
  return values;
}

TEST(ScoreExpression, SoftcapIsAccurateAndSaturates) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  Random random = test::make_random();
  for (const Device& device : test::devices()) {
    SCOPED_TRACE(device.facts.name);
    HookEvaluator evaluator(device);
    const Problem base = make_problem(9, 9);
    for (float cap : {1e-30f, 0.5f, 30.0f, 50.0f, 1e30f}) {
      Problem problem = base;
      problem.scores = {softcap_score(cap)};
      std::vector<float> scores = {0.0f, -0.0f,      INFINITY,    -INFINITY, NAN,   cap,
                                   -cap, 9.1f * cap, -9.1f * cap, 3e38f,     -3e38f};
      while (scores.size() < kPoints) {
        const double magnitude =
            std::uniform_real_distribution<double>(-25.0, scores.size() % 2 ? 5.0 : 0.0)(random);
        const double score = cap * std::exp2(magnitude) * (uniform(random, 0, 1) ? 1 : -1);
        if (std::fabs(score) > 1e-36) scores.push_back(static_cast<float>(score));
        if (cap < 1e-28f && scores.size() % 3)
          scores.push_back(cap * float(uniform(random, 1, 20)));
      }
      scores.resize(kPoints);
      const std::vector<float> found =
          evaluator.evaluate(problem, random_points(random, problem), scores).scores;
      EXPECT_EQ(evaluator.programs(), 1u);
      for (std::size_t i = 0; i < kPoints; ++i) {
        const double expected = problem.scores[0]->apply(scores[i], {}, {});
        if (std::isnan(scores[i])) {
          EXPECT_TRUE(std::isnan(found[i]));
          continue;
        }
        ASSERT_NEAR(found[i], expected, 1e-6 * std::fabs(expected)) << scores[i] << ", cap " << cap;
        ASSERT_EQ(std::signbit(found[i]), std::signbit(scores[i])) << scores[i];
        ASSERT_LE(std::fabs(found[i]), cap);
        if (std::fabs(scores[i]) > 9.01 * cap) {
          ASSERT_EQ(std::fabs(found[i]), cap) << scores[i];
        }
      }
    }
  }
}

TEST(ScoreExpression, ModifiersEqualTheHosts) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  Random random = test::make_random();
  for (const Device& device : test::devices()) {
    SCOPED_TRACE(device.facts.name);
    HookEvaluator evaluator(device);
    for (int repeat = 0; repeat < 3; ++repeat) {
      const std::vector<Score> modifiers = {
          alibi_score(random_floats(random, 3)), alibi_score(random_floats(random, 6), 2),
          relative_position_score(random_floats(random, 11), 5),
          relative_position_score(random_floats(random, 3 * 7), 3)};
      for (const Score& modifier : modifiers) {
        for (std::int64_t length : {50, 1 << 30}) {
          Problem problem = make_problem(length, length - uniform(random, 0, 20));
          problem.scores = {modifier};
          SCOPED_TRACE(modifier->to_json());
          ASSERT_NO_THROW(modifier->validate(problem.extent(), problem.batch, problem.heads));
          expect_same_scores(evaluator, random, problem, 1e-6);
        }
      }
      // In their order, and beside each other.
      Problem problem = make_problem(40, 30);
      problem.scores = {modifiers[0], softcap_score(5), modifiers[3], softcap_score(7)};
      expect_same_scores(evaluator, random, problem, 1e-5);
    }
    EXPECT_EQ(evaluator.programs(), 5u) << "numbers belong into the arguments";
  }
}

// Any pairs, and such as are near each other, on grids as large as they may be and on small ones,
// with tokens beyond them.
TEST(ScoreExpression, GridPositionEqualsTheHosts) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  Random random = test::make_random();
  for (const Device& device : test::devices()) {
    SCOPED_TRACE(device.facts.name);
    HookEvaluator evaluator(device);
    for (std::size_t rank = 1; rank <= 3; ++rank) {
      for (int repeat = 0; repeat < 8; ++repeat) {
        std::vector<std::int64_t> grid, reach, steps;  // from a token to the next in each dimension
        std::int64_t tokens = 1;
        std::size_t entries = 1;
        for (std::size_t d = 0; d < rank; ++d) {
          const std::int64_t most = repeat % 2 ? 12 : (1 << 30) / tokens;
          grid.push_back(uniform(random, 1, d == 0 ? std::min<std::int64_t>(most, 1000) : most));
          reach.push_back(uniform(random, 0, 14));
          for (std::int64_t& step : steps) step *= grid[d];
          steps.push_back(1);
          tokens *= grid[d];
          entries *= static_cast<std::size_t>(2 * reach[d] + 1);
        }
        const std::size_t heads = repeat % 4 < 2 ? 3 : 1;
        Problem problem = make_problem(tokens, tokens + (repeat % 2 ? 9 : 0));
        problem.scores = {grid_position_score(random_floats(random, heads * entries), grid, reach)};
        ASSERT_NO_THROW(
            problem.scores[0]->validate(problem.extent(), problem.batch, problem.heads));
        SCOPED_TRACE(testing::PrintToString(grid) + testing::PrintToString(reach));
        expect_same_scores(evaluator, random, problem, 1e-6);
        std::vector<cl_int4> near = random_points(random, problem);
        for (cl_int4& point : near) {
          std::int64_t key = point.s[2];
          for (std::size_t d = 0; d < rank; ++d) key += uniform(random, -17, 17) * steps[d];
          point.s[3] = static_cast<cl_int>(std::clamp<std::int64_t>(key, 0, problem.key_len - 1));
        }
        expect_same_scores(evaluator, random, problem, 1e-6, near);
      }
    }
    EXPECT_EQ(evaluator.programs(), 6u) << "numbers belong into the arguments";
  }
}

TEST(ScoreExpression, BiasEqualsTheHosts) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  Random random = test::make_random();
  for (const Device& device : test::devices()) {
    SCOPED_TRACE(device.facts.name);
    HookEvaluator evaluator(device);
    for (int which = 0; which < 16; ++which) {
      Problem problem = make_problem(9, 11);
      const BiasShape shape{which & 1 ? problem.batch : 1, which & 2 ? problem.heads : 1,
                            which & 4 ? problem.query_len : 1, which & 8 ? problem.key_len : 1};
      const std::int64_t count = shape.batch * shape.heads * shape.query_len * shape.key_len;
      const std::pair<ElementType, DataType> types[] = {{ElementType::f32, DataType::f32},
                                                        {ElementType::f16, DataType::f16},
                                                        {ElementType::bf16, DataType::bf16}};
      const auto& [type, data] = types[which % 3];
      problem.scores = {
          bias_score(std::make_shared<const Buffer>(
                         Buffer{"bias", type, count, test::random_elements(random, data, count)}),
                     shape)};
      expect_same_scores(evaluator, random, problem, 1e-6);
    }
    // Beyond 32 bits in all, though nothing beyond the first element is read here.
    Problem problem = make_problem(1 << 16, 1 << 16);
    problem.scores = {bias_score(
        std::make_shared<const Buffer>(Buffer{"bias", ElementType::f32, std::int64_t{1} << 32, {}}),
        {1, 1, 1 << 16, 1 << 16})};
    const std::vector<float> scores = random_scores(random);
    EXPECT_EQ(evaluator.evaluate(problem, std::vector<cl_int4>(kPoints), scores).scores, scores);
  }
}

TEST(ScoreExpression, UsersExpressionsEqualTheHosts) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  // Integers, and floats that are exact, must be equal; others nearly so.
  const char* exact[] = {
      "(query - key) / 3 * 3 + (query - key) % 3 + query / -4 + (query - key) % -4",
      "-query + ~key - -key + !query + !!key - !part",
      "(query << 2 + 1 >> 1) + ((query - key) >> 1) + (1 << (key & 3))",
      "(query & key ^ 5 | head) + (query | 8) * (key ^ 3)",
      "(query < key == head > batch != query <= 3) + (score > part) * 2",
      "query == key || query > 3 && key < 9 ? query_len : key > 5 ? -1 : key_len",
      "key != 0 && 60 / key > query",
      "5 / 2 + 5 / 2.0f + 0x1f + 010 + 42u + .25 + 2.e1f + 0x1.8p1f",
      "(int)(score * 8) + (int)-2.9f + (int)3.7f / 2 + convert_int(score) + convert_float(key)",
      "(abs(query - key) - 5 < 3) + (-1 < 0u) * 2 + (0xffffffff > 0) * 4",
      "((uint)(query - key) >> 12) + (uint)key % 5u",
      "(uchar)(query - key) + ~bytes[key] + -bytes[query] + (bytes[key] << 4)",
      "min(query, key) + max(query, 9) * clamp(key, 3, 7) + min(score, part) + max(score, 1.0f)",
      "clamp(score, -0.5f, 0.5f) + fmin(score, part) + fmax(score, part) + fabs(score)",
      "floor(score * 4) + ceil(score * 4) * 2 + round(score * 4) * 4",
      "score\n  + reals[key]\n  * numbers[query] - whole",
      "query < key ? -INFINITY : score",
  };
  const char* nearly[] = {
      "score * 0.1 + 1 / 3.0",
      "sqrt(fabs(score)) + exp(score * 0.125f) + exp2(score * 0.25f)",
      "log(fabs(score) + 1) + log2(fabs(score) + 1) + M_PI_F",
      "sin(score) + cos(score) * tanh(score) + 4",
      "pow(fabs(score) + 0.5f, 1.5f) + fmod(score, 0.75f)",
      "score - abs(key - query) * exp2((float)(-8 * (head + 1)) / 3)",
  };
  Random random = test::make_random();
  std::vector<std::uint8_t> bytes;
  std::vector<std::int32_t> numbers;
  for (int i = 0; i < 24; ++i) {
    bytes.push_back(static_cast<std::uint8_t>(uniform(random, 0, 255)));
    numbers.push_back(static_cast<std::int32_t>(uniform(random, -20, 20)));
  }
  const auto expression = [&](const char* text) {
    return Expression{text,
                      {make_values("bytes", ElementType::u8, bytes),
                       make_values("numbers", ElementType::i32, numbers),
                       make_values("reals", ElementType::f32, random_floats(random, 24))},
                      {{"whole", 7}, {"part", 0.375f}}};
  };
  for (const Device& device : test::devices()) {
    SCOPED_TRACE(device.facts.name);
    HookEvaluator evaluator(device);
    const auto check = [&](const char* text, double tolerance) {
      SCOPED_TRACE(text);
      Problem problem = make_problem(24, 20);
      problem.scores = {expression_score(expression(text))};
      expect_same_scores(evaluator, random, problem, tolerance);
    };
    for (const char* text : exact) check(text, 0);
    for (const char* text : nearly) check(text, 1e-5);

    // As masks, of which several may share a name.
    Problem problem = make_problem(24, 20);
    problem.mask =
        any_of_mask({expression_mask({"key - query <= -low || numbers[key] > 3",
                                      {make_values("numbers", ElementType::i32, numbers)},
                                      {{"low", 12}}}),
                     expression_mask({"bytes[query] % 7 == key % low",
                                      {make_values("bytes", ElementType::u8, bytes)},
                                      {{"low", 5}}})});
    const std::vector<cl_int4> points = random_points(random, problem);
    const auto found = evaluator.evaluate(problem, points, random_scores(random)).visible;
    int visible = 0;
    for (std::size_t i = 0; i < kPoints; ++i) {
      ASSERT_EQ(found[i] != 0, problem.mask->allows(point_of(points[i]), problem.extent()));
      visible += found[i] != 0;
    }
    EXPECT_GT(visible, 100);
    EXPECT_LT(visible, 900);
  }
}

TEST(ScoreExpression, BuildErrorsShowTheCulprit) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  for (const Device& device : test::devices()) {
    HookEvaluator evaluator(device);
    Problem problem = make_problem(1, 1);
    problem.mask = expression_mask({"key < 3 &&\n  no_function(key)", {}, {}});
    test::expect_error(ErrorCategory::build_failure, {"no_function"},
                       [&] { evaluator.evaluate(problem, {{}}, {0}); });
  }
}

}  // namespace
}  // namespace clattn
