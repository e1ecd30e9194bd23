// The C API of clattn: attention on any OpenCL device, inside an application that has its own
// context, queues and events. It does what the C++ headers do (engine.hpp, problem.hpp, mask.hpp,
// score.hpp, expression.hpp, blocks.hpp, block_builder.hpp, neighborhood.hpp, permutation.hpp,
// reference.hpp, device.hpp), whose comments hold here too. Compiles as C99 and as C++.
//
// Rules that hold for every function, so that the comments below state only what differs:
// - Status. A function that can fail returns a clattn_status; results come through pointers, which
//   are written on success only: a failed call changes nothing. The message of the failure is
//   clattn_last_error(). Nothing throws, prints, aborts or exits.
// - Errors. A pointer that is null where the comment does not allow it, a value that is not of the
//   enum, and a wrong struct_size are CLATTN_STATUS_INVALID_ARGUMENT; every function may return
//   CLATTN_STATUS_OUT_OF_MEMORY. 'Errors' names what else a function returns.
// - Ownership. Engines, plans, masks, scores, token permutations and block builders are counted
//   references: _create gives the caller one, _retain adds one, _release gives one back, and the
//   last one destroys.
//   What is made of others keeps what it needs of them, so that they may be released in any order;
//   arrays and texts that are passed in are copied. Every `char**` receives a NUL-terminated text
//   that the caller frees with clattn_string_free. What the library puts into a struct with a
//   member `owned` (arrays, texts, handles) lives until _release_parts of the struct, which is
//   called for one copy of it only; handles in it may be retained. Set `owned` to null in a struct
//   of your own.
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
  // Instructions beyond OpenCL C that an engine tried when it was created, one a line: "mma: yes",
  // or "wgmma: " and why not. Empty for a device that no engine was created for.
  char instruction_sets[1024];
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

// ---- Expressions --------------------------------------------------------------------------------
// OpenCL C expressions of an application's own, as masks and score modifiers.

// Elements of a named buffer; u8, i32 and f32 are uchar, int and float in an expression. f16 and
// bf16 are for biases only.
typedef enum clattn_element_type {
  CLATTN_ELEMENT_TYPE_U8 = 0,
  CLATTN_ELEMENT_TYPE_I32 = 1,
  CLATTN_ELEMENT_TYPE_F32 = 2,
  CLATTN_ELEMENT_TYPE_F16 = 3,
  CLATTN_ELEMENT_TYPE_BF16 = 4
} clattn_element_type;

// A one-dimensional array in device memory that an expression reads as name[index]; it must not
// read beyond the count. Buffers of one name that are bound at launch are one buffer. This struct
// does not grow.
typedef struct clattn_buffer {
  const char* name;
  const void* values;  // `count` elements, which become the plan's; null: bound at each launch, by
                       // the name, with clattn_tensors.buffers
  int64_t count;       // elements
  int32_t type;        // a clattn_element_type
} clattn_buffer;

// A constant, passed to kernels as an argument. This struct does not grow.
typedef struct clattn_scalar {
  const char* name;
  int32_t type;  // CLATTN_ELEMENT_TYPE_I32: `integer` is the value, or _F32: `real` is
  int32_t integer;
  float real;
} clattn_scalar;

// Names are OpenCL C identifiers, differ from each other, and are none of the expression's
// variables, OpenCL C's keywords or its built-in functions. At most 8 buffers and 8 scalars. What
// the host can evaluate itself is said in expression.hpp; other texts run on devices only, unless
// there is a C function beside them.
typedef struct clattn_expression {
  size_t struct_size;
  const char* text;
  const clattn_buffer* buffers;  // buffer_count of them, or null
  size_t buffer_count;
  const clattn_scalar* scalars;  // scalar_count of them, or null
  size_t scalar_count;
} clattn_expression;

CLATTN_API clattn_status clattn_expression_init(clattn_expression* expression, size_t struct_size);

// What a kernel of the application's own needs to evaluate a mask or a score modifier, whoever
// wrote it. The kernel's program is
//   <helpers>
//   #define HOOK_VALUE(i) (hooks->values[i])  // an int, wherever the application keeps it
//   typedef struct hooks_t {
//     __global const int* values;
//     __global const int* tables;     // these names are fixed
//     __global const float* buffer0;  // one for each of `buffers`: uchar, int, float, half, or
//     ...                             // ushort for bf16
//   } hooks_t;
//   <functions>
// and the kernel, in which <expression> may stand where `hooks` is a const hooks_t* and the ints
// batch, head, query, key, query_len and key_len are those of the problem; for a modifier also the
// float score. An operator in it outside parentheses may be of any precedence.
typedef struct clattn_hooks {
  size_t struct_size;
  const char* helpers;     // OpenCL C, the same for all
  const char* functions;   // OpenCL C, of this mask or modifier; may be ""
  const char* expression;  // of a mask: an int, 0 is false; of a modifier: a float, the new score
  const int32_t* values;
  size_t value_count;
  const int32_t* tables;
  size_t table_count;
  const clattn_buffer* buffers;
  size_t buffer_count;
  void* owned;  // all of that, see clattn_hooks_release_parts
} clattn_hooks;

CLATTN_API void clattn_hooks_release_parts(clattn_hooks* hooks);  // null is ignored

// ---- Masks --------------------------------------------------------------------------------------
// A mask says which keys a query sees. Query i and key j stand on one line with the last query
// beside the last key, so that query i is at position p = i + key_len - query_len among the keys.
// Immutable.

typedef struct clattn_mask clattn_mask;

