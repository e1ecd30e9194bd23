// Tries on a device the instructions of ptx.cl that the tensor-core kernels are made of, before a
// problem relies on them. One warp computes a tile of attention without softmax, S = Q K^T and
// O = S V, all 16 x 16, from small integers, so that every sum is exact. The host
// (host/planning/probe.cpp) knows what the results must be. Behind ptx.cl.

#define SIDE 16
#define ROW_BYTES (2 * SIDE)
#define TILE_BYTES (SIDE * ROW_BYTES)

// Launch: local and global size 32.
// `tiles`: Q, K and V, [16][16] elements each. `results`: O [16][16], the sums of the rows of S
// [16], and 2^((i - 16) / 4) of each work-item i [32].
__kernel __attribute__((reqd_work_group_size(32, 1, 1))) void probe_mma(__global const uchar *tiles,
                                                                        __global float *results) {
  __local __attribute__((aligned(128))) uchar local_tiles[3 * TILE_BYTES];
  const uint queries = local_address(local_tiles);
  const uint keys = queries + TILE_BYTES;
  const uint values = keys + TILE_BYTES;
  const int lane = (int)get_local_id(0);

  for (int tile = 0; tile < 3; ++tile) {
    const int offset = tile * TILE_BYTES + 16 * lane;
    copy_chunk(queries + offset, tiles + offset);
  }
  wait_for_copies();
  barrier(CLK_LOCAL_MEM_FENCE);

  // The order of the four matrices of 8 x 8 elements: down the first columns, then the next; for
  // keys, which are rows but the columns of K^T, along the first rows, then the next.
  const uint down = (lane & 15) * ROW_BYTES + (lane >> 4) * 16;
  const uint along = ((lane & 7) + (lane >> 4) * 8) * ROW_BYTES + (lane >> 3 & 1) * 16;
  uint left[4], right[4];
  load_four_matrices(left, queries + down);
  load_four_matrices(right, keys + along);
  float scores[2][4] = {{0.0f, 0.0f, 0.0f, 0.0f}, {0.0f, 0.0f, 0.0f, 0.0f}};
  multiply_add_16(scores[0], left, right[0], right[1]);
  multiply_add_16(scores[1], left, right[2], right[3]);

  for (int i = 0; i < 4; ++i) {
    left[i] = pack_elements(scores[i / 2][2 * (i % 2)], scores[i / 2][2 * (i % 2) + 1]);
  }
  load_four_transposed(right, values + down);
  float outputs[2][4] = {{0.0f, 0.0f, 0.0f, 0.0f}, {0.0f, 0.0f, 0.0f, 0.0f}};
  multiply_add_16(outputs[0], left, right[0], right[1]);
  multiply_add_16(outputs[1], left, right[2], right[3]);

  for (int r = 0; r < 2; ++r) {
    const int row = lane / 4 + 8 * r;
    float sum = 0.0f;
    for (int side = 0; side < 2; ++side) {
      for (int c = 0; c < 2; ++c) {
        sum += scores[side][2 * r + c];
        results[row * SIDE + 8 * side + 2 * (lane % 4) + c] = outputs[side][2 * r + c];
      }
    }
    sum += shuffle_xor(sum, 1);
    sum += shuffle_xor(sum, 2);
    if (lane % 4 == 0) results[SIDE * SIDE + row] = sum;
  }
  results[SIDE * SIDE + SIDE + lane] = exp2_approximate(0.25f * (float)(lane - 16));
}
