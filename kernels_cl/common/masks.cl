// What the expressions of masks call. Everything is a pure function of its arguments; tables are
// read inside their counts only, so that an expression may ask about any pair of a problem.

// Whether d divides n, without a division (Granlund and Montgomery, PLDI 1994). With d = odd * 2^k,
// `inverse` is odd's inverse modulo 2^32, `rotation` is 32 - k modulo 32 and `limit` the largest
// quotient, (2^32 - 1) / d. Multiplying by the inverse permutes the numbers so that the multiples
// of odd come first, in order; a multiple of 2^k has k trailing zeros, which are rotated to the
// top, where any other number gets too large.
static inline int mask_divides(uint inverse, uint rotation, uint limit, uint n) {
  return rotate(n * inverse, rotation) <= limit;
}

// How many of `count` ascending entries are at most `value`.
static inline int mask_rank(__global const int *entries, int count, int value) {
  int begin = 0;
  while (count > 0) {
    const int half_count = count >> 1;
    const int below = entries[begin + half_count] <= value;
    begin += below ? half_count + 1 : 0;
    count = below ? count - half_count - 1 : half_count;
  }
  return begin;
}

// Enters the document of a query: makes query, key and lengths local to it and says whether the key
// is one of the document's. `begins` holds the first query and the first key of each document and,
// last, the lengths of all. `guesses` holds, for each 2^shift queries, the document of the first of
// them.
static inline int mask_enter_document(__global const int *begins, __global const int *guesses,
                                      int shift, int *query, int *key, int *query_len,
                                      int *key_len) {
  int document = guesses[*query >> shift];
  while (begins[2 * document + 2] <= *query) ++document;
  begins += 2 * document;
  *query -= begins[0];
  *key -= begins[1];
  *query_len = begins[2] - begins[0];
  *key_len = begins[3] - begins[1];
  return *key >= 0 && *key < *key_len;
}

// --- Masks of blocks (host/masks/blocks.cpp, random_blocks.cpp, radial.cpp).

// Bit `column` of a row of bits in words of 32; `stride` words a row.
static inline int mask_block_bit(__global const int *bits, int stride, int row, int column) {
  return bits[row * stride + (column >> 5)] >> (column & 31) & 1;
}

static inline uint mask_mix(uint bits) {
  bits = (bits ^ bits >> 16) * 0x6a09e667u;
  bits = (bits ^ bits >> 15) * 0xbb67ae85u;
  return bits ^ bits >> 16;
}

// 32 random bits for number t of a row, by counter: no state, any order.
static inline uint random_bits(uint seed, uint row, uint t) {
  return mask_mix(mask_mix(seed + (row + 1) * 0x9e3779b9u) + t);
}

// Whether `column` is among the `count` of `columns` that Floyd's sample draws for a row. Step t
// draws r(t) out of 0 .. j(t) with j(t) = columns - count + t, and takes j(t) instead where r(t)
// was taken before. So a column is taken before step `end` iff one of these steps drew it, or it is
// a j(t) of theirs and r(t) was taken before step t: asked again, without a list of what was taken.
static inline int mask_random_block(uint seed, int row, int column, int columns, int count) {
  const int first = columns - count;
  if (first <= 0) return 1;
  int end = count;
  for (;;) {
    int step = -1;  // with j(step) == column
    int drawn_there = 0;
    for (int t = 0; t < end; ++t) {
      const int last = first + t;
      const int drawn = (int)mul_hi(random_bits(seed, row, t), (uint)last + 1);
      if (drawn == column) return 1;
      if (last == column) {
        step = t;
        drawn_there = drawn;
      }
    }
    if (step < 0) return 0;
    end = step;
    column = drawn_there;
  }
}

// Radial attention (host/masks/radial.cpp): the first frame is seen by all. Else, with the distance
// of the frames d and r = floor(log2(max(d, 1))), the positions in the frames may differ by less
// than frame_tokens >> r; where that is 0, equal ones see each other in every
// ceil(2^r / frame_tokens)-th frame.
static inline int mask_radial(int frame_tokens, int query, int key) {
  const int query_frame = query / frame_tokens;
  const int key_frame = key / frame_tokens;
  const int distance = (int)abs(query_frame - key_frame);
  const int apart = (int)abs(query - query_frame * frame_tokens - (key - key_frame * frame_tokens));
  const int octave = 31 - clz(max(distance, 1));
  if (key_frame == 0 || apart < frame_tokens >> octave) return 1;
  return apart == 0 && distance % (((1 << octave) - 1) / frame_tokens + 1) == 0;
}

// --- Neighborhood attention (host/masks/neighborhood.cpp).

// Whether a key's coordinates lie in a box from low to high, as clattn_query_entry packs them.
static inline int box_holds(int low, int high, int guard, int key) {
  return (((key | guard) - low) & (high - key) & guard) == guard;
}

// The same for a query and a key, whose coordinates are tabled: `table` holds the guard bits, the
// numbers of tokens of the grid and of keys, the coordinates of all keys, the first key of each
// query's box, and the last one with the guard bits. Keys behind the grid's are seen by all.
static inline int mask_box(__global const int *table, int query, int key) {
  __global const int *coordinates = table + 3;
  __global const int *low = coordinates + table[2];
  __global const int *high = low + table[1];
  return box_holds(low[query], high[query], table[0], coordinates[key]) | (key >= table[1]);
}

// n / divisor for 0 <= n < 2^31 without a division: `entries` are the divisor, its multiplier
// 2^(31 + shift) / divisor, rounded up, and the shift, with 2^shift the next power of two from the
// divisor on (Granlund and Montgomery, PLDI 1994).
static inline int mask_quotient(__global const int *entries, int n) {
  return (int)(mul_hi((uint)n << 1, (uint)entries[1]) >> entries[2]);
}

// `table` holds the tokens of the grid, then for each of `rank` dimensions the divisors length,
// stride and dilation (mask_quotient), the window, and whether it is causal. Nothing branches on
// tokens, for this is asked of many pairs at once.
static inline int mask_neighborhood(__global const int *table, int rank, int query, int key) {
  int visible = 1;
  const int extra = key >= table[0];
  for (int dimension = rank - 1; dimension >= 0; --dimension) {
    __global const int *length = table + 1 + 11 * dimension;
    __global const int *stride = length + 3;
    __global const int *dilation = length + 6;
    const int window = length[9];
    const int causal = length[10];
    const int ahead = causal ? stride[0] - 1 : stride[0] / 2;
    const int behind = causal ? window - 1 : window / 2;

    const int next_query = mask_quotient(length, query);
    const int next_key = mask_quotient(length, key);
    const int query_token = query - next_query * length[0];
    const int key_token = key - next_key * length[0];
    const int at = mask_quotient(dilation, query_token);
    const int key_at = mask_quotient(dilation, key_token);
    const int group = query_token - at * dilation[0];
    const int size = mask_quotient(dilation, length[0] - group + dilation[0] - 1);
    const int leader = min(mask_quotient(stride, at) * stride[0] + ahead, size - 1);
    const int begin = min(max(leader - behind, 0), size - window);
    const int end = causal ? at + 1 : begin + window;
    visible &= (key_token - key_at * dilation[0] == group) & (key_at >= begin) & (key_at < end);
    query = next_query;
    key = next_key;
  }
  return visible | extra;
}
