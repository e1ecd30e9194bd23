// The producer of the wgmma kernel, which takes rows of the schedule as long as there are any, and
// fills the ring with their queries, keys and values: with boxes of the tensors, which one warp
// asks the copy engine for, or row by row, by all of its work-items. Behind wgmma_ring.cl.

INLINED int all_rows(const clattn_arguments *arguments) {
  return arguments->rows * arguments->repeats;
}

// The next row of the schedule; the first one is the work-group's own number. Work-groups ask as
// often as there are rows, all together: the last time brings the count back to 0.
INLINED int take_row(const clattn_arguments *arguments, __global ulong *scratch) {
  return (int)(get_num_groups(0) + increment_cyclic(scratch + ROWS_TAKEN, all_rows(arguments) - 1));
}

INLINED int is_plain_scale(const clattn_arguments *arguments) {
  return SCORE_MODIFIERS || arguments->query_scale > 0.0f;
}

INLINED int kv_head_of(const clattn_arguments *arguments, const walk_t *walk) {
  return walk->head * PACK / (arguments->heads / arguments->kv_heads);
}

INLINED void publish_row(const ring_t *ring, uint stage, const walk_t *walk) {
  ring->rows[stage].queries = walk->queries;
  ring->rows[stage].batch = walk->batch;
  ring->rows[stage].head = walk->head;
  ring->rows[stage].part = walk->part;
}

// Takes one step off a run.
INLINED clattn_span take_step(run_t *run) {
  clattn_span step = run->span;
  step.key_end = min(step.key_begin + KEY_TILE, run->span.key_end);
  run->span.key_begin = step.key_end;
  run->steps_and_kinds -= 1 << 8;
  return step;
}

// What masks ask of the keys of a step, by so many work-items.
INLINED void copy_entries(const ring_t *ring, uint stage, const walk_source *source,
                          const clattn_span *step, int item, int items) {
#if TOKENS
  if (!SCORE_MODIFIERS && step->mask == CLATTN_MASK_NONE) return;
  const uint target = local_address(ring->entries + stage * KEY_TILE);
  for (int key = item; key < step->key_end - step->key_begin; key += items) {
    copy_8_bytes(target + 8 * key, source->key_entries + step->key_begin + key);
  }
#endif
}

// --- By boxes.

// Where the boxes of a step's keys and of a row's queries begin, in their maps' axes.
#if BOXES
INLINED place_t place_of_box(int box, int x, int y, int z, int outer) {
  const int across = GRID_X / x, down = GRID_Y / y;
  const place_t place = {
      {box % across * x, box / across % down * y, box / (across * down) * z, outer}};
  return place;
}
#endif
INLINED place_t key_place(const clattn_arguments *arguments, const walk_t *walk, int kv_head,
                          int begin) {
#if BOXES
  return place_of_box(begin / KEY_TILE, KEY_BOX_X, KEY_BOX_Y, KEY_BOX_Z,
                      walk->batch * arguments->kv_heads + kv_head);
#else
  const place_t place = {{begin, kv_head, walk->batch, 0}};
  return place;
#endif
}
INLINED place_t query_place(const clattn_arguments *arguments, const walk_source *source,
                            const walk_t *walk) {
#if BOXES
  return place_of_box((walk->queries.begin + walk->queries.row) / QUERY_TILE, QUERY_BOX_X,
                      QUERY_BOX_Y, QUERY_BOX_Z, walk->batch * arguments->heads + walk->head);
#else
  const place_t place = {{walk->head * PACK,
                          query_row(source->query_entries, &walk->queries, walk->queries.begin),
                          walk->batch, 0}};
  return place;
#endif
}

// Arrivals at barriers of full places; at those of keys, whose entries work-items copy, more.
#define BOX_ARRIVALS 1
#define BOX_KEY_ARRIVALS (TOKENS ? 33 : 1)

INLINED void copy_boxes(uint target, __global const ulong *map, int rows, int columns,
                        place_t place, uint full) {
  barrier_arrive_expecting(full, (columns + 63) / 64 * rows * PIECE_ROW);
#pragma unroll
  for (int piece = 0; piece < (columns + 63) / 64; ++piece) {
    copy_box(target + piece * rows * PIECE_ROW, map, 64 * piece, place, full);
  }
}

