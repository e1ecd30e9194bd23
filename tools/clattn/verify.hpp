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

#include "tensors.hpp"

namespace clattn::tool {

struct Expected {
  ReferenceResult exact;
  ReferenceResult plain;
};

// Both evaluations, with a progress line on a terminal if `label` is not empty. Throws Interrupted.
// Of the given queries, or of all where there are none.
Expected expected_results(const Problem& problem, const HostTensors& tensors,
                          const std::string& label = {},
                          std::span<const std::int64_t> queries = {});

// One exact evaluation, likewise.
ReferenceResult exact_result(const Problem& problem, const HostTensors& tensors,
                             const std::string& label = {});

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

// Checks what a kernel wrote for `problem`, on some of its rows (row_sample.hpp) where the
// reference would take long for all. Every failing part, a line each; empty if all is right.
std::vector<std::string> check_rows(const Problem& problem, const HostInputs& inputs,
                                    const HostResult& result, std::int64_t query_tile);

}  // namespace clattn::tool
