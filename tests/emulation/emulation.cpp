// Runs every case of a family in a process of its own, so that one that hangs in a deadlock or
// reads where it must not ends itself only; as many at a time as there are cores.
//
// Usage: clattn_emulation FAMILY FOLDER [CASE]. FOLDER gets the translated programs and what the
// cases print. The exit status is 0, 1 where a case fails, 2 for bad use. CLATTN_TEST_SEED is the
// first seed, CLATTN_EMULATION_SEEDS how many follow each other.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <iostream>
#include <map>
#include <thread>

#include "tests/emulation/launch.hpp"

namespace clattn::emulation {
namespace {

std::uint64_t environment(const char* name, std::uint64_t otherwise) {
  const char* given = std::getenv(name);
  return given ? std::strtoull(given, nullptr, 0) : otherwise;
}

class Runner {
 public:
  Runner(std::string family, std::filesystem::path folder)
      : family_(std::move(family)), folder_(std::move(folder)) {}

  int run(const std::string& only) {
    const auto processes = std::max<std::size_t>(std::thread::hardware_concurrency(), 1);
    for (const Case& test_case : cases_of(family_)) {
      if (!only.empty() && test_case.name != only) continue;
      if (running_.size() >= processes) finish_one();
      start(test_case);
      ++count_;
    }
    while (!running_.empty()) finish_one();
    fmt::print("{}: {} cases, {} failed, CLATTN_TEST_SEED={} CLATTN_EMULATION_SEEDS={}\n", family_,
               count_, failed_, seed_, seeds_);
    return count_ == 0 || failed_ > 0 ? 1 : 0;
  }

 private:
  void start(const Case& test_case) {
    const std::filesystem::path folder = folder_ / test_case.name;
    std::filesystem::create_directories(folder);
    std::fflush(stdout);
    const pid_t process = fork();
    if (process < 0) throw std::runtime_error("cannot fork");
    if (process > 0) {
      running_[process] = test_case.name;
      return;
    }
    int status = 1;
    const int log = open((folder / "log").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    try {
      status = run_case(family_, test_case, seed_, seeds_, folder) ? 0 : 1;
    } catch (const std::exception& error) {
      fmt::print("  error: {}\n", error.what());
    }
    std::fflush(stdout);
    std::_Exit(status);
  }

  void finish_one() {
    int status = 0;
    const pid_t process = waitpid(-1, &status, 0);
    const auto found = running_.find(process);
    if (found == running_.end()) throw std::runtime_error("lost a process");
    const bool passed = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    failed_ += !passed;
    fmt::print("{} {}\n", passed ? "passed" : "FAILED", found->second);
    std::fflush(stdout);
    std::cout << std::ifstream(folder_ / found->second / "log").rdbuf() << std::flush;
    running_.erase(found);
  }

  const std::string family_;
  const std::filesystem::path folder_;
  const std::uint64_t seed_ = environment("CLATTN_TEST_SEED", 1);
  const std::uint64_t seeds_ = environment("CLATTN_EMULATION_SEEDS", 2);
  std::map<pid_t, std::string> running_;
  int count_ = 0, failed_ = 0;
};

}  // namespace
}  // namespace clattn::emulation

int main(int argument_count, char** arguments) {
  if (argument_count < 3 || argument_count > 4) {
    fmt::print(stderr, "usage: {} FAMILY FOLDER [CASE]\n", arguments[0]);
    return 2;
  }
  try {
    return clattn::emulation::Runner(arguments[1], arguments[2])
        .run(argument_count > 3 ? arguments[3] : "");
  } catch (const std::exception& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return 2;
  }
}
