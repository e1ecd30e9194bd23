#include "child_process.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <clattn/error.hpp>
#include <csignal>
#include <cstring>
#include <filesystem>

#include "interrupt.hpp"

namespace clattn::tool {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kPollSeconds = 0.1;  // between looks at whether the user interrupts

[[noreturn]] void fail_to_start(const char* call) {
  throw Error(ErrorCategory::device_failure,
              fmt::format("a process can't be started: {}: {}", call, std::strerror(errno)));
}

}  // namespace

ChildProcess::ChildProcess(const std::vector<std::string>& command) {
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  int input[2], output[2];
  if (pipe2(input, O_CLOEXEC) != 0) fail_to_start("pipe2");
  if (pipe2(output, O_CLOEXEC) != 0) {
    close(input[0]);
    close(input[1]);
    fail_to_start("pipe2");
  }
  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ == 0) {
    // A group of its own, so that Ctrl-C reaches the parent alone, which then ends the group.
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == parent && dup2(input[0], STDIN_FILENO) >= 0 &&
        dup2(output[1], STDOUT_FILENO) >= 0) {
      execv(arguments[0], arguments.data());
    }
    _exit(127);
  }
  close(input[0]);
  close(output[1]);
  input_ = input[1];
  output_ = output[0];
  if (pid_ < 0) fail_to_start("fork");
  setpgid(pid_, pid_);
  std::signal(SIGPIPE, SIG_IGN);
}

ChildProcess::~ChildProcess() {
  if (pid_ > 0) {
    kill(-pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  close(input_);
  close(output_);
}

void ChildProcess::send(const std::string& line) {
  const std::string text = line + '\n';
  for (std::size_t sent = 0; sent < text.size();) {
    const ssize_t count = write(input_, text.data() + sent, text.size() - sent);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return;
    sent += static_cast<std::size_t>(count);
  }
}

std::optional<std::string> ChildProcess::receive(double seconds) {
  const auto start = Clock::now();
  for (;;) {
    if (const auto end = buffer_.find('\n'); end != std::string::npos) {
      std::string line = buffer_.substr(0, end);
      buffer_.erase(0, end + 1);
      return line;
    }
    if (!death_.empty()) return std::nullopt;
    throw_if_interrupted();
    const double left = seconds - std::chrono::duration<double>(Clock::now() - start).count();
    if (left < 0 && seconds > 0) return std::nullopt;
    pollfd ready{output_, POLLIN, 0};
    if (poll(&ready, 1, static_cast<int>(1e3 * std::clamp(left, 0.0, kPollSeconds))) <= 0) {
      if (seconds <= 0) return std::nullopt;
      continue;
    }
    char bytes[4096];
    const ssize_t count = read(output_, bytes, sizeof bytes);
    if (count > 0) {
      buffer_.append(bytes, static_cast<std::size_t>(count));
    } else if (count == 0) {
      reap();
    }
  }
}

void ChildProcess::reap() {
  int status = 0;
  kill(-pid_, SIGKILL);  // one that has closed its output and lives on is of no use
  waitpid(pid_, &status, 0);
  pid_ = -1;
  death_ = WIFSIGNALED(status) ? fmt::format("it was killed by signal {}", WTERMSIG(status))
                               : fmt::format("it ended with status {}", WEXITSTATUS(status));
}

std::string own_path() { return std::filesystem::canonical("/proc/self/exe"); }

}  // namespace clattn::tool
