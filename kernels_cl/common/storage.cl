// Loads and stores of tensor elements. Tensors are stored as f32, f16 or bf16 and every value is
// f32 once it is loaded. f16 goes through vload_half and vstore_half, which need no cl_khr_fp16;
// bf16 is the upper half of an f32. Stores round to nearest even.

// STORAGE: the element type of query, key, value and output.
//   0 = f32, 1 = f16, 2 = bf16
#ifndef STORAGE
#define STORAGE 0
#endif

// LOAD8 and STORE8 take eight consecutive elements, by which head dimensions are divisible.
#if STORAGE == 0
typedef float storage_t;
#define LOAD(pointer, index) ((pointer)[index])
#define STORE(value, pointer, index) ((pointer)[index] = (value))
#define LOAD8(pointer, index) vload8(0, (pointer) + (index))
#define STORE8(value, pointer, index) vstore8(value, 0, (pointer) + (index))
#elif STORAGE == 1
typedef half storage_t;
#define LOAD(pointer, index) vload_half(index, pointer)
#define STORE(value, pointer, index) vstore_half_rte(value, index, pointer)
#define LOAD8(pointer, index) vload_half8(0, (pointer) + (index))
#define STORE8(value, pointer, index) vstore_half8_rte(value, 0, (pointer) + (index))
#else
typedef ushort storage_t;
#define LOAD(pointer, index) as_float((uint)(pointer)[index] << 16)
#define STORE(value, pointer, index) ((pointer)[index] = bf16_from_float(value))
#define LOAD8(pointer, index) as_float8(convert_uint8(vload8(0, (pointer) + (index))) << 16)
#define STORE8(value, pointer, index) vstore8(bf16_from_float8(value), 0, (pointer) + (index))

// Rounds to nearest even; a NaN stays a (quiet) NaN, which plain rounding could turn into infinity.
static inline ushort bf16_from_float(float value) {
  const uint bits = as_uint(value);
  const uint rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  return (ushort)(isnan(value) ? ((bits >> 16) | 0x40u) : rounded);
}

static inline ushort8 bf16_from_float8(float8 value) {
  const uint8 bits = as_uint8(value);
  const uint8 rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  return convert_ushort8(isnan(value) ? ((bits >> 16) | 0x40u) : rounded);
}
#endif
