// Attention on NVIDIA's tensor cores from compute capability 8.0 on, by mma.sync, for 16-bit
// storage (the division of work is FlashAttention-2's, arXiv 2307.08691). One work-group of WARPS
// warps owns QUERY_TILE queries of one head, which stay in local memory; each warp owns
// WARP_QUERIES of them, whose scores, probabilities and outputs stay in its registers: the sums of
// the first product are, once packed, the left operand of the second. Keys and values come in tiles
// of KEY_TILE, each in one of two buffers: while one is computed with, the next is copied into the
// other, with one barrier a tile. Tiles that are whole and wholly visible, most of them, are
// counted ahead and taken in a loop of their own, which looks at no mask. What a warp sees of any
// other one is evaluated into a bit for each score, for no mask depends on scores; a warp that sees
// nothing skips the tile. Behind ptx.cl and mma_tiles.cl, which say how tiles are shaped and laid
// out.
//
// Launch: local size {32 * WARPS, 1}, global size {rows * local size, repeats}.
// Local memory, in bytes: QUERY_BYTES + 2 * KEY_BYTES + 2 * VALUE_BYTES of mma_tiles.cl

// The running maximum of a row may be that much too small, in base 2: outputs are rescaled only
// when it has grown by more. Probabilities stay below 2^8, which every storage type holds.
#define MAXIMUM_LAG 8.0f

// Arrays of registers may be passed to no function that is really called.
#define INLINED static inline __attribute__((always_inline))

// What a work-item carries from tile to tile.
typedef struct state_t {
  float outputs[QUERY_FRAGMENTS][VALUE_FRAGMENTS][4];
  float maxima[ROWS];
  float sums[ROWS];  // of this work-item's columns
} state_t;

// The first product, of the warp's queries and the keys of a tile, which begin at these addresses.
INLINED void multiply_keys(float scores[QUERY_FRAGMENTS][KEY_FRAGMENTS][4], uint queries,
                           uint keys) {
  const uint lane = get_local_id(0) & 31;
#if HEAD_DIM % 16
  const uint last_keys = row_at(keys, lane & 15, HEAD_DIM / 8);
#endif
  queries = chunk_at(row_at(queries, lane & 15, HEAD_DIM / 8), lane >> 4, HEAD_DIM / 8);
  keys = chunk_at(row_at(keys, (lane & 7) + (lane >> 4 << 3), HEAD_DIM / 8), lane >> 3 & 1,
                  HEAD_DIM / 8);
#pragma unroll
  for (int m = 0; m < QUERY_FRAGMENTS; ++m) {
#pragma unroll
    for (int n = 0; n < KEY_FRAGMENTS; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        scores[m][n][i] = 0.0f;
      }
    }
  }
#pragma unroll
  for (int d = 0; d < HEAD_DIM / 16; ++d) {
    uint a[QUERY_FRAGMENTS][4];
#pragma unroll
    for (int m = 0; m < QUERY_FRAGMENTS; ++m) {
      load_four_matrices(a[m],
                         chunk_at(queries, 2 * d, HEAD_DIM / 8) + CHUNK * m * 16 * KEY_STRIDE);
    }
#pragma unroll
    for (int n = 0; n < KEY_FRAGMENTS; n += 2) {
      uint b[4];
      load_four_matrices(b, chunk_at(keys, 2 * d, HEAD_DIM / 8) + CHUNK * n * 8 * KEY_STRIDE);
#pragma unroll
      for (int m = 0; m < QUERY_FRAGMENTS; ++m) {
        multiply_add_16(scores[m][n], a[m], b[0], b[1]);
        multiply_add_16(scores[m][n + 1], a[m], b[2], b[3]);
      }
    }
  }
#if HEAD_DIM % 16
  uint a[QUERY_FRAGMENTS][2];
#pragma unroll
  for (int m = 0; m < QUERY_FRAGMENTS; ++m) {
    load_two_matrices(
        a[m], chunk_at(queries, HEAD_DIM / 8 - 1, HEAD_DIM / 8) + CHUNK * m * 16 * KEY_STRIDE);
  }
#pragma unroll
  for (int n = 0; n < KEY_FRAGMENTS; n += 2) {
    uint b[2];
    load_two_matrices(
        b, chunk_at(last_keys, HEAD_DIM / 8 - 1, HEAD_DIM / 8) + CHUNK * n * 8 * KEY_STRIDE);
#pragma unroll
    for (int m = 0; m < QUERY_FRAGMENTS; ++m) {
      multiply_add_8(scores[m][n], a[m], b[0]);
      multiply_add_8(scores[m][n + 1], a[m], b[1]);
    }
  }
