// A line on the terminal that says how far long work is: done, all, time to go, or words of the
// work's own. It goes to stderr, and only if that is a terminal, so that pipes and logs stay clean.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>

namespace clattn::tool {

class ProgressLine {
 public:
  ProgressLine();
  ~ProgressLine() { clear(); }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  // Shows `line`, cut to the terminal's width, unless the last one is younger than 0.2 seconds.
  void show(const std::string& line);
  // Takes the line away, so that something else can be printed.
  void clear();

 private:
  using Clock = std::chrono::steady_clock;
  bool terminal_;
  bool shown_ = false;
  Clock::time_point last_ = Clock::now();
};

class Progress {
 public:
  Progress(std::string label, std::int64_t total) : label_(std::move(label)), total_(total) {}

  void update(std::int64_t done);
  void clear() { line_.clear(); }

 private:
  using Clock = std::chrono::steady_clock;
  std::string label_;
  std::int64_t total_;
  Clock::time_point start_ = Clock::now();
  ProgressLine line_;
};

// "12.3 us", "4.56 ms", "1.20 s", "3 min 20 s".
std::string format_duration(double seconds);

}  // namespace clattn::tool