typedef enum clattn_causal_align {
  CLATTN_CAUSAL_ALIGN_BOTTOM_RIGHT = 0,  // key j is visible iff j <= i + key_len - query_len
  CLATTN_CAUSAL_ALIGN_TOP_LEFT = 1       // key j is visible iff j <= i
} clattn_causal_align;

// An end of a window that does not bound.
#define CLATTN_WINDOW_UNBOUNDED INT64_MAX

// The lengths that a mask is laid over, in tokens, each 0 to 2^30.
typedef struct clattn_extent {
  int64_t query_len;
  int64_t key_len;
} clattn_extent;

typedef struct clattn_point {
  int64_t batch;
  int64_t head;
  int64_t query;
  int64_t key;
} clattn_point;

// Whether the query of the point sees its key, as a truth. Called from any thread, also from
// several at once. It must return: no C++ exception, no longjmp.
typedef int32_t (*clattn_allows_callback)(clattn_point point, clattn_extent extent, void* user);

// A block-sparse pattern's blocks. They are independent of the tiles of the kernels. This struct
// does not grow.
typedef struct clattn_block_shape {
  int64_t query_block;  // queries of a block, 1 and up; the last one may be ragged
  int64_t key_block;    // keys of a block, 1 and up; the last one may be ragged
  int64_t batch;        // the problem's or 1, which broadcasts
  int64_t heads;        // the problem's query heads or 1, which broadcasts
  int64_t capacity;     // entries a row of the indices; 0: as many as there are key blocks
} clattn_block_shape;

// Tokens on a grid, numbered row-major, each of which sees the window of tokens around it. Per
// dimension, with the length L, window W, stride s and dilation d, and whole-number division: i
// sees j only if i % d == j % d. The tokens with i % d == g form a group of coordinates x = i / d
// and length ceil((L - g) / d), in which, with that length as L, x sees the keys
//   [start, start + W) with start = clamp(min(x / s * s + s / 2, L - 1) - W / 2, 0, L - W); causal:
//   [start, x + 1) with start = max(min(x / s * s + s - 1, L - 1) - (W - 1), 0).
// A query sees what is seen in every dimension. This struct does not grow.
typedef struct clattn_neighborhood {
  int64_t rank;         // dimensions, 1 to 3: the first of each array
  int64_t grid[3];      // tokens
  int64_t window[3];    // 2 and up; window * dilation within the grid
  int64_t stride[3];    // 1 to the window; 0: 1
  int64_t dilation[3];  // 1 and up; 0: 1
  int32_t causal[3];    // truths
  int64_t extra_keys;   // behind the keys of the grid; every query sees them
} clattn_neighborhood;

// Errors of all constructors: invalid argument, with the value and the limit, for numbers that make
// no sense. What fits only some lengths, batches or heads is refused by clattn_mask_validate and
// where a problem is validated.

// Every query sees every key.
CLATTN_API clattn_status clattn_mask_create_dense(clattn_mask** mask);
// `align` is a clattn_causal_align.
CLATTN_API clattn_status clattn_mask_create_causal(int32_t align, clattn_mask** mask);
// Key j is visible iff p - left <= j <= p + right; both ends are inclusive, 0 and up, or
// CLATTN_WINDOW_UNBOUNDED.
CLATTN_API clattn_status clattn_mask_create_window(int64_t left, int64_t right, clattn_mask** mask);
// Key j is visible iff j = p + t * dilation for some whole t with -left <= t <= right.
CLATTN_API clattn_status clattn_mask_create_dilated_window(int64_t left, int64_t right,
                                                           int64_t dilation, clattn_mask** mask);
// Every query sees the first `length` keys.
CLATTN_API clattn_status clattn_mask_create_prefix(int64_t length, clattn_mask** mask);
// Every query sees those of the first `tokens` keys that are not behind its own position (attention
// sinks: StreamingLLM, arXiv 2309.17453).
CLATTN_API clattn_status clattn_mask_create_sink(int64_t tokens, clattn_mask** mask);
// Global tokens see every key and are seen by every query: visible iff j or p is one of the `count`
// positions `tokens` (Longformer, arXiv 2004.05150).
CLATTN_API clattn_status clattn_mask_create_global(const int64_t* tokens, size_t count,
                                                   clattn_mask** mask);
// Every row of query blocks sees `count` different key blocks, drawn uniformly (BigBird, arXiv
// 2007.14062); the draw depends on the seed, the row and the number of key blocks alone.
CLATTN_API clattn_status clattn_mask_create_random_blocks(int64_t query_block, int64_t key_block,
                                                          int64_t count, uint32_t seed,
                                                          clattn_mask** mask);
// For as many queries as the grid has tokens, and as many keys and the extra ones.
CLATTN_API clattn_status clattn_mask_create_neighborhood(const clattn_neighborhood* neighborhood,
                                                         clattn_mask** mask);
// `count` documents packed one behind another: a query sees keys of its own document only, as
// `inside` says, which is laid over the document's own lengths; null: all of them. Null key_lengths
// are the query_lengths.
CLATTN_API clattn_status clattn_mask_create_documents(const int64_t* query_lengths,
                                                      const int64_t* key_lengths, size_t count,
                                                      const clattn_mask* inside,
                                                      clattn_mask** mask);
// Head h has masks[h]; `count` is the problem's number of heads.
CLATTN_API clattn_status clattn_mask_create_per_head(clattn_mask* const* masks, size_t count,
                                                     clattn_mask** mask);
