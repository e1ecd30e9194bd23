// Masks of blocks: a pattern of whole blocks, and block lists, where partial blocks ask another
// mask. Both keep bits in the rows (b * heads + h) * query_blocks + query / query_block and the
// columns key / key_block; broadcast batch and heads have one slice of rows.
#include "host/masks/blocks.hpp"

#include <fmt/format.h>

#include <clattn/blocks.hpp>
#include <clattn/problem.hpp>
#include <functional>

#include "host/masks/block_bits.hpp"
#include "host/masks/parts.hpp"

namespace clattn {
namespace {

// A nested JSON array of `sizes`; item(i) is the text of element i in row-major order.
std::string nested(std::span<const std::int64_t> sizes,
                   const std::function<std::string(std::int64_t)>& item, std::int64_t index = 0) {
  if (sizes.empty()) return item(index);
  std::string text = "[";
  for (std::int64_t i = 0; i < sizes.front(); ++i) {
    if (i > 0) text += ',';
    text += nested(sizes.subspan(1), item, index * sizes.front() + i);
  }
  return text + "]";
}

class BlockMask : public MaskNode {
 public:
  bool allows(const Point& point, const Extent& extent) const final {
    const std::int64_t column = point.key / shape_.key_block;
    const std::int64_t slice = slice_of({point.batch, point.head});
    const std::int64_t row = slice * query_blocks_ + point.query / shape_.query_block;
    if (point.key >= key_end(slice, column)) return false;
    return full_.test(row, column) ||
           (partial_.test(row, column) && inside_->allows(point, extent));
  }

  std::string expression(ExpressionWriter& writer) const final {
    if (!full_.any() && !partial_.any()) return "0";
    const auto integer = [&](std::int64_t value) {
      return writer.integer(std::min(value, Problem::kMaxLength));
    };
    const std::string query_block = integer(shape_.query_block);
    const std::string key_block = integer(shape_.key_block);
    const std::string column = "key / " + key_block;
    std::string slice;  // none where there is but one
    if (shape_.batch > 1 && shape_.heads > 1) {
      slice = "(batch * " + integer(shape_.heads) + " + head) * ";
    } else if (shape_.batch > 1 || shape_.heads > 1) {
      slice = shape_.batch > 1 ? "batch * " : "head * ";
    }
    const auto in_slice = [&](std::int64_t size, const std::string& index) {
      return slice.empty() ? index : slice + integer(size) + " + " + index;
    };
    const std::string row = in_slice(query_blocks_, "query / " + query_block);
    const std::string stride = integer(full_.stride());
    const auto bit = [&](const BlockBits& bits) {
      return fmt::format("mask_block_bit({}, {}, {}, {})", writer.table(bits.table()), stride, row,
                         column);
    };
    std::string text;
    if (full_.any()) text = bit(full_);
    if (full_.any() && partial_.any()) text += " || ";
    if (partial_.any()) text += "(" + bit(partial_) + " && (" + inside_->expression(writer) + "))";
    if (key_lengths_.empty()) return text;
    const std::string lengths = writer.table(key_lengths_);
    return fmt::format("key % {} < {}[{}] && ({})", key_block, lengths,
                       in_slice(key_blocks_, column), text);
  }

  Coverage classify(const Slice& slice, const Range& queries, const Range& keys,
                    const Extent& extent) const final {
    if (queries.empty() || keys.empty()) return Coverage::none;
    const auto [full, partial, hidden] = look(slice, queries, keys);
    if (full && hidden) return Coverage::some;
    if (!partial) return full ? Coverage::all : Coverage::none;
    const Coverage inside = inside_->classify(slice, queries, keys, extent);
    if (inside == Coverage::none && !full) return Coverage::none;
    if (inside == Coverage::all && !hidden) return Coverage::all;
    return Coverage::some;
  }

  // That of the inside, where all blocks are partial.
  std::optional<Band> band(const Slice& slice, const Range& queries, const Range& keys,
                           const Extent& extent) const final {
    const auto [full, partial, hidden] = look(slice, queries, keys);
    if (full || hidden || !partial) return std::nullopt;
    return inside_->band(slice, queries, keys, extent);
  }

  Range reach(const Slice& slice, const Range& queries, const Extent& extent) const final {
    if (queries.empty()) return {};
    const std::int64_t slice_index = slice_of(slice);
    const Range rows = blocks_of(queries, shape_.query_block);
    const auto keys_of = [&](const BlockBits& bits) {
      Range columns;
      for (std::int64_t i = rows.begin; i < rows.end; ++i) {
        columns = hull(columns, bits.span(slice_index * query_blocks_ + i));
      }
      if (columns.empty()) return Range{};
      Range keys = tokens_of(columns, shape_.key_block, extent.key_len);
      keys.end = std::min(keys.end, key_end(slice_index, columns.end - 1));
      return keys;
    };
    Range partial = keys_of(partial_);
    if (!partial.empty()) {
      const Range inside = inside_->reach(slice, queries, extent);
      partial = {std::max(partial.begin, inside.begin), std::min(partial.end, inside.end)};
    }
    const Range keys = hull(keys_of(full_), partial);
    return keys.empty() ? Range{} : keys;
  }

