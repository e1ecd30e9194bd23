#include "host/planning/probe.hpp"

#include <fmt/format.h>

#include <array>
#include <clattn/error.hpp>
#include <clattn/problem.hpp>
#include <clattn/reference.hpp>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "host/planning/launch.hpp"
#include "runtime/status.hpp"

namespace clattn {
namespace {

// A matrix of small integers, whose sums of products are exact in every type.
struct Matrix {
  int rows = 0;
  int columns = 0;
  std::vector<double> elements = std::vector<double>(static_cast<std::size_t>(rows * columns));

  double& at(int row, int column) { return elements[std::size_t(row * columns + column)]; }
  double at(int row, int column) const { return elements[std::size_t(row * columns + column)]; }
};

// From -2 to 2, without a pattern that a kernel which mixes up elements could keep.
Matrix random_matrix(int rows, int columns, std::uint32_t seed) {
  Matrix result{rows, columns};
  std::minstd_rand random(seed);
  for (double& element : result.elements) element = double(random() % 5) - 2.0;
  return result;
}

Matrix product(const Matrix& left, const Matrix& right) {
  Matrix result{left.rows, right.columns};
  for (int i = 0; i < left.rows; ++i) {
    for (int j = 0; j < right.columns; ++j) {
      for (int k = 0; k < left.columns; ++k) result.at(i, j) += left.at(i, k) * right.at(k, j);
    }
  }
  return result;
}

Matrix transposed(const Matrix& matrix) {
  Matrix result{matrix.columns, matrix.rows};
  for (int i = 0; i < matrix.rows; ++i) {
    for (int j = 0; j < matrix.columns; ++j) result.at(j, i) = matrix.at(i, j);
  }
  return result;
}

void append(std::vector<std::byte>& bytes, DataType type, const Matrix& matrix) {
  const std::size_t begin = bytes.size();
  bytes.resize(begin + matrix.elements.size() * size_of(type));
  for (std::size_t i = 0; i < matrix.elements.size(); ++i) {
    store_element(type, matrix.elements[i], bytes.data() + begin, std::int64_t(i));
  }
}

class Prober {
 public:
  Prober(const Context& context, const Device& device, ProgramStore& programs)
      : memory_(context.get()), programs_(programs) {
    cl_int status = CL_SUCCESS;
    queue_ = Queue::adopt(clCreateCommandQueue(context.get(), device.id, 0, &status));
    check(status, "clCreateCommandQueue");
  }

  // Throws Error where something fails or is wrong.
  void mma(DataType type) {
    constexpr int kSide = 16;
    const Program program =
        programs_.get({fmt::format("nvidia/probe_mma {}", to_string(type)),
                       {kernel_file("nvidia/ptx.cl"), kernel_file("nvidia/probe_mma.cl")},
                       {{"STORAGE", static_cast<int>(type)}}});
    const Matrix query = random_matrix(kSide, kSide, 1);
    const Matrix key = random_matrix(kSide, kSide, 2);
    const Matrix value = random_matrix(kSide, kSide, 3);
    const Matrix scores = product(query, transposed(key));
    std::vector<double> wanted = product(scores, value).elements;
    for (int row = 0; row < kSide; ++row) {
      double sum = 0.0;
      for (int column = 0; column < kSide; ++column) sum += scores.at(row, column);
      wanted.push_back(sum);
    }
    for (int i = 0; i < 32; ++i) wanted.push_back(std::exp2(0.25 * (i - 16)));

    std::vector<std::byte> tiles;
    for (const Matrix* tile : {&query, &key, &value}) append(tiles, type, *tile);
    const Memory input = memory_.upload(tiles);
    const Memory results = poisoned(wanted.size());
    const Kernel kernel = make_kernel(program, "probe_mma");
    set_memories(kernel, 0, std::array{input.get(), results.get()});
    launch(kernel, 32);
    compare(to_string(type), results, wanted);
  }

