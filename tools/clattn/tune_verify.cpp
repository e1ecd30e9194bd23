// clattn tune verify: measures what a store holds for the device at hand once more.
#include "tune_verify.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "fail.hpp"
#include "host/tuning/comparison.hpp"
#include "host/tuning/store_file.hpp"
#include "launch.hpp"
#include "problem_input.hpp"
#include "process_examiner.hpp"
#include "tune_store.hpp"
#include "tune_store_commands.hpp"

namespace clattn::tool {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::int64_t kRepeats = 15;
constexpr double kTolerance = 0.05;  // of the heuristic's time, by which a winner may lose to it

struct Options {
  std::string device, store;
  double timeout = 60;
  bool json = false;
};

struct Verified {
  double gain = 0;      // now; 0: it failed
  std::string verdict;  // "holds", "slower", or what failed
  bool good = false;
  std::string name = {};  // of the problem, in short
};

Verified verify(const TuningEntry& entry, const Options& options, const DeviceFacts& facts) {
  TuneTask task;
  task.device = options.device;
  task.plan.family = entry.key.family;
  try {
    task.problem = problem_from_json(entry.key.problem);
  } catch (const Error&) {
    return {0, "not measured: the store has only a hash of its mask or modifiers", true,
            entry.key.problem};
  }
  const std::string name = describe(task.problem);
  const std::string why_not = family_rejection(entry.key.family, facts);
  if (!why_not.empty()) return {0, why_not, false, name};
  ProcessExaminer examiner(task, options.timeout, facts.kind == DeviceKind::cpu);
  const bool same = entry.config == entry.heuristic;
  const Answer answer =
      examiner.ask({entry.config, same ? KernelConfig() : entry.heuristic, kRepeats});
  if (answer.outcome != TrialOutcome::correct) {
    return {0, fmt::format("{}: {}", to_string(answer.outcome), answer.message), false, name};
  }
  const double gain = same ? 1 : median(answer.against_seconds) / median(answer.seconds);
  if (gain < 1 - kTolerance) return {gain, "slower than the heuristic's choice", false, name};
  return {gain, "holds", true, name};
}

int verify_store(const Options& options) {
  const std::filesystem::path path = store_path(options.store);
  const TuningStore store = read_store(path);
  const Engine engine = make_engine(options.device, false);
  const DeviceFacts& facts = engine.device().facts;
  Json list = Json::array();
  std::int64_t measured = 0, failed = 0;
  for (const TuningEntry& entry : store.entries()) {
    if (entry.key.device != facts.name || entry.key.vendor != facts.vendor) continue;
    const Verified verified = verify(entry, options, facts);
    const std::string fresh = freshness(entry, {facts});
    const double gain = entry.heuristic_seconds / entry.seconds;
    ++measured;
    failed += !verified.good;
    list.push_back({{"family", entry.key.family},
                    {"problem", Json::parse(entry.key.problem)},
                    {"config", entry.config},
                    {"gain", gain},
                    {"gain_now", verified.gain},
                    {"freshness", fresh},
                    {"verdict", verified.verdict},
                    {"good", verified.good}});
    if (options.json) continue;
    if (measured == 1) {
      fmt::print("{:<13} {:>6} {:>6}  {:<14} {:<20} {}\n", "family", "gain", "now", "freshness",
                 "verdict", "problem");
    }
    fmt::print("{:<13} {:>5.2f}x {:>5.2f}x  {:<14} {:<20} {}\n", entry.key.family, gain,
               verified.gain, fresh, verified.verdict, verified.name);
    std::fflush(stdout);
  }
  if (options.json) {
    fmt::print("{}\n",
               Json{{"store", path.string()}, {"device", facts.name}, {"entries", list}}.dump(2));
  } else {
    fmt::print("{} of {} entries are of {}, driver {}; {} do not hold\n", measured,
               store.entries().size(), facts.name, facts.driver_version, failed);
  }
  return failed == 0 ? kSuccess : kCheckFailed;
}

}  // namespace

Command add_tune_verify(CLI::App& tune) {
  CLI::App* const app =
      tune.add_subcommand("verify", "Measure a store's winners again, and say which are stale");
  app->footer("Exit status 1 if one fails, or is slower than the heuristic's choice by over 5%.");
  const auto options = std::make_shared<Options>();
  app->add_option("--store", options->store, "a file instead of the user's store");
  add_device_option(*app, options->device);
  app->add_option("--timeout", options->timeout, "seconds that an entry has")
      ->check(CLI::Range(0.1, 1e5))
      ->capture_default_str();
  add_json_option(*app, options->json);
  return {app, [options] { return verify_store(*options); }};
}

}  // namespace clattn::tool
