// The JSON form of score modifiers and sink logits: what each form means, that it comes back, what
// it reads from files, and how each kind of mistake is named with its place.
#include <clattn/problem.hpp>
#include <clattn/score.hpp>

#include "tests/host/npy_support.hpp"
#include "tests/support.hpp"

namespace clattn {
namespace {

constexpr Extent kExtent{3, 4};

Problem problem_of(const std::string& scores, const std::string& folder = "") {
  return problem_from_json("{\"score\": " + scores + "}", folder);
}

void expect_refused(const std::string& scores, const std::vector<std::string>& parts,
                    const std::string& folder = "") {
  SCOPED_TRACE(scores);
  test::expect_error(ErrorCategory::invalid_argument, parts, [&] { problem_of(scores, folder); });
}

// Over 2 batches and 2 heads.
void expect_same_scores(const ScoreNode& score, const ScoreNode& expected) {
  for (std::int64_t i = 0; i < 2 * 2 * 3 * 4; ++i) {
    const Point point{i / 24, i / 12 % 2, i / 4 % 3, i % 4};
    ASSERT_EQ(score.apply(0.75, point, kExtent), expected.apply(0.75, point, kExtent)) << i;
  }
}

template <typename Element>
std::shared_ptr<const Buffer> buffer_of(ElementType type, const std::vector<Element>& values) {
  const auto bytes = std::as_bytes(std::span(values));
  return std::make_shared<const Buffer>(
      Buffer{"bias", type, std::ssize(values), {bytes.begin(), bytes.end()}});
}

TEST(ScoresFromJson, ReadsEveryModifier) {
  const std::pair<const char*, Score> cases[] = {
      {R"({"softcap": 30})", softcap_score(30)},
      {R"({"softcap": 0.5})", softcap_score(0.5)},
      {R"({"alibi": {"slopes": [0.5, 0.25]}})", alibi_score({0.5, 0.25})},
      {R"({"alibi": {"slopes": [[0.5, 0.25], [1, 2]]}})", alibi_score({0.5, 0.25, 1, 2}, 2)},
      {R"({"relative_position": {"reach": 1, "table": [[1, 2, 3], [4, 5, 6]]}})",
       relative_position_score({1, 2, 3, 4, 5, 6}, 1)},
      {R"({"grid_position": {"grid": [3], "reach": [1], "table": [[1, 2, 3], [4, 5, 6]]}})",
       grid_position_score({1, 2, 3, 4, 5, 6}, {3}, {1})},
      {R"({"grid_position": {"grid": [1, 3], "reach": [0, 1], "table": [[[1, 2, 3]]]}})",
       grid_position_score({1, 2, 3}, {1, 3}, {0, 1})},
      {R"({"grid_position": {"grid": [3, 1, 1], "reach": [1, 0, 0],
                             "table": [[[[1]], [[2]], [[3]]]]}})",
       grid_position_score({1, 2, 3}, {3, 1, 1}, {1, 0, 0})},
      {R"({"opencl": {"expression": "score + gain * key", "scalars": {"gain": 0.5}}})",
       expression_score({"score + 0.5f * key", {}, {}})},
  };
  for (const auto& [text, score] : cases) {
    SCOPED_TRACE(text);
    const Problem problem = problem_of("[" + std::string(text) + "]");
    ASSERT_EQ(problem.scores.size(), 1u);
    ASSERT_NO_THROW(problem.scores[0]->validate(kExtent, 2, 2));
    expect_same_scores(*problem.scores[0], *score);
    const Problem again = problem_of("[" + score->to_json() + "]");
    EXPECT_EQ(again.scores.at(0)->to_json(), score->to_json());
    expect_same_scores(*again.scores[0], *score);
  }
}

