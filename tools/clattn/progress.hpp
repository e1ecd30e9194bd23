// A line on the terminal that says how far long work is: done, all, time to go. It goes to stderr,
// and only if that is a terminal, so that pipes and logs stay clean.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace clattn::tool {

class Progress {
 public:
  Progress(std::string label, std::int64_t total);
  ~Progress() { clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void update(std::int64_t done);
  // Takes the line away, so that something else can be printed.
  void clear();

 private:
  using Clock = std::chrono::steady_clock;
  std::string label_;
  std::int64_t total_;
  bool terminal_;
  bool shown_ = false;
  Clock::time_point start_ = Clock::now();
  Clock::time_point last_ = start_;
};

// "12.3 us", "4.56 ms", "1.20 s", "3 min 20 s".
std::string format_duration(double seconds);

}  // namespace clattn::tool
