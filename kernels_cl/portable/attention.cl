// Attention for any OpenCL 1.2 device: tiles in local memory, register blocks in each work-item,
// nothing assumed of warps or subgroups. One work-group of THREADS_Q x THREADS_K work-items owns
// QUERY_TILE queries of one head. Work-item (tq, tk) holds the scores of every THREADS_Q-th query
// from tq against every THREADS_K-th key from tk, and of the same queries' outputs every
// THREADS_K-th group of four columns from tk: a query's rescaling factor so lies where it is
// needed. Row maxima and probabilities pass between work-items through local memory. The query tile
// stays there; keys come DEPTH_CHUNK of their dimensions at a time and values KEY_CHUNK tokens at a
// time, through one shared buffer. Local tiles are row-major, in float4, with one float4 of padding
// a row: rows are then an odd number of float4 long, and work-items that read the same column of
// neighbouring rows touch different banks. Loop bounds depend on the schedule's row alone, so that
// every work-item reaches every barrier.
//
// Launch: local size {THREADS_Q * THREADS_K, 1}, global size {rows * local size, repeats}.
// Local memory, in bytes: 16 * (QUERY_TILE * (HEAD_DIM / 4 + 1)
//                               + QUERY_TILE * (KEY_TILE / 4 + 1)
//                               + QUERY_TILE * ceil(THREADS_K / 4)
//                               + max(KEY_TILE * (DEPTH_CHUNK / 4 + 1),
//                                     KEY_CHUNK * (VALUE_DIM / 4 + 1)))

// HEAD_DIM, VALUE_DIM: length of a query or key, and of a value or output.
//   multiples of 8 from 8 to 256
#ifndef HEAD_DIM
#define HEAD_DIM 64
#endif
#ifndef VALUE_DIM
#define VALUE_DIM 64
#endif

// THREADS_Q, THREADS_K: the work-group's two extents; their product is its size.
//   any positive numbers
#ifndef THREADS_Q
#define THREADS_Q 8
#endif
#ifndef THREADS_K
#define THREADS_K 16
#endif

// QUERY_TILE: queries per work-group. A work-item's share of scores, and of outputs, should not be
// much over 8 x 8 floats, which is what registers hold.
//   any multiple of THREADS_Q
#ifndef QUERY_TILE
#define QUERY_TILE 64
#endif

// KEY_TILE: keys per step; the unit in which spans count.
//   any multiple of THREADS_K that is a multiple of 8
#ifndef KEY_TILE
#define KEY_TILE 64
#endif

// DEPTH_CHUNK: dimensions of the keys held in local memory at a time; it need not divide HEAD_DIM.
//   any multiple of 8; more than HEAD_DIM is a waste, less costs two barriers per further chunk
#ifndef DEPTH_CHUNK
#define DEPTH_CHUNK 32
#endif

// KEY_CHUNK: values held in local memory at a time.
//   any multiple of 4 that divides KEY_TILE
#ifndef KEY_CHUNK
#define KEY_CHUNK 32
#endif

#define WORK_GROUP (THREADS_Q * THREADS_K)
#define ROWS (QUERY_TILE / THREADS_Q)  // of scores and outputs per work-item
#define KEYS (KEY_TILE / THREADS_K)    // of scores per work-item
#define COLUMNS ((VALUE_DIM / 4 + THREADS_K - 1) / THREADS_K)  // of float4 outputs per work-item

// Row lengths and sizes of the local tiles, in float4.
#define QUERY_STRIDE (HEAD_DIM / 4 + 1)
#define KEY_STRIDE (DEPTH_CHUNK / 4 + 1)
#define VALUE_STRIDE (VALUE_DIM / 4 + 1)
#define PROBABILITY_STRIDE (KEY_TILE / 4 + 1)
#define PARTIAL_STRIDE ((THREADS_K + 3) / 4)
#define KEY_SIZE (KEY_TILE * KEY_STRIDE)
#define VALUE_SIZE (KEY_CHUNK * VALUE_STRIDE)
#define CHUNK_SIZE (KEY_SIZE > VALUE_SIZE ? KEY_SIZE : VALUE_SIZE)

