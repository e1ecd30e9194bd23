// Moves the tokens of a tensor to other places, which a table tells: from row-major order into an
// order of tiles, or back. Tokens behind the table stay in place. Elements are moved as bits.
// Sources are read in order and targets written out of order, and not the other way round: a device
// waits for what it reads, but not for what it writes.
//
// Launch: local size {UNIT_LANES, TOKEN_LANES, 1}; work-groups {1, length / (TOKEN_LANES * rounds),
// any}, rounded up. A work-group moves `rounds` times TOKEN_LANES neighbouring tokens of the slices
// (one head of one batch) that are its own modulo the work-groups of the last dimension;
// neighbouring work-items move neighbouring units of a row, the elements of one token.

// ELEMENT: bytes of an element.
//   2, 4
#ifndef ELEMENT
#define ELEMENT 4
#endif

// ROW: elements of a token.
#ifndef ROW
#define ROW 64
#endif

// UNIT: bytes that a work-item moves at once where addresses are multiples of it; divides a row.
//   2, 4, 8, 16, 32, 64
#ifndef UNIT
#define UNIT 16
#endif

// UNIT_LANES, TOKEN_LANES: work-items of a work-group along a row, and along tokens.
#ifndef UNIT_LANES
#define UNIT_LANES 1
#endif
#ifndef TOKEN_LANES
#define TOKEN_LANES 1
#endif

// STREAM: 1 = the target is larger than the caches of a CPU, which then need not fetch what is
// overwritten, if the compiler has such stores; 0 = it is not, or there are no such caches.
#ifndef STREAM
#define STREAM 0
#endif

#if ELEMENT == 2
typedef ushort element_t;
#else
typedef uint element_t;
#endif

#if UNIT == 2
typedef ushort unit_t;
#elif UNIT == 4
typedef uint unit_t;
#elif UNIT == 8
typedef uint2 unit_t;
#elif UNIT == 16
typedef uint4 unit_t;
#elif UNIT == 32
typedef uint8 unit_t;
#else
typedef uint16 unit_t;
#endif

#define STORE_UNIT(value, to) (*(to) = (value))
#if STREAM && defined(__has_builtin)
#if __has_builtin(__builtin_nontemporal_store)
#undef STORE_UNIT
#define STORE_UNIT(value, to) __builtin_nontemporal_store(value, to)
#endif
#endif

static inline void move_row(__global const element_t *from, __global element_t *to) {
  const int lane = (int)get_local_id(0);
  if ((((size_t)from | (size_t)to) & (UNIT - 1)) == 0) {
    for (int i = lane; i < ROW * ELEMENT / UNIT; i += UNIT_LANES) {
      const unit_t unit = ((__global const unit_t *)from)[i];
      STORE_UNIT(unit, (__global unit_t *)to + i);
    }
  } else {
    for (int i = lane; i < ROW; i += UNIT_LANES) to[i] = from[i];
  }
}

// `places` holds where each of the first `count` tokens of `length` goes.
__kernel void permute(const clattn_view source_view, const clattn_view target_view,
                      __global const element_t *restrict source,
                      __global element_t *restrict target, __global const int *restrict places,
                      int count, int length, int heads, uint slices, int rounds) {
  const int first = (int)get_group_id(1) * TOKEN_LANES * rounds + (int)get_local_id(1);
  for (uint slice = (uint)get_group_id(2); slice < slices; slice += (uint)get_num_groups(2)) {
    const long batch = slice / (uint)heads, head = slice % (uint)heads;
    __global const element_t *const from =
        source + source_view.offset + batch * source_view.batch + head * source_view.head;
    __global element_t *const to =
        target + target_view.offset + batch * target_view.batch + head * target_view.head;
    for (int round = 0; round < rounds; ++round) {
      const int token = first + round * TOKEN_LANES;
      if (token >= length) break;
      const int place = token < count ? places[token] : token;
      move_row(from + token * source_view.token, to + place * target_view.token);
    }
  }
}
