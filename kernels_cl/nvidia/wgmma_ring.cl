// The ring of the wgmma kernel: where tiles of queries, keys and values stand in local memory, the
// barriers that say so, and the producer, which walks the schedule and fills the ring. Behind
// ptx.cl and hopper.cl.
//
// Tiles in local memory are pieces of 64 columns, rows of 128 bytes with 16-byte chunks in the
// order chunk ^ (row & 7), as wgmma wants them.

// HEAD_DIM, VALUE_DIM: multiples of 8 from 8 to 256
#ifndef HEAD_DIM
#define HEAD_DIM 128
#endif
#ifndef VALUE_DIM
#define VALUE_DIM 128
#endif

// QUERY_TILE: queries per work-group.
//   64, 128, 192, 256
#ifndef QUERY_TILE
#define QUERY_TILE 128
#endif

// KEY_TILE: keys per step.
//   multiples of 16 from 16 to 128
#ifndef KEY_TILE
#define KEY_TILE 128
#endif

// QUERY_STAGES: tiles of queries. With two the next row's are there when this one ends.
//   1, 2
#ifndef QUERY_STAGES
#define QUERY_STAGES 2
#endif

// BOXES: of gathered tokens (TOKENS 1), whether tiles are boxes of the tensors, which the copy
// engine can take: tables of entries in the order of boxes of KEY_BOX_X x KEY_BOX_Y x KEY_BOX_Z
// tokens, KEY_TILE together, and of QUERY_BOX_..., QUERY_TILE together, which divide a grid of
// GRID_X x GRID_Y x GRID_Z, X the last dimension, without dilation; heads are as far apart in a
// batch as from one batch to the next.
//   0, 1
#ifndef BOXES
#define BOXES 0
#endif

// STAGES: tiles of keys, and of values, in the ring.
//   2, 3, 4
#ifndef STAGES
#define STAGES 2
#endif

// PRODUCER_REGISTERS, CONSUMER_REGISTERS: a work-item's, multiples of 8; those of all warpgroups
// must add up to no more than 512.
#ifndef PRODUCER_REGISTERS
#define PRODUCER_REGISTERS 40
#endif
#ifndef CONSUMER_REGISTERS
#define CONSUMER_REGISTERS 232
#endif

#define WARPGROUP 128
#define CONSUMERS (QUERY_TILE / 64)
#define WORK_GROUP (WARPGROUP * (CONSUMERS + 1))
#define CONSUMER_WARPS (CONSUMERS * WARPGROUP / 32)
#define SCORES (KEY_TILE / 2)    // of a work-item
#define OUTPUTS (VALUE_DIM / 2)  // of a work-item
#define WEIGHTS (KEY_TILE / 4)   // of a work-item, two in a register

#define PIECE_ROW 128  // bytes
#define QK_PIECES ((HEAD_DIM + 63) / 64)
#define V_PIECES ((VALUE_DIM + 63) / 64)
#define QUERY_BYTES (QUERY_TILE * PIECE_ROW * (QK_PIECES > V_PIECES ? QK_PIECES : V_PIECES))
#define KEY_BYTES (KEY_TILE * PIECE_ROW * QK_PIECES)
#define VALUE_BYTES (KEY_TILE * PIECE_ROW * V_PIECES)
#define RING_OFFSET (QUERY_STAGES * QUERY_BYTES)
#define VALUE_OFFSET (RING_OFFSET + STAGES * KEY_BYTES)
#define BARRIER_OFFSET (VALUE_OFFSET + STAGES * VALUE_BYTES)
#define RUN_OFFSET (BARRIER_OFFSET + 8 * (4 * STAGES + 2 * QUERY_STAGES))
#define RUNS 16  // in the ring: STAGES + 5 are needed
#define ROW_OFFSET (RUN_OFFSET + 32 * RUNS)
#define NEXT_OFFSET (ROW_OFFSET + 32 * QUERY_STAGES)
#define ENTRY_OFFSET (NEXT_OFFSET + 16)
#if TOKENS
#define LOCAL_BYTES (ENTRY_OFFSET + 8 * STAGES * KEY_TILE)
#else
#define LOCAL_BYTES ENTRY_OFFSET
#endif

// Arrays of registers may be passed to no function that is really called.
#define INLINED static inline __attribute__((always_inline))

#define STRINGIFY_EXPANDED(x) #x
#define STRINGIFY(x) STRINGIFY_EXPANDED(x)

// What a run of steps is to a warpgroup.
#define RUN_END 0
#define RUN_HIDDEN 1  // shows none of its keys
#define RUN_MASKED 2  // scores are to be multiplied with the scale, or hidden
#define RUN_PLAIN 3

