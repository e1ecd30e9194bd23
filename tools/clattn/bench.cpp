// clattn bench: times problems by device events, each checked against the CPU reference first, on
// normal random inputs and with caches flushed between repetitions. Reported are the median and the
// median absolute deviation, and the bound: the time that the FLOPs or the bytes need at the rates
// that small kernels reached on this device. --json has the shape of Google Benchmark's output.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <clattn/engine.hpp>
#include <ctime>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "bench_suite.hpp"
#include "command.hpp"
#include "fail.hpp"
#include "host/trial/verify.hpp"
#include "host/tuning/comparison.hpp"
#include "interrupt.hpp"
#include "launch.hpp"
#include "problem_input.hpp"
#include "progress.hpp"
#include "reference_progress.hpp"

namespace clattn::tool {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kMinRepetitions = 5;
constexpr std::size_t kMaxRepetitions = 1000;
constexpr double kWarmUpSeconds = 0.2;
constexpr std::size_t kMinWarmUps = 2;

struct Options {
  ProblemOptions problem;
  std::string device, suite;
  PlanOptions plan;
  double min_time = 2;
  bool json = false;
};

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

struct Measurement {
  std::string name;
  PlanReport report;
  DeviceRates rates;
  std::vector<std::string> failures;  // not timed unless empty
  std::vector<double> seconds;        // of each repetition