TEST(ScoresFromJson, KeepsTheOrderAndTakesSinkLogitsOut) {
  const Problem problem =
      problem_of(R"([{"softcap": 30}, {"sink_logits": [0.5, -1]}, {"alibi": {"slopes": [1, 2]}}])");
  ASSERT_EQ(problem.scores.size(), 2u);
  EXPECT_EQ(problem.scores[0]->to_json(), softcap_score(30)->to_json());
  EXPECT_EQ(problem.scores[1]->to_json(), alibi_score({1, 2})->to_json());
  EXPECT_EQ(problem.sink_logits, (std::vector<float>{0.5, -1}));
}

TEST(ScoresFromJson, ReadsABiasFromAFile) {
  const test::TemporaryFolder folder;
  const std::vector<float> values = {0.5, 1, 2, 3, -1, -2, -3, -4, 9, 8, 7, 6};
  test::write_npy((folder.path() / "bias.npy").string(), "<f4", "(1, 1, 3, 4)", values);
  test::write_npy((folder.path() / "half.npy").string(), "<f2", "(1, 2, 1, 4)",
                  std::vector<std::uint16_t>{0x3c00, 0, 0, 0xc000, 0, 0, 0x3c00, 0});
  const BiasShape shape{1, 1, 3, 4};
  const std::string in_folder = folder.path().string();
  const Problem problem = problem_of(R"([{"bias":"bias.npy"},{"bias":"half.npy"}])", in_folder);
  ASSERT_EQ(problem.scores.size(), 2u);
  EXPECT_EQ(problem.scores[0]->to_json(), R"({"bias":"bias.npy"})");
  expect_same_scores(*problem.scores[0], *bias_score(buffer_of(ElementType::f32, values), shape));
  EXPECT_EQ(problem.scores[1]->apply(1, {0, 0, 2, 3}, kExtent), -1);
  EXPECT_EQ(problem.scores[1]->apply(1, {1, 1, 0, 2}, kExtent), 2);
  EXPECT_THROW(problem.scores[0]->validate({3, 5}, 1, 1), Error);

  test::write_npy((folder.path() / "ints.npy").string(), "<i4", "(1, 1, 1, 1)",
                  std::vector<std::int32_t>{1});
  expect_refused(R"([{"softcap":1},{"bias":"ints.npy"}])", {"score[1] bias: ", "ints.npy", "'<f4'"},
                 in_folder);
  test::write_npy((folder.path() / "flat.npy").string(), "<f4", "(4,)", std::vector<float>(4));
  expect_refused(R"([{"bias":"flat.npy"}])", {"flat.npy", "1 dimensions, not 4"}, in_folder);
  expect_refused(R"([{"bias":"none.npy"}])", {"score[0] bias: cannot read"}, in_folder);
}

TEST(ScoresFromJson, ReadsABiasThatIsBoundAtLaunch) {
  const std::string text =
      R"({"bias":{"name":"pair","type":"bf16","batch":2,"heads":3,"q_len":1,"kv_len":4}})";
  const Problem problem = problem_of("[" + text + "]");
  EXPECT_EQ(problem.scores.at(0)->to_json(), text);
  ExpressionWriter writer;
  problem.scores[0]->expression(writer);
  ASSERT_EQ(writer.buffers().size(), 1u);
  const Buffer& buffer = *writer.buffers()[0];
  EXPECT_EQ(buffer.name, "pair");
  EXPECT_EQ(buffer.type, ElementType::bf16);
  EXPECT_EQ(buffer.count, 24);
  EXPECT_TRUE(buffer.bound_at_launch());
  EXPECT_NO_THROW(problem.scores[0]->validate({7, 4}, 2, 3));
  EXPECT_THROW(problem.scores[0]->validate({7, 4}, 2, 2), Error);
}