  Variation variation() const final {
    const Variation inside = inside_->variation();
    return {shape_.batch > 1 || inside.batch, shape_.heads > 1 || inside.head};
  }

  std::vector<std::int64_t> seams(const Slice&, const Extent& extent) const final {
    return block_seams(shape_.query_block, extent.query_len);
  }

  void validate(const Extent& extent, std::int64_t batch, std::int64_t heads) const final {
    const auto check_blocks = [](const char* what, std::int64_t length, std::int64_t block,
                                 std::int64_t blocks, std::int64_t expected) {
      if (blocks == expected) return;
      invalid("{} of {} make {} blocks of {}, but the mask has {}", what, length, blocks, block,
              expected);
    };
    check_blocks("query_len", extent.query_len, shape_.query_block, shape_.query_blocks(extent),
                 query_blocks_);
    check_blocks("key_len", extent.key_len, shape_.key_block, shape_.key_blocks(extent),
                 key_blocks_);
    const auto check_size = [](const char* what, std::int64_t size, std::int64_t expected) {
      if (size == 1 || size == expected) return;
      invalid("{} of the block mask is {}, but must be 1 or {}, the problem's", what, size,
              expected);
    };
    check_size("batch", shape_.batch, batch);
    check_size("heads", shape_.heads, heads);
    inside_->validate(extent, batch, heads);
  }

 protected:
  BlockMask(const BlockShape& shape, std::int64_t query_blocks, std::int64_t key_blocks,
            std::vector<std::int32_t> key_lengths, Mask inside)
      : shape_(shape),
        query_blocks_(query_blocks),
        key_blocks_(key_blocks),
        full_(rows(), key_blocks),
        partial_(rows(), key_blocks),
        key_lengths_(std::move(key_lengths)),
        inside_(std::move(inside)) {}

  std::int64_t rows() const { return shape_.batch * shape_.heads * query_blocks_; }

  // A JSON array [batch, heads, rows]; item(i) is the text of row i.
  std::string json_rows(std::int64_t rows,
                        const std::function<std::string(std::int64_t)>& item) const {
    const std::int64_t sizes[] = {shape_.batch, shape_.heads, rows};
    return nested(sizes, item);
  }

  BlockShape shape_;
  std::int64_t query_blocks_;
  std::int64_t key_blocks_;
  BlockBits full_;
  BlockBits partial_;
  std::vector<std::int32_t> key_lengths_;  // [batch, heads, key_blocks], or empty: all keys exist
  Mask inside_;                            // of partial blocks

 private:
  // What kinds of blocks a rectangle holds; no more is asked once there are full and hidden ones.
  struct Kinds {
    bool full = false;
    bool partial = false;
    bool hidden = false;
  };
  Kinds look(const Slice& slice, const Range& queries, const Range& keys) const {
    const Range rows = blocks_of(queries, shape_.query_block);
    const Range columns = blocks_of(keys, shape_.key_block);
    const std::int64_t slice_index = slice_of(slice);
    Kinds kinds;
    // Of the keys of this rectangle, whether some and whether none are within the key lengths.
    bool rest = key_lengths_.empty();
    for (std::int64_t j = columns.begin; !key_lengths_.empty() && j < columns.end; ++j) {
      const Range block = tokens_of({j, j + 1}, shape_.key_block, keys.end);
      const std::int64_t end = key_end(slice_index, j);
      kinds.hidden = kinds.hidden || end < block.end;
      rest = rest || end > std::max(block.begin, keys.begin);
    }
    if (!rest) return kinds;
    for (std::int64_t i = rows.begin; i < rows.end; ++i) {
      const std::int64_t row = slice_index * query_blocks_ + i;
      for (std::int64_t word = columns.begin / BlockBits::kWord;
           word * BlockBits::kWord < columns.end; ++word) {
        const std::uint32_t asked = BlockBits::bits_of(columns, word);
        const std::uint32_t full = full_.word(row, word);
        const std::uint32_t partial = partial_.word(row, word);
        kinds.full = kinds.full || (full & asked);
        kinds.partial = kinds.partial || (partial & asked);
        kinds.hidden = kinds.hidden || (~(full | partial) & asked);
        if (kinds.full && kinds.hidden) return kinds;
      }
    }
    return kinds;
  }

  std::int64_t slice_of(const Slice& slice) const {
    return (shape_.batch > 1 ? slice.batch : 0) * shape_.heads +
           (shape_.heads > 1 ? slice.head : 0);
  }

