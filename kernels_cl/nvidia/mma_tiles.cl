// Tiles of the mma kernel (mma.cl): their shape, how keys and values come into local memory, and
// which of their pairs a work-item sees. Local tiles are row-major, in chunks of 16 bytes, so that
// the eight rows of a matrix that is loaded lie in different banks: where a row is a multiple of
// 128 bytes, each 8 chunks of row r are in the order chunk ^ (r & 7); other rows are padded to an
// odd number of chunks. A work-item's pairs are those whose products ptx.cl gives it: work-item i
// of a warp has rows i / 4 + 8 * r of the warp's queries, and of each 8 keys 2 * (i % 4) and the
// next one.

// HEAD_DIM, VALUE_DIM: length of a query or key, and of a value or output.
//   multiples of 8 from 8 to 256
#ifndef HEAD_DIM
#define HEAD_DIM 128
#endif
#ifndef VALUE_DIM
#define VALUE_DIM 128
#endif

// WARPS: of a work-group.
//   powers of two from 1 to 32
#ifndef WARPS
#define WARPS 4
#endif

// QUERY_TILE: queries per work-group. A work-item holds QUERY_TILE / (16 * WARPS) * (KEY_TILE +
// VALUE_DIM) / 2 floats of scores and outputs, and should not hold more than 176: there are 255
// registers.
//   16 * WARPS or 32 * WARPS
#ifndef QUERY_TILE
#define QUERY_TILE 128
#endif

// KEY_TILE: keys per step; the unit in which spans count.
//   multiples of 16 from 16 to 64
#ifndef KEY_TILE
#define KEY_TILE 64
#endif

#define WORK_GROUP (32 * WARPS)
#define WARP_QUERIES (QUERY_TILE / WARPS)
#define QUERY_FRAGMENTS (WARP_QUERIES / 16)  // per warp, of 16 queries
#define KEY_FRAGMENTS (KEY_TILE / 8)         // of 8 keys
#define VALUE_FRAGMENTS (VALUE_DIM / 8)      // of 8 columns
#define ROWS (WARP_QUERIES / 8)              // of scores and outputs per work-item
#define COLUMNS (KEY_TILE / 4)               // of scores per work-item

// Row lengths of the local tiles, in chunks, and the bytes of a chunk.
#define CHUNK 16
#define IS_SWIZZLED(chunks) ((chunks) % 8 == 0)
#define STRIDE_OF(chunks) (IS_SWIZZLED(chunks) ? (chunks) : (chunks) | 1)
#define KEY_STRIDE STRIDE_OF(HEAD_DIM / 8)
#define VALUE_STRIDE STRIDE_OF(VALUE_DIM / 8)

// Sizes of the local tiles, in bytes.
#define QUERY_BYTES (CHUNK * QUERY_TILE * KEY_STRIDE)
#define KEY_BYTES (CHUNK * KEY_TILE * KEY_STRIDE)
#define VALUE_BYTES (CHUNK * KEY_TILE * VALUE_STRIDE)

// Work-items that copy a row together: the next power of two.
#define LANES_OF(chunks) \
  ((chunks) <= 1    ? 1  \
   : (chunks) <= 2  ? 2  \
   : (chunks) <= 4  ? 4  \
   : (chunks) <= 8  ? 8  \
   : (chunks) <= 16 ? 16 \
                    : 32)

// Where chunk `chunk` of a row of `chunks` lies, if chunk 0 of it lies at this address.
static inline uint chunk_at(uint row, int chunk, int chunks) {
  return IS_SWIZZLED(chunks) ? (row ^ CHUNK * (chunk & 7)) + CHUNK * (chunk & ~7)
                             : row + CHUNK * chunk;
}

// Where row `row` of a tile at this address begins: its chunk 0.
static inline uint row_at(uint tile, int row, int chunks) {
  return chunk_at(tile + CHUNK * STRIDE_OF(chunks) * row, IS_SWIZZLED(chunks) ? row & 7 : 0,
                  chunks);
}