// Consecutive steps of one span that each warpgroup sees alike: run r + 1 is in the ring when the
// keys of the last step of run r are, the first one of a row with the queries. Behind a row's last
// run stands one without steps, and `mask` says whether the row's lists are broken.
typedef struct run_t {
  clattn_span span;
  uint steps_and_kinds;  // steps << 8 | a RUN_ in two bits for each warpgroup of consumers
} __attribute__((aligned(32))) run_t;
#define MOST_STEPS (1 << 20)

// A row that is computed, there with its queries.
#define NO_ROW -1
typedef struct row_t {
  clattn_queries queries;
  int batch;
  int head;  // NO_ROW: there are no more
  int part;
} row_t;

// Where things stand in local memory.
typedef struct ring_t {
  uint base;
  __local run_t *runs;
  __local row_t *rows;
  __local int *next;                  // row; two, by turns
  __local clattn_key_entry *entries;  // of the keys in each stage, where TOKENS
} ring_t;

// Step n of a work-group, counted over all its rows, has this stage; `parity` is that of how often
// the ring has been around before. The same for row r.
INLINED uint stage_of(uint n) { return n % STAGES; }
INLINED uint parity_of(uint n) { return n / STAGES & 1; }
INLINED uint query_stage_of(uint r) { return r % QUERY_STAGES; }
INLINED uint query_parity_of(uint r) { return r / QUERY_STAGES & 1; }

INLINED uint keys_full(const ring_t *ring, uint stage) {
  return ring->base + BARRIER_OFFSET + 32 * stage;
}
INLINED uint keys_empty(const ring_t *ring, uint stage) { return keys_full(ring, stage) + 8; }
INLINED uint values_full(const ring_t *ring, uint stage) { return keys_full(ring, stage) + 16; }
INLINED uint values_empty(const ring_t *ring, uint stage) { return keys_full(ring, stage) + 24; }
INLINED uint queries_full(const ring_t *ring, uint stage) {
  return keys_full(ring, STAGES) + 16 * stage;
}
INLINED uint queries_empty(const ring_t *ring, uint stage) { return queries_full(ring, stage) + 8; }

// By one work-item. Barriers count in local memory, which the tensor cores read, so that few
// work-items arrive at them: one of each of the consumers' warps, and so many of the producer.
INLINED void start_ring(const ring_t *ring, int arrivals, int key_arrivals) {
  for (uint stage = 0; stage < QUERY_STAGES; ++stage) {
    barrier_start(queries_full(ring, stage), arrivals);
    barrier_start(queries_empty(ring, stage), CONSUMER_WARPS);
  }
  for (uint stage = 0; stage < STAGES; ++stage) {
    barrier_start(keys_full(ring, stage), key_arrivals);
    barrier_start(values_full(ring, stage), arrivals);
    barrier_start(keys_empty(ring, stage), CONSUMER_WARPS);
    barrier_start(values_empty(ring, stage), CONSUMER_WARPS);
  }
  fence_asynchronous();
}

// --- Tensor maps.

// A work-group's scratch memory: its three maps and, in the first one's, the number of rows that
// were taken, which is 0 between launches.
#define MAP_WORDS 16
#define ROWS_TAKEN (3 * MAP_WORDS)
#define UNBOUNDED (1 << 20)  // how long an axis is where nobody goes beyond
#define SCRATCH_WORDS (4 * MAP_WORDS)

INLINED int has_map(__global const ushort *tensor, const clattn_view *view) {
  return ((ulong)(tensor + view->offset) & 15) == 0 &&
         ((view->token | view->head | view->batch) & 7) == 0 && view->token > 0 && view->head > 0 &&
         view->batch > 0;
}

// Whether the copy engine takes the tiles: bases and strides are multiples of 16 bytes, nothing is
// broadcast, tokens are not gathered, and what lies behind the keys of a step has finite values,
// which is not promised of keys that lists leave out.
INLINED int has_maps(const clattn_arguments *arguments, const walk_source *source,
                     __global const ushort *query, __global const ushort *key,
                     __global const ushort *value) {
#if TOKENS == 1 && !BOXES
  return 0;
#else
#if LISTED
  if (source->key_lengths) return 0;
#endif
  return has_map(query, &arguments->query) && has_map(key, &arguments->key) &&
         has_map(value, &arguments->value);
#endif
}

// The axes of the maps.
#if BOXES
#define BOX_AXES(view, x, y, z)                                      \
  {                                                                  \
    {GRID_X, x, (view)->token}, {GRID_Y, y, GRID_X * (view)->token}, \
        {GRID_Z, z, (long)GRID_X * GRID_Y * (view)->token}, {        \
      UNBOUNDED, 1, (view)->head                                     \
    }                                                                \
  }
