// A record of launches, written as Chrome trace JSON. Events are kept until the trace is written.
#pragma once

#include <atomic>
#include <clattn/handle.hpp>
#include <clattn/log.hpp>
#include <mutex>
#include <string>
#include <vector>

namespace clattn {

struct Launch {
  std::string kernel;
  std::string config;
  double flops = 0;
  double bytes = 0;
};

// Thread-safe.
class Trace {
 public:
  explicit Trace(LogCallback log) : log_(std::move(log)) {}

  // Never throws, for the launch has happened: what cannot be recorded is said in the log.
  void record(cl_command_queue queue, const Event& event, Launch launch) noexcept;

  // Waits for recorded launches. Throws Error if the file can't be written whole.
  void write(const std::string& path) const;

 private:
  struct Entry {
    Queue queue;
    Event event;
    Launch launch;
  };
  mutable std::mutex mutex_;
  std::vector<Entry> entries_;
  LogCallback log_;
  std::atomic<bool> warned_ = false;
};

}  // namespace clattn
