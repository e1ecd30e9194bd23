// clattn tune: searches the configurations of a kernel for the fastest one, problem by problem, and
// keeps what it finds in a tuning store. Kernels run in child processes, and a journal keeps every
// answer, so that neither a kernel that hangs nor the end of this process costs what was measured.
#include <clattn/version.h>
#include <fmt/format.h>

#include <clattn/tuning.hpp>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "command.hpp"
#include "fail.hpp"
#include "host/tuning/store_file.hpp"
#include "host/tuning/tuned_entry.hpp"
#include "interrupt.hpp"
#include "launch.hpp"
#include "process_examiner.hpp"
#include "progress.hpp"
#include "tune_journal.hpp"
#include "tune_plot.hpp"
#include "tune_problems.hpp"
#include "tune_progress.hpp"
#include "tune_space_table.hpp"
#include "tune_store_commands.hpp"
#include "tune_table.hpp"
#include "tune_verify.hpp"

namespace clattn::tool {
namespace {

using Json = nlohmann::ordered_json;

struct Options {
  ProblemOptions problem;
  PlanOptions plan;
  TuneBudget budget;
  std::string device, suite, log, strategy = "guided", store, plot;
  double timeout = 60;
  bool resume = false;
  bool space = false;
  bool json = false;
};

SearchStrategy strategy_from(const std::string& name) {
  for (const SearchStrategy strategy :
       {SearchStrategy::exhaustive, SearchStrategy::random, SearchStrategy::guided}) {
    if (name == to_string(strategy)) return strategy;
  }
  fail("unknown strategy '{}'; known are exhaustive, random and guided", name);
}

std::vector<Problem> logged_problems(const std::string& log, const Engine& engine) {
  std::vector<std::string> skipped;
  std::vector<Problem> problems = problems_of_log(log, engine, skipped);
  for (const std::string& line : skipped) fmt::print(stderr, "clattn: left out: {}\n", line);
  if (problems.empty()) fail("{} has no problem that this device takes", log);
  return problems;
}

// What makes two searches the same, so that one can go on where the other ended.
std::string search_text(const TuneTask& task, const TuneBudget& budget, const DeviceFacts& facts) {
  const TuningKey key = tuning_key(task.problem, facts, task.plan.family);
  return Json{{"version", CLATTN_VERSION_STRING},
              {"source", key.source},
              {"device", facts.name},
              {"driver", facts.driver_version},
              {"task", task_line(task, true)},
              {"strategy", to_string(budget.strategy)},
              {"evaluations", budget.evaluations},
              {"seconds", budget.seconds}}
      .dump();
}

// The file name of the plot of problem `index` of several: "name-2.png".
std::string plot_path(const std::string& path, std::size_t index, std::size_t count) {
  if (path.empty() || count == 1) return path;
  const std::filesystem::path whole(path);
  return whole.parent_path() /
         fmt::format("{}-{}{}", whole.stem().string(), index + 1, whole.extension().string());
}

class TuneRun {
 public:
  TuneRun(const Options& options)
      : options_(options), engine_(make_engine(options.device, false)) {}

  int run(std::vector<Problem> problems) {
    if (!options_.log.empty()) problems = logged_problems(options_.log, engine_);
    Json list = Json::array();
    for (std::size_t i = 0; i < problems.size(); ++i) {
      try {
        list.push_back({{"problem", Json::parse(problem_to_json(problems[i]))}});
        list.back().update(run(problems[i], plot_path(options_.plot, i, problems.size())));
      } catch (const Error& error) {
        if (problems.size() == 1) throw;
        failed_ = true;
        list.back()["error"] = error.what();
        fmt::print(stderr, "clattn: {}: {}\n", describe(problems[i]), error.what());
      }
    }
    if (options_.json) {
      fmt::print("{}\n", Json{{"device", facts().name},
                              {"driver", facts().driver_version},
                              {"clattn", CLATTN_VERSION_STRING},
                              {"problems", list}}
                             .dump(2));
    }
    if (failed_) return kCheckFailed;
    // Only now: a run of several problems is taken up as a whole.
    for (const std::filesystem::path& journal : journals_) std::filesystem::remove(journal);
    return kSuccess;
  }

 private:
  const DeviceFacts& facts() const { return engine_.device().facts; }

  // What there is to say of one problem, as JSON.
  Json run(const Problem& problem, const std::string& plot) {
    const Space space = make_space(problem, facts(), options_.plan);
    if (!options_.json) fmt::print("{}\n", describe(problem));
    if (options_.space) {
      if (!options_.json) fmt::print("{}\n", space_table(space));
      return to_json(space);
    }
    const TuneResult result = tune(problem, space);
    if (!options_.json) {
      fmt::print("{}\n{}\n", leaders_table(result, space.parameters),
                 influence_table(result, space.parameters));
      std::fflush(stdout);
    }
    if (!plot.empty()) {
      draw_tune_plot(result, fmt::format("{}, {}", describe(problem), facts().name)).save_png(plot);
    }
    return to_json(result, space.parameters);
  }