#define KEY_AXES(view) BOX_AXES(view, KEY_BOX_X, KEY_BOX_Y, KEY_BOX_Z)
#define QUERY_AXES(view) BOX_AXES(view, QUERY_BOX_X, QUERY_BOX_Y, QUERY_BOX_Z)
#else
#define KEY_AXES(view)                                                                     \
  {                                                                                        \
    {arguments->key_len, KEY_TILE, (view)->token}, {arguments->kv_heads, 1, (view)->head}, \
        {UNBOUNDED, 1, (view)->batch}, {                                                   \
      1, 1, (view)->batch                                                                  \
    }                                                                                      \
  }
// Heads before tokens: a tile has the rows (query, head) in this order.
#define QUERY_AXES(view)                                                                           \
  {                                                                                                \
    {arguments->heads, PACK, (view)->head},                                                        \
        {arguments->query_len, QUERY_TILE / PACK, (view)->token}, {UNBOUNDED, 1, (view)->batch}, { \
      1, 1, (view)->batch                                                                          \
    }                                                                                              \
  }
#endif

// Makes the maps of a work-group, of the keys, of the values and of the queries, by a warp each:
// before anything is copied into the ring, where they come to be.
INLINED void make_maps(const clattn_arguments *arguments, __global const ushort *query,
                       __global const ushort *key, __global const ushort *value,
                       __global ulong *maps, const ring_t *ring, int item) {
  const uint warp = warp_uniform(item / 32);  // the first one has the ring to start
  if (warp < 1 || warp > 3) return;
  const int lane = item % 32;
  const uint map = ring->base + 8 * MAP_WORDS * (warp - 1);
  if (lane < MAP_WORDS / 2) store_chunk(map + 16 * lane, (uint4)(0));
  warp_barrier();
  if (lane == 0) {
    if (warp == 1) {
      const map_axis axes[] = KEY_AXES(&arguments->key);
      write_tensor_map(map, key + arguments->key.offset, HEAD_DIM, axes);
    } else if (warp == 2) {
      const map_axis axes[] = KEY_AXES(&arguments->value);
      write_tensor_map(map, value + arguments->value.offset, VALUE_DIM, axes);
    } else {
      const map_axis axes[] = QUERY_AXES(&arguments->query);
      write_tensor_map(map, query + arguments->query.offset, HEAD_DIM, axes);
    }
  }
  warp_barrier();
  release_tensor_map(maps + MAP_WORDS * (warp - 1), map);
  fence_asynchronous();
}

// --- Runs.

// The next run of the walk: what is left of its span, or as much as all warpgroups see alike. The
// scale is plain if it is positive.
INLINED run_t next_run(const clattn_arguments *arguments, const walk_source *source, walk_t *walk,
                       int plain_scale, clattn_span *span) {
  run_t run;
  while (span->key_begin >= span->key_end) {
    if (!walk_next(arguments, source, walk, span)) {
      run.span.key_begin = run.span.key_end = 0;
      run.span.mask = walk->broken;
      run.steps_and_kinds = 0;
      return run;
    }
  }
  run.span = *span;
  const int count = span->key_end - span->key_begin;
  int steps = (count + KEY_TILE - 1) / KEY_TILE;
  if (span->mask == CLATTN_MASK_NONE && steps > 1) steps = count / KEY_TILE;
  if (span->mask == CLATTN_MASK_BAND) steps = 1;
  steps = min(steps, MOST_STEPS);
  run.span.key_end = min(span->key_begin + steps * KEY_TILE, span->key_end);
  span->key_begin = run.span.key_end;
  const int masked = run.span.key_end - run.span.key_begin < steps * KEY_TILE || !plain_scale ||
                     run.span.mask == CLATTN_MASK_EXPRESSION || run.span.mask == CLATTN_MASK_BOX;
  run.steps_and_kinds = (uint)steps << 8;
#pragma unroll
  for (int consumer = 0; consumer < CONSUMERS; ++consumer) {
    // Bands are of tokens in place.
    const int first = walk->queries.begin + 64 * consumer / PACK;
    const int last = min(walk->queries.begin + (64 * consumer + 63) / PACK, walk->queries.end - 1);
    int kind = masked ? RUN_MASKED : RUN_PLAIN;
    if (run.span.mask == CLATTN_MASK_BAND) {
      if (run.span.key_begin < last + run.span.first ||
          run.span.key_end - 1 > first + run.span.last) {
        kind = RUN_MASKED;
      }
      if (run.span.key_begin > last + run.span.last || run.span.key_end <= first + run.span.first) {
        kind = RUN_HIDDEN;
      }
    }
    if (first > last) kind = RUN_HIDDEN;
    run.steps_and_kinds |= (uint)kind << (2 * consumer);
  }
  return run;
}
