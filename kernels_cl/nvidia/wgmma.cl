// Attention on Hopper's tensor cores: f16 and bf16 tensors, f32 accumulation. A work-group takes
// rows of the schedule, QUERY_TILE queries of one head, until there are none left. Its first
// warpgroup (128 work-items), the producer, walks the schedule and copies tiles of queries, keys
// and values into a ring (wgmma_ring.cl, wgmma_producer.cl); the others, the consumers, have 64
// queries each: S = Q K^T by wgmma from local memory, softmax in registers, O += P V with P from
// registers. A consumer issues the product of the next keys before that of the last values, so that
// the tensor cores work while it takes the softmax (Shah et al., arXiv 2407.08608).
//
// Work-item `lane` of warp w of a consumer holds, of the scores and of the outputs, rows
// 16 w + lane / 4 and 8 below, and of each 8 columns the two from 2 (lane % 4) on: element i is row
// (i >> 1 & 1), column 8 (i >> 2) + (i & 1) + 2 (lane % 4).
//
// Launch: local size {128 * (QUERY_TILE / 64 + 1), 1}, global size {any number of work-groups up to
// that of rows, 1}. `scratch`: SCRATCH_WORDS for each work-group, zeros at first.

// The two rows of a work-item.
typedef struct rows_t {
  int tokens[2];
  int heads[2];
#if TOKENS
  int low[2];  // of their boxes
  int high[2];
#endif
} rows_t;

// The token of a key of a step.
INLINED int step_token(__local const clattn_key_entry *entries, const clattn_span *step, int key) {
#if TOKENS
  return step->token + entries[key].token;
#else
  return step->key_begin + key;
#endif
}

// Bit 2 j + b of a word says whether the scores of the work-item's row and of key 8 j + b + column
// are visible.
#if KEY_TILE > 128
#error "words of 32 bits"
#endif

// Keys below a limit.
INLINED uint keys_below(int limit, int column) {
  const int columns = clamp(limit - column, 0, KEY_TILE);
  const int bits = 2 * (columns >> 3) + min(columns & 7, 2);
  return bits == 32 ? ~0u : (1u << bits) - 1;
}

// By the masks' own functions.
INLINED void evaluate_mask(const hooks_t *hooks, __local const clattn_key_entry *entries, int batch,
                           const clattn_span *step, const rows_t *rows, int column,
                           uint visible[2]) {
  const int count = step->key_end - step->key_begin;
#pragma unroll
  for (int row = 0; row < 2; ++row) {
    visible[row] = 0;
    // A rolled loop: the mask of a user stands here once.
#pragma unroll 1
    for (int i = 0; i < SCORES / 2; ++i) {
      const int key = 8 * (i >> 1) + (i & 1) + column;
      if (key >= count) break;
      const int allowed =
          mask_allows(hooks, batch, row ? rows->heads[1] : rows->heads[0],
                      row ? rows->tokens[1] : rows->tokens[0], step_token(entries, step, key));
      visible[row] |= (uint)(allowed != 0) << i;
    }
  }
}

// Changes scores and hides those that are masked, or whose key does not exist.
INLINED void mask_scores(const hooks_t *hooks, __local const clattn_key_entry *entries, int batch,
                         int kind, const clattn_span *step, const rows_t *rows, int column,
                         float scale, float scores[SCORES]) {
#if SCORE_MODIFIERS
  const int count = step->key_end - step->key_begin;
#pragma unroll
  for (int i = 0; i < SCORES; ++i) {
    const int key = min(8 * (i >> 2) + (i & 1) + column, count - 1);
    scores[i] = modify_score(hooks, scores[i] * scale, batch, rows->heads[i >> 1 & 1],
                             rows->tokens[i >> 1 & 1], step_token(entries, step, key));
  }
  if (kind == RUN_PLAIN) return;
#else
  if (kind == RUN_PLAIN) return;
  const int count = step->key_end - step->key_begin;
  // Maxima of scores are maxima of scaled scores only if the scale is positive.
  if (!(scale > 0.0f)) {
#pragma unroll
    for (int i = 0; i < SCORES; ++i) scores[i] *= scale;
  }
#endif
#if TOKENS
  if (step->mask == CLATTN_MASK_BOX) {
#pragma unroll
    for (int i = 0; i < SCORES; ++i) {
      const int key = 8 * (i >> 2) + (i & 1) + column;
      const int row = i >> 1 & 1;
      if (!box_holds(rows->low[row], rows->high[row], step->first, entries[key].coordinates) ||
          key >= count) {
        scores[i] = -INFINITY;
      }
    }
    return;
  }
#endif
  uint visible[2];
  if (step->mask == CLATTN_MASK_EXPRESSION) {
    evaluate_mask(hooks, entries, batch, step, rows, column, visible);
  } else {
#pragma unroll
    for (int row = 0; row < 2; ++row) {
      visible[row] = keys_below(count, column);
      if (step->mask == CLATTN_MASK_BAND) {
        const int here = rows->tokens[row] - step->key_begin;
        visible[row] &= keys_below(here + step->last + 1, column);
        visible[row] &= ~keys_below(here + step->first, column);
      }
    }
  }
#pragma unroll
  for (int i = 0; i < SCORES; ++i) {
    const uint word = visible[i >> 1 & 1];
    if (!(word >> (2 * (i >> 2) + (i & 1)) & 1)) scores[i] = -INFINITY;
  }
}