  void wgmma() {
    // As in the kernel: of a tile of 128 queries 120 exist, and the others count as zeros.
    constexpr int kQueries = 120, kQueryTile = 128, kKeys = 16, kDim = 64;
    constexpr int kMapWords = 16;
    const Program program =
        programs_.get({"nvidia/probe_wgmma",
                       {kernel_file("nvidia/ptx.cl"), kernel_file("nvidia/hopper.cl"),
                        kernel_file("nvidia/probe_wgmma.cl")},
                       {{"STORAGE", static_cast<int>(DataType::bf16)}},
                       ProgramPatch{"//WG ", {{".target sm_90,", ".target sm_90a,"}}}});
    Matrix query = random_matrix(kQueryTile, kDim, 4);
    const Matrix key = random_matrix(kKeys, kDim, 5);
    std::vector<std::byte> queries, keys;
    append(queries, DataType::bf16, query);
    append(keys, DataType::bf16, key);
    for (int row = kQueries; row < kQueryTile; ++row) {
      for (int column = 0; column < kDim; ++column) query.at(row, column) = 0.0;
    }
    const std::vector<double> wanted = product(query, transposed(key)).elements;

    const Memory query_memory = memory_.upload(queries), key_memory = memory_.upload(keys);
    const Memory maps = memory_.upload(std::vector<std::uint64_t>(2 * kMapWords));
    const Memory results = poisoned(wanted.size());
    const Kernel kernel = make_kernel(program, "probe_wgmma");
    set_memories(kernel, 0,
                 std::array{query_memory.get(), key_memory.get(), maps.get(), results.get()});
    launch(kernel, 384);
    compare("bf16", results, wanted);
  }

 private:
  // A result that a kernel does not write is not a number.
  Memory poisoned(std::size_t count) {
    return memory_.upload(std::vector<float>(count, std::numeric_limits<float>::quiet_NaN()));
  }

  // One work-group.
  void launch(const Kernel& kernel, std::size_t size) {
    check(clEnqueueNDRangeKernel(queue_.get(), kernel.get(), 1, nullptr, &size, &size, 0, nullptr,
                                 nullptr),
          "launching a probe");
  }

  // Powers of two may be off by some units in the last place; sums, which are integers, not by one.
  void compare(const char* type, const Memory& memory, const std::vector<double>& wanted) {
    constexpr double kTolerance = 1e-6;
    std::vector<float> results(wanted.size());
    check(clEnqueueReadBuffer(queue_.get(), memory.get(), CL_TRUE, 0,
                              results.size() * sizeof(float), results.data(), 0, nullptr, nullptr),
          "running a probe");
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      if (std::abs(results[i] - wanted[i]) <= kTolerance * std::abs(wanted[i])) continue;
      throw Error(ErrorCategory::device_failure,
                  fmt::format("a probe computed {} where {} is right (result {} of {}, {})",
                              results[i], wanted[i], i, wanted.size(), type));
    }
  }

  DeviceMemory memory_;
  ProgramStore& programs_;
  Queue queue_;
};

// Empty if `body` succeeds, else why it doesn't.
template <typename Body>
std::string outcome(const char* name, const Device& device, const LogCallback& log, Body&& body) {
  std::string reason;
  try {
    body();
    return "";
  } catch (const std::exception& error) {
    reason = error.what();
  }
  if (log) {
    log(LogLevel::warning,
        fmt::format("{} can't use the instructions \"{}\": {}", device.facts.name, name, reason));
  }
  reason.erase(std::min(reason.find('\n'), reason.size()));
  return reason.empty() ? "the probe failed" : reason;
}

}  // namespace

std::map<std::string, std::string> probe_instruction_sets(const Context& context,
                                                          const Device& device,
                                                          ProgramStore& programs,
                                                          const LogCallback& log) {
  std::map<std::string, std::string> result;
  const int capability = device.facts.compute_capability;
  if (capability >= 80) {
    result["mma"] = outcome("mma", device, log, [&] {
      Prober prober(context, device, programs);
      for (DataType type : {DataType::f16, DataType::bf16}) prober.mma(type);
    });
  }
  if (capability == 90) {
    result["wgmma"] =
        outcome("wgmma", device, log, [&] { Prober(context, device, programs).wgmma(); });
  }
  return result;
}

}  // namespace clattn
