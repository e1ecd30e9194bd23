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

// Most numbers that the masks and score modifiers of one problem pass as arguments; more of them
// stand in their tables. Most buffers that they name.
#define CLATTN_HOOK_VALUES 24
#define CLATTN_HOOK_BUFFERS 16

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
  // What queries are multiplied by: scale * log2(e), for scores are kept in base 2; or scale, where
  // score modifiers come between.
  float query_scale;
  // Slices (one head of one batch) that a schedule tells apart: each is the problem's number or 1.
  clattn_int32 schedule_batch;
  clattn_int32 schedule_heads;
  clattn_int32 parts;    // of the split rows of one repeat of the schedule
  clattn_int32 rows;     // of one repeat of the schedule
  clattn_int32 repeats;  // of the schedule
  // Of `rows`, the last ones: where work-groups take rows they come behind the others of all
  // repeats.
  clattn_int32 late_rows;
  clattn_int32 unused;
  // Of a listed schedule (host/include/clattn/blocks.hpp).
  clattn_int32 query_block;
  clattn_int32 key_block;
  clattn_int32 query_blocks;
  clattn_int32 key_blocks;
  clattn_int32 list_capacity;  // entries a row of the indices
  clattn_int32 list_parts;     // that each row of blocks is split into
  clattn_int32 values[CLATTN_HOOK_VALUES];
} clattn_arguments;

// The queries of a row: tokens [begin, end). Where tiles are boxes of a grid, entries of the table
// of queries, to whose tokens `token` is added; if the tensors lie in the order of the tiles, entry
// e stands there in row `row` + e.
typedef struct clattn_queries {
  clattn_int32 begin;
  clattn_int32 end;
  clattn_int32 token;
  clattn_int32 row;
} clattn_queries;

// One row of a computed schedule: at most a tile of queries of one slice, and its spans of keys.
// Rows stand in launch order. A row is whole, or one of several parts, which are merged by LSE.
typedef struct clattn_row {
  clattn_int32 slice;  // batch * schedule_heads + head
  clattn_queries queries;
  clattn_int32 span_begin;
  clattn_int32 span_end;
  clattn_int32 part;  // where it is kept until it is merged; -1: the row is whole
} clattn_row;

// How the pairs of a span are masked.
#define CLATTN_MASK_NONE 0        // all are visible
#define CLATTN_MASK_EXPRESSION 1  // by mask_allows
#define CLATTN_MASK_BAND 2        // visible iff first <= key - query <= last
#define CLATTN_MASK_BOX 3         // visible iff the key is in the query's box, see below

// Consecutive keys [key_begin, key_end) that are masked in one way, walked in tiles from key_begin
// on: tokens or, where tiles are boxes of a grid, entries of the table of keys, to whose tokens
// `token` is added; if the tensors lie in the order of the tiles, entry e stands there in row e.
typedef struct clattn_span {
  clattn_int32 key_begin;
  clattn_int32 key_end;
  clattn_int32 mask;   // a CLATTN_MASK_
  clattn_int32 first;  // of a band; of boxes, the guard bits; else 0, as last
  clattn_int32 last;
  clattn_int32 token;
} clattn_span;

// Boxes of a grid: coordinates packed into the fields of one integer, each with a guard bit above
// it. A key K lies in the box of a query iff no field of (K | guard) - low or of high - K, where
// `high` has the guard bits set, borrows its guard bit (Lamport, Multiple Byte Processing with
// Full-Word Instructions, 1975).
typedef struct clattn_query_entry {
  clattn_int32 token;
  clattn_int32 low;   // the first key of its box
  clattn_int32 high;  // the last one, with the guard bits
} clattn_query_entry;

typedef struct clattn_key_entry {
  clattn_int32 token;
  clattn_int32 coordinates;
} clattn_key_entry;

// A row that was split: its parts [part_begin, part_end).
typedef struct clattn_merge {
  clattn_int32 slice;
  clattn_queries queries;
  clattn_int32 part_begin;
  clattn_int32 part_end;
} clattn_merge;

#endif  // CLATTN_KERNELS_COMMON_ARGUMENTS_H_
