// Masks and score modifiers on a device, as the hooks of a kernel that asks about listed points.
#pragma once

#include <clattn/problem.hpp>
#include <map>
#include <string>
#include <vector>

#include "host/planning/hooks.hpp"
#include "kernels_cl/common/arguments.h"
#include "runtime/program.hpp"
#include "tests/support.hpp"

namespace clattn::test {

struct HookResults {
  std::vector<cl_int> visible;
  std::vector<float> scores;
};

// The programs of one device, by their hooks.
class HookEvaluator {
 public:
  explicit HookEvaluator(const Device& device)
      : context_(
            Context::adopt(clCreateContext(nullptr, 1, &device.id, nullptr, nullptr, nullptr))),
        queue_(Queue::adopt(clCreateCommandQueue(context_.get(), device.id, 0, nullptr))),
        programs_(context_, device, "", {}) {}

  std::size_t programs() const { return kernels_.size(); }

  // At each point (batch, head, query, key), with the score before the modifiers. A buffer that is
  // bound at launch has one element, 0.
  HookResults evaluate(const Problem& problem, const std::vector<cl_int4>& points,
                       const std::vector<float>& scores) {
    const Hooks hooks = make_hooks(problem);
    Kernel& kernel = kernels_[hooks.source];
    if (!kernel) {
      kernel = make_kernel(programs_.get({"evaluate",
                                          {kernel_file("common/arguments.h"),
                                           kernel_file("common/masks.cl"),
                                           kernel_file("common/scores.cl"),
                                           {"hooks", hooks.source},
                                           {"evaluate", kSource}},
                                          {}}),
                           "evaluate");
    }
    clattn_arguments arguments = {};
    arguments.query_len = static_cast<clattn_int32>(problem.query_len);
    arguments.key_len = static_cast<clattn_int32>(problem.key_len);
    std::copy(hooks.values.begin(), hooks.values.end(), arguments.values);
    EXPECT_EQ(clSetKernelArg(kernel.get(), 0, sizeof arguments, &arguments), CL_SUCCESS);

    std::vector<Memory> memory;
    const auto pass = [&](std::size_t bytes, const void* content) {
      static constexpr cl_int kZero = 0;  // a buffer of no bytes is not legal
      memory.push_back(bytes > 0 ? make_buffer(context_.get(), bytes, content)
                                 : make_buffer(context_.get(), sizeof kZero, &kZero));
      const cl_mem buffer = memory.back().get();
      EXPECT_EQ(
          clSetKernelArg(kernel.get(), static_cast<cl_uint>(memory.size()), sizeof buffer, &buffer),
          CL_SUCCESS);
    };
    const std::size_t size = points.size();
    pass(size * sizeof(cl_int4), points.data());
    pass(size * sizeof(cl_int), nullptr);
    pass(size * sizeof(float), scores.data());
    pass(hooks.tables.size() * sizeof(std::int32_t), hooks.tables.data());
    for (const auto& buffer : hooks.buffers) pass(buffer->values.size(), buffer->values.data());
    EXPECT_EQ(clEnqueueNDRangeKernel(queue_.get(), kernel.get(), 1, nullptr, &size, nullptr, 0,
                                     nullptr, nullptr),
              CL_SUCCESS);
    return {read_buffer<cl_int>(queue_.get(), memory[1].get(), size),
            read_buffer<float>(queue_.get(), memory[2].get(), size)};
  }

 private:
  static constexpr const char* kSource =
      "__kernel void evaluate(const clattn_arguments arguments, __global const int4 *points,\n"
      "                       __global int *visible, __global float *scores HOOK_PARAMETERS) {\n"
      "  const hooks_t hooks = HOOKS(arguments);\n"
      "  const size_t i = get_global_id(0);\n"
      "  const int4 at = points[i];\n"
      "  visible[i] = mask_allows(&hooks, at.s0, at.s1, at.s2, at.s3);\n"
      "  scores[i] = modify_score(&hooks, scores[i], at.s0, at.s1, at.s2, at.s3);\n"
      "}\n";

  Context context_;
  Queue queue_;
  ProgramStore programs_;
  std::map<std::string, Kernel> kernels_;
};

}  // namespace clattn::test