// The text of a bias that was not read from a file holds its values, infinite ones by their names.
TEST(ScoresFromJson, ReadsTheValuesOfABias) {
  for (const char* type : {"f32", "f16", "bf16"}) {
    const std::string text = std::string(R"({"bias":{"name":"b","type":")") + type +
                             R"(","batch":1,"heads":1,"q_len":1,"kv_len":4,"values":)";
    const Problem problem = problem_of("[" + text + R"([0.5,-3,"-inf",2]}}])");
    const double inf = std::numeric_limits<double>::infinity();
    const std::vector<double> expected = {1.5, -2, -inf, 3};
    for (std::int64_t key = 0; key < 4; ++key) {
      EXPECT_EQ(problem.scores.at(0)->apply(1, {0, 0, 2, key}, kExtent),
                expected[static_cast<std::size_t>(key)]);
    }
    expect_refused("[" + text + "[1,2,3]}}]", {"score[0] bias: ", "4 elements"});
    expect_refused("[" + text + R"([1,2,3,"-int"]}}])", {"bias values[3]: must be a number"});
  }
}

TEST(ScoresFromJson, ErrorsNameThePlaceAndTheNearestKey) {
  expect_refused("{}", {"problem score: must be an array, but is {}"});
  expect_refused("[30]", {"score[0]: must be an object, but is 30"});
  expect_refused("[{}]", {"score[0]: must be one modifier, but is {}"});
  expect_refused(R"([{"softcap": 1, "alibi": {}}])", {"score[0]: must be one modifier"});
  expect_refused(R"([{}, {"soft_cap": 30}])", {"score[0]"});
  expect_refused(R"([{"soft_cap": 30}])", {"score[0]: ", "\"soft_cap\"", "\"softcap\""});
  expect_refused(R"([{"softcap": "30"}])", {"score[0] softcap: must be a number, but is \"30\""});
  expect_refused(R"([{"softcap": -1}])", {"score[0] softcap: ", "-1"});
  expect_refused(R"([{"alibi": {}}])", {"score[0] alibi slopes: is missing"});
  expect_refused(R"([{"alibi": {"slopes": [[1], [1, 2]]}}])", {"slopes[1]: has 2 entries"});
  expect_refused(R"([{"alibi": {"slopes": [1, [2]]}}])", {"slopes[1]: must be a number"});
  expect_refused(R"([{"relative_position": {"reach": 2, "table": [[1, 2, 3]]}}])",
                 {"relative_position table: has rows of 3 entries, but a reach of 2"});
  expect_refused(R"([{"grid_position": {"grid": [3, 3], "table": [[[1]]]}}])",
                 {"score[0] grid_position reach: is missing"});
  expect_refused(
      R"([{"grid_position": {"grid": [3, 3], "reach": [0, 2], "table": [[[1, 2, 3]]]}}])",
      {"grid_position table: has 3 entries in dimension 1, but a reach of 2"});
  expect_refused(R"([{"grid_position": {"grid": [3, 3], "reach": [0, 0], "table": [[1]]}}])",
                 {"grid_position table[0][0]: must be an array"});
  expect_refused(R"([{"grid_position": {"grid": [3, 3], "reach": [1], "table": [[1, 2, 3]]}}])",
                 {"score[0] grid_position: ", "1 dimensions, but its grid has 2"});
  expect_refused(R"([{"bias": {"name": "b", "type": "i32", "kv_len": 1}}])",
                 {"bias type: ", "\"i32\"", "\"f32\""});
  expect_refused(R"([{"bias": {"name": "b", "type": "f32", "q_len": 4294967296, "heads":
      4294967296, "kv_len": 1}}])",
                 {"score[0] bias: ", "4294967296"});
  expect_refused(R"([{"bias": {"name": "b", "type": "f32", "kv_len": -1}}])", {"-1"});
  expect_refused(R"([{"sink_logits": []}])", {"score[0]: ", "a number for each head"});
  expect_refused(R"([{"sink_logits": [1]}, {"sink_logits": [1]}])", {"score[1]: ", "already"});
  expect_refused(R"([{"opencl": {"expresion": "score"}}])",
                 {"score[0] opencl: ", "\"expression\""});
}

}  // namespace
}  // namespace clattn
