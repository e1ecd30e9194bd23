#include "runtime/trace.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <clattn/error.hpp>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

#include "runtime/status.hpp"

namespace clattn {

void Trace::record(cl_command_queue queue, const Event& event, Launch launch) noexcept try {
  cl_command_queue_properties properties = 0;
  check(clGetCommandQueueInfo(queue, CL_QUEUE_PROPERTIES, sizeof properties, &properties, nullptr),
        "clGetCommandQueueInfo");
  if (!(properties & CL_QUEUE_PROFILING_ENABLE)) {
    if (log_ && !warned_.exchange(true)) {
      log_(LogLevel::warning,
           "launches on a queue without CL_QUEUE_PROFILING_ENABLE are left out of the trace");
    }
    return;
  }
  const std::lock_guard lock(mutex_);
  entries_.push_back({Queue::retain(queue), event, std::move(launch)});
} catch (const std::exception& error) {
  if (log_) log_(LogLevel::warning, fmt::format("a launch is not in the trace: {}", error.what()));
}

void Trace::write(const std::string& path) const {
  // Of a copy, for to wait under the lock would hold up the launches of other threads.
  const std::vector<Entry> entries = [this] {
    const std::lock_guard lock(mutex_);
    return entries_;
  }();
  constexpr std::array kStages = {CL_PROFILING_COMMAND_QUEUED, CL_PROFILING_COMMAND_SUBMIT,
                                  CL_PROFILING_COMMAND_START, CL_PROFILING_COMMAND_END};
  using Times = std::array<cl_ulong, kStages.size()>;
  std::vector<std::pair<const Entry*, Times>> finished;
  cl_ulong first = std::numeric_limits<cl_ulong>::max();
  for (const Entry& entry : entries) {
    const cl_event event = entry.event.get();
    if (clWaitForEvents(1, &event) != CL_SUCCESS) continue;  // a launch that failed has no times
    Times times;
    for (std::size_t stage = 0; stage < kStages.size(); ++stage) {
      check(
          clGetEventProfilingInfo(event, kStages[stage], sizeof(cl_ulong), &times[stage], nullptr),
          "clGetEventProfilingInfo");
    }
    first = std::min(first, times[0]);
    finished.emplace_back(&entry, times);
  }

  // A queue is a thread of the picture, and its launches are slices from start to end. Waits can
  // overlap, which slices of one thread must not, so they are asynchronous pairs beside it.
  std::map<cl_command_queue, int> queues;
  nlohmann::json events = nlohmann::json::array();
  for (std::size_t i = 0; i < finished.size(); ++i) {
    const auto& [entry, times] = finished[i];
    const auto [queued, submitted, started, ended] = times;
    const auto microseconds = [&](cl_ulong time) { return double(time - first) * 1e-3; };
    const nlohmann::json common = {
        {"name", entry->launch.kernel},
        {"pid", 0},
        {"tid", queues.emplace(entry->queue.get(), queues.size()).first->second}};
    const auto add = [&](nlohmann::json event) {
      event.update(common);
      events.push_back(std::move(event));
    };
    add({{"cat", "waiting"}, {"ph", "b"}, {"id", i}, {"ts", microseconds(queued)}});
    add({{"cat", "waiting"}, {"ph", "e"}, {"id", i}, {"ts", microseconds(started)}});
    add({{"cat", "running"},
         {"ph", "X"},
         {"ts", microseconds(started)},
         {"dur", double(ended - started) * 1e-3},
         {"args",
          {{"config", entry->launch.config},
           {"flops", entry->launch.flops},
           {"bytes", entry->launch.bytes},
           {"queued_us", microseconds(queued)},
           {"submitted_us", microseconds(submitted)},
           {"started_us", microseconds(started)},
           {"ended_us", microseconds(ended)}}}});
  }

  const std::string temporary = path + ".new";
  std::ofstream file(temporary);
  file << nlohmann::json{{"traceEvents", events}, {"displayTimeUnit", "ns"}}.dump(1) << '\n';
  file.close();
  std::error_code error;
  if (file) std::filesystem::rename(temporary, path, error);
  if (!file || error) {
    std::error_code ignored;
    std::filesystem::remove(temporary, ignored);
    throw Error(ErrorCategory::invalid_argument, fmt::format("cannot write the trace {}", path));
  }
}

}  // namespace clattn