// Visible iff so in all of them (of none: visible), in any of them (of none: hidden), not in it.
CLATTN_API clattn_status clattn_mask_create_all_of(clattn_mask* const* masks, size_t count,
                                                   clattn_mask** mask);
CLATTN_API clattn_status clattn_mask_create_any_of(clattn_mask* const* masks, size_t count,
                                                   clattn_mask** mask);
CLATTN_API clattn_status clattn_mask_create_not(const clattn_mask* inner, clattn_mask** mask);
// A mask of the application's own: an OpenCL C expression of the ints batch, head, query, key,
// query_len and key_len, 0 is false. `allows` may be null; it is needed where the expression is
// beyond what the host evaluates itself and the mask shall be held against the reference. `user` is
// passed to it and must live as long as the mask and its plans.
CLATTN_API clattn_status clattn_mask_create_expression(const clattn_expression* expression,
                                                       clattn_allows_callback allows, void* user,
                                                       clattn_mask** mask);
// A pattern of whole blocks: kept[((b * shape.heads + h) * query_blocks + i) * key_blocks + j] is 0
// where block (i, j) is hidden; `count` is the number of entries. shape.capacity is not read.
CLATTN_API clattn_status clattn_mask_create_blocks(clattn_block_shape shape, int64_t query_blocks,
                                                   int64_t key_blocks, const uint8_t* kept,
                                                   size_t count, clattn_mask** mask);
// The mask of a JSON object, as under "mask" in that of a problem: every mask here, and the
// published patterns of patterns.hpp. Files that it names are looked up in `folder`; null or "":
// the working directory. `extent` may be null; only block lists in the text need it.
CLATTN_API clattn_status clattn_mask_create_from_json(const char* text, const char* folder,
                                                      const clattn_extent* extent,
                                                      clattn_mask** mask);
CLATTN_API clattn_status clattn_mask_to_json(const clattn_mask* mask, char** text);

CLATTN_API clattn_status clattn_mask_retain(clattn_mask* mask);
CLATTN_API void clattn_mask_release(clattn_mask* mask);  // null is ignored

// The sizes of a problem that a mask or a modifier is laid over.
typedef struct clattn_sizes {
  int64_t batch;      // 0 and up
  int64_t heads;      // query heads, 0 and up
  int64_t query_len;  // 0 to 2^30
  int64_t key_len;    // 0 to 2^30
} clattn_sizes;

// One head of one batch.
typedef struct clattn_slice {
  int64_t batch;
  int64_t head;
} clattn_slice;

// Tokens begin to end - 1.
typedef struct clattn_range {
  int64_t begin;
  int64_t end;
} clattn_range;

typedef enum clattn_coverage {
  CLATTN_COVERAGE_NONE = 0,
  CLATTN_COVERAGE_SOME = 1,
  CLATTN_COVERAGE_ALL = 2
} clattn_coverage;

// The views of a mask. Errors: those of clattn_mask_validate, and invalid argument for a slice, a
// range or a point outside the sizes.

// Whether the mask can be laid over these sizes. Errors: invalid argument, with the value and the
// limit, where not.
CLATTN_API clattn_status clattn_mask_validate(const clattn_mask* mask, clattn_sizes sizes);
// Whether the query of the point sees its key; *allows is a truth. Errors: unsupported where only a
// device knows.
CLATTN_API clattn_status clattn_mask_allows(const clattn_mask* mask, clattn_sizes sizes,
                                            clattn_point point, int32_t* allows);
// Which pairs of the rectangle queries x keys are visible; *coverage is a clattn_coverage. None and
// all are promises, some is always a safe answer.
CLATTN_API clattn_status clattn_mask_classify(const clattn_mask* mask, clattn_sizes sizes,
                                              clattn_slice slice, clattn_range queries,
                                              clattn_range keys, int32_t* coverage);
// A range of keys outside which none of the queries sees any key.
CLATTN_API clattn_status clattn_mask_reach(const clattn_mask* mask, clattn_sizes sizes,
                                           clattn_slice slice, clattn_range queries,
                                           clattn_range* keys);
// What the mask depends on beside query and key: truths.
CLATTN_API clattn_status clattn_mask_get_variation(const clattn_mask* mask, int32_t* batch,
                                                   int32_t* head);
// Queries, ascending, in front of which the pattern changes abruptly. *count is how many there are,
// of which the first `capacity` are written; `seams` may be null if that is 0.
CLATTN_API clattn_status clattn_mask_get_seams(const clattn_mask* mask, clattn_sizes sizes,
                                               clattn_slice slice, int64_t* seams, size_t capacity,
                                               size_t* count);
// The exact number of visible pairs of one slice, if that takes no more than `budget` halvings of a
// rectangle, which grow in number with the length of the mask's boundary. *found is a truth; where
// it is 0, *pairs is left alone.
CLATTN_API clattn_status clattn_mask_count_visible_pairs(const clattn_mask* mask,
                                                         clattn_sizes sizes, clattn_slice slice,
                                                         int64_t budget, int32_t* found,
                                                         int64_t* pairs);
// The mask for kernels of the application's own. Set hooks->struct_size before. Errors: unsupported
// where a number does not fit or there are too many buffers.
CLATTN_API clattn_status clattn_mask_get_hooks(const clattn_mask* mask, clattn_hooks* hooks);

// ---- Block lists --------------------------------------------------------------------------------
// A block-sparse pattern as lists: for every row of query blocks, which key blocks are seen wholly
// ("full": no element mask is asked) and which in part ("partial": the element mask decides), in
// the format of PyTorch's FlexAttention BlockMask. Counts are [batch, heads, query_blocks], indices
// [batch, heads, query_blocks, capacity], ascending in each row; entries past the count are never
// read.

