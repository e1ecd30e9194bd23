// Block lists made on the device (host/include/clattn/block_builder.hpp): blocks are classified by
// evaluating the mask, selected by scores, listed by rows and, transposed, by columns, and the rows
// are ordered by length. Every kernel gives a work-group of LANES work-items one row (classify: a
// part of one), so that the same code serves CPUs, with one lane, and GPUs. A lane owns a
// contiguous segment of a row, and what it needs of the lanes before it goes through local memory.
// Classes and selections are bytes [slices][query_blocks][key_blocks]; a slice is one head of one
// batch. The mask may tell fewer slices apart than the lists do.

// LANES: work-items of a work-group.
//   1 for CPUs, whose compilers vectorize the loops inside; powers of two
#ifndef LANES
#define LANES 1
#endif

// QUERY_LANES: lanes over the queries of a block; the others are over its keys.
//   divides LANES
#ifndef QUERY_LANES
#define QUERY_LANES LANES
#endif

// QUERY_ROUND: queries of a lane that are evaluated together. What follows a round (a sum over the
// lanes of vectors, the question whether more is to be known) costs as much as 100 pairs.
//   1..8
#ifndef QUERY_ROUND
#define QUERY_ROUND 4
#endif

// VECTOR_WIDTH: keys that the compiler shall evaluate at once. Left to itself, Clang takes half of
// a 512-bit register.
//   1 where that is not for the compiler to do, or a power of two
#ifndef VECTOR_WIDTH
#define VECTOR_WIDTH 1
#endif

#define KEY_LANES (LANES / QUERY_LANES)
#define ONE_ROW __attribute__((reqd_work_group_size(LANES, 1, 1))) __kernel

// Classes: no pair of the block is visible, some are, all are.
#define BLOCK_NONE 0
#define BLOCK_SOME 1
#define BLOCK_ALL 2

// Which slice of the mask a slice of the lists has. Sizes are each the lists' or 1.
static inline int mask_slice(int slice, int heads, int mask_batch, int mask_heads) {
  return slice / heads % mask_batch * mask_heads + slice % heads % mask_heads;
}

// Whether any slice that shares a slice of the mask keeps a block.
static inline int is_kept(__global const uchar *kept, const clattn_arguments *arguments,
                          int mask_batch, int mask_heads, int slice, int row, int column) {
  const int slices = arguments->schedule_batch * arguments->schedule_heads;
  int result = kept == 0;
  for (int i = 0; i < slices && !result; ++i) {
    if (mask_slice(i, arguments->schedule_heads, mask_batch, mask_heads) == slice) {
      result = kept[((long)i * arguments->query_blocks + row) * arguments->key_blocks + column];
    }
  }
  return result;
}

// Evaluates the blocks that are BLOCK_SOME in `hints`, where a pair may be visible and another one
// hidden, and writes their classes. Blocks that no slice keeps are left as they are.
// Launch: a work-group for each `group_columns` key blocks of a row of a slice of the mask.
ONE_ROW void classify_blocks(const clattn_arguments arguments, int mask_batch, int mask_heads,
                             int group_columns, __global const uchar *hints,
                             __global const uchar *kept, __global uchar *classes HOOK_PARAMETERS) {
#if LANES > 1
  __local int group_seen;
#endif
  const hooks_t hooks = HOOKS(arguments);
  const int lane = (int)get_local_id(0);
  const int groups = (arguments.key_blocks + group_columns - 1) / group_columns;
  const int slice_row = (int)(get_group_id(0) / groups);
  const int slice = slice_row / arguments.query_blocks;
  const int row = slice_row % arguments.query_blocks;
  const int batch = slice / mask_heads;
  const int head = slice % mask_heads;
  const int query_begin = row * arguments.query_block;
  const int query_end = min(query_begin + arguments.query_block, arguments.query_len);
  const int column_begin = (int)(get_group_id(0) % groups) * group_columns;
  const int column_end = min(column_begin + group_columns, arguments.key_blocks);
  for (int column = column_begin; column < column_end; ++column) {
    const long block = (long)slice_row * arguments.key_blocks + column;
    if (hints[block] != BLOCK_SOME ||
        !is_kept(kept, &arguments, mask_batch, mask_heads, slice, row, column)) {
      continue;
    }
    const int key_begin = column * arguments.key_block + lane / QUERY_LANES;
    const int key_end = min((column + 1) * arguments.key_block, arguments.key_len);
    const int keys = (key_end - key_begin + KEY_LANES - 1) / KEY_LANES;
    int seen = 0;  // bit 0: a visible pair, bit 1: a hidden one
    for (int query = query_begin + lane % QUERY_LANES; keys > 0 && query < query_end && seen != 3;
         query += QUERY_ROUND * QUERY_LANES) {
      // Without branches, so that it can be vectorized. A round beyond the end repeats the last
      // query.
      int visible = 0;
#if VECTOR_WIDTH > 1 && defined(__clang__)
#pragma clang loop vectorize_width(VECTOR_WIDTH) interleave_count(2)
#endif
      for (int i = 0; i < keys; ++i) {
#pragma unroll
        for (int r = 0; r < QUERY_ROUND; ++r) {
          visible += mask_allows(&hooks, batch, head, min(query + r * QUERY_LANES, query_end - 1),
                                 key_begin + i * KEY_LANES);
        }
      }
      seen |= (visible > 0) | (visible < keys * QUERY_ROUND) << 1;
    }
#if LANES > 1
    if (lane == 0) group_seen = 0;
    barrier(CLK_LOCAL_MEM_FENCE);
    if (seen) atomic_or(&group_seen, seen);
    barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);  // hints may be the classes
    seen = group_seen;
    barrier(CLK_LOCAL_MEM_FENCE);
#endif
    if (lane == 0) classes[block] = seen == 3 ? BLOCK_SOME : seen == 1 ? BLOCK_ALL : BLOCK_NONE;
  }
}

