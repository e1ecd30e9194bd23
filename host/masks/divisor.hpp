// Whole-number division on a device as a multiplication, which costs a fraction: what mask_quotient
// of kernels_cl/common/masks.cl reads.
#pragma once

#include <bit>
#include <cstdint>
#include <vector>

namespace clattn {

// Appends the divisor, 1 to 2^30, its multiplier 2^(31 + shift) / divisor, rounded up, and the
// shift, with 2^shift the next power of two from the divisor on.
inline void append_divisor(std::vector<std::int32_t>& table, std::int64_t divisor) {
  const auto shift = static_cast<int>(std::bit_width(static_cast<std::uint64_t>(divisor - 1)));
  const std::uint64_t power = std::uint64_t{1} << (31 + shift);
  const std::uint64_t multiplier = (power - 1) / static_cast<std::uint64_t>(divisor) + 1;
  table.push_back(static_cast<std::int32_t>(divisor));
  table.push_back(std::bit_cast<std::int32_t>(static_cast<std::uint32_t>(multiplier)));
  table.push_back(shift);
}

}  // namespace clattn
