// The C API of clattn: attention on any OpenCL device, inside an application that has its own
// context, queues and events. It does what the C++ headers do (engine.hpp, problem.hpp, mask.hpp,
// reference.hpp, device.hpp), whose comments hold here too. Compiles as C99 and as C++.
//
// Rules that hold for every function, so that the comments below state only what differs:
// - Status. A function that can fail returns a clattn_status; results come through pointers, which
//   are written on success only: a failed call changes nothing. The message of the failure is
//   clattn_last_error(). Nothing throws, prints, aborts or exits.
// - Errors. A pointer that is null where the comment does not allow it, a value that is not of the
//   enum, and a wrong struct_size are CLATTN_STATUS_INVALID_ARGUMENT; every function may return
//   CLATTN_STATUS_OUT_OF_MEMORY. 'Errors' names what else a function returns.
// - Ownership. Engines, plans and masks are counted references: _create gives the caller one,
//   _retain adds one, _release gives one back, and the last one destroys. A plan keeps what it
//   needs of its engine and its mask, so that they may be released in any order. Every `char**`
//   receives a NUL-terminated text that the caller frees with clattn_string_free.
// - Threads. Every function may be called from any thread at any time, also on the same handle; a
//   struct must not change while a call reads it. No function waits for the device unless it says
//   so.
// - Structs. Those that may grow begin with struct_size, which the caller sets to the sizeof of the
//   struct: the _init functions do it and fill in the defaults; where there is none, set it by
//   hand. A library takes the sizes of its own version, and from 1.0 on those of earlier ones.
// - Units. Lengths count tokens, strides and offsets elements of the data type, sizes bytes where
//   the name or the comment says so. An int32_t that is a truth is 0 or 1 when written, and true
//   when read as anything but 0.
#ifndef CLATTN_CLATTN_H_
#define CLATTN_CLATTN_H_

#include <CL/cl.h>
#include <clattn/export.h>
#include <clattn/version.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// ---- Status, version, texts ---------------------------------------------------------------------

// The values never change; new ones may be added.
typedef enum clattn_status {
  CLATTN_STATUS_SUCCESS = 0,
  CLATTN_STATUS_INVALID_ARGUMENT = 1,  // the caller passed something that can never work
  CLATTN_STATUS_UNSUPPORTED = 2,       // legal, but no kernel family or device here takes it
  CLATTN_STATUS_DEVICE_LIMIT = 3,      // the device is too small for it
  CLATTN_STATUS_BUILD_FAILURE = 4,     // a kernel did not compile; the message holds the whole log
  CLATTN_STATUS_OUT_OF_MEMORY = 5,     // host or device memory ran out
  CLATTN_STATUS_DEVICE_FAILURE = 6,    // an OpenCL call failed; the message names call and code
  CLATTN_STATUS_INTERNAL_ERROR = 7  // a failure that clattn did not foresee: a bug, please report
} clattn_status;

// "success", "invalid argument", ...; "unknown status" for a value that is none. Static text.
CLATTN_API const char* clattn_status_name(int32_t status);

// What failed in the last call of this thread that failed, with the offending value and the limit
// it broke; "" if none has. Every thread has its own. Never null; the text stands until the next
// failing call of the same thread, or its end; calls that succeed leave it alone.
CLATTN_API const char* clattn_last_error(void);

// The version of the library that runs; CLATTN_VERSION_MAJOR and so on of <clattn/version.h> are
// the version compiled against. Each pointer may be null.
CLATTN_API void clattn_version(int32_t* major, int32_t* minor, int32_t* patch);
CLATTN_API const char* clattn_version_string(void);  // "major.minor.patch", static text

// Frees a text that a `char**` of this API received. Null is ignored.
CLATTN_API void clattn_string_free(char* text);

// ---- Devices ------------------------------------------------------------------------------------

typedef enum clattn_device_kind {
  CLATTN_DEVICE_KIND_CPU = 0,
  CLATTN_DEVICE_KIND_GPU = 1,
  CLATTN_DEVICE_KIND_ACCELERATOR = 2,
  CLATTN_DEVICE_KIND_OTHER = 3
} clattn_device_kind;