#endif
}

// The second product, of probabilities, as multiply_add_16 takes them, and the values of a tile,
// which begin at this address.
INLINED void multiply_values(state_t *state, uint probabilities[QUERY_FRAGMENTS][KEY_TILE / 16][4],
                             uint values) {
  const uint lane = get_local_id(0) & 31;
  values = chunk_at(row_at(values, lane & 15, VALUE_DIM / 8), lane >> 4, VALUE_DIM / 8);
#pragma unroll
  for (int k = 0; k < KEY_TILE / 16; ++k) {
#pragma unroll
    for (int n = 0; n + 1 < VALUE_FRAGMENTS; n += 2) {
      uint b[4];
      load_four_transposed(b, chunk_at(values, n, VALUE_DIM / 8) + CHUNK * k * 16 * VALUE_STRIDE);
#pragma unroll
      for (int m = 0; m < QUERY_FRAGMENTS; ++m) {
        multiply_add_16(state->outputs[m][n], probabilities[m][k], b[0], b[1]);
        multiply_add_16(state->outputs[m][n + 1], probabilities[m][k], b[2], b[3]);
      }
    }
#if VALUE_FRAGMENTS % 2
    uint b[2];
    load_two_transposed(
        b, chunk_at(values, VALUE_FRAGMENTS - 1, VALUE_DIM / 8) + CHUNK * k * 16 * VALUE_STRIDE);
#pragma unroll
    for (int m = 0; m < QUERY_FRAGMENTS; ++m) {
      multiply_add_16(state->outputs[m][VALUE_FRAGMENTS - 1], probabilities[m][k], b[0], b[1]);
    }
#endif
  }
}

// The maxima of rows once they have taken the scores of a tile in, and whether any has grown.
// Scores times `factor`, which is positive, are in base 2. All work-items that hold a row agree on
// its maximum.
INLINED int find_maxima(const state_t *state, float scores[QUERY_FRAGMENTS][KEY_FRAGMENTS][4],
                        float factor, float maxima[ROWS]) {
#pragma unroll
  for (int r = 0; r < ROWS; ++r) {
    const int i = r % 2 * 2;
    float even = fmax(scores[r / 2][0][i], scores[r / 2][0][i + 1]);
    float odd = fmax(scores[r / 2][1][i], scores[r / 2][1][i + 1]);
#pragma unroll
    for (int n = 2; n < KEY_FRAGMENTS; n += 2) {
      even = fmax(even, fmax(scores[r / 2][n][i], scores[r / 2][n][i + 1]));
      odd = fmax(odd, fmax(scores[r / 2][n + 1][i], scores[r / 2][n + 1][i + 1]));
    }
    maxima[r] = fmax(even, odd);
  }
#pragma unroll
  for (int mask = 1; mask <= 2; ++mask) {
#pragma unroll
    for (int r = 0; r < ROWS; ++r) {
      maxima[r] = fmax(maxima[r], shuffle_xor(maxima[r], mask));
    }
  }
  int grown = 0;
#pragma unroll
  for (int r = 0; r < ROWS; ++r) {
    const float maximum = maxima[r] * factor;
    const int grows = maximum > state->maxima[r] + MAXIMUM_LAG;
    maxima[r] = grows ? maximum : state->maxima[r];
    grown |= grows;
  }
  return grown;
}

// The probabilities of scores under these maxima, as multiply_add_16 takes them, and their sums in
// each row, of this work-item's columns.
INLINED void find_probabilities(float scores[QUERY_FRAGMENTS][KEY_FRAGMENTS][4], float factor,
                                const float maxima[ROWS],
                                uint probabilities[QUERY_FRAGMENTS][KEY_TILE / 16][4],
                                float sums[ROWS]) {
  float shifts[ROWS];
#pragma unroll
  for (int r = 0; r < ROWS; ++r) {
    shifts[r] = SOFTMAX_SHIFT(maxima[r]);
    sums[r] = 0.0f;
  }
#pragma unroll
  for (int n = 0; n < KEY_FRAGMENTS; ++n) {
#pragma unroll
    for (int r = 0; r < ROWS; ++r) {
      const int i = r % 2 * 2;
      const float first = exp2_approximate(fma(scores[r / 2][n][i], factor, -shifts[r]));
      const float second = exp2_approximate(fma(scores[r / 2][n][i + 1], factor, -shifts[r]));
      sums[r] += first + second;
      probabilities[r / 2][n / 2][n % 2 * 2 + r % 2] = pack_elements(first, second);
    }
  }
}

