// clattn run: attention of real tensors, from .npy files to .npy files, in the problem's layout and
// data type; LSE is f32 [batch, heads, q_len].
#include <fmt/format.h>

#include <chrono>
#include <clattn/engine.hpp>
#include <memory>
#include <optional>

#include "command.hpp"
#include "launch.hpp"
#include "npy.hpp"
#include "output_file.hpp"
#include "problem_input.hpp"
#include "progress.hpp"
#include "reference_progress.hpp"

namespace clattn::tool {
namespace {

struct Options {
  ProblemOptions problem;
  std::string device;
  PlanOptions plan;
  std::string output, lse;
  bool reference = false;
};

HostResult run_on_device(const Options& options, const Problem& problem, const HostInputs& inputs) {
  const Launcher launcher(options.device);
  const Plan plan = launcher.engine().plan(problem, options.plan);
  HostResult result = poisoned_result(problem);
  DeviceTensors tensors(launcher.engine(), launcher.queue(), inputs, result);
  const double seconds = tensors.run(plan);
  tensors.read(result);
  const PlanReport report = plan.report();
  fmt::print("{}: family {}, tiles of {} queries and {} keys, {}, {:.1f} GFLOP/s\n",
             launcher.engine().device().facts.name, report.family, report.query_tile,
             report.key_tile, format_duration(seconds),
             seconds > 0 ? static_cast<double>(report.flops) / seconds * 1e-9 : 0.0);
  return result;
}

HostResult run_reference(const Problem& problem, const HostInputs& inputs) {
  const auto start = std::chrono::steady_clock::now();
  const ReferenceResult exact =
      with_reference_progress("reference", [&](const ReferenceProgress& progress) {
        return reference_attention(problem, inputs.view(), ReferencePrecision::exact, progress);
      });
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  HostResult result = poisoned_result(problem);
  set_dense_values(result.output, exact.output);
  if (result.lse) set_dense_values(*result.lse, exact.lse);
  fmt::print("CPU reference in double precision, {}\n", format_duration(elapsed.count()));
  return result;
}

int run(const Options& options) {
  auto [problem, inputs] = problem_with_tensors(options.problem);
  problem.lse = !options.lse.empty();
  OutputFile output_file(options.output);
  std::optional<OutputFile> lse_file;
  if (problem.lse) lse_file.emplace(options.lse);

  const HostResult result =
      options.reference ? run_reference(problem, inputs) : run_on_device(options, problem, inputs);
  write_npy(output_file, problem.data_type, npy_shape(problem, Role::output),
            result.output.storage);
  if (lse_file) {
    const std::vector<std::int64_t> shape = {problem.batch, problem.heads, problem.query_len};
    write_npy(*lse_file, DataType::f32, shape, result.lse->storage);
  }
  return kSuccess;
}

}  // namespace

Command add_run(CLI::App& parent) {
  CLI::App* const app = parent.add_subcommand("run", "Compute attention of .npy tensors");
  app->footer(
      "Tensors are [batch, heads, length, dim], or [batch, length, heads, dim] if the problem's\n"
      "\"layout\" is \"blhd\"; f32, f16 or bf16 (saved as '<V2', as ml_dtypes does).\n"
      "Example: clattn run --problem '{\"mask\": {\"causal\": {}}}' --q Q.npy --k K.npy --v V.npy "
      "--out O.npy");
  const auto options = std::make_shared<Options>();
  add_problem_option(*app, options->problem);
  add_tensor_options(*app, options->problem, true);
  app->add_option("--out", options->output, "output, .npy")->required();
  app->add_option("--lse", options->lse, "also write LSE, .npy");
  app->add_flag("--reference", options->reference, "compute by the CPU reference instead");
  add_device_option(*app, options->device);
  add_plan_options(*app, options->plan);
  return {app, [options] { return run(*options); }};
}

}  // namespace clattn::tool