// "cpu", "gpu", ...; "unknown device kind" for a value that is none. Static text.
CLATTN_API const char* clattn_device_kind_name(int32_t kind);

// One device and its facts: plain data without pointers to own. Texts end in NUL; longer ones are
// cut. The handles are OpenCL's and need no release.
typedef struct clattn_device {
  size_t struct_size;
  cl_platform_id platform;
  cl_device_id id;
  char name[256];
  char vendor[256];
  char platform_name[256];
  char platform_version[256];  // as the platform says it, "OpenCL 3.0 ..."
  char device_version[256];
  char driver_version[256];
  char quirks[512];  // ids of the workarounds that apply, separated by commas
  int64_t compute_units;
  int64_t max_clock_mhz;
  int64_t max_work_group_size;    // work-items
  int64_t max_work_item_size;     // work-items along the first dimension
  int64_t local_memory_reported;  // bytes, as the device says
  int64_t local_memory_bytes;     // bytes that kernels can really use
  int64_t global_memory_bytes;
  int64_t max_allocation_bytes;
  int32_t kind;                // a clattn_device_kind
  int32_t native_float_width;  // floats in one vector register
  int32_t preferred_float_width;
  int32_t compute_capability;  // NVIDIA: 10 * major + minor, else 0
  int32_t half_arithmetic;     // truth: cl_khr_fp16; f16 storage needs no extension
  int32_t subgroups;           // truth
  int32_t compiler;            // truth: the device compiles OpenCL C
  int32_t unified_memory;      // truth
} clattn_device;

// The number of devices of all platforms. This and the next two ask the OpenCL loader anew on every
// call. Errors: unsupported where there is no OpenCL platform or no device at all.
CLATTN_API clattn_status clattn_device_get_count(size_t* count);

// Device `index`, in the loader's order. Set device->struct_size before. Errors: invalid argument
// for an index that is not below the count; unsupported as above.
CLATTN_API clattn_status clattn_device_get(size_t index, clattn_device* device);

// The device that `selector` names: null or "" for the best (GPU before accelerator before CPU,
// then more compute units), a kind ("gpu"), an index, or a part of "platform / name", without
// regard to case. Set device->struct_size before. Errors: invalid argument, with a list of the
// devices, where none matches; unsupported as above.
CLATTN_API clattn_status clattn_device_select(const char* selector, clattn_device* device);

// The facts of any OpenCL device. Set device->struct_size before. Errors: device failure.
CLATTN_API clattn_status clattn_device_describe(cl_device_id id, clattn_device* device);

// ---- Masks --------------------------------------------------------------------------------------
// A mask says which keys a query sees. Query i and key j stand on one line with the last query
// beside the last key, so that query i is at position i + key_len - query_len among the keys.
// Immutable.

typedef struct clattn_mask clattn_mask;

typedef enum clattn_causal_align {
  CLATTN_CAUSAL_ALIGN_BOTTOM_RIGHT = 0,  // key j is visible iff j <= i + key_len - query_len
  CLATTN_CAUSAL_ALIGN_TOP_LEFT = 1       // key j is visible iff j <= i
} clattn_causal_align;

// An end of a window that does not bound.
#define CLATTN_WINDOW_UNBOUNDED INT64_MAX

// Every query sees every key.
CLATTN_API clattn_status clattn_mask_create_dense(clattn_mask** mask);
// `align` is a clattn_causal_align.
CLATTN_API clattn_status clattn_mask_create_causal(int32_t align, clattn_mask** mask);
// Key j is visible iff p - left <= j <= p + right, p = i + key_len - query_len; both ends are
// inclusive. Errors: invalid argument for a negative end.
CLATTN_API clattn_status clattn_mask_create_window(int64_t left, int64_t right, clattn_mask** mask);
// The "mask" of the JSON form of a problem: {"causal": {}}, {"window": {"left": 128, "right": 0}}.
CLATTN_API clattn_status clattn_mask_to_json(const clattn_mask* mask, char** text);

