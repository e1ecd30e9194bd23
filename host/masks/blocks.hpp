// What block lists and masks of blocks share: which blocks a range touches, which tokens they hold,
// where they begin, and the check of sizes.
#pragma once

#include <algorithm>
#include <clattn/mask.hpp>
#include <initializer_list>
#include <limits>

#include "host/invalid.hpp"

namespace clattn {

inline void check_at_least(const char* name, std::int64_t value, std::int64_t least) {
  if (value < least) invalid("{} is {}, but must be {} or more", name, value, least);
}

// The product of sizes that are not negative. One beyond 64 bits is cut to the largest number,
// which no array has.
inline std::int64_t count_of(std::initializer_list<std::int64_t> sizes) {
  std::int64_t count = 1;
  for (std::int64_t size : sizes) {
    if (size == 0) return 0;
    const bool fits = count <= std::numeric_limits<std::int64_t>::max() / size;
    count = fits ? count * size : std::numeric_limits<std::int64_t>::max();
  }
  return count;
}

// The blocks that a range of tokens, which is not empty, touches.
inline Range blocks_of(const Range& tokens, std::int64_t block) {
  return {tokens.begin / block, (tokens.end - 1) / block + 1};
}

// The tokens of a range of blocks, of which the last may be ragged.
inline Range tokens_of(const Range& blocks, std::int64_t block, std::int64_t length) {
  return {blocks.begin * block, std::min(blocks.end * block, length)};
}

inline std::vector<std::int64_t> block_seams(std::int64_t block, std::int64_t length) {
  std::vector<std::int64_t> seams;
  for (std::int64_t begin = block; begin < length; begin += block) seams.push_back(begin);
  return seams;
}

}  // namespace clattn