// The softmax's state of the two rows; maxima in base 2.
typedef struct state_t {
  float maximum[2];
  float sum[2];  // this work-item's columns only
} state_t;

// Makes weights of scores, of which `factor` makes base 2, and sums them up.
INLINED void make_weights(float scores[SCORES], float factor, const float offset[2], float sum[2]) {
  // Even and odd columns apart: chains of half the length.
  float chains[4];
#pragma unroll
  for (int i = 0; i < SCORES; ++i) {
    scores[i] = exp2_approximate(fma(scores[i], factor, offset[i >> 1 & 1]));
    chains[i & 3] = i < 4 ? scores[i] : chains[i & 3] + scores[i];
  }
#pragma unroll
  for (int row = 0; row < 2; ++row) sum[row] = chains[2 * row] + chains[2 * row + 1];
}

// Turns scores into weights and brings the state up to date. `decay` is what the outputs so far are
// to be multiplied with: 1 as long as no maximum has grown by more than 8 in base 2, for the
// weights may as well be too large by that. Returns whether that is so for any row of the warp.
INLINED int take_softmax(float scores[SCORES], float factor, state_t *state, float decay[2]) {
  float best[4] = {scores[0], scores[1], scores[2], scores[3]};
#pragma unroll
  for (int i = 4; i < SCORES; ++i) best[i & 3] = fmax(best[i & 3], scores[i]);
  float offset[2];
#pragma unroll
  for (int row = 0; row < 2; ++row) {
    float maximum = fmax(best[2 * row], best[2 * row + 1]);
    maximum = fmax(maximum, shuffle_xor(maximum, 1));
    maximum = fmax(maximum, shuffle_xor(maximum, 2)) * factor;
    const float previous = state->maximum[row];
    if (!(maximum > previous + 8.0f)) maximum = previous;
    const float shift = SOFTMAX_SHIFT(maximum);
    decay[row] = maximum == previous ? 1.0f : exp2_approximate(previous - shift);
    state->maximum[row] = maximum;
    offset[row] = -shift;
  }
  float sum[2];
  make_weights(scores, factor, offset, sum);
#pragma unroll
  for (int row = 0; row < 2; ++row) state->sum[row] = fma(state->sum[row], decay[row], sum[row]);
  return warp_any(decay[0] != 1.0f || decay[1] != 1.0f);
}

// Whether all rows of the warpgroup have seen a key.
INLINED uint is_settled(int warpgroup, const state_t *state) {
  return !warp_uniform(any_of_named(
      warpgroup, WARPGROUP, state->maximum[0] == -INFINITY || state->maximum[1] == -INFINITY));
}

// As take_softmax, of a settled warpgroup, but under the maxima so far: nearly always they are good
// enough, and then nobody has to look for new ones. Weights that came out too large show in their
// sums: returns whether any row of the warpgroup has such, which leaves the state as it was.
INLINED uint take_old_softmax(float scores[SCORES], float factor, int warpgroup, state_t *state) {
  const float offset[2] = {-state->maximum[0], -state->maximum[1]};
  float sum[2];
  make_weights(scores, factor, offset, sum);
  const int grown =
      any_of_named(warpgroup, WARPGROUP, !(sum[0] <= LARGEST_WEIGHT && sum[1] <= LARGEST_WEIGHT));
  if (warp_uniform(grown)) return 1;
#pragma unroll
  for (int row = 0; row < 2; ++row) state->sum[row] += sum[row];
  return 0;
}