// fma is emulated where it is not fast.
#ifdef FP_FAST_FMAF
#define MULTIPLY_ADD fma
#else
#define MULTIPLY_ADD mad
#endif

// A piece of a tensor: `rows` tokens that exist, `columns` groups of four elements that are wanted.
typedef struct source_t {
  __global const storage_t *data;
  int stride;  // between tokens, in elements
  int rows;
  int columns;
#if TOKENS == 1
  // Row r is that of the token which stands first in entry r, of so many numbers an entry.
  __global const int *entries;
  int entry_size;
#endif
} source_t;

// vload4 asks for the alignment of an element only, which is all that strides and offsets promise.
// On an H200 loads that may assume 16 bytes are 2 to 4% faster.
static inline float4 load_four(__global const storage_t *source) {
#if STORAGE == 0
  return vload4(0, source);
#elif STORAGE == 1
  return vload_half4(0, source);
#else
  return as_float4(convert_uint4(vload4(0, source)) << 16);
#endif
}

static inline void store_four(float4 value, __global storage_t *target) {
  STORE(value.x, target, 0);
  STORE(value.y, target, 1);
  STORE(value.z, target, 2);
  STORE(value.w, target, 3);
}

static inline __global const storage_t *row_of(const source_t *source, int row) {
#if TOKENS == 1
  return source->data + source->entries[row * source->entry_size] * (long)source->stride;
#else
  return source->data + row * source->stride;
#endif
}

// Makes the source keys, or values, [begin, begin + rows) of a span.
static inline void set_keys(source_t *source, __global const storage_t *tensor, long stride,
                            const walk_source *walk_from, const clattn_span *span, int begin,
                            int rows) {
#if TOKENS == 1
  source->data = tensor + span->token * stride;
  source->entries = (__global const int *)(walk_from->key_entries + begin);
  source->entry_size = sizeof(clattn_key_entry) / sizeof(int);
#else
  source->data = tensor + begin * stride;
#endif
  source->stride = (int)stride;
  source->rows = rows;
}

// Fills a local tile of rows x columns float4, all work-items together, from the source times
// factor. Tokens that do not exist become zeros; columns that are not wanted are left as they are.
// The tile's extents are constants where this is inlined. A work-item whose column stays the same
// walks down it by pointer: the offsets of every step, computed ahead, would fill the registers.
static inline void load_tile(__local float4 *tile, int rows, int columns, const source_t *source,
                             float factor) {
  const int item = (int)get_local_id(0);
  if (WORK_GROUP % columns == 0) {
    const int step = WORK_GROUP / columns;
    const int column = item % columns;
    const int first = item / columns;
    __global const storage_t *data = source->data + first * source->stride + 4 * column;
    __local float4 *target = tile + first * (columns + 1) + column;
    const bool wanted = column < source->columns;
    const int exists = wanted ? source->rows - first : 0;
#pragma unroll 8
    for (int row = 0; row < rows; row += step) {
      float4 elements = (float4)(0.0f);
#if TOKENS == 1
      if (row < exists) elements = load_four(row_of(source, first + row) + 4 * column);
#else
      if (row < exists) elements = load_four(data);
      data += step * source->stride;
#endif
      if (wanted && (rows % step == 0 || row < rows - first)) {
        target[row * (columns + 1)] = elements * factor;
      }
    }
  } else {
#pragma unroll 4
    for (int index = item; index < rows * columns; index += WORK_GROUP) {
      const int row = index / columns;
      const int column = index % columns;
      if (column < source->columns) {
        tile[row * (columns + 1) + column] =
            row < source->rows ? load_four(row_of(source, row) + 4 * column) * factor
                               : (float4)(0.0f);
      }
    }
  }
}

// Adds the products over one chunk of dimensions: scores += query chunk * transposed key chunk.
static inline void multiply_keys(float scores[ROWS][KEYS], __local const float4 *query_chunk,
                                 __local const float4 *key_chunk, int depth) {
  for (int d = 0; d < depth; ++d) {
#pragma unroll
    for (int i = 0; i < ROWS; ++i) {
      const float4 q = query_chunk[i * THREADS_Q * QUERY_STRIDE + d];
#pragma unroll
      for (int j = 0; j < KEYS; ++j) {
        const float4 k = key_chunk[j * THREADS_K * KEY_STRIDE + d];
        scores[i][j] = MULTIPLY_ADD(q.x, k.x, scores[i][j]);
        scores[i][j] = MULTIPLY_ADD(q.y, k.y, scores[i][j]);
        scores[i][j] = MULTIPLY_ADD(q.z, k.z, scores[i][j]);
        scores[i][j] = MULTIPLY_ADD(q.w, k.w, scores[i][j]);
      }
    }
  }
}

