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

// The queries of a panel, a lane each. Lanes beyond the last query repeat it and are never stored.
typedef struct lanes_t {
  int count;  // of the queries that exist
  int tokens[PANEL_QUERIES];
  int rows[PANEL_QUERIES];  // in the tensors
#if TOKENS
  int low[PANEL_QUERIES];  // of their boxes
  int high[PANEL_QUERIES];
#endif
} lanes_t;

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

static inline void start_lanes(const walk_source *source, const clattn_queries *queries, int first,
                               lanes_t *lanes) {
  lanes->count = min(PANEL_QUERIES, queries->end - first);
  for (int lane = 0; lane < PANEL_QUERIES; ++lane) {
    const int entry = first + min(lane, lanes->count - 1);
    lanes->tokens[lane] = query_token(source->query_entries, queries, entry);
    lanes->rows[lane] = query_row(source->query_entries, queries, entry);
#if TOKENS
    lanes->low[lane] = source->query_entries[entry].low;
    lanes->high[lane] = source->query_entries[entry].high;
#endif
  }
}

// What hooks are asked about. Intel's compiler (2026.2) crashes where one divides a number that is
// loaded in a loop over lanes, unless it is known not to be negative.
static inline int lane_token(const lanes_t *lanes, int lane) { return max(lanes->tokens[lane], 0); }

