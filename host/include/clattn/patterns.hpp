// Published sparse attention patterns as named constructors, each exactly as its source defines it:
// compositions of the masks of mask.hpp and blocks.hpp, and one mask of its own. Positions are
// those of mask.hpp: query i is at p = i + key_len - query_len among the keys. All throw Error
// (invalid_argument) on sizes that make no sense, with the value and the limit.
//
// Those that take a `length` are for query_len = key_len = length; a problem whose lengths make
// other numbers of blocks is refused. Block b holds the tokens [b * block, (b + 1) * block), the
// last block may be shorter, and a pair is in block (i, j) when its query is in block i and its key
// in block j.
#pragma once

#include <clattn/export.h>

#include <clattn/mask.hpp>
#include <cstdint>
#include <vector>

namespace clattn::patterns {

// StreamingLLM (Xiao et al., arXiv 2309.17453): the first `sinks` tokens and the last `window`
// tokens, the query's own included; causal. Visible iff j <= p and (j < sinks or j > p - window).
CLATTN_API Mask streaming_llm(std::int64_t sinks, std::int64_t window);

// DuoAttention (Xiao et al., arXiv 2410.10819): retrieval heads attend to everything causal,
// streaming heads as StreamingLLM. One flag a head.
CLATTN_API Mask duo_attention(const std::vector<bool>& retrieval_heads, std::int64_t sinks,
                              std::int64_t window);

// BigBird (Zaheer et al., arXiv 2007.14062), internal transformer construction in its block form,
// bidirectional. Block (i, j) is visible iff |i - j| <= (window - 1) / 2 (`window` is odd), or i or
// j is one of the first or last `global` blocks, or j is one of the `random` blocks that
// random_blocks_mask draws for row i. As in the paper's definition a random block may be one that
// is visible anyway.
CLATTN_API Mask big_bird(std::int64_t length, std::int64_t block, std::int64_t window,
                         std::int64_t global, std::int64_t random, std::uint32_t seed);

// BlockBERT (Qiu et al., arXiv 1911.02972): n = `blocks` blocks of ceil(length / n) tokens, where
// block (i, j) is visible in head h iff j = (i + shifts[h]) mod n, the cyclic permutations that the
// paper assigns to heads. One shift a head, within 0 and n - 1. Throws where blocks of that size
// are fewer than n.
CLATTN_API Mask block_bert(std::int64_t length, std::int64_t blocks,
                           const std::vector<std::int64_t>& shifts);

// PowerAttention (Chen et al., arXiv 2503.03588, algorithm 1): pair (i, j) with j <= i is visible
// iff, with d the block of i less the block of j, d < window_blocks, or d is 0 or a power of two,
// or the block of j is one of the first `sink_blocks` (the paper has 1).
CLATTN_API Mask power_attention(std::int64_t length, std::int64_t block, std::int64_t sink_blocks,
                                std::int64_t window_blocks);

// MSWA (Xu et al., arXiv 2501.01039): causal windows of several sizes over the heads. Head h sees
// the last windows[h] tokens, its own included: p - windows[h] < j <= p.
CLATTN_API Mask mswa(const std::vector<std::int64_t>& windows);

// Dilated sliding window (Longformer, Beltagy et al., arXiv 2004.05150): j = p + t * dilation for
// whole t with -window <= t <= window, or t <= 0 if causal.
CLATTN_API Mask dilated_window(std::int64_t window, std::int64_t dilation, bool causal);

// Radial attention (Li et al., arXiv 2506.19852, equation 4) for video: query_len = key_len =
// frames * s with s = frame_tokens, else a problem is refused. Token n is in frame n / s at
// position n % s. With the frames' distance d, and o = 2^floor(log2(max(d, 1))), positions k and l
// see each other iff
//   o <= s and |k - l| + 1 <= s / o: the band halves as the distance doubles, and within a frame
//   and
//     between neighbours all are visible;
//   or k = l and d is a multiple of ceil(o / s): where the band is thinner than a token, its
//   diagonal
//     is kept only every so many frames;
//   or the key is in the first frame, the attention sink.
// Token by token, where the authors' code approximates it by blocks of 128.
CLATTN_API Mask radial(std::int64_t frames, std::int64_t frame_tokens);

// Prefix-LM (Raffel et al., arXiv 1910.10683): visible iff j < prefix or j <= p.
CLATTN_API Mask prefix_lm(std::int64_t prefix);

// Packed documents (Krell et al., arXiv 2107.02027): document d is the next lengths[d] queries and
// as many keys; a query sees its own document, causally or whole.
CLATTN_API Mask document(const std::vector<std::int64_t>& lengths, bool causal);

}  // namespace clattn::patterns
