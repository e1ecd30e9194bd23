#include "process_examiner.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "fail.hpp"
#include "host/tuning/device_examiner.hpp"
#include "interrupt.hpp"
#include "tune_json.hpp"

namespace clattn::tool {
namespace {

using Clock = std::chrono::steady_clock;
using Json = nlohmann::ordered_json;

constexpr std::size_t kMostBuilders = 8;
constexpr double kStartFactor = 10;   // inputs are made, and the reference computed
constexpr double kLaunchSeconds = 1;  // that a launch and its flush may take beside its own time
constexpr double kLaunchFactor = 10;  // to the slowest launch so far
constexpr auto kBuilderPoll = std::chrono::milliseconds(5);

Clock::time_point in(double seconds) {
  return Clock::now() +
         std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

}  // namespace

ProcessExaminer::ProcessExaminer(TuneTask task, double timeout, bool builds_disturb)
    : task_(std::move(task)), timeout_(timeout), builds_disturb_(builds_disturb) {
  builders_.resize(std::clamp<std::size_t>(std::thread::hardware_concurrency(), 1, kMostBuilders));
}

void ProcessExaminer::announce(const std::vector<KernelConfig>& configs) {
  for (const KernelConfig& config : configs) {
    if (announced_.insert(config).second) to_build_.push_back(config);
  }
}

ChildProcess& ProcessExaminer::measurer() {
  if (measurer_) return *measurer_;
  measurer_ = std::make_unique<ChildProcess>(std::vector{own_path(), std::string("tune-worker")});
  measurer_->send(task_line(task_, true));
  const auto line = measurer_->receive(kStartFactor * timeout_);
  const Json said = line ? Json::parse(*line) : Json();
  if (said.contains("ready")) return *measurer_;
  const std::string why = said.contains("error") ? said["error"].get<std::string>()
                          : measurer_->death().empty()
                              ? fmt::format("it was not ready within {} s", kStartFactor * timeout_)
                              : measurer_->death();
  measurer_.reset();
  throw Error(ErrorCategory::device_failure, "the process that measures failed: " + why);
}

bool ProcessExaminer::tend_builders(const KernelConfig& wanted) {
  bool waits = false;
  for (Builder& builder : builders_) {
    if (builder.config) {
      // The first line says that the builder is ready, the others that it has built.
      while (const auto line = builder.process->receive(0)) {
        if (!Json::parse(*line).contains("ready")) builder.config.reset();
      }
      if (builder.config &&
          (!builder.process->death().empty() || Clock::now() > builder.deadline)) {
        builder.process.reset();
        builder.config.reset();
      }
    }
    if (!builder.config && !to_build_.empty()) {
      if (!builder.process) {
        builder.process =
            std::make_unique<ChildProcess>(std::vector{own_path(), std::string("tune-worker")});
        builder.process->send(task_line(task_, false));
      }
      builder.config = to_build_.front();
      builder.deadline = in(timeout_);
      to_build_.pop_front();
      builder.process->send(Json{{"build", *builder.config}}.dump());
    }
    waits = waits || (builder.config && (builds_disturb_ || *builder.config == wanted));
  }
  return waits;
}

Answer ProcessExaminer::ask(const Question& question) {
  ChildProcess& process = measurer();  // whose start is not the configuration's fault
  const auto start = Clock::now();
  while (tend_builders(question.config)) {
    throw_if_interrupted();
    std::this_thread::sleep_for(kBuilderPoll);
  }
  const double limit = timeout_ + static_cast<double>(question.repeats) *
                                      (kLaunchSeconds + kLaunchFactor * launch_seconds_);
  process.send(to_json(question).dump());
  Answer answer;
  if (const auto line = process.receive(limit)) {
    const Json said = Json::parse(*line);
    if (said.contains("error")) {
      answer.outcome = TrialOutcome::runtime;
      answer.message = said["error"].get<std::string>();
    } else {
      answer = answer_from_json(said);
    }
  } else if (process.death().empty()) {
    answer.outcome = TrialOutcome::timeout;
    answer.message = fmt::format("no answer within {:.3g} s", limit);
  } else {
    answer.outcome = TrialOutcome::runtime;
    answer.message = "the process that measured it died: " + process.death();
  }
  for (const double seconds : answer.seconds) launch_seconds_ = std::max(launch_seconds_, seconds);
  // A context in which a launch failed may be of no more use.
  if (answer.outcome == TrialOutcome::runtime || answer.outcome == TrialOutcome::timeout) {
    measurer_.reset();
  }
  answer.timestamp = timestamp_now();
  answer.elapsed = std::chrono::duration<double>(Clock::now() - start).count();
  return answer;
}

}  // namespace clattn::tool
