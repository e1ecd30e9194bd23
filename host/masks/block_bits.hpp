// A bit a block, in rows of 32-bit words: each row begins with a word, and bits past its columns
// are 0. The device reads the same words, with mask_block_bit of kernels_cl/common/masks.cl.
#pragma once

#include <algorithm>
#include <bit>
#include <clattn/mask.hpp>
#include <span>

namespace clattn {

class BlockBits {
 public:
  static constexpr std::int64_t kWord = 32;

  BlockBits(std::int64_t rows, std::int64_t columns)
      : stride_((columns + kWord - 1) / kWord), words_(rows * stride_) {}

  void set(std::int64_t row, std::int64_t column) {
    words_[row * stride_ + column / kWord] |= 1u << (column % kWord);
    any_ = true;
  }
  bool test(std::int64_t row, std::int64_t column) const {
    return words_[row * stride_ + column / kWord] >> (column % kWord) & 1u;
  }

  // Which bits of a word, counted from the begin of its row, are those of `columns`, one at least.
  static std::uint32_t bits_of(const Range& columns, std::int64_t word) {
    const std::int64_t begin = std::max<std::int64_t>(columns.begin - word * kWord, 0);
    const std::int64_t end = std::min(columns.end - word * kWord, kWord);
    return (~0u >> (kWord - (end - begin))) << begin;
  }

  // From the first bit that is set in a row to the last.
  Range span(std::int64_t row) const {
    const auto begin = words_.begin() + row * stride_;
    const auto end = begin + stride_;
    const auto first = std::find_if(begin, end, [](std::uint32_t word) { return word != 0; });
    if (first == end) return {};
    auto last = end - 1;
    while (*last == 0) --last;
    return {(first - begin) * kWord + std::countr_zero(*first),
            (last - begin + 1) * kWord - std::countl_zero(*last)};
  }

  bool any() const { return any_; }
  std::int64_t stride() const { return stride_; }
  std::uint32_t word(std::int64_t row, std::int64_t index) const {
    return words_[row * stride_ + index];
  }
  // As the device reads them.
  std::span<const std::int32_t> table() const {
    return {reinterpret_cast<const std::int32_t*>(words_.data()), words_.size()};
  }

 private:
  std::int64_t stride_;  // words a row
  std::vector<std::uint32_t> words_;
  bool any_ = false;
};

}  // namespace clattn
