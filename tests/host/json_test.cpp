// The JSON form of a problem: what it means, that it comes back as it went, and how each kind of
// mistake is named. Its masks and score modifiers have tests of their own.
#include <clattn/problem.hpp>

#include "tests/support.hpp"

namespace clattn {
namespace {

using test::expect_error;

void expect_refused(std::string_view text, const std::vector<std::string>& parts) {
  SCOPED_TRACE(std::string(text));
  expect_error(ErrorCategory::invalid_argument, parts, [&] { problem_from_json(text); });
}

TEST(ProblemFromJson, ReadsEveryMember) {
  const Problem problem = problem_from_json(R"({
    "scale": 0.125, "dtype": "bf16", "mask": {"window": {"left": 128, "right": 0}}, "lse": true,
    "layout": "blhd", "batch": 2, "heads": 8, "kv_heads": 4, "q_len": 100, "kv_len": 200,
    "head_dim": 64, "value_dim": 32, "k_strides": {"batch": 0, "head": 64, "token": 256},
    "blocks": {"q_block": 64, "k_block": 32, "heads": 8, "capacity": 5},
    "token_order": {"grid": [5, 20], "tile": [4, 8], "dilation": [1, 2]}})");
  EXPECT_EQ(problem.scale, 0.125f);
  EXPECT_EQ(problem.data_type, DataType::bf16);
  EXPECT_EQ(problem.mask->to_json(), window_mask(128, 0)->to_json());
  EXPECT_TRUE(problem.lse);
  EXPECT_EQ(problem.layout, Layout::blhd);
  EXPECT_EQ(problem.batch, 2);
  EXPECT_EQ(problem.heads, 8);
  EXPECT_EQ(problem.kv_heads, 4);
  EXPECT_EQ(problem.query_len, 100);
  EXPECT_EQ(problem.key_len, 200);
  EXPECT_EQ(problem.head_dim, 64);
  EXPECT_EQ(problem.value_dim, 32);
  EXPECT_EQ(problem.key_strides, (Strides{0, 64, 256}));
  EXPECT_FALSE(problem.query_strides || problem.value_strides || problem.output_strides);
  ASSERT_TRUE(problem.blocks);
  EXPECT_EQ(problem.blocks->query_block, 64);
  EXPECT_EQ(problem.blocks->key_block, 32);
  EXPECT_EQ(problem.blocks->batch, 1);
  EXPECT_EQ(problem.blocks->heads, 8);
  EXPECT_EQ(problem.blocks->capacity, 5);
  EXPECT_EQ(problem.token_order, (TokenOrder{{5, 20}, {4, 8}, {1, 2}}));
}

TEST(ProblemFromJson, AbsentMembersKeepTheirDefaults) {
  const Problem problem = problem_from_json(R"({"heads": 6, "head_dim": 40})");
  EXPECT_EQ(problem.kv_heads, 6);
  EXPECT_EQ(problem.value_dim, 40);
  EXPECT_EQ(problem.data_type, DataType::f32);
  EXPECT_FALSE(problem.scale || problem.lse || problem.blocks || problem.token_order);
  EXPECT_TRUE(problem.scores.empty() && problem.sink_logits.empty());
  EXPECT_EQ(problem.mask->to_json(), "{}");
}

TEST(ProblemJson, RoundTrip) {
  test::Random random = test::make_random();
  for (int repeat = 0; repeat < 300; ++repeat) {
    const auto coin = [&] { return test::uniform(random, 0, 1) == 1; };
    Problem problem;
    problem.data_type = static_cast<DataType>(test::uniform(random, 0, 2));
    problem.batch = test::uniform(random, 0, 9);
    problem.kv_heads = test::uniform(random, 1, 4);
    problem.heads = problem.kv_heads * test::uniform(random, 1, 4);
    problem.query_len = test::uniform(random, 0, 1 << 30);
    problem.key_len = test::uniform(random, 0, 1 << 30);
    problem.head_dim = 8 * test::uniform(random, 1, 32);
    problem.value_dim = 8 * test::uniform(random, 1, 32);
    if (coin()) problem.scale = std::uniform_real_distribution<float>(-1, 1)(random);
    problem.lse = coin();
    problem.layout = coin() ? Layout::bhld : Layout::blhd;
    problem.mask = test::random_mask(random, {100, 100});
    for (auto member : {&Problem::query_strides, &Problem::key_strides, &Problem::value_strides,
                        &Problem::output_strides}) {
      if (coin()) problem.*member = {test::uniform(random, 0, 1 << 20), 7, 11};
    }
    if (coin()) problem.blocks = {64, test::uniform(random, 1, 512), 1, problem.heads, 3};
    if (coin()) {
      const std::size_t rank = static_cast<std::size_t>(test::uniform(random, 1, 3));
      const auto sizes = [&] { return std::vector(rank, test::uniform(random, 1, 99)); };
      problem.token_order = {sizes(), sizes(), coin() ? sizes() : std::vector<std::int64_t>()};
    }
    if (coin()) problem.scores = {softcap_score(30), alibi_score(alibi_slopes(problem.heads))};
    if (coin()) problem.sink_logits.assign(static_cast<std::size_t>(problem.heads), 0.1f);
    const std::string text = problem_to_json(problem);
    SCOPED_TRACE(text);
    const Problem back = problem_from_json(text);
    EXPECT_EQ(problem_to_json(back), text);
    EXPECT_EQ(back.data_type, problem.data_type);
    EXPECT_EQ(back.batch, problem.batch);
    EXPECT_EQ(back.heads, problem.heads);
    EXPECT_EQ(back.kv_heads, problem.kv_heads);
    EXPECT_EQ(back.query_len, problem.query_len);
    EXPECT_EQ(back.key_len, problem.key_len);
    EXPECT_EQ(back.head_dim, problem.head_dim);
    EXPECT_EQ(back.value_dim, problem.value_dim);
    EXPECT_EQ(back.effective_scale(), problem.effective_scale());
    EXPECT_EQ(back.lse, problem.lse);
    EXPECT_EQ(back.layout, problem.layout);
    EXPECT_EQ(back.mask->to_json(), problem.mask->to_json());
    ASSERT_EQ(back.scores.size(), problem.scores.size());
    for (std::size_t i = 0; i < back.scores.size(); ++i) {
      EXPECT_EQ(back.scores[i]->to_json(), problem.scores[i]->to_json());
    }
    EXPECT_EQ(back.sink_logits, problem.sink_logits);
    EXPECT_EQ(back.blocks.has_value(), problem.blocks.has_value());
    EXPECT_EQ(back.token_order, problem.token_order);
    EXPECT_EQ(back.query_strides, problem.query_strides);
    EXPECT_EQ(back.output_strides, problem.output_strides);
  }
}

TEST(ProblemJson, AProblemWithoutSizesComesBackToo) {
  EXPECT_NO_THROW(problem_from_json(problem_to_json(problem_from_json("{}"))));
}

TEST(ProblemFromJson, UnknownKeysNameTheNearestLegalOne) {
  expect_refused(R"({"head_dims": 8})", {"head_dims", "\"head_dim\""});
  expect_refused(R"({"Heads": 8})", {"Heads", "\"heads\""});
  expect_refused(R"({"q_lenght": 8})", {"q_lenght", "\"q_len\""});
  expect_refused(R"({"k_len": 8})", {"k_len", "len\""});
  expect_refused(R"({"scores": []})", {"scores", "\"score\""});
  expect_refused(R"({"blocks": {"k_blocks": 8}})", {"problem blocks", "k_blocks", "\"k_block\""});
  expect_refused(R"({"q_strides": {"tokens": 1}})", {"q_strides", "tokens", "\"token\""});
}

TEST(ProblemFromJson, UnknownValuesNameTheNearestLegalOne) {
  expect_refused(R"({"dtype": "fp16"})", {"dtype", "fp16", "\"f16\""});
  expect_refused(R"({"dtype": "float64"})", {"float64"});
  expect_refused(R"({"layout": "bhdl"})", {"bhdl", "\"bhld\""});
}

TEST(ProblemFromJson, WrongTypes) {
  expect_refused(R"({"heads": "8"})", {"heads", "whole number", "\"8\""});
  expect_refused(R"({"heads": 8.5})", {"heads", "8.5"});
  expect_refused(R"({"heads": 8.0})", {"heads", "8.0"});
  expect_refused(R"({"heads": true})", {"heads", "true"});
  expect_refused(R"({"heads": null})", {"heads", "null"});
  expect_refused(R"({"heads": 9223372036854775808})", {"heads", "9223372036854775808"});
  expect_refused(R"({"heads": 100000000000000000000})", {"heads"});
  expect_refused(R"({"lse": 1})", {"lse", "true or false", "1"});
  expect_refused(R"({"scale": "0.1"})", {"scale", "number"});
  expect_refused(R"({"scale": [1]})", {"scale", "number"});
  expect_refused(R"({"dtype": 16})", {"dtype", "string", "16"});
  expect_refused(R"({"q_strides": [1, 2, 3]})", {"q_strides", "object"});
  expect_refused(R"([])", {"problem", "object"});
  expect_refused("null", {"problem", "object"});
}

TEST(ProblemFromJson, SyntaxErrors) {
  for (std::string_view text : {"", "{", R"({"heads": })", R"({"heads": 1,})", "{'heads': 1}",
                                R"({"heads": NaN})", R"({"heads": 1} x)", "\xff\xfe{}"}) {
    expect_refused(text, {"JSON"});
  }
  expect_refused(R"({"scale": 1e999})", {"1e999"});  // well-formed, but no number holds it
}

TEST(ProblemFromJson, DeepNestingIsRefused) {
  const auto nested = [](int levels) {
    std::string text = "{";
    for (int i = 0; i < levels; ++i) text += "\"not\": {";
    text += std::string(static_cast<std::size_t>(levels) + 1, '}');
    return "{\"mask\": " + text + "}";
  };
  EXPECT_NO_THROW(problem_from_json(nested(60)));
  for (int levels : {70, 1'000'000}) {
    expect_error(ErrorCategory::invalid_argument, {"deeper than 64 levels"},
                 [&] { problem_from_json(nested(levels)); });
  }
  expect_error(ErrorCategory::invalid_argument, {"deeper than 64 levels"},
               [] { problem_from_json("{\"heads\": " + std::string(1'000'000, '[')); });
}

TEST(ProblemFromJson, AScaleBeyondFloatIsRefusedByValidate) {
  Problem problem =
      problem_from_json(R"({"scale": 1e300, "head_dim": 8, "q_len": 1, "kv_len": 1})");
  expect_error(ErrorCategory::invalid_argument, {"scale", "inf"}, [&] { validate(problem); });
}

}  // namespace
}  // namespace clattn