// Adds the products over one chunk of keys: sums += probabilities * value chunk.
static inline void multiply_values(float4 sums[ROWS][COLUMNS], __local const float4 *probabilities,
                                   __local const float4 *value_chunk, const int columns[COLUMNS]) {
  for (int k = 0; k < KEY_CHUNK / 4; ++k) {
#pragma unroll
    for (int j = 0; j < COLUMNS; ++j) {
      __local const float4 *column = value_chunk + 4 * k * VALUE_STRIDE + columns[j];
      const float4 v0 = column[0];
      const float4 v1 = column[VALUE_STRIDE];
      const float4 v2 = column[2 * VALUE_STRIDE];
      const float4 v3 = column[3 * VALUE_STRIDE];
#pragma unroll
      for (int i = 0; i < ROWS; ++i) {
        const float4 p = probabilities[i * THREADS_Q * PROBABILITY_STRIDE + k];
        sums[i][j] = MULTIPLY_ADD((float4)(p.x), v0, sums[i][j]);
        sums[i][j] = MULTIPLY_ADD((float4)(p.y), v1, sums[i][j]);
        sums[i][j] = MULTIPLY_ADD((float4)(p.z), v2, sums[i][j]);
        sums[i][j] = MULTIPLY_ADD((float4)(p.w), v3, sums[i][j]);
      }
    }
  }
}