CLATTN_API clattn_status clattn_mask_retain(clattn_mask* mask);
CLATTN_API void clattn_mask_release(clattn_mask* mask);  // null is ignored

// The lengths that a mask is laid over, in tokens, each 0 to 2^30.
typedef struct clattn_extent {
  int64_t query_len;
  int64_t key_len;
} clattn_extent;

// Tokens begin to end - 1.
typedef struct clattn_range {
  int64_t begin;
  int64_t end;
} clattn_range;

typedef struct clattn_point {
  int64_t batch;
  int64_t head;
  int64_t query;
  int64_t key;
} clattn_point;

typedef enum clattn_coverage {
  CLATTN_COVERAGE_NONE = 0,
  CLATTN_COVERAGE_SOME = 1,
  CLATTN_COVERAGE_ALL = 2
} clattn_coverage;

// The four views of a mask and the count. Errors: invalid argument for a length, a range or a point
// outside the extent.

// Whether the query of the point sees its key; *allows is a truth.
CLATTN_API clattn_status clattn_mask_allows(const clattn_mask* mask, clattn_extent extent,
                                            clattn_point point, int32_t* allows);
// Which pairs of the rectangle queries x keys are visible; *coverage is a clattn_coverage. None and
// all are promises, some is always a safe answer.
CLATTN_API clattn_status clattn_mask_classify(const clattn_mask* mask, clattn_extent extent,
                                              clattn_range queries, clattn_range keys,
                                              int32_t* coverage);
// A range of keys outside which none of the queries sees any key. Constant time.
CLATTN_API clattn_status clattn_mask_reach(const clattn_mask* mask, clattn_extent extent,
                                           clattn_range queries, clattn_range* keys);
// An OpenCL C expression of the ints batch, head, query and key, 0 is false, for kernels of the
// application's own. It reads its numbers as MASK_VALUE(i), i < *count: the kernel defines that
// macro, and gets values[0 .. *count) as arguments. Errors: unsupported where a number does not
// fit.
#define CLATTN_MASK_MAX_VALUES 8
CLATTN_API clattn_status clattn_mask_get_expression(const clattn_mask* mask, clattn_extent extent,
                                                    int32_t values[CLATTN_MASK_MAX_VALUES],
                                                    size_t* count, char** expression);
// The exact number of visible pairs of one batch and head; the cost grows with the length of the
// mask's boundary.
CLATTN_API clattn_status clattn_mask_count_visible_pairs(const clattn_mask* mask,
                                                         clattn_extent extent, int64_t* pairs);

// ---- Problems -----------------------------------------------------------------------------------
// What is to be computed, without a device:
//   output[b, h, i, :] = sum over visible j of softmax_j(scale * query[b, h, i] . key[b, g, j]) *
//                        value[b, g, j, :],   g = h / (heads / kv_heads)
// A row that sees no key gives zeros, and LSE -inf. Arithmetic is f32 whatever the storage.

typedef enum clattn_data_type {
  CLATTN_DATA_TYPE_F32 = 0,
  CLATTN_DATA_TYPE_F16 = 1,
  CLATTN_DATA_TYPE_BF16 = 2
} clattn_data_type;

// "f32", "f16", "bf16"; "unknown data type" for a value that is none. Static text.
CLATTN_API const char* clattn_data_type_name(int32_t type);
CLATTN_API clattn_status clattn_data_type_get_size(int32_t type, size_t* bytes);  // of one element

// Order of the dimensions of a contiguous tensor.
typedef enum clattn_layout {
  CLATTN_LAYOUT_BHLD = 0,  // [batch, heads, length, dim]
  CLATTN_LAYOUT_BLHD = 1   // [batch, length, heads, dim]
} clattn_layout;

