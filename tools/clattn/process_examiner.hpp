// Answers a search's questions by child processes (tune_worker.hpp): one that measures, and some
// that build ahead into the disk cache of programs. What does not answer in time is killed.
#pragma once

#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "child_process.hpp"
#include "tune_worker.hpp"

namespace clattn::tool {

class ProcessExaminer final : public Examiner {
 public:
  // A configuration has `timeout` seconds for being built, checked and timed a first time.
  // `builds_disturb`: the device is the CPU that compiles.
  ProcessExaminer(TuneTask task, double timeout, bool builds_disturb);

  void announce(const std::vector<KernelConfig>& configs) override;
  // Throws Error (device_failure) if even the task itself fails, and Interrupted.
  Answer ask(const Question& question) override;

 private:
  struct Builder {
    std::unique_ptr<ChildProcess> process;
    std::optional<KernelConfig> config;  // that it builds
    std::chrono::steady_clock::time_point deadline;
  };
  ChildProcess& measurer();
  // Hands out what is to be built; returns whether anything still is that a question must wait for.
  bool tend_builders(const KernelConfig& wanted);

  TuneTask task_;
  double timeout_;
  bool builds_disturb_;
  std::unique_ptr<ChildProcess> measurer_;
  std::vector<Builder> builders_;
  std::deque<KernelConfig> to_build_;
  std::set<KernelConfig> announced_;
  double launch_seconds_ = 0;  // of the slowest that was timed
};

}  // namespace clattn::tool