// The part of a row that this lane owns, in multiples of `granule` but for the end.
static inline int segment_begin(int count, int granule, int lane) {
  const int segment = (count + LANES * granule - 1) / (LANES * granule) * granule;
  return min(lane * segment, count);
}

// The sum of the terms of the lanes before this one, and in `total` of all. Every lane must call
// it, and gets the same sums whatever the device.
static inline int sum_before(__local int *terms, int term, int *total) {
  const int lane = (int)get_local_id(0);
  barrier(CLK_LOCAL_MEM_FENCE);
  terms[lane] = term;
  barrier(CLK_LOCAL_MEM_FENCE);
  int before = 0;
  *total = 0;
  for (int i = 0; i < LANES; ++i) {
    before += i < lane ? terms[i] : 0;
    *total += terms[i];
  }
  return before;
}

// SELECT_*: as BlockSelection::Kind.
#define SELECT_THRESHOLD 1
#define SELECT_TOP_K 2
#define SELECT_TOP_P 3

// Floats of one sign are ordered as their bits are, as integers. `order` counts through all floats
// from -inf to inf; it is the inverse of that.
static inline float float_of_order(int order) {
  return as_float(order < 0 ? order ^ 0x7fffffff : order);
}

// The sum over a row's scores of at least `least`, or above it: of the scores (top-p), or of 1
// each. Comparisons are false for NaN. A sum over more scores is never smaller, also when it is
// rounded.
static inline float sum_from(__global const float *scores, int begin, int end, float least,
                             int above, int of_scores, __local float *terms) {
  const int lane = (int)get_local_id(0);
  float16 sums = (float16)(0.0f);
  int column = begin;
  for (; column + 16 <= end; column += 16) {
    const float16 score = vload16(0, scores + column);
    sums += (above ? score > least : score >= least) ? (of_scores ? score : (float16)(1.0f))
                                                     : (float16)(0.0f);
  }
  const float8 sums8 = sums.lo + sums.hi;
  const float4 sums4 = sums8.lo + sums8.hi;
  float sum = sums4.x + sums4.y + sums4.z + sums4.w;
  for (; column < end; ++column) {
    sum += (above ? scores[column] > least : scores[column] >= least)
               ? (of_scores ? scores[column] : 1.0f)
               : 0.0f;
  }
  barrier(CLK_LOCAL_MEM_FENCE);
  terms[lane] = sum;
  barrier(CLK_LOCAL_MEM_FENCE);
  sum = 0.0f;
  for (int i = 0; i < LANES; ++i) sum += terms[i];
  return sum;
}

// Writes which blocks of each row of scores are kept. The lowest score that is kept (`least`) is
// the highest whose blocks, with all above, are enough; it is bisected over the order of floats. Of
// its ties, as many as are asked for are kept, the lower columns first.
// Launch: a work-group for each row of all slices.
ONE_ROW void select_blocks(__global const float *scores, int columns, int kind, float threshold,
                           int count, float share, int keep_crossing, __global uchar *kept) {
  __local float terms[LANES];
  __local int tie_terms[LANES];
  const int lane = (int)get_local_id(0);
  const int begin = segment_begin(columns, 16, lane);
  const int end = segment_begin(columns, 16, lane + 1);
  scores += (long)get_group_id(0) * columns;
  kept += (long)get_group_id(0) * columns;

  float least = threshold;
  int wanted_ties = columns;
  if (kind != SELECT_THRESHOLD) {
    const int of_scores = kind == SELECT_TOP_P;
    const float lowest = of_scores ? 0.0f : -INFINITY;
    const float total = sum_from(scores, begin, end, lowest, 0, of_scores, terms);
    const float wanted = !of_scores ? (float)count : share > 0.0f ? share * total : 0.0f;
    // Everything from `low` on is enough, or there is no more.
    int low = of_scores ? 0 : as_int(-INFINITY) ^ 0x7fffffff;
    int high = as_int(INFINITY);
    while (low < high) {
      const int middle = (int)(((long)low + high + 1) >> 1);
      if (sum_from(scores, begin, end, float_of_order(middle), 0, of_scores, terms) >= wanted) {
        low = middle;
      } else {
        high = middle - 1;
      }
    }
    least = float_of_order(low);
    float sum = sum_from(scores, begin, end, least, 1, of_scores, terms);
    const float term = of_scores ? least : 1.0f;
    for (wanted_ties = 0; wanted_ties < columns && sum < wanted; ++wanted_ties) {
      if (of_scores && !keep_crossing && sum + term > wanted) break;
      sum += term;
    }
  }
  int ties = 0;
  for (int column = begin; column < end; ++column) ties += scores[column] == least;
  int total;
  ties = sum_before(tie_terms, ties, &total);
  for (int column = begin; column < end; ++column) {
    const int tie = scores[column] == least;
    kept[column] = scores[column] > least || (tie && ties < wanted_ties);
    ties += tie;
  }
}

