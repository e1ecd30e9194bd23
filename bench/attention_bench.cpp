// What dense attention is held to on a CPU device, each line a ratio taken in this one run: against
// Eigen's sgemm with the same threads, between masks and storage types, and of growth with the
// length; then memory, the plan of a second process, and the cost of a launch. Runs that are
// compared alternate, and the median of their ratios counts. Every problem is checked before it is
// timed.
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <Eigen/Core>
#include <clattn/engine.hpp>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "bench_case.hpp"
#include "clattn/launch.hpp"

namespace clattn::tool {
namespace {

class Sgemm {
 public:
  static constexpr Eigen::Index kSize = 2048;
  double flops() const { return 2.0 * kSize * kSize * kSize; }
  double seconds() {
    const auto start = Clock::now();
    product_.noalias() = a_ * b_;
    const double seconds = seconds_since(start);
    // OpenMP's threads spin for a while after their work, on the cores that are timed next.
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    return seconds;
  }

 private:
  Eigen::MatrixXf a_ = Eigen::MatrixXf::Random(kSize, kSize);
  Eigen::MatrixXf b_ = Eigen::MatrixXf::Random(kSize, kSize);
  Eigen::MatrixXf product_ = Eigen::MatrixXf::Zero(kSize, kSize);
};

void bench_rates(const Launcher& launcher) {
  const std::int64_t heads = 8, length = 2048;
  const Case dense(launcher, square_problem(heads, length, dense_mask()));
  const Case causal(launcher, square_problem(heads, length, causal_mask()));
  const Case half(launcher, square_problem(heads, length, dense_mask(), DataType::f16));
  const Case bfloat(launcher, square_problem(heads, length, dense_mask(), DataType::bf16));
  Sgemm sgemm;
  sgemm.seconds();
  std::vector<double> rates, sgemm_rates, to_sgemm, to_causal, to_half, to_bfloat;
  for (int round = 0; round < 15; ++round) {
    const double sgemm_rate = sgemm.flops() / sgemm.seconds();
    const double dense_time = dense.seconds();
    sgemm_rates.push_back(sgemm_rate * 1e-9);
    rates.push_back(dense.flops() / dense_time * 1e-9);
    to_sgemm.push_back(dense.flops() / dense_time / sgemm_rate);
    to_causal.push_back(dense_time / causal.seconds());
    to_half.push_back(dense_time / half.seconds());
    to_bfloat.push_back(dense_time / bfloat.seconds());
  }
  const char* shape = "B1 H8 S2048 D64";
  print_line(fmt::format("f32 {}, to Eigen sgemm 2048^3", shape), median(to_sgemm), Sense::at_least,
             0.7, "x",
             fmt::format("{:.1f} and {:.1f} GFLOP/s, {}", median(rates), median(sgemm_rates),
                         dense.report().config));
  print_line("causal faster than dense", median(to_causal), Sense::at_least, 1.7, "x", "");
  print_line("f16 storage, rate to f32's", median(to_half), Sense::at_least, 0.8, "x", "");
  print_line("bf16 storage, rate to f32's", median(to_bfloat), Sense::at_least, 0.8, "x", "");
}

void bench_growth(const Launcher& launcher) {
  const Case four(launcher, square_problem(8, 4096, window_mask(256, 0)));
  const Case sixteen(launcher, square_problem(8, 16384, window_mask(256, 0)));
  std::vector<double> growth, times;
  for (int round = 0; round < 15; ++round) {
    times.push_back(four.seconds());
    growth.push_back(sixteen.seconds() / times.back());
  }
  print_line("window 256: S16384 to S4096, H8 D64", median(growth), Sense::at_most, 5.2, "x",
             fmt::format("S4096 takes {:.3g} ms", 1e3 * median(times)));
}

// A line of /proc/self/status, in bytes.
double process_memory(const std::string& name) {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    double kibibytes = 0;
    if (word == name + ":" && status >> kibibytes) return kibibytes * 1024;
  }
  throw Error(ErrorCategory::unsupported, "/proc/self/status has no " + name);
}

void bench_memory(const Launcher& launcher) {
  // The same kernel on a short problem first: what the OpenCL compiler takes is not the run's.
  const Case same_kernel(launcher, square_problem(1, 8192, dense_mask()));
  const Problem problem = square_problem(1, 65536, dense_mask());
  const DeviceTensors tensors(launcher.engine(), launcher.queue(), random_inputs(problem, kSeed),
                              poisoned_result(problem));
  check_opencl(clFinish(launcher.queue()), "clFinish");
  std::ofstream("/proc/self/clear_refs") << "5";  // the peak starts again from here
  const double before = process_memory("VmRSS");
  const Plan plan = launcher.engine().plan(problem);
  const double seconds = tensors.run(plan);
  const double growth = process_memory("VmHWM") - before;
  const auto held = static_cast<double>(plan.report().device_memory_bytes);
  print_line("memory beyond the tensors, S65536 D64 H1", std::max(growth, held) / (1 << 20),
             Sense::at_most, 16, "MiB",
             fmt::format("{:.3g} MiB on the device, process peak +{:.3g} MiB, ran {:.3g} s",
                         held / (1 << 20), growth / (1 << 20), seconds));
}

// What a second process does: prints the milliseconds from its start to a plan.
int plan_once(const std::string& device) {
  const auto start = Clock::now();
  EngineOptions options;
  options.device = device;
  const Engine engine(options);
  const Plan plan = engine.plan(square_problem(8, 2048, causal_mask()));
  fmt::print("{}\n", 1e3 * seconds_since(start));
  return 0;
}

void bench_second_process(const std::string& program, const std::string& device) {
  const std::string command = fmt::format("'{}' --plan-once '{}'", program, device);
  std::vector<double> times;
  for (int round = 0; round < 6; ++round) {
    FILE* output = popen(command.c_str(), "r");
    double milliseconds = 0;
    const bool read = output && std::fscanf(output, "%lf", &milliseconds) == 1;
    if (!output || pclose(output) != 0 || !read) {
      throw Error(ErrorCategory::device_failure, command + " failed");
    }
    if (round > 0) times.push_back(milliseconds);  // the first one may have filled the cache
  }
  print_line("second process, start to plan, warm cache", median(times), Sense::at_most, 100, "ms",
             "");
}

void bench_enqueue(const Launcher& launcher) {
  const Engine& engine = launcher.engine();
  const Problem problem = square_problem(1, 16, dense_mask());
  const Plan plan = engine.plan(problem);
  const std::size_t bytes = 16 * 64 * sizeof(float);
  cl_int code = CL_SUCCESS;
  std::vector<Memory> buffers;
  for (int i = 0; i < 4; ++i) {
    buffers.push_back(
        Memory::adopt(clCreateBuffer(engine.context(), CL_MEM_READ_WRITE, bytes, nullptr, &code)));
    check_opencl(code, "clCreateBuffer");
  }
  const Tensors tensors{
      {buffers[0].get()}, {buffers[1].get()}, {buffers[2].get()}, {buffers[3].get()}, {}};
  const char* source =
      "__kernel void bare(__global float *a, __global float *b, __global float *c,\n"
      "                   __global float *d, int e, int f, int g, int h) { d[0] = a[e + f]; }";
  const auto program =
      Program::adopt(clCreateProgramWithSource(engine.context(), 1, &source, nullptr, &code));
  check_opencl(code, "clCreateProgramWithSource");
  check_opencl(clBuildProgram(program.get(), 0, nullptr, "", nullptr, nullptr), "clBuildProgram");
  const auto kernel = Kernel::adopt(clCreateKernel(program.get(), "bare", &code));
  check_opencl(code, "clCreateKernel");
  for (cl_uint i = 0; i < 4; ++i) {
    const cl_mem buffer = buffers[i].get();
    const cl_int zero = 0;
    check_opencl(clSetKernelArg(kernel.get(), i, sizeof buffer, &buffer), "clSetKernelArg");
    check_opencl(clSetKernelArg(kernel.get(), 4 + i, sizeof zero, &zero), "clSetKernelArg");
  }
  const std::size_t size[2] = {1, 1};
  const auto bare = [&] {
    cl_event event = nullptr;
    check_opencl(clEnqueueNDRangeKernel(launcher.queue(), kernel.get(), 2, nullptr, size, size, 0,
                                        nullptr, &event),
                 "clEnqueueNDRangeKernel");
    clReleaseEvent(event);
  };
  const auto planned = [&] { plan.enqueue(launcher.queue(), tensors); };
  const auto time = [&](const std::function<void()>& enqueue) {
    const auto start = Clock::now();
    for (int i = 0; i < 64; ++i) enqueue();
    const double seconds = seconds_since(start) / 64;
    check_opencl(clFinish(launcher.queue()), "clFinish");
    return seconds;
  };
  std::vector<double> ratios, times;
  for (int round = 0; round < 301; ++round) {
    const double bare_time = time(bare);
    times.push_back(time(planned));
    ratios.push_back(times.back() / bare_time);
  }
  print_line("Plan::enqueue to bare clEnqueueNDRangeKernel", median(ratios), Sense::at_most, 2, "x",
             fmt::format("{:.3g} us", 1e6 * median(times)));
}

int bench(const std::string& program, const std::string& device) {
  const Launcher launcher(device);
  const DeviceFacts& facts = launcher.engine().device().facts;
  fmt::print("{}, {}, driver {}, {} compute units; Eigen with {} threads\n", facts.platform,
             facts.name, facts.driver_version, facts.compute_units, Eigen::nbThreads());
  bench_memory(launcher);
  bench_rates(launcher);
  bench_growth(launcher);
  bench_second_process(program, device);
  bench_enqueue(launcher);
  return 0;
}

}  // namespace
}  // namespace clattn::tool

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  try {
    if (arguments.size() == 2 && arguments[0] == "--plan-once") {
      return clattn::tool::plan_once(arguments[1]);
    }
    if (arguments.size() == 2 && arguments[0] == "--device") {
      return clattn::tool::bench(std::filesystem::canonical("/proc/self/exe"), arguments[1]);
    }
    if (arguments.empty()) {
      return clattn::tool::bench(std::filesystem::canonical("/proc/self/exe"), "");
    }
    fmt::print(stderr, "usage: {} [--device SELECTOR]\n", argv[0]);
    return 2;
  } catch (const std::exception& error) {
    fmt::print(stderr, "attention_bench: {}\n", error.what());
    return 2;
  }
}