// The four tensors of a problem.
typedef enum clattn_role {
  CLATTN_ROLE_QUERY = 0,   // [batch, heads, query_len, head_dim]
  CLATTN_ROLE_KEY = 1,     // [batch, kv_heads, key_len, head_dim]
  CLATTN_ROLE_VALUE = 2,   // [batch, kv_heads, key_len, value_dim]
  CLATTN_ROLE_OUTPUT = 3,  // [batch, heads, query_len, value_dim]
  CLATTN_ROLE_COUNT = 4
} clattn_role;

// "query", "key", ...; "unknown role" for a value that is none. Static text.
CLATTN_API const char* clattn_role_name(int32_t role);

// Distance, in elements, between neighbours along each dimension; the innermost one is contiguous.
// A stride of 0 broadcasts an input.
typedef struct clattn_strides {
  int64_t batch;
  int64_t head;
  int64_t token;
} clattn_strides;

typedef struct clattn_problem {
  size_t struct_size;
  int64_t batch;      // 0 and up; default 1
  int64_t heads;      // query heads, a multiple of kv_heads; default 1
  int64_t kv_heads;   // 1: multi-query; fewer than heads: grouped-query; default 1
  int64_t query_len;  // 0 to 2^30; default 0
  int64_t key_len;    // 0 to 2^30; default 0
  int64_t head_dim;   // of query and key: a multiple of 8, 8 to 256; default 0, so set it
  int64_t value_dim;  // of value and output: the same
  int32_t data_type;  // a clattn_data_type, of all four tensors; default f32
  int32_t layout;     // a clattn_layout, of every tensor without strides; default bhld
  int32_t lse;        // truth: also write LSE, f32 [batch, heads, query_len], natural log
  int32_t has_scale;  // truth; without: 1 / sqrt(head_dim)
  float scale;        // finite; 0 and negative are legal
  int32_t has_strides[CLATTN_ROLE_COUNT];     // truths, by role
  clattn_strides strides[CLATTN_ROLE_COUNT];  // by role; no two output elements may overlap
  clattn_mask* mask;  // null: every query sees every key. The struct holds no reference of its own.
} clattn_problem;

// Fills in the defaults: clattn_problem_init(&problem, sizeof problem).
CLATTN_API clattn_status clattn_problem_init(clattn_problem* problem, size_t struct_size);

// The problem that a JSON object says, as in the README under "Problems"; absent sizes stay at the
// defaults, kv_heads follows heads and value_dim follows head_dim. Set problem->struct_size before.
// problem->mask receives a reference that the caller gives back with clattn_mask_release. Errors:
// invalid argument for a syntax error, a wrong type, an unknown value, or an unknown key, which is
// named together with the nearest legal one.
CLATTN_API clattn_status clattn_problem_from_json(const char* text, clattn_problem* problem);
CLATTN_API clattn_status clattn_problem_to_json(const clattn_problem* problem, char** text);

// Whether any device could compute the problem. Every function that takes a problem to work on does
// this first. Errors: invalid argument and unsupported, with the value and the limit.
CLATTN_API clattn_status clattn_problem_validate(const clattn_problem* problem);

// The scale in effect. Errors: those of clattn_problem_validate.
CLATTN_API clattn_status clattn_problem_get_scale(const clattn_problem* problem, float* scale);

// Sizes and strides of one tensor of a problem. This struct does not grow.
typedef struct clattn_tensor_shape {
  int64_t batch;
  int64_t heads;
  int64_t length;
  int64_t dim;
  clattn_strides strides;
  int64_t elements;  // batch * heads * length * dim
  int64_t span;      // elements from the first to one past the last: what a buffer must hold
} clattn_tensor_shape;

// `role` is a clattn_role. Errors: those of clattn_problem_validate.
CLATTN_API clattn_status clattn_problem_get_tensor_shape(const clattn_problem* problem,
                                                         int32_t role, clattn_tensor_shape* shape);

// Strides of a contiguous tensor; `layout` is a clattn_layout. Errors: invalid argument for a
// negative size or a product beyond 2^62 elements.
CLATTN_API clattn_status clattn_strides_make_contiguous(int32_t layout, int64_t heads,
                                                        int64_t length, int64_t dim,
                                                        clattn_strides* strides);

