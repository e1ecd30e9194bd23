// The CPU reference, the comparison with it, and elements of storage.
#include <algorithm>
#include <clattn/reference.hpp>

#include "host/c_api/convert.hpp"

namespace clattn::c_api {
namespace {

static_assert(same(ReferencePrecision::exact, CLATTN_REFERENCE_PRECISION_EXACT) &&
              same(ReferencePrecision::storage, CLATTN_REFERENCE_PRECISION_STORAGE));

std::span<const std::byte> read_bytes(const void* data, std::size_t bytes, const char* name) {
  if (!data && bytes) invalid("{} is null, but {}_bytes is {}", name, name, bytes);
  return {static_cast<const std::byte*>(data), bytes};
}

void check_room(const double* result, std::size_t count, std::int64_t needed, const char* name) {
  if (result && count < static_cast<std::size_t>(needed)) {
    invalid("{} has room for {} doubles, but needs {}", name, count, needed);
  }
}

}  // namespace
}  // namespace clattn::c_api

using namespace clattn::c_api;
using clattn::invalid;

clattn_status clattn_reference_init(clattn_reference* reference, size_t struct_size) {
  return init(reference, struct_size, "reference", "clattn_reference", {});
}

clattn_status clattn_reference_compute(const clattn_problem* problem,
                                       const clattn_reference* reference) {
  return guarded([&] {
    const clattn::Problem source = read_valid_problem(problem);
    require_struct(reference, "reference", "clattn_reference");
    const clattn::ReferencePrecision precision =
        to_enum(reference->precision, clattn::ReferencePrecision::storage, "reference precision");
    const clattn::HostTensors tensors = {
        read_bytes(reference->query, reference->query_bytes, "query"),
        read_bytes(reference->key, reference->key_bytes, "key"),
        read_bytes(reference->value, reference->value_bytes, "value")};
    const auto queries = read_array(reference->queries, reference->query_count, "queries");
    const std::int64_t rows =
        source.batch * source.heads *
        (queries.empty() ? source.query_len : static_cast<std::int64_t>(queries.size()));
    check_room(reference->output, reference->output_count, rows * source.value_dim, "output");
    check_room(reference->lse, reference->lse_count, rows, "lse");
    clattn::ReferenceProgress progress;
    if (reference->progress) {
      progress = [&](std::int64_t done, std::int64_t total) {
        return reference->progress(done, total, reference->progress_user) != 0;
      };
    }
    const clattn::ReferenceResult result =
        clattn::reference_attention(source, tensors, precision, progress, queries);
    if (reference->output) {
      std::copy(result.output.begin(), result.output.end(), reference->output);
    }
    if (reference->lse) std::copy(result.lse.begin(), result.lse.end(), reference->lse);
  });
}

clattn_status clattn_reference_compare(const double* actual, const double* exact,
                                       const double* plain, size_t count, double absolute,
                                       clattn_comparison* comparison) {
  return guarded([&] {
    if (count) {
      require(actual, "actual");
      require(exact, "exact");
      require(plain, "plain");
    }
    require_struct(comparison, "comparison", "clattn_comparison");
    const clattn::Comparison result =
        clattn::compare({actual, count}, {exact, count}, {plain, count}, absolute);
    comparison->pass = result.pass;
    comparison->max_error = result.max_error;
    comparison->relative_error = result.relative_error;
    comparison->limit = result.limit;
    comparison->worst = result.worst;
    comparison->worst_actual = result.worst_actual;
    comparison->worst_expected = result.worst_expected;
    comparison->non_finite = result.non_finite;
  });
}

clattn_status clattn_element_load(int32_t type, const void* base, int64_t index, double* value) {
  return guarded([&] {
    require(base, "base");
    require(value, "value");
    if (index < 0) invalid("element index {} is negative", index);
    *value = clattn::load_element(read_data_type(type), static_cast<const std::byte*>(base), index);
  });
}

clattn_status clattn_element_store(int32_t type, double value, void* base, int64_t index) {
  return guarded([&] {
    require(base, "base");
    if (index < 0) invalid("element index {} is negative", index);
    clattn::store_element(read_data_type(type), value, static_cast<std::byte*>(base), index);
  });
}
