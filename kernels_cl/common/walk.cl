// Which rows a work-group computes and which keys each walks. A computed schedule brings rows and
// spans that the host made. A listed schedule brings block lists (host/include/clattn/blocks.hpp):
// each row of blocks is cut into tiles of queries and, if asked for, into parts of its lists. Every
// work-item of a work-group gets the same answers, so that barriers may stand inside the walk.
//
// Launch: group id 1 counts the schedule's repeats. A family whose work-groups take one row each
// has as many in dimension 0; one that goes through walk_rows has as many as it likes.

// LISTED: where the schedule comes from.
//   0 = computed, 1 = listed
#ifndef LISTED
#define LISTED 0
#endif

// TOKENS: how the schedule counts tokens, which masks and modifiers are asked about, and where they
// lie in the tensors. A listed schedule takes 0.
//   0 = as they lie; 1 = through tables, gathered from where they lie; 2 = through tables, the
//   tensors lie in the order of the tiles
#ifndef TOKENS
#define TOKENS 0
#endif

// PACK: query heads that a row of the schedule holds for each of its queries, all of one key head:
// row i of a tile is query i / PACK. A walk's head counts such groups. Needs a mask that does not
// tell heads apart; a listed schedule, and TOKENS, take 1.
#ifndef PACK
#define PACK 1
#endif

#if LISTED
#define WALK_PARAMETERS                                                   \
  , __global const int *partial_count, __global const int *partial_index, \
      __global const int *full_count, __global const int *full_index,     \
      __global const int *key_lengths, __global const int *row_order
#define WALK_SOURCE \
  { partial_count, partial_index, full_count, full_index, key_lengths, row_order }
typedef struct walk_source {
  __global const int *partial_count;
  __global const int *partial_index;
  __global const int *full_count;  // null: there are no full blocks
  __global const int *full_index;
  __global const int *key_lengths;  // null: all keys of a block exist
  __global const int *row_order;    // null: rows of blocks come in their own order
} walk_source;
#else
// Work-group w takes rows [bins[w], bins[w + 1]).
#define WALK_PARAMETERS                                                                           \
  , __global const clattn_row *rows, __global const clattn_span *spans, __global const int *bins, \
      __global const clattn_query_entry *query_entries,                                           \
      __global const clattn_key_entry *key_entries
#define WALK_SOURCE \
  { rows, spans, bins, query_entries, key_entries }
typedef struct walk_source {
  __global const clattn_row *rows;
  __global const clattn_span *spans;
  __global const int *bins;
  __global const clattn_query_entry *query_entries;  // null unless TOKENS
  __global const clattn_key_entry *key_entries;      // null unless TOKENS
} walk_source;
#endif

typedef struct walk_t {
  int batch;
  int head;  // of PACK heads
  clattn_queries queries;
  int part;    // where the result is kept until it is merged; -1: the row is whole
  int broken;  // the row's lists are not what they should be: its result is NaN
  int next;    // span, or entry of the partial list and then of the full one
  int end;
#if LISTED
  int partial_end;  // where the full list begins
  __global const int *partial;
  __global const int *full;
  __global const int *key_lengths;
#endif
} walk_t;

#if TOKENS
// The token of an entry, and the row in the tensors where it lies.
static inline int query_token(__global const clattn_query_entry *entries,
                              const clattn_queries *queries, int entry) {
  return queries->token + entries[entry].token;
}
static inline int query_row(__global const clattn_query_entry *entries,
                            const clattn_queries *queries, int entry) {
  return TOKENS == 2 ? queries->row + entry : query_token(entries, queries, entry);
}
static inline int key_token(__global const clattn_key_entry *entries, const clattn_span *span,
                            int entry) {
  return span->token + entries[entry].token;
}
static inline int key_row(__global const clattn_key_entry *entries, const clattn_span *span,
                          int entry) {
  return TOKENS == 2 ? entry : key_token(entries, span, entry);
}
#else
#define query_token(entries, queries, entry) (entry)
#define query_row(entries, queries, entry) (entry)
#define key_token(entries, span, entry) (entry)
#define key_row(entries, span, entry) (entry)
#endif

// The query head of row i of a tile.
static inline int packed_head(int head, int i) { return head * PACK + i % PACK; }

// The slice of a schedule that tells fewer apart than there are stands for `repeat` others.
static inline void walk_slice(const clattn_arguments *arguments, int slice, int repeat,
                              walk_t *walk) {
  const int repeat_heads = arguments->heads / PACK / arguments->schedule_heads;
  walk->batch = slice / arguments->schedule_heads + repeat / repeat_heads;
  walk->head = slice % arguments->schedule_heads + repeat % repeat_heads;
}

// The rows of a work-group that takes several: in a listed schedule they are dealt out, the heavy
// ones first.
static inline void walk_rows(const clattn_arguments *arguments, const walk_source *source, int *row,
                             int *end, int *step) {
#if LISTED
  *row = (int)get_group_id(0);
  *end = arguments->rows;
  *step = (int)get_num_groups(0);
#else
  *row = source->bins[get_group_id(0)];
  *end = source->bins[get_group_id(0) + 1];
  *step = 1;
#endif
}

