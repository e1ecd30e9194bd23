// The scalar arguments of every attention kernel, passed by value as one struct. This header is
// read by the C++ compiler (which fills the struct) and by the OpenCL compiler (which reads it), so
// that the two cannot disagree. Members are ordered by falling alignment; there is no implicit
// padding. Offsets and strides count elements, not bytes.
#ifndef CLATTN_KERNELS_COMMON_ARGUMENTS_H_
#define CLATTN_KERNELS_COMMON_ARGUMENTS_H_

#ifdef __OPENCL_VERSION__
typedef long clattn_int64;
typedef int clattn_int32;
#else
#include <cstdint>
using clattn_int64 = std::int64_t;
using clattn_int32 = std::int32_t;
#endif

// Most integer parameters that one mask expression may use.
#define CLATTN_MASK_VALUES 8

typedef struct clattn_view {
  clattn_int64 offset;  // of element [0, 0, 0, 0]
  clattn_int64 batch;   // stride between batches
  clattn_int64 head;    // stride between heads
  clattn_int64 token;   // stride between tokens; the innermost stride is 1
} clattn_view;

typedef struct clattn_arguments {
  clattn_view query;
  clattn_view key;
  clattn_view value;
  clattn_view output;
  clattn_int64 lse_offset;  // LSE is [batch, heads, query_len] and contiguous
  clattn_int32 heads;
  clattn_int32 kv_heads;  // divides heads; query head h reads key head h / (heads / kv_heads)
  clattn_int32 query_len;
  clattn_int32 key_len;
  float scale_log2;  // scale * log2(e): scores are kept in base 2
  clattn_int32 mask_values[CLATTN_MASK_VALUES];
  clattn_int32 unused;
} clattn_arguments;

// One row of the schedule: a tile of queries and its spans of key tiles. Rows stand in launch
// order.
typedef struct clattn_row {
  clattn_int32 query_tile;
  clattn_int32 span_begin;
  clattn_int32 span_end;
} clattn_row;

// Consecutive key tiles [tile_begin, tile_end) that either all need the element mask or all don't.
typedef struct clattn_span {
  clattn_int32 tile_begin;
  clattn_int32 tile_end;
  clattn_int32 masked;
} clattn_span;

#endif  // CLATTN_KERNELS_COMMON_ARGUMENTS_H_