// ---- Engines ------------------------------------------------------------------------------------
// An engine owns what lives long on one device: the context and the built programs.

typedef struct clattn_engine clattn_engine;

typedef enum clattn_log_level {
  CLATTN_LOG_LEVEL_INFO = 0,
  CLATTN_LOG_LEVEL_WARNING = 1
} clattn_log_level;

// Called from any thread, also from several at once; the message lives as long as the call. It must
// return: no C++ exception, no longjmp.
typedef void (*clattn_log_callback)(clattn_log_level level, const char* message, void* user);

typedef struct clattn_engine_options {
  size_t struct_size;
  int32_t trace;            // truth: record every launch for clattn_engine_write_trace
  const char* device;       // a selector as of clattn_device_select; null: the best device
  const char* cache_dir;    // folder of compiled programs; null: $XDG_CACHE_HOME/clattn, or
                            // ~/.cache/clattn; "": no disk cache
  clattn_log_callback log;  // may be null: the library itself never prints
  void* log_user;           // passed to `log`; must live as long as the engine and its plans
} clattn_engine_options;

CLATTN_API clattn_status clattn_engine_options_init(clattn_engine_options* options,
                                                    size_t struct_size);

// An engine with a context of its own, on the device that options->device selects. Null options are
// the defaults; their texts are copied. Errors: those of clattn_device_select; device failure.
CLATTN_API clattn_status clattn_engine_create(const clattn_engine_options* options,
                                              clattn_engine** engine);
// An engine in the caller's context, which it retains, on one device of it; options->device is
// ignored. Null options are the defaults. Errors: invalid argument for a device that is not of the
// context; device failure.
CLATTN_API clattn_status clattn_engine_create_from_context(cl_context context, cl_device_id device,
                                                           const clattn_engine_options* options,
                                                           clattn_engine** engine);
CLATTN_API clattn_status clattn_engine_retain(clattn_engine* engine);
CLATTN_API void clattn_engine_release(clattn_engine* engine);  // null is ignored

// The engine's context, for buffers and queues; not retained for the caller: clRetainContext keeps
// it longer than the engine.
CLATTN_API clattn_status clattn_engine_get_context(const clattn_engine* engine,
                                                   cl_context* context);
// The engine's device. Set device->struct_size before.
CLATTN_API clattn_status clattn_engine_get_device(const clattn_engine* engine,
                                                  clattn_device* device);

// Rates that small kernels reached on the device, for bounds.
typedef struct clattn_rates {
  size_t struct_size;
  double flops_per_second;  // f32 fused multiply-add, two operations each
  double bytes_per_second;  // copy, bytes read plus bytes written
} clattn_rates;

// Measured on first use, which takes some tenths of a second and waits for the device; then kept.
// Set rates->struct_size before. Errors: build failure, device failure.
CLATTN_API clattn_status clattn_engine_get_rates(const clattn_engine* engine, clattn_rates* rates);

// Writes every launch since the engine was made as Chrome trace JSON (chrome://tracing, Perfetto):
// queued, submitted, started and ended, with bytes and FLOPs. Waits for launches still running.
// Needs clattn_engine_options.trace and queues made with CL_QUEUE_PROFILING_ENABLE; launches on
// other queues are left out, which the log says once. Errors: invalid argument where the engine
// does not trace or the file can't be written.
CLATTN_API clattn_status clattn_engine_write_trace(const clattn_engine* engine, const char* path);

// ---- Plans --------------------------------------------------------------------------------------
// A plan is one problem made ready on one engine: checked, compiled, allocated. Immutable.

typedef struct clattn_plan clattn_plan;

// Overrides of the planner's choice.
typedef struct clattn_plan_options {
  size_t struct_size;
  const char*
      family;  // a kernel family, as of clattn_family_get_name; null or "": the planner chooses
} clattn_plan_options;

CLATTN_API clattn_status clattn_plan_options_init(clattn_plan_options* options, size_t struct_size);