// What evaluate_mask says of a fragment where nothing is hidden.
#define ALL_PAIRS (0xffffffffu >> (32 - 2 * COLUMNS))

// A tensor as this work-item copies it: it takes one column of chunks.
typedef struct source_t {
  __global const uchar *data;  // chunk of the column in row 0
  int stride;                  // between rows, in bytes
  int aligned;                 // every row begins at a multiple of 16 bytes
} source_t;

// The rows of a tensor that make a tile.
typedef struct rows_t {
  int begin;
  int count;  // that exist
#if TOKENS == 1
  // Row r is `begin` plus the token which stands first in entry r, of so many numbers an entry.
  __global const int *entries;
  int entry_size;
#endif
} rows_t;

// Keys of a span from `begin` on: a step of the walk.
typedef struct tile_t {
  clattn_span span;
  int begin;
} tile_t;

// The work-group's queries, and those of this work-item.
typedef struct queries_t {
  const hooks_t *hooks;
  const walk_source *source;
  const walk_t *walk;
  int count;       // of the work-group's that exist
  int warp_begin;  // this warp's first
  int first;       // of this work-item's; row r is the one 8 * r behind it
} queries_t;

// Which of the chunks of a row this work-item copies, and which row first. Where the chunks are no
// power of two, some work-items have no column.
static inline int column_of(int chunks) { return (int)get_local_id(0) % LANES_OF(chunks); }
static inline int first_row_of(int chunks) { return (int)get_local_id(0) / LANES_OF(chunks); }

static inline source_t source_of(__global const ushort *tensor, long stride, int chunks) {
  source_t source;
  source.data = (__global const uchar *)tensor + CHUNK * column_of(chunks);
  source.stride = computed_here((int)(stride * sizeof(ushort)));
  source.aligned = (((ulong)tensor | (ulong)source.stride) & (CHUNK - 1)) == 0;
  return source;
}

static inline __global const uchar *row_of(const source_t *source, const rows_t *rows, int row) {
#if TOKENS == 1
  row = rows->entries[row * rows->entry_size];
#endif
  return source->data + (long)(rows->begin + row) * source->stride;
}

// Copies a tile of `tile_rows` rows of `chunks` chunks that all exist and begin at multiples of 16
// bytes, all work-items together; the copies run on while others work. Both numbers are constants
// where this is inlined.
static inline void copy_whole_tile(uint tile, int tile_rows, int chunks, const source_t *source,
                                   const rows_t *rows) {
  const int step = WORK_GROUP / LANES_OF(chunks);
  const int first = first_row_of(chunks);
  const int column = column_of(chunks);
  if (column >= chunks || first >= tile_rows) return;
  const uint target = chunk_at(row_at(tile, first, chunks), column, chunks);
#if TOKENS != 1
  // The distances of rows computed ahead of the loop over tiles would fill the registers.
  const long stride = computed_here(source->stride);
  __global const uchar *data = row_of(source, rows, first);
#endif
#pragma unroll
  for (int row = 0; row < tile_rows; row += step) {
    if (tile_rows % step != 0 && first + row >= tile_rows) break;
#if TOKENS == 1
    __global const uchar *chunk = row_of(source, rows, first + row);
#else
    __global const uchar *chunk = data + row * stride;
#endif
    // `first` is less than `step`, a power of two: row numbers are joined by ^ as well as by +.
    copy_chunk(row_at(target, row, chunks), chunk);
  }
}

// The same for any tile: rows that do not exist become zeros, for probabilities of 0 are multiplied
// with them, and rows that begin elsewhere are copied at once.
static inline void load_tile(uint tile, int tile_rows, int chunks, const source_t *source,
                             const rows_t *rows) {
  if (source->aligned && rows->count >= tile_rows) {
    copy_whole_tile(tile, tile_rows, chunks, source, rows);
    return;
  }
  const int column = column_of(chunks);
  if (column >= chunks) return;
#pragma unroll 1
  for (int row = first_row_of(chunks); row < tile_rows; row += WORK_GROUP / LANES_OF(chunks)) {
    const uint target = chunk_at(row_at(tile, row, chunks), column, chunks);
    if (row >= rows->count) {
      store_chunk(target, (uint4)(0));
    } else if (source->aligned) {
      copy_chunk(target, row_of(source, rows, row));
    } else {
      store_chunk(target, as_uint4(vload8(0, (__global const ushort *)row_of(source, rows, row))));
    }
  }
}

