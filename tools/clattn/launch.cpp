#include "launch.hpp"

#include <fmt/format.h>

#include <cstdio>

namespace clattn::tool {
namespace {

EngineOptions engine_options(const std::string& selector) {
  EngineOptions options;
  options.device = selector;
  options.log = [](LogLevel level, const std::string& message) {
    if (level == LogLevel::warning) fmt::print(stderr, "clattn: warning: {}\n", message);
  };
  return options;
}

cl_ulong profiled(cl_event event, cl_profiling_info what) {
  cl_ulong nanoseconds = 0;
  check_opencl(clGetEventProfilingInfo(event, what, sizeof(nanoseconds), &nanoseconds, nullptr),
               "clGetEventProfilingInfo");
  return nanoseconds;
}

}  // namespace

void check_opencl(cl_int code, const char* call) {
  if (code == CL_SUCCESS) return;
  throw Error(ErrorCategory::device_failure, fmt::format("{} failed with code {}", call, code));
}

Launcher::Launcher(const std::string& selector) : engine_(engine_options(selector)) {
  cl_int code = CL_SUCCESS;
  queue_ = Queue::adopt(clCreateCommandQueue(engine_.context(), engine_.device().id,
                                             CL_QUEUE_PROFILING_ENABLE, &code));
  check_opencl(code, "clCreateCommandQueue");
}

DeviceTensors::DeviceTensors(const Launcher& launcher, const HostInputs& inputs,
                             const HostResult& result)
    : context_(launcher.engine().context()), queue_(launcher.queue()) {
  tensors_.query = upload(inputs.query, query_);
  tensors_.key = upload(inputs.key, key_);
  tensors_.value = upload(inputs.value, value_);
  tensors_.output = upload(result.output, output_);
  if (result.lse) tensors_.lse = upload(*result.lse, lse_);
}

TensorView DeviceTensors::upload(const HostTensor& tensor, Memory& buffer) const {
  if (tensor.storage.empty()) return {};
  cl_int code = CL_SUCCESS;
  buffer = Memory::adopt(
      clCreateBuffer(context_, CL_MEM_READ_WRITE, tensor.storage.size(), nullptr, &code));
  check_opencl(code, "clCreateBuffer");
  check_opencl(clEnqueueWriteBuffer(queue_, buffer.get(), CL_TRUE, 0, tensor.storage.size(),
                                    tensor.storage.data(), 0, nullptr, nullptr),
               "clEnqueueWriteBuffer");
  return {buffer.get(), tensor.guard};
}

double DeviceTensors::run(const Plan& plan, const BlockListBuffers& lists) const {
  Tensors tensors = tensors_;
  tensors.blocks = lists;
  // Where rows are merged or tokens permuted the plan's event is that of the last of several
  // launches: a marker gives the start.
  const PlanReport report = plan.report();
  Event marker;
  if (report.parts > 0 ||
      (!report.tilings.empty() && report.tilings.front().tokens == TokenAccess::permuted)) {
    cl_event raw = nullptr;
    check_opencl(clEnqueueMarkerWithWaitList(queue_, 0, nullptr, &raw),
                 "clEnqueueMarkerWithWaitList");
    marker = Event::adopt(raw);
  }
  const Event event = plan.enqueue(queue_, tensors);
  check_opencl(clFinish(queue_), "clFinish");
  cl_int state = CL_COMPLETE;
  check_opencl(clGetEventInfo(event.get(), CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof(state), &state,
                              nullptr),
               "clGetEventInfo");
  check_opencl(state == CL_COMPLETE ? CL_SUCCESS : state, "the attention kernel");
  const cl_ulong start = marker ? profiled(marker.get(), CL_PROFILING_COMMAND_END)
                                : profiled(event.get(), CL_PROFILING_COMMAND_START);
  const cl_ulong end = profiled(event.get(), CL_PROFILING_COMMAND_END);
  return static_cast<double>(end - start) * 1e-9;
}

void DeviceTensors::read(HostResult& result) const {
  const auto download = [&](const Memory& buffer, HostTensor& tensor) {
    if (tensor.storage.empty()) return;
    check_opencl(clEnqueueReadBuffer(queue_, buffer.get(), CL_TRUE, 0, tensor.storage.size(),
                                     tensor.storage.data(), 0, nullptr, nullptr),
                 "clEnqueueReadBuffer");
  };
  download(output_, result.output);
  if (result.lse) download(lse_, *result.lse);
}

}  // namespace clattn::tool
