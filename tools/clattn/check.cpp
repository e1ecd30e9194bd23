// clattn check: kernels against the CPU reference, on one problem or a suite of them, or the user's
// own result file against the reference. Random inputs have guards of NaN around them, outputs are
// NaN at first and have canaries around them.
#include <fmt/format.h>

#include <algorithm>
#include <clattn/block_builder.hpp>
#include <clattn/engine.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "check_suite.hpp"
#include "command.hpp"
#include "fail.hpp"
#include "host/trial/verify.hpp"
#include "interrupt.hpp"
#include "launch.hpp"
#include "problem_input.hpp"
#include "progress.hpp"
#include "reference_progress.hpp"

namespace clattn::tool {
namespace {

struct Options {
  ProblemOptions problem;
  std::string device, expect, suite;
  PlanOptions plan;
  int launches = 0;  // 0: as many as give a time
  bool json = false;
  bool verbose = false;
};

// One row of the table: one case on one family.
struct Row {
  std::string name;
  PlanReport plan;     // with empty texts for a result from a file
  double seconds = 0;  // shortest launch
  Verdict verdict;
  std::vector<std::string> failures;  // empty: passed
};

bool same_bits(const HostResult& a, const HostResult& b) {
  return std::ranges::equal(a.output.storage, b.output.storage) &&
         (!a.lse || std::ranges::equal(a.lse->storage, b.lse->storage));
}

Expected reference_results(const Problem& problem, const HostInputs& inputs,
                           const std::string& label) {
  return with_reference_progress(label, [&](const ReferenceProgress& progress) {
    return expected_results(problem, inputs.view(), progress);
  });
}

// The first of `launches` is held to the reference, the others to the first, bit by bit.
Row run_case(const Launcher& launcher, const CheckCase& check, const HostInputs& inputs,
             const Expected& expected, int launches) {
  const Plan plan = launcher.engine().plan(check.problem, check.plan);
  Row row{describe(check), plan.report(), 0, {}, {}};
  HostResult result = poisoned_result(check.problem, check.guard);
  DeviceTensors tensors(launcher.engine(), launcher.queue(), inputs, result);
  std::optional<BlockBuilder> builder;
  if (check.problem.blocks) {
    builder.emplace(launcher.engine(), check.problem);
    builder->build(launcher.queue());
  }
  const BlockListBuffers lists = builder ? builder->lists() : BlockListBuffers();
  row.seconds = tensors.run(plan, lists);
  tensors.read(result);
  row.verdict = judge(result, expected);
  if (!row.verdict.pass()) row.failures = describe_failure(row.verdict, result);
  HostResult again = result;
  for (int i = 1; i < launches; ++i) {
    row.seconds = std::min(row.seconds, tensors.run(plan, lists));
    tensors.read(again);
    if (same_bits(again, result)) continue;
    row.failures.push_back(fmt::format("launch {} of {} gave other bits", i + 1, launches));
    break;
  }
  return row;
}

// Prints rows as they come, as a table or, at the end, as JSON.
class Report {
 public:
  Report(bool json, bool only_failures) : json_(json), only_failures_(only_failures) {}

