// What an application plans, for tuning it later: where the environment variable CLATTN_TUNE_LOG
// names a file, each plan appends a line to it, one JSON object:
//   {"problem": {...}, "device": "...", "family": "...", "config": "...", "source": "..."}
// A line is written at once, so that those of several processes don't mix. Plans whose
// configuration was asked for, as tuning itself does, leave no line, and neither do problems whose
// JSON does not say all of them, such as masks of the application's own classes.
#pragma once

#include <atomic>
#include <clattn/engine.hpp>
#include <clattn/log.hpp>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace clattn {

class ProblemLog {
 public:
  // An empty path turns it off. `log` hears once of a file that can't be written, and once of
  // problems that are left out.
  ProblemLog(std::filesystem::path path, LogCallback log);
  // The file that CLATTN_TUNE_LOG names.
  static std::filesystem::path path_of_environment();

  // Thread-safe; never throws for what can't be written.
  void add(const Problem& problem, const std::string& device, const PlanReport& report);

 private:
  void warn_once(std::atomic<bool>& warned, const std::string& message) const;

  std::filesystem::path path_;
  LogCallback log_;
  std::atomic<bool> warned_unwritten_ = false;
  std::atomic<bool> warned_unsaid_ = false;
};

struct LoggedProblem {
  std::string problem;  // as problem_from_json takes it
  std::string family;
  std::string device;  // of the first plan
  std::int64_t count = 0;
};

// One for each problem and family, in the order in which they first appear. Throws Error
// (invalid_argument) for a file that can't be read and for a line that is none of a log, with its
// number; a last line without an end was being written, and is left out.
std::vector<LoggedProblem> read_problem_log(const std::filesystem::path& path);

}  // namespace clattn
