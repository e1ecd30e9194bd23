// Holds results against the CPU reference. The limit is that of clattn::compare: twice the error of
// the plain low-precision evaluation, plus an absolute term for what any f32 kernel may add, and
// which the plain evaluation may escape by luck or by another order of summation:
//   largest output * (rounding to the storage type + 1e-5 for sums + 4 * 2^-24 * largest |LSE|).
// The last is the rounding of the largest scores, whose absolute error is every weight's relative
// one; it matters only where scores reach hundreds.
#pragma once

#include <clattn/problem.hpp>
#include <clattn/reference.hpp>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "host/trial/tensors.hpp"

namespace clattn {

struct Expected {
  ReferenceResult exact;
  ReferenceResult plain;
};

// Both evaluations, of the given queries, or of all where there are none. `progress` hears of each
// (reference.hpp).
Expected expected_results(const Problem& problem, const HostTensors& tensors,
                          const ReferenceProgress& progress = {},
                          std::span<const std::int64_t> queries = {});

Comparison compare_output(std::span<const double> actual, const Expected& expected, DataType type);
Comparison compare_lse(std::span<const double> actual, const Expected& expected);

// The verdict on what a kernel wrote.
struct Verdict {
  Comparison output;
  std::optional<Comparison> lse;
  std::string damage;  // canaries that were overwritten
  bool pass() const { return output.pass && (!lse || lse->pass) && damage.empty(); }
};

Verdict judge(const HostResult& result, const Expected& expected);

// "worst output[0, 1, 2, 3] = 0.5, expected 0.25" for the dense index of a result of `shape`.
std::string describe_worst(const Comparison& comparison, const char* name,
                           const TensorShape& shape);

// Every failing part of a verdict, a line each.
std::vector<std::string> describe_failure(const Verdict& verdict, const HostResult& result);

// What kernels should write for a problem with some inputs: on some of its rows (row_sample.hpp),
// those around the edges of tiles of `query_tile` queries among them, where the reference would
// take long for all.
class RowCheck {
 public:
  RowCheck(const Problem& problem, const HostInputs& inputs, std::int64_t query_tile,
           const ReferenceProgress& progress = {});
  // Every failing part of a result, a line each; empty if all is right.
  std::vector<std::string> failures(const HostResult& result) const;

 private:
  std::vector<std::int64_t> rows_;  // none: all
  Expected expected_;
};

}  // namespace clattn
