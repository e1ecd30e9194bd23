#include "host/tuning/problem_log.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <utility>

#include "host/json/members.hpp"

namespace clattn {

ProblemLog::ProblemLog(std::filesystem::path path, LogCallback log)
    : path_(std::move(path)), log_(std::move(log)) {}

std::filesystem::path ProblemLog::path_of_environment() {
  const char* path = std::getenv("CLATTN_TUNE_LOG");
  return path ? path : "";
}

void ProblemLog::warn_once(std::atomic<bool>& warned, const std::string& message) const {
  if (log_ && !warned.exchange(true)) log_(LogLevel::warning, message);
}

void ProblemLog::add(const Problem& problem, const std::string& device, const PlanReport& report) {
  if (path_.empty()) return;
  const std::string text = problem_to_json(problem);
  std::string line;
  try {
    validate(problem_from_json(text));
    const json object = {{"problem", json::parse(text)},
                         {"device", device},
                         {"family", report.family},
                         {"config", report.config},
                         {"source", report.config_source}};
    line = object.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
  } catch (const std::exception& error) {
    warn_once(
        warned_unsaid_,
        fmt::format("CLATTN_TUNE_LOG leaves out problems that their JSON does not say whole: {}",
                    error.what()));
    return;
  }
  const int descriptor = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  bool written = descriptor >= 0;
  if (written) written = ::write(descriptor, line.data(), line.size()) == std::ssize(line);
  const int reason = errno;
  if (descriptor >= 0) ::close(descriptor);
  if (written) return;
  warn_once(warned_unwritten_, fmt::format("CLATTN_TUNE_LOG: cannot write {}: {}", path_.string(),
                                           std::strerror(reason)));
}

std::vector<LoggedProblem> read_problem_log(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file || std::filesystem::is_directory(path)) {
    invalid("cannot read the problem log {}", path.string());
  }
  std::vector<LoggedProblem> problems;
  std::map<std::pair<std::string, std::string>, std::size_t> places;
  std::int64_t number = 1;
  for (std::string line; std::getline(file, line); ++number) {
    if (file.eof()) break;  // no end of line
    at_place(fmt::format("{} line {}", path.string(), number), [&] {
      const json object = parse_json(line, "the line");
      const Members members(object, {"problem", "device", "family", "config", "source"});
      const std::string problem = at_place("problem", [&]() -> const json& {
                                    const json& value = members.at("problem");
                                    if (!value.is_object()) wrong_type(value, "an object");
                                    return value;
                                  }).dump();
      const auto family = members.get<std::string>("family");
      const auto device = members.get<std::string>("device");
      const auto [place, is_new] = places.try_emplace({problem, family}, problems.size());
      if (is_new) problems.push_back({problem, family, device, 0});
      ++problems[place->second].count;
    });
  }
  return problems;
}

}  // namespace clattn
