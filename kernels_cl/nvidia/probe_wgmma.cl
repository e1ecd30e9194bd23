// Tries on a device what the tensor-core kernels for compute capability 9.0 are made of: tensor
// maps made on the device, tensor copies that signal barriers, registers that move between
// warpgroups, and wgmma. One work-group computes S = Q K^T for 128 queries, of which only those
// below QUERIES exist, 16 keys and 64 dimensions, in bf16 and of small integers, so that every
// result is exact. The host (host/planning/probe.cpp) knows what it must be.
//
// Behind ptx.cl and hopper.cl. Instructions behind the marker //WG need a target that the front-end
// can't be asked for: the built program is patched (runtime/patch.hpp).

#define QUERIES 120
#define QUERY_TILE 128
#define KEYS 16
#define DIM 64
#define ROW_BYTES (2 * DIM)
#define MAP_WORDS 16
// Far more than the tiles take: the assembler knows how many registers a work-item starts with, and
// heeds setmaxnreg, only if a compute unit holds no second work-group. And more than the device
// says it has, as the kernels will want.
#define LOCAL_BYTES (160 * 1024)

// Gives up after some tenths of a second: the results are wrong then, but the device is free again.
static inline void await_copies(uint full) {
  uint done = 0;
  for (int attempt = 0; attempt < 65536 && !done; ++attempt) {
    asm volatile(
        "{ .reg .pred complete;\n\t"
        "mbarrier.try_wait.parity.shared.b64 complete, [%1], 0, 4000;\n\t"
        "selp.u32 %0, 1, 0, complete; }"
        : "=r"(done)
        : "r"(full)
        : "memory");
  }
}

// 16 dimensions: two 16-byte chunks further along the rows than the step before.
#define MULTIPLY_STEP(step, accumulate)                                         \
  "add.s64 queries, %8, 2 * " #step "; add.s64 keys, %9, 2 * " #step            \
  ";\n\t"                                                                       \
  "//WG wgmma.mma_async.sync.aligned.m64n16k16.f32.bf16.bf16 {%0, %1, %2, %3, " \
  "%4, %5, %6, %7}, queries, keys, " #accumulate ", 1, 1, 0, 0;\n\t"
#define MULTIPLY_ALL MULTIPLY_STEP(0, 0) MULTIPLY_STEP(1, 1) MULTIPLY_STEP(2, 1) MULTIPLY_STEP(3, 1)

static inline void multiply(float scores[8], ulong queries, ulong keys) {
  asm volatile(
      "{ .reg .b64 queries, keys;\n\t"
      "//WG wgmma.fence.sync.aligned;\n\t" MULTIPLY_ALL
      "//WG wgmma.commit_group.sync.aligned;\n\t"
      "//WG wgmma.wait_group.sync.aligned 0;\n\t"
      "}"
      : "=f"(scores[0]), "=f"(scores[1]), "=f"(scores[2]), "=f"(scores[3]), "=f"(scores[4]),
        "=f"(scores[5]), "=f"(scores[6]), "=f"(scores[7])
      : "l"(queries), "l"(keys)
      : "memory");
}

// Launch: local and global size 384, a warpgroup that copies and two that multiply. `maps`: of the
// queries and of the keys, written here. `scores`: [QUERY_TILE][KEYS].
__kernel __attribute__((reqd_work_group_size(384, 1, 1))) void probe_wgmma(
    __global const ushort *query, __global const ushort *key, __global ulong *maps,
    __global float *scores) {
  __local __attribute__((aligned(1024))) uchar tiles[LOCAL_BYTES];
  __local ulong full;  // a barrier: the copies have arrived
  const int thread = (int)get_local_id(0);
  const uint queries = local_address(tiles);
  const uint keys = queries + LOCAL_BYTES - KEYS * ROW_BYTES;
  const uint full_barrier = local_address(&full);
  if (thread == 0) {
    barrier_start(full_barrier, 1);
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    fence_asynchronous();
  }
  if (thread < 32) {
    // Where the tiles will be.
    if (thread < 8) {
      store_chunk(queries + 16 * thread, (uint4)(0));
      store_chunk(keys + 16 * thread, (uint4)(0));
    }
    warp_barrier();
    if (thread == 0) {
      const map_axis query_axes[] = {
          {QUERIES, QUERY_TILE, DIM}, {1, 1, DIM}, {1, 1, DIM}, {1, 1, DIM}};
      const map_axis key_axes[] = {{KEYS, KEYS, DIM}, {1, 1, DIM}, {1, 1, DIM}, {1, 1, DIM}};
      write_tensor_map(queries, query, DIM, query_axes);
      write_tensor_map(keys, key, DIM, key_axes);
    }
    warp_barrier();
    release_tensor_map(maps, queries);
    release_tensor_map(maps + MAP_WORDS, keys);
    fence_asynchronous();
  }
  barrier(CLK_LOCAL_MEM_FENCE);

  if (thread < 128) {
    asm volatile("//WG setmaxnreg.dec.sync.aligned.u32 24;" ::: "memory");
    if (thread == 0) {
      acquire_tensor_map(maps);
      acquire_tensor_map(maps + MAP_WORDS);
      barrier_arrive_expecting(full_barrier, (QUERY_TILE + KEYS) * ROW_BYTES);
      const place_t begin = {{0, 0, 0, 0}};
      copy_box(queries, maps, 0, begin, full_barrier);
      copy_box(keys, maps + MAP_WORDS, 0, begin, full_barrier);
    }
    return;
  }
  asm volatile("//WG setmaxnreg.inc.sync.aligned.u32 240;" ::: "memory");
  await_copies(full_barrier);
  const int consumer = thread / 128 - 1;
  float sums[8];
  const ulong high = (ulong)DESCRIPTOR_HIGH << 32;
  multiply(sums, high | matrix_descriptor(queries + consumer * 64 * ROW_BYTES, 0),
           high | matrix_descriptor(keys, 0));

  // Each warp holds 16 rows; a lane two neighbouring columns of each eight, in two rows that are
  // eight apart.
  const int lane = thread % 32;
  const int first_row = 16 * (thread / 32 - 4) + lane / 4;
  for (int i = 0; i < 8; ++i) {
    scores[(first_row + 8 * (i / 2 % 2)) * KEYS + 8 * (i / 4) + 2 * (lane % 4) + i % 2] = sums[i];
  }
}
