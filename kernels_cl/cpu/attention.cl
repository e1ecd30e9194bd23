// Attention for CPU devices: one work-item computes rows of the schedule, each at most a tile of
// queries of one (batch, head), and threads come from work-groups. Several rows a work-item, in
// bins of equal weight, keep implementations busy that hand out work-groups in long runs, as PoCL
// does. Vectors run over queries, never over keys: a lane is a query. So scores, maxima, sums and
// outputs are vectors of the same lanes, the softmax needs no horizontal reduction, and in both
// matrix products the other operand (an element of a key or of a value) is a scalar broadcast to
// all lanes. Everything is f32 in private memory, packed so that both products read with unit
// stride: a work-item converts each key tile once and takes it into all of its panels of queries.
// Queries are transposed on the way in, outputs on the way out.
//
// Layouts of a panel, in vectors of queries:
//   queries[HEAD_DIM][QUERY_VECTORS]   multiplied with the scale
//   scores[KEY_TILE][QUERY_VECTORS]    holds the element mask, then the scores, then the weights
//   outputs[VALUE_DIM][QUERY_VECTORS]  not yet divided by the sum of weights
// and, in floats, keys[KEY_TILE][HEAD_DIM] and values[KEY_TILE][VALUE_DIM]. Private memory is
//   4 * (QUERY_TILE * (HEAD_DIM + VALUE_DIM + 2) + KEY_TILE * (HEAD_DIM + VALUE_DIM)) +
//   4 * KEY_TILE * PANEL_QUERIES bytes and should stay within the second-level cache.

// HEAD_DIM, VALUE_DIM: elements of a query or key, and of a value or output.
//   multiples of 8, 8..256
#ifndef HEAD_DIM
#define HEAD_DIM 64
#endif
#ifndef VALUE_DIM
#define VALUE_DIM HEAD_DIM
#endif

// VECTOR_WIDTH: lanes of a vector, best the device's native width of float.
//   4, 8, 16
#ifndef VECTOR_WIDTH
#define VECTOR_WIDTH 16
#endif

// QUERY_VECTORS: vectors of queries in a panel, the columns of a register block.
//   1..8, even if VECTOR_WIDTH is 4 (a panel is transposed in blocks of 8 queries)
#ifndef QUERY_VECTORS
#define QUERY_VECTORS 3
#endif

// QUERY_PANELS: panels of a work-item, which share each packed key tile.
//   1..8
#ifndef QUERY_PANELS
#define QUERY_PANELS 1
#endif

// KEY_BLOCK: rows of a register block, keys in the first product and value columns in the second.
// Its KEY_BLOCK * QUERY_VECTORS accumulators should leave QUERY_VECTORS + 1 vector registers free.
//   4, 8
#ifndef KEY_BLOCK
#define KEY_BLOCK 8
#endif

// KEY_TILE: keys of a tile, a step of the walk along a span.
//   multiples of KEY_BLOCK
#ifndef KEY_TILE
#define KEY_TILE 64
#endif

#define PANEL_QUERIES (QUERY_VECTORS * VECTOR_WIDTH)
#define QUERY_TILE (QUERY_PANELS * PANEL_QUERIES)
#if PANEL_QUERIES % 8 != 0
#error "queries are transposed by eights: QUERY_VECTORS * VECTOR_WIDTH must be a multiple of 8"
#endif

#define CONCATENATE_EXPANDED(a, b) a##b
#define CONCATENATE(a, b) CONCATENATE_EXPANDED(a, b)
typedef CONCATENATE(float, VECTOR_WIDTH) float_vector;
#define AS_FLOAT_VECTOR CONCATENATE(as_float, VECTOR_WIDTH)
#define AS_INT_VECTOR CONCATENATE(as_int, VECTOR_WIDTH)

// What a panel of queries carries from key tile to key tile.
typedef struct panel_state {
  float_vector queries[HEAD_DIM * QUERY_VECTORS];
  float_vector outputs[VALUE_DIM * QUERY_VECTORS];
  float_vector maximum[QUERY_VECTORS];
  float_vector sum[QUERY_VECTORS];
} panel_state;