// What is listed: a matrix of `rows` x `columns` in each slice, whose elements are that far apart.
typedef struct block_matrix {
  int rows;
  int columns;
  int row_stride;
  int column_stride;
} block_matrix;

// Writes the lists of one row. A row of more than `capacity` blocks of one class gets their number
// negated. Without `classes` all blocks are BLOCK_ALL; without `kept` all are kept.
// Launch: a work-group for each row of all slices.
ONE_ROW void list_blocks(const block_matrix matrix, int heads, int mask_batch, int mask_heads,
                         int capacity, __global const uchar *classes, __global const uchar *kept,
                         __global int *partial_count, __global int *partial_index,
                         __global int *full_count, __global int *full_index) {
  __local int terms[LANES];
  const int lane = (int)get_local_id(0);
  const long row = (long)get_group_id(0);
  const int slice = (int)(row / matrix.rows);
  const long blocks = (long)matrix.rows * matrix.columns;
  const long first = row % matrix.rows * matrix.row_stride;
  if (classes) classes += mask_slice(slice, heads, mask_batch, mask_heads) * blocks + first;
  if (kept) kept += slice * blocks + first;
  partial_index += row * capacity;
  full_index += row * capacity;
  const int begin = segment_begin(matrix.columns, 1, lane);
  const int end = segment_begin(matrix.columns, 1, lane + 1);
#define BLOCK_CLASS(column)                                                                          \
  (kept && !kept[(long)(column)*matrix.column_stride] ? BLOCK_NONE                                   \
   : classes                                          ? classes[(long)(column)*matrix.column_stride] \
                                                      : BLOCK_ALL)
  int partial = 0, full = 0;
  for (int column = begin; column < end; ++column) {
    const int coverage = BLOCK_CLASS(column);
    partial += coverage == BLOCK_SOME;
    full += coverage == BLOCK_ALL;
  }
  int partial_total, full_total;
  partial = sum_before(terms, partial, &partial_total);
  full = sum_before(terms, full, &full_total);
  for (int column = begin; column < end; ++column) {
    const int coverage = BLOCK_CLASS(column);
    if (coverage == BLOCK_SOME && partial < capacity) partial_index[partial] = column;
    if (coverage == BLOCK_ALL && full < capacity) full_index[full] = column;
    partial += coverage == BLOCK_SOME;
    full += coverage == BLOCK_ALL;
  }
  if (lane == 0) {
    partial_count[row] = partial_total <= capacity ? partial_total : -partial_total;
    full_count[row] = full_total <= capacity ? full_total : -full_total;
  }
}

// Orders the rows by falling length, equal ones in any order: a counting sort. `starts` has a place
// for each length from `longest` down to 0: how many rows have it, then where the next of them
// goes. Launch: one work-group.
ONE_ROW void order_rows(int rows, int longest, __global const int *partial_count,
                        __global const int *full_count, __global int *starts,
                        __global int *row_order) {
  __local int terms[LANES];
  const int lane = (int)get_local_id(0);
  const int begin = segment_begin(longest + 1, 1, lane);
  const int end = segment_begin(longest + 1, 1, lane + 1);
// A row that is over its capacity costs nothing.
#define ROW_PLACE(row) (longest - max(partial_count[row], 0) - max(full_count[row], 0))
  for (int i = begin; i < end; ++i) starts[i] = 0;
  barrier(CLK_GLOBAL_MEM_FENCE);
  for (int row = lane; row < rows; row += LANES) atomic_inc(&starts[ROW_PLACE(row)]);
  barrier(CLK_GLOBAL_MEM_FENCE);
  int sum = 0, total;
  for (int i = begin; i < end; ++i) sum += starts[i];
  sum = sum_before(terms, sum, &total);
  for (int i = begin; i < end; ++i) {
    const int here = starts[i];
    starts[i] = sum;
    sum += here;
  }
  barrier(CLK_GLOBAL_MEM_FENCE);
  for (int row = lane; row < rows; row += LANES) {
    row_order[atomic_inc(&starts[ROW_PLACE(row)])] = row;
  }
}
