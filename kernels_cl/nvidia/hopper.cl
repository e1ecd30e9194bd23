// What Hopper (compute capability 9.0) adds, as functions over PTX: transaction barriers in local
// memory, descriptors of matrices for wgmma, register budgets. Addresses in local memory are 32-bit
// and of the shared window. Instructions that the front-end does not take stand behind "//WG "
// (host/planning/nvidia_wgmma_family.cpp).

static inline void barrier_start(uint barrier, int arrivals) {
  asm volatile("mbarrier.init.shared.b64 [%0], %1;" : : "r"(barrier), "r"(arrivals) : "memory");
}

// Until the phase of this parity is complete, for a whole warp: that no work-item is still waiting
// when another one arrives, which could let the phase pass by.
static inline void barrier_wait(uint barrier, uint parity) {
  asm volatile(
      "{ .reg .pred done;\n"
      "WAIT: mbarrier.try_wait.parity.shared.b64 done, [%0], %1;\n"
      "@done bra DONE;\n"
      "bra WAIT;\n"
      "DONE: bar.warp.sync 0xffffffff; }"
      :
      : "r"(barrier), "r"(parity)
      : "memory");
}

static inline void barrier_arrive(uint barrier) {
  asm volatile("mbarrier.arrive.shared.b64 _, [%0];" : : "r"(barrier) : "memory");
}

// Ordinary writes to local memory before it are seen by wgmma and bulk copies behind it.
static inline void fence_asynchronous() {
  asm volatile("fence.proxy.async.shared::cta;" : : : "memory");
}

// A barrier of `count` work-items; 0 is OpenCL's own.
static inline void named_barrier(int name, int count) {
  asm volatile("bar.sync %0, %1;" : : "r"(name), "r"(count) : "memory");
}

// A barrier whose work-items learn whether any of them says so.
static inline int any_of_named(int name, int count, int condition) {
  int result;
  asm volatile(
      "{ .reg .pred mine, any; setp.ne.s32 mine, %3, 0; "
      "bar.red.or.pred any, %1, %2, mine; selp.s32 %0, 1, 0, any; }"
      : "=r"(result)
      : "r"(name), "r"(count), "r"(condition)
      : "memory");
  return result;
}

// A value that is the same for the warp's work-items, so that the compiler knows: what is computed
// from it, and branches on it, then cost the warp one register.
static inline uint warp_uniform(uint value) {
  uint result;
  asm volatile("redux.sync.or.b32 %0, %1, 0xffffffff;" : "=r"(result) : "r"(value));
  return result;
}

// As atomic_inc, but `last` is followed by 0.
static inline uint increment_cyclic(__global ulong *counter, uint last) {
  uint before;
  asm volatile("atom.global.inc.u32 %0, [%1], %2;"
               : "=r"(before)
               : "l"(counter), "r"(last)
               : "memory");
  return before;
}

static inline void warp_barrier() { asm volatile("bar.warp.sync 0xffffffff;" : : : "memory"); }

// A matrix in local memory in pieces of 64 columns of 16 bits: rows of 128 bytes, whose 16-byte
// chunks stand in the order chunk ^ (row & 7). `leading` is the distance between pieces, in bytes,
// of a matrix that is taken transposed, else 0. The lower half of its descriptor; the upper one is
// DESCRIPTOR_HIGH. PTX ISA, "matrix descriptor".
#define DESCRIPTOR_HIGH 0x40000040
static inline uint matrix_descriptor(uint address, uint leading) {
  return (address & 0x3ffff) >> 4 | (leading >> 4) << 16;
}

// As copy_chunk, or, if there is nothing to copy, zeros.
static inline void copy_chunk_or_zeros(uint target, __global const void *source, int exists) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
               :
               : "r"(target), "l"(source), "r"(exists ? 16 : 0)
               : "memory");
}
// 8 bytes; both addresses are multiples of that.
static inline void copy_8_bytes(uint target, __global const void *source) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 8;" : : "r"(target), "l"(source) : "memory");
}
// Arrives at a barrier once this work-item's copies so far are there.
static inline void copies_arrive(uint barrier) {
  asm volatile("cp.async.mbarrier.arrive.noinc.shared.b64 [%0];" : : "r"(barrier) : "memory");
}
static inline void commit_copies() { asm volatile("cp.async.commit_group;" : : : "memory"); }

static inline uint4 load_chunk(uint source) {
  uint4 chunk;
  asm volatile("ld.shared.v4.b32 {%0, %1, %2, %3}, [%4];"
               : "=r"(chunk.x), "=r"(chunk.y), "=r"(chunk.z), "=r"(chunk.w)
               : "r"(source)
               : "memory");
  return chunk;
}
static inline void store_word(uint target, uint word) {
  asm volatile("st.shared.b32 [%0], %1;" : : "r"(target), "r"(word) : "memory");
}

// --- Tensor copies: whole tiles, by the copy engine.

