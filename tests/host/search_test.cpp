// The search on spaces whose fastest configuration is known: how near it comes with how many
// evaluations, that it keeps to its budget and asks the same for the same answers, and what it
// makes of configurations and examiners that fail.
#include "host/tuning/search.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/host/search_support.hpp"

namespace clattn {
namespace {

using test::Landscape;
using test::SimulatedExaminer;

constexpr std::uint64_t kSeeds = 10;
constexpr SearchStrategy kStrategies[] = {SearchStrategy::exhaustive, SearchStrategy::random,
                                          SearchStrategy::guided};

TuneBudget budget_of(SearchStrategy strategy, std::int64_t evaluations = 0,
                     std::uint64_t seed = 1) {
  return {.strategy = strategy, .evaluations = evaluations, .seconds = 0, .seed = seed};
}

double median_of(std::vector<double> values) {
  std::ranges::sort(values);
  return (values[(values.size() - 1) / 2] + values[values.size() / 2]) / 2;
}

// Loss of what is found in 15 % of the space, median of the seeds.
double median_loss(const Landscape& landscape, SearchStrategy strategy) {
  const auto evaluations = static_cast<std::int64_t>(landscape.space.configs.size() * 15 / 100);
  std::vector<double> losses;
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    SimulatedExaminer examiner(landscape, seed);
    const TuneResult result =
        search(landscape.space, budget_of(strategy, evaluations, seed), examiner);
    EXPECT_LE(result.trials.size(), static_cast<std::size_t>(evaluations));
    losses.push_back(landscape.loss(result.best));
  }
  return median_of(losses);
}

// All configurations with a value, or simply all.
void fail_where(Landscape& landscape, const std::string& parameter, std::int64_t value,
                TrialOutcome outcome) {
  for (const KernelConfig& config : landscape.space.configs) {
    if (parameter.empty() || config.at(parameter) == value) landscape.failures[config] = outcome;
  }
}

// The configurations that were tried, each of which the result must have once.
std::set<KernelConfig> tried(const TuneResult& result) {
  std::set<KernelConfig> configs;
  for (const Trial& trial : result.trials) {
    EXPECT_TRUE(configs.insert(trial.config).second) << "tried twice";
  }
  return configs;
}

TEST(Search, GuidedFindsTheBestInFewEvaluations) {
  double random_sum = 0;
  double guided_sum = 0;
  std::vector<Landscape> landscapes;
  for (double quality : {0.5, 0.2, 0.0}) {
    landscapes.push_back(test::cpu_landscape(quality, 1));
    landscapes.push_back(test::gpu_landscape(quality, 2));
    landscapes.push_back(test::chance_landscape(4, 4, quality, 3));
  }
  for (std::uint64_t seed : {4, 5, 6, 7, 8, 9}) {
    landscapes.push_back(test::chance_landscape(4, 3, 0.5, seed));
  }
  for (const Landscape& landscape : landscapes) {
    SCOPED_TRACE(landscape.name + ", " + std::to_string(landscape.space.configs.size()));
    const double guided = median_loss(landscape, SearchStrategy::guided);
    const double random = median_loss(landscape, SearchStrategy::random);
    EXPECT_LE(guided, 0.05);
    EXPECT_LE(guided, random);
    guided_sum += guided;
    random_sum += random;
  }
  EXPECT_LT(guided_sum, random_sum / 2);
}

TEST(Search, ExhaustiveFindsTheOptimum) {
  for (const Landscape& landscape :
       {test::gpu_landscape(0.5, 1), test::chance_landscape(4, 3, 0.2, 2)}) {
    const Space& space = landscape.space;
    SimulatedExaminer examiner(landscape, 1);
    const TuneResult result = search(space, budget_of(SearchStrategy::exhaustive), examiner);
    EXPECT_LE(landscape.loss(result.best), 0.02);
    EXPECT_EQ(tried(result).size(), space.configs.size());
    EXPECT_EQ(result.stop, fmt::format("all {} configurations were tried", space.configs.size()));
    EXPECT_EQ(result.trials.front().config, space.configs[space.heuristic]);
    double least = 0;
    for (const Trial& trial : result.trials) {
      const auto config = std::ranges::find(space.configs, trial.config) - space.configs.begin();
      EXPECT_GE(space.predicted[config], least);
      least = space.predicted[config];
      EXPECT_GE(trial.seconds.size(), 3U);
    }
    EXPECT_EQ(result.heuristic, space.configs[space.heuristic]);
    EXPECT_NEAR(result.best_seconds / landscape.seconds.at(result.best), 1, 0.03);
    EXPECT_NEAR(result.heuristic_seconds / landscape.seconds.at(result.heuristic), 1, 0.03);
    EXPECT_NEAR(result.spread / result.best_seconds, 0.6745 * 0.015, 0.007);
  }
}

TEST(Search, NeedsNoPrediction) {
  Landscape landscape = test::chance_landscape(4, 3, 0, 1);
  // As of a problem whose mask hides all.
  for (double& predicted : landscape.space.predicted) predicted = 0;
  SimulatedExaminer examiner(landscape, 1);
  const TuneResult result =
      search(landscape.space, budget_of(SearchStrategy::guided, 40), examiner);
  EXPECT_LE(tried(result).size(), 40U);
  EXPECT_LE(landscape.loss(result.best), 0.05);
}

TEST(Search, RandomIsAPermutationThatFollowsFromTheSeed) {
  const Landscape landscape = test::chance_landscape(4, 3, 0.5, 1);
  const auto order = [&](std::uint64_t seed) {
    SimulatedExaminer examiner(landscape, 1);
    const TuneResult result =
        search(landscape.space, budget_of(SearchStrategy::random, 0, seed), examiner);
    EXPECT_EQ(tried(result).size(), landscape.space.configs.size());
    std::vector<KernelConfig> configs;
    for (const Trial& trial : result.trials) configs.push_back(trial.config);
    return configs;
  };
  EXPECT_EQ(order(1), order(1));
  EXPECT_NE(order(1), order(2));
}

TEST(Search, KeepsToTheEvaluations) {
  const Landscape landscape = test::chance_landscape(4, 3, 0.5, 1);
  for (SearchStrategy strategy : kStrategies) {
    for (std::int64_t evaluations : {1, 2, 3, 6, 19}) {
      SimulatedExaminer examiner(landscape, 1);
      const TuneResult result = search(landscape.space, budget_of(strategy, evaluations), examiner);
      EXPECT_EQ(tried(result).size(), static_cast<std::size_t>(evaluations));
      EXPECT_EQ(result.stop, fmt::format("{} evaluations", evaluations));
    }
  }
}

TEST(Search, KeepsToTheSeconds) {
  const Landscape landscape = test::cpu_landscape(0.5, 1);
  for (SearchStrategy strategy : kStrategies) {
    SimulatedExaminer examiner(landscape, 1);
    TuneBudget budget = budget_of(strategy);
    budget.seconds = 10;
    const TuneResult result = search(landscape.space, budget, examiner);
    EXPECT_EQ(result.stop, "10 seconds");
    // A question takes half a second. What is found has its last word all the same.
    const std::vector<Question>& questions = examiner.questions();
    ASSERT_EQ(questions.size(), 21U);
    EXPECT_EQ(questions.back().repeats, 15);
    EXPECT_GT(tried(result).size(), 3U);
  }
}

TEST(Search, GuidedEndsWhenItNoLongerGetsOn) {
  Landscape landscape = test::cpu_landscape(0.5, 1);
  for (auto& [config, seconds] : landscape.seconds) seconds = 1;
  landscape.seconds[landscape.space.configs[landscape.space.heuristic]] = 0.5;
  SimulatedExaminer examiner(landscape, 1);
  const TuneResult result = search(landscape.space, budget_of(SearchStrategy::guided), examiner);
  const std::size_t patience = (landscape.space.configs.size() * 15 + 99) / 100;
  EXPECT_EQ(tried(result).size(), 1 + patience);
  EXPECT_EQ(result.stop, fmt::format("none better in {} evaluations", patience));
  EXPECT_EQ(result.best, result.heuristic);
}

TEST(Search, NoiseMakesNoWinner) {
  Landscape landscape = test::chance_landscape(4, 3, 0.5, 1);
  for (auto& [config, seconds] : landscape.seconds) seconds = 1e-3;
  for (SearchStrategy strategy : kStrategies) {
    std::uint64_t kept = 0;
    for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
      SimulatedExaminer examiner(landscape, seed, 0.03);
      const TuneResult result = search(landscape.space, budget_of(strategy, 0, seed), examiner);
      kept += result.best == result.heuristic ? 1 : 0;
    }
    EXPECT_GE(kept, kSeeds - 1) << to_string(strategy);
  }
}

