// The C API over the C++ one: every function checks and converts its arguments, calls what the C++
// headers declare and converts the result. Each body that can fail runs inside `guarded`, the only
// place where exceptions become statuses, and writes its results last, so that a failed call
// changes nothing.
#include <clattn/clattn.h>

#include <clattn/engine.hpp>
#include <clattn/reference.hpp>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "host/c_api_convert.hpp"

namespace {

using namespace clattn::c_api;
using clattn::Error;
using clattn::ErrorCategory;
using clattn::invalid;

// The message of the last failure. `message` points into `text`, or to static text where even that
// could not be allocated.
struct LastError {
  std::string text;
  const char* message = "";
};
thread_local LastError last_error;

clattn_status fail(clattn_status status, const char* message) noexcept {
  try {
    last_error.text = message;
    last_error.message = last_error.text.c_str();
  } catch (...) {
    last_error.message = "host memory ran out, also for the message of the error";
  }
  return status;
}

clattn_status status_of(ErrorCategory category) {
  switch (category) {
    case ErrorCategory::invalid_argument:
      return CLATTN_STATUS_INVALID_ARGUMENT;
    case ErrorCategory::unsupported:
      return CLATTN_STATUS_UNSUPPORTED;
    case ErrorCategory::device_limit:
      return CLATTN_STATUS_DEVICE_LIMIT;
    case ErrorCategory::build_failure:
      return CLATTN_STATUS_BUILD_FAILURE;
    case ErrorCategory::out_of_memory:
      return CLATTN_STATUS_OUT_OF_MEMORY;
    case ErrorCategory::device_failure:
      return CLATTN_STATUS_DEVICE_FAILURE;
  }
  return CLATTN_STATUS_INTERNAL_ERROR;
}

template <typename Body>
clattn_status guarded(Body&& body) noexcept {
  try {
    body();
    return CLATTN_STATUS_SUCCESS;
  } catch (const Error& error) {
    return fail(status_of(error.category()), error.what());
  } catch (const std::bad_alloc&) {
    return fail(CLATTN_STATUS_OUT_OF_MEMORY, "host memory ran out");
  } catch (const std::length_error&) {  // a container beyond its max_size
    return fail(CLATTN_STATUS_OUT_OF_MEMORY, "host memory cannot hold that much");
  } catch (const std::exception& error) {
    return fail(CLATTN_STATUS_INTERNAL_ERROR, error.what());
  } catch (...) {
    return fail(CLATTN_STATUS_INTERNAL_ERROR, "unknown exception");
  }
}

template <typename Struct>
clattn_status init(Struct* pointer, std::size_t struct_size, const char* name, const char* type,
                   const Struct& defaults) {
  return guarded([&] {
    require(pointer, name);
    check_size(struct_size, sizeof(Struct), type);
    *pointer = defaults;
    pointer->struct_size = struct_size;
  });
}

template <typename Handle>
clattn_status retain(Handle* handle, const char* name) {
  return guarded([&] {
    require(handle, name);
    handle->references.fetch_add(1, std::memory_order_relaxed);
  });
}

template <typename Handle>
void release(Handle* handle) {
  if (handle && handle->references.fetch_sub(1, std::memory_order_acq_rel) == 1) delete handle;
}

clattn_status create_mask(clattn_mask** mask, const auto& make) {
  return guarded([&] {
    require(mask, "mask");
    *mask = new clattn_mask(make());
  });
}

}  // namespace

// ---- Status, version, texts

const char* clattn_status_name(int32_t status) {
  switch (status) {
    case CLATTN_STATUS_SUCCESS:
      return "success";
    case CLATTN_STATUS_INVALID_ARGUMENT:
      return "invalid argument";
    case CLATTN_STATUS_UNSUPPORTED:
      return "unsupported";
    case CLATTN_STATUS_DEVICE_LIMIT:
      return "device limit";
    case CLATTN_STATUS_BUILD_FAILURE:
      return "build failure";
    case CLATTN_STATUS_OUT_OF_MEMORY:
      return "out of memory";
    case CLATTN_STATUS_DEVICE_FAILURE:
      return "device failure";
    case CLATTN_STATUS_INTERNAL_ERROR:
      return "internal error";
    default:
      return "unknown status";
  }
}