// What a box of a tensor takes along an axis. Strides count elements.
typedef struct map_axis {
  int size;
  int box;
  long stride;
} map_axis;

// Writes a tensor map (its format is the hardware's own) into 128 bytes of local memory, zeroed and
// aligned to as many: a tensor of 16-bit elements, [.., .., .., ..][dim], of which a copy takes 64
// elements of each row of a box into one piece of a tile. The last axis comes first. What lies
// beyond the tensor reads as zeros. Rank 4 means five dimensions.
static inline void write_tensor_map(uint map, __global const ushort *tensor, int dim,
                                    const map_axis axes[4]) {
#if STORAGE == 1
#define MAP_ELEMENT "6"
#else
#define MAP_ELEMENT "10"
#endif
#define MAP_FIELD(field, bits) \
  "//WG tensormap.replace.tile." field ".shared::cta.b1024." bits " [%0], "
  asm volatile(MAP_FIELD("global_address", "b64") "%1;\n\t"
               MAP_FIELD("rank", "b32") "4;\n\t"
               MAP_FIELD("box_dim", "b32") "0, 64;\n\t"
               MAP_FIELD("box_dim", "b32") "1, %2;\n\t"
               MAP_FIELD("box_dim", "b32") "2, %3;\n\t"
               MAP_FIELD("box_dim", "b32") "3, %4;\n\t"
               MAP_FIELD("box_dim", "b32") "4, %5;\n\t"
               MAP_FIELD("global_dim", "b32") "0, %6;\n\t"
               MAP_FIELD("global_dim", "b32") "1, %7;\n\t"
               MAP_FIELD("global_dim", "b32") "2, %8;\n\t"
               MAP_FIELD("global_dim", "b32") "3, %9;\n\t"
               MAP_FIELD("global_dim", "b32") "4, %10;\n\t"
               MAP_FIELD("global_stride", "b64") "0, %11;\n\t"
               MAP_FIELD("global_stride", "b64") "1, %12;\n\t"
               MAP_FIELD("global_stride", "b64") "2, %13;\n\t"
               MAP_FIELD("global_stride", "b64") "3, %14;\n\t"
               MAP_FIELD("element_stride", "b32") "0, 1;\n\t"
               MAP_FIELD("element_stride", "b32") "1, 1;\n\t"
               MAP_FIELD("element_stride", "b32") "2, 1;\n\t"
               MAP_FIELD("element_stride", "b32") "3, 1;\n\t"
               MAP_FIELD("element_stride", "b32") "4, 1;\n\t"
               MAP_FIELD("elemtype", "b32") MAP_ELEMENT ";\n\t"
               MAP_FIELD("interleave_layout", "b32") "0;\n\t"
               MAP_FIELD("swizzle_mode", "b32") "3;\n\t"
               MAP_FIELD("fill_mode", "b32") "0;"
               :
               : "r"(map), "l"(tensor), "r"(axes[0].box), "r"(axes[1].box), "r"(axes[2].box),
                 "r"(axes[3].box), "r"(dim), "r"(axes[0].size), "r"(axes[1].size),
                 "r"(axes[2].size), "r"(axes[3].size), "l"(2 * axes[0].stride),
                 "l"(2 * axes[1].stride), "l"(2 * axes[2].stride), "l"(2 * axes[3].stride)
               : "memory");
}

// Copies a tensor map from local to global memory, by a whole warp, for those who acquire it.
static inline void release_tensor_map(__global ulong *target, uint map) {
  asm volatile(
      "//WG tensormap.cp_fenceproxy.global.shared::cta.tensormap::generic.release.gpu.sync.aligned"
      " [%0], [%1], 128;"
      :
      : "l"(target), "r"(map)
      : "memory");
}

// Before the first copy by a map that was released, in each work-group.
static inline void acquire_tensor_map(__global const ulong *map) {
  asm volatile("//WG fence.proxy.tensormap::generic.acquire.gpu [%0], 128;"
               :
               : "l"(map)
               : "memory");
}

// Arrives at a barrier whose phase copies of so many bytes are to complete.
static inline void barrier_arrive_expecting(uint barrier, int bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared.b64 _, [%0], %1;"
               :
               : "r"(barrier), "r"(bytes)
               : "memory");
}

// Copies a box from these coordinates on, those of the axes behind that of the element.
typedef struct place_t {
  int at[4];
} place_t;
static inline void copy_box(uint target, __global const ulong *map, int element, place_t place,
                            uint barrier) {
  asm volatile(
      "cp.async.bulk.tensor.5d.shared::cluster.global.tile.mbarrier::complete_tx::bytes"
      " [%0], [%1, {%2, %3, %4, %5, %6}], [%7];"
      :
      : "r"(target), "l"(map), "r"(element), "r"(place.at[0]), "r"(place.at[1]), "r"(place.at[2]),
        "r"(place.at[3]), "r"(barrier)
      : "memory");
}