// Gives the answers that were recorded, and has the other examiner answer what comes after.
class ReplayingExaminer : public Examiner {
 public:
  ReplayingExaminer(Examiner& live, std::vector<Answer> recorded)
      : live_(live), recorded_(std::move(recorded)) {}

  void announce(const std::vector<KernelConfig>& configs) override { live_.announce(configs); }
  Answer ask(const Question& question) override {
    Answer answer = live_.ask(question);  // to count it
    if (given_.size() < recorded_.size()) answer = recorded_[given_.size()];
    return given_.emplace_back(answer);
  }
  const std::vector<Answer>& given() const { return given_; }

 private:
  Examiner& live_;
  const std::vector<Answer> recorded_;
  std::vector<Answer> given_;
};

TEST(Search, SameAnswersGiveTheSameSearch) {
  Landscape landscape = test::gpu_landscape(0.5, 1);
  fail_where(landscape, "warps", 8, TrialOutcome::compile);
  for (SearchStrategy strategy : kStrategies) {
    const TuneBudget budget = budget_of(strategy, 30, 7);
    SimulatedExaminer live(landscape, 1);
    ReplayingExaminer whole(live, {});
    const TuneResult expected = search(landscape.space, budget, whole);
    for (std::size_t count : {std::size_t{1}, std::size_t{20}, whole.given().size()}) {
      // As after an interruption: what is new is measured by another examiner, which has the same
      // noise for a question of the same number.
      SimulatedExaminer again(landscape, 1);
      ReplayingExaminer resumed(again, {whole.given().begin(), whole.given().begin() + count});
      const TuneResult result = search(landscape.space, budget, resumed);
      EXPECT_EQ(again.questions(), live.questions());
      EXPECT_EQ(result.best, expected.best);
      EXPECT_EQ(result.best_seconds, expected.best_seconds);
    }
  }
}