// 2^x for x <= 0 with a relative error below 2e-7; exactly 0 below -127, NaN for NaN. Adding
// 1.5 * 2^23 + 127 rounds x to the nearest integer and leaves it, biased, in the low bits of the
// mantissa; shifted into the exponent's place they are 2^round(x). The polynomial is 2^f for the
// rest f in [-1/2, 1/2].
static inline float_vector exp2_of_nonpositive(float_vector x) {
  const float rounder = 12582912.0f + 127.0f;
  x = x < -127.0f ? (float_vector)(-127.0f) : x;
  const float_vector rounded = x + rounder;
  const float_vector f = x - (rounded - rounder);
  float_vector power = f * 0.00132647349f + 0.00967151534f;
  power = power * f + 0.0555073375f;
  power = power * f + 0.24022242f;
  power = power * f + 0.693146978f;
  power = power * f + 1.0f;
  return power * AS_FLOAT_VECTOR(AS_INT_VECTOR(rounded) << 23);
}

// Copies `count` rows of `dim` elements as f32 and clears the rows up to the next multiple of
// KEY_BLOCK: memory beyond the last key is never read, and what stands for it is a number.
static inline void pack_rows(__global const storage_t *source, int stride, int count, int dim,
                             float *packed) {
  for (int row = 0; row < count; ++row) {
    for (int d = 0; d < dim; d += 8) {
      vstore8(LOAD8(source, row * stride + d), 0, packed + row * dim + d);
    }
  }
  for (int i = count * dim; i < (count + KEY_BLOCK - 1) / KEY_BLOCK * KEY_BLOCK * dim; ++i) {
    packed[i] = 0.0f;
  }
}

// Transposes an 8x8 block in three rounds; each interleaves row i with row i + 4.
static inline void transpose(float8 *rows) {
#pragma unroll
  for (int round = 0; round < 3; ++round) {
    float8 mixed[8];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      mixed[2 * i].even = rows[i].lo;
      mixed[2 * i].odd = rows[i + 4].lo;
      mixed[2 * i + 1].even = rows[i].hi;
      mixed[2 * i + 1].odd = rows[i + 4].hi;
    }
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      rows[i] = mixed[i];
    }
  }
}

// Starts a panel with `count` queries. Lanes beyond them repeat the last one and are never stored.
static inline void start_panel(__global const storage_t *source, int stride, int count, float scale,
                               panel_state *panel) {
  float *queries = (float *)panel->queries;
  for (int lane = 0; lane < PANEL_QUERIES; lane += 8) {
    for (int d = 0; d < HEAD_DIM; d += 8) {
      float8 block[8];
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        block[i] = LOAD8(source, min(lane + i, count - 1) * stride + d) * scale;
      }
      transpose(block);
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        vstore8(block[i], 0, queries + (d + i) * PANEL_QUERIES + lane);
      }
    }
  }
  for (int i = 0; i < VALUE_DIM * QUERY_VECTORS; ++i) {
    panel->outputs[i] = (float_vector)(0.0f);
  }
  for (int v = 0; v < QUERY_VECTORS; ++v) {
    panel->maximum[v] = (float_vector)(-INFINITY);
    panel->sum[v] = (float_vector)(0.0f);
  }
}

// Writes the element mask of a panel and a key tile, 0 or -inf, into `scores`. Returns in [*begin,
// *end), in multiples of KEY_BLOCK, the keys that any query sees; the others cost nothing further.
static inline void evaluate_mask(const hooks_t *hooks, const walk_t *walk, const clattn_span *span,
                                 int query_begin, int key_begin, int key_count,
                                 float_vector *scores, int *begin, int *end) {
  *begin = KEY_TILE;
  *end = 0;
  for (int key = 0; key < key_count; ++key) {
    float *mask = (float *)(scores + key * QUERY_VECTORS);
    int visible = 0;
    if (span->mask == CLATTN_MASK_BAND) {
      for (int lane = 0; lane < PANEL_QUERIES; ++lane) {
        const int difference = key_begin + key - query_begin - lane;
        const int allowed = (difference >= span->first) & (difference <= span->last);
        mask[lane] = allowed ? 0.0f : -INFINITY;
        visible |= allowed;
      }
    } else {
      for (int lane = 0; lane < PANEL_QUERIES; ++lane) {
        // A mask may index its own tables, so it is asked about no query that doesn't exist.
        const int query = min(query_begin + lane, walk->query_end - 1);
        const int allowed = mask_allows(hooks, walk->batch, walk->head, query, key_begin + key);
        mask[lane] = allowed ? 0.0f : -INFINITY;
        visible |= allowed;
      }
    }
    if (visible) {
      *begin = min(*begin, key / KEY_BLOCK * KEY_BLOCK);
      *end = (key / KEY_BLOCK + 1) * KEY_BLOCK;
    }
  }
}