// By one warp.
INLINED void produce_boxes(const clattn_arguments *arguments, const walk_source *source,
                           __global ulong *scratch, const ring_t *ring, int lane) {
  __global const ulong *maps = scratch + SCRATCH_WORDS * get_group_id(0);
  for (int i = 0; i < 3; ++i) acquire_tensor_map(maps + MAP_WORDS * i);
  uint run_index = 0, r = 0, n = 0;  // runs, rows and steps so far
  int taken = (int)get_group_id(0);
  while (taken < all_rows(arguments)) {
    walk_t walk;
    walk_take(arguments, source, taken, QUERY_TILE, &walk);
    const int kv_head = kv_head_of(arguments, &walk);
    clattn_span span;
    span.key_begin = span.key_end = 0;
    run_t run = next_run(arguments, source, &walk, is_plain_scale(arguments), &span);
    const run_t first_run = run;
    const uint first_index = run_index;
    int last_begin = 0;
    for (int i = 0;; ++i) {
      const int more = run.steps_and_kinds >> 8 > 0;
      int begin = 0;
      if (more) {
        const clattn_span step = take_step(&run);
        begin = step.key_begin;
        const int ends = run.steps_and_kinds >> 8 == 0;
        if (ends) {
          run = next_run(arguments, source, &walk, is_plain_scale(arguments), &span);
          ++run_index;
        }
        const uint full = keys_full(ring, stage_of(n));
        barrier_wait(keys_empty(ring, stage_of(n)), parity_of(n) ^ 1);
        if (lane == 0) {
          if (ends) ring->runs[run_index % RUNS] = run;
          copy_boxes(ring->base + RING_OFFSET + stage_of(n) * KEY_BYTES, maps, KEY_TILE, HEAD_DIM,
                     key_place(arguments, &walk, kv_head, begin), full);
        }
#if TOKENS
        copy_entries(ring, stage_of(n), source, &step, lane, 32);
        copies_arrive(full);
#endif
      }
      if (i == 0) {
        // Behind the first keys, whose place may be empty before that of the queries is.
        const uint stage = query_stage_of(r);
        barrier_wait(queries_empty(ring, stage), query_parity_of(r) ^ 1);
        if (lane == 0) {
          ring->runs[first_index % RUNS] = first_run;
          publish_row(ring, stage, &walk);
          copy_boxes(ring->base + stage * QUERY_BYTES, maps + 2 * MAP_WORDS, QUERY_TILE, HEAD_DIM,
                     query_place(arguments, source, &walk), queries_full(ring, stage));
        }
      } else {
        const uint stage = stage_of(n - 1);
        barrier_wait(values_empty(ring, stage), parity_of(n - 1) ^ 1);
        if (lane == 0) {
          copy_boxes(ring->base + VALUE_OFFSET + stage * VALUE_BYTES, maps + MAP_WORDS, KEY_TILE,
                     VALUE_DIM, key_place(arguments, &walk, kv_head, last_begin),
                     values_full(ring, stage));
        }
      }
      if (!more) break;
      last_begin = begin;
      ++n;
    }
    ++run_index;
    ++r;
    taken = (int)warp_uniform(lane == 0 ? (uint)take_row(arguments, scratch) : 0);
  }
  const uint stage = query_stage_of(r);
  barrier_wait(queries_empty(ring, stage), query_parity_of(r) ^ 1);
  if (lane == 0) {
    ring->rows[stage].head = NO_ROW;
    barrier_arrive(queries_full(ring, stage));
  }
}

// --- Row by row.

#define PRODUCER_BARRIER 15  // 0 is OpenCL's, others are the consumers'

#define ROW_ARRIVALS (WARPGROUP / 32)  // of each warp

// Whether rows begin at multiples of 16 bytes: tokens, and heads where rows are of several.
INLINED int is_aligned(__global const ushort *base, const clattn_view *view) {
  return ((ulong)base & 15) == 0 && ((view->token | (PACK > 1 ? view->head : 0)) & 7) == 0;
}

// What a producer's work-item knows of the tensors of one row.
typedef struct source_t {
  __global const ushort *data;
  long stride;       // between tokens
  long head_stride;  // between heads
  int aligned;
} source_t;

INLINED source_t source_of(__global const ushort *tensor, const clattn_view *view, int batch,
                           int head) {
  source_t source;
  source.data = tensor + view->offset + batch * view->batch + head * view->head;
  source.stride = view->token;
  source.head_stride = view->head;
  source.aligned = is_aligned(source.data, view);
  return source;
}