  void add(const Row& row) {
    const bool pass = row.failures.empty();
    ++(pass ? passed_ : failed_);
    const Comparison& output = row.verdict.output;
    if (json_) {
      nlohmann::ordered_json entry = {{"case", row.name},
                                      {"family", row.plan.family},
                                      {"config", row.plan.config},
                                      {"seconds", row.seconds},
                                      {"flops", row.plan.flops},
                                      {"pass", pass},
                                      {"max_error", output.max_error},
                                      {"limit", output.limit},
                                      {"relative_error", output.relative_error}};
      if (row.verdict.lse) {
        entry["lse_max_error"] = row.verdict.lse->max_error;
        entry["lse_limit"] = row.verdict.lse->limit;
      }
      entry["failures"] = row.failures;
      rows_.push_back(entry);
      return;
    }
    if (pass && only_failures_) return;
    if (!std::exchange(header_printed_, true)) {
      fmt::print("{:<7} {:<9} {:>8} {:>9} {:>8} {:>9} {:>9} {:>9} {:>9}  {}\n", "verdict", "family",
                 "tile", "time", "GFLOP/s", "max error", "limit", "relative", "LSE error", "case");
    }
    const bool launched = row.seconds > 0;
    fmt::print("{:<7} {:<9} {:>8} {:>9} {:>8} {:>9.2e} {:>9.2e} {:>9.2e} {:>9}  {}\n",
               pass ? "pass" : "FAIL", row.plan.family.empty() ? "(file)" : row.plan.family,
               launched ? fmt::format("{}x{}", row.plan.query_tile, row.plan.key_tile) : "-",
               launched ? format_duration(row.seconds) : "-",
               launched ? fmt::format("{:.1f}", row.plan.flops / row.seconds * 1e-9) : "-",
               output.max_error, output.limit, output.relative_error,
               row.verdict.lse ? fmt::format("{:.2e}", row.verdict.lse->max_error) : "-", row.name);
    for (const std::string& line : row.failures) fmt::print("        {}\n", line);
    std::fflush(stdout);
  }

  void add_note(const std::string& note) { notes_.push_back(note); }

  int finish(const std::string& device, const std::optional<std::uint64_t>& seed) {
    if (json_) {
      nlohmann::ordered_json result = {{"device", device},
                                       {"passed", passed_},
                                       {"failed", failed_},
                                       {"notes", notes_},
                                       {"cases", rows_}};
      if (seed) result["seed"] = *seed;
      fmt::print("{}\n", result.dump(2));
    } else {
      for (const std::string& note : notes_) fmt::print("{}\n", note);
      fmt::print("{} passed, {} failed: {}{}\n", passed_, failed_, device,
                 seed ? fmt::format(", seed {}", *seed) : "");
    }
    return failed_ == 0 ? kSuccess : kCheckFailed;
  }

  std::int64_t rows() const { return passed_ + failed_; }