__attribute__((reqd_work_group_size(WORK_GROUP, 1, 1))) __kernel void attention(
    const clattn_arguments arguments, __global const storage_t *query,
    __global const storage_t *key, __global const storage_t *value, __global storage_t *output,
    __global float *lse, __global float *part_outputs,
    __global float *part_lse WALK_PARAMETERS HOOK_PARAMETERS) {
  __local float4 query_tile[QUERY_TILE * QUERY_STRIDE];
  __local float4 chunk[CHUNK_SIZE];  // of keys, then of values
  __local float4 probabilities[QUERY_TILE * PROBABILITY_STRIDE];
  __local float4 partials[QUERY_TILE * PARTIAL_STRIDE];  // one float per query and tk

  const int item = (int)get_local_id(0);
  const int tk = item % THREADS_K;
  const int tq = item / THREADS_K;
  const hooks_t hooks = HOOKS(arguments);
  const walk_source walk_from = WALK_SOURCE;
  walk_t walk;
  walk_start(&arguments, &walk_from, (int)get_group_id(0), (int)get_group_id(1), QUERY_TILE, &walk);
  const int batch = walk.batch;
  const int head = walk.head;
  const int kv_head = head / (arguments.heads / arguments.kv_heads);
  const int query_begin = walk.queries.begin;
  const int query_count = walk.queries.end - query_begin;

  // Where this work-item reads and writes in the local tiles; further rows and columns follow at
  // constant distances.
  __local const float4 *my_queries = query_tile + tq * QUERY_STRIDE;
  __local const float4 *my_keys = chunk + tk * KEY_STRIDE;
  __local float4 *my_probabilities = probabilities + tq * PROBABILITY_STRIDE;
  __local float *my_probability = (__local float *)my_probabilities + tk;
  __local float4 *my_partials = partials + tq * PARTIAL_STRIDE;
  __local float *my_partial = (__local float *)my_partials + tk;

  // Where THREADS_K does not divide the columns, surplus work-items repeat the last one and never
  // store it.
  int columns[COLUMNS];
#pragma unroll
  for (int j = 0; j < COLUMNS; ++j) {
    columns[j] = j * THREADS_K + tk;
    if (VALUE_DIM / 4 % THREADS_K != 0) columns[j] = min(columns[j], VALUE_DIM / 4 - 1);
  }

  query += arguments.query.offset + batch * arguments.query.batch + head * arguments.query.head;
  key += arguments.key.offset + batch * arguments.key.batch + kv_head * arguments.key.head;
  value += arguments.value.offset + batch * arguments.value.batch + kv_head * arguments.value.head;
  output += arguments.output.offset + batch * arguments.output.batch + head * arguments.output.head;

  // The scale goes into the queries once instead of into every score.
  source_t source;
  source.stride = (int)arguments.query.token;
  source.rows = query_count;
  source.columns = HEAD_DIM / 4;
#if TOKENS == 1
  source.data = query + walk.queries.token * arguments.query.token;
  source.entries = (__global const int *)(query_entries + query_begin);
  source.entry_size = sizeof(clattn_query_entry) / sizeof(int);
#else
  source.data =
      query + query_row(query_entries, &walk.queries, query_begin) * arguments.query.token;
#endif
  load_tile(query_tile, QUERY_TILE, HEAD_DIM / 4, &source, arguments.query_scale);

  // What lies between THREADS_K and the padded row length must never win a maximum.
  for (int index = item; index < QUERY_TILE * PARTIAL_STRIDE; index += WORK_GROUP) {
    partials[index] = (float4)(-INFINITY);
  }

  float maxima[ROWS];
  float weights[ROWS];  // this work-item's share of the row's sum
  float4 sums[ROWS][COLUMNS];
#pragma unroll
  for (int i = 0; i < ROWS; ++i) {
    maxima[i] = -INFINITY;
    weights[i] = 0.0f;
#pragma unroll
    for (int j = 0; j < COLUMNS; ++j) {
      sums[i][j] = (float4)(0.0f);
    }
  }

  clattn_span span;
  while (walk_next(&arguments, &walk_from, &walk, &span)) {
    for (int key_begin = span.key_begin; key_begin < span.key_end; key_begin += KEY_TILE) {
      const int key_count = min(KEY_TILE, span.key_end - key_begin);
      float scores[ROWS][KEYS];
#pragma unroll
      for (int i = 0; i < ROWS; ++i) {
#pragma unroll
        for (int j = 0; j < KEYS; ++j) {
          scores[i][j] = 0.0f;
        }
      }
      for (int d = 0; d < HEAD_DIM / 4; d += DEPTH_CHUNK / 4) {
        set_keys(&source, key, arguments.key.token, &walk_from, &span, key_begin, key_count);
        source.data += 4 * d;
        source.columns = min(DEPTH_CHUNK / 4, HEAD_DIM / 4 - d);
        barrier(CLK_LOCAL_MEM_FENCE);  // the chunk's previous content has been used
        load_tile(chunk, KEY_TILE, DEPTH_CHUNK / 4, &source, 1.0f);
        barrier(CLK_LOCAL_MEM_FENCE);
        multiply_keys(scores, my_queries + d, my_keys, source.columns);
      }

      if (SCORE_MODIFIERS || span.mask || key_count < KEY_TILE) {
#pragma unroll
        for (int i = 0; i < ROWS; ++i) {
          // Hooks may read tables: they are asked about no pair that doesn't exist.
          const int query_entry = query_begin + min(i * THREADS_Q + tq, query_count - 1);
          const int q = query_token(query_entries, &walk.queries, query_entry);
#pragma unroll
          for (int j = 0; j < KEYS; ++j) {
            const int key_entry = key_begin + min(j * THREADS_K + tk, key_count - 1);
            const int k = key_token(key_entries, &span, key_entry);
            int hidden = j * THREADS_K + tk >= key_count;
#if TOKENS
            if (span.mask == CLATTN_MASK_BOX) {
              hidden |= !box_holds(query_entries[query_entry].low, query_entries[query_entry].high,
                                   span.first, key_entries[key_entry].coordinates);
            }
#else
            if (span.mask == CLATTN_MASK_BAND) {
              hidden |= (k - q < span.first) | (k - q > span.last);
            }
#endif
            if (span.mask == CLATTN_MASK_EXPRESSION) {
              hidden |= !mask_allows(&hooks, batch, head, q, k);
            }
#if SCORE_MODIFIERS
            scores[i][j] = modify_score(&hooks, scores[i][j], batch, head, q, k) * LOG2_E;
#endif
            if (hidden) scores[i][j] = -INFINITY;
          }
        }
      }

#pragma unroll
      for (int i = 0; i < ROWS; ++i) {
        float maximum = scores[i][0];
#pragma unroll
        for (int j = 1; j < KEYS; ++j) {
          maximum = fmax(maximum, scores[i][j]);
        }
        my_partial[4 * i * THREADS_Q * PARTIAL_STRIDE] = maximum;
      }
      barrier(CLK_LOCAL_MEM_FENCE);

#pragma unroll
      for (int i = 0; i < ROWS; ++i) {
        float4 maximum = (float4)(maxima[i]);
#pragma unroll
        for (int n = 0; n < PARTIAL_STRIDE; ++n) {
          maximum = fmax(maximum, my_partials[i * THREADS_Q * PARTIAL_STRIDE + n]);
        }
        const float previous = maxima[i];
        maxima[i] = fmax(fmax(maximum.x, maximum.y), fmax(maximum.z, maximum.w));
        const float shift = SOFTMAX_SHIFT(maxima[i]);
        const float rescale = exp2(previous - shift);
        weights[i] *= rescale;
#pragma unroll
        for (int j = 0; j < COLUMNS; ++j) {
          sums[i][j] *= rescale;
        }
#pragma unroll
        for (int j = 0; j < KEYS; ++j) {
          const float probability = exp2(scores[i][j] - shift);
          weights[i] += probability;
          my_probability[4 * i * THREADS_Q * PROBABILITY_STRIDE + j * THREADS_K] = probability;
        }
      }

      for (int k = 0; k < KEY_TILE; k += KEY_CHUNK) {
        set_keys(&source, value, arguments.value.token, &walk_from, &span, key_begin + k,
                 key_count - k);
        source.columns = VALUE_DIM / 4;
        if (k > 0) barrier(CLK_LOCAL_MEM_FENCE);  // the row maxima's barrier freed the first
        load_tile(chunk, KEY_CHUNK, VALUE_DIM / 4, &source, 1.0f);
        barrier(CLK_LOCAL_MEM_FENCE);
        multiply_values(sums, my_probabilities + k / 4, chunk, columns);
      }
    }
  }

  // Where there was no span, nothing stands yet between the filling of partials and this.
  barrier(CLK_LOCAL_MEM_FENCE);
#pragma unroll
  for (int i = 0; i < ROWS; ++i) {
    my_partial[4 * i * THREADS_Q * PARTIAL_STRIDE] = weights[i];
  }
  barrier(CLK_LOCAL_MEM_FENCE);
#pragma unroll
  for (int i = 0; i < ROWS; ++i) {
    const int q = i * THREADS_Q + tq;
    float weight = 0.0f;
    for (int n = 0; n < THREADS_K; ++n) {
      weight += my_partial[4 * i * THREADS_Q * PARTIAL_STRIDE - tk + n];
    }
    if (q >= query_count) continue;
    const softmax_end end =
        softmax_finish(maxima[i], weight, walk.part < 0 ? sink_logit(&hooks, head) : -INFINITY);
    const float factor = walk.broken ? NAN : end.factor;
    const int row = query_row(query_entries, &walk.queries, query_begin + q);
#pragma unroll
    for (int j = 0; j < COLUMNS; ++j) {
      const int column = j * THREADS_K + tk;
      if (column >= VALUE_DIM / 4) continue;
      if (walk.part < 0) {
        store_four(sums[i][j] * factor, output + row * arguments.output.token + 4 * column);
      } else {
        const long part_row = (long)walk.part * QUERY_TILE + q;
        vstore4(sums[i][j] * factor, 0, part_outputs + part_row * VALUE_DIM + 4 * column);
      }
    }
    if (tk != 0) continue;
    const float row_lse = walk.broken ? NAN : softmax_lse(&end);
    if (walk.part >= 0) {
      part_lse[(long)walk.part * QUERY_TILE + q] = row_lse;
    } else if (lse) {
      lse[arguments.lse_offset + (batch * (long)arguments.heads + head) * arguments.query_len +
          row] = row_lse * LN_2;
    }
  }
}