// Copies keys, or values, [begin, begin + count) of a span as rows of `dim` elements of f32, and
// clears the rows up to the next multiple of KEY_BLOCK: memory beyond the last key is never read,
// and what stands for it is a number.
static inline void pack_rows(__global const storage_t *tensor, long stride,
                             const walk_source *source, const clattn_span *span, int begin,
                             int count, int dim, float *packed) {
  for (int row = 0; row < count; ++row) {
    __global const storage_t *from =
        tensor + key_row(source->key_entries, span, begin + row) * stride;
    for (int d = 0; d < dim; d += 8) {
      vstore8(LOAD8(from, d), 0, packed + row * dim + d);
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

static inline void start_panel(__global const storage_t *tensor, long stride, const lanes_t *lanes,
                               float scale, panel_state *panel) {
  float *queries = (float *)panel->queries;
  for (int lane = 0; lane < PANEL_QUERIES; lane += 8) {
    for (int d = 0; d < HEAD_DIM; d += 8) {
      float8 block[8];
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        block[i] = LOAD8(tensor + lanes->rows[lane + i] * stride, d) * scale;
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
static inline void evaluate_mask(const hooks_t *hooks, const walk_t *walk,
                                 const walk_source *source, const clattn_span *span,
                                 const lanes_t *lanes, int key_begin, int key_count,
                                 float_vector *scores, int *begin, int *end) {
  *begin = KEY_TILE;
  *end = 0;
  for (int key = 0; key < key_count; ++key) {
    float *mask = (float *)(scores + key * QUERY_VECTORS);
    int visible = 0;
#if TOKENS
    if (span->mask == CLATTN_MASK_BOX) {
      const int coordinates = source->key_entries[key_begin + key].coordinates;
      for (int lane = 0; lane < PANEL_QUERIES; ++lane) {
        const int allowed =
            box_holds(lanes->low[lane], lanes->high[lane], span->first, coordinates);
        mask[lane] = allowed ? 0.0f : -INFINITY;
        visible |= allowed;
      }
    }
#else
    if (span->mask == CLATTN_MASK_BAND) {
      for (int lane = 0; lane < PANEL_QUERIES; ++lane) {
        const int difference = key_begin + key - lanes->tokens[lane];
        const int allowed = (difference >= span->first) & (difference <= span->last);
        mask[lane] = allowed ? 0.0f : -INFINITY;
        visible |= allowed;
      }
    }
#endif
    if (span->mask == CLATTN_MASK_EXPRESSION) {
      const int token = key_token(source->key_entries, span, key_begin + key);
      for (int lane = 0; lane < PANEL_QUERIES; ++lane) {
        const int allowed =
            mask_allows(hooks, walk->batch, walk->head, lane_token(lanes, lane), token);
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
// Changes the scores of one key, a token, and takes them to base 2; hidden ones stay hidden.
static inline void modify_scores(const hooks_t *hooks, const walk_t *walk, const lanes_t *lanes,
                                 int key, float_vector *scores, float_vector *maximum) {
  float *score = (float *)scores;
  for (int lane = 0; lane < PANEL_QUERIES; ++lane) {
    const float modified =
        modify_score(hooks, score[lane], walk->batch, walk->head, lane_token(lanes, lane), key) *
        LOG2_E;
    score[lane] = score[lane] == -INFINITY ? -INFINITY : modified;
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
static inline void attend(const hooks_t *hooks, const walk_t *walk, const walk_source *source,
                          const clattn_span *span, const lanes_t *lanes, int key_begin,
                          int key_count, const float *keys, const float *values, int begin, int end,
                          float_vector *scores, panel_state *panel) {
  float_vector maximum[QUERY_VECTORS], shift[QUERY_VECTORS], decay[QUERY_VECTORS],
      sum[QUERY_VECTORS];
  for (int v = 0; v < QUERY_VECTORS; ++v) {
    maximum[v] = panel->maximum[v];
  }
  for (int key = begin; key < end; key += KEY_BLOCK) {
#if SCORE_MODIFIERS
    float_vector unmodified[QUERY_VECTORS];
    for (int v = 0; v < QUERY_VECTORS; ++v) unmodified[v] = (float_vector)(-INFINITY);
    score_block(panel->queries, keys + key * HEAD_DIM, key_count - key, span->mask,
                scores + key * QUERY_VECTORS, unmodified);
    for (int i = key; i < min(key + KEY_BLOCK, key_count); ++i) {
      modify_scores(hooks, walk, lanes, key_token(source->key_entries, span, key_begin + i),
                    scores + i * QUERY_VECTORS, maximum);
    }
#else
    score_block(panel->queries, keys + key * HEAD_DIM, key_count - key, span->mask,
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

// Divides by the sums, transposes back and stores the queries: as rows of the output, or, if there
// is `part_output`, as f32 rows of a part, which stand in the row's order. LSE is stored in base e,
// that of a part in base 2.
static inline void finish_panel(const panel_state *panel, const lanes_t *lanes, float sink,
                                int broken, long stride, __global storage_t *output,
                                __global float *part_output, __global float *lse) {
  const float *outputs = (const float *)panel->outputs;
  const float *maximum = (const float *)panel->maximum;
  const float *sum = (const float *)panel->sum;
  for (int lane = 0; lane < lanes->count; lane += 8) {
    float factor[8];
    for (int i = 0; i < 8; ++i) {
      const softmax_end end = softmax_finish(maximum[lane + i], sum[lane + i], sink);
      factor[i] = broken ? NAN : end.factor;
      if (lse && lane + i < lanes->count) {
        const float row_lse = broken ? NAN : softmax_lse(&end);
        if (part_output) {
          lse[lane + i] = row_lse;
        } else {
          lse[lanes->rows[lane + i]] = row_lse * LN_2;
        }
      }
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
        if (lane + i < lanes->count) {
          if (part_output) {
            vstore8(block[i], 0, part_output + (lane + i) * VALUE_DIM + d);
          } else {
            STORE8(block[i], output + lanes->rows[lane + i] * stride, d);
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
  lanes_t panel_lanes[QUERY_PANELS];
  float_vector scores[KEY_TILE * QUERY_VECTORS];
  float keys[KEY_TILE * HEAD_DIM] __attribute__((aligned(64)));
  float values[KEY_TILE * VALUE_DIM] __attribute__((aligned(64)));

  int row, end_row, step;
  walk_rows(&arguments, &source, &row, &end_row, &step);
  for (; row < end_row; row += step) {
    walk_t walk;
    walk_start(&arguments, &source, row, (int)get_group_id(1), QUERY_TILE, &walk);
    const int kv_head = walk.head / (arguments.heads / arguments.kv_heads);
    const int query_count = walk.queries.end - walk.queries.begin;
    if (query_count <= 0) continue;
    const int panels = (query_count + PANEL_QUERIES - 1) / PANEL_QUERIES;

    __global const storage_t *head_query = query + arguments.query.offset +
                                           walk.batch * arguments.query.batch +
                                           walk.head * arguments.query.head;
    __global const storage_t *head_key = key + arguments.key.offset +
                                         walk.batch * arguments.key.batch +
                                         kv_head * arguments.key.head;
    __global const storage_t *head_value = value + arguments.value.offset +
                                           walk.batch * arguments.value.batch +
                                           kv_head * arguments.value.head;
    __global storage_t *head_output = output + arguments.output.offset +
                                      walk.batch * arguments.output.batch +
                                      walk.head * arguments.output.head;
    __global float *head_lse = 0;
    if (lse) {
      head_lse = lse + arguments.lse_offset +
                 (walk.batch * (long)arguments.heads + walk.head) * arguments.query_len;
    }

    for (int p = 0; p < panels; ++p) {
      start_lanes(&source, &walk.queries, walk.queries.begin + p * PANEL_QUERIES, &panel_lanes[p]);
      start_panel(head_query, arguments.query.token, &panel_lanes[p], arguments.query_scale,
                  &panel_states[p]);
    }

    clattn_span span;
    while (walk_next(&arguments, &source, &walk, &span)) {
      for (int key_begin = span.key_begin; key_begin < span.key_end; key_begin += KEY_TILE) {
        const int key_count = min(KEY_TILE, span.key_end - key_begin);
        pack_rows(head_key, arguments.key.token, &source, &span, key_begin, key_count, HEAD_DIM,
                  keys);
        pack_rows(head_value, arguments.value.token, &source, &span, key_begin, key_count,
                  VALUE_DIM, values);
        for (int p = 0; p < panels; ++p) {
          int begin = 0;
          int end = (key_count + KEY_BLOCK - 1) / KEY_BLOCK * KEY_BLOCK;
          if (span.mask) {
            evaluate_mask(&hooks, &walk, &source, &span, &panel_lanes[p], key_begin, key_count,
                          scores, &begin, &end);
          }
          if (begin < end) {
            attend(&hooks, &walk, &source, &span, &panel_lanes[p], key_begin, key_count, keys,
                   values, begin, end, scores, &panel_states[p]);
          }
        }
      }
    }

    const float sink = walk.part < 0 ? sink_logit(&hooks, walk.head) : -INFINITY;
    for (int p = 0; p < panels; ++p) {
      __global float *panel_part = 0;
      __global float *panel_lse = head_lse;
      if (walk.part >= 0) {
        const long part_row = (long)walk.part * QUERY_TILE + p * PANEL_QUERIES;
        panel_part = part_outputs + part_row * VALUE_DIM;
        panel_lse = part_lse + part_row;
      }
      finish_panel(&panel_states[p], &panel_lanes[p], sink, walk.broken, arguments.output.token,
                   head_output, panel_part, panel_lse);
    }
  }
}
