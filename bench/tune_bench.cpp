// What tuning is held to, on one device. `tune_bench search` measures three spaces whole, and then
// lets the guided and the random search loose on what was measured, ten seeds each, with 15% of the
// evaluations. `tune_bench transfer` tunes six problems and times six others like them
// with what was found for the first. Both take minutes to hours, by the device's compiler.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "bench_case.hpp"
#include "host/tuning/comparison.hpp"
#include "host/tuning/device_examiner.hpp"

namespace clattn::tool {
namespace {

constexpr std::int64_t kSamples = 9;  // of each configuration
constexpr double kShare = 0.15;       // of the space that a search may evaluate
constexpr double kWithin = 1.05;      // of the optimum, which it is to reach
constexpr std::uint64_t kSeeds = 10;

struct Shape {
  const char* name;
  const char* family;
  const char* problem;
};

// Spaces of 96, 264 and 124 legal configurations on a CPU with vectors of 16 floats.
constexpr Shape kSpaces[] = {
    {"16 queries D64", "cpu",
     R"({"heads": 8, "kv_heads": 8, "q_len": 16, "kv_len": 4096, "head_dim": 64})"},
    {"causal D128", "cpu",
     R"({"heads": 2, "kv_heads": 2, "q_len": 384, "kv_len": 384, "head_dim": 128,
         "mask": {"causal": {}}})"},
    {"window D256, f16", "cpu",
     R"({"heads": 2, "kv_heads": 2, "q_len": 512, "kv_len": 512, "head_dim": 256, "dtype": "f16",
         "mask": {"window": {"left": 100, "right": 0}}})"},
};

// Tuned, and held out: of the same buckets, but for the windows, whose densities are neighbors.
constexpr const char* kPairs[][2] = {
    {R"({"heads": 4, "kv_heads": 4, "q_len": 512, "kv_len": 512, "head_dim": 64})",
     R"({"heads": 4, "kv_heads": 4, "q_len": 700, "kv_len": 900, "head_dim": 64})"},
    {R"({"heads": 8, "kv_heads": 8, "q_len": 1024, "kv_len": 1024, "head_dim": 64,
         "mask": {"causal": {}}})",
     R"({"heads": 10, "kv_heads": 10, "q_len": 1400, "kv_len": 1500, "head_dim": 64,
         "mask": {"causal": {}}})"},
    {R"({"heads": 4, "kv_heads": 4, "q_len": 512, "kv_len": 512, "head_dim": 128})",
     R"({"heads": 6, "kv_heads": 6, "q_len": 600, "kv_len": 1000, "head_dim": 128})"},
    {R"({"heads": 4, "kv_heads": 4, "q_len": 256, "kv_len": 256, "head_dim": 256, "dtype": "f16"})",
     R"({"heads": 4, "kv_heads": 4, "q_len": 400, "kv_len": 300, "head_dim": 256, "dtype": "f16"})"},
    {R"({"heads": 4, "kv_heads": 4, "q_len": 2048, "kv_len": 2048, "head_dim": 64,
         "mask": {"window": {"left": 128, "right": 0}}})",
     R"({"heads": 4, "kv_heads": 4, "q_len": 3000, "kv_len": 3000, "head_dim": 64,
         "mask": {"window": {"left": 200, "right": 0}}})"},
    {R"({"heads": 8, "kv_heads": 8, "q_len": 16, "kv_len": 4096, "head_dim": 128, "dtype": "bf16"})",
     R"({"heads": 8, "kv_heads": 8, "q_len": 24, "kv_len": 6000, "head_dim": 128, "dtype": "bf16"})"},
};

// Answers from what was measured, one sample after another, over and over.
class Recorded final : public Examiner {
 public:
  std::map<KernelConfig, Answer> answers;

  Answer ask(const Question& question) override {
    Answer answer = answers.at(question.config);
    answer.seconds = samples(question.config, question.repeats);
    if (!question.against.empty()) {
      answer.against_seconds = samples(question.against, question.repeats);
    }
    return answer;
  }
  double time(const KernelConfig& config) const {
    const std::vector<double>& seconds = answers.at(config).seconds;
    return seconds.empty() ? INFINITY : median(seconds);
  }

 private:
  std::vector<double> samples(const KernelConfig& config, std::int64_t count) {
    const std::vector<double>& seconds = answers.at(config).seconds;
    std::vector<double> result;
    for (std::int64_t i = 0; i < count && !seconds.empty(); ++i) {
      result.push_back(seconds[next_[config]++ % seconds.size()]);
    }
    return result;
  }
  std::map<KernelConfig, std::size_t> next_;
};

// Every configuration, in turns with the heuristic's, so that a drift of the machine's clock counts
// for nothing: times are those of the heuristic times the ratio to it.
Recorded measure_space(const Engine& engine, const Problem& problem, const Space& space) {
  PlanOptions options;
  options.family = space.family;
  DeviceExaminer examiner(engine, problem, options, kSeed);
  const KernelConfig& heuristic = space.configs[space.heuristic];
  Recorded recorded;
  recorded.answers[heuristic] = examiner.ask({heuristic, {}, kSamples});
  const double base = recorded.time(heuristic);
  for (std::size_t i = 0; i < space.configs.size(); ++i) {
    if (i == space.heuristic) continue;
    const std::size_t end = std::min(i + 8, space.configs.size());
    if (i % 8 == 0) {
      examiner.announce({space.configs.begin() + static_cast<std::ptrdiff_t>(i),
                         space.configs.begin() + static_cast<std::ptrdiff_t>(end)});
    }
    Answer answer = examiner.ask({space.configs[i], heuristic, kSamples});
    for (std::size_t k = 0; k < answer.seconds.size(); ++k) {
      answer.seconds[k] *= base / answer.against_seconds[k];
    }
    recorded.answers[space.configs[i]] = answer;
    fmt::print(stderr, "\r{} of {}", i + 1, space.configs.size());
  }
  fmt::print(stderr, "\r");
  return recorded;
}