const char* clattn_last_error(void) { return last_error.message; }

void clattn_version(int32_t* major, int32_t* minor, int32_t* patch) {
  if (major) *major = CLATTN_VERSION_MAJOR;
  if (minor) *minor = CLATTN_VERSION_MINOR;
  if (patch) *patch = CLATTN_VERSION_PATCH;
}

const char* clattn_version_string(void) { return CLATTN_VERSION_STRING; }

void clattn_string_free(char* text) { std::free(text); }

// ---- Devices

const char* clattn_device_kind_name(int32_t kind) {
  if (kind < CLATTN_DEVICE_KIND_CPU || kind > CLATTN_DEVICE_KIND_OTHER) {
    return "unknown device kind";
  }
  return clattn::to_string(static_cast<clattn::DeviceKind>(kind));
}

clattn_status clattn_device_get_count(size_t* count) {
  return guarded([&] {
    require(count, "count");
    *count = clattn::list_devices().size();
  });
}

clattn_status clattn_device_get(size_t index, clattn_device* device) {
  return guarded([&] {
    require_struct(device, "device", "clattn_device");
    const std::vector<clattn::Device> devices = clattn::list_devices();
    if (index >= devices.size()) {
      invalid("device index {} is not below the number of devices, {}", index, devices.size());
    }
    write_device(devices[index], *device);
  });
}

clattn_status clattn_device_select(const char* selector, clattn_device* device) {
  return guarded([&] {
    require_struct(device, "device", "clattn_device");
    const std::vector<clattn::Device> devices = clattn::list_devices();
    write_device(clattn::select_device(devices, selector ? selector : ""), *device);
  });
}

clattn_status clattn_device_describe(cl_device_id id, clattn_device* device) {
  return guarded([&] {
    require(id, "id");
    require_struct(device, "device", "clattn_device");
    write_device(clattn::describe_device(id), *device);
  });
}

// ---- Masks

clattn_status clattn_mask_create_dense(clattn_mask** mask) {
  return create_mask(mask, [] { return clattn::dense_mask(); });
}

clattn_status clattn_mask_create_causal(int32_t align, clattn_mask** mask) {
  return create_mask(mask, [&] {
    return clattn::causal_mask(to_enum(align, clattn::CausalAlign::top_left, "causal align"));
  });
}

clattn_status clattn_mask_create_window(int64_t left, int64_t right, clattn_mask** mask) {
  const auto end = [](std::int64_t value) {
    return value == CLATTN_WINDOW_UNBOUNDED ? std::nullopt : std::optional(value);
  };
  return create_mask(mask, [&] { return clattn::window_mask(end(left), end(right)); });
}

clattn_status clattn_mask_to_json(const clattn_mask* mask, char** text) {
  return guarded([&] {
    require(mask, "mask");
    require(text, "text");
    *text = duplicate(mask->object->to_json());
  });
}

clattn_status clattn_mask_retain(clattn_mask* mask) { return retain(mask, "mask"); }

void clattn_mask_release(clattn_mask* mask) { release(mask); }

clattn_status clattn_mask_allows(const clattn_mask* mask, clattn_extent extent, clattn_point point,
                                 int32_t* allows) {
  return guarded([&] {
    require(mask, "mask");
    require(allows, "allows");
    const clattn::Extent lengths = read_extent(extent);
    const bool inside = point.batch >= 0 && point.head >= 0 && point.query >= 0 &&
                        point.query < lengths.query_len && point.key >= 0 &&
                        point.key < lengths.key_len;
    if (!inside) {
      invalid("batch {}, head {}, query {}, key {} is no point of query_len {} and key_len {}",
              point.batch, point.head, point.query, point.key, lengths.query_len, lengths.key_len);
    }
    *allows = mask->object->allows({point.batch, point.head, point.query, point.key}, lengths);
  });
}

