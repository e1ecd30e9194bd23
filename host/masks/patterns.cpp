// The published patterns as compositions of masks. Radial attention is a mask of its own, see
// radial.cpp.
#include <bit>
#include <clattn/blocks.hpp>
#include <clattn/patterns.hpp>
#include <clattn/problem.hpp>
#include <cstdlib>

#include "host/masks/blocks.hpp"

namespace clattn::patterns {
namespace {

// The last `window` tokens, the query's own included.
Mask recent(std::int64_t window) {
  check_at_least("window", window, 1);
  return window_mask(window - 1, 0);
}

// A square of blocks over `length` tokens, alike in all batches; kept(head, i, j) says whether
// block (i, j) is seen.
template <typename Kept>
Mask square_blocks(std::int64_t length, std::int64_t block, std::int64_t heads, const Kept& kept) {
  BlockShape shape;
  shape.query_block = shape.key_block = block;
  shape.heads = heads;
  const std::int64_t blocks = shape.key_blocks({length, length});
  constexpr std::int64_t kMost = std::int64_t{1} << 32;
  if (count_of({heads, blocks, blocks}) > kMost) {
    invalid("{} tokens in blocks of {} make {} x {} blocks for {} heads, but at most {} in all fit",
            length, block, blocks, blocks, heads, kMost);
  }
  std::vector<std::uint8_t> pattern;
  for (std::int64_t head = 0; head < heads; ++head) {
    for (std::int64_t i = 0; i < blocks; ++i) {
      for (std::int64_t j = 0; j < blocks; ++j) pattern.push_back(kept(head, i, j));
    }
  }
  return blocks_mask(shape, blocks, blocks, std::move(pattern));
}

void check_length(std::int64_t length) {
  check_at_least("length", length, 1);
  if (length > Problem::kMaxLength) {
    invalid("length is {}, but must be at most {}", length, Problem::kMaxLength);
  }
}

}  // namespace

Mask streaming_llm(std::int64_t sinks, std::int64_t window) {
  return any_of_mask({sink_mask(sinks), recent(window)});
}

Mask duo_attention(const std::vector<bool>& retrieval_heads, std::int64_t sinks,
                   std::int64_t window) {
  const Mask retrieval = causal_mask();
  const Mask streaming = streaming_llm(sinks, window);
  std::vector<Mask> masks;
  for (bool is_retrieval : retrieval_heads) masks.push_back(is_retrieval ? retrieval : streaming);
  return per_head_mask(std::move(masks));
}

Mask big_bird(std::int64_t length, std::int64_t block, std::int64_t window, std::int64_t global,
              std::int64_t random, std::uint32_t seed) {
  check_length(length);
  check_at_least("block", block, 1);
  check_at_least("window", window, 1);
  if (window % 2 == 0) invalid("window is {} blocks, but must be odd", window);
  check_at_least("global", global, 0);
  check_at_least("random", random, 0);
  const std::int64_t blocks = (length - 1) / block + 1;
  const auto is_global = [&](std::int64_t i) { return i < global || i >= blocks - global; };
  const Mask fixed =
      square_blocks(length, block, 1, [&](std::int64_t, std::int64_t i, std::int64_t j) {
        return is_global(i) || is_global(j) || std::abs(i - j) <= window / 2;
      });
  return any_of_mask({fixed, random_blocks_mask(block, block, random, seed)});
}

Mask block_bert(std::int64_t length, std::int64_t blocks, const std::vector<std::int64_t>& shifts) {
  check_length(length);
  check_at_least("blocks", blocks, 1);
  const std::int64_t block = (length - 1) / blocks + 1;
  if ((length - 1) / block + 1 != blocks) {
    invalid("length {} in blocks of {} makes {} blocks, but {} are asked for", length, block,
            (length - 1) / block + 1, blocks);
  }
  if (shifts.empty()) invalid("shifts has 0 entries, but needs one for each head");
  for (std::int64_t shift : shifts) {
    if (shift < 0 || shift >= blocks) {
      invalid("a shift is {}, but must be within 0 and {}, for there are {} blocks", shift,
              blocks - 1, blocks);
    }
  }
  return square_blocks(length, block, static_cast<std::int64_t>(shifts.size()),
                       [&](std::int64_t head, std::int64_t i, std::int64_t j) {
                         return j == (i + shifts[static_cast<std::size_t>(head)]) % blocks;
                       });
}

Mask power_attention(std::int64_t length, std::int64_t block, std::int64_t sink_blocks,
                     std::int64_t window_blocks) {
  check_length(length);
  check_at_least("block", block, 1);
  check_at_least("sink_blocks", sink_blocks, 0);
  check_at_least("window_blocks", window_blocks, 0);
  const Mask blocks =
      square_blocks(length, block, 1, [&](std::int64_t, std::int64_t i, std::int64_t j) {
        if (j > i) return false;
        const auto distance = static_cast<std::uint64_t>(i - j);
        return j < sink_blocks || i - j < window_blocks || distance == 0 ||
               std::has_single_bit(distance);
      });
  return all_of_mask({blocks, causal_mask()});
}

Mask mswa(const std::vector<std::int64_t>& windows) {
  std::vector<Mask> masks;
  for (std::int64_t window : windows) masks.push_back(recent(window));
  return per_head_mask(std::move(masks));
}

Mask dilated_window(std::int64_t window, std::int64_t dilation, bool causal) {
  return dilated_window_mask(window, causal ? 0 : window, dilation);
}

Mask prefix_lm(std::int64_t prefix) { return any_of_mask({prefix_mask(prefix), causal_mask()}); }

Mask document(const std::vector<std::int64_t>& lengths, bool causal) {
  return documents_mask({lengths, lengths}, causal ? causal_mask() : dense_mask());
}

}  // namespace clattn::patterns