  TuneResult tune(const Problem& problem, const Space& space) {
    TuneTask task{options_.device, problem, options_.plan, options_.budget.seed};
    task.plan.family = space.family;
    const std::string search_for = search_text(task, options_.budget, facts());
    ProcessExaminer processes(task, options_.timeout, facts().kind == DeviceKind::cpu);
    JournaledExaminer examiner(processes, journal_path(search_for), search_for, options_.resume);
    journals_.push_back(journal_path(search_for));
    ProgressLine line;
    try {
      const TuneResult result =
          search(space, options_.budget, examiner, [&](const TuneProgress& progress) {
            line.show(tune_progress_line(progress, options_.budget));
            throw_if_interrupted();
            return true;
          });
      line.clear();
      if (result.best_seconds > 0) keep(tuned_entry(problem, facts(), options_.budget, result));
      return result;
    } catch (const Interrupted&) {
      line.clear();
      fmt::print(stderr, "clattn: interrupted; the same command with --resume goes on\n");
      throw;
    }
  }

  // A store that can't be written costs nothing but the writing: the journal has it all.
  void keep(const TuningEntry& entry) {
    try {
      update_store(store_, [&](TuningStore& store) { store.add(entry); });
    } catch (const Error& error) {
      failed_ = true;
      fmt::print(stderr,
                 "clattn: the result is not kept: {}; once that is mended, the same command with "
                 "--resume keeps it without measuring again\n",
                 error.what());
    }
  }

  const Options& options_;
  const Engine engine_;
  const std::filesystem::path store_ = store_path(options_.store);
  std::vector<std::filesystem::path> journals_;
  bool failed_ = false;
};

int tune(Options options) {
  options.budget.strategy = strategy_from(options.strategy);
  if (!options.plan.config.empty()) {
    fail("a configuration that is asked for leaves nothing to tune");
  }
  // What is wrong with them is said before a device is looked for.
  std::vector<Problem> problems;
  if (!options.suite.empty()) {
    problems = problems_of_suite(options.suite);
  } else if (options.log.empty()) {
    problems = {problem_without_tensors(options.problem)};
    validate(problems.front());
  }
  return TuneRun(options).run(std::move(problems));
}

}  // namespace

std::vector<Command> add_tune(CLI::App& parent) {
  CLI::App* const app =
      parent.add_subcommand("tune", "Search for the fastest configuration of a kernel");
  app->footer(
      "Results go to the tuning store, which plans ask (README, \"Tuning\").\n"
      "Example: clattn tune --q-len 4096 --kv-len 4096 --head-dim 128 --dtype bf16 --seconds 60");
  std::vector<Command> commands = add_tune_store_commands(*app);
  commands.push_back(add_tune_verify(*app));
  const auto options = std::make_shared<Options>();
  add_problem_option(*app, options->problem);
  add_size_options(*app, options->problem);
  app->add_option("--suite", options->suite, "tune the problems of a file, a JSON array")
      ->excludes("--problem");
  app->add_option(
         "--from", options->log,
         "tune the problems of a log that CLATTN_TUNE_LOG=file made, by the time they take")
      ->excludes("--problem")
      ->excludes("--suite");
  add_device_option(*app, options->device);
  add_plan_options(*app, options->plan);
  app->add_option("--strategy", options->strategy, "exhaustive, random or guided")
      ->capture_default_str();
  app->add_option("--evaluations", options->budget.evaluations,
                  "end after so many configurations (default: when nothing better turns up)")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1'000'000}));
  app->add_option("--seconds", options->budget.seconds, "end after so long, for each problem")
      ->check(CLI::Range(1.0, 1e7));
  app->add_option("--seed", options->budget.seed, "of the search and the inputs")
      ->capture_default_str();
  app->add_option("--timeout", options->timeout,
                  "seconds that a configuration has to be built, checked and timed first")
      ->check(CLI::Range(0.1, 1e5))
      ->capture_default_str();
  app->add_option("--store", options->store, "a file instead of the user's store");
  app->add_flag("--resume", options->resume, "go on where the same command was ended");
  app->add_option("--plot", options->plot, "write a picture of the search, .png");
  app->add_flag("--space", options->space, "only print the space, and how much of it is legal");
  add_json_option(*app, options->json);
  commands.push_back({app, [options] { return tune(*options); }});
  return commands;
}

}  // namespace clattn::tool
