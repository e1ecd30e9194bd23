// Products on tensor cores. wgmma: a warp's share of a warpgroup's products runs at random times
// between their commit and the wait for them; until then their sums hold NaN, and their left
// operands must stay as they are. mma.sync and ldmatrix: at once, by all work-items of the warp.
//
// Matrices in local memory lie in pieces of 64 columns with rows of 128 bytes, whose chunks of 16
// bytes are swizzled (PTX ISA, "Asynchronous warpgroup level matrix instructions").
#include <fmt/format.h>

#include <algorithm>
#include <clattn/reference.hpp>
#include <set>

#include "tests/emulation/machine.hpp"

namespace clattn::emulation {
namespace {

constexpr int kDepth = 16;
constexpr std::uint32_t kPoison = 0x7fffdead;  // a NaN that no computation gives

float element(const void* words, int index, bool bf16) {
  return static_cast<float>(load_element(bf16 ? DataType::bf16 : DataType::f16,
                                         static_cast<const std::byte*>(words), index));
}

// The fields of a matrix descriptor, in bytes.
struct Descriptor {
  explicit Descriptor(std::uint64_t bits)
      : start((bits & 0x3fff) << 4),
        leading((bits >> 16 & 0x3fff) << 4),
        stride((bits >> 32 & 0x3fff) << 4) {}
  // Chunk `chunk` of row `row`.
  std::uint32_t address(int row, int chunk) const {
    const std::uint32_t address =
        start + chunk / 8 * leading + row / 8 * stride + row % 8 * 128 + chunk % 8 * kChunk;
    return address ^ ((address >> 7 & 7) << 4);
  }
  std::uint32_t start, leading, stride;
};

bool is_swizzled(std::uint64_t descriptor) { return descriptor >> 62 == 1; }

// Which of a warp's 16 rows, and which column, element i of a work-item's sums is.
int row_of(int lane, int i) { return lane / 4 + 8 * (i >> 1 & 1); }
int column_of(int lane, int i) { return 8 * (i >> 2) + (i & 1) + 2 * (lane % 4); }

}  // namespace

// --- wgmma.

void Machine::fence_products(Position where) {
  item().where = where;
  item().products_fenced = true;
}

void Machine::multiply(Position where, const Product& product) {
  item().where = where;
  if (!item().products_fenced) fail("products without a fence of their registers", where);
  if (!is_swizzled(product.right_descriptor) ||
      (!product.left && !is_swizzled(product.left_descriptor))) {
    stop("a matrix descriptor without the swizzle of 128 bytes", where);
  }
  IssuedProduct issued{product, {}, where};
  if (product.left) std::copy_n(product.left, 4, issued.left_values);
  item().products.push_back(issued);
}

void Machine::commit_products(Position where) {
  item().products_fenced = false;
  join("products", {}, where, [&] {
    Warp& own = warp();
    const int first = item_ / kWarp * kWarp;
    ProductGroup& group = own.pending.emplace_back();
    for (int lane = 0; lane < kWarp; ++lane) {
      group.products[lane] = std::move(group_->items[first + lane].products);
      group_->items[first + lane].products.clear();
      if (group.products[lane].size() != group.products[0].size()) {
        stop("work-items of a warp issue different products", where);
      }
    }
    for (std::size_t k = 0; k < group.products[0].size(); ++k) {
      const IssuedProduct& leader = group.products[0][k];
      for (const auto& products : group.products) {
        if (products[k].left_descriptor != leader.left_descriptor ||
            products[k].right_descriptor != leader.right_descriptor) {
          fail("matrix descriptors differ within a warp", where);
        }
      }
      for (const ProductGroup& other : own.pending) {
        if (&other != &group && other.sums.contains(leader.sums)) {
          fail("sums are in two groups of products under way", where);
        }
      }
      auto& sums = group.sums[leader.sums];
      if (sums) continue;
      sums = std::make_unique<Sums>();
      for (int lane = 0; lane < kWarp; ++lane) {
        float* registers = group.products[lane][k].sums;
        for (int i = 0; i < leader.columns / 2; ++i) {
          sums->values[row_of(lane, i)][column_of(lane, i)] = registers[i];
          std::memcpy(&registers[i], &kPoison, sizeof kPoison);
        }
      }
    }
    ++own.committed;
    // Some products may read their operands at once. Where warps finish together they may not: one
    // of another warp, for which local memory is written later, may stand in front of them.
    if (warps_finish_together_ || own.pending.size() > 1) return;
    const std::size_t count = group.products[0].size();
    const std::uint64_t choice = random_.below(3);
    std::size_t early = choice == 0 ? 0 : choice == 1 ? count : random_.below(count + 1);
    for (; early > 0; --early) run_product(group, group.done++);
  });
  maybe_delay(where);
}

void Machine::run_product(ProductGroup& group, std::size_t index) {
  const IssuedProduct& product = group.products[0][index];
  auto& sums = group.sums.at(product.sums)->values;
  const auto chunk = [&](std::uint32_t address, const char* what) {
    use_asynchronously(address, what, product.where);
    return at(address, kChunk, product.where);
  };

  float left[16][kDepth];
  if (product.left) {
    for (int lane = 0; lane < kWarp; ++lane) {
      const auto& registers = group.products[lane][index].left_values;
      for (int i = 0; i < 4; ++i) {
        for (int j = 0; j < 2; ++j) {
          left[lane / 4 + 8 * (i & 1)][2 * (lane % 4) + 8 * (i >> 1) + j] =
              element(&registers[i], j, product.bf16);
        }
      }
    }
  } else {
    const Descriptor matrix(product.left_descriptor);
    const int first = item_ / kWarp % 4 * 16;
    // The operand is the warpgroup's: that a warp needs its own rows only is nowhere promised.
    for (int row = 0; row < 64; ++row) {
      for (int c = 0; c < kDepth / 8; ++c) {
        const std::byte* from = chunk(matrix.address(row, c), "wgmma reads");
        if (row / 16 * 16 != first) continue;
        for (int i = 0; i < 8; ++i) {
          left[row - first][8 * c + i] = element(from, i, product.bf16);
        }
      }
    }
  }

  float right[kDepth][256];
  const Descriptor matrix(product.right_descriptor);
  const int rows = product.transposed ? kDepth : product.columns;
  const int chunks = (product.transposed ? product.columns : kDepth) / 8;
  for (int row = 0; row < rows; ++row) {
    for (int c = 0; c < chunks; ++c) {
      const std::byte* from = chunk(matrix.address(row, c), "wgmma reads");
      for (int i = 0; i < 8; ++i) {
        const float value = element(from, i, product.bf16);
        (product.transposed ? right[row][8 * c + i] : right[8 * c + i][row]) = value;
      }
    }
  }

  for (int row = 0; row < 16; ++row) {
    if (!product.accumulates) std::fill_n(sums[row], product.columns, 0.0f);
    for (int i = 0; i < kDepth; ++i) {
      for (int column = 0; column < product.columns; ++column) {
        sums[row][column] += left[row][i] * right[i][column];
      }
    }
  }
}

void Machine::finish_products(Position where) {
  ProductGroup& group = warp().pending.front();
  const std::size_t count = group.products[0].size();
  while (group.done < count) run_product(group, group.done++);
  std::set<float*> finished;
  for (std::size_t k = 0; k < count; ++k) {
    const bool is_first = finished.insert(group.products[0][k].sums).second;
    const auto& sums = group.sums.at(group.products[0][k].sums)->values;
    for (int lane = 0; lane < kWarp; ++lane) {
      const IssuedProduct& product = group.products[lane][k];
      if (product.left && !std::equal(product.left_values, product.left_values + 4, product.left)) {
        fail("registers change while wgmma reads them", where);
      }
      if (!is_first) continue;
      for (int i = 0; i < product.columns / 2; ++i) {
        if (std::memcmp(&product.sums[i], &kPoison, sizeof kPoison) != 0) {
          fail("sums change while wgmma holds them", where);
        }
        product.sums[i] = sums[row_of(lane, i)][column_of(lane, i)];
      }
    }
  }
  warp().pending.pop_front();
}

void Machine::wait_products(Position where, int pending) {
  maybe_delay(where, 6);
  const auto left = static_cast<std::size_t>(pending);
  if (warps_finish_together_) {
    const std::uint64_t committed = warp().committed;
    wait(Waiting::products, 0, committed - std::min<std::uint64_t>(left, committed), where);
  }
  join("wait for products", {}, where, [&] {
    while (warp().pending.size() > left) finish_products(where);
  });
}

// --- mma.sync.

void Machine::load_matrices(Position where, std::uint32_t* registers, int count, bool transposed,
                            std::uint32_t address) {
  item().where = where;
  const int lane = item_ % kWarp;
  if (lane < 8 * count) {
    at(address, kChunk, where);
    const Chunk& chunk = chunk_at(*group_, address);
    if (address % kChunk != 0) stop("ldmatrix of a row that is not aligned", where);
    if (chunk.copier || chunk.bulk) fail("ldmatrix reads what is being copied", where);
    chunk_at(*group_, address).reader = item_ + 1;
    item().touched.push_back((address - kLocalBase) / kChunk);
  }
  // Words 0: addresses; from word 1 on: what they hold, which the last one to come reads for all.
  const Words& words = join("ldmatrix", {&address, 1}, where, [&] {
    Words& joined = warp().words[warp().joins & 1];
    for (int i = 0; i < 8 * count; ++i) {
      std::memcpy(&joined[i][1], at(*group_, joined[i][0]), kChunk);
    }
  });
  for (int matrix = 0; matrix < count; ++matrix) {
    std::uint16_t elements[2];
    for (int j = 0; j < 2; ++j) {
      const int row = transposed ? 2 * (lane % 4) + j : lane / 4;
      const int column = transposed ? lane / 4 : 2 * (lane % 4) + j;
      const auto* bytes = reinterpret_cast<const std::byte*>(&words[8 * matrix + row][1]);
      std::memcpy(&elements[j], bytes + 2 * column, 2);
    }
    registers[matrix] = elements[0] | static_cast<std::uint32_t>(elements[1]) << 16;
  }
  maybe_delay(where);
}

void Machine::multiply_add(Position where, float* sums, const std::uint32_t* left,
                           const std::uint32_t* right, int depth, bool bf16) {
  std::uint32_t operands[kExchanged];
  const int lefts = depth / 4, rights = depth / 8;
  std::copy_n(left, lefts, operands);
  std::copy_n(right, rights, operands + lefts);
  const Words& words = join("mma", {operands, static_cast<std::size_t>(lefts + rights)}, where);
  const int lane = item_ % kWarp;
  for (int i = 0; i < 4; ++i) {
    const int row = row_of(lane, i), column = column_of(lane, i);
    for (int k = 0; k < depth; ++k) {
      const auto& a = words[row % 8 * 4 + k % 8 / 2];
      const auto& b = words[column * 4 + k % 8 / 2];
      sums[i] +=
          element(&a[2 * (k / 8) + row / 8], k % 2, bf16) * element(&b[lefts + k / 8], k % 2, bf16);
    }
  }
}

}  // namespace clattn::emulation