// Brings what was summed up under the old maxima to these.
INLINED void rescale(state_t *state, const float maxima[ROWS]) {
#pragma unroll
  for (int r = 0; r < ROWS; ++r) {
    const float factor = exp2_approximate(state->maxima[r] - SOFTMAX_SHIFT(maxima[r]));
    state->maxima[r] = maxima[r];
    state->sums[r] *= factor;
#pragma unroll
    for (int n = 0; n < VALUE_FRAGMENTS; ++n) {
      state->outputs[r / 2][n][r % 2 * 2] *= factor;
      state->outputs[r / 2][n][r % 2 * 2 + 1] *= factor;
    }
  }
}

// Takes the scores of a tile into the state and makes probabilities of them.
INLINED void take_scores(state_t *state, float scores[QUERY_FRAGMENTS][KEY_FRAGMENTS][4],
                         float factor, uint probabilities[QUERY_FRAGMENTS][KEY_TILE / 16][4]) {
  float maxima[ROWS];
  float sums[ROWS];
  if (warp_any(find_maxima(state, scores, factor, maxima))) rescale(state, maxima);
  find_probabilities(scores, factor, maxima, probabilities, sums);
#pragma unroll
  for (int r = 0; r < ROWS; ++r) {
    state->sums[r] += sums[r];
  }
}

// As take_scores, but under the maxima so far: nearly always they are good enough, and then nobody
// has to look for new ones. Probabilities that came out too large show in their sums: returns
// whether there are none, else the state stays as it was.
INLINED int take_scores_as_before(state_t *state, float scores[QUERY_FRAGMENTS][KEY_FRAGMENTS][4],
                                  float factor,
                                  uint probabilities[QUERY_FRAGMENTS][KEY_TILE / 16][4]) {
  float sums[ROWS];
  find_probabilities(scores, factor, state->maxima, probabilities, sums);
  int grown = 0;
#pragma unroll
  for (int r = 0; r < ROWS; ++r) {
    grown |= !(sums[r] <= LARGEST_WEIGHT);
  }
  if (warp_any(grown)) return 0;
#pragma unroll
  for (int r = 0; r < ROWS; ++r) {
    state->sums[r] += sums[r];
  }
  return 1;
}

#if SCORE_MODIFIERS
// Makes scores of products.
INLINED void modify_scores(float scores[QUERY_FRAGMENTS][KEY_FRAGMENTS][4], float scale,
                           const queries_t *queries, const tile_t *tile) {
  int tokens[ROWS];
#pragma unroll
  for (int r = 0; r < ROWS; ++r) {
    tokens[r] = query_token_of(queries, r);
  }
#pragma unroll
  for (int column = 0; column < COLUMNS; ++column) {
    const int key =
        key_token(queries->source->key_entries, &tile->span, key_entry_of(tile, column));
#pragma unroll
    for (int r = 0; r < ROWS; ++r) {
      float *score = &scores[r / 2][column / 2][r % 2 * 2 + column % 2];
      *score = modify_score(queries->hooks, *score * scale, queries->walk->batch,
                            queries->walk->head, tokens[r], key);
    }
  }
}
#endif

// Multiplies scores with a factor and hides those whose bit in `visible` is not set.
INLINED void hide_scores(float scores[QUERY_FRAGMENTS][KEY_FRAGMENTS][4],
                         const uint visible[QUERY_FRAGMENTS], float scale) {
#pragma unroll
  for (int m = 0; m < QUERY_FRAGMENTS; ++m) {
#pragma unroll
    for (int n = 0; n < KEY_FRAGMENTS; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int seen = visible[m] >> (i / 2 * COLUMNS + 2 * n + i % 2) & 1;
        scores[m][n][i] = seen ? scores[m][n][i] * scale : -INFINITY;
      }
    }
  }
}