// Scores of KEY_BLOCK keys, of which `key_count` exist, masked by what `scores` holds if `masked`;
// raises `maximum`.
static inline void score_block(const float_vector *queries, const float *keys, int key_count,
                               int masked, float_vector *scores, float_vector *maximum) {
  float_vector block[KEY_BLOCK][QUERY_VECTORS] = {{(float_vector)(0.0f)}};
// One step fills the registers and the pipes already; unrolling further is only code.
#pragma unroll 1
  for (int d = 0; d < HEAD_DIM; ++d) {
#pragma unroll
    for (int i = 0; i < KEY_BLOCK; ++i) {
#pragma unroll
      for (int v = 0; v < QUERY_VECTORS; ++v) {
        block[i][v] += keys[i * HEAD_DIM + d] * queries[d * QUERY_VECTORS + v];
      }
    }
  }
#pragma unroll
  for (int i = 0; i < KEY_BLOCK; ++i) {
#pragma unroll
    for (int v = 0; v < QUERY_VECTORS; ++v) {
      float_vector score = i < key_count ? block[i][v] : (float_vector)(-INFINITY);
      if (masked && i < key_count) {
        const float_vector mask = scores[i * QUERY_VECTORS + v];
        score = mask < 0.0f ? mask : score;
      }
      scores[i * QUERY_VECTORS + v] = score;
      maximum[v] = score > maximum[v] ? score : maximum[v];
    }
  }
}

#if SCORE_MODIFIERS
// Changes the scores of one key and takes them to base 2; hidden ones stay hidden. The score of a
// lane beyond the last query is that of the last one, whose place it is given.
static inline void modify_scores(const hooks_t *hooks, const walk_t *walk, int query_begin, int key,
                                 float_vector *scores, float_vector *maximum) {
  float *lanes = (float *)scores;
  for (int lane = 0; lane < PANEL_QUERIES; ++lane) {
    const int query = min(query_begin + lane, walk->query_end - 1);
    const float score =
        modify_score(hooks, lanes[lane], walk->batch, walk->head, query, key) * LOG2_E;
    lanes[lane] = lanes[lane] == -INFINITY ? -INFINITY : score;
  }
#pragma unroll
  for (int v = 0; v < QUERY_VECTORS; ++v) {
    maximum[v] = scores[v] > maximum[v] ? scores[v] : maximum[v];
  }
}
#endif

// outputs = outputs * decay + sum over keys of value * weight, for KEY_BLOCK value columns.
static inline void accumulate_block(const float_vector *weights, const float *values, int key_count,
                                    const float_vector *decay, float_vector *outputs) {
  float_vector block[KEY_BLOCK][QUERY_VECTORS] = {{(float_vector)(0.0f)}};
#pragma unroll 1
  for (int key = 0; key < key_count; ++key) {
#pragma unroll
    for (int i = 0; i < KEY_BLOCK; ++i) {
#pragma unroll
      for (int v = 0; v < QUERY_VECTORS; ++v) {
        block[i][v] += values[key * VALUE_DIM + i] * weights[key * QUERY_VECTORS + v];
      }
    }
  }
#pragma unroll
  for (int i = 0; i < KEY_BLOCK; ++i) {
#pragma unroll
    for (int v = 0; v < QUERY_VECTORS; ++v) {
      outputs[i * QUERY_VECTORS + v] = outputs[i * QUERY_VECTORS + v] * decay[v] + block[i][v];
    }
  }
}