// The rows of keys, or of values, that a tile stands for.
static inline rows_t key_rows(const walk_source *walk_from, const tile_t *tile) {
  rows_t rows;
  rows.count = tile->span.key_end - tile->begin;
#if TOKENS == 1
  rows.begin = tile->span.token;
  rows.entries = (__global const int *)(walk_from->key_entries + tile->begin);
  rows.entry_size = sizeof(clattn_key_entry) / sizeof(int);
#else
  rows.begin = tile->begin;
#endif
  return rows;
}

static inline rows_t query_rows(const queries_t *queries) {
  const clattn_queries *tokens = &queries->walk->queries;
  rows_t rows;
  rows.count = queries->count;
#if TOKENS == 1
  rows.begin = tokens->token;
  rows.entries = (__global const int *)(queries->source->query_entries + tokens->begin);
  rows.entry_size = sizeof(clattn_query_entry) / sizeof(int);
#else
  rows.begin = query_row(queries->source->query_entries, tokens, tokens->begin);
#endif
  return rows;
}

// Advances to the next tile that has keys; 0 at the end.
static inline int next_tile(const clattn_arguments *arguments, const walk_source *walk_from,
                            walk_t *walk, tile_t *tile) {
  tile->begin += KEY_TILE;
  while (tile->begin >= tile->span.key_end) {
    if (!walk_next(arguments, walk_from, walk, &tile->span)) return 0;
    tile->begin = tile->span.key_begin;
  }
  return 1;
}

// Hooks may read tables: they are asked about no pair that doesn't exist.
static inline int query_entry_of(const queries_t *queries, int r) {
  return queries->walk->queries.begin + min(queries->first + 8 * r, queries->count - 1);
}
static inline int query_token_of(const queries_t *queries, int r) {
  return query_token(queries->source->query_entries, &queries->walk->queries,
                     query_entry_of(queries, r));
}
static inline int key_entry_of(const tile_t *tile, int column) {
  const int offset = 8 * (column >> 1) + 2 * (int)(get_local_id(0) & 3) + (column & 1);
  return min(tile->begin + offset, tile->span.key_end - 1);
}

// A bit for each column of this work-item, set for the first `keys` keys of a tile.
static inline uint columns_below(int keys) {
  const int left = clamp(keys, 0, KEY_TILE) - 2 * (int)(get_local_id(0) & 3);
  return (1u << max(2 * (left >> 3) + min(left & 7, 2), 0)) - 1;
}

