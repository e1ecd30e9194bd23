// Random blocks: every row of query blocks sees a few key blocks, drawn without replacement. A draw
// is computed anew wherever it is asked for, from a counter-based hash, so that the mask is as
// small as its numbers; kernels_cl/common/masks.cl computes the same.
#include <fmt/format.h>

#include <bit>
#include <clattn/problem.hpp>

#include "host/masks/blocks.hpp"

namespace clattn {
namespace {

std::uint32_t mix(std::uint32_t bits) {
  bits = (bits ^ bits >> 16) * 0x6a09e667u;
  bits = (bits ^ bits >> 15) * 0xbb67ae85u;
  return bits ^ bits >> 16;
}

std::uint32_t random_bits(std::uint32_t seed, std::uint32_t row, std::uint32_t t) {
  return mix(mix(seed + (row + 1) * 0x9e3779b9u) + t);
}

class RandomBlocks final : public MaskNode {
 public:
  RandomBlocks(std::int64_t query_block, std::int64_t key_block, std::int64_t count,
               std::uint32_t seed)
      : query_block_(query_block), key_block_(key_block), count_(count), seed_(seed) {}

  bool allows(const Point& point, const Extent& extent) const override {
    const std::vector<std::int64_t> seen = draw(point.query / query_block_, extent);
    return std::binary_search(seen.begin(), seen.end(), point.key / key_block_);
  }

  std::string expression(ExpressionWriter& writer) const override {
    const auto integer = [&](std::int64_t value) {
      return writer.integer(std::min(value, Problem::kMaxLength));
    };
    const std::string seed = writer.integer(std::bit_cast<std::int32_t>(seed_));
    const std::string query_block = integer(query_block_), key_block = integer(key_block_);
    const std::string count = integer(count_);
    return fmt::format(
        "mask_random_block({0}, query / {1}, key / {2}, (key_len - 1) / {2} + 1, {3})", seed,
        query_block, key_block, count);
  }

  Coverage classify(const Slice&, const Range& queries, const Range& keys,
                    const Extent& extent) const override {
    if (queries.empty() || keys.empty()) return Coverage::none;
    const Range rows = blocks_of(queries, query_block_);
    const Range columns = blocks_of(keys, key_block_);
    bool visible = false;
    bool hidden = false;
    for (std::int64_t row = rows.begin; row < rows.end && !(visible && hidden); ++row) {
      const std::vector<std::int64_t> seen = draw(row, extent);
      const std::int64_t count = std::lower_bound(seen.begin(), seen.end(), columns.end) -
                                 std::lower_bound(seen.begin(), seen.end(), columns.begin);
      visible = visible || count > 0;
      hidden = hidden || count < columns.size();
    }
    if (visible && hidden) return Coverage::some;
    return visible ? Coverage::all : Coverage::none;
  }

  Range reach(const Slice&, const Range& queries, const Extent& extent) const override {
    if (queries.empty() || extent.key_len == 0 || count_ == 0) return {};
    const Range rows = blocks_of(queries, query_block_);
    Range columns{extent.key_len, 0};
    for (std::int64_t row = rows.begin; row < rows.end; ++row) {
      const std::vector<std::int64_t> seen = draw(row, extent);
      columns = {std::min(columns.begin, seen.front()), std::max(columns.end, seen.back() + 1)};
    }
    return tokens_of(columns, key_block_, extent.key_len);
  }

  std::vector<std::int64_t> seams(const Slice&, const Extent& extent) const override {
    return block_seams(query_block_, extent.query_len);
  }

  std::string to_json() const override {
    return fmt::format(R"({{"random_blocks":{{"q_block":{},"k_block":{},"count":{},"seed":{}}}}})",
                       query_block_, key_block_, count_, seed_);
  }

 private:
  // The key blocks that a row sees, ascending. Floyd's sample: as j goes over the last `count`
  // blocks, take a random one of the blocks up to j, or j itself where that one is taken.
  std::vector<std::int64_t> draw(std::int64_t row, const Extent& extent) const {
    const std::int64_t blocks = (extent.key_len + key_block_ - 1) / key_block_;
    const std::int64_t count = std::min(count_, blocks);
    std::vector<std::int64_t> seen;
    for (std::int64_t t = 0; t < count; ++t) {
      const std::int64_t j = blocks - count + t;
      const std::uint32_t bits =
          random_bits(seed_, static_cast<std::uint32_t>(row), static_cast<std::uint32_t>(t));
      const auto drawn =
          static_cast<std::int64_t>(static_cast<std::uint64_t>(bits) * (j + 1) >> 32);
      const auto place = std::lower_bound(seen.begin(), seen.end(), drawn);
      if (place == seen.end() || *place != drawn) {
        seen.insert(place, drawn);
      } else {
        seen.push_back(j);  // above all others
      }
    }
    return seen;
  }

  std::int64_t query_block_;
  std::int64_t key_block_;
  std::int64_t count_;
  std::uint32_t seed_;
};

}  // namespace

Mask random_blocks_mask(std::int64_t query_block, std::int64_t key_block, std::int64_t count,
                        std::uint32_t seed) {
  check_at_least("query_block of random blocks", query_block, 1);
  check_at_least("key_block of random blocks", key_block, 1);
  check_at_least("count of random blocks", count, 0);
  return std::make_shared<RandomBlocks>(query_block, key_block, count, seed);
}

}  // namespace clattn