clattn_status clattn_mask_classify(const clattn_mask* mask, clattn_extent extent,
                                   clattn_range queries, clattn_range keys, int32_t* coverage) {
  return guarded([&] {
    require(mask, "mask");
    require(coverage, "coverage");
    const clattn::Extent lengths = read_extent(extent);
    const clattn::Range rows = read_range(queries, lengths.query_len, "queries");
    const clattn::Range columns = read_range(keys, lengths.key_len, "keys");
    *coverage = static_cast<std::int32_t>(mask->object->classify(rows, columns, lengths));
  });
}

clattn_status clattn_mask_reach(const clattn_mask* mask, clattn_extent extent, clattn_range queries,
                                clattn_range* keys) {
  return guarded([&] {
    require(mask, "mask");
    require(keys, "keys");
    const clattn::Extent lengths = read_extent(extent);
    const clattn::Range reach =
        mask->object->reach(read_range(queries, lengths.query_len, "queries"), lengths);
    *keys = {reach.begin, reach.end};
  });
}

clattn_status clattn_mask_get_expression(const clattn_mask* mask, clattn_extent extent,
                                         int32_t values[CLATTN_MASK_MAX_VALUES], size_t* count,
                                         char** expression) {
  return guarded([&] {
    require(mask, "mask");
    require(values, "values");
    require(count, "count");
    require(expression, "expression");
    clattn::ExpressionWriter writer;
    *expression = duplicate(mask->object->expression(writer, read_extent(extent)));
    std::copy(writer.values().begin(), writer.values().end(), values);
    *count = writer.values().size();
  });
}

clattn_status clattn_mask_count_visible_pairs(const clattn_mask* mask, clattn_extent extent,
                                              int64_t* pairs) {
  return guarded([&] {
    require(mask, "mask");
    require(pairs, "pairs");
    *pairs = clattn::count_visible_pairs(*mask->object, read_extent(extent));
  });
}

// ---- Problems

const char* clattn_data_type_name(int32_t type) {
  if (type < CLATTN_DATA_TYPE_F32 || type > CLATTN_DATA_TYPE_BF16) return "unknown data type";
  return clattn::to_string(static_cast<clattn::DataType>(type));
}

clattn_status clattn_data_type_get_size(int32_t type, size_t* bytes) {
  return guarded([&] {
    require(bytes, "bytes");
    *bytes = clattn::size_of(to_data_type(type));
  });
}

const char* clattn_role_name(int32_t role) {
  if (role < CLATTN_ROLE_QUERY || role > CLATTN_ROLE_OUTPUT) return "unknown role";
  return clattn::to_string(static_cast<clattn::Role>(role));
}

clattn_status clattn_problem_init(clattn_problem* problem, size_t struct_size) {
  return init(problem, struct_size, "problem", "clattn_problem", default_problem());
}

clattn_status clattn_problem_from_json(const char* text, clattn_problem* problem) {
  return guarded([&] {
    require(text, "text");
    require_struct(problem, "problem", "clattn_problem");
    write_problem(clattn::problem_from_json(text), *problem);
  });
}

clattn_status clattn_problem_to_json(const clattn_problem* problem, char** text) {
  return guarded([&] {
    require(text, "text");
    *text = duplicate(clattn::problem_to_json(read_problem(problem)));
  });
}

clattn_status clattn_problem_validate(const clattn_problem* problem) {
  return guarded([&] { read_valid_problem(problem); });
}

clattn_status clattn_problem_get_scale(const clattn_problem* problem, float* scale) {
  return guarded([&] {
    require(scale, "scale");
    *scale = read_valid_problem(problem).effective_scale();
  });
}

clattn_status clattn_problem_get_tensor_shape(const clattn_problem* problem, int32_t role,
                                              clattn_tensor_shape* shape) {
  return guarded([&] {
    require(shape, "shape");
    const clattn::Problem source = read_valid_problem(problem);
    const clattn::TensorShape result =
        clattn::tensor_shape(source, to_enum(role, clattn::Role::output, "role"));
    *shape = {
        result.batch,      result.heads, result.length, result.dim, to_strides(result.strides),
        result.elements(), result.span()};
  });
}