  double flops_per_second(double time) const { return static_cast<double>(report.flops) / time; }
  double bytes_per_second(double time) const { return static_cast<double>(report.bytes) / time; }
  double bound() const {
    return std::max(static_cast<double>(report.flops) / rates.flops_per_second,
                    static_cast<double>(report.bytes) / rates.bytes_per_second);
  }
};

Measurement measure(const Launcher& launcher, const Options& options, const Problem& problem,
                    const CacheFlush& flush_caches) {
  const Plan plan = launcher.engine().plan(problem, options.plan);
  Measurement measurement{describe(problem), plan.report(), launcher.engine().rates(), {}, {}};
  const HostInputs inputs = random_inputs(problem, options.problem.seed);
  HostResult result = poisoned_result(problem);
  const DeviceTensors tensors(launcher.engine(), launcher.queue(), inputs, result);
  tensors.run(plan);
  tensors.read(result);
  measurement.failures =
      with_reference_progress("checking", [&](const ReferenceProgress& progress) {
        return RowCheck(problem, inputs, measurement.report.query_tile, progress).failures(result);
      });
  if (!measurement.failures.empty()) return measurement;

  const auto warm_up = Clock::now();
  for (std::size_t i = 0; i < kMinWarmUps || seconds_since(warm_up) < kWarmUpSeconds; ++i) {
    throw_if_interrupted();
    tensors.run(plan);
  }
  constexpr std::int64_t kPercent = 100;
  Progress progress(measurement.name + ", % of its time", kPercent);
  const auto start = Clock::now();
  std::vector<double>& seconds = measurement.seconds;
  while (seconds.size() < kMaxRepetitions &&
         (seconds.size() < kMinRepetitions || seconds_since(start) < options.min_time)) {
    throw_if_interrupted();
    flush_caches();
    seconds.push_back(tensors.run(plan));
    const double part = std::min(1.0, seconds_since(start) / options.min_time);
    progress.update(static_cast<std::int64_t>(part * kPercent));
  }
  return measurement;
}

void print_header(const Launcher& launcher, const DeviceRates& rates) {
  const DeviceFacts& facts = launcher.engine().device().facts;
  fmt::print("{}, driver {}: {:.1f} GFLOP/s (f32), {:.1f} GB/s (copy)\n", facts.name,
             facts.driver_version, rates.flops_per_second * 1e-9, rates.bytes_per_second * 1e-9);
  fmt::print("{:<9} {:>10} {:>10} {:>5} {:>9} {:>8} {:>10} {:>8}  {}\n", "family", "median",
             "deviation", "runs", "GFLOP/s", "GB/s", "bound", "of bound", "problem");
}

void print_row(const Measurement& row) {
  if (!row.failures.empty()) {
    fmt::print("{:<9} FAILED its check, not timed: {}\n", row.report.family, row.name);
    for (const std::string& line : row.failures) fmt::print("        {}\n", line);
    return;
  }
  const double time = median(row.seconds);
  fmt::print("{:<9} {:>10} {:>10} {:>5} {:>9.1f} {:>8.2f} {:>10} {:>7.1f}%  {}\n",
             row.report.family, format_duration(time),
             format_duration(median_absolute_deviation(row.seconds)), row.seconds.size(),
             row.flops_per_second(time) * 1e-9, row.bytes_per_second(time) * 1e-9,
             format_duration(row.bound()), 100 * row.bound() / time, row.name);
  std::fflush(stdout);
}

nlohmann::ordered_json context_json(const Launcher& launcher, const Options& options,
                                    const DeviceRates& rates) {
  const DeviceFacts& facts = launcher.engine().device().facts;
  const std::time_t now = std::time(nullptr);
  std::array<char, 32> date{};
  std::strftime(date.data(), date.size(), "%FT%T%z", std::localtime(&now));
  std::array<char, 256> host{};
  gethostname(host.data(), host.size() - 1);
  return {{"date", date.data()},
          {"host_name", host.data()},
          {"executable", "clattn"},
          {"num_cpus", std::thread::hardware_concurrency()},
          {"device", facts.name},
          {"driver", facts.driver_version},
          {"platform", facts.platform_version},
          {"flops_per_second", rates.flops_per_second},
          {"bytes_per_second", rates.bytes_per_second},
          {"seed", options.problem.seed}};
}

nlohmann::ordered_json entry_json(const Measurement& row, const std::string& suffix, double time) {
  constexpr double kMicro = 1e6;
  return {{"name", row.name + suffix},
          {"run_name", row.name},
          {"run_type", suffix.empty() ? "iteration" : "aggregate"},
          {"repetitions", row.seconds.size()},
          {"threads", 1},
          {"iterations", suffix.empty() ? 1 : row.seconds.size()},
          {"real_time", time * kMicro},
          {"cpu_time", time * kMicro},
          {"time_unit", "us"},
          {"label", row.report.family + " " + row.report.config}};
}

void append_json(const Measurement& row, nlohmann::ordered_json& benchmarks) {
  if (!row.failures.empty()) {
    nlohmann::ordered_json entry = entry_json(row, "", 0);
    entry["error_occurred"] = true;
    entry["error_message"] = "failed its check: " + row.failures.front();
    benchmarks.push_back(entry);
    return;
  }
  for (std::size_t i = 0; i < row.seconds.size(); ++i) {
    nlohmann::ordered_json entry = entry_json(row, "", row.seconds[i]);
    entry["repetition_index"] = i;
    benchmarks.push_back(entry);
  }
  const double time = median(row.seconds);
  nlohmann::ordered_json entry = entry_json(row, "_median", time);
  entry["aggregate_name"] = "median";
  entry["flops"] = row.report.flops;
  entry["bytes"] = row.report.bytes;
  entry["flops_per_second"] = row.flops_per_second(time);
  entry["bytes_per_second"] = row.bytes_per_second(time);
  entry["bound_seconds"] = row.bound();
  entry["part_of_bound"] = row.bound() / time;
  benchmarks.push_back(entry);
  entry = entry_json(row, "_mad", median_absolute_deviation(row.seconds));
  entry["aggregate_name"] = "mad";
  benchmarks.push_back(entry);
}

DataType suite_type(const ProblemOptions& options) {
  if (options.data_type.empty()) return DataType::f32;
  return problem_from_json(nlohmann::json{{"dtype", options.data_type}}.dump()).data_type;
}

int bench(const Options& options) {
  const Launcher launcher(options.device);
  const DeviceRates rates = launcher.engine().rates();
  std::vector<Problem> problems;
  if (options.suite.empty()) {
    problems = {problem_without_tensors(options.problem)};
  } else {
    if (!options.problem.sizes.empty()) fail("--suite brings its own sizes");
    problems = bench_suite(options.suite, suite_type(options.problem),
                           launcher.engine().device().facts, rates);
  }
  const CacheFlush flush_caches(launcher.engine(), launcher.queue());
  nlohmann::ordered_json benchmarks = nlohmann::ordered_json::array();
  bool failed = false;
  if (!options.json) print_header(launcher, rates);
  for (const Problem& problem : problems) {
    const Measurement row = measure(launcher, options, problem, flush_caches);
    failed = failed || !row.failures.empty();
    if (options.json) {
      append_json(row, benchmarks);
    } else {
      print_row(row);
    }
  }
  if (options.json) {
    fmt::print("{}\n", nlohmann::ordered_json{{"context", context_json(launcher, options, rates)},
                                              {"benchmarks", benchmarks}}
                           .dump(2));
  }
  return failed ? kCheckFailed : kSuccess;
}

}  // namespace

Command add_bench(CLI::App& parent) {
  CLI::App* const app = parent.add_subcommand("bench", "Time a problem or a suite, checked first");
  app->footer(
      "Times are those of the device's events; caches are flushed before every run.\n"
      "Example: clattn bench --suite dense --dtype f16 --json");
  const auto options = std::make_shared<Options>();
  add_problem_option(*app, options->problem);
  add_size_options(*app, options->problem);
  add_seed_option(*app, options->problem);
  app->add_option("--suite", options->suite, "time built-in shapes: dense")->excludes("--problem");
  app->add_option("--min-time", options->min_time, "seconds to spend on each problem")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  add_device_option(*app, options->device);
  add_plan_options(*app, options->plan);
  add_json_option(*app, options->json);
  return {app, [options] { return bench(*options); }};
}

}  // namespace clattn::tool
