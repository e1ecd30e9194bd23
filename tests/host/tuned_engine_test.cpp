// Tuning stores through the engine, on every device: plans say where their configuration came from
// and compute the right result with it, whichever store it is in.
#include <clattn/tuning.hpp>
#include <cmath>
#include <utility>

#include "host/tuning/problem_log.hpp"
#include "host/tuning/store_file.hpp"
#include "tests/host/tuning_support.hpp"
#include "tests/support.hpp"

namespace clattn {
namespace {

Problem make_problem() {
  Problem problem;
  problem.query_len = 70;
  problem.key_len = 90;
  problem.head_dim = problem.value_dim = 16;
  problem.mask = causal_mask();
  return problem;
}

// Another configuration than the heuristic's, where one that differs in its tile of keys is legal.
KernelConfig other_config(const Engine& engine, const std::string& family) {
  const KernelConfig heuristic =
      engine.plan(make_problem(), {.family = family}).report().parameters;
  for (std::int64_t keys : {16, 32, 64, 128}) {
    KernelConfig config = heuristic;
    const auto tile = config.find("key_tile");
    if (tile == config.end() || tile->second == keys) continue;
    tile->second = keys;
    if (engine.supports(make_problem(), {.family = family, .config = config}).supported) {
      return config;
    }
  }
  return heuristic;
}

TuningEntry entry_for(const Engine& engine, const std::string& family) {
  TuningEntry entry = test::make_entry(tuning_key(make_problem(), engine.device().facts, family));
  entry.config = other_config(engine, family);
  return entry;
}

bool is_right(const Engine& engine, const Plan& plan) {
  const Problem& problem = plan.problem();
  test::Random random(1);
  std::vector<std::byte> host[3];
  Memory memory[3];
  for (int i = 0; i < 3; ++i) {
    const TensorShape shape = tensor_shape(problem, static_cast<Role>(i));
    host[i] = test::random_elements(random, problem.data_type, shape.span());
    memory[i] = test::make_buffer(engine.context(), host[i].size(), host[i].data());
  }
  const std::size_t count =
      static_cast<std::size_t>(tensor_shape(problem, Role::output).elements());
  const std::vector<float> poison(count, std::nanf(""));
  const Memory output = test::make_buffer(engine.context(), count * sizeof(float), poison.data());
  const Queue queue = test::make_queue(engine);
  plan.enqueue(queue.get(),
               {{memory[0].get()}, {memory[1].get()}, {memory[2].get()}, {output.get()}});
  const ReferenceResult exact = reference_attention(problem, {host[0], host[1], host[2]});
  const auto actual = test::read_buffer<float>(queue.get(), output.get(), count);
  for (std::size_t i = 0; i < count; ++i) {
    if (!(std::abs(actual[i] - exact.output[i]) < 1e-4)) return false;
  }
  return true;
}

// Engines that ask nothing but what they are given.
Engine bare_engine(std::size_t device, const std::optional<std::string>& tuning = {}) {
  return test::make_engine(device, {.tuning = tuning, .default_tuning = false});
}

TEST(TunedEngine, TakesWhatItIsGiven) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  for (const test::Target& target : test::targets()) {
    SCOPED_TRACE(target.label);
    TuningStore store;
    store.add(entry_for(bare_engine(target.device_index), target.family));
    const Engine engine = bare_engine(target.device_index, store.to_json());
    EXPECT_EQ(engine.tuning(), store.to_json());
    const PlanOptions options{.family = target.family};
    EXPECT_TRUE(engine.supports(make_problem(), options).supported);
    const Plan plan = engine.plan(make_problem(), options);
    EXPECT_EQ(plan.report().parameters, store.entries()[0].config);
    const std::string source =
        "tuned for this problem (engine store, 2026-11-22, 1.12 times the heuristic's speed)";
    EXPECT_EQ(plan.report().config_source, source);
    EXPECT_NE(plan.explain().find(source), std::string::npos) << plan.explain();
    EXPECT_TRUE(is_right(engine, plan));
  }
}

TEST(TunedEngine, AsksTheUsersStoreUnlessToldNotTo) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  const test::TemporaryFolder folder;
  const test::ScopedEnvironment data("XDG_DATA_HOME", folder.path().string());
  const test::Target& target = test::targets().front();
  const PlanOptions options{.family = target.family};
  const TuningEntry entry = entry_for(bare_engine(target.device_index), target.family);
  const Engine early = test::make_engine(target.device_index);
  EXPECT_EQ(early.tuning(), TuningStore().to_json());
  update_store(user_store_path(), [&](TuningStore& store) { store.add(entry); });
  // Stores are read before the first plan.
  const auto source = [&](const Engine& engine) {
    return engine.plan(make_problem(), options).report().config_source;
  };
  EXPECT_TRUE(source(early).starts_with("tuned for this problem (user store")) << source(early);
  EXPECT_EQ(source(bare_engine(target.device_index)), "heuristic");
  update_store(user_store_path(),
               [](TuningStore& store) { store.erase_if([](const TuningEntry&) { return true; }); });
  EXPECT_TRUE(source(early).starts_with("tuned for this problem (user store")) << "and only then";
  // What can't be read is said, and no reason not to plan.
  test::write_file(user_store_path(), "{");
  test::LogRecorder log;
  const Engine engine = test::make_engine(target.device_index, {.log = log.callback()});
  engine.plan(make_problem(), options);
  engine.plan(make_problem(), options);
  ASSERT_EQ(log.warnings().size(), 1u);
  EXPECT_NE(log.warnings()[0].find(user_store_path().string()), std::string::npos);
}

