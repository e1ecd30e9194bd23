#include "host/tuning/device_examiner.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "runtime/status.hpp"

namespace clattn {
namespace {

using Clock = std::chrono::steady_clock;

// Clocks rise, and what a driver does at the first launch is done.
constexpr double kWarmUpSeconds = 0.02;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

TrialOutcome outcome_of(const Error& error) {
  switch (error.category()) {
    case ErrorCategory::build_failure:
      return TrialOutcome::compile;
    case ErrorCategory::invalid_argument:
    case ErrorCategory::unsupported:
    case ErrorCategory::device_limit:
      return TrialOutcome::constraints;
    case ErrorCategory::out_of_memory:
    case ErrorCategory::device_failure:
      break;
  }
  return TrialOutcome::runtime;
}

Queue make_queue(const Engine& engine) {
  cl_int code = CL_SUCCESS;
  auto queue = Queue::adopt(
      clCreateCommandQueue(engine.context(), engine.device().id, CL_QUEUE_PROFILING_ENABLE, &code));
  check(code, "clCreateCommandQueue");
  return queue;
}

}  // namespace

std::string timestamp_now() {
  const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}",
                     fmt::gmtime(std::chrono::system_clock::to_time_t(now)));
}

DeviceExaminer::DeviceExaminer(const Engine& engine, const Problem& problem,
                               const PlanOptions& options, std::uint64_t seed)
    : engine_(engine),
      problem_(problem),
      options_(options),
      queue_(make_queue(engine)),
      result_(poisoned_result(problem)) {
  const HostInputs inputs = random_inputs(problem, seed);
  Problem whole = problem;  // whose mask says what its block lists do
  whole.blocks.reset();
  const std::int64_t query_tile = engine.plan(problem, options).report().query_tile;
  check_.emplace(whole, inputs, query_tile);
  tensors_.emplace(engine, queue_.get(), inputs, result_);
  flush_caches_.emplace(engine, queue_.get());
  if (problem.blocks) {
    lists_.emplace(engine, problem);
    lists_->build(queue_.get());
  }
}

DeviceExaminer::Built DeviceExaminer::build(const KernelConfig& config) const {
  const auto start = Clock::now();
  Built built;
  try {
    PlanOptions options = options_;
    options.config = config;
    built.plan = engine_.plan(problem_, options);
  } catch (const Error& error) {
    built.outcome = outcome_of(error);
    built.message = error.what();
  }
  built.seconds = seconds_since(start);
  return built;
}

void DeviceExaminer::announce(const std::vector<KernelConfig>& configs) {
  const std::size_t threads = std::max(std::thread::hardware_concurrency(), 1u);
  for (const KernelConfig& config : configs) {
    if (building_.size() >= threads) break;
    if (plans_.contains(config) || building_.contains(config)) continue;
    building_.emplace(config,
                      std::async(std::launch::async, [this, config] { return build(config); }));
  }
}

void DeviceExaminer::wait_for_builds() {
  for (const auto& [config, built] : building_) built.wait();
}

bool DeviceExaminer::prepare(const KernelConfig& config, Answer& answer) {
  if (plans_.contains(config)) return true;
  Built built;
  if (const auto ahead = building_.extract(config)) {
    built = ahead.mapped().get();
  } else {
    built = build(config);
  }
  answer.build_seconds += built.seconds;
  answer.outcome = built.outcome;
  answer.message = built.message;
  if (!built.plan) return false;

  const auto start = Clock::now();
  HostResult result = result_;
  tensors_->write(result);
  tensors_->run(*built.plan, lists_ ? lists_->lists() : BlockListBuffers());
  tensors_->read(result);
  const std::vector<std::string> failures = check_->failures(result);
  answer.check_seconds += seconds_since(start);
  if (failures.empty()) {
    plans_.emplace(config, *built.plan);
    return true;
  }
  answer.outcome = TrialOutcome::correctness;
  answer.message = fmt::format("{}", fmt::join(failures, "; "));
  return false;
}

Answer DeviceExaminer::ask(const Question& question) {
  const auto start = Clock::now();
  Answer answer;
  answer.timestamp = timestamp_now();
  try {
    const bool paired = !question.against.empty();
    // On a CPU, what is built ahead would take part in what is timed.
    if (engine_.device().facts.kind == DeviceKind::cpu) wait_for_builds();
    if (prepare(question.config, answer) && (!paired || prepare(question.against, answer))) {
      const BlockListBuffers lists = lists_ ? lists_->lists() : BlockListBuffers();
      const auto time = [&](const KernelConfig& config) {
        (*flush_caches_)();
        return tensors_->run(plans_.at(config), lists);
      };
      const auto warm_up = Clock::now();
      do {
        time(question.config);
        if (paired) time(question.against);
      } while (seconds_since(warm_up) < kWarmUpSeconds);
      for (std::int64_t i = 0; i < question.repeats; ++i) {
        answer.seconds.push_back(time(question.config));
        if (paired) answer.against_seconds.push_back(time(question.against));
      }
    }
  } catch (const Error& error) {
    answer.outcome = outcome_of(error);
    answer.message = error.what();
    answer.seconds.clear();
    answer.against_seconds.clear();
  }
  answer.elapsed = seconds_since(start);
  return answer;
}

}  // namespace clattn