// One row of `columns` elements, this work-item's chunk of each piece. A row that does not exist
// becomes zeros.
INLINED void copy_row(uint target, int piece_bytes, __global const ushort *row, int columns,
                      int chunk, int exists, int aligned) {
#pragma unroll
  for (int piece = 0; piece < (columns + 63) / 64; ++piece) {
    const int column = 64 * piece + 8 * chunk;
    if (column < columns) {
      const uint to = target + piece * piece_bytes;
      if (aligned) {
        copy_chunk_or_zeros(to, row + column, exists);
      } else {
        uint4 elements = (uint4)(0);
        if (exists) {
          const ushort8 loaded = vload8(0, row + column);
          elements = as_uint4(loaded);
        }
        store_chunk(to, elements);
      }
    }
  }
}

// Chunk c of row r stands here in its piece.
INLINED uint chunk_offset(int row, int chunk) {
  return row * PIECE_ROW + ((chunk ^ (row & 7)) << 4);
}

// The keys of a step, or its values.
INLINED void copy_keys(uint target, const source_t *tensor, const walk_source *source,
                       const clattn_span *step, int columns, int item) {
  const int chunk = item & 7;
  const int count = step->key_end - step->key_begin;
  if (tensor->aligned && count == KEY_TILE) {
    // Rows of a work-item are 16 apart, so that their chunks stand alike.
    const int first = item >> 3;
    const uint to = target + chunk_offset(first, chunk);
    __global const ushort *from = tensor->data + 8 * chunk;
#if TOKENS != 1
    from += (step->key_begin + first) * tensor->stride;
#endif
#pragma unroll
    for (int row = 0; row < KEY_TILE; row += 16) {
#if TOKENS == 1
      from = tensor->data + 8 * chunk +
             key_row(source->key_entries, step, step->key_begin + first + row) * tensor->stride;
#endif
#pragma unroll
      for (int piece = 0; piece < (columns + 63) / 64; ++piece) {
        if (64 * piece + 8 * chunk < columns) {
          copy_chunk(to + (piece * KEY_TILE + row) * PIECE_ROW, from + 64 * piece);
        }
      }
#if TOKENS != 1
      from += 16 * tensor->stride;
#endif
    }
    return;
  }
#pragma unroll 1
  for (int row = item >> 3; row < KEY_TILE; row += 16) {
    const int exists = row < count;
    const int entry = step->key_begin + (exists ? row : 0);
    copy_row(target + chunk_offset(row, chunk), KEY_TILE * PIECE_ROW,
             tensor->data + key_row(source->key_entries, step, entry) * tensor->stride, columns,
             chunk, exists, tensor->aligned);
  }
}

// Copies that work-items make themselves are told to their barrier when the next ones are under
// way; `pending` is that barrier, 0 if there is none.
INLINED void tell_pending(uint pending, int item) {
  fence_asynchronous();
  warp_barrier();
  if (item % 32 == 0) barrier_arrive(pending);
}
INLINED uint copies_issued(uint pending, uint barrier, int item) {
  commit_copies();
  if (pending) {
    asm volatile("cp.async.wait_group 1;" : : : "memory");
    tell_pending(pending, item);
  }
  return barrier;
}
INLINED void finish_copies(uint pending, int item) {
  if (!pending) return;
  asm volatile("cp.async.wait_group 0;" : : : "memory");
  tell_pending(pending, item);
}

INLINED void copy_queries(uint target, const source_t *tensor, const walk_source *source,
                          const walk_t *walk, int item) {
  const int chunk = item & 7;
  const int count = PACK * (walk->queries.end - walk->queries.begin);
#if HEAD_DIM % 16
  // The last step of a product reads eight columns that nobody copies.
  for (int row = item; row < QUERY_TILE; row += WARPGROUP) {
    store_chunk(
        target + (QK_PIECES - 1) * QUERY_TILE * PIECE_ROW + chunk_offset(row, HEAD_DIM / 8 % 8),
        (uint4)(0));
  }
#endif
#pragma unroll 1
  for (int row = item >> 3; row < QUERY_TILE; row += 16) {
    const int exists = row < count;
    const int at = exists ? row : 0;
    const int entry = walk->queries.begin + at / PACK;
    const long offset =
        exists ? query_row(source->query_entries, &walk->queries, entry) * tensor->stride : 0;
    copy_row(target + chunk_offset(row, chunk), QUERY_TILE * PIECE_ROW,
             tensor->data + offset + at % PACK * tensor->head_stride, HEAD_DIM, chunk, exists,
             tensor->aligned);
  }
}