int bench_search(const Engine& engine) {
  fmt::print("{:<18} {:>6} {:>7} {:>10} {:>10} {:>18} {:>18}\n", "space", "legal", "budget",
             "heuristic", "optimum", "guided (worst)", "random (worst)");
  bool holds = true;
  for (const Shape& shape : kSpaces) {
    const Problem problem = problem_from_json(shape.problem);
    PlanOptions options;
    options.family = shape.family;
    const Space space = make_space(problem, engine.device().facts, options);
    const Recorded recorded = measure_space(engine, problem, space);
    double optimum = INFINITY;
    for (const KernelConfig& config : space.configs) {
      optimum = std::min(optimum, recorded.time(config));
    }
    TuneBudget budget;
    budget.evaluations = static_cast<std::int64_t>(kShare * double(space.configs.size()));
    const auto losses = [&](SearchStrategy strategy) {
      std::vector<double> found;
      budget.strategy = strategy;
      for (budget.seed = 1; budget.seed <= kSeeds; ++budget.seed) {
        Recorded examiner = recorded;
        const TuneResult result = search(space, budget, examiner);
        found.push_back(recorded.time(result.best) / optimum);
      }
      return found;
    };
    const std::vector<double> guided = losses(SearchStrategy::guided);
    const std::vector<double> random = losses(SearchStrategy::random);
    const auto words = [](const std::vector<double>& found) {
      return fmt::format("+{:.1f}% (+{:.1f}%)", 100 * (median(found) - 1),
                         100 * (std::ranges::max(found) - 1));
    };
    const bool line_holds = median(guided) <= kWithin;
    holds = holds && line_holds;
    fmt::print("{:<18} {:>6} {:>7} {:>7.1f} us {:>7.1f} us {:>18} {:>18}  {}\n", shape.name,
               space.configs.size(), budget.evaluations,
               1e6 * recorded.time(space.configs[space.heuristic]), 1e6 * optimum, words(guided),
               words(random), line_holds ? "holds" : "MISSED");
    std::fflush(stdout);
  }
  return holds ? 0 : 1;
}

int bench_transfer(const std::string& device) {
  EngineOptions options;
  options.device = device;
  options.default_tuning = false;
  Engine tuner(options);
  for (const auto& pair : kPairs) {
    TuneBudget budget;
    budget.evaluations = 40;
    tuner.tune(problem_from_json(pair[0]), budget);
  }
  options.tuning = tuner.tuning();
  const Engine tuned(options);
  fmt::print("{:<16} {:>9} {:>9}  {}\n", "", "gain", "spread", "configuration");
  std::vector<double> gains[2];
  for (std::size_t held_out = 0; held_out < 2; ++held_out) {
    for (const auto& pair : kPairs) {
      const Problem problem = problem_from_json(pair[held_out]);
      const PlanReport report = tuned.plan(problem).report();
      PlanOptions plan;
      plan.family = report.family;
      const Space space = make_space(problem, tuned.device().facts, plan);
      const KernelConfig& heuristic = space.configs[space.heuristic];
      double gain = 1, spread = 0;
      if (report.parameters != heuristic) {
        constexpr std::int64_t kRepeats = 31;
        DeviceExaminer examiner(tuned, problem, plan, kSeed);
        const Answer answer = examiner.ask({report.parameters, heuristic, kRepeats});
        if (answer.outcome != TrialOutcome::correct) {
          throw Error(ErrorCategory::device_failure, answer.message);
        }
        std::vector<double> ratios;
        for (std::size_t i = 0; i < answer.seconds.size(); ++i) {
          ratios.push_back(answer.against_seconds[i] / answer.seconds[i]);
        }
        gain = median(ratios);
        spread = median_absolute_deviation(ratios);
      }
      gains[held_out].push_back(gain);
      fmt::print("{:<16} {:>8.3f}x {:>9.3f}  {}: {}\n", held_out ? "held out" : "tuned", gain,
                 spread, report.config, report.config_source);
      std::fflush(stdout);
    }
  }
  const double worst = std::ranges::min(gains[1]);
  const bool holds = median(gains[1]) >= 1 && worst > 0.95;
  fmt::print(
      "median gain {:.3f} on the tuned, {:.3f} on the held-out problems, at worst {:.3f}: {}\n",
      median(gains[0]), median(gains[1]), worst, holds ? "holds" : "MISSED");
  return holds ? 0 : 1;
}

}  // namespace
}  // namespace clattn::tool

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  try {
    const std::string device =
        arguments.size() == 3 && arguments[1] == "--device" ? arguments[2] : "";
    if ((arguments.size() == 1 || !device.empty()) && arguments[0] == "search") {
      return clattn::tool::bench_search(clattn::tool::make_engine(device, false));
    }
    if ((arguments.size() == 1 || !device.empty()) && arguments[0] == "transfer") {
      return clattn::tool::bench_transfer(device);
    }
    fmt::print(stderr, "usage: {} search|transfer [--device SELECTOR]\n", argv[0]);
    return 2;
  } catch (const std::exception& error) {
    fmt::print(stderr, "tune_bench: {}\n", error.what());
    return 2;
  }
}
