#include "bench_suite.hpp"

#include <algorithm>

#include "fail.hpp"

namespace clattn::tool {
namespace {

constexpr double kLongestRun = 0.5;  // seconds
constexpr std::int64_t kMemoryShare = 16;
constexpr std::int64_t kShortest = 256;

struct Shape {
  std::int64_t batch, heads, kv_heads, length, dim;
  bool decode;  // one query
};

constexpr Shape kShapes[] = {{1, 16, 16, 16384, 128, false},
                             {2, 32, 32, 8192, 64, false},
                             {1, 8, 8, 16384, 256, false},
                             {1, 32, 8, 16384, 128, false},
                             {16, 32, 8, 16384, 128, true}};

Problem problem_of(const Shape& shape, std::int64_t length, DataType type, const Mask& mask) {
  Problem problem;
  problem.data_type = type;
  problem.batch = shape.batch;
  problem.heads = shape.heads;
  problem.kv_heads = shape.kv_heads;
  problem.query_len = shape.decode ? 1 : length;
  problem.key_len = length;
  problem.head_dim = problem.value_dim = shape.dim;
  problem.mask = mask;
  return problem;
}

bool fits(const Problem& problem, const DeviceFacts& facts, const DeviceRates& rates) {
  double flops = 2.0 * static_cast<double>(problem.head_dim + problem.value_dim);
  for (const std::int64_t size :
       {problem.batch, problem.heads, problem.query_len, problem.key_len}) {
    flops *= static_cast<double>(size);
  }
  std::int64_t elements = 0;
  for (const Role role : {Role::query, Role::key, Role::value, Role::output}) {
    elements += tensor_shape(problem, role).elements();
  }
  const std::int64_t bytes = elements * static_cast<std::int64_t>(size_of(problem.data_type));
  return bytes <= facts.global_memory_bytes / kMemoryShare &&
         std::max(flops / rates.flops_per_second,
                  static_cast<double>(bytes) / rates.bytes_per_second) <= kLongestRun;
}

}  // namespace

std::vector<Problem> bench_suite(const std::string& name, DataType type, const DeviceFacts& facts,
                                 const DeviceRates& rates) {
  if (name != "dense") fail("unknown suite '{}'; known is dense", name);
  std::vector<Problem> problems;
  for (const Shape& shape : kShapes) {
    std::int64_t length = shape.length;
    while (length > kShortest &&
           !fits(problem_of(shape, length, type, dense_mask()), facts, rates)) {
      length /= 2;
    }
    problems.push_back(problem_of(shape, length, type, dense_mask()));
    if (!shape.decode) problems.push_back(problem_of(shape, length, type, causal_mask()));
  }
  return problems;
}

}  // namespace clattn::tool