INLINED void pack_weights(const float scores[SCORES], uint weights[WEIGHTS]) {
#pragma unroll
  for (int i = 0; i < WEIGHTS; ++i) weights[i] = pack_elements(scores[2 * i], scores[2 * i + 1]);
}

INLINED void rescale(float outputs[OUTPUTS], const float decay[2]) {
#pragma unroll
  for (int i = 0; i < OUTPUTS; ++i) outputs[i] *= decay[i >> 1 & 1];
}

// Writes the outputs of a row, which were divided by their sums. They go through `staging`, the
// queries' place in local memory, so that rows are written in chunks of 16 bytes.
INLINED void store_outputs(const clattn_arguments *arguments, const walk_source *source,
                           __global ushort *output, uint staging, const row_t *row, int first_row,
                           int warp, int lane, const float outputs[OUTPUTS]) {
  const int count = PACK * (row->queries.end - row->queries.begin);
#pragma unroll
  for (int n = 0; n < OUTPUTS; n += 2) {
    const int at = first_row + 16 * warp + lane / 4 + 8 * (n >> 1 & 1);
    const int chunk = n >> 2;
    store_word(
        staging + chunk / 8 * QUERY_TILE * PIECE_ROW + chunk_offset(at, chunk % 8) + 4 * (lane % 4),
        pack_elements(outputs[n], outputs[n + 1]));
  }
  warp_barrier();
  output += arguments->output.offset + row->batch * arguments->output.batch;
  const int aligned = is_aligned(output, &arguments->output);
#pragma unroll 1
  for (int n = lane; n < 16 * (VALUE_DIM / 8); n += 32) {
    const int at = first_row + 16 * warp + n / (VALUE_DIM / 8);
    const int chunk = n % (VALUE_DIM / 8);
    if (at >= count) break;
    const uint4 elements =
        load_chunk(staging + chunk / 8 * QUERY_TILE * PIECE_ROW + chunk_offset(at, chunk % 8));
    const long token =
        query_row(source->query_entries, &row->queries, row->queries.begin + at / PACK);
    __global ushort *target = output + packed_head(row->head, at) * arguments->output.head +
                              token * arguments->output.token + 8 * chunk;
    if (aligned) {
      *(__global uint4 *)target = elements;
    } else {
      vstore8(as_ushort8(elements), 0, target);
    }
  }
}

// Writes the outputs of a part of a row.
INLINED void store_part(__global float *part_outputs, const row_t *row, int row_in_tile, int column,
                        const float outputs[OUTPUTS]) {
  const int count = PACK * (row->queries.end - row->queries.begin);
#pragma unroll
  for (int n = 0; n < OUTPUTS; n += 2) {
    const int at = row_in_tile + 8 * (n >> 1 & 1);
    if (at < count) {
      vstore2(
          (float2)(outputs[n], outputs[n + 1]), 0,
          part_outputs + ((long)row->part * QUERY_TILE + at) * VALUE_DIM + 8 * (n >> 2) + column);
    }
  }
}