clattn_status clattn_strides_make_contiguous(int32_t layout, int64_t heads, int64_t length,
                                             int64_t dim, clattn_strides* strides) {
  return guarded([&] {
    require(strides, "strides");
    const clattn::Layout order = to_enum(layout, clattn::Layout::blhd, "layout");
    const double elements =
        static_cast<double>(heads) * static_cast<double>(length) * static_cast<double>(dim);
    if (heads < 0 || length < 0 || dim < 0 || elements > 0x1p62) {
      invalid("heads {}, length {}, dim {} are negative or more than 2^62 elements", heads, length,
              dim);
    }
    *strides = to_strides(clattn::contiguous_strides(order, heads, length, dim));
  });
}

// ---- Engines

clattn_status clattn_engine_options_init(clattn_engine_options* options, size_t struct_size) {
  return init(options, struct_size, "options", "clattn_engine_options", {});
}

clattn_status clattn_engine_create(const clattn_engine_options* options, clattn_engine** engine) {
  return guarded([&] {
    require(engine, "engine");
    *engine = new clattn_engine(clattn::Engine(read_options(options)));
  });
}

clattn_status clattn_engine_create_from_context(cl_context context, cl_device_id device,
                                                const clattn_engine_options* options,
                                                clattn_engine** engine) {
  return guarded([&] {
    require(context, "context");
    require(device, "device");
    require(engine, "engine");
    *engine = new clattn_engine(clattn::Engine(context, device, read_options(options)));
  });
}

clattn_status clattn_engine_retain(clattn_engine* engine) { return retain(engine, "engine"); }

void clattn_engine_release(clattn_engine* engine) { release(engine); }

clattn_status clattn_engine_get_context(const clattn_engine* engine, cl_context* context) {
  return guarded([&] {
    require(engine, "engine");
    require(context, "context");
    *context = engine->object.context();
  });
}

clattn_status clattn_engine_get_device(const clattn_engine* engine, clattn_device* device) {
  return guarded([&] {
    require(engine, "engine");
    require_struct(device, "device", "clattn_device");
    write_device(engine->object.device(), *device);
  });
}

clattn_status clattn_engine_get_rates(const clattn_engine* engine, clattn_rates* rates) {
  return guarded([&] {
    require(engine, "engine");
    require_struct(rates, "rates", "clattn_rates");
    const clattn::DeviceRates measured = engine->object.rates();
    rates->flops_per_second = measured.flops_per_second;
    rates->bytes_per_second = measured.bytes_per_second;
  });
}

clattn_status clattn_engine_write_trace(const clattn_engine* engine, const char* path) {
  return guarded([&] {
    require(engine, "engine");
    require(path, "path");
    engine->object.write_trace(path);
  });
}

clattn_status clattn_engine_supports(const clattn_engine* engine, const clattn_problem* problem,
                                     const clattn_plan_options* options, int32_t* supported,
                                     char** reason) {
  return guarded([&] {
    require(engine, "engine");
    require(supported, "supported");
    const clattn::Support support =
        engine->object.supports(read_problem(problem), read_options(options));
    if (reason) *reason = duplicate(support.reason);
    *supported = support.supported;
  });
}

// ---- Plans

clattn_status clattn_plan_options_init(clattn_plan_options* options, size_t struct_size) {
  return init(options, struct_size, "options", "clattn_plan_options", {});
}

clattn_status clattn_plan_create(const clattn_engine* engine, const clattn_problem* problem,
                                 const clattn_plan_options* options, clattn_plan** plan) {
  return guarded([&] {
    require(engine, "engine");
    require(plan, "plan");
    *plan = new clattn_plan(engine->object.plan(read_problem(problem), read_options(options)));
  });
}

clattn_status clattn_plan_retain(clattn_plan* plan) { return retain(plan, "plan"); }

void clattn_plan_release(clattn_plan* plan) { release(plan); }

clattn_status clattn_tensors_init(clattn_tensors* tensors, size_t struct_size) {
  return init(tensors, struct_size, "tensors", "clattn_tensors", {});
}