  // Behind the last key of a block that exists, be it within the length or not.
  std::int64_t key_end(std::int64_t slice, std::int64_t column) const {
    return column * shape_.key_block +
           (key_lengths_.empty() ? shape_.key_block : key_lengths_[slice * key_blocks_ + column]);
  }
};

class Blocks final : public BlockMask {
 public:
  Blocks(const BlockShape& shape, std::int64_t query_blocks, std::int64_t key_blocks,
         const std::vector<std::uint8_t>& kept)
      : BlockMask(shape, query_blocks, key_blocks, {}, dense_mask()) {
    for (std::int64_t row = 0; row < rows(); ++row) {
      for (std::int64_t column = 0; column < key_blocks; ++column) {
        if (kept[row * key_blocks + column]) full_.set(row, column);
      }
    }
  }

  std::string to_json() const override {
    return fmt::format(R"({{"blocks":{{"q_block":{},"k_block":{},"mask":{}}}}})",
                       shape_.query_block, shape_.key_block,
                       json_rows(query_blocks_, [&](std::int64_t row) {
                         std::string text = "\"";
                         for (std::int64_t j = 0; j < key_blocks_; ++j)
                           text += full_.test(row, j) ? '1' : '0';
                         return text + "\"";
                       }));
  }
};

class Lists final : public BlockMask {
 public:
  Lists(const BlockLists& lists, const Extent& extent, Mask inside)
      : BlockMask(lists.shape, lists.shape.query_blocks(extent), lists.shape.key_blocks(extent),
                  lists.key_lengths, std::move(inside)) {
    const std::int64_t capacity = lists.shape.row_capacity(extent);
    const auto take = [&](const auto& counts, const auto& indices, BlockBits& bits) {
      for (std::int64_t row = 0; row < static_cast<std::int64_t>(counts.size()); ++row) {
        for (std::int32_t i = 0; i < counts[row]; ++i) bits.set(row, indices[row * capacity + i]);
      }
    };
    take(lists.partial_count, lists.partial_index, partial_);
    take(lists.full_count, lists.full_index, full_);
  }

  // Rows of indices are as long as the longest needs, and filled up with 0.
  std::string to_json() const override {
    std::size_t capacity = 1;
    for (const BlockBits* bits : {&partial_, &full_}) {
      for (std::int64_t row = 0; row < rows(); ++row) {
        capacity = std::max(capacity, columns_of(*bits, row).size());
      }
    }
    std::string text = fmt::format(R"({{"block_lists":{{"q_block":{},"k_block":{})",
                                   shape_.query_block, shape_.key_block);
    for (const auto& [name, bits] : {std::pair("partial", &partial_), std::pair("full", &full_)}) {
      text += fmt::format(R"(,"{0}_count":{1},"{0}_index":{2})", name,
                          json_rows(query_blocks_,
                                    [&, bits = bits](std::int64_t row) {
                                      return std::to_string(columns_of(*bits, row).size());
                                    }),
                          json_rows(query_blocks_, [&, bits = bits](std::int64_t row) {
                            std::vector<std::int64_t> columns = columns_of(*bits, row);
                            columns.resize(capacity);
                            return fmt::format("[{}]", fmt::join(columns, ","));
                          }));
    }
    if (!key_lengths_.empty()) {
      text += ",\"key_lengths\":" + json_rows(key_blocks_, [&](std::int64_t row) {
                return std::to_string(key_lengths_[row]);
              });
    }
    const std::string inside = inside_->to_json();
    if (inside != "{}") text += ",\"mask\":" + inside;
    return text + "}}";
  }

 private:
  std::vector<std::int64_t> columns_of(const BlockBits& bits, std::int64_t row) const {
    std::vector<std::int64_t> columns;
    for (std::int64_t j = 0; j < key_blocks_; ++j) {
      if (bits.test(row, j)) columns.push_back(j);
    }
    return columns;
  }
};

}  // namespace

Mask block_lists_mask(BlockLists lists, const Extent& extent, Mask inside) {
  validate(lists, extent);
  check_part("block_lists", inside);
  return std::make_shared<Lists>(lists, extent, std::move(inside));
}

Mask blocks_mask(const BlockShape& shape, std::int64_t query_blocks, std::int64_t key_blocks,
                 std::vector<std::uint8_t> kept) {
  check_at_least("query_block", shape.query_block, 1);
  check_at_least("key_block", shape.key_block, 1);
  check_at_least("batch", shape.batch, 1);
  check_at_least("heads", shape.heads, 1);
  check_at_least("query_blocks", query_blocks, 0);
  check_at_least("key_blocks", key_blocks, 0);
  const std::int64_t expected = count_of({shape.batch, shape.heads, query_blocks, key_blocks});
  if (kept.size() != static_cast<std::size_t>(expected)) {
    invalid("the block mask has {} entries, but {} x {} x {} x {} are {}", kept.size(), shape.batch,
            shape.heads, query_blocks, key_blocks, expected);
  }
  return std::make_shared<Blocks>(shape, query_blocks, key_blocks, kept);
}

}  // namespace clattn