 private:
  bool json_;
  bool only_failures_;
  bool header_printed_ = false;
  std::int64_t passed_ = 0;
  std::int64_t failed_ = 0;
  std::vector<std::string> notes_;
  nlohmann::ordered_json rows_ = nlohmann::ordered_json::array();
};

std::string name_of(const Launcher& launcher) {
  const DeviceFacts& facts = launcher.engine().device().facts;
  return fmt::format("{}, driver {}", facts.name, facts.driver_version);
}

int check_suite_on_device(const Options& options) {
  const std::vector<CheckCase> cases = check_suite(options.suite);
  const Launcher launcher(options.device);
  Report report(options.json, !options.verbose);
  std::vector<std::string> families;
  for (const std::string& family : family_names()) {
    if (!options.plan.family.empty() && family != options.plan.family) continue;
    const std::string why_not = family_rejection(family, launcher.engine().device().facts);
    if (why_not.empty()) {
      families.push_back(family);
    } else {
      report.add_note(fmt::format("family {} left out: {}", family, why_not));
    }
  }
  std::map<std::string, std::int64_t> refused;  // a family's reason, and how often it was given
  Progress progress("suite " + options.suite, static_cast<std::int64_t>(cases.size()));
  for (std::size_t i = 0; i < cases.size(); ++i) {
    CheckCase check = cases[i];
    const HostInputs inputs =
        random_inputs(check.problem, options.problem.seed + i, check.spread, check.guard);
    Problem whole = check.problem;  // whose mask says what its block lists do
    whole.blocks.reset();
    const Expected expected = reference_results(whole, inputs, "");
    for (const std::string& family : families) {
      throw_if_interrupted();
      if (!check.thin && family != families.front()) continue;
      check.plan.family = family;
      const Support support = launcher.engine().supports(check.problem, check.plan);
      if (!support.supported) {
        ++refused[fmt::format("{}: {}", family, support.reason)];
        continue;
      }
      Row row{describe(check), {}, 0, {}, {}};
      row.plan.family = family;
      try {
        row = run_case(launcher, check, inputs, expected, std::max(options.launches, 1));
      } catch (const Error& error) {
        row.failures = {error.what()};
      }
      progress.clear();
      report.add(row);
    }
    progress.update(static_cast<std::int64_t>(i) + 1);
  }
  progress.clear();
  for (const auto& [reason, count] : refused) {
    report.add_note(fmt::format("{} cases refused by {}", count, reason));
  }
  if (report.rows() == 0) fail("suite '{}' has no case that this device takes", options.suite);
  return report.finish(name_of(launcher), options.problem.seed);
}

int check_problem(const Options& options) {
  Report report(options.json, false);
  CheckCase check;
  HostInputs inputs;
  std::optional<std::uint64_t> seed;
  if (options.problem.query.empty()) {
    constexpr std::int64_t kGuard = 16384;  // a whole tile of the largest dimension
    check.problem = problem_without_tensors(options.problem);
    check.guard = kGuard;
    check.problem.lse = true;
    seed = options.problem.seed;
    inputs = random_inputs(check.problem, *seed, 1, kGuard);
  } else {
    ProblemWithInputs given = problem_with_tensors(options.problem);
    check.problem = given.problem;
    check.problem.lse = options.expect.empty();
    inputs = std::move(given.inputs);
  }

  if (!options.expect.empty()) {
    const HostTensor actual =
        tensor_from_npy(read_npy(options.expect), check.problem, Role::output, std::nullopt);
    const Expected expected = reference_results(check.problem, inputs, "reference");
    Row row{describe(check), {}, 0, {}, {}};
    row.verdict.output = compare_output(dense_values(actual), expected, check.problem.data_type);
    const HostResult result{actual, std::nullopt};
    if (!row.verdict.pass()) row.failures = describe_failure(row.verdict, result);
    report.add(row);
    return report.finish(options.expect, seed);
  }
  const Launcher launcher(options.device);
  check.plan = options.plan;
  launcher.engine().plan(check.problem, check.plan);  // refuses before the reference is computed
  const Expected expected = reference_results(check.problem, inputs, "reference");
  constexpr int kLaunches = 10;
  const int launches = options.launches > 0 ? options.launches : kLaunches;
  report.add(run_case(launcher, check, inputs, expected, launches));
  return report.finish(name_of(launcher), seed);
}

int check(const Options& options) {
  if (!options.suite.empty() &&
      (!options.problem.sizes.empty() || !options.problem.data_type.empty())) {
    fail("--suite brings its own sizes and data types");
  }
  if (!options.expect.empty() && options.problem.query.empty()) {
    fail("--expect needs the tensors it was computed from: --q, --k and --v");
  }
  return options.suite.empty() ? check_problem(options) : check_suite_on_device(options);
}

}  // namespace

Command add_check(CLI::App& parent) {
  CLI::App* const app =
      parent.add_subcommand("check", "Hold kernels, or a result file, to the CPU reference");
  app->footer(
      "Passes if no element differs by more than twice the error of a plain low-precision\n"
      "evaluation, plus a small absolute term. Exit status 1 if any check fails.\n"
      "Example: clattn check --q-len 200 --kv-len 300 --head-dim 64 --dtype bf16");
  const auto options = std::make_shared<Options>();
  add_problem_option(*app, options->problem);
  add_tensor_options(*app, options->problem, false);
  add_size_options(*app, options->problem);
  add_seed_option(*app, options->problem);
  app->add_option("--expect", options->expect,
                  "check this result, .npy, instead of a kernel; needs --q, --k and --v");
  app->add_option("--suite", options->suite, "check a built-in grid: full or reduced")
      ->excludes("--problem")
      ->excludes("--q")
      ->excludes("--expect");
  add_device_option(*app, options->device);
  add_plan_options(*app, options->plan);
  app->add_option("--launches", options->launches,
                  "launches of each case, which must all give the same bits (default: 1 of a "
                  "suite's, 10 of a problem)")
      ->check(CLI::Range(1, 1000));
  add_json_option(*app, options->json);
  app->add_flag("--verbose", options->verbose, "of a suite, print the cases that pass, too");
  return {app, [options] { return check(*options); }};
}

}  // namespace clattn::tool
