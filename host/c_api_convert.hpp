// What the entries of the C API share: the objects behind its handles, the checks of what callers
// pass, and the conversions between its structs and the C++ ones (read_... from C, write_... to C).
// Failures are exceptions; nothing writes to a caller's struct before all that can fail has
// succeeded.
#pragma once

#include <clattn/clattn.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <atomic>
#include <clattn/engine.hpp>
#include <clattn/reference.hpp>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "host/invalid.hpp"

namespace clattn::c_api {

// A counted reference to a C++ object, which starts with the creator's one reference.
template <typename Object>
struct Shared {
  explicit Shared(Object value) : object(std::move(value)) {}
  std::atomic<std::int64_t> references{1};
  Object object;
};

}  // namespace clattn::c_api

struct clattn_mask : clattn::c_api::Shared<clattn::Mask> {
  using Shared::Shared;
};

struct clattn_engine : clattn::c_api::Shared<clattn::Engine> {
  using Shared::Shared;
};

struct clattn_plan : clattn::c_api::Shared<clattn::Plan> {
  using Shared::Shared;
  // Made on demand; owns the texts that clattn_plan_get_report lends.
  const clattn::PlanReport& report() const {
    std::call_once(once_, [this] {
      report_ = object.report();
      for (const std::string& text : report_.rejected) rejected_.push_back(text.c_str());
    });
    return report_;
  }
  // Of the report.
  const std::vector<const char*>& rejected() const { return rejected_; }

 private:
  mutable std::once_flag once_;
  mutable clattn::PlanReport report_;
  mutable std::vector<const char*> rejected_;
};

