// The published patterns against their definitions, written down again as plain loops over pairs
// that share nothing with the masks. Each is held to it over several sizes, ragged ones among them,
// and so are the views that a schedule is made from.
#include <clattn/patterns.hpp>
#include <cmath>
#include <functional>
#include <map>

#include "tests/support.hpp"

namespace clattn {
namespace {

using test::expect_error;

constexpr ErrorCategory kInvalid = ErrorCategory::invalid_argument;

using Definition = std::function<bool(std::int64_t head, std::int64_t i, std::int64_t j)>;

// All pairs, the exact count, the reach of every query, and a few rectangles of every size.
void expect_pattern(const Mask& mask, const Extent& extent, std::int64_t heads,
                    const Definition& visible) {
  SCOPED_TRACE(mask->to_json() + " over " + std::to_string(extent.query_len) + " x " +
               std::to_string(extent.key_len));
  mask->validate(extent, 2, heads);
  for (std::int64_t head = 0; head < heads; ++head) {
    const Slice slice{1, head};
    std::int64_t count = 0;
    for (std::int64_t i = 0; i < extent.query_len; ++i) {
      const Range reach = mask->reach(slice, {i, i + 1}, extent);
      for (std::int64_t j = 0; j < extent.key_len; ++j) {
        const bool expected = visible(head, i, j);
        ASSERT_EQ(mask->allows({1, head, i, j}, extent), expected)
            << "head " << head << ", query " << i << ", key " << j;
        ASSERT_TRUE(!expected || (reach.begin <= j && j < reach.end)) << i << ", " << j;
        count += expected;
      }
    }
    ASSERT_EQ(count_visible_pairs(*mask, slice, extent), count);
    for (std::int64_t size = 1; size <= extent.query_len; size = size * 2 + 1) {
      for (std::int64_t i = 0; i + size <= extent.query_len; i += size) {
        for (std::int64_t j = 0; j + size <= extent.key_len; j += size) {
          std::int64_t inside = 0;
          for (std::int64_t pair = 0; pair < size * size; ++pair) {
            inside += visible(head, i + pair / size, j + pair % size);
          }
          const Coverage coverage = mask->classify(slice, {i, i + size}, {j, j + size}, extent);
          ASSERT_TRUE(coverage != Coverage::none || inside == 0) << i << ", " << j << ", " << size;
          ASSERT_TRUE(coverage != Coverage::all || inside == size * size)
              << i << ", " << j << ", " << size;
        }
      }
    }
  }
}

const std::vector<Extent> kExtents = {{1, 1}, {7, 7}, {33, 33}, {5, 21}, {21, 5}, {64, 40}};

TEST(Patterns, StreamingLlm) {
  for (const Extent& extent : kExtents) {
    for (std::int64_t sinks : {0, 1, 4, 100}) {
      for (std::int64_t window : {1, 3, 8, 100}) {
        expect_pattern(patterns::streaming_llm(sinks, window), extent, 1,
                       [&](std::int64_t, std::int64_t i, std::int64_t j) {
                         const std::int64_t p = i + extent.key_len - extent.query_len;
                         return j <= p && (j < sinks || p - j < window);
                       });
      }
    }
  }
}

TEST(Patterns, DuoAttention) {
  const std::vector<bool> retrieval = {true, false, false, true, false};
  for (const Extent& extent : kExtents) {
    expect_pattern(patterns::duo_attention(retrieval, 2, 5), extent, 5,
                   [&](std::int64_t head, std::int64_t i, std::int64_t j) {
                     const std::int64_t p = i + extent.key_len - extent.query_len;
                     if (j > p) return false;
                     return head == 0 || head == 3 || j < 2 || j > p - 5;
                   });
  }
}

// The random blocks of a row, by Floyd's sample with the hash of masks.cl.
std::vector<bool> random_row(std::uint32_t seed, std::uint32_t row, std::uint32_t blocks,
                             std::uint32_t count) {
  const auto mix = [](std::uint32_t x) {
    x = (x ^ (x >> 16)) * 1779033703u;
    x = (x ^ (x >> 15)) * 3144134277u;
    return x ^ (x >> 16);
  };
  std::vector<bool> seen(blocks);
  count = std::min(count, blocks);
  for (std::uint32_t t = 0; t < count; ++t) {
    const std::uint32_t last = blocks - count + t;
    const std::uint64_t bits = mix(mix(seed + 2654435769u * (row + 1)) + t);
    const auto drawn = static_cast<std::uint32_t>((bits * (last + 1)) >> 32);
    seen[seen[drawn] ? last : drawn] = true;
  }
  return seen;
}

TEST(Patterns, BigBird) {
  for (std::int64_t length : {1, 16, 45, 64}) {
    for (std::int64_t block : {1, 4, 7, 100}) {
      for (const auto& [window, global, random] :
           {std::array{1, 0, 0}, std::array{3, 1, 2}, std::array{5, 2, 3}, std::array{1, 1, 40}}) {
        const std::int64_t n = (length + block - 1) / block;
        std::map<std::int64_t, std::vector<bool>> drawn;
        for (std::int64_t row = 0; row < n; ++row) drawn[row] = random_row(9, row, n, random);
        expect_pattern(patterns::big_bird(length, block, window, global, random, 9),
                       {length, length}, 1, [&](std::int64_t, std::int64_t i, std::int64_t j) {
                         const std::int64_t row = i / block, column = j / block;
                         for (std::int64_t g = 0; g < global; ++g) {
                           if (row == g || column == g) return true;
                           if (row == n - 1 - g || column == n - 1 - g) return true;
                         }
                         for (std::int64_t w = -(window - 1) / 2; w <= (window - 1) / 2; ++w) {
                           if (column == row + w) return true;
                         }
                         return static_cast<bool>(drawn[row][column]);
                       });
      }
    }
  }
}

TEST(Patterns, BlockBert) {
  // Where n divides the length: M(i, j) = 1 iff pi(floor(i n / N)) = floor(j n / N), counted from
  // 0.
  for (const auto& [length, n] : {std::pair{12, 3}, {40, 4}, {40, 5}, {8, 8}, {6, 1}}) {
    std::vector<std::int64_t> shifts;
    for (std::int64_t shift = 0; shift < n; ++shift) shifts.push_back(shift);
    expect_pattern(patterns::block_bert(length, n, shifts), {length, length}, n,
                   [&, length = length, n = n](std::int64_t head, std::int64_t i, std::int64_t j) {
                     std::vector<std::int64_t> permutation(n);
                     for (std::int64_t k = 0; k < n; ++k) permutation[k] = (k + head) % n;
                     return permutation[i * n / length] == j * n / length;
                   });
  }
  // Ragged: 4 blocks of 6, the last of 5.
  expect_pattern(patterns::block_bert(23, 4, {1, 3}), {23, 23}, 2,
                 [](std::int64_t head, std::int64_t i, std::int64_t j) {
                   return (i / 6 + (head == 0 ? 1 : 3)) % 4 == j / 6;
                 });
}

TEST(Patterns, PowerAttention) {
  for (std::int64_t length : {1, 30, 64, 77}) {
    for (std::int64_t block : {1, 3, 8, 100}) {
      for (const auto& [sinks, window] : {std::pair{1, 5}, {0, 0}, {2, 1}, {100, 3}}) {
        // Algorithm 1 of the paper, with `sinks` sink blocks in place of one.
        expect_pattern(
            patterns::power_attention(length, block, sinks, window), {length, length}, 1,
            [&, sinks = sinks, window = window](std::int64_t, std::int64_t i, std::int64_t j) {
              const bool mask_sink = j < sinks * block;
              const std::int64_t blk_qk = i / block - j / block;
              const bool mask_window = blk_qk < window;
              const bool mask_power = (blk_qk & (blk_qk - 1)) == 0;
              return i >= j && (mask_window || mask_power || mask_sink);
            });
      }
    }
  }
}

TEST(Patterns, Mswa) {
  const std::vector<std::int64_t> windows = {1, 4, 16, 1000};
  for (const Extent& extent : kExtents) {
    expect_pattern(patterns::mswa(windows), extent, 4,
                   [&](std::int64_t head, std::int64_t i, std::int64_t j) {
                     const std::int64_t p = i + extent.key_len - extent.query_len;
                     return p - windows[head] < j && j <= p;
                   });
  }
}

TEST(Patterns, DilatedWindow) {
  for (const Extent& extent : kExtents) {
    for (std::int64_t window : {0, 1, 3, 50}) {
      for (std::int64_t dilation : {1, 2, 5, 100}) {
        for (bool causal : {false, true}) {
          expect_pattern(patterns::dilated_window(window, dilation, causal), extent, 1,
                         [&](std::int64_t, std::int64_t i, std::int64_t j) {
                           const std::int64_t p = i + extent.key_len - extent.query_len;
                           for (std::int64_t t = -window; t <= (causal ? 0 : window); ++t) {
                             if (j == p + t * dilation) return true;
                           }
                           return false;
                         });
        }
      }
    }
  }
}

TEST(Patterns, Radial) {
  for (const auto& [frames, tokens] : std::vector<std::pair<std::int64_t, std::int64_t>>{
           {1, 1}, {1, 9}, {9, 1}, {40, 1}, {5, 4}, {12, 5}, {30, 3}, {70, 2}, {7, 16}, {6, 13}}) {
    // Equation 4 of the paper in its own letters, over the reals, and the sink.
    const auto s = static_cast<double>(tokens);
    expect_pattern(patterns::radial(frames, tokens), {frames * tokens, frames * tokens}, 1,
                   [&, tokens = tokens](std::int64_t, std::int64_t query, std::int64_t key) {
                     const auto i = static_cast<double>(query / tokens);
                     const auto j = static_cast<double>(key / tokens);
                     const auto k = static_cast<double>(query % tokens);
                     const auto l = static_cast<double>(key % tokens);
                     const double power =
                         std::exp2(std::floor(std::log2(std::max(std::abs(i - j), 1.0))));
                     if (power <= s && std::abs(k - l) + 1 <= s / power) return true;
                     if (std::fmod(std::abs(i - j), std::ceil(power / s)) == 0 && k == l) {
                       return true;
                     }
                     return j == 0;  // attention sink
                   });
  }
}

// Rectangles of a frame pair are told apart exactly, for that is what saves the tiles.
TEST(Patterns, RadialClassifiesFramePairsExactly) {
  const Mask mask = patterns::radial(20, 16);
  const Extent extent{320, 320};
  const auto coverage = [&](std::int64_t query, std::int64_t key) {
    return mask->classify({}, {query, query + 4}, {key, key + 4}, extent);
  };
  EXPECT_EQ(coverage(5 * 16, 4 * 16 + 12), Coverage::all);  // neighbours
  EXPECT_EQ(coverage(5 * 16, 3 * 16 + 5), Coverage::some);  // 2 to 8 apart, of less than 8
  EXPECT_EQ(coverage(5 * 16, 3 * 16), Coverage::all);
  EXPECT_EQ(coverage(5 * 16, 3 * 16 + 12), Coverage::none);
  EXPECT_EQ(coverage(5 * 16, 12), Coverage::all);        // the sink
  EXPECT_EQ(coverage(2 * 16, 19 * 16), Coverage::some);  // 16 frames: the diagonal
  EXPECT_EQ(coverage(2 * 16, 19 * 16 + 4), Coverage::none);
  EXPECT_EQ(mask->reach({}, {0, 1}, extent), (Range{0, 320}));
  EXPECT_EQ(mask->seams({}, extent).front(), 16);
  EXPECT_EQ(mask->to_json(), R"({"radial":{"frames":20,"frame_tokens":16}})");
  expect_error(kInvalid, {"query_len", "319", "320"}, [&] { mask->validate({319, 320}, 1, 1); });
  expect_error(kInvalid, {"key_len", "336", "320"}, [&] { mask->validate({320, 336}, 1, 1); });
}

TEST(Patterns, PrefixLm) {
  for (const Extent& extent : kExtents) {
    for (std::int64_t prefix : {0, 1, 6, 100}) {
      expect_pattern(patterns::prefix_lm(prefix), extent, 1,
                     [&](std::int64_t, std::int64_t i, std::int64_t j) {
                       return j < prefix || j <= i + extent.key_len - extent.query_len;
                     });
    }
  }
}

TEST(Patterns, Document) {
  for (const std::vector<std::int64_t>& lengths : std::vector<std::vector<std::int64_t>>{
           {20}, {1, 1, 1, 1}, {5, 0, 13, 2}, {0, 31}, {16, 16, 16}}) {
    std::vector<std::size_t> document_of;
    for (std::size_t d = 0; d < lengths.size(); ++d) {
      document_of.insert(document_of.end(), lengths[d], d);
    }
    const auto total = static_cast<std::int64_t>(document_of.size());
    for (bool causal : {false, true}) {
      expect_pattern(patterns::document(lengths, causal), {total, total}, 1,
                     [&](std::int64_t, std::int64_t i, std::int64_t j) {
                       return document_of[i] == document_of[j] && (!causal || j <= i);
                     });
    }
  }
}

TEST(Patterns, RefuseSizesThatMakeNoSense) {
  using namespace patterns;
  expect_error(kInvalid, {"sink", "-1", "0"}, [] { streaming_llm(-1, 4); });
  expect_error(kInvalid, {"window", "0", "1"}, [] { streaming_llm(4, 0); });
  expect_error(kInvalid, {"window", "-3", "1"}, [] { duo_attention({true}, 4, -3); });
  expect_error(kInvalid, {"0", "1"}, [] { duo_attention({}, 4, 4); });
  expect_error(kInvalid, {"length", "0", "1"}, [] { big_bird(0, 4, 3, 1, 1, 0); });
  expect_error(kInvalid, {"length", "1073741825", "1073741824"},
               [] { big_bird((1 << 30) + 1, 4, 3, 1, 1, 0); });
  expect_error(kInvalid, {"block", "0", "1"}, [] { big_bird(16, 0, 3, 1, 1, 0); });
  expect_error(kInvalid, {"window", "4", "odd"}, [] { big_bird(16, 4, 4, 1, 1, 0); });
  expect_error(kInvalid, {"window", "-1", "1"}, [] { big_bird(16, 4, -1, 1, 1, 0); });
  expect_error(kInvalid, {"global", "-1", "0"}, [] { big_bird(16, 4, 3, -1, 1, 0); });
  expect_error(kInvalid, {"random", "-1", "0"}, [] { big_bird(16, 4, 3, 1, -1, 0); });
  expect_error(kInvalid, {"1073741824", "blocks of 1", "4294967296"},
               [] { power_attention(1 << 30, 1, 1, 1); });
  expect_error(kInvalid, {"9", "blocks of 2", "5", "6"}, [] { block_bert(9, 6, {0}); });
  expect_error(kInvalid, {"shift", "4", "3"}, [] { block_bert(16, 4, {0, 4}); });
  expect_error(kInvalid, {"shift", "-1", "0"}, [] { block_bert(16, 4, {-1}); });
  expect_error(kInvalid, {"shifts", "0"}, [] { block_bert(16, 4, {}); });
  expect_error(kInvalid, {"blocks", "0", "1"}, [] { block_bert(16, 0, {0}); });
  expect_error(kInvalid, {"sink_blocks", "-1", "0"}, [] { power_attention(16, 4, -1, 1); });
  expect_error(kInvalid, {"window_blocks", "-1", "0"}, [] { power_attention(16, 4, 1, -1); });
  expect_error(kInvalid, {"window", "0", "1"}, [] { mswa({4, 0}); });
  expect_error(kInvalid, {"0", "1"}, [] { mswa({}); });
  expect_error(kInvalid, {"-1"}, [] { patterns::dilated_window(-1, 1, false); });
  expect_error(kInvalid, {"dilation", "0"}, [] { patterns::dilated_window(1, 0, false); });
  expect_error(kInvalid, {"frames", "0", "1"}, [] { radial(0, 4); });
  expect_error(kInvalid, {"frame_tokens", "-4", "1"}, [] { radial(4, -4); });
  expect_error(kInvalid, {"1048576", "1025", "1073741824"}, [] { radial(1 << 20, 1025); });
  expect_error(kInvalid, {"prefix", "-1", "0"}, [] { prefix_lm(-1); });
  expect_error(kInvalid, {"-2"}, [] { document({4, -2}, true); });
  // Made for one length, not laid over another one.
  expect_error(kInvalid, {"query_len", "17"}, [] {
    power_attention(16, 4, 1, 1)->validate({17, 16}, 1, 1);
  });
  expect_error(kInvalid, {"heads", "2", "3"}, [] {
    block_bert(16, 4, {0, 1})->validate({16, 16}, 1, 3);
  });
}

}  // namespace
}  // namespace clattn
