#include "clattn/tune_table.hpp"

#include <algorithm>

#include "clattn/tune_space_table.hpp"
#include "host/tuning/comparison.hpp"
#include "tests/support.hpp"
#include "tests/tools/tuning_samples.hpp"

namespace clattn::tool {
namespace {

using test::correct_trial;
using test::failed_trial;

const std::vector<Parameter> kParameters = {{"query_tile", {8, 16, 32}}, {"key_tile", {4, 8, 16}}};

KernelConfig config(std::int64_t query_tile, std::int64_t key_tile) {
  return {{"query_tile", query_tile}, {"key_tile", key_tile}};
}

// The best is query_tile 16 and key_tile 8; of key_tile, 16 only failed and 12 lies beyond the
// parameter's values; query_tile 32 was not tried.
TuneResult sample() {
  TuneResult result;
  result.family = "portable";
  result.heuristic = config(8, 8);
  result.best = config(16, 8);
  result.heuristic_seconds = 3e-3;
  result.best_seconds = 2e-3;
  result.spread = 1e-5;
  result.stop = "nothing left to try";
  result.trials = {correct_trial(config(8, 8), {3e-3, 3e-3, 9e-3}),
                   failed_trial(config(8, 16), TrialOutcome::compile, "no room\nfor it"),
                   correct_trial(config(16, 8), {2e-3, 2.2e-3, 1.9e-3}),
                   correct_trial(config(16, 4), {2.5e-3}),
                   failed_trial(config(16, 16), TrialOutcome::compile, "another"),
                   correct_trial(config(8, 12), {4e-3}),
                   failed_trial(config(8, 4), TrialOutcome::timeout, "")};
  return result;
}

std::vector<std::string> lines(const std::string& text) {
  std::vector<std::string> all;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find('\n', begin);
    all.push_back(text.substr(begin, end - begin));
    begin = end == std::string::npos ? end : end + 1;
  }
  return all;
}

void expect_part(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << "no '" << part << "' in:\n" << text;
}

TEST(Statistics, MedianAndDeviation) {
  EXPECT_EQ(median({3}), 3);
  EXPECT_EQ(median({9, 1, 2}), 2);
  EXPECT_EQ(median({4, 1, 2, 9}), 3);
  EXPECT_EQ(median_absolute_deviation({1, 2, 100}), 1);
  EXPECT_EQ(median_absolute_deviation({5, 5}), 0);
}

TEST(TuneTable, LeadersComeFastestFirst) {
  const std::vector<std::string> rows = lines(leaders_table(sample(), kParameters));
  ASSERT_EQ(rows.size(), 9u);
  expect_part(rows[1],
              "   1       2 ms     5.0%   1.50x     3  query_tile=16 key_tile=8  (chosen)");
  expect_part(rows[2], "query_tile=16 key_tile=4");
  expect_part(rows[3],
              "   3       3 ms     0.0%   1.00x     3  query_tile=8 key_tile=8  (heuristic)");
  expect_part(rows[4], "0.75x");
  EXPECT_EQ(rows[5], "7 tried, 3 failed; ended: nothing left to try");
  EXPECT_EQ(rows[6], "  compile        2  first: no room");
  EXPECT_EQ(rows[7], "  timeout        1");
  expect_part(rows[8], "2 ms against the heuristic's 3 ms, timed in turns: 1.50 times as fast");
}

TEST(TuneTable, TheHeuristicIsListedBehindTheLeaders) {
  const std::vector<std::string> rows = lines(leaders_table(sample(), kParameters, 1));
  expect_part(rows[1], "(chosen)");
  expect_part(rows[2], "   3 ");
  expect_part(rows[2], "(heuristic)");
  EXPECT_EQ(rows[3], "7 tried, 3 failed; ended: nothing left to try");
}

TEST(TuneTable, NothingCorrect) {
  TuneResult result;
  result.heuristic = result.best = config(8, 8);
  result.trials = {failed_trial(config(8, 8), TrialOutcome::correctness, std::string(1000, 'x'))};
  const std::string text = leaders_table(result, kParameters);
  expect_part(text, "1 tried, 1 failed\n");
  expect_part(text, "no configuration was correct");
  EXPECT_LT(text.size(), 300u);
  expect_part(influence_table(result, kParameters), "query_tile  8 failed, 16 not tried");
  EXPECT_EQ(to_json(result, kParameters)["failures"]["correctness"], 1);
}

TEST(TuneTable, AHeuristicThatWasNotBeatenStays) {
  TuneResult result = sample();
  result.best = result.heuristic;
  result.best_seconds = result.heuristic_seconds;
  expect_part(leaders_table(result, kParameters), "chosen: the heuristic's, 3 ms");
}

TEST(TuneTable, AHeuristicThatFailedHasNoGain) {
  TuneResult result = sample();
  result.trials[0] = failed_trial(config(8, 8), TrialOutcome::runtime, "lost");
  result.heuristic_seconds = 0;
  const std::string text = leaders_table(result, kParameters);
  expect_part(text, "chosen: 2 ms; the heuristic's own choice failed\n");
  EXPECT_EQ(text.find('x'), std::string::npos) << text;
}

TEST(TuneTable, InfluencesTellTheLossOfEachValue) {
  const std::vector<Influence> all = influences(sample(), kParameters);
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].parameter, "key_tile");  // up to 100%
  EXPECT_DOUBLE_EQ(all[0].most_lost, 1);
  ASSERT_EQ(all[0].values.size(), 4u);
  const auto expect_value = [](const ValueLoss& value, std::int64_t number, std::int64_t tried) {
    EXPECT_EQ(value.value, number);
    EXPECT_EQ(value.tried, tried);
  };
  expect_value(all[0].values[0], 4, 2);
  EXPECT_DOUBLE_EQ(all[0].values[0].loss.value(), 0.25);
  expect_value(all[0].values[1], 8, 2);
  EXPECT_EQ(all[0].values[1].loss, 0);
  expect_value(all[0].values[2], 12, 1);
  EXPECT_DOUBLE_EQ(all[0].values[2].loss.value(), 1);
  expect_value(all[0].values[3], 16, 2);
  EXPECT_FALSE(all[0].values[3].loss);
  EXPECT_EQ(all[1].parameter, "query_tile");
  EXPECT_DOUBLE_EQ(all[1].values[0].loss.value(), 0.5);
  expect_value(all[1].values[2], 32, 0);
  EXPECT_EQ(influence_table(sample(), kParameters),
            "what made the difference: the loss with another value, at best\n"
            "  key_tile    8 best; 4 +25.0%, 12 +100.0%, 16 failed\n"
            "  query_tile  16 best; 8 +50.0%, 32 not tried\n");
}

