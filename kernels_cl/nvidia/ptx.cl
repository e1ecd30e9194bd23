// Instructions of NVIDIA's GPUs that OpenCL C has no words for, as inline PTX: what moves tiles and
// multiplies them on tensor cores, and what a warp of 32 work-items says to itself. Each helper is
// one instruction. Names say what it does; PTX's own name stands in the assembly (PTX ISA,
// "Instruction Set"). Addresses of local memory are 32-bit, in bytes. Statements that read or write
// memory are volatile, which keeps them in order among barriers and other accesses; the others are
// pure. All need compute capability 8.0.

// Pairs of elements in 16-bit storage fill one 32-bit register, the first one in the lower half.
#if STORAGE == 1
#define PTX_TYPE "f16"
#elif STORAGE == 2
#define PTX_TYPE "bf16"
#else
#error "tensor cores take f16 and bf16: STORAGE must be 1 or 2"
#endif

// What the weights of a work-item's row may add up to in a step under a maximum that they have
// outgrown: f16 holds them, and bf16 far more, but their products with values must stay finite.
#if STORAGE == 1
#define LARGEST_WEIGHT 1024.0f
#else
#define LARGEST_WEIGHT 16777216.0f
#endif

static inline uint local_address(__local const void *pointer) { return (uint)(ulong)pointer; }

// --- Within a work-item.

// The same value. What is computed from it is computed where it is needed: a compiler that knew
// where it comes from would do that ahead of the loop, and keep the results in registers that the
// loop has not.
static inline int computed_here(int value) {
  asm volatile("" : "+r"(value));
  return value;
}

// 2^x within 2 units in the last place; results below 2^-126 are 0.
static inline float exp2_approximate(float x) {
  float result;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
}

// Two elements rounded to nearest even.
static inline uint pack_elements(float first, float second) {
  uint result;
  asm("cvt.rn." PTX_TYPE "x2.f32 %0, %1, %2;" : "=r"(result) : "f"(second), "f"(first));
  return result;
}

// --- Within a warp, all of whose work-items must call it.

// The value of the work-item whose number in the warp differs in the bits of `mask`.
static inline float shuffle_xor(float value, uint mask) {
  float result;
  asm volatile("shfl.sync.bfly.b32 %0, %1, %2, 0x1f, 0xffffffff;"
               : "=f"(result)
               : "f"(value), "r"(mask));
  return result;
}

// Whether any work-item says so.
static inline int warp_any(int condition) {
  int result;
  asm volatile(
      "{ .reg .pred mine, any; setp.ne.s32 mine, %1, 0; "
      "vote.sync.any.pred any, mine, 0xffffffff; selp.s32 %0, 1, 0, any; }"
      : "=r"(result)
      : "r"(condition));
  return result;
}

// --- Copies from global to local memory that run on while the work-item does.

// 16 bytes; both addresses are multiples of that.
static inline void copy_chunk(uint target, __global const void *source) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(target), "l"(source) : "memory");
}

// 16 bytes, at once.
static inline void store_chunk(uint target, uint4 chunk) {
  asm volatile("st.shared.v4.b32 [%0], {%1, %2, %3, %4};"
               :
               : "r"(target), "r"(chunk.x), "r"(chunk.y), "r"(chunk.z), "r"(chunk.w)
               : "memory");
}

// Waits for this work-item's copies. What others copied is there after a barrier that follows.
static inline void wait_for_copies(void) { asm volatile("cp.async.wait_all;" ::: "memory"); }

// --- Matrices of 8 x 8 elements, whose rows are chunks of 16 bytes in local memory. Work-item i of
// the warp gives the address of row i % 8 of matrix i / 8 and gets, of each matrix, elements
// 2 * (i % 4) and the next one of row i / 4; transposed: of column i / 4.

static inline void load_four_matrices(uint registers[4], uint address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(registers[0]), "=r"(registers[1]), "=r"(registers[2]), "=r"(registers[3])
               : "r"(address));
}

static inline void load_four_transposed(uint registers[4], uint address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(registers[0]), "=r"(registers[1]), "=r"(registers[2]), "=r"(registers[3])
               : "r"(address));
}

// The addresses of the first half of the warp count.
static inline void load_two_matrices(uint registers[2], uint address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];"
               : "=r"(registers[0]), "=r"(registers[1])
               : "r"(address));
}

static inline void load_two_transposed(uint registers[2], uint address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];"
               : "=r"(registers[0]), "=r"(registers[1])
               : "r"(address));
}

// --- Products on tensor cores: sums += a * b, exact products added up in f32. Work-item i holds of
// the 16 x 8 sums elements 2 * (i % 4) and the next one of rows i / 4 (registers 0, 1) and
// i / 4 + 8 (registers 2, 3). `a` has 16 rows and its matrices in the order (rows 0..7, rows 8..15)
// of columns 0..7, then of 8..15; `b` has 8 columns, of which work-item i holds column i / 4.

static inline void multiply_add_16(float sums[4], const uint a[4], uint b0, uint b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32." PTX_TYPE "." PTX_TYPE
      ".f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Half as deep.
static inline void multiply_add_8(float sums[4], const uint a[2], uint b) {
  asm("mma.sync.aligned.m16n8k8.row.col.f32." PTX_TYPE "." PTX_TYPE
      ".f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(a[0]), "r"(a[1]), "r"(b));
}
