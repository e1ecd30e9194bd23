// The CPU reference that every kernel answers to: naive attention in double precision over host
// tensors, which shares no tile logic with the kernels. Values are converted exactly from their
// storage type on the way in.
#pragma once

#include <clattn/export.h>

#include <clattn/problem.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace clattn {

// Host tensors: raw storage in the Problem's data type and strides, from element [0, 0, 0, 0] on.
struct HostTensors {
  std::span<const std::byte> query;
  std::span<const std::byte> key;
  std::span<const std::byte> value;
};

// Dense results, whatever the strides of the problem: output is [batch, heads, query_len,
// value_dim], lse is [batch, heads, query_len].
struct ReferenceResult {
  std::vector<double> output;
  std::vector<double> lse;
};

enum class ReferencePrecision {
  exact,    // double throughout
  storage,  // the plain low-precision evaluation: probabilities and output rounded to the storage
            // type, sums in f32. Its distance from `exact` is what a kernel's error is held
            // against.
};

// Called with the rows done and all rows; return false to stop (the result is then incomplete).
using ReferenceProgress = std::function<bool(std::int64_t done, std::int64_t total)>;

// Computes the given queries, in that order, or all where there are none: results then have as many
// rows as `queries` instead of query_len. With a token order, queries are positions, as rows are.
// Throws Error (invalid_argument) for an invalid problem, a span too short for its strides, a query
// out of range, block lists or buffers that come at launch. Reentrant; uses all cores.
CLATTN_API ReferenceResult reference_attention(
    const Problem& problem, const HostTensors& tensors,
    ReferencePrecision precision = ReferencePrecision::exact,
    const ReferenceProgress& progress = {}, std::span<const std::int64_t> queries = {});

// Exact conversions between storage and double. Rounds to nearest even.
CLATTN_API double load_element(DataType type, const std::byte* base, std::int64_t index);
CLATTN_API void store_element(DataType type, double value, std::byte* base, std::int64_t index);

// How a result compares with the exact reference.
struct Comparison {
  bool pass = false;
  double max_error = 0;       // largest absolute difference
  double relative_error = 0;  // Frobenius norm of the difference over that of the reference
  double limit = 0;           // that max_error is held to
  std::int64_t worst = -1;    // index into the dense result; -1 for an empty one
  double worst_actual = 0;
  double worst_expected = 0;
  std::int64_t non_finite = 0;  // elements that are NaN or infinite where the reference is not
};

// Holds `actual` against `exact`: passes if every element differs by at most
// 2 * max|plain - exact| + absolute, and NaN or infinity stands only where `exact` has the same.
CLATTN_API Comparison compare(std::span<const double> actual, std::span<const double> exact,
                              std::span<const double> plain, double absolute);

}  // namespace clattn