// Takes keys [begin, end) of a packed tile, of which those below key_count exist, into a panel.
static inline void attend(const hooks_t *hooks, const walk_t *walk, int query_begin, int key_begin,
                          int key_count, const float *keys, const float *values, int begin, int end,
                          int masked, float_vector *scores, panel_state *panel) {
  float_vector maximum[QUERY_VECTORS], shift[QUERY_VECTORS], decay[QUERY_VECTORS],
      sum[QUERY_VECTORS];
  for (int v = 0; v < QUERY_VECTORS; ++v) {
    maximum[v] = panel->maximum[v];
  }
  for (int key = begin; key < end; key += KEY_BLOCK) {
#if SCORE_MODIFIERS
    float_vector unmodified[QUERY_VECTORS];
    for (int v = 0; v < QUERY_VECTORS; ++v) unmodified[v] = (float_vector)(-INFINITY);
    score_block(panel->queries, keys + key * HEAD_DIM, key_count - key, masked,
                scores + key * QUERY_VECTORS, unmodified);
    for (int i = key; i < min(key + KEY_BLOCK, key_count); ++i) {
      modify_scores(hooks, walk, query_begin, key_begin + i, scores + i * QUERY_VECTORS, maximum);
    }
#else
    score_block(panel->queries, keys + key * HEAD_DIM, key_count - key, masked,
                scores + key * QUERY_VECTORS, maximum);
#endif
  }
  for (int v = 0; v < QUERY_VECTORS; ++v) {
    shift[v] = SOFTMAX_SHIFT(maximum[v]);
    decay[v] = exp2_of_nonpositive(panel->maximum[v] - shift[v]);
    panel->maximum[v] = maximum[v];
    sum[v] = (float_vector)(0.0f);
  }
  for (int key = begin; key < end; ++key) {
#pragma unroll
    for (int v = 0; v < QUERY_VECTORS; ++v) {
      const float_vector weight = exp2_of_nonpositive(scores[key * QUERY_VECTORS + v] - shift[v]);
      scores[key * QUERY_VECTORS + v] = weight;
      sum[v] += weight;
    }
  }
  for (int v = 0; v < QUERY_VECTORS; ++v) {
    panel->sum[v] = panel->sum[v] * decay[v] + sum[v];
  }
  for (int d = 0; d < VALUE_DIM; d += KEY_BLOCK) {
    accumulate_block(scores + begin * QUERY_VECTORS, values + begin * VALUE_DIM + d, end - begin,
                     decay, panel->outputs + d * QUERY_VECTORS);
  }
}