clattn_status clattn_plan_enqueue(const clattn_plan* plan, cl_command_queue queue,
                                  const clattn_tensors* tensors, cl_uint num_wait,
                                  const cl_event* wait_list, cl_event* event) {
  return guarded([&] {
    require(plan, "plan");
    require(queue, "queue");
    if (num_wait) require(wait_list, "wait_list");
    for (cl_uint i = 0; i < num_wait; ++i) {
      if (!wait_list[i]) invalid("wait_list[{}] is null", i);
    }
    clattn::Event last =
        plan->object.enqueue(queue, read_tensors(tensors), std::span(wait_list, num_wait));
    if (event) *event = last.release();
  });
}

clattn_status clattn_plan_get_problem(const clattn_plan* plan, clattn_problem* problem) {
  return guarded([&] {
    require(plan, "plan");
    require_struct(problem, "problem", "clattn_problem");
    write_problem(plan->object.problem(), *problem);
  });
}

clattn_status clattn_plan_get_report(const clattn_plan* plan, clattn_plan_report* report) {
  return guarded([&] {
    require(plan, "plan");
    require_struct(report, "report", "clattn_plan_report");
    const clattn::PlanReport& source = plan->report();
    report->family = source.family.c_str();
    report->config = source.config.c_str();
    report->why = source.why.c_str();
    report->rejected = plan->rejected().data();
    report->rejected_count = plan->rejected().size();
    report->query_tile = source.query_tile;
    report->key_tile = source.key_tile;
    report->tiles_total = source.tiles_total;
    report->tiles_visited = source.tiles_visited;
    report->tiles_masked = source.tiles_masked;
    report->visible_pairs = source.visible_pairs;
    report->flops = source.flops;
    report->bytes = source.bytes;
    report->work_groups = source.work_groups;
    report->work_group_size = source.work_group_size;
    report->local_memory_bytes = source.local_memory_bytes;
    report->device_memory_bytes = source.device_memory_bytes;
  });
}

clattn_status clattn_plan_explain(const clattn_plan* plan, const clattn_rates* rates, char** text) {
  return guarded([&] {
    require(plan, "plan");
    require(text, "text");
    std::optional<clattn::DeviceRates> measured;
    if (rates) {
      require_struct(rates, "rates", "clattn_rates");
      measured = {rates->flops_per_second, rates->bytes_per_second};
    }
    *text = duplicate(plan->object.explain(measured));
  });
}

// ---- Families

clattn_status clattn_family_get_count(size_t* count) {
  return guarded([&] {
    require(count, "count");
    *count = clattn::family_names().size();
  });
}

clattn_status clattn_family_get_name(size_t index, char** name) {
  return guarded([&] {
    require(name, "name");
    const std::vector<std::string> names = clattn::family_names();
    if (index >= names.size()) {
      invalid("family index {} is not below the number of families, {}", index, names.size());
    }
    *name = duplicate(names[index]);
  });
}

clattn_status clattn_family_get_rejection(const char* family, const clattn_device* device,
                                          char** reason) {
  return guarded([&] {
    require(family, "family");
    require_struct(device, "device", "clattn_device");
    require(reason, "reason");
    *reason = duplicate(clattn::family_rejection(family, read_facts(*device)));
  });
}

// ---- The CPU reference

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
    const std::int64_t rows = source.batch * source.heads * source.query_len;
    check_room(reference->output, reference->output_count, rows * source.value_dim, "output");
    check_room(reference->lse, reference->lse_count, rows, "lse");
    clattn::ReferenceProgress progress;
    if (reference->progress) {
      progress = [&](std::int64_t done, std::int64_t total) {
        return reference->progress(done, total, reference->progress_user) != 0;
      };
    }
    const clattn::ReferenceResult result =
        clattn::reference_attention(source, tensors, precision, progress);
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
    *value = clattn::load_element(to_data_type(type), static_cast<const std::byte*>(base), index);
  });
}

clattn_status clattn_element_store(int32_t type, double value, void* base, int64_t index) {
  return guarded([&] {
    require(base, "base");
    if (index < 0) invalid("element index {} is negative", index);
    clattn::store_element(to_data_type(type), value, static_cast<std::byte*>(base), index);
  });
}
