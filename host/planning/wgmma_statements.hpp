// The products of the nvidia_wgmma family as inline assembly. A warpgroup's product is dozens of
// instructions over hundreds of registers that must stand in one statement, or the compiler
// serialises them; what they are follows from the shape of the tile. PTX ISA 8.0 and later,
// "wgmma".
#pragma once

#include <clattn/problem.hpp>
#include <cstdint>

#include "runtime/program.hpp"

namespace clattn {

struct WgmmaShape {
  DataType type = DataType::bf16;  // f16 or bf16
  std::int64_t query_tile = 0;     // rows of the tile of queries in local memory
  std::int64_t key_tile = 0;       // a multiple of 16, 16 to 256
  std::int64_t head_dim = 0;       // of queries and keys: a multiple of 8
  std::int64_t value_dim = 0;      // a multiple of 8, 8 to 256
};

// Macros for kernels_cl/nvidia/wgmma.cl. Arrays are registers of one work-item, constant in size:
//   WGMMA_SCORES(scores, queries, keys)  scores = 64 queries * transposed keys; scores is
//                                        float[key_tile / 2], the others are descriptors
//   WGMMA_OUTPUTS(outputs, weights, values)  outputs += weights * values; outputs is
//                                        float[value_dim / 2], weights uint[key_tile / 4]
//   WGMMA_WAIT_SCORES(pending, scores), WGMMA_WAIT_OUTPUTS(pending, outputs)  until at most
//                                        `pending` later groups are under way
// Tiles lie in local memory in pieces of 64 columns, each with rows of 128 bytes, swizzled.
// Instructions that the front-end does not take stand behind `marker`.
SourceFile wgmma_statements(const WgmmaShape& shape, const char* marker);

}  // namespace clattn