__attribute__((reqd_work_group_size(WORK_GROUP, 1, 1))) __kernel void attention(
    const clattn_arguments arguments, __global const ushort *query, __global const ushort *key,
    __global const ushort *value, __global ushort *output, __global float *lse,
    __global float *part_outputs, __global float *part_lse,
    __global ulong *scratch WALK_PARAMETERS HOOK_PARAMETERS) {
  __local uchar memory[LOCAL_BYTES] __attribute__((aligned(1024)));
  ring_t ring;
  ring.base = local_address(memory);
  ring.runs = (__local run_t *)(memory + RUN_OFFSET);
  ring.rows = (__local row_t *)(memory + ROW_OFFSET);
  ring.next = (__local int *)(memory + NEXT_OFFSET);
  ring.entries = (__local clattn_key_entry *)(memory + ENTRY_OFFSET);
  const int item = (int)get_local_id(0);
  const int warpgroup = warp_uniform(item / WARPGROUP);
  const walk_source source = WALK_SOURCE;
  const int by_boxes = has_maps(&arguments, &source, query, key, value);
  if (item == 0) {
    if (by_boxes) start_ring(&ring, BOX_ARRIVALS, BOX_KEY_ARRIVALS);
    if (!by_boxes) start_ring(&ring, ROW_ARRIVALS, ROW_ARRIVALS);
  }
  if (by_boxes) {
    make_maps(&arguments, query, key, value, scratch + SCRATCH_WORDS * get_group_id(0), &ring,
              item);
  }
  named_barrier(0, WORK_GROUP);

  if (warpgroup == 0) {
    asm volatile("//WG setmaxnreg.dec.sync.aligned.u32 " STRINGIFY(PRODUCER_REGISTERS) ";");
    if (!by_boxes) {
      produce_rows(&arguments, &source, query, key, value, scratch, &ring, item);
    } else if (item < 32) {
      produce_boxes(&arguments, &source, scratch, &ring, item);
    }
    return;
  }
  asm volatile("//WG setmaxnreg.inc.sync.aligned.u32 " STRINGIFY(CONSUMER_REGISTERS) ";");
  const hooks_t hooks = HOOKS(arguments);
  const int first_row = 64 * (warpgroup - 1);
  const int warp = item / 32 % 4;
  const int lane = item % 32;
  const int column = 2 * (lane % 4);
  const int row_in_tile = first_row + 16 * warp + lane / 4;
#if SCORE_MODIFIERS
  const float factor = LOG2_E;
#else
  const float factor = arguments.query_scale > 0.0f ? arguments.query_scale : 1.0f;
#endif
  const uint key_descriptor = matrix_descriptor(ring.base + RING_OFFSET, 0);
  const uint value_descriptor = matrix_descriptor(ring.base + VALUE_OFFSET, KEY_TILE * PIECE_ROW);

// Counts a step of the run and reads the next run where this one ends.
#define NEXT_STEP          \
  if (--steps_left == 0) { \
    ++run;                 \
    READ_RUN;              \
  }
#define READ_RUN                                                           \
  {                                                                        \
    const uint word = warp_uniform(ring.runs[run % RUNS].steps_and_kinds); \
    steps_left = word >> 8;                                                \
    kind = word >> 2 * (warpgroup - 1) & 3;                                \
  }
// The step at `left` steps from the end of its run.
#define MASK_SCORES(run, kind, left, stage)                                                 \
  if (SCORE_MODIFIERS || kind != RUN_PLAIN) {                                               \
    const run_t masked_run = ring.runs[(run) % RUNS];                                       \
    clattn_span step = masked_run.span;                                                     \
    step.key_begin += ((masked_run.steps_and_kinds >> 8) - (left)) * KEY_TILE;              \
    step.key_end = min(step.key_begin + KEY_TILE, step.key_end);                            \
    mask_scores(&hooks, ring.entries + (stage)*KEY_TILE, row.batch, kind, &step, &own_rows, \
                column, arguments.query_scale, scores);                                     \
  }

  float scores[SCORES];
  float outputs[OUTPUTS];
  uint weights[WEIGHTS];
  float decay[2];
  uint run = 0, n = 0;  // runs and steps so far
  for (uint r = 0;; ++r) {
    const uint query_stage = query_stage_of(r);
    barrier_wait(queries_full(&ring, query_stage), query_parity_of(r));
    const row_t row = ring.rows[query_stage];
    if (warp_uniform(row.head) == NO_ROW) return;
    const int count = PACK * (row.queries.end - row.queries.begin);
    const uint queries = ring.base + query_stage * QUERY_BYTES;
    const uint own_queries = matrix_descriptor(queries + first_row * PIECE_ROW, 0);
    rows_t own_rows;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int at = max(min(row_in_tile + 8 * i, count - 1), 0);
      const int entry = row.queries.begin + at / PACK;
      own_rows.heads[i] = packed_head(row.head, at);
      own_rows.tokens[i] = query_token(query_entries, &row.queries, entry);
#if TOKENS
      own_rows.low[i] = query_entries[entry].low;
      own_rows.high[i] = query_entries[entry].high;
#endif
    }
#pragma unroll
    for (int i = 0; i < OUTPUTS; ++i) outputs[i] = 0.0f;
    state_t state = {{-INFINITY, -INFINITY}, {0.0f, 0.0f}};
    uint steps_left, kind;
    READ_RUN;
    for (;;) {
      for (; kind == RUN_HIDDEN; ++n) {
        // The producer says that values are there only behind copies that want these keys' place.
        barrier_wait(keys_full(&ring, stage_of(n)), parity_of(n));
        NEXT_STEP;
        if (lane == 0) barrier_arrive(keys_empty(&ring, stage_of(n)));
        barrier_wait(values_full(&ring, stage_of(n)), parity_of(n));
        if (lane == 0) barrier_arrive(values_empty(&ring, stage_of(n)));
      }
      if (kind == RUN_END) break;
      barrier_wait(keys_full(&ring, stage_of(n)), parity_of(n));
      // The first of a sequence of steps that this warpgroup sees, or one with new maxima.
      WGMMA_SCORES(scores, own_queries, key_descriptor + stage_of(n) * (KEY_BYTES >> 4));
      WGMMA_WAIT_SCORES(0, scores);
      MASK_SCORES(run, kind, steps_left, stage_of(n));
      NEXT_STEP;
      if (take_softmax(scores, factor, &state, decay)) rescale(outputs, decay);
      if (lane == 0) barrier_arrive(keys_empty(&ring, stage_of(n)));
      pack_weights(scores, weights);
      // Further ones, each beside the values of the one before. The compiler loses track of what is
      // uniform behind the loop above.
      n = warp_uniform(n + 1);
      run = warp_uniform(run);
      kind = warp_uniform(kind);
      steps_left = warp_uniform(steps_left);
      uint grown = 0;
      const uint settled = SCORE_MODIFIERS || is_settled(warpgroup, &state);
      for (; settled && kind >= RUN_MASKED; ++n) {
        const uint values = stage_of(n - 1);
        barrier_wait(keys_full(&ring, stage_of(n)), parity_of(n));
        WGMMA_SCORES(scores, own_queries, key_descriptor + stage_of(n) * (KEY_BYTES >> 4));
        barrier_wait(values_full(&ring, values), parity_of(n - 1));
        WGMMA_OUTPUTS(outputs, weights, value_descriptor + values * (VALUE_BYTES >> 4));
        const uint this_run = run, this_kind = kind, this_left = steps_left;
        NEXT_STEP;
        WGMMA_WAIT_SCORES(1, scores);
        MASK_SCORES(this_run, this_kind, this_left, stage_of(n));
#if SCORE_MODIFIERS
        // Biases may well grow from step to step, and then looking for maxima is cheaper.
        if (take_softmax(scores, factor, &state, decay)) {
          WGMMA_WAIT_OUTPUTS(0, outputs);
          rescale(outputs, decay);
        }
#else
        grown = take_old_softmax(scores, factor, warpgroup, &state);
#endif
        // Behind a branch or a barrier: the compiler would move it ahead of the softmax.
        WGMMA_WAIT_OUTPUTS(0, outputs);
        if (lane == 0) barrier_arrive(values_empty(&ring, values));
        if (grown) {
          run = this_run;
          kind = this_kind;
          steps_left = this_left;
          break;
        }
        if (lane == 0) barrier_arrive(keys_empty(&ring, stage_of(n)));
        pack_weights(scores, weights);
      }
      if (grown) continue;
      const uint values = stage_of(n - 1);
      barrier_wait(values_full(&ring, values), parity_of(n - 1));
      WGMMA_OUTPUTS(outputs, weights, value_descriptor + values * (VALUE_BYTES >> 4));
      WGMMA_WAIT_OUTPUTS(0, outputs);
      if (lane == 0) barrier_arrive(values_empty(&ring, values));
    }
    const int broken = ring.runs[run % RUNS].span.mask;
    ++run;

#pragma unroll
    for (int i = 0; i < 2; ++i) {
      float sum = state.sum[i];
      sum += shuffle_xor(sum, 1);
      sum += shuffle_xor(sum, 2);
      const float sink = row.part < 0 ? sink_logit(&hooks, own_rows.heads[i]) : -INFINITY;
      const softmax_end end = softmax_finish(state.maximum[i], sum, sink);
      decay[i] = broken ? NAN : end.factor;
      const int at = row_in_tile + 8 * i;
      if (lane % 4 == 0 && at < count) {
        const float row_lse = broken ? NAN : softmax_lse(&end);
        if (row.part >= 0) {
          part_lse[(long)row.part * QUERY_TILE + at] = row_lse;
        } else if (lse) {
          lse[arguments.lse_offset +
              (row.batch * (long)arguments.heads + own_rows.heads[i]) * arguments.query_len +
              query_row(query_entries, &row.queries, row.queries.begin + at / PACK)] =
              row_lse * LN_2;
        }
      }
    }
    rescale(outputs, decay);
    // No warp of the warpgroup may still be multiplying with the queries.
    named_barrier(warpgroup, WARPGROUP);
    if (row.part >= 0) {
      store_part(part_outputs, &row, row_in_tile, column, outputs);
    } else {
      store_outputs(&arguments, &source, output, queries, &row, first_row, warp, lane, outputs);
    }
    fence_asynchronous();
    warp_barrier();
    if (lane == 0) barrier_arrive(queries_empty(&ring, query_stage));
  }
}