// Which pairs of the work-item are visible: bit `column` of row 0 of a fragment, then of row 1.
static inline void evaluate_mask(const queries_t *queries, const tile_t *tile,
                                 uint visible[QUERY_FRAGMENTS]) {
  const clattn_span *span = &tile->span;
  uint columns[ROWS];
#pragma unroll
  for (int r = 0; r < ROWS; ++r) {
    columns[r] = columns_below(span->key_end - tile->begin);
  }
#if TOKENS
  if (span->mask == CLATTN_MASK_BOX) {
    int low[ROWS], high[ROWS];
#pragma unroll
    for (int r = 0; r < ROWS; ++r) {
      const int entry = query_entry_of(queries, r);
      low[r] = queries->source->query_entries[entry].low;
      high[r] = queries->source->query_entries[entry].high;
    }
#pragma unroll 4
    for (int column = 0; column < COLUMNS; ++column) {
      const int key = queries->source->key_entries[key_entry_of(tile, column)].coordinates;
#pragma unroll
      for (int r = 0; r < ROWS; ++r) {
        columns[r] &= ~((uint)!box_holds(low[r], high[r], span->first, key) << column);
      }
    }
  }
#else
  if (span->mask == CLATTN_MASK_BAND) {
#pragma unroll
    for (int r = 0; r < ROWS; ++r) {
      const int diagonal = query_entry_of(queries, r) - tile->begin;
      columns[r] &= ~columns_below(diagonal + span->first);
      columns[r] &= columns_below(min(diagonal + span->last, KEY_TILE) + 1);
    }
  }
#endif
  if (span->mask == CLATTN_MASK_EXPRESSION) {
    int tokens[ROWS];
#pragma unroll
    for (int r = 0; r < ROWS; ++r) {
      tokens[r] = query_token_of(queries, r);
    }
#pragma unroll 1
    for (int column = 0; column < COLUMNS; ++column) {
      const int key = key_token(queries->source->key_entries, span, key_entry_of(tile, column));
#pragma unroll
      for (int r = 0; r < ROWS; ++r) {
        const int allowed =
            mask_allows(queries->hooks, queries->walk->batch, queries->walk->head, tokens[r], key);
        columns[r] &= ~((uint)!allowed << column);
      }
    }
  }
#pragma unroll
  for (int m = 0; m < QUERY_FRAGMENTS; ++m) {
    visible[m] = columns[2 * m] | columns[2 * m + 1] << COLUMNS;
  }
}

// What a warp sees of a tile.
#define SEES_NOTHING 0
#define SEES_SOME 1
#define SEES_ALL 2

// The same for all work-items of the warp. Bits are evaluated only where the ends of the tile and
// of the warp's queries do not say it.
static inline int visibility(const queries_t *queries, const tile_t *tile,
                             uint visible[QUERY_FRAGMENTS]) {
  const clattn_span *span = &tile->span;
#pragma unroll
  for (int m = 0; m < QUERY_FRAGMENTS; ++m) {
    visible[m] = ALL_PAIRS;
  }
  if (queries->warp_begin >= queries->count) return SEES_NOTHING;
  const int complete = span->key_end - tile->begin >= KEY_TILE;
  if (span->mask == CLATTN_MASK_NONE && complete) return SEES_ALL;
#if !TOKENS
  if (span->mask == CLATTN_MASK_BAND) {
    const int first_query = queries->walk->queries.begin + queries->warp_begin;
    const int last_query = min(first_query + WARP_QUERIES, queries->walk->queries.end) - 1;
    const int last_key = min(tile->begin + KEY_TILE, span->key_end) - 1;
    const int low = tile->begin - last_query;  // the least distance of a key and a query
    const int high = last_key - first_query;
    if (high < span->first || low > span->last) return SEES_NOTHING;
    if (complete && low >= span->first && high <= span->last) return SEES_ALL;
  }
#endif
  evaluate_mask(queries, tile, visible);
  int some = 0;
  int all = 1;
#pragma unroll
  for (int m = 0; m < QUERY_FRAGMENTS; ++m) {
    some |= visible[m] != 0;
    all &= visible[m] == ALL_PAIRS;
  }
  return warp_any(!all) ? (warp_any(some) ? SEES_SOME : SEES_NOTHING) : SEES_ALL;
}

// How many tiles from this one on the work-group may take without a look at them: all of their
// pairs are visible, and the tile behind them is complete and of the same span.
static inline int plain_tiles(const queries_t *queries, const tile_t *tile) {
  const clattn_span *span = &tile->span;
  const int complete = (span->key_end - tile->begin) / KEY_TILE;
  if (span->mask == CLATTN_MASK_NONE) return complete - 1;
#if !TOKENS
  const clattn_queries *tokens = &queries->walk->queries;
  if (span->mask == CLATTN_MASK_BAND && tile->begin - (tokens->end - 1) >= span->first) {
    return min(complete - 1, (span->last - (tile->begin - tokens->begin) + 1) / KEY_TILE);
  }
#endif
  return 0;
}