// `count` numbers in host memory. This struct does not grow.
typedef struct clattn_int32_array {
  const int32_t* values;  // may be null if count is 0
  size_t count;
} clattn_int32_array;

typedef struct clattn_block_lists {
  size_t struct_size;
  clattn_block_shape shape;
  clattn_int32_array partial_count;
  clattn_int32_array partial_index;
  clattn_int32_array full_count;  // may be empty with full_index: no full blocks
  clattn_int32_array full_index;
  // [batch, heads, key_blocks]: the first so many keys of each key block exist, the others are
  // hidden; empty: all.
  clattn_int32_array key_lengths;
  void* owned;  // null; or what clattn_block_lists_release_parts frees
} clattn_block_lists;

// Lists of nothing, with a shape of blocks of 128 x 128 for all batches and heads.
CLATTN_API clattn_status clattn_block_lists_init(clattn_block_lists* lists, size_t struct_size);
// Frees what the library put into the lists, once; nothing for lists of the caller's own. The
// arrays are empty afterwards. Null is ignored.
CLATTN_API void clattn_block_lists_release_parts(clattn_block_lists* lists);

// How many blocks there are along each length, and the entries of a row of the indices; each
// pointer may be null. Errors: invalid argument for a block or a capacity that is too small.
CLATTN_API clattn_status clattn_block_shape_get_counts(clattn_block_shape shape,
                                                       clattn_extent extent, int64_t* query_blocks,
                                                       int64_t* key_blocks, int64_t* capacity);
// Errors: invalid argument that names the list, batch, head and row of the first offence: a count
// that is negative or over the capacity, an index out of range, descending, repeated, or in both
// lists; arrays whose sizes are not the shape's; key lengths outside [0, key_block].
CLATTN_API clattn_status clattn_block_lists_validate(const clattn_block_lists* lists,
                                                     clattn_extent extent);
// The lists of a mask, exact: a block is partial only if some of its pairs are visible and some are
// not. `sizes` are the problem's. Set lists->struct_size before; free with
// clattn_block_lists_release_parts. Errors: those of clattn_mask_validate; invalid argument where
// batch or heads of the shape are not the problem's though the mask varies with them, and where a
// row needs more entries than the capacity.
CLATTN_API clattn_status clattn_block_lists_make(const clattn_mask* mask, clattn_block_shape shape,
                                                 clattn_sizes sizes, clattn_block_lists* lists);
// For every key block its query blocks: counts are [batch, heads, key_blocks], indices [batch,
// heads, key_blocks, query_blocks]. Set transposed->struct_size before; free as above. Errors:
// those of clattn_block_lists_validate.
CLATTN_API clattn_status clattn_block_lists_transpose(const clattn_block_lists* lists,
                                                      clattn_extent extent,
                                                      clattn_block_lists* transposed);
// The lists as a mask: a pair is visible iff its block is full, or partial and `inside` allows it
// (null: dense), and its key is within the block's key length. Errors: those of
// clattn_block_lists_validate.
CLATTN_API clattn_status clattn_mask_create_block_lists(const clattn_block_lists* lists,
                                                        clattn_extent extent,
                                                        const clattn_mask* inside,
                                                        clattn_mask** mask);

// ---- Score modifiers ----------------------------------------------------------------------------
// What happens to a score between the product and the softmax: score = scale * q . k, then the
// modifiers of a problem in their order, then the mask, then the softmax with the sink logits.
// Immutable.

typedef struct clattn_score clattn_score;

// The score that takes the place of `score`. Called from any thread, also from several at once. It
// must return: no C++ exception, no longjmp.
typedef double (*clattn_apply_callback)(double score, clattn_point point, clattn_extent extent,
                                        void* user);

// Errors of all constructors: invalid argument, with the value and the limit.

// cap * tanh(score / cap), cap within 1e-30 to 1e30 (Gemma 2, arXiv 2408.00118).
CLATTN_API clattn_status clattn_score_create_softcap(float cap, clattn_score** score);
// score - slope * |p - j| (ALiBi, arXiv 2108.12409). Slopes are [batch, heads], finite, `count` of
// them; batch is the problem's or 1.
CLATTN_API clattn_status clattn_score_create_alibi(const float* slopes, size_t count, int64_t batch,
                                                   clattn_score** score);
// The slopes of that paper for so many heads, into slopes[0 .. heads).
CLATTN_API clattn_status clattn_alibi_get_slopes(int64_t heads, float* slopes);
// score + buffer[b, h, i, j], contiguous, of type f32, f16 or bf16; each size is the problem's or
// 1, which broadcasts, and their product is buffer->count. The buffer may be bound at launch.
CLATTN_API clattn_status clattn_score_create_bias(const clattn_buffer* buffer, clattn_sizes sizes,
                                                  clattn_score** score);
// score + table[h, clamp(j - p, -reach, reach) + reach]: a bias by relative position (T5, arXiv
// 1910.10683). The table is [heads or 1, 2 * reach + 1], finite, `count` entries.
CLATTN_API clattn_status clattn_score_create_relative_position(const float* table, size_t count,
                                                               int64_t reach, clattn_score** score);