namespace clattn::c_api {

inline void require(const void* pointer, const char* name) {
  if (!pointer) invalid("{} is null", name);
}

inline void check_size(std::size_t size, std::size_t expected, const char* type) {
  if (size == expected) return;
  invalid("struct_size {} is not that of {} in clattn {}, {}", size, type, clattn_version_string(),
          expected);
}

// A struct that the caller made, wherever null is not allowed.
template <typename Struct>
void require_struct(const Struct* pointer, const char* name, const char* type) {
  require(pointer, name);
  check_size(pointer->struct_size, sizeof(Struct), type);
}

inline char* duplicate(const std::string& text) {
  char* copy = static_cast<char*>(std::malloc(text.size() + 1));
  if (!copy) throw std::bad_alloc();
  std::memcpy(copy, text.c_str(), text.size() + 1);
  return copy;
}

template <std::size_t size>
void copy_cut(char (&target)[size], const std::string& text) {
  const std::size_t length = std::min(text.size(), size - 1);
  std::memcpy(target, text.data(), length);
  target[length] = '\0';
}

// Enumerators have the same values on both sides, as asserted below, so that a range check
// converts.
template <typename Enum>
Enum to_enum(std::int32_t value, Enum last, const char* name) {
  if (value < 0 || value > static_cast<std::int32_t>(last)) {
    invalid("{} {} is unknown; known are 0 to {}", name, value, static_cast<std::int32_t>(last));
  }
  return static_cast<Enum>(value);
}

template <typename Enum>
constexpr bool same(Enum ours, std::int32_t theirs) {
  return static_cast<std::int32_t>(ours) == theirs;
}
static_assert(same(DataType::f32, CLATTN_DATA_TYPE_F32) &&
              same(DataType::f16, CLATTN_DATA_TYPE_F16) &&
              same(DataType::bf16, CLATTN_DATA_TYPE_BF16));
static_assert(same(Layout::bhld, CLATTN_LAYOUT_BHLD) && same(Layout::blhd, CLATTN_LAYOUT_BLHD));
static_assert(same(Role::query, CLATTN_ROLE_QUERY) && same(Role::key, CLATTN_ROLE_KEY) &&
              same(Role::value, CLATTN_ROLE_VALUE) && same(Role::output, CLATTN_ROLE_OUTPUT));
static_assert(same(DeviceKind::cpu, CLATTN_DEVICE_KIND_CPU) &&
              same(DeviceKind::gpu, CLATTN_DEVICE_KIND_GPU) &&
              same(DeviceKind::accelerator, CLATTN_DEVICE_KIND_ACCELERATOR) &&
              same(DeviceKind::other, CLATTN_DEVICE_KIND_OTHER));
static_assert(same(CausalAlign::bottom_right, CLATTN_CAUSAL_ALIGN_BOTTOM_RIGHT) &&
              same(CausalAlign::top_left, CLATTN_CAUSAL_ALIGN_TOP_LEFT));
static_assert(same(Coverage::none, CLATTN_COVERAGE_NONE) &&
              same(Coverage::some, CLATTN_COVERAGE_SOME) &&
              same(Coverage::all, CLATTN_COVERAGE_ALL));
static_assert(same(LogLevel::info, CLATTN_LOG_LEVEL_INFO) &&
              same(LogLevel::warning, CLATTN_LOG_LEVEL_WARNING));
static_assert(same(ReferencePrecision::exact, CLATTN_REFERENCE_PRECISION_EXACT) &&
              same(ReferencePrecision::storage, CLATTN_REFERENCE_PRECISION_STORAGE));

inline DataType to_data_type(std::int32_t type) {
  return to_enum(type, DataType::bf16, "data type");
}

// ---- Devices

inline void write_device(const Device& source, clattn_device& target) {
  const DeviceFacts& facts = source.facts;
  copy_cut(target.quirks, fmt::format("{}", fmt::join(facts.quirks, ",")));  // may throw, so first
  target.platform = source.platform;
  target.id = source.id;
  copy_cut(target.name, facts.name);
  copy_cut(target.vendor, facts.vendor);
  copy_cut(target.platform_name, facts.platform);
  copy_cut(target.platform_version, facts.platform_version);
  copy_cut(target.device_version, facts.device_version);
  copy_cut(target.driver_version, facts.driver_version);
  target.compute_units = facts.compute_units;
  target.max_clock_mhz = facts.max_clock_mhz;
  target.max_work_group_size = facts.max_work_group_size;
  target.max_work_item_size = facts.max_work_item_size;
  target.local_memory_reported = facts.local_memory_reported;
  target.local_memory_bytes = facts.local_memory_bytes;
  target.global_memory_bytes = facts.global_memory_bytes;
  target.max_allocation_bytes = facts.max_allocation_bytes;
  target.kind = static_cast<std::int32_t>(facts.kind);
  target.native_float_width = facts.native_float_width;
  target.preferred_float_width = facts.preferred_float_width;
  target.compute_capability = facts.compute_capability;
  target.half_arithmetic = facts.half_arithmetic;
  target.subgroups = facts.subgroups;
  target.compiler = facts.compiler;
  target.unified_memory = facts.unified_memory;
}

template <std::size_t size>
std::string read_text(const char (&text)[size]) {
  return std::string(text, std::find(text, text + size, '\0'));
}

inline DeviceFacts read_facts(const clattn_device& source) {
  DeviceFacts facts;
  facts.name = read_text(source.name);
  facts.vendor = read_text(source.vendor);
  facts.platform = read_text(source.platform_name);
  facts.platform_version = read_text(source.platform_version);
  facts.device_version = read_text(source.device_version);
  facts.driver_version = read_text(source.driver_version);
  const std::string quirks = read_text(source.quirks);
  for (std::size_t begin = 0; begin < quirks.size();) {
    const std::size_t end = std::min(quirks.find(',', begin), quirks.size());
    facts.quirks.push_back(quirks.substr(begin, end - begin));
    begin = end + 1;
  }
  facts.compute_units = source.compute_units;
  facts.max_clock_mhz = source.max_clock_mhz;
  facts.max_work_group_size = source.max_work_group_size;
  facts.max_work_item_size = source.max_work_item_size;
  facts.local_memory_reported = source.local_memory_reported;
  facts.local_memory_bytes = source.local_memory_bytes;
  facts.global_memory_bytes = source.global_memory_bytes;
  facts.max_allocation_bytes = source.max_allocation_bytes;
  facts.kind = to_enum(source.kind, DeviceKind::other, "device kind");
  facts.native_float_width = source.native_float_width;
  facts.preferred_float_width = source.preferred_float_width;
  facts.compute_capability = source.compute_capability;
  facts.half_arithmetic = source.half_arithmetic;
  facts.subgroups = source.subgroups;
  facts.compiler = source.compiler;
  facts.unified_memory = source.unified_memory;
  return facts;
}

// ---- Masks

inline Extent read_extent(const clattn_extent& extent) {
  for (const auto& [name, length] :
       {std::pair("query_len", extent.query_len), std::pair("key_len", extent.key_len)}) {
    if (length < 0 || length > Problem::kMaxLength) {
      invalid("{} is {}, but must be from 0 to {}", name, length, Problem::kMaxLength);
    }
  }
  return {extent.query_len, extent.key_len};
}

inline Range read_range(const clattn_range& range, std::int64_t length, const char* name) {
  if (range.begin < 0 || range.begin > range.end || range.end > length) {
    invalid("{} [{}, {}) are not a range within [0, {})", name, range.begin, range.end, length);
  }
  return {range.begin, range.end};
}

// ---- Problems

inline std::optional<Strides> read_strides(const clattn_problem& problem, clattn_role role) {
  if (!problem.has_strides[role]) return std::nullopt;
  const clattn_strides& strides = problem.strides[role];
  return Strides{strides.batch, strides.head, strides.token};
}

inline Problem read_problem(const clattn_problem* source) {
  require_struct(source, "problem", "clattn_problem");
  Problem problem;
  problem.data_type = to_data_type(source->data_type);
  problem.batch = source->batch;
  problem.heads = source->heads;
  problem.kv_heads = source->kv_heads;
  problem.query_len = source->query_len;
  problem.key_len = source->key_len;
  problem.head_dim = source->head_dim;
  problem.value_dim = source->value_dim;
  if (source->has_scale) problem.scale = source->scale;
  if (source->mask) problem.mask = source->mask->object;
  problem.lse = source->lse;
  problem.layout = to_enum(source->layout, Layout::blhd, "layout");
  problem.query_strides = read_strides(*source, CLATTN_ROLE_QUERY);
  problem.key_strides = read_strides(*source, CLATTN_ROLE_KEY);
  problem.value_strides = read_strides(*source, CLATTN_ROLE_VALUE);
  problem.output_strides = read_strides(*source, CLATTN_ROLE_OUTPUT);
  return problem;
}

inline Problem read_valid_problem(const clattn_problem* source) {
  Problem problem = read_problem(source);
  validate(problem);
  return problem;
}

inline clattn_strides to_strides(const Strides& strides) {
  return {strides.batch, strides.head, strides.token};
}

inline clattn_problem default_problem() {
  clattn_problem problem{};
  problem.struct_size = sizeof problem;
  problem.batch = problem.heads = problem.kv_heads = 1;
  return problem;
}

// Gives target.mask a new reference.
inline void write_problem(const Problem& source, clattn_problem& target) {
  clattn_problem problem = default_problem();
  problem.batch = source.batch;
  problem.heads = source.heads;
  problem.kv_heads = source.kv_heads;
  problem.query_len = source.query_len;
  problem.key_len = source.key_len;
  problem.head_dim = source.head_dim;
  problem.value_dim = source.value_dim;
  problem.data_type = static_cast<std::int32_t>(source.data_type);
  problem.layout = static_cast<std::int32_t>(source.layout);
  problem.lse = source.lse;
  problem.has_scale = source.scale.has_value();
  problem.scale = source.scale.value_or(0.0f);
  const std::optional<Strides>* const strides[CLATTN_ROLE_COUNT] = {
      &source.query_strides, &source.key_strides, &source.value_strides, &source.output_strides};
  for (int role = 0; role < CLATTN_ROLE_COUNT; ++role) {
    problem.has_strides[role] = strides[role]->has_value();
    if (*strides[role]) problem.strides[role] = to_strides(**strides[role]);
  }
  problem.mask = new clattn_mask(source.mask);
  target = problem;
}

// ---- Engines and plans

inline EngineOptions read_options(const clattn_engine_options* source) {
  EngineOptions options;
  if (!source) return options;
  require_struct(source, "options", "clattn_engine_options");
  if (source->device) options.device = source->device;
  if (source->cache_dir) options.cache_dir = source->cache_dir;
  if (source->log) {
    options.log = [log = source->log, user = source->log_user](LogLevel level,
                                                               const std::string& message) {
      log(static_cast<clattn_log_level>(level), message.c_str(), user);
    };
  }
  options.trace = source->trace;
  return options;
}

inline PlanOptions read_options(const clattn_plan_options* source) {
  PlanOptions options;
  if (!source) return options;
  require_struct(source, "options", "clattn_plan_options");
  if (source->family) options.family = source->family;
  return options;
}

inline Tensors read_tensors(const clattn_tensors* source) {
  require_struct(source, "tensors", "clattn_tensors");
  const auto view = [](const clattn_tensor& tensor) {
    return TensorView{tensor.buffer, tensor.offset};
  };
  return {view(source->query), view(source->key), view(source->value), view(source->output),
          view(source->lse)};
}

// ---- Reference

inline std::span<const std::byte> read_bytes(const void* data, std::size_t bytes,
                                             const char* name) {
  if (!data && bytes) invalid("{} is null, but {}_bytes is {}", name, name, bytes);
  return {static_cast<const std::byte*>(data), bytes};
}

inline void check_room(const double* result, std::size_t count, std::int64_t needed,
                       const char* name) {
  if (result && count < static_cast<std::size_t>(needed)) {
    invalid("{} has room for {} doubles, but needs {}", name, count, needed);
  }
}

}  // namespace clattn::c_api
