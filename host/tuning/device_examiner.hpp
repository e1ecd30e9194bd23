// Answers a search's questions on a device, in the calling process: builds configurations, holds
// what they compute against the CPU reference, and times them in turns, with caches flushed in
// front of each launch.
#pragma once

#include <chrono>
#include <clattn/block_builder.hpp>
#include <future>
#include <map>
#include <optional>

#include "host/trial/device_tensors.hpp"
#include "host/trial/verify.hpp"
#include "host/tuning/search.hpp"

namespace clattn {

class DeviceExaminer final : public Examiner {
 public:
  // Makes random inputs of `seed`, and the reference's results for them. `options` name the family
  // and say how tokens are taken; their configuration is the questions'. Throws Error
  // (out_of_memory, device_failure), and (invalid_argument) for a problem whose buffers come at
  // launch.
  DeviceExaminer(const Engine& engine, const Problem& problem, const PlanOptions& options,
                 std::uint64_t seed);

  // Builds in threads, as many as the machine has.
  void announce(const std::vector<KernelConfig>& configs) override;
  Answer ask(const Question& question) override;

 private:
  struct Built {
    std::optional<Plan> plan;  // nothing: it failed
    TrialOutcome outcome = TrialOutcome::correct;
    std::string message;
    double seconds = 0;
  };
  Built build(const KernelConfig& config) const;
  // Whether it was built, checked and found right; else says why in `answer`.
  bool prepare(const KernelConfig& config, Answer& answer);
  void wait_for_builds();

  Engine engine_;
  Problem problem_;
  PlanOptions options_;
  Queue queue_;
  HostResult result_;
  std::optional<DeviceTensors> tensors_;
  std::optional<RowCheck> check_;
  std::optional<BlockBuilder> lists_;
  std::optional<CacheFlush> flush_caches_;
  std::map<KernelConfig, Plan> plans_;  // that are right
  std::map<KernelConfig, std::future<Built>> building_;
};

// Now, ISO 8601 in UTC.
std::string timestamp_now();

}  // namespace clattn
