// OpenCL C in C++: the types and built-in functions that the kernels use, for a program that
// translate.py made of them. Vectors are the compiler's own (vector_size); the translator writes
// their components as elements, and their literals as `make`. Nothing else may be included: names
// of the C library would meet the kernels'.
#pragma once

#include "tests/emulation/instructions.hpp"

static clattn::emulation::Instructions* emulated;

// The first call, before any kernel's.
extern "C" __attribute__((visibility("default"))) void bind_instructions(
    clattn::emulation::Instructions* instructions) {
  emulated = instructions;
}

#define __global
#define __local
#define __constant
#define INFINITY __builtin_inff()
#define NAN __builtin_nanf("")

typedef unsigned char uchar;
typedef unsigned short ushort;
typedef unsigned int uint;
typedef unsigned long ulong;
struct half {
  ushort bits;
};

#define EMULATED_VECTOR(type, count) \
  typedef type type##count __attribute__((vector_size(count * sizeof(type))))
EMULATED_VECTOR(ushort, 8);
EMULATED_VECTOR(int, 8);
EMULATED_VECTOR(uint, 4);
EMULATED_VECTOR(uint, 8);
EMULATED_VECTOR(float, 2);
EMULATED_VECTOR(float, 8);

// A literal: all elements, or one that stands for all.
template <typename Vector, typename... Elements>
static inline Vector make(Elements... elements) {
  if constexpr (sizeof...(elements) == 1) {
    Vector result;
    for (std::size_t i = 0; i < sizeof(Vector) / sizeof(result[0]); ++i)
      result[i] = (elements, ...);
    return result;
  } else {
    return Vector{elements...};
  }
}

template <typename To, typename From>
static inline To emulated_bits(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  __builtin_memcpy(&to, &from, sizeof to);
  return to;
}
template <typename From>
static inline int as_int(From x) {
  return emulated_bits<int>(x);
}
template <typename From>
static inline uint as_uint(From x) {
  return emulated_bits<uint>(x);
}
template <typename From>
static inline float as_float(From x) {
  return emulated_bits<float>(x);
}
template <typename From>
static inline uint4 as_uint4(From x) {
  return emulated_bits<uint4>(x);
}
template <typename From>
static inline uint8 as_uint8(From x) {
  return emulated_bits<uint8>(x);
}
template <typename From>
static inline ushort8 as_ushort8(From x) {
  return emulated_bits<ushort8>(x);
}
template <typename From>
static inline float8 as_float8(From x) {
  return emulated_bits<float8>(x);
}
static inline uint8 convert_uint8(ushort8 x) { return __builtin_convertvector(x, uint8); }
static inline ushort8 convert_ushort8(uint8 x) { return __builtin_convertvector(x, ushort8); }

// --- Loads and stores, at any address.
static inline ushort8 vload8(std::size_t offset, const ushort* from) {
  ushort8 result;
  __builtin_memcpy(&result, from + 8 * offset, sizeof result);
  return result;
}
static inline float8 vload8(std::size_t offset, const float* from) {
  float8 result;
  __builtin_memcpy(&result, from + 8 * offset, sizeof result);
  return result;
}
static inline void vstore8(ushort8 value, std::size_t offset, ushort* to) {
  __builtin_memcpy(to + 8 * offset, &value, sizeof value);
}
static inline void vstore2(float2 value, std::size_t offset, float* to) {
  __builtin_memcpy(to + 2 * offset, &value, sizeof value);
}
static inline void vstore_half8_rte(float8 value, std::size_t offset, half* to) {
  for (int i = 0; i < 8; ++i) {
    to[8 * offset + i].bits = static_cast<ushort>(emulated->pack(value[i], 0.0f, false));
  }
}

// --- Numbers.
#define EMULATED_MIN_MAX(type)                                     \
  static inline type min(type x, type y) { return y < x ? y : x; } \
  static inline type max(type x, type y) { return x < y ? y : x; } \
  static inline type clamp(type x, type low, type high) { return min(max(x, low), high); }
EMULATED_MIN_MAX(int)
EMULATED_MIN_MAX(uint)
EMULATED_MIN_MAX(long)
static inline uint abs(int x) { return x < 0 ? -static_cast<uint>(x) : static_cast<uint>(x); }
static inline uint mul_hi(uint x, uint y) { return static_cast<ulong>(x) * y >> 32; }
static inline int clz(int x) { return x ? __builtin_clz(static_cast<uint>(x)) : 32; }
static inline uint rotate(uint x, uint bits) { return x << (bits & 31) | x >> (-bits & 31); }
static inline float fmin(float x, float y) { return __builtin_fminf(x, y); }
static inline float fmax(float x, float y) { return __builtin_fmaxf(x, y); }
static inline float fma(float x, float y, float z) { return __builtin_fmaf(x, y, z); }
static inline float fabs(float x) { return __builtin_fabsf(x); }
static inline float copysign(float x, float y) { return __builtin_copysignf(x, y); }
static inline float exp2(float x) { return __builtin_exp2f(x); }
static inline float log2(float x) { return __builtin_log2f(x); }
static inline float native_recip(float x) { return 1.0f / x; }
static inline int isnan(float x) { return x != x; }
static inline int8 isnan(float8 x) { return x != x; }

// --- Work-items.
static inline std::size_t get_local_id(uint dimension) { return emulated->local_id(dimension); }
static inline std::size_t get_group_id(uint dimension) { return emulated->group_id(dimension); }
static inline std::size_t get_num_groups(uint dimension) {
  return emulated->group_count(dimension);
}
static inline std::size_t get_global_id(uint dimension) { return emulated->global_id(dimension); }
#define CLK_LOCAL_MEM_FENCE
#define barrier(fence) emulated->work_group_barrier({__FILE__, __LINE__})
