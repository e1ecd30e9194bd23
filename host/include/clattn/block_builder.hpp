// Block lists made on the device, for a Problem with `blocks`: a BlockBuilder owns the lists of one
// pattern, fills them from the problem's mask and, if given, from a tensor that says which blocks
// to keep, and hands them to Plan::enqueue. Lists can be made anew at any time, between launches
// and without planning again; several plans may read them. A recipe of dynamic sparsity is:
// estimate block scores, select here, attend.
#pragma once

#include <clattn/export.h>

#include <clattn/blocks.hpp>
#include <clattn/engine.hpp>
#include <cstdint>
#include <memory>
#include <span>

namespace clattn {

// Which blocks a tensor keeps: [batch, heads, query_blocks, key_blocks] of the BlockShape,
// contiguous. Where scores are equal (0 and -0 are), the lower key block comes first. NaN scores
// are never kept and count for nothing: so a recipe excludes blocks, hidden ones above all, for the
// mask plays no part here.
struct BlockSelection {
  enum class Kind {
    nonzero,    // u8: those that are not 0
    threshold,  // f32: scores of at least `threshold`
    top_k,      // f32: the `count` highest of each row of query blocks
    top_p       // f32, not negative: from the highest down, as long as the sum of those before is
                // below `share` of the row's; the one that takes it above only if `keep_crossing`
  };
  Kind kind = Kind::nonzero;
  cl_mem buffer = nullptr;
  float threshold = 0;
  std::int64_t count = 0;     // 0 and up
  float share = 0;            // 0 to 1
  bool keep_crossing = true;  // XAttention and PBS-Attn keep it, SpargeAttn does not
};

class CLATTN_API BlockBuilder {
 public:
  // Compiles, allocates and, unless buffers of the mask are bound at launch, evaluates the mask
  // where it is not clear from its `classify`, which waits for the device. The lists are those of
  // the problem's `blocks` and `mask`: a block whose pairs are all visible is full, one with some
  // is partial, others are not listed. Throws Error as Engine::plan does, and (invalid_argument)
  // where the problem has no blocks, or a mask that varies with batch or head while the blocks
  // don't.
  BlockBuilder(const Engine& engine, const Problem& problem);

  // Fill the lists, and the order in which heavy rows come first (BlockListBuffers::row_order),
  // after `wait_list`; launches only. Blocks that `selection` does not keep are not listed.
  // `buffers` are those of the mask that are bound at launch. A row of more blocks than the
  // capacity gets their number negated as its count, which makes its output NaN; `download` says
  // so. The caller orders building and reading. Throws Error (invalid_argument) and launches
  // nothing for a buffer of another context or too small, or a selection out of its limits.
  Event build(cl_command_queue queue, std::span<const cl_event> wait_list = {},
              std::span<const NamedMemory> buffers = {});
  Event build(cl_command_queue queue, const BlockSelection& selection,
              std::span<const cl_event> wait_list = {}, std::span<const NamedMemory> buffers = {});

  // For Tensors::blocks. The buffers live as long as the builder.
  BlockListBuffers lists() const;
  // For every key block its query blocks: counts [batch, heads, key_blocks], indices [batch, heads,
  // key_blocks, query_blocks]. Filled by each build, too, with no regard to the capacity of rows.
  BlockListBuffers transposed() const;

  // Reads the lists back, which waits for the queue; entries past the counts are undefined. Throws
  // Error (invalid_argument) that names the first row over its capacity, with its count and the
  // limit.
  BlockLists download(cl_command_queue queue) const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

// Reads lists of anybody's making back and holds them to what validate(BlockLists) asks, and the
// order of rows to being a permutation; waits for the queue. For debugging: a launch itself does
// not read them on the host.
CLATTN_API void check_block_lists(cl_command_queue queue, const Problem& problem,
                                  const BlockListBuffers& lists);

}  // namespace clattn
