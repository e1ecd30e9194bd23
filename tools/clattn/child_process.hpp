// A child that speaks in lines: what is sent goes to its standard input, what it prints comes back.
// It is killed with its own children when this object goes, or when the parent dies.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace clattn::tool {

class ChildProcess {
 public:
  // Throws Error (device_failure) if it can't be started.
  explicit ChildProcess(const std::vector<std::string>& command);
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  // A line that a dead child no longer hears is lost; `receive` says that it is dead.
  void send(const std::string& line);
  // The next line, if there is one within so many seconds; 0 does not wait. Throws Interrupted.
  std::optional<std::string> receive(double seconds);
  // How it ended, in words: "it was killed by signal 11"; empty while it may speak.
  const std::string& death() const { return death_; }

 private:
  void reap();

  pid_t pid_ = -1;
  int input_ = -1;
  int output_ = -1;
  std::string buffer_;
  std::string death_;
};

// This program, to be started again.
std::string own_path();

}  // namespace clattn::tool
