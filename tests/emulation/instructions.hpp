// What a translated kernel (translate.py) calls in place of OpenCL's built-in functions and of its
// inline PTX: one function an instruction. The kernel is a shared object of its own, which knows
// this interface only; the machine implements it. Addresses in local memory are 32-bit, as in PTX.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace clattn::emulation {

// A line of the kernels' source.
struct Position {
  const char* file = "";
  int line = 0;
};

// One wgmma.mma_async of a warpgroup: sums[64][columns] (+)= left[64][16] * right[16][columns].
struct Product {
  float* sums = nullptr;  // this work-item's columns / 2
  int columns = 0;
  const std::uint32_t* left = nullptr;  // this work-item's 4 registers; null: in local memory
  std::uint64_t left_descriptor = 0;
  std::uint64_t right_descriptor = 0;
  bool accumulates = false;
  bool transposed = false;  // the right matrix lies in rows of 16, not of `columns`
  bool bf16 = false;
};

class Instructions {
 public:
  // --- OpenCL C.
  virtual std::size_t local_id(unsigned dimension) = 0;
  virtual std::size_t group_id(unsigned dimension) = 0;
  virtual std::size_t group_count(unsigned dimension) = 0;
  virtual std::size_t global_id(unsigned dimension) = 0;
  virtual void* local_memory(Position where, std::size_t bytes) = 0;
  virtual std::uint32_t local_address(Position where, const void* pointer) = 0;
  virtual void work_group_barrier(Position where) = 0;

  // --- Of a work-item alone.
  virtual std::uint32_t count(Position where, void* counter, std::uint32_t last) = 0;  // atom.inc
  virtual float exp2(float x) = 0;                                       // ex2.approx.ftz
  virtual std::uint32_t pack(float first, float second, bool bf16) = 0;  // cvt.rn.x2
  virtual void set_registers(Position where, int count) = 0;             // setmaxnreg

  // --- Of a warp.
  virtual float shuffle(Position where, float value, std::uint32_t mask) = 0;  // shfl.sync.bfly
  virtual int any(Position where, int condition) = 0;                          // vote.sync.any
  virtual std::uint32_t uniform(Position where, std::uint32_t value) = 0;      // redux.sync.or
  virtual void warp_barrier(Position where) = 0;                               // bar.warp.sync

  // --- Words and matrices in local memory: st.shared, ld.shared, ldmatrix.
  virtual void store(Position where, std::uint32_t target, const std::uint32_t* words,
                     int count) = 0;
  virtual void load(Position where, std::uint32_t source, std::uint32_t* words, int count) = 0;
  virtual void load_matrices(Position where, std::uint32_t* registers, int count, bool transposed,
                             std::uint32_t address) = 0;

  // --- Copies of a work-item: cp.async, of which `bytes` exist and the rest is zeros.
  virtual void copy(Position where, std::uint32_t target, const void* source, int size,
                    int bytes) = 0;
  virtual void commit_copies(Position where) = 0;
  virtual void wait_copies(Position where, int pending) = 0;
  virtual void wait_all_copies(Position where) = 0;
  virtual void copies_arrive(Position where, std::uint32_t barrier) = 0;

  // --- Barriers: mbarrier, bar.
  virtual void start_barrier(Position where, std::uint32_t barrier, int arrivals) = 0;
  virtual void wait_barrier(Position where, std::uint32_t barrier, std::uint32_t parity) = 0;
  virtual void arrive(Position where, std::uint32_t barrier) = 0;
  virtual void expect(Position where, std::uint32_t barrier, int bytes) = 0;
  virtual void sync_named(Position where, int name, int count) = 0;
  virtual int any_of_named(Position where, int name, int count, int condition) = 0;

  // --- The asynchronous proxy: its fence, tensor maps and their copies, wgmma.
  virtual void fence_proxy(Position where) = 0;
  virtual void set_map_field(Position where, std::uint32_t map, const char* field, int index,
                             std::uint64_t value) = 0;
  // A whole warp's copy of a map to global memory, and what its users do before they use it:
  // tensormap.cp_fenceproxy, fence.proxy.tensormap.
  virtual void release_map(Position where, void* target, std::uint32_t map) = 0;
  virtual void acquire_map(Position where, const void* map) = 0;
  virtual void copy_box(Position where, std::uint32_t target, const void* map,
                        std::array<int, 5> begin, std::uint32_t barrier) = 0;
  virtual void fence_products(Position where) = 0;
  virtual void multiply(Position where, const Product& product) = 0;
  virtual void commit_products(Position where) = 0;
  virtual void wait_products(Position where, int pending) = 0;

  // --- mma.sync: sums[16][8] += left[16][depth] * right[depth][8].
  virtual void multiply_add(Position where, float* sums, const std::uint32_t* left,
                            const std::uint32_t* right, int depth, bool bf16) = 0;

 protected:
  ~Instructions() = default;
};

}  // namespace clattn::emulation