// Checks, compiles and allocates. Null options are the defaults. Errors: those of
// clattn_problem_validate; unsupported, device limit, build failure, device failure.
CLATTN_API clattn_status clattn_plan_create(const clattn_engine* engine,
                                            const clattn_problem* problem,
                                            const clattn_plan_options* options, clattn_plan** plan);
CLATTN_API clattn_status clattn_plan_retain(clattn_plan* plan);
CLATTN_API void clattn_plan_release(clattn_plan* plan);  // null is ignored

// Whether clattn_plan_create would find a kernel, by the same code; compiles nothing. *supported is
// a truth; *reason says why not and is "" where it is supported; `reason` may be null. The answer
// for an invalid problem is no, with the reason, and the status is success: look at *supported.
// Null options are the defaults.
CLATTN_API clattn_status clattn_engine_supports(const clattn_engine* engine,
                                                const clattn_problem* problem,
                                                const clattn_plan_options* options,
                                                int32_t* supported, char** reason);

// A tensor argument: a buffer of the engine's context and the offset, in elements, of its element
// [0, 0, 0, 0]; strides are the problem's. The buffer may be null where the tensor has no elements.
// This struct does not grow.
typedef struct clattn_tensor {
  cl_mem buffer;
  int64_t offset;
} clattn_tensor;

// The shapes are those of clattn_role; the buffers stay the caller's.
typedef struct clattn_tensors {
  size_t struct_size;
  clattn_tensor query;
  clattn_tensor key;
  clattn_tensor value;
  clattn_tensor output;
  clattn_tensor
      lse;  // f32 [batch, heads, query_len], contiguous; read only if the problem wants it
} clattn_tensors;

CLATTN_API clattn_status clattn_tensors_init(clattn_tensors* tensors, size_t struct_size);

// Launches on `queue`, in-order or out-of-order, after the `num_wait` events of `wait_list` (which
// may be null if there are none); allocates no device memory, compiles nothing, flushes nothing.
// `event` may be null; else *event receives the event of the last command, which the caller
// releases with clReleaseEvent. The tensors must stay alive until it completes. Launches nothing on
// errors: invalid argument when the queue or a buffer is of another context, a buffer is smaller
// than its strides need, or an event is null; device failure.
CLATTN_API clattn_status clattn_plan_enqueue(const clattn_plan* plan, cl_command_queue queue,
                                             const clattn_tensors* tensors, cl_uint num_wait,
                                             const cl_event* wait_list, cl_event* event);

// The problem that was planned. Set problem->struct_size before. problem->mask receives a reference
// that the caller gives back with clattn_mask_release.
CLATTN_API clattn_status clattn_plan_get_problem(const clattn_plan* plan, clattn_problem* problem);

// What was planned, in numbers. The texts belong to the plan and live as long as it.
typedef struct clattn_plan_report {
  size_t struct_size;
  const char* family;
  const char* config;           // the kernel configuration's id
  const char* why;              // why this family and tile
  const char* const* rejected;  // "family: reason", rejected_count of them
  size_t rejected_count;
  int64_t query_tile;     // queries
  int64_t key_tile;       // keys
  int64_t tiles_total;    // of one batch and head
  int64_t tiles_visited;  // of one batch and head
  int64_t tiles_masked;   // of one batch and head, visited with the element mask
  int64_t visible_pairs;  // of one batch and head
  double flops;           // 2 * (head_dim + value_dim) per visible pair, all heads
  double bytes;           // every tensor once
  int64_t work_groups;
  int64_t work_group_size;      // work-items
  int64_t local_memory_bytes;   // of one work-group
  int64_t device_memory_bytes;  // that the plan holds beside the tensors
} clattn_plan_report;

// Set report->struct_size before.
CLATTN_API clattn_status clattn_plan_get_report(const clattn_plan* plan,
                                                clattn_plan_report* report);

// The report in words; with `rates`, which may be null, also the bound.
CLATTN_API clattn_status clattn_plan_explain(const clattn_plan* plan, const clattn_rates* rates,
                                             char** text);

