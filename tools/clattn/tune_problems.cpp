#include "tune_problems.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <utility>

#include "fail.hpp"
#include "host/trial/device_tensors.hpp"
#include "host/tuning/problem_log.hpp"
#include "interrupt.hpp"
#include "launch.hpp"

namespace clattn::tool {

std::vector<Problem> problems_of_suite(const std::string& path) {
  std::ifstream file(path);
  if (!file) fail("cannot read {}", path);
  nlohmann::ordered_json json;
  try {
    json = nlohmann::ordered_json::parse(file);
  } catch (const nlohmann::json::exception& error) {
    fail("{} is no JSON: {}", path, error.what());
  }
  if (!json.is_array() || json.empty()) fail("{} is not an array of problems", path);
  std::vector<Problem> problems;
  for (std::size_t i = 0; i < json.size(); ++i) {
    try {
      problems.push_back(problem_from_json(json[i].dump()));
      validate(problems.back());
    } catch (const Error& error) {
      fail("problem {} of {}: {}", i, path, error.what());
    }
  }
  return problems;
}

std::vector<Problem> problems_of_log(const std::string& path, const Engine& engine,
                                     std::vector<std::string>& skipped) {
  cl_int code = CL_SUCCESS;
  const auto queue = Queue::adopt(
      clCreateCommandQueue(engine.context(), engine.device().id, CL_QUEUE_PROFILING_ENABLE, &code));
  check_opencl(code, "clCreateCommandQueue");
  std::vector<std::pair<double, Problem>> timed;
  for (const LoggedProblem& logged : read_problem_log(path)) {
    throw_if_interrupted();
    try {
      const Problem problem = problem_from_json(logged.problem);
      const Plan plan = engine.plan(problem);
      const DeviceTensors tensors(engine, queue.get(), random_inputs(problem, 1),
                                  poisoned_result(problem));
      tensors.run(plan);
      timed.emplace_back(static_cast<double>(logged.count) * tensors.run(plan), problem);
    } catch (const Error& error) {
      skipped.push_back(fmt::format("{}: {}", logged.problem, error.what()));
    }
  }
  std::ranges::stable_sort(timed, std::greater(), [](const auto& entry) { return entry.first; });
  std::vector<Problem> problems;
  for (auto& [seconds, problem] : timed) problems.push_back(std::move(problem));
  return problems;
}

}  // namespace clattn::tool
