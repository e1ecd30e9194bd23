#include "runtime/rates.hpp"

#include <algorithm>
#include <initializer_list>

#include "runtime/status.hpp"

namespace clattn {
namespace {

constexpr int kRepeats = 4;  // the first also warms up
constexpr int kChains = 16;  // of multiply-adds, as in rates.cl
constexpr cl_int kSteps = 16384;

// The shortest time in seconds of several launches.
double best_time(cl_command_queue queue, cl_kernel kernel, std::size_t global, std::size_t local) {
  double best = 1e30;
  for (int i = 0; i < kRepeats; ++i) {
    cl_event raw = nullptr;
    check(clEnqueueNDRangeKernel(queue, kernel, 1, nullptr, &global, &local, 0, nullptr, &raw),
          "clEnqueueNDRangeKernel");
    const auto event = Event::adopt(raw);
    check(clWaitForEvents(1, &raw), "clWaitForEvents");
    cl_ulong start = 0, end = 0;
    check(clGetEventProfilingInfo(raw, CL_PROFILING_COMMAND_START, sizeof start, &start, nullptr),
          "clGetEventProfilingInfo");
    check(clGetEventProfilingInfo(raw, CL_PROFILING_COMMAND_END, sizeof end, &end, nullptr),
          "clGetEventProfilingInfo");
    best = std::min(best, double(std::max<cl_ulong>(end - start, 1)) * 1e-9);
  }
  return best;
}

Memory make_buffer(const Context& context, std::size_t bytes) {
  cl_int status = CL_SUCCESS;
  auto buffer =
      Memory::adopt(clCreateBuffer(context.get(), CL_MEM_READ_WRITE, bytes, nullptr, &status));
  check(status, "clCreateBuffer");
  return buffer;
}

void set_memory(const Kernel& kernel, std::initializer_list<const Memory*> buffers) {
  cl_uint index = 0;
  for (const Memory* buffer : buffers) {
    const cl_mem memory = buffer->get();
    check(clSetKernelArg(kernel.get(), index++, sizeof memory, &memory), "clSetKernelArg");
  }
}

}  // namespace

DeviceRates measure_rates(const Context& context, const Device& device, ProgramStore& programs) {
  const DeviceFacts& facts = device.facts;
  cl_int status = CL_SUCCESS;
  const auto queue = Queue::adopt(
      clCreateCommandQueue(context.get(), device.id, CL_QUEUE_PROFILING_ENABLE, &status));
  check(status, "clCreateCommandQueue");
  const bool cpu = facts.kind == DeviceKind::cpu;
  const int width = cpu ? std::clamp(facts.native_float_width, 4, 16) : 1;
  const Program program =
      programs.get({"rates", {kernel_file("common/rates.cl")}, {{"VECTOR_WIDTH", width}}});
  // A CPU runs one work-item at a time on a core; a GPU needs many to hide latency.
  const std::size_t local =
      cpu ? 1 : std::size_t(std::min<std::int64_t>(256, facts.max_work_group_size));
  const std::size_t items = std::size_t(facts.compute_units) * (cpu ? 16 : 2048) / local * local;

  DeviceRates rates;
  const Kernel multiply_add = make_kernel(program, "multiply_add");
  const Memory sink = make_buffer(context, items * sizeof(float));
  set_memory(multiply_add, {&sink});
  check(clSetKernelArg(multiply_add.get(), 1, sizeof kSteps, &kSteps), "clSetKernelArg");
  rates.flops_per_second = 2.0 * double(width) * kChains * kSteps * double(items) /
                           best_time(queue.get(), multiply_add.get(), items, local);

  // Larger than any cache, but no burden on a small device. Each work-item of a CPU copies a run.
  const std::int64_t wanted = cpu ? 256 << 20 : 1 << 30;
  const std::size_t bytes =
      std::size_t(std::min({wanted, facts.max_allocation_bytes, facts.global_memory_bytes / 8}));
  const cl_int per_item = cpu ? 4096 : 4;  // 16-byte elements
  const std::size_t copiers = bytes / 16 / std::size_t(per_item) / local * local;
  const std::size_t copied = copiers * std::size_t(per_item) * 16;
  const Kernel copy = make_kernel(program, "copy");
  const Memory from = make_buffer(context, copied), to = make_buffer(context, copied);
  set_memory(copy, {&from, &to});
  check(clSetKernelArg(copy.get(), 2, sizeof per_item, &per_item), "clSetKernelArg");
  const cl_int contiguous = cpu;
  check(clSetKernelArg(copy.get(), 3, sizeof contiguous, &contiguous), "clSetKernelArg");
  rates.bytes_per_second =
      2.0 * double(copied) / best_time(queue.get(), copy.get(), copiers, local);
  return rates;
}

}  // namespace clattn