// The same on a grid of `rank` dimensions, 1 to 3 (neighborhood attention, arXiv 2204.07143): score
// + table[h, d0, d1, ...], where d of each dimension is clamp(coordinate of j - coordinate of i,
// -reach, reach) + reach. Token t of queries and keys alike is that of the grid, row-major; a pair
// with a token beyond the grid gets no bias, and fewer of them than the grid has are refused by
// clattn_score_validate. The table is [heads or 1, 2 * reach + 1, ...], finite, `count` entries.
CLATTN_API clattn_status clattn_score_create_grid_position(const float* table, size_t count,
                                                           const int64_t* grid,
                                                           const int64_t* reach, size_t rank,
                                                           clattn_score** score);
// A modifier of the application's own: an OpenCL C expression of the float score and the ints
// batch, head, query, key, query_len and key_len. `apply` and `user` are as `allows` and `user` of
// clattn_mask_create_expression.
CLATTN_API clattn_status clattn_score_create_expression(const clattn_expression* expression,
                                                        clattn_apply_callback apply, void* user,
                                                        clattn_score** score);
// The modifier of a JSON object, as one of those under "score" in that of a problem, but sink
// logits. `folder` is as of clattn_mask_create_from_json.
CLATTN_API clattn_status clattn_score_create_from_json(const char* text, const char* folder,
                                                       clattn_score** score);
CLATTN_API clattn_status clattn_score_to_json(const clattn_score* score, char** text);

CLATTN_API clattn_status clattn_score_retain(clattn_score* score);
CLATTN_API void clattn_score_release(clattn_score* score);  // null is ignored

// Errors: invalid argument, with the value and the limit, where the modifier cannot be laid over
// these sizes.
CLATTN_API clattn_status clattn_score_validate(const clattn_score* score, clattn_sizes sizes);
// What the modifier makes of a score. Errors: those of clattn_score_validate; invalid argument for
// a point outside the sizes; unsupported where only a device knows.
CLATTN_API clattn_status clattn_score_apply(const clattn_score* score, clattn_sizes sizes,
                                            clattn_point point, double value, double* result);
// As clattn_mask_get_hooks.
CLATTN_API clattn_status clattn_score_get_hooks(const clattn_score* score, clattn_hooks* hooks);

// ---- Problems -----------------------------------------------------------------------------------
// What is to be computed, without a device:
//   output[b, h, i, :] = sum over visible j of softmax_j(score(b, h, i, j)) * value[b, g, j, :],
//   score(b, h, i, j) = scale * query[b, h, i] . key[b, g, j], changed by the modifiers,
//   g = h / (heads / kv_heads)
// A sink logit is one more term of the softmax's sum that has no value (gpt-oss, arXiv 2508.10925):
// it takes weight away from the keys, and counts in LSE. A row that sees no key gives zeros, and
// LSE -inf, or its sink logit. Values must be finite for hidden keys too. Arithmetic is f32
// whatever the storage.

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

// An order of the tokens of a grid, which are numbered row-major, in which its tiles are
// contiguous: dilation groups (the tokens of one remainder by the dilation in each dimension) one
// behind another, each row-major over its tiles, each tile row-major over its tokens. Tiles at the
// far ends are cut. This struct does not grow.
typedef struct clattn_token_order {
  int64_t rank;         // dimensions, 1 to 3: the first of each array
  int64_t grid[3];      // tokens
  int64_t tile[3];      // tokens of a group, 1 or more
  int64_t dilation[3];  // 1 to the grid's; 0: 1
} clattn_token_order;

// The token at each position, into `tokens`, which has room for `count`. Errors: invalid argument,
// with the value and the limit, for what is no order, or too little room.
CLATTN_API clattn_status clattn_token_order_get_tokens(clattn_token_order order, int32_t* tokens,
                                                       size_t count);

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
  // Truth: block lists of this shape come with each launch (clattn_tensors.blocks) and may change
  // between launches. Blocks that they don't list are hidden, `mask` decides in partial blocks.
  int32_t has_blocks;
  clattn_block_shape blocks;
  // Truth: query, key, value, output and LSE lie in this order of a grid's tokens; those behind the
  // grid's stand in place. Masks, modifiers and their tables still count tokens row-major over the
  // grid. For masks that lie within a neighborhood of the same grid and dilation.
  int32_t has_token_order;
  clattn_token_order token_order;
  clattn_score* const* scores;  // score_count of them, in the order in which they apply, or null;
  size_t score_count;           // the struct holds no references of its own
  const float* sink_logits;     // [heads], finite, or null: none
  size_t sink_logit_count;      // heads, or 0
  void* owned;                  // null; or what clattn_problem_release_parts frees
} clattn_problem;

// Fills in the defaults: clattn_problem_init(&problem, sizeof problem).
CLATTN_API clattn_status clattn_problem_init(clattn_problem* problem, size_t struct_size);

// The problem that a JSON object says, as in the README under "Problems"; absent sizes stay at the
// defaults, kv_heads follows heads and value_dim follows head_dim. Files that it names are looked
// up in `folder`; null or "": the working directory. Set problem->struct_size before. The mask, the
// scores and the sink logits are the problem's `owned`: give them back with
// clattn_problem_release_parts. Errors: invalid argument for a syntax error, a wrong type, an
// unknown value, or an unknown key, which is named together with the nearest legal one.
CLATTN_API clattn_status clattn_problem_from_json(const char* text, const char* folder,
                                                  clattn_problem* problem);
