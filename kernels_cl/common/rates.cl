// What a device reaches: multiply-adds in registers, and a copy of 16-byte elements. Read by
// runtime/rates.

// VECTOR_WIDTH: floats that one work-item treats at once.
//   1, 4, 8, 16
#ifndef VECTOR_WIDTH
#define VECTOR_WIDTH 1
#endif

#if VECTOR_WIDTH == 1
typedef float vector_t;
#elif VECTOR_WIDTH == 4
typedef float4 vector_t;
#elif VECTOR_WIDTH == 8
typedef float8 vector_t;
#else
typedef float16 vector_t;
#endif

// 16 independent chains cover the latency of a multiply-add on every device known. The sum is
// stored, or the compiler would remove the work.
__kernel void multiply_add(__global float *sink, int steps) {
  const vector_t factor = (vector_t)(0.999f + 1e-9f * get_global_id(0));
  vector_t chain[16];
  for (int i = 0; i < 16; ++i) chain[i] = (vector_t)(i + (int)get_global_id(0));
  for (int step = 0; step < steps; ++step) {
#pragma unroll
    for (int i = 0; i < 16; ++i) chain[i] = chain[i] * factor + factor;
  }
  vector_t sum = chain[0];
  for (int i = 1; i < 16; ++i) sum += chain[i];
#if VECTOR_WIDTH == 1
  sink[get_global_id(0)] = sum;
#else
  sink[get_global_id(0)] = sum.s0 + sum.s1 + sum.s2 + sum.s3;
#endif
}

// A work-item copies `count` elements: a contiguous run, or strided by the number of work-items so
// that neighbours read neighbours.
__kernel void copy(__global const float4 *from, __global float4 *to, int count, int contiguous) {
  const size_t first = contiguous ? get_global_id(0) * (size_t)count : get_global_id(0);
  const size_t stride = contiguous ? 1 : get_global_size(0);
  for (int i = 0; i < count; ++i) to[first + i * stride] = from[first + i * stride];
}
