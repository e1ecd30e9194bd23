#include "host/trial/device_tensors.hpp"

#include <algorithm>

#include "runtime/status.hpp"

namespace clattn {
namespace {

constexpr std::int64_t kFlushBytes = std::int64_t{256} << 20;  // more than any cache so far

cl_ulong profiled(cl_event event, cl_profiling_info what) {
  cl_ulong nanoseconds = 0;
  check(clGetEventProfilingInfo(event, what, sizeof(nanoseconds), &nanoseconds, nullptr),
        "clGetEventProfilingInfo");
  return nanoseconds;
}

}  // namespace

DeviceTensors::DeviceTensors(const Engine& engine, cl_command_queue queue, const HostInputs& inputs,
                             const HostResult& result)
    : context_(engine.context()), queue_(queue) {
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
  check(code, "clCreateBuffer");
  check(clEnqueueWriteBuffer(queue_, buffer.get(), CL_TRUE, 0, tensor.storage.size(),
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
    check(clEnqueueMarkerWithWaitList(queue_, 0, nullptr, &raw), "clEnqueueMarkerWithWaitList");
    marker = Event::adopt(raw);
  }
  const Event event = plan.enqueue(queue_, tensors);
  check(clFinish(queue_), "clFinish");
  cl_int state = CL_COMPLETE;
  check(clGetEventInfo(event.get(), CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof(state), &state,
                       nullptr),
        "clGetEventInfo");
  check(state == CL_COMPLETE ? CL_SUCCESS : state, "the attention kernel");
  const cl_ulong start = marker ? profiled(marker.get(), CL_PROFILING_COMMAND_END)
                                : profiled(event.get(), CL_PROFILING_COMMAND_START);
  const cl_ulong end = profiled(event.get(), CL_PROFILING_COMMAND_END);
  return static_cast<double>(end - start) * 1e-9;
}

void DeviceTensors::read(HostResult& result) const {
  const auto download = [&](const Memory& buffer, HostTensor& tensor) {
    if (tensor.storage.empty()) return;
    check(clEnqueueReadBuffer(queue_, buffer.get(), CL_TRUE, 0, tensor.storage.size(),
                              tensor.storage.data(), 0, nullptr, nullptr),
          "clEnqueueReadBuffer");
  };
  download(output_, result.output);
  if (result.lse) download(lse_, *result.lse);
}

void DeviceTensors::write(const HostResult& result) const {
  const auto upload = [&](const Memory& buffer, const HostTensor& tensor) {
    if (tensor.storage.empty()) return;
    check(clEnqueueWriteBuffer(queue_, buffer.get(), CL_TRUE, 0, tensor.storage.size(),
                               tensor.storage.data(), 0, nullptr, nullptr),
          "clEnqueueWriteBuffer");
  };
  upload(output_, result.output);
  if (result.lse) upload(lse_, *result.lse);
}

CacheFlush::CacheFlush(const Engine& engine, cl_command_queue queue) : queue_(queue) {
  bytes_ =
      static_cast<std::size_t>(std::min(kFlushBytes, engine.device().facts.max_allocation_bytes));
  cl_int code = CL_SUCCESS;
  buffer_ =
      Memory::adopt(clCreateBuffer(engine.context(), CL_MEM_READ_WRITE, bytes_, nullptr, &code));
  check(code, "clCreateBuffer");
}

void CacheFlush::operator()() const {
  const cl_float pattern = 1.5f;
  check(clEnqueueFillBuffer(queue_, buffer_.get(), &pattern, sizeof(pattern), 0,
                            bytes_ / sizeof(pattern) * sizeof(pattern), 0, nullptr, nullptr),
        "clEnqueueFillBuffer");
  check(clFinish(queue_), "clFinish");
}

}  // namespace clattn