// By all work-items of the warpgroup.
INLINED void produce_rows(const clattn_arguments *arguments, const walk_source *source,
                          __global const ushort *query, __global const ushort *key,
                          __global const ushort *value, __global ulong *scratch, const ring_t *ring,
                          int item) {
#if HEAD_DIM % 16
  // The last step of a product reads eight columns that nobody copies.
  for (int row = item; row < STAGES * KEY_TILE; row += WARPGROUP) {
    store_chunk(ring->base + RING_OFFSET + row / KEY_TILE * KEY_BYTES +
                    (QK_PIECES - 1) * KEY_TILE * PIECE_ROW +
                    chunk_offset(row % KEY_TILE, HEAD_DIM / 8 % 8),
                (uint4)(0));
  }
#endif
  uint run_index = 0, r = 0, n = 0;  // runs, rows and steps so far
  int taken = (int)get_group_id(0);
  while (taken < all_rows(arguments)) {
    walk_t walk;
    walk_take(arguments, source, taken, QUERY_TILE, &walk);
    const int kv_head = kv_head_of(arguments, &walk);
    const source_t queries = source_of(query, &arguments->query, walk.batch, walk.head * PACK);
    const source_t keys = source_of(key, &arguments->key, walk.batch, kv_head);
    const source_t values = source_of(value, &arguments->value, walk.batch, kv_head);
    clattn_span span, step, last_step;
    span.key_begin = span.key_end = 0;
    run_t run = next_run(arguments, source, &walk, is_plain_scale(arguments), &span);
    const run_t first_run = run;
    const uint first_index = run_index;
    uint pending = 0;
    for (int i = 0;; ++i) {
      last_step = step;
      const int more = run.steps_and_kinds >> 8 > 0;
      if (more) {
        step = take_step(&run);
        const int ends = run.steps_and_kinds >> 8 == 0;
        if (ends) {
          run = next_run(arguments, source, &walk, is_plain_scale(arguments), &span);
          ++run_index;
        }
        barrier_wait(keys_empty(ring, stage_of(n)), parity_of(n) ^ 1);
        if (ends && item == 0) ring->runs[run_index % RUNS] = run;
        copy_entries(ring, stage_of(n), source, &step, item, WARPGROUP);
        copy_keys(ring->base + RING_OFFSET + stage_of(n) * KEY_BYTES, &keys, source, &step,
                  HEAD_DIM, item);
        pending = copies_issued(pending, keys_full(ring, stage_of(n)), item);
      }
      if (i == 0) {
        const uint stage = query_stage_of(r);
        barrier_wait(queries_empty(ring, stage), query_parity_of(r) ^ 1);
        if (item == 0) {
          ring->runs[first_index % RUNS] = first_run;
          publish_row(ring, stage, &walk);
        }
        copy_queries(ring->base + stage * QUERY_BYTES, &queries, source, &walk, item);
        pending = copies_issued(pending, queries_full(ring, stage), item);
      } else {
        const uint stage = stage_of(n - 1);
        barrier_wait(values_empty(ring, stage), parity_of(n - 1) ^ 1);
        copy_keys(ring->base + VALUE_OFFSET + stage * VALUE_BYTES, &values, source, &last_step,
                  VALUE_DIM, item);
        pending = copies_issued(pending, values_full(ring, stage), item);
      }
      if (!more) break;
      ++n;
    }
    if (item == 0) ring->next[r % 2] = take_row(arguments, scratch);
    finish_copies(pending, item);
    ++run_index;
    named_barrier(PRODUCER_BARRIER, WARPGROUP);
    taken = ring->next[r % 2];
    ++r;
  }
  const uint stage = query_stage_of(r);
  barrier_wait(queries_empty(ring, stage), query_parity_of(r) ^ 1);
  if (item == 0) ring->rows[stage].head = NO_ROW;
  if (item % 32 == 0) barrier_arrive(queries_full(ring, stage));
}
