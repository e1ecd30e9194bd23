// A stranger's program on an installed clattn: checks the version that it was given and computes an
// attention whose result is known. It asks for its own OpenCL version, which the headers must bear.
#define CL_TARGET_OPENCL_VERSION 300
#include <clattn/version.h>

#include <array>
#include <clattn/engine.hpp>
#include <clattn/reference.hpp>
#include <cmath>
#include <cstdio>
#include <string_view>

namespace {

constexpr int kSkipped = 77;
constexpr int kDim = 8;

// Two keys whose scores are ln 3 and 0, hence probabilities 3/4 and 1/4, and values 1 and 5:
// every element of the output is 2.
float attention(const clattn::Engine& engine) {
  clattn::Problem problem;
  problem.query_len = 1;
  problem.key_len = 2;
  problem.head_dim = kDim;
  problem.value_dim = kDim;
  problem.scale = 1.0f;
  const clattn::Plan plan = engine.plan(problem);

  std::array<float, kDim> query{1.0f};
  std::array<float, 2 * kDim> key{std::log(3.0f)};
  std::array<float, 2 * kDim> value;
  for (int i = 0; i < kDim; ++i) {
    value[i] = 1.0f;
    value[kDim + i] = 5.0f;
  }
  const auto upload = [&](auto& host) {
    return clattn::Memory::adopt(
        clCreateBuffer(engine.context(), CL_MEM_COPY_HOST_PTR, sizeof(host), host.data(), nullptr));
  };
  const clattn::Memory query_buffer = upload(query);
  const clattn::Memory key_buffer = upload(key);
  const clattn::Memory value_buffer = upload(value);
  const clattn::Memory output_buffer = upload(query);
  const auto queue = clattn::Queue::adopt(
      clCreateCommandQueueWithProperties(engine.context(), engine.device().id, nullptr, nullptr));

  const clattn::Event done = plan.enqueue(queue.get(), {.query = {query_buffer.get()},
                                                        .key = {key_buffer.get()},
                                                        .value = {value_buffer.get()},
                                                        .output = {output_buffer.get()}});
  const cl_event wait = done.get();
  std::array<float, kDim> output{};
  clEnqueueReadBuffer(queue.get(), output_buffer.get(), CL_TRUE, 0, sizeof(output), output.data(),
                      1, &wait, nullptr);
  return output[kDim - 1];
}

}  // namespace

int main(int argument_count, char** arguments) {
  if (argument_count != 2 || std::string_view(arguments[1]) != CLATTN_VERSION_STRING) {
    std::printf("the headers are of version %s\n", CLATTN_VERSION_STRING);
    return 1;
  }
  try {
    clattn::list_devices();
  } catch (const clattn::Error& error) {
    std::printf("skipped: built and linked, but there is no device to run on: %s\n", error.what());
    return kSkipped;
  }
  const float result = attention(clattn::Engine());
  std::printf("attention gives %f, and should give 2\n", result);
  return std::abs(result - 2.0f) < 1e-5f ? 0 : 1;
}