TEST(Search, FailuresAreRecordedAndCostOneQuestion) {
  Landscape landscape = test::gpu_landscape(0.5, 1);
  // A value of each of four parameters, none of them the heuristic's.
  std::vector<TrialOutcome> kinds = {TrialOutcome::compile, TrialOutcome::timeout,
                                     TrialOutcome::correctness, TrialOutcome::runtime};
  for (const Parameter& parameter : landscape.space.parameters) {
    if (parameter.name == "split") continue;
    const std::int64_t chosen =
        landscape.space.configs[landscape.space.heuristic].at(parameter.name);
    const std::int64_t least = parameter.values.front();
    fail_where(landscape, parameter.name, chosen == least ? parameter.values.back() : least,
               kinds.back());
    kinds.pop_back();
  }
  for (SearchStrategy strategy : kStrategies) {
    SimulatedExaminer examiner(landscape, 1);
    TuneProgress last;
    const TuneResult result = search(landscape.space, budget_of(strategy, 60), examiner,
                                     [&](const TuneProgress& progress) {
                                       last = progress;
                                       return true;
                                     });
    std::int64_t failures = 0;
    for (const Trial& trial : result.trials) {
      const auto failure = landscape.failures.find(trial.config);
      if (failure == landscape.failures.end()) {
        EXPECT_EQ(trial.outcome, TrialOutcome::correct);
        continue;
      }
      ++failures;
      EXPECT_EQ(trial.outcome, failure->second);
      EXPECT_EQ(trial.message, std::string("made up: ") + to_string(failure->second));
      EXPECT_TRUE(trial.seconds.empty());
      EXPECT_EQ(std::ranges::count(examiner.questions(), trial.config, &Question::config), 1);
    }
    EXPECT_GT(failures, 0);
    EXPECT_EQ(last.failures, failures);
    EXPECT_LE(landscape.loss(result.best), strategy == SearchStrategy::guided ? 0.05 : 0.5);
    // Half of the space fails: a guided search keeps away from there.
    EXPECT_LT(failures, strategy == SearchStrategy::guided ? 20 : 60);
  }
}

TEST(Search, WhereTheHeuristicFailsTheBestOfTheOthersWins) {
  Landscape landscape = test::chance_landscape(4, 3, 0.7, 1);
  const KernelConfig heuristic = landscape.space.configs[landscape.space.heuristic];
  landscape.failures[heuristic] = TrialOutcome::runtime;
  for (SearchStrategy strategy : kStrategies) {
    SimulatedExaminer examiner(landscape, 1);
    const TuneResult result = search(landscape.space, budget_of(strategy, 40), examiner);
    EXPECT_EQ(result.heuristic, heuristic);
    EXPECT_EQ(result.heuristic_seconds, 0);
    EXPECT_LE(landscape.loss(result.best), strategy == SearchStrategy::random ? 0.3 : 0.05);
    EXPECT_GT(result.best_seconds, 0);
  }
}

TEST(Search, WhereAllFailTheHeuristicStays) {
  Landscape landscape = test::chance_landscape(4, 3, 0.7, 1);
  fail_where(landscape, "", 0, TrialOutcome::compile);
  for (SearchStrategy strategy : kStrategies) {
    SimulatedExaminer examiner(landscape, 1);
    const TuneResult result = search(landscape.space, budget_of(strategy), examiner);
    EXPECT_EQ(result.best, landscape.space.configs[landscape.space.heuristic]);
    EXPECT_EQ(result.best_seconds, 0);
    EXPECT_EQ(result.heuristic_seconds, 0);
    EXPECT_EQ(examiner.questions().size(), result.trials.size());
    EXPECT_EQ(result.trials.size(),
              strategy == SearchStrategy::guided ? 20 : landscape.space.configs.size());
  }
}