TEST(TunedEngine, RefusesATextThatIsNoStore) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  test::expect_error(ErrorCategory::invalid_argument, {"the tuning store is not JSON"},
                     [] { bare_engine(0, "nonsense"); });
}

TEST(TunedEngine, TunesInProcess) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  const test::Target& target = test::targets().front();
  const PlanOptions options{.family = target.family};
  Engine engine = bare_engine(target.device_index);
  const TuneBudget budget{.strategy = SearchStrategy::random, .evaluations = 3};
  std::int64_t calls = 0;
  const TuneResult result =
      engine.tune(make_problem(), budget, options, [&](const TuneProgress& progress) {
        ++calls;
        EXPECT_EQ(progress.expected, 3);
        EXPECT_EQ(progress.failures, 0);
        return true;
      });
  EXPECT_GE(calls, 3);
  EXPECT_EQ(result.family, target.family);
  ASSERT_EQ(result.trials.size(), 3u);
  for (const Trial& trial : result.trials) {
    EXPECT_EQ(trial.outcome, TrialOutcome::correct) << trial.message;
    EXPECT_GE(trial.seconds.size(), 3u);
    EXPECT_EQ(trial.timestamp.size(), std::string("2026-11-22T10:00:00Z").size());
  }
  EXPECT_GT(result.best_seconds, 0);
  EXPECT_LE(result.best_seconds, result.heuristic_seconds);
  // Plans use it at once, and those of an engine that is handed the text.
  for (const Engine& user : {engine, bare_engine(target.device_index, engine.tuning())}) {
    const Plan plan = user.plan(make_problem(), options);
    EXPECT_EQ(plan.report().parameters, result.best);
    EXPECT_TRUE(plan.report().config_source.starts_with("tuned for this problem (engine store"))
        << plan.report().config_source;
    EXPECT_TRUE(is_right(user, plan));
  }
  // What is asked to end, ends.
  const TuneResult ended =
      engine.tune(make_problem(), {}, options, [](const TuneProgress&) { return false; });
  EXPECT_EQ(ended.stop, "interrupted");
  EXPECT_EQ(ended.trials.size(), 1u);
  for (const auto& [bad, word] : {std::pair(TuneBudget{.evaluations = -1}, "evaluations is -1"),
                                  {TuneBudget{.seconds = std::nan("")}, "seconds is nan"}}) {
    test::expect_error(ErrorCategory::invalid_argument, {word},
                       [&, bad = bad] { engine.tune(make_problem(), bad, options); });
  }
  test::expect_error(ErrorCategory::invalid_argument, {"leaves nothing to tune"}, [&] {
    engine.tune(make_problem(), budget, {.family = target.family, .config = result.best});
  });
}

TEST(TunedEngine, LogsWhatIsPlanned) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  const test::TemporaryFolder folder;
  const std::string path = (folder.path() / "log").string();
  const test::ScopedEnvironment variable("CLATTN_TUNE_LOG", path);
  const test::Target& target = test::targets().front();
  const Engine engine = bare_engine(target.device_index);
  const Plan plan = engine.plan(make_problem(), {.family = target.family});
  engine.plan(make_problem(), {.family = target.family});
  engine.plan(make_problem(), {.family = target.family, .config = plan.report().parameters});
  engine.supports(make_problem());
  const std::vector<LoggedProblem> problems = read_problem_log(path);
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_EQ(problems[0].problem, problem_to_json(make_problem()));
  EXPECT_EQ(problems[0].family, target.family);
  EXPECT_EQ(problems[0].device, engine.device().facts.name);
  EXPECT_EQ(problems[0].count, 2);
}

}  // namespace
}  // namespace clattn
