// clattn inside a C++ application that has its own context, queue, buffers, kernels and events:
//   make_query (ours) --event--> attention (clattn) --event--> add_residual (ours)
// with nothing waiting on the host in between. The result is held against the CPU reference: the
// exit status is 0 if it is right, 1 if not, 77 if there is no OpenCL device.
#define CL_TARGET_OPENCL_VERSION 120
#include <clattn/engine.hpp>
#include <clattn/reference.hpp>
#include <cstdio>
#include <random>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

constexpr int kHeads = 4, kLength = 300, kDim = 64;
constexpr std::size_t kElements = kHeads * kLength * kDim;

constexpr const char* kSource = R"(
kernel void make_query(global const float* hidden, global float* query) {
  query[get_global_id(0)] = 2.0f * hidden[get_global_id(0)];
}
kernel void add_residual(global const float* hidden, global float* output) {
  output[get_global_id(0)] += hidden[get_global_id(0)];
})";

void check(cl_int code, const char* what) {
  if (code != CL_SUCCESS) {
    throw std::runtime_error(std::string(what) + " failed with code " + std::to_string(code));
  }
}

clattn::Memory make_buffer(cl_context context, std::vector<float>* data) {
  cl_int code = CL_SUCCESS;
  const cl_mem_flags flags = CL_MEM_READ_WRITE | (data ? CL_MEM_COPY_HOST_PTR : 0);
  auto buffer = clattn::Memory::adopt(clCreateBuffer(context, flags, kElements * sizeof(float),
                                                     data ? data->data() : nullptr, &code));
  check(code, "clCreateBuffer");
  return buffer;
}

// Launches an application kernel of two buffers after `wait` (which may be empty).
clattn::Event launch(const clattn::Program& program, const char* name, cl_command_queue queue,
                     cl_mem first, cl_mem second, std::span<const cl_event> wait) {
  cl_int code = CL_SUCCESS;
  const auto kernel = clattn::Kernel::adopt(clCreateKernel(program.get(), name, &code));
  check(code, name);
  check(clSetKernelArg(kernel.get(), 0, sizeof first, &first), name);
  check(clSetKernelArg(kernel.get(), 1, sizeof second, &second), name);
  cl_event event = nullptr;
  check(clEnqueueNDRangeKernel(queue, kernel.get(), 1, nullptr, &kElements, nullptr,
                               static_cast<cl_uint>(wait.size()),
                               wait.empty() ? nullptr : wait.data(), &event),
        name);
  return clattn::Event::adopt(event);
}

// Whether result - hidden is causal attention over query = 2 * hidden.
bool is_right(const clattn::Problem& problem, const std::vector<float>& hidden,
              const std::vector<float>& key, const std::vector<float>& value,
              const std::vector<float>& result) {
  std::vector<float> query;
  for (float element : hidden) query.push_back(2.0f * element);
  const clattn::HostTensors tensors = {std::as_bytes(std::span(query)),
                                       std::as_bytes(std::span(key)),
                                       std::as_bytes(std::span(value))};
  const auto exact = clattn::reference_attention(problem, tensors);
  const auto plain =
      clattn::reference_attention(problem, tensors, clattn::ReferencePrecision::storage);
  std::vector<double> actual;
  for (std::size_t i = 0; i < kElements; ++i) actual.push_back(double{result[i]} - hidden[i]);
  const auto comparison = clattn::compare(actual, exact.output, plain.output, 1e-5);
  std::printf("largest error %.2e, limit %.2e\n", comparison.max_error, comparison.limit);
  return comparison.pass;
}

int run(cl_device_id device) {
  // The application as it was before clattn: context, queue, program, buffers. The handles of
  // clattn are a convenience here; it takes and returns plain OpenCL objects.
  cl_int code = CL_SUCCESS;
  const auto context =
      clattn::Context::adopt(clCreateContext(nullptr, 1, &device, nullptr, nullptr, &code));
  check(code, "clCreateContext");
  const auto queue = clattn::Queue::adopt(clCreateCommandQueue(context.get(), device, 0, &code));
  check(code, "clCreateCommandQueue");
  const char* source = kSource;
  const auto program =
      clattn::Program::adopt(clCreateProgramWithSource(context.get(), 1, &source, nullptr, &code));
  check(code, "clCreateProgramWithSource");
  check(clBuildProgram(program.get(), 1, &device, nullptr, nullptr, nullptr), "clBuildProgram");
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> hidden(kElements), key(kElements), value(kElements), result(kElements);
  for (auto* tensor : {&hidden, &key, &value}) {
    for (float& element : *tensor) element = normal(random);
  }
  const clattn::Memory hidden_buffer = make_buffer(context.get(), &hidden);
  const clattn::Memory query_buffer = make_buffer(context.get(), nullptr);
  const clattn::Memory key_buffer = make_buffer(context.get(), &key);
  const clattn::Memory value_buffer = make_buffer(context.get(), &value);
  const clattn::Memory output_buffer = make_buffer(context.get(), nullptr);

  // Once: an engine in this context, and a plan. They may be used from every thread.
  const clattn::Engine engine(context.get(), device);
  clattn::Problem problem;
  problem.heads = problem.kv_heads = kHeads;
  problem.query_len = problem.key_len = kLength;
  problem.head_dim = problem.value_dim = kDim;
  problem.mask = clattn::causal_mask();
  const clattn::Plan plan = engine.plan(problem);

  // Every time: launches that follow each other by events, so that any queue would do.
  const clattn::Event made =
      launch(program, "make_query", queue.get(), hidden_buffer.get(), query_buffer.get(), {});
  const cl_event query_made[] = {made.get()};
  const clattn::Event attended = plan.enqueue(queue.get(),
                                              {.query = {query_buffer.get()},
                                               .key = {key_buffer.get()},
                                               .value = {value_buffer.get()},
                                               .output = {output_buffer.get()},
                                               .lse = {}},
                                              query_made);
  const cl_event output_ready[] = {attended.get()};
  const clattn::Event added = launch(program, "add_residual", queue.get(), hidden_buffer.get(),
                                     output_buffer.get(), output_ready);
  const cl_event result_ready[] = {added.get()};
  check(clEnqueueReadBuffer(queue.get(), output_buffer.get(), CL_TRUE, 0, kElements * sizeof(float),
                            result.data(), 1, result_ready, nullptr),
        "clEnqueueReadBuffer");
  return is_right(problem, hidden, key, value, result) ? 0 : 1;
}

}  // namespace

int main() {
  cl_platform_id platform = nullptr;
  cl_device_id device = nullptr;
  if (clGetPlatformIDs(1, &platform, nullptr) != CL_SUCCESS ||
      clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &device, nullptr) != CL_SUCCESS) {
    std::printf("skipped: no OpenCL device\n");
    return 77;
  }
  try {
    return run(device);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
