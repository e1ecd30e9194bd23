// The OpenCL view of every mask, evaluated on every device, against `allows`.
#include <clattn/mask.hpp>
#include <map>

#include "kernels_cl/common/arguments.h"
#include "runtime/program.hpp"
#include "tests/support.hpp"

namespace clattn {
namespace {

using test::Random;
using test::uniform;

// As the planner writes it around an expression, with a kernel that asks about listed pairs.
SourceFile evaluator(const std::string& expression) {
  return {
      "evaluate",
      "#define MASK_VALUE(i) (arguments->mask_values[i])\n"
      "static inline int mask_allows(const clattn_arguments *arguments, int batch, int head,\n"
      "                              int query, int key) {\n"
      "  return " +
          expression +
          ";\n"
          "}\n"
          "__kernel void evaluate(const clattn_arguments arguments, __global const int2 *pairs,\n"
          "                       __global uchar *visible) {\n"
          "  const int2 pair = pairs[get_global_id(0)];\n"
          "  visible[get_global_id(0)] = mask_allows(&arguments, 0, 0, pair.x, pair.y) != 0;\n"
          "}\n"};
}

struct Pair {
  std::int32_t query;
  std::int32_t key;
};

// All pairs of a small extent, or some near the boundary of a band in a long one.
std::vector<Pair> pairs_of(Random& random, const Extent& extent) {
  std::vector<Pair> pairs;
  if (extent.query_len * extent.key_len <= 2000) {
    for (std::int32_t i = 0; i < extent.query_len; ++i) {
      for (std::int32_t j = 0; j < extent.key_len; ++j) pairs.push_back({i, j});
    }
    return pairs;
  }
  for (int sample = 0; sample < 200; ++sample) {
    const std::int64_t query = uniform(random, 0, extent.query_len - 1);
    const std::int64_t diagonal = query + extent.key_len - extent.query_len;
    const std::int64_t key =
        sample % 2 ? diagonal + uniform(random, -3, 3) : uniform(random, 0, extent.key_len - 1);
    pairs.push_back(
        {static_cast<std::int32_t>(query),
         static_cast<std::int32_t>(std::clamp<std::int64_t>(key, 0, extent.key_len - 1))});
  }
  return pairs;
}

TEST(MaskExpression, EqualsAllowsOnEveryDevice) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  Random random = test::make_random();
  for (std::size_t index = 0; index < test::devices().size(); ++index) {
    const Engine engine = test::make_engine(index);
    SCOPED_TRACE(engine.device().facts.name);
    const Queue queue = test::make_queue(engine);
    const Context context = Context::retain(engine.context());
    ProgramStore programs(context, engine.device(), "", {});
    constexpr std::size_t kMost = 2000;
    const Memory pair_buffer = test::make_buffer(engine.context(), kMost * sizeof(Pair));
    const Memory visible_buffer = test::make_buffer(engine.context(), kMost);
    const cl_mem memory[] = {pair_buffer.get(), visible_buffer.get()};
    std::map<std::string, Kernel> kernels;

    for (int repeat = 0; repeat < 1000; ++repeat) {
      const auto length = [&] {
        return repeat % 4 == 0 ? uniform(random, (1 << 30) - 3, 1 << 30) : uniform(random, 1, 40);
      };
      const Extent extent{length(), length()};
      const Mask mask = test::random_mask(random, extent);
      SCOPED_TRACE(mask->to_json() + " over " + std::to_string(extent.query_len) + " x " +
                   std::to_string(extent.key_len));
      ExpressionWriter writer;
      const std::string expression = mask->expression(writer, extent);
      Kernel& kernel = kernels[expression];
      if (!kernel) {
        kernel = make_kernel(
            programs.get(
                {"evaluate", {kernel_file("common/arguments.h"), evaluator(expression)}, {}}),
            "evaluate");
      }
      clattn_arguments arguments = {};
      std::copy(writer.values().begin(), writer.values().end(), arguments.mask_values);
      ASSERT_EQ(clSetKernelArg(kernel.get(), 0, sizeof arguments, &arguments), CL_SUCCESS);
      ASSERT_EQ(clSetKernelArg(kernel.get(), 1, sizeof(cl_mem), &memory[0]), CL_SUCCESS);
      ASSERT_EQ(clSetKernelArg(kernel.get(), 2, sizeof(cl_mem), &memory[1]), CL_SUCCESS);
      // Always as many, for some implementations compile a kernel anew for each size of a launch.
      std::vector<Pair> pairs = pairs_of(random, extent);
      const std::size_t count = kMost;
      pairs.resize(count);
      ASSERT_EQ(
          clEnqueueWriteBuffer(queue.get(), memory[0], CL_TRUE, 0, pairs.size() * sizeof(Pair),
                               pairs.data(), 0, nullptr, nullptr),
          CL_SUCCESS);
      ASSERT_EQ(clEnqueueNDRangeKernel(queue.get(), kernel.get(), 1, nullptr, &count, nullptr, 0,
                                       nullptr, nullptr),
                CL_SUCCESS);
      const auto visible = test::read_buffer<unsigned char>(queue.get(), memory[1], count);
      for (std::size_t i = 0; i < count; ++i) {
        ASSERT_EQ(visible[i] != 0, mask->allows({0, 0, pairs[i].query, pairs[i].key}, extent))
            << pairs[i].query << ", " << pairs[i].key;
      }
    }
    EXPECT_LE(kernels.size(), 4u) << "numbers belong into the arguments, not into the source";
  }
}

}  // namespace
}  // namespace clattn
