#include "host/trial/verify.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "host/trial/row_sample.hpp"

namespace clattn {
namespace {

constexpr double kFullCheckFlops = 4e9;  // of one reference evaluation; above, rows are sampled

constexpr double kSumError = 1e-5;  // relative to the largest value, or absolute below 1

double unit_roundoff(DataType type) {
  switch (type) {
    case DataType::f32:
      return 0x1p-24;
    case DataType::f16:
      return 0x1p-11;
    case DataType::bf16:
      return 0x1p-8;
  }
  return 0;
}

double largest_finite(std::span<const double> values) {
  double largest = 0;
  for (const double value : values) {
    if (std::isfinite(value)) largest = std::max(largest, std::abs(value));
  }
  return largest;
}

}  // namespace

Expected expected_results(const Problem& problem, const HostTensors& tensors,
                          const ReferenceProgress& progress,
                          std::span<const std::int64_t> queries) {
  const auto evaluate = [&](ReferencePrecision precision) {
    return reference_attention(problem, tensors, precision, progress, queries);
  };
  return {evaluate(ReferencePrecision::exact), evaluate(ReferencePrecision::storage)};
}

Comparison compare_output(std::span<const double> actual, const Expected& expected, DataType type) {
  const double largest = largest_finite(expected.exact.output);
  const double score_rounding =
      4 * unit_roundoff(DataType::f32) * largest_finite(expected.exact.lse);
  const double absolute =
      largest * (unit_roundoff(type) + score_rounding) + kSumError * std::max(1.0, largest);
  return compare(actual, expected.exact.output, expected.plain.output, absolute);
}

Comparison compare_lse(std::span<const double> actual, const Expected& expected) {
  const double absolute = kSumError * std::max(1.0, largest_finite(expected.exact.lse));
  return compare(actual, expected.exact.lse, expected.plain.lse, absolute);
}

Verdict judge(const HostResult& result, const Expected& expected) {
  Verdict verdict;
  verdict.output = compare_output(dense_values(result.output), expected, result.output.type);
  if (result.lse) verdict.lse = compare_lse(dense_values(*result.lse), expected);
  verdict.damage = damage(result);
  return verdict;
}

std::string describe_worst(const Comparison& comparison, const char* name,
                           const TensorShape& shape) {
  if (comparison.worst < 0) return fmt::format("{} is empty", name);
  const std::int64_t row = comparison.worst / shape.dim;
  std::string index = fmt::format("{}, {}, {}", row / shape.length / shape.heads,
                                  row / shape.length % shape.heads, row % shape.length);
  if (shape.dim > 1) index += fmt::format(", {}", comparison.worst % shape.dim);
  std::string text = fmt::format("worst {}[{}] = {:.9g}, expected {:.9g}", name, index,
                                 comparison.worst_actual, comparison.worst_expected);
  if (comparison.non_finite > 0) {
    text += fmt::format("; {} elements are NaN or infinite", comparison.non_finite);
  }
  return text;
}

std::vector<std::string> describe_failure(const Verdict& verdict, const HostResult& result) {
  std::vector<std::string> lines;
  if (!verdict.output.pass) {
    lines.push_back(describe_worst(verdict.output, "output", result.output.shape));
  }
  if (verdict.lse && !verdict.lse->pass) {
    lines.push_back(describe_worst(*verdict.lse, "lse", result.lse->shape));
  }
  if (!verdict.damage.empty()) lines.push_back(verdict.damage);
  return lines;
}

RowCheck::RowCheck(const Problem& problem, const HostInputs& inputs, std::int64_t query_tile,
                   const ReferenceProgress& progress) {
  const double flops = 2.0 * static_cast<double>(problem.head_dim + problem.value_dim) *
                       static_cast<double>(problem.batch * problem.heads) *
                       static_cast<double>(problem.query_len) *
                       static_cast<double>(problem.key_len);
  if (flops > kFullCheckFlops) rows_ = sampled_rows(problem.query_len, query_tile);
  expected_ = expected_results(problem, inputs.view(), progress, rows_);
}

std::vector<std::string> RowCheck::failures(const HostResult& result) const {
  HostResult sample;
  if (!rows_.empty()) {
    sample.output = sample_tensor(result.output, rows_);
    if (result.lse) sample.lse = sample_tensor(*result.lse, rows_);
  }
  const HostResult& checked = rows_.empty() ? result : sample;
  const Verdict verdict = judge(checked, expected_);
  return verdict.pass() ? std::vector<std::string>{} : describe_failure(verdict, checked);
}

}  // namespace clattn