// Frees what the library put into the problem, once; nothing for a problem of the caller's own. Its
// mask, scores and sink logits are null afterwards. Null is ignored.
CLATTN_API void clattn_problem_release_parts(clattn_problem* problem);
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
  // The text of a tuning store, which plans ask before all others: what clattn_engine_get_tuning
  // gave, or what an application ships; null: none.
  const char* tuning;
  // Truth: plans ask neither the user's store ($XDG_DATA_HOME/clattn/tuning.json, or below
  // ~/.local/share) nor the system's nor the one that is built in.
  int32_t without_default_tuning;
} clattn_engine_options;

CLATTN_API clattn_status clattn_engine_options_init(clattn_engine_options* options,
                                                    size_t struct_size);

// An engine with a context of its own, on the device that options->device selects. Null options are
// the defaults; their texts are copied. On an NVIDIA GPU of compute capability 8.0 or later this
// and the next one try instructions of its tensor cores, and wait for the device. Errors: those of
// clattn_device_select; device failure.
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
// The engine's device, with the instructions that it was found to have. Set device->struct_size
// before.
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

// How the kernels of a neighborhood come to tiles that are boxes of the grid.
typedef enum clattn_token_access {
  CLATTN_TOKEN_ACCESS_AUTOMATIC = 0,  // the planner chooses
  CLATTN_TOKEN_ACCESS_IN_PLACE = 1,   // not at all: tiles are consecutive tokens
  CLATTN_TOKEN_ACCESS_GATHERED = 2,   // loads and stores go to the tokens of a box
  CLATTN_TOKEN_ACCESS_PERMUTED = 3    // tensors are copied into tile order, and the result back
} clattn_token_access;