// Divides by the sums, transposes back and stores the first `count` queries: as rows of the output,
// or, if there is `part_output`, as f32 rows of a part. LSE is stored in base e, that of a part in
// base 2.
static inline void finish_panel(const panel_state *panel, float sink, int broken, int count,
                                int stride, __global storage_t *output, __global float *part_output,
                                __global float *lse) {
  const float *outputs = (const float *)panel->outputs;
  const float *maximum = (const float *)panel->maximum;
  const float *sum = (const float *)panel->sum;
  for (int lane = 0; lane < count; lane += 8) {
    float factor[8];
    for (int i = 0; i < 8; ++i) {
      const softmax_end end = softmax_finish(maximum[lane + i], sum[lane + i], sink);
      factor[i] = broken ? NAN : end.factor;
      if (lse && lane + i < count)
        lse[lane + i] = broken ? NAN : part_output ? end.lse : end.lse * LN_2;
    }
    for (int d = 0; d < VALUE_DIM; d += 8) {
      float8 block[8];
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        block[i] = vload8(0, outputs + (d + i) * PANEL_QUERIES + lane) * vload8(0, factor);
      }
      transpose(block);
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        if (lane + i < count) {
          if (part_output) {
            vstore8(block[i], 0, part_output + (lane + i) * VALUE_DIM + d);
          } else {
            STORE8(block[i], output, (lane + i) * stride + d);
          }
        }
      }
    }
  }
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void attention(
    const clattn_arguments arguments, __global const storage_t *query,
    __global const storage_t *key, __global const storage_t *value, __global storage_t *output,
    __global float *lse, __global float *part_outputs,
    __global float *part_lse WALK_PARAMETERS HOOK_PARAMETERS) {
  const hooks_t hooks = HOOKS(arguments);
  const walk_source source = WALK_SOURCE;
  panel_state panel_states[QUERY_PANELS];
  float_vector scores[KEY_TILE * QUERY_VECTORS];
  float keys[KEY_TILE * HEAD_DIM] __attribute__((aligned(64)));
  float values[KEY_TILE * VALUE_DIM] __attribute__((aligned(64)));

  int row, end_row, step;
  walk_rows(&arguments, &source, &row, &end_row, &step);
  for (; row < end_row; row += step) {
    walk_t walk;
    walk_start(&arguments, &source, row, QUERY_TILE, &walk);
    const int kv_head = walk.head / (arguments.heads / arguments.kv_heads);
    const int query_count = walk.query_end - walk.query_begin;
    if (query_count <= 0) continue;
    const int panels = (query_count + PANEL_QUERIES - 1) / PANEL_QUERIES;

    __global const storage_t *row_query =
        query + arguments.query.offset + walk.batch * arguments.query.batch +
        walk.head * arguments.query.head + walk.query_begin * arguments.query.token;
    __global const storage_t *row_key = key + arguments.key.offset +
                                        walk.batch * arguments.key.batch +
                                        kv_head * arguments.key.head;
    __global const storage_t *row_value = value + arguments.value.offset +
                                          walk.batch * arguments.value.batch +
                                          kv_head * arguments.value.head;
    __global storage_t *row_output =
        output + arguments.output.offset + walk.batch * arguments.output.batch +
        walk.head * arguments.output.head + walk.query_begin * arguments.output.token;
    __global float *row_part = 0;
    __global float *row_lse = 0;
    if (walk.part >= 0) {
      row_part = part_outputs + (long)walk.part * QUERY_TILE * VALUE_DIM;
      row_lse = part_lse + (long)walk.part * QUERY_TILE;
    } else if (lse) {
      row_lse = lse + arguments.lse_offset +
                (walk.batch * (long)arguments.heads + walk.head) * arguments.query_len +
                walk.query_begin;
    }

    for (int p = 0; p < panels; ++p) {
      const int first = p * PANEL_QUERIES;
      start_panel(row_query + first * arguments.query.token, (int)arguments.query.token,
                  min(PANEL_QUERIES, query_count - first), arguments.query_scale, &panel_states[p]);
    }

    clattn_span span;
    while (walk_next(&arguments, &source, &walk, &span)) {
      for (int key_begin = span.key_begin; key_begin < span.key_end; key_begin += KEY_TILE) {
        const int key_count = min(KEY_TILE, span.key_end - key_begin);
        pack_rows(row_key + key_begin * arguments.key.token, (int)arguments.key.token, key_count,
                  HEAD_DIM, keys);
        pack_rows(row_value + key_begin * arguments.value.token, (int)arguments.value.token,
                  key_count, VALUE_DIM, values);
        for (int p = 0; p < panels; ++p) {
          const int query_begin = walk.query_begin + p * PANEL_QUERIES;
          int begin = 0;
          int end = (key_count + KEY_BLOCK - 1) / KEY_BLOCK * KEY_BLOCK;
          if (span.mask) {
            evaluate_mask(&hooks, &walk, &span, query_begin, key_begin, key_count, scores, &begin,
                          &end);
          }
          if (begin < end) {
            attend(&hooks, &walk, query_begin, key_begin, key_count, keys, values, begin, end,
                   span.mask, scores, &panel_states[p]);
          }
        }
      }
    }

    const float sink = walk.part < 0 ? sink_logit(&hooks, walk.head) : -INFINITY;
    for (int p = 0; p < panels; ++p) {
      const int first = p * PANEL_QUERIES;
      finish_panel(&panel_states[p], sink, walk.broken, min(PANEL_QUERIES, query_count - first),
                   (int)arguments.output.token, row_output + first * arguments.output.token,
                   row_part ? row_part + first * VALUE_DIM : row_part,
                   row_lse ? row_lse + first : row_lse);
    }
  }
}