// Kernel families, in order of preference.
CLATTN_API clattn_status clattn_family_get_count(size_t* count);
// Errors: invalid argument for an index that is not below the count.
CLATTN_API clattn_status clattn_family_get_name(size_t index, char** name);
// Why a family is out on a device with these facts; "" if it is in. Only the facts count:
// device->id may be null. Errors: invalid argument for a family that does not exist.
CLATTN_API clattn_status clattn_family_get_rejection(const char* family,
                                                     const clattn_device* device, char** reason);

// ---- The CPU reference --------------------------------------------------------------------------
// Naive attention in double precision over host tensors, which every kernel answers to.

typedef enum clattn_reference_precision {
  CLATTN_REFERENCE_PRECISION_EXACT = 0,  // double throughout
  // The plain low-precision evaluation: probabilities and output rounded to the storage type, sums
  // in f32. Its distance from the exact one is what a kernel's error is held against.
  CLATTN_REFERENCE_PRECISION_STORAGE = 1
} clattn_reference_precision;

// Called with the rows done and all rows, from any thread but one call at a time; returns 0 to
// stop, anything else to go on. It must return: no C++ exception, no longjmp.
typedef int32_t (*clattn_progress_callback)(int64_t done, int64_t total, void* user);

// What to compute from and into. Inputs are raw storage in the problem's data type and strides,
// from element [0, 0, 0, 0] on, with their sizes in bytes; null where the tensor has no elements.
// Results are dense doubles whatever the problem's strides, and are the caller's memory.
typedef struct clattn_reference {
  size_t struct_size;
  int32_t precision;  // a clattn_reference_precision; default exact
  const void* query;
  size_t query_bytes;
  const void* key;
  size_t key_bytes;
  const void* value;
  size_t value_bytes;
  double* output;                     // [batch, heads, query_len, value_dim]; may be null
  size_t output_count;                // doubles that `output` has room for
  double* lse;                        // [batch, heads, query_len]; may be null
  size_t lse_count;                   // doubles that `lse` has room for
  clattn_progress_callback progress;  // may be null
  void* progress_user;
} clattn_reference;

CLATTN_API clattn_status clattn_reference_init(clattn_reference* reference, size_t struct_size);

// Computes on all cores and returns when done; stopped by `progress`, it succeeds with incomplete
// results. Errors: those of clattn_problem_validate; invalid argument for an input too short for
// its strides, or a result without room (how many it has, how many it needs).
CLATTN_API clattn_status clattn_reference_compute(const clattn_problem* problem,
                                                  const clattn_reference* reference);

// How a result compares with the exact reference.
typedef struct clattn_comparison {
  size_t struct_size;
  int32_t pass;           // truth
  double max_error;       // largest absolute difference
  double relative_error;  // Frobenius norm of the difference over that of the reference
  double limit;           // that max_error is held to
  int64_t worst;          // index into the dense result; -1 for an empty one
  double worst_actual;
  double worst_expected;
  int64_t non_finite;  // elements that are NaN or infinite where the reference is not
} clattn_comparison;

// Holds `actual` against `exact`, `count` elements each: passes if every element differs by at most
// 2 * max|plain - exact| + absolute, and NaN or infinity stands only where `exact` has the same.
// `plain` is the reference in storage precision. Set comparison->struct_size before; the arrays may
// be null if count is 0.
CLATTN_API clattn_status clattn_reference_compare(const double* actual, const double* exact,
                                                  const double* plain, size_t count,
                                                  double absolute, clattn_comparison* comparison);

// Exact conversion of element `index` (0 and up) of storage at `base`; `type` is a
// clattn_data_type.
CLATTN_API clattn_status clattn_element_load(int32_t type, const void* base, int64_t index,
                                             double* value);
// Rounds to nearest even.
CLATTN_API clattn_status clattn_element_store(int32_t type, double value, void* base,
                                              int64_t index);

#ifdef __cplusplus
}  // extern "C"
#endif

#endif  // CLATTN_CLATTN_H_