// Overrides of the planner's choice. Those of tokens and tiles are for masks whose visible pairs
// lie within a neighborhood; other problems refuse them, and so do problems whose tensors lie in an
// order of their own.
typedef struct clattn_plan_options {
  size_t struct_size;
  const char*
      family;  // a kernel family, as of clattn_family_get_name; null or "": the planner chooses
  const int64_t* query_tile;  // of a grid of tile_rank dimensions; null: the planner chooses
  const int64_t* key_tile;    // the same, where tokens are permuted
  size_t tile_rank;           // of those tiles that are not null
  int32_t tokens;             // a clattn_token_access
  // A value for each parameter of the kernel of `family`, as "query_tile=128,key_tile=64"; null or
  // "": the planner chooses.
  const char* config;
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

// How a search for the fastest configuration of a kernel goes.
typedef enum clattn_search_strategy {
  CLATTN_SEARCH_STRATEGY_EXHAUSTIVE = 0,  // every legal configuration
  CLATTN_SEARCH_STRATEGY_RANDOM = 1,      // in random order
  CLATTN_SEARCH_STRATEGY_GUIDED = 2       // from the planner's choice on, by a model of the times
} clattn_search_strategy;

// When a search ends: at the first of these, or when there is nothing left to try. A guided search
// also ends when it no longer gets on.
typedef struct clattn_tune_budget {
  size_t struct_size;
  int64_t evaluations;  // configurations that are tried; 0: any number
  double seconds;       // 0: any time
  uint64_t seed;        // the same answers of the device give the same search
  int32_t strategy;     // a clattn_search_strategy
} clattn_tune_budget;

// Guided, without a limit, seed 1.
CLATTN_API clattn_status clattn_tune_budget_init(clattn_tune_budget* budget, size_t struct_size);

typedef struct clattn_tune_result {
  size_t struct_size;
  double heuristic_seconds;  // medians of launches in turns: of the planner's own choice, 0 where
  double best_seconds;       // it fails, and of the best that was found, perhaps the same
  int64_t evaluations;
  int64_t failures;  // configurations that did not build, did not run or computed wrong numbers
} clattn_tune_result;

// Searches the configurations of the kernel that takes a problem, in this process and on a queue of
// its own; plans made from then on use what it finds. A kernel that hangs, hangs here: the command
// `clattn tune` measures in child processes. Null options and a null budget are the defaults;
// `result` may be null, else set result->struct_size before. Errors: those of clattn_plan_create;
// out of memory.
CLATTN_API clattn_status clattn_engine_tune(clattn_engine* engine, const clattn_problem* problem,
                                            const clattn_plan_options* options,
                                            const clattn_tune_budget* budget,
                                            clattn_tune_result* result);
// The engine's own tuning store as text: what clattn_engine_options.tuning brought, and what was
// tuned since.
CLATTN_API clattn_status clattn_engine_get_tuning(const clattn_engine* engine, char** text);

// A tensor argument: a buffer of the engine's context and the offset, in elements, of its element
// [0, 0, 0, 0]; strides are the problem's. The buffer may be null where the tensor has no elements.
// This struct does not grow.
typedef struct clattn_tensor {
  cl_mem buffer;
  int64_t offset;
} clattn_tensor;

// The block lists of a launch, for a problem with blocks: int32 buffers of the engine's context,
// laid out as in clattn_block_lists. They are not read on the host: a count outside [0, capacity]
// makes the rows of its block NaN, and so does an index out of range;
// clattn_block_list_buffers_check says where. This struct does not grow.
typedef struct clattn_block_list_buffers {
  cl_mem partial_count;
  cl_mem partial_index;
  cl_mem full_count;  // null with full_index: there are no full blocks
  cl_mem full_index;
  cl_mem key_lengths;  // null: all keys of a block exist
  // A permutation of the rows of blocks, [batch * heads * query_blocks]: the order in which they
  // start; null: their own. Heavy rows first keeps the device busy to the end.
  cl_mem row_order;
} clattn_block_list_buffers;

// A buffer that an expression or a bias leaves to be bound at launch. This struct does not grow.
typedef struct clattn_named_memory {
  const char* name;
  cl_mem buffer;
} clattn_named_memory;

// The shapes are those of clattn_role; the buffers stay the caller's.
typedef struct clattn_tensors {
  size_t struct_size;
  clattn_tensor query;
  clattn_tensor key;
  clattn_tensor value;
  clattn_tensor output;
  clattn_tensor
      lse;  // f32 [batch, heads, query_len], contiguous; read only if the problem wants it
  clattn_block_list_buffers blocks;    // read only if the problem has blocks
  const clattn_named_memory* buffers;  // buffer_count of them, or null
  size_t buffer_count;
} clattn_tensors;

CLATTN_API clattn_status clattn_tensors_init(clattn_tensors* tensors, size_t struct_size);

// Launches on `queue`, in-order or out-of-order, after the `num_wait` events of `wait_list` (which
// may be null if there are none); allocates no device memory, compiles nothing, flushes nothing.
// `event` may be null; else *event receives the event of the last command, which the caller
// releases with clReleaseEvent. The tensors must stay alive until it completes. Launches nothing on
// errors: invalid argument when the queue or a buffer is of another context, a buffer is smaller
// than its strides need, one that is bound at launch is missing, or an event is null; device
// failure. Launches of a plan that splits rows (clattn_plan_report.parts) share its workspace and
// run one behind another, whatever their queues: as OpenCL demands where a queue waits for another,
// flush each of them.
CLATTN_API clattn_status clattn_plan_enqueue(const clattn_plan* plan, cl_command_queue queue,
                                             const clattn_tensors* tensors, cl_uint num_wait,
                                             const cl_event* wait_list, cl_event* event);

// The problem that was planned. Set problem->struct_size before. Give its parts back with
// clattn_problem_release_parts.
CLATTN_API clattn_status clattn_plan_get_problem(const clattn_plan* plan, clattn_problem* problem);

// One way to tile a neighborhood, and what the planner expects of it. This struct does not grow.
typedef struct clattn_tiling {
  const int64_t* query_tile;  // of the grid; query_tile_rank of them: 0 in place
  size_t query_tile_rank;
  const int64_t* key_tile;  // key_tile_rank of them: 0 unless keys come in tiles (permuted)
  size_t key_tile_rank;
  double bound;              // all pairs to those that are computed
  double masked_share;       // of the computed pairs, those that the mask is asked about
  double permutation_bytes;  // read and written beside the attention
  double cost_flops;         // the time of so many FLOPs at the family's best dense speed
  int32_t tokens;            // a clattn_token_access
} clattn_tiling;

// What was planned, in numbers. Texts and arrays belong to the plan and live as long as it.
typedef struct clattn_plan_report {
  size_t struct_size;
  const char* family;
  const char* config;           // the kernel configuration's id
  const char* parameters;       // the same, as clattn_plan_options takes it
  const char* config_source;    // "heuristic", "asked for", or what it was tuned for, where
  const char* why;              // why this family and tile
  const char* const* rejected;  // "family: reason", rejected_count of them
  size_t rejected_count;
  int64_t query_tile;  // queries
  int64_t key_tile;    // keys
  // Of all batches and heads. With block lists that come at launch, nothing is known of them: all
  // tiles then count as visited and masked.
  double tiles_total;
  double tiles_visited;
  double tiles_masked;    // visited with the element mask
  double visible_pairs;   // exact; or, where the mask is too irregular to count, those of the
  int32_t pairs_counted;  // visited tiles, and this truth is 0
  double flops;           // 2 * (head_dim + value_dim) per visible pair
  double bytes;           // every tensor once
  double balance;         // expected share of the compute units that are busy until the last ends
  int64_t split_rows;     // rows of tiles that were split, and
  int64_t parts;          // the parts that they were split into, which are merged by LSE
  int64_t work_groups;
  int64_t work_group_size;      // work-items
  int64_t local_memory_bytes;   // of one work-group
  int64_t device_memory_bytes;  // that the plan holds beside the tensors
  // For masks within a neighborhood: the ways that were weighed, the chosen one first, then by
  // cost; and the share of the multiply-add rate that the family's best dense speed is.
  const clattn_tiling* tilings;
  size_t tiling_count;
  double dense_efficiency;
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

// ---- Token permutations -------------------------------------------------------------------------
// Takes tensors from the order of their tokens to an order of tiles and back, on the device: once
// at the entrance of a network and once at its exit, if all that lies between works in tile order
// (clattn_problem.token_order). Tokens behind those of the grid stay in place.

typedef struct clattn_token_permutation clattn_token_permutation;

typedef enum clattn_permutation_direction {
  CLATTN_PERMUTATION_DIRECTION_INTO_ORDER = 0,   // target[position] = source[token at position]
  CLATTN_PERMUTATION_DIRECTION_OUT_OF_ORDER = 1  // target[token at position] = source[position]
} clattn_permutation_direction;

// One tensor's permutation; compiles and allocates. `direction` is a clattn_permutation_direction,
// `data_type` a clattn_data_type; LSE is a tensor of f32 with dim 1. Both shapes are of the same
// sizes, their `elements` and `span` are not read; lengths are at least the order's tokens; only
// the source may broadcast. Errors: invalid argument with the value and the limit; build failure,
// device failure.
CLATTN_API clattn_status clattn_token_permutation_create(const clattn_engine* engine,
                                                         clattn_token_order order,
                                                         int32_t direction, int32_t data_type,
                                                         const clattn_tensor_shape* source,
                                                         const clattn_tensor_shape* target,
                                                         clattn_token_permutation** permutation);
CLATTN_API clattn_status clattn_token_permutation_retain(clattn_token_permutation* permutation);
CLATTN_API void clattn_token_permutation_release(
    clattn_token_permutation* permutation);  // null is ignored

// Launches on `queue`. `num_wait`, `wait_list`, `event` and the errors are as of
// clattn_plan_enqueue. Source and target must not overlap.
CLATTN_API clattn_status clattn_token_permutation_enqueue(
    const clattn_token_permutation* permutation, cl_command_queue queue, clattn_tensor source,
    clattn_tensor target, cl_uint num_wait, const cl_event* wait_list, cl_event* event);

// ---- Block builders -----------------------------------------------------------------------------
// Block lists made on the device, for a problem with blocks: a builder owns the lists of one
// pattern, fills them from the problem's mask and, if given, from a tensor that says which blocks
// to keep, and hands them to clattn_plan_enqueue. A recipe of dynamic sparsity is: estimate block
// scores, select here, attend.

typedef struct clattn_block_builder clattn_block_builder;

typedef enum clattn_selection_kind {
  CLATTN_SELECTION_KIND_NONZERO = 0,    // u8: blocks that are not 0
  CLATTN_SELECTION_KIND_THRESHOLD = 1,  // f32: scores of at least `threshold`
  CLATTN_SELECTION_KIND_TOP_K = 2,      // f32: the `count` highest of each row of query blocks
  CLATTN_SELECTION_KIND_TOP_P = 3  // f32, not negative: the highest of each row until their sum
                                   // reaches `share` of the row's
} clattn_selection_kind;

// Which blocks a tensor keeps: [batch, heads, query_blocks, key_blocks] of the problem's block
// shape, contiguous. Ties are decided for the lower block index. NaN scores are never kept.
typedef struct clattn_block_selection {
  size_t struct_size;
  cl_mem buffer;
  int64_t count;
  float threshold;
  float share;            // 0 to 1
  int32_t kind;           // a clattn_selection_kind; default nonzero
  int32_t keep_crossing;  // truth: the block that crosses the share is kept; default true
} clattn_block_selection;

CLATTN_API clattn_status clattn_block_selection_init(clattn_block_selection* selection,
                                                     size_t struct_size);

// Compiles and allocates, and may wait for the device. A block whose pairs are all visible in the
// problem's mask is full, one with some is partial, others are not listed. Errors: those of
// clattn_plan_create; invalid argument where the problem has no blocks, or a mask that varies with
// batch or head while the blocks don't.
CLATTN_API clattn_status clattn_block_builder_create(const clattn_engine* engine,
                                                     const clattn_problem* problem,
                                                     clattn_block_builder** builder);
CLATTN_API clattn_status clattn_block_builder_retain(clattn_block_builder* builder);
CLATTN_API void clattn_block_builder_release(clattn_block_builder* builder);  // null is ignored

// Fills the lists on `queue`; launches only. `num_wait`, `wait_list` and `event` are as of
// clattn_plan_enqueue. Null `selection` keeps all blocks. `buffers`, null or buffer_count of them,
// are those of the mask that are bound at launch. A row of more blocks than the capacity gets a
// count of -1, which makes its output NaN. The caller orders building and reading by events or an
// in-order queue. Launches nothing on errors: invalid argument for a buffer of another context or
// too small; device failure.
CLATTN_API clattn_status clattn_block_builder_build(clattn_block_builder* builder,
                                                    cl_command_queue queue,
                                                    const clattn_block_selection* selection,
                                                    const clattn_named_memory* buffers,
                                                    size_t buffer_count, cl_uint num_wait,
                                                    const cl_event* wait_list, cl_event* event);

// For clattn_tensors.blocks. The buffers live as long as the builder.
CLATTN_API clattn_status clattn_block_builder_get_lists(const clattn_block_builder* builder,
                                                        clattn_block_list_buffers* lists);
// As clattn_block_lists_transpose makes them; filled by each build, too.
CLATTN_API clattn_status clattn_block_builder_get_transposed(const clattn_block_builder* builder,
                                                             clattn_block_list_buffers* lists);
// Reads the lists back, which waits for the queue. Set lists->struct_size before; free with
// clattn_block_lists_release_parts. Errors: invalid argument that names the first row over its
// capacity, with its count and the limit; device failure.
CLATTN_API clattn_status clattn_block_builder_download(const clattn_block_builder* builder,
                                                       cl_command_queue queue,
                                                       clattn_block_lists* lists);

// Reads lists of anybody's making back and holds them to what clattn_block_lists_validate asks;
// waits for the queue. For debugging: a launch itself does not read them on the host.
CLATTN_API clattn_status clattn_block_list_buffers_check(cl_command_queue queue,
                                                         const clattn_problem* problem,
                                                         const clattn_block_list_buffers* lists);

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
// Results are dense doubles whatever the problem's strides, and are the caller's memory. Buffers
// and block lists that come at launch cannot be computed with.
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
  const int64_t*
      queries;         // those to compute, in that order, query_count of them: results then have
  size_t query_count;  // as many rows as that instead of query_len; null and 0: all. With a token
                       // order these are positions.
} clattn_reference;

CLATTN_API clattn_status clattn_reference_init(clattn_reference* reference, size_t struct_size);

// Computes on all cores and returns when done; stopped by `progress`, it succeeds with incomplete
// results. Errors: those of clattn_problem_validate; invalid argument for an input too short for
// its strides, a result without room (how many it has, how many it needs), a query out of range, or
// what comes at launch.
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