__attribute__((reqd_work_group_size(WORK_GROUP, 1, 1))) __kernel void attention(
    const clattn_arguments arguments, __global const ushort *query, __global const ushort *key,
    __global const ushort *value, __global ushort *output, __global float *lse,
    __global float *part_outputs, __global float *part_lse WALK_PARAMETERS HOOK_PARAMETERS) {
  __local uint4 __attribute__((aligned(128)))
  tiles[(QUERY_BYTES + 2 * KEY_BYTES + 2 * VALUE_BYTES) / CHUNK];

  const uint query_tile = local_address(tiles);
  const uint key_tiles = query_tile + QUERY_BYTES;
  const uint value_tiles = key_tiles + 2 * KEY_BYTES;

  const int lane = (int)get_local_id(0) & 31;
  const int warp_begin = ((int)get_local_id(0) >> 5) * WARP_QUERIES;
  const uint warp_queries = query_tile + CHUNK * KEY_STRIDE * warp_begin;
  const hooks_t hooks = HOOKS(arguments);
  const walk_source walk_from = WALK_SOURCE;
  walk_t walk;
  walk_start(&arguments, &walk_from, (int)get_group_id(0), (int)get_group_id(1), QUERY_TILE, &walk);
  const int kv_head = walk.head / (arguments.heads / arguments.kv_heads);
  const queries_t queries = {&hooks,     &walk_from,
                             &walk,      walk.queries.end - walk.queries.begin,
                             warp_begin, warp_begin + (lane >> 2)};
  const rows_t rows_of_queries = query_rows(&queries);
  const source_t query_source =
      source_of(query + arguments.query.offset + walk.batch * arguments.query.batch +
                    walk.head * arguments.query.head,
                arguments.query.token, HEAD_DIM / 8);
  const source_t key_source = source_of(
      key + arguments.key.offset + walk.batch * arguments.key.batch + kv_head * arguments.key.head,
      arguments.key.token, HEAD_DIM / 8);
  const source_t value_source =
      source_of(value + arguments.value.offset + walk.batch * arguments.value.batch +
                    kv_head * arguments.value.head,
                arguments.value.token, VALUE_DIM / 8);
  load_tile(query_tile, QUERY_TILE, HEAD_DIM / 8, &query_source, &rows_of_queries);

  state_t state;
#pragma unroll
  for (int r = 0; r < ROWS; ++r) {
    state.maxima[r] = -INFINITY;
    state.sums[r] = 0.0f;
#pragma unroll
    for (int n = 0; n < VALUE_FRAGMENTS; ++n) {
      state.outputs[r / 2][n][r % 2 * 2] = 0.0f;
      state.outputs[r / 2][n][r % 2 * 2 + 1] = 0.0f;
    }
  }

  // Scores are in base 2 once they are multiplied by `factor`. That may wait until their maximum is
  // known, which saves a multiplication each, if it is positive.
  const int scaled_first = !SCORE_MODIFIERS && !(arguments.query_scale > 0.0f);
  const float factor = SCORE_MODIFIERS ? LOG2_E : scaled_first ? 1.0f : arguments.query_scale;

  // Each round copies the next tile and computes with the one that the round before has copied.
  tile_t tile;  // the one that is copied
  tile.begin = tile.span.key_end = 0;
  uint buffer = 0;  // where it is copied to
  int more = next_tile(&arguments, &walk_from, &walk, &tile);
  if (more) {
    const rows_t rows = key_rows(&walk_from, &tile);
    load_tile(key_tiles, KEY_TILE, HEAD_DIM / 8, &key_source, &rows);
    load_tile(value_tiles, KEY_TILE, VALUE_DIM / 8, &value_source, &rows);
  }
  const int plain_possible = key_source.aligned && value_source.aligned && !scaled_first;
  while (more) {
    // A tile without a look at its mask: no branch but the rare one that rescales, so that the
    // compiler mixes copies, products and softmax.
    int unseen = 0;  // rows without a key so far
#pragma unroll
    for (int r = 0; r < ROWS; ++r) {
      unseen |= state.maxima[r] == -INFINITY;
    }
    // Biases may well grow from tile to tile, and then looking for maxima is cheaper.
    int as_before = !SCORE_MODIFIERS && !warp_any(unseen);
    for (int plain = plain_possible ? plain_tiles(&queries, &tile) : 0; plain > 0; --plain) {
      const uint keys = key_tiles + buffer * KEY_BYTES;
      const uint values = value_tiles + buffer * VALUE_BYTES;
#if SCORE_MODIFIERS
      const tile_t computed = tile;
#endif
      buffer ^= 1;
      tile.begin += KEY_TILE;
      wait_for_copies();
      barrier(CLK_LOCAL_MEM_FENCE);
      const rows_t rows = key_rows(&walk_from, &tile);
      copy_whole_tile(key_tiles + buffer * KEY_BYTES, KEY_TILE, HEAD_DIM / 8, &key_source, &rows);
      copy_whole_tile(value_tiles + buffer * VALUE_BYTES, KEY_TILE, VALUE_DIM / 8, &value_source,
                      &rows);
      float scores[QUERY_FRAGMENTS][KEY_FRAGMENTS][4];
      uint probabilities[QUERY_FRAGMENTS][KEY_TILE / 16][4];
      multiply_keys(scores, warp_queries, keys);
#if SCORE_MODIFIERS
      modify_scores(scores, arguments.query_scale, &queries, &computed);
#endif
      if (!as_before || !take_scores_as_before(&state, scores, factor, probabilities)) {
        if (as_before) multiply_keys(scores, warp_queries, keys);
        as_before = !SCORE_MODIFIERS;
        take_scores(&state, scores, factor, probabilities);
      }
      multiply_values(&state, probabilities, values);
    }
    const tile_t computed = tile;
    const uint keys = key_tiles + buffer * KEY_BYTES;
    const uint values = value_tiles + buffer * VALUE_BYTES;
    buffer ^= 1;
    more = next_tile(&arguments, &walk_from, &walk, &tile);
    // After this, the copies of all are there, and nobody reads the other buffer any more.
    wait_for_copies();
    barrier(CLK_LOCAL_MEM_FENCE);
    if (more) {
      const rows_t rows = key_rows(&walk_from, &tile);
      load_tile(key_tiles + buffer * KEY_BYTES, KEY_TILE, HEAD_DIM / 8, &key_source, &rows);
      load_tile(value_tiles + buffer * VALUE_BYTES, KEY_TILE, VALUE_DIM / 8, &value_source, &rows);
    }
    uint visible[QUERY_FRAGMENTS];
    const int seen = visibility(&queries, &computed, visible);
    if (seen == SEES_NOTHING) continue;
    float scores[QUERY_FRAGMENTS][KEY_FRAGMENTS][4];
    multiply_keys(scores, warp_queries, keys);
#if SCORE_MODIFIERS
    modify_scores(scores, arguments.query_scale, &queries, &computed);
#endif
    if (scaled_first || seen == SEES_SOME) {
      hide_scores(scores, visible, scaled_first ? arguments.query_scale : 1.0f);
    }
    uint probabilities[QUERY_FRAGMENTS][KEY_TILE / 16][4];
    take_scores(&state, scores, factor, probabilities);
    multiply_values(&state, probabilities, values);
  }
  wait_for_copies();  // of queries, if there was no tile

#pragma unroll
  for (int r = 0; r < ROWS; ++r) {
    state.sums[r] += shuffle_xor(state.sums[r], 1);
    state.sums[r] += shuffle_xor(state.sums[r], 2);
  }
  // The schedule's row, read again: the loop has no registers to keep it in.
  const int broken = walk.broken;
  walk_start(&arguments, &walk_from, (int)get_group_id(0), (int)get_group_id(1), QUERY_TILE, &walk);
  const int column = 2 * (lane & 3);
  output += arguments.output.offset + walk.batch * arguments.output.batch +
            walk.head * arguments.output.head + column;
#pragma unroll
  for (int r = 0; r < ROWS; ++r) {
    const int q = queries.first + 8 * r;
    if (q >= queries.count) continue;
    const softmax_end end = softmax_finish(
        state.maxima[r], state.sums[r], walk.part < 0 ? sink_logit(&hooks, walk.head) : -INFINITY);
    const float end_factor = broken ? NAN : end.factor;
    const int row = query_row(query_entries, &walk.queries, walk.queries.begin + q);
    const long part_row = (long)walk.part * QUERY_TILE + q;
    __global ushort *target = output + row * arguments.output.token;
    const int in_pairs = ((ulong)target & 3) == 0;
#pragma unroll
    for (int n = 0; n < VALUE_FRAGMENTS; ++n) {
      const float2 pair = end_factor * (float2)(state.outputs[r / 2][n][r % 2 * 2],
                                                state.outputs[r / 2][n][r % 2 * 2 + 1]);
      const uint packed = pack_elements(pair.x, pair.y);
      if (walk.part >= 0) {
        *(__global float2 *)(part_outputs + part_row * VALUE_DIM + 8 * n + column) = pair;
      } else if (in_pairs) {
        *(__global uint *)(target + 8 * n) = packed;
      } else {
        target[8 * n] = (ushort)packed;
        target[8 * n + 1] = (ushort)(packed >> 16);
      }
    }
    if ((lane & 3) != 0) continue;
    const float row_lse = broken ? NAN : softmax_lse(&end);
    if (walk.part >= 0) {
      part_lse[part_row] = row_lse;
    } else if (lse) {
      lse[arguments.lse_offset +
          (walk.batch * (long)arguments.heads + walk.head) * arguments.query_len + row] =
          row_lse * LN_2;
    }
  }
}
