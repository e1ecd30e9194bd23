#include <fmt/format.h>
#include <fmt/ranges.h>

#include <clattn/engine.hpp>

#include "host/invalid.hpp"
#include "host/planning/plan_state.hpp"
#include "host/planning/probe.hpp"
#include "runtime/rates.hpp"
#include "runtime/status.hpp"

namespace clattn {

const char* to_string(TokenAccess access) {
  switch (access) {
    case TokenAccess::automatic:
      return "automatic";
    case TokenAccess::in_place:
      return "in_place";
    case TokenAccess::gathered:
      return "gathered";
    case TokenAccess::permuted:
      return "permuted";
  }
  return "unknown";
}
namespace {

Context make_context(const Device& device) {
  const cl_context_properties properties[] = {
      CL_CONTEXT_PLATFORM, reinterpret_cast<cl_context_properties>(device.platform), 0};
  cl_int status = CL_SUCCESS;
  auto context =
      Context::adopt(clCreateContext(properties, 1, &device.id, nullptr, nullptr, &status));
  check(status, "clCreateContext");
  return context;
}

// The device, its facts completed by what only running programs on it tells.
Device probed(const Context& context, Device device, ProgramStore& programs,
              const LogCallback& log) {
  device.facts.instruction_sets = probe_instruction_sets(context, device, programs, log);
  return device;
}

}  // namespace

Engine::State::State(Context context_, Device device_, const EngineOptions& options)
    : context(std::move(context_)),
      log(options.log),
      programs(context, device_,
               options.cache_dir ? std::filesystem::path(*options.cache_dir)
                                 : DiskCache::default_folder(),
               options.log),
      device(probed(context, std::move(device_), programs, log)),
      trace(options.trace ? std::make_unique<Trace>(options.log) : nullptr),
      tuning(options),
      problems(ProblemLog::path_of_environment(), options.log) {}

Engine::Engine(const EngineOptions& options) {
  const std::vector<Device> devices = list_devices();
  const Device& device = select_device(devices, options.device);
  state_ = std::make_shared<State>(make_context(device), device, options);
}

Engine::Engine(cl_context context, cl_device_id device, const EngineOptions& options) {
  if (!context) invalid("the OpenCL context is null");
  if (!device) invalid("the OpenCL device is null");
  std::size_t bytes = 0;
  check(clGetContextInfo(context, CL_CONTEXT_DEVICES, 0, nullptr, &bytes), "clGetContextInfo");
  std::vector<cl_device_id> devices(bytes / sizeof(cl_device_id));
  check(clGetContextInfo(context, CL_CONTEXT_DEVICES, bytes, devices.data(), nullptr),
        "clGetContextInfo");
  if (std::find(devices.begin(), devices.end(), device) == devices.end()) {
    invalid("the device is not one of the {} in the context", devices.size());
  }
  state_ = std::make_shared<State>(Context::retain(context), describe_device(device), options);
}

Support Engine::supports(const Problem& problem, const PlanOptions& options) const {
  try {
    const Decision decision =
        decide(problem, state_->device.facts, options, state_->tuning.lookup());
    if (decision.family) return {true, ""};
    return {false, fmt::format("{}", fmt::join(decision.rejected, "; "))};
  } catch (const Error& error) {
    return {false, error.what()};
  }
}

cl_context Engine::context() const { return state_->context.get(); }

const Device& Engine::device() const { return state_->device; }

DeviceRates Engine::rates() const {
  const std::lock_guard lock(state_->rates_mutex);
  if (!state_->rates) {
    state_->rates = measure_rates(state_->context, state_->device, state_->programs);
  }
  return *state_->rates;
}

std::string Engine::tuning() const { return state_->tuning.to_json(); }

void Engine::write_trace(const std::string& path) const {
  if (!state_->trace) invalid("the engine was made without EngineOptions::trace");
  state_->trace->write(path);
}

}  // namespace clattn
