#include "launch.hpp"

#include <fmt/format.h>

#include <cstdio>

namespace clattn::tool {

Engine make_engine(const std::string& selector, bool tuned) {
  EngineOptions options;
  options.device = selector;
  options.default_tuning = tuned;
  options.log = [](LogLevel level, const std::string& message) {
    if (level == LogLevel::warning) fmt::print(stderr, "clattn: warning: {}\n", message);
  };
  return Engine(options);
}

void check_opencl(cl_int code, const char* call) {
  if (code == CL_SUCCESS) return;
  throw Error(ErrorCategory::device_failure, fmt::format("{} failed with code {}", call, code));
}

Launcher::Launcher(const std::string& selector) : engine_(make_engine(selector)) {
  cl_int code = CL_SUCCESS;
  queue_ = Queue::adopt(clCreateCommandQueue(engine_.context(), engine_.device().id,
                                             CL_QUEUE_PROFILING_ENABLE, &code));
  check_opencl(code, "clCreateCommandQueue");
}

}  // namespace clattn::tool