TEST(TuneTable, JsonHasEveryTrial) {
  const nlohmann::ordered_json json = to_json(sample(), kParameters);
  ASSERT_EQ(json["trials"].size(), 7u);
  EXPECT_EQ(json["trials"][0]["median"], 3e-3);
  EXPECT_EQ(json["trials"][0]["seconds"].size(), 3u);
  EXPECT_EQ(json["trials"][1]["outcome"], "compile");
  EXPECT_EQ(json["trials"][1]["message"], "no room\nfor it");
  EXPECT_FALSE(json["trials"][1].contains("median"));
  EXPECT_EQ(json["best"], nlohmann::ordered_json(config(16, 8)));
  EXPECT_EQ(json["best_seconds"], 2e-3);
  EXPECT_EQ(json["failures"], (nlohmann::ordered_json{{"compile", 2}, {"timeout", 1}}));
  EXPECT_EQ(json["parameters"][0]["name"], "key_tile");
  EXPECT_FALSE(json["parameters"][0]["values"][3].contains("loss"));
}

Space sample_space() {
  Space space;
  space.family = "portable";
  space.parameters = kParameters;
  for (const std::int64_t tile : {4, 8, 16}) {
    space.configs.push_back(config(8, tile));
    space.configs.push_back(config(16, tile));
  }
  space.predicted = {6, 5, 4, 3, 2, 1};
  space.heuristic = 3;
  space.size = 9;
  space.pruned = {{"local memory", 2}, {"work-group", 1}};
  return space;
}

TEST(TuneSpaceTable, SaysWhatIsLegalAndWhatIsExpected) {
  EXPECT_EQ(space_table(sample_space()),
            "family        portable\n"
            "parameters    query_tile  8 16 32\n"
            "              key_tile    4 8 16\n"
            "size          9 combinations, 6 of them legal (66.7%)\n"
            "ruled out by         2  local memory\n"
            "                     1  work-group\n"
            "heuristic     query_tile=16 key_tile=8\n"
            "predicted        0.33x  query_tile=16 key_tile=16\n"
            "                 0.67x  query_tile=8 key_tile=16\n"
            "                 1.00x  query_tile=16 key_tile=8\n"
            "                 1.33x  query_tile=8 key_tile=8\n"
            "                 1.67x  query_tile=16 key_tile=4\n"
            "              fastest first, in times of what the planner expects of the heuristic's "
            "choice\n");
}

TEST(TuneSpaceTable, Json) {
  const nlohmann::ordered_json json = to_json(sample_space());
  EXPECT_EQ(json["legal"], 6);
  EXPECT_EQ(json["size"], 9);
  EXPECT_EQ(json["parameters"]["key_tile"], (nlohmann::ordered_json{4, 8, 16}));
  EXPECT_EQ(json["pruned"]["local memory"], 2);
  EXPECT_EQ(json["predicted"].size(), 5u);
  EXPECT_EQ(json["predicted"][2]["relative_time"], 1);
  EXPECT_EQ(json["predicted"][2]["config"], json["heuristic"]);
}

}  // namespace
}  // namespace clattn::tool