// Changes the answers of another.
class TamperingExaminer : public Examiner {
 public:
  using Change = std::function<void(const Question& question, Answer& answer)>;
  TamperingExaminer(SimulatedExaminer& honest, Change change)
      : honest_(honest), change_(std::move(change)) {}
  void announce(const std::vector<KernelConfig>& configs) override { honest_.announce(configs); }
  Answer ask(const Question& question) override {
    Answer answer = honest_.ask(question);
    change_(question, answer);
    return answer;
  }

 private:
  SimulatedExaminer& honest_;
  const Change change_;
};

TEST(Search, TimesThatAreNoneAreFailures) {
  const Landscape landscape = test::chance_landscape(4, 3, 0.7, 1);
  const KernelConfig heuristic = landscape.space.configs[landscape.space.heuristic];
  const double infinity = std::numeric_limits<double>::infinity();
  for (double bad : {std::nan(""), 0.0, -1.0, infinity, -infinity}) {
    for (bool against : {false, true}) {
      SimulatedExaminer honest(landscape, 1);
      TamperingExaminer examiner(honest, [&](const Question& question, Answer& answer) {
        if (question.config == heuristic) return;
        (against ? answer.against_seconds : answer.seconds)[1] = bad;
      });
      const TuneResult result =
          search(landscape.space, budget_of(SearchStrategy::guided, 9), examiner);
      EXPECT_EQ(result.best, heuristic);
      for (std::size_t i = 1; i < result.trials.size(); ++i) {
        EXPECT_EQ(result.trials[i].outcome, TrialOutcome::runtime);
        EXPECT_EQ(result.trials[i].message, fmt::format("a launch took {} seconds", bad));
      }
    }
  }
  SimulatedExaminer honest(landscape, 1);
  TamperingExaminer examiner(honest,
                             [](const Question&, Answer& answer) { answer.seconds.pop_back(); });
  const TuneResult result = search(landscape.space, budget_of(SearchStrategy::guided, 9), examiner);
  EXPECT_EQ(result.trials.front().message, "4 times came of 5 launches");
  EXPECT_EQ(result.best_seconds, 0);
}

TEST(Search, WhereTheIncumbentFailsTheNextBestIsPutToTheTest) {
  const Landscape landscape = test::gpu_landscape(0.2, 1);
  for (bool heuristic_too : {false, true}) {
    KernelConfig fastest;
    SimulatedExaminer honest(landscape, 1);
    TamperingExaminer examiner(honest, [&](const Question& question, Answer& answer) {
      if (question.repeats < 15) return;
      if (fastest.empty()) fastest = question.config;
      const bool is_heuristic =
          question.config == landscape.space.configs[landscape.space.heuristic];
      if (question.config != fastest && !(heuristic_too && is_heuristic)) return;
      answer = {};
      answer.outcome = TrialOutcome::timeout;
      answer.message = "hangs";
    });
    const TuneResult result =
        search(landscape.space, budget_of(SearchStrategy::exhaustive), examiner);
    const auto trial = std::ranges::find(result.trials, fastest, &Trial::config);
    ASSERT_NE(trial, result.trials.end());
    EXPECT_EQ(trial->outcome, TrialOutcome::timeout);
    EXPECT_EQ(trial->message, "hangs");
    EXPECT_NE(result.best, fastest);
    EXPECT_LE(landscape.loss(result.best), 0.05);
    EXPECT_LT(result.best_seconds, result.heuristic_seconds);
  }
}

TEST(Search, TheCallbackSeesProgressAndEndsTheSearch) {
  const Landscape landscape = test::gpu_landscape(0.2, 1);
  for (std::size_t calls : {std::size_t{1}, std::size_t{5}, std::size_t{20}}) {
    SimulatedExaminer examiner(landscape, 1);
    TuneProgress last;
    std::size_t called = 0;
    const TuneResult result = search(landscape.space, budget_of(SearchStrategy::guided, 30),
                                     examiner, [&](const TuneProgress& progress) {
                                       EXPECT_GE(progress.evaluations, last.evaluations);
                                       EXPECT_GE(progress.gain, 1);
                                       EXPECT_EQ(progress.expected, 30);
                                       last = progress;
                                       return ++called < calls;
                                     });
    EXPECT_EQ(result.stop, "interrupted");
    EXPECT_EQ(called, calls);
    EXPECT_EQ(examiner.questions().size(), calls);
    EXPECT_EQ(last.seconds, 0.5 * static_cast<double>(calls));
    EXPECT_EQ(static_cast<std::size_t>(last.evaluations), result.trials.size());
    EXPECT_EQ(result.best == result.heuristic, last.gain == 1);
    EXPECT_NEAR(result.heuristic_seconds / result.best_seconds, last.gain, 1e-9);
  }
}

}  // namespace
}  // namespace clattn