#if LISTED
static inline void walk_start(const clattn_arguments *arguments, const walk_source *source,
                              int group, int repeat, int query_tile, walk_t *walk) {
  const int parts = arguments->list_parts;
  const int tiles = (arguments->query_block + query_tile - 1) / query_tile;
  const int tile = group / parts % tiles;
  int row = group / parts / tiles;
  if (source->row_order) {
    const int rows =
        arguments->schedule_batch * arguments->schedule_heads * arguments->query_blocks;
    row = clamp(source->row_order[row], 0, rows - 1);
  }
  const int block_row = row % arguments->query_blocks;
  const int slice = row / arguments->query_blocks;
  walk_slice(arguments, slice, repeat, walk);
  walk->queries.begin = block_row * arguments->query_block + tile * query_tile;
  walk->queries.end =
      min(min(walk->queries.begin + query_tile, (block_row + 1) * arguments->query_block),
          arguments->query_len);
  walk->part = -1;
  if (parts > 1) {
    walk->part = (row * tiles + tile) * parts + group % parts + repeat * arguments->parts;
  }
  const int partial_count = source->partial_count[row];
  const int full_count = source->full_count ? source->full_count[row] : 0;
  walk->broken = partial_count < 0 || partial_count > arguments->list_capacity || full_count < 0 ||
                 full_count > arguments->list_capacity;
  // Past the end of a ragged block there are no queries, hence nothing to walk. (The kernel must
  // not return instead: PoCL's loops over work-items go wrong behind a return before barriers.)
  const int idle = walk->queries.begin >= walk->queries.end;
  const int entries = idle || walk->broken ? 0 : partial_count + full_count;
  walk->next = (int)((long)entries * (group % parts) / parts);
  walk->end = (int)((long)entries * (group % parts + 1) / parts);
  walk->partial_end = partial_count;
  walk->partial = source->partial_index + (long)row * arguments->list_capacity;
  walk->full = source->full_index + (long)row * arguments->list_capacity;
  walk->key_lengths = source->key_lengths;
  if (walk->key_lengths) walk->key_lengths += (long)slice * arguments->key_blocks;
}

// The end of the keys of a block that exist. A length that is none of the block is cut to it.
static inline int walk_block_end(const clattn_arguments *arguments, const walk_t *walk, int block) {
  const int begin = block * arguments->key_block;
  const int end = min(begin + arguments->key_block, arguments->key_len);
  if (!walk->key_lengths) return end;
  return min(end, begin + clamp(walk->key_lengths[block], 0, arguments->key_block));
}

// The next keys to walk; neighbouring blocks of one kind are joined. 0 at the end. A span may be
// empty: to skip it here would take a loop, which compilers merge with the kernel's loop over
// spans, and PoCL then loses track of the barriers in that.
static inline int walk_next(const clattn_arguments *arguments, const walk_source *source,
                            walk_t *walk, clattn_span *span) {
  if (walk->next >= walk->end) return 0;
  const int masked = walk->next < walk->partial_end;
  __global const int *list = masked ? walk->partial : walk->full - walk->partial_end;
  const int list_end = masked ? min(walk->end, walk->partial_end) : walk->end;
  int block = list[walk->next++];
  span->mask = masked ? CLATTN_MASK_EXPRESSION : CLATTN_MASK_NONE;
  span->key_begin = span->key_end = 0;
  if (block < 0 || block >= arguments->key_blocks) {
    walk->broken = 1;
    return 1;
  }
  span->key_begin = block * arguments->key_block;
  span->key_end = walk_block_end(arguments, walk, block);
  while (walk->next < list_end && list[walk->next] == block + 1 &&
         block + 1 < arguments->key_blocks && span->key_end == (block + 1) * arguments->key_block) {
    ++block;
    ++walk->next;
    span->key_end = walk_block_end(arguments, walk, block);
  }
  return 1;
}
#else
static inline void walk_start(const clattn_arguments *arguments, const walk_source *source,
                              int group, int repeat, int query_tile, walk_t *walk) {
  const clattn_row row = source->rows[group];
  walk_slice(arguments, row.slice, repeat, walk);
  walk->queries = row.queries;
  walk->part = row.part < 0 ? -1 : row.part + repeat * arguments->parts;
  walk->broken = 0;
  walk->next = row.span_begin;
  walk->end = row.span_end;
}

// The next keys to walk; 0 at the end.
static inline int walk_next(const clattn_arguments *arguments, const walk_source *source,
                            walk_t *walk, clattn_span *span) {
  if (walk->next >= walk->end) return 0;
  *span = source->spans[walk->next++];
  return 1;
}
#endif

// Starts the walk of the row that a work-group takes as number `index`, where work-groups take one
// after another.
static inline void walk_take(const clattn_arguments *arguments, const walk_source *source,
                             int index, int query_tile, walk_t *walk) {
  const int others = arguments->rows - arguments->late_rows;
  const int late = index - others * arguments->repeats;
  const int row = late < 0 ? index % others : others + late % arguments->late_rows;
  const int repeat = late < 0 ? index / others : late / arguments->late_rows;
  walk_start(arguments, source, row, repeat, query_tile, walk);
}
