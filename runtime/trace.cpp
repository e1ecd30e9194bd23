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
  std::vector<Times> times(entries.size());
  cl_ulong first = std::numeric_limits<cl_ulong>::max();
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const cl_event event = entries[i].event.get();
    check(clWaitForEvents(1, &event), "clWaitForEvents");
    for (std::size_t stage = 0; stage < kStages.size(); ++stage) {
      check(clGetEventProfilingInfo(event, kStages[stage], sizeof(cl_ulong), &times[i][stage],
                                    nullptr),
            "clGetEventProfilingInfo");
    }
    first = std::min(first, times[i][0]);
  }

  // One thread of the picture a queue, with waiting and running beneath each other.
  std::map<cl_command_queue, int> queues;
  nlohmann::json events = nlohmann::json::array();
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const Entry& entry = entries[i];
    const int queue = queues.emplace(entry.queue.get(), queues.size()).first->second;
    const auto [queued, submitted, started, ended] = times[i];
    const auto microseconds = [&](cl_ulong time) { return double(time - first) * 1e-3; };
    const auto add = [&](std::string name, const char* kind, cl_ulong begin, cl_ulong end,
                         nlohmann::json arguments) {
      events.push_back({{"name", std::move(name)},
                        {"cat", kind},
                        {"ph", "X"},
                        {"ts", microseconds(begin)},
                        {"dur", double(end - begin) * 1e-3},
                        {"pid", 0},
                        {"tid", fmt::format("queue {} {}", queue, kind)},
                        {"args", std::move(arguments)}});
    };
    add(entry.launch.kernel, "waiting", queued, started,
        {{"submitted_us", microseconds(submitted)}});
    add(entry.launch.kernel, "running", started, ended,
        {{"config", entry.launch.config},
         {"flops", entry.launch.flops},
         {"bytes", entry.launch.bytes},
         {"queued_us", microseconds(queued)},
         {"submitted_us", microseconds(submitted)},
         {"started_us", microseconds(started)},
         {"ended_us", microseconds(ended)}});
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
