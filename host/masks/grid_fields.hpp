// Coordinates of a grid in the fields of one integer, the last dimension lowest, each with a guard
// bit above it (clattn_query_entry in kernels_cl/common/arguments.h).
#pragma once

#include <bit>
#include <cstdint>
#include <vector>

namespace clattn {

class GridFields {
 public:
  // Coordinates of dimension d are below sizes[d].
  explicit GridFields(const std::vector<std::int64_t>& sizes) : shifts_(sizes.size()) {
    int bit = 0;
    for (std::size_t d = sizes.size(); d-- > 0;) {
      shifts_[d] = bit;
      bit += std::bit_width(static_cast<std::uint64_t>(sizes[d] - 1)) + 1;
      if (bit > kBits) {
        guard_ = 0;
        return;
      }
      guard_ |= 1 << (bit - 1);
    }
  }

  bool fit() const { return guard_ != 0; }
  std::int32_t guard() const { return guard_; }
  // 0 where the fields do not fit.
  std::int64_t packed(std::size_t dimension, std::int64_t coordinate) const {
    return fit() ? coordinate << shifts_[dimension] : 0;
  }

 private:
  static constexpr int kBits = 31;  // an int of no sign

  std::vector<int> shifts_;
  std::int32_t guard_ = 0;
};

}  // namespace clattn
