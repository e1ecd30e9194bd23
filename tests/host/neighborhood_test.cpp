// Neighborhoods against their definition, transcribed here word by word: the mask pair by pair,
// exhaustively in one dimension and for random grids of two and three, its other views, which are
// exact, and the inverse windows. The OpenCL view is in mask_expression_test.cpp.
#include <clattn/neighborhood.hpp>
#include <clattn/problem.hpp>
#include <clattn/reference.hpp>

#include "tests/support.hpp"

namespace clattn {
namespace {

using test::expect_error;
using test::Random;
using test::uniform;

using Integers = std::vector<std::int64_t>;

// One dimension of the definition, without dilation.
bool window_holds(std::int64_t length, std::int64_t window, std::int64_t stride, bool causal,
                  std::int64_t i, std::int64_t j) {
  if (causal) {
    const std::int64_t leader = std::min((i / stride) * stride + stride - 1, length - 1);
    const std::int64_t start = std::max<std::int64_t>(leader - (window - 1), 0);
    const std::int64_t end = std::min(i + 1, length);
    return start <= j && j < end;
  }
  const std::int64_t leader = std::min((i / stride) * stride + stride / 2, length - 1);
  std::int64_t start = leader - window / 2;
  if (start > length - window) start = length - window;
  if (start < 0) start = 0;
  return start <= j && j < start + window;
}

bool dimension_sees(const Neighborhood& of, std::size_t d, std::int64_t i, std::int64_t j) {
  if (i % of.dilation[d] != j % of.dilation[d]) return false;
  std::int64_t members = 0;  // of the group
  for (std::int64_t t = i % of.dilation[d]; t < of.grid[d]; t += of.dilation[d]) ++members;
  return window_holds(members, of.window[d], of.stride[d], of.causal[d], i / of.dilation[d],
                      j / of.dilation[d]);
}

// Whether a query sees a key, for every pair of a checked neighborhood.
class Definition {
 public:
  explicit Definition(const Neighborhood& of) : of_(of), tokens_(of.tokens()) {
    for (std::size_t d = 0; d < of.grid.size(); ++d) {
      seen_.emplace_back();
      for (std::int64_t i = 0; i < of.grid[d]; ++i) {
        for (std::int64_t j = 0; j < of.grid[d]; ++j) {
          seen_[d].push_back(dimension_sees(of, d, i, j));
        }
      }
    }
  }

  bool sees(std::int64_t query, std::int64_t key) const {
    if (key >= tokens_) return true;
    bool result = true;
    std::int64_t plane = tokens_;  // tokens of a slice of the dimensions so far
    for (std::size_t d = 0; d < of_.grid.size(); ++d) {
      plane /= of_.grid[d];
      const std::int64_t i = query / plane % of_.grid[d], j = key / plane % of_.grid[d];
      result = result && seen_[d][static_cast<std::size_t>(i * of_.grid[d] + j)];
    }
    return result;
  }

 private:
  const Neighborhood& of_;
  std::int64_t tokens_;
  std::vector<std::vector<bool>> seen_;  // of each dimension, [queries, keys]
};

Extent extent_of(const Neighborhood& of) { return {of.tokens(), of.tokens() + of.extra_keys}; }

// Calls visit(neighborhood) for all of one dimension up to a length.
template <typename Visit>
void for_every_line(std::int64_t longest, Visit&& visit) {
  for (std::int64_t length = 2; length <= longest; ++length) {
    for (std::int64_t window = 2; window <= length; ++window) {
      for (std::int64_t stride = 1; stride <= window; ++stride) {
        for (std::int64_t dilation = 1; window * dilation <= length; ++dilation) {
          for (bool causal : {false, true}) {
            visit(Neighborhood{{length}, {window}, {stride}, {dilation}, {causal}, 0});
          }
        }
      }
    }
  }
}

void expect_as_defined(const Neighborhood& of) {
  const Mask mask = neighborhood_mask(of);
  SCOPED_TRACE(mask->to_json());
  const Extent extent = extent_of(of);
  mask->validate(extent, 1, 1);
  const Definition definition(of);
  for (std::int64_t i = 0; i < extent.query_len; ++i) {
    for (std::int64_t j = 0; j < extent.key_len; ++j) {
      ASSERT_EQ(mask->allows({0, 0, i, j}, extent), definition.sees(i, j)) << i << ", " << j;
    }
  }
}

TEST(Neighborhood, EveryLineIsAsDefined) {
  for_every_line(24, [](const Neighborhood& of) {
    if (!testing::Test::HasFatalFailure()) expect_as_defined(of);
  });
}

TEST(Neighborhood, RandomGridsAreAsDefined) {
  Random random = test::make_random();
  for (int repeat = 0; repeat < 4000 && !HasFatalFailure(); ++repeat) {
    const bool flat = repeat % 2;
    Integers grid = {uniform(random, 2, flat ? 14 : 6), uniform(random, 2, flat ? 14 : 6)};
    if (!flat) grid.push_back(uniform(random, 2, 8));
    const std::int64_t extra = repeat % 3 == 0 ? uniform(random, 1, 5) : 0;
    expect_as_defined(test::random_neighborhood(random, grid, extra));
  }
}

TEST(Neighborhood, CasesThatAreEasilyWrong) {
  const Neighborhood cases[] = {
      {{256}, {255}, {82}, {1}, {false}, 0},
      {{128}, {3}, {2}, {10}, {false}, 0},
      {{67, 80}, {12, 7}, {8, 4}, {5, 11}, {false, false}, 0},
      {{13, 11, 9}, {3, 4, 3}, {2, 3, 3}, {3, 2, 2}, {false, false, false}, 0},
  };
  Random random = test::make_random();
  for (const Neighborhood& of : cases) {
    const Mask mask = neighborhood_mask(of);
    const Extent extent = extent_of(of);
    const Definition definition(of);
    std::int64_t window = 1;
    for (std::int64_t size : of.window) window *= size;
    for (int sample = 0; sample < 300; ++sample) {
      const std::int64_t query = uniform(random, 0, extent.query_len - 1);
      std::int64_t visible = 0;
      for (std::int64_t key = 0; key < extent.key_len; ++key) {
        const bool allows = mask->allows({0, 0, query, key}, extent);
        ASSERT_EQ(allows, definition.sees(query, key)) << query << ", " << key;
        visible += allows;
      }
      ASSERT_EQ(visible, window) << "a window at a border is moved, not cut";
    }
  }
}

// What ranges of queries and keys really are, from sums of the definition.
class Sums {
 public:
  Sums(const Neighborhood& of, const Extent& extent)
      : width_(extent.key_len + 1),
        sums_(static_cast<std::size_t>((extent.query_len + 1) * width_)) {
    const Definition definition(of);
    for (std::int64_t i = 0; i < extent.query_len; ++i) {
      for (std::int64_t j = 0; j < extent.key_len; ++j) {
        at(i + 1, j + 1) = at(i, j + 1) + at(i + 1, j) - at(i, j) + definition.sees(i, j);
      }
    }
  }

  std::int64_t visible(const Range& queries, const Range& keys) {
    return at(queries.end, keys.end) - at(queries.begin, keys.end) - at(queries.end, keys.begin) +
           at(queries.begin, keys.begin);
  }

 private:
  std::int64_t& at(std::int64_t i, std::int64_t j) {
    return sums_[static_cast<std::size_t>(i * width_ + j)];
  }

  std::int64_t width_;
  std::vector<std::int64_t> sums_;  // [queries + 1, keys + 1], of all pairs in front
};

Range random_range(Random& random, std::int64_t length) {
  const std::int64_t begin = uniform(random, 0, length - 1);
  return {begin, uniform(random, begin + 1, length)};
}

TEST(Neighborhood, RangesAreClassifiedAndBoundedExactly) {
  Random random = test::make_random();
  for (int repeat = 0; repeat < 3000; ++repeat) {
    Integers grid;
    for (int d = 0; d <= repeat % 3; ++d) {
      grid.push_back(
          uniform(random, 2, std::array{40, 12, 6}[static_cast<std::size_t>(repeat % 3)]));
    }
    const Neighborhood of =
        test::random_neighborhood(random, grid, repeat % 2 ? uniform(random, 1, 9) : 0);
    const Mask mask = neighborhood_mask(of);
    SCOPED_TRACE(mask->to_json());
    const Extent extent = extent_of(of);
    Sums sums(of, extent);
    for (int sample = 0; sample < 40; ++sample) {
      const Range queries = random_range(random, extent.query_len);
      const Range keys = random_range(random, extent.key_len);
      const std::int64_t visible = sums.visible(queries, keys);
      const Coverage expected = visible == 0                              ? Coverage::none
                                : visible == queries.size() * keys.size() ? Coverage::all
                                                                          : Coverage::some;
      ASSERT_EQ(mask->classify({}, queries, keys, extent), expected)
          << queries.begin << " to " << queries.end << ", " << keys.begin << " to " << keys.end;
      const Range reach = mask->reach({}, queries, extent);
      ASSERT_FALSE(reach.empty());
      ASSERT_EQ(sums.visible(queries, reach), sums.visible(queries, {0, extent.key_len}));
      ASSERT_GT(sums.visible(queries, {reach.begin, reach.begin + 1}), 0);
      ASSERT_GT(sums.visible(queries, {reach.end - 1, reach.end}), 0);
      const auto band = mask->band({}, queries, keys, extent);
      if (!band) continue;
      for (std::int64_t i = queries.begin; i < queries.end; ++i) {
        for (std::int64_t j = keys.begin; j < keys.end; ++j) {
          ASSERT_EQ(band->first <= j - i && j - i <= band->last,
                    sums.visible({i, i + 1}, {j, j + 1}))
              << i << ", " << j;
        }
      }
    }
  }
}

TEST(Neighborhood, LinesAreBandsAwayFromTheirEnds) {
  const Extent extent{64, 64};
  const Range inner{20, 40}, all{0, 64};
  EXPECT_EQ(neighborhood_mask({{64}, {6}, {}, {}, {}})->band({}, inner, all, extent),
            (Band{-3, 2}));
  EXPECT_EQ(neighborhood_mask({{64}, {6}, {}, {}, {}})->band({}, all, all, extent), std::nullopt);
  EXPECT_EQ(neighborhood_mask({{64}, {6}, {}, {}, {true}})->band({}, all, all, extent),
            (Band{-5, 0}));
  EXPECT_EQ(neighborhood_mask({{64}, {6}, {2}, {}, {}})->band({}, inner, all, extent),
            std::nullopt);
}

TEST(Neighborhood, InverseWindowsAreExact) {
  for (std::int64_t length = 2; length <= 33; ++length) {
    for (std::int64_t window = 2; window <= length; ++window) {
      for (std::int64_t stride = 1; stride <= window; ++stride) {
        for (bool causal : {false, true}) {
          const NeighborhoodAxis axis{length, window, stride, causal};
          for (std::int64_t j = 0; j < length; ++j) {
            const Range queries = axis.queries_of(j);
            for (std::int64_t i = 0; i < length; ++i) {
              const bool sees = window_holds(length, window, stride, causal, i, j);
              ASSERT_EQ(queries.begin <= i && i < queries.end, sees)
                  << "length " << length << ", window " << window << ", stride " << stride
                  << ", causal " << causal << ", query " << i << ", key " << j;
            }
            ASSERT_TRUE(queries.begin >= 0 && queries.end <= length);
          }
        }
      }
    }
  }
}

TEST(Neighborhood, AxesAreOfDilationGroups) {
  const Neighborhood of = checked({{7, 10}, {2, 3}, {}, {3, 3}, {false, true}, 0});
  EXPECT_EQ(neighborhood_axis(of, 0, 0).length, 3);
  EXPECT_EQ(neighborhood_axis(of, 0, 1).length, 2);
  EXPECT_EQ(neighborhood_axis(of, 1, 0).length, 4);
  EXPECT_EQ(neighborhood_axis(of, 1, 2).length, 3);
  EXPECT_TRUE(neighborhood_axis(of, 1, 0).causal);
  EXPECT_EQ(neighborhood_axis(of, 1, 0).window, 3);
  EXPECT_EQ(of.tokens(), 70);
}

void expect_same_pairs(const Mask& mask, const Mask& expected, std::int64_t length) {
  SCOPED_TRACE(mask->to_json() + " and " + expected->to_json());
  const Extent extent{length, length};
  mask->validate(extent, 1, 1);
  expected->validate(extent, 1, 1);
  for (std::int64_t i = 0; i < length; ++i) {
    for (std::int64_t j = 0; j < length; ++j) {
      ASSERT_EQ(mask->allows({0, 0, i, j}, extent), expected->allows({0, 0, i, j}, extent))
          << i << ", " << j;
    }
  }
}

TEST(Neighborhood, IsWhatOtherMasksAre) {
  for (std::int64_t length = 2; length <= 40; ++length) {
    expect_same_pairs(neighborhood_mask({{length}, {length}, {}, {}, {}}), dense_mask(), length);
    for (std::int64_t window = 2; window <= length; ++window) {
      expect_same_pairs(neighborhood_mask({{length}, {window}, {}, {}, {true}}),
                        window_mask(window - 1, 0), length);
      if (length % window != 0) continue;
      const std::int64_t blocks = length / window;
      std::vector<std::uint8_t> kept(static_cast<std::size_t>(blocks * blocks));
      for (std::int64_t i = 0; i < blocks; ++i) kept[static_cast<std::size_t>(i * blocks + i)] = 1;
      expect_same_pairs(neighborhood_mask({{length}, {window}, {window}, {}, {}}),
                        blocks_mask({window, window}, blocks, blocks, kept), length);
    }
  }
}

// Sliding tile attention: tiles see an odd number of tiles around them, moved inside at a border.
TEST(Neighborhood, IsSlidingTileAttention) {
  for (std::int64_t tile = 2; tile <= 5; ++tile) {
    for (std::int64_t tiles = 1; tiles <= 8; ++tiles) {
      for (std::int64_t seen = 1; seen <= tiles; seen += 2) {
        std::vector<std::uint8_t> kept(static_cast<std::size_t>(tiles * tiles));
        for (std::int64_t i = 0; i < tiles; ++i) {
          const std::int64_t first = std::clamp<std::int64_t>(i - seen / 2, 0, tiles - seen);
          for (std::int64_t j = first; j < first + seen; ++j) {
            kept[static_cast<std::size_t>(i * tiles + j)] = 1;
          }
        }
        expect_same_pairs(neighborhood_mask({{tiles * tile}, {seen * tile}, {tile}, {}, {}}),
                          blocks_mask({tile, tile}, tiles, tiles, kept), tiles * tile);
      }
    }
  }
}

TEST(Neighborhood, EmptyParametersAreTheStandard) {
  const Neighborhood full = checked({{8, 9}, {3, 4}, {}, {}, {}, 2});
  EXPECT_EQ(full, (Neighborhood{{8, 9}, {3, 4}, {1, 1}, {1, 1}, {false, false}, 2}));
  EXPECT_EQ(checked(full), full);
}

TEST(Neighborhood, RefusesWhatMakesNoSense) {
  const auto refuses = [](const std::vector<std::string>& parts, const Neighborhood& of) {
    expect_error(ErrorCategory::invalid_argument, parts, [&] { checked(of); });
    expect_error(ErrorCategory::invalid_argument, parts, [&] { neighborhood_mask(of); });
  };
  constexpr std::int64_t kHuge = std::numeric_limits<std::int64_t>::max();
  refuses({"grid has 0 dimensions", "1 to 3"}, {{}, {}, {}, {}, {}});
  refuses({"grid has 4 dimensions", "1 to 3"}, {{4, 4, 4, 4}, {2, 2, 2, 2}, {}, {}, {}});
  refuses({"window has 1 dimensions", "grid has 2"}, {{4, 4}, {2}, {}, {}, {}});
  refuses({"window has 0 dimensions", "grid has 1"}, {{4}, {}, {}, {}, {}});
  refuses({"stride has 1 dimensions", "grid has 2"}, {{4, 4}, {2, 2}, {1}, {}, {}});
  refuses({"dilation has 3 dimensions", "grid has 2"}, {{4, 4}, {2, 2}, {}, {1, 1, 1}, {}});
  refuses({"causal has 1 dimensions", "grid has 2"}, {{4, 4}, {2, 2}, {}, {}, {true}});
  refuses({"grid of dimension 1 is 0", "at least 1"}, {{4, 0}, {2, 2}, {}, {}, {}});
  refuses({"grid of dimension 0 is -3", "at least 1"}, {{-3}, {2}, {}, {}, {}});
  refuses({"grid of dimension 0", "at most 1073741824"}, {{kHuge}, {2}, {}, {}, {}});
  refuses({"window of dimension 1 is 1", "at least 2"}, {{4, 4}, {2, 1}, {}, {}, {}});
  refuses({"window of dimension 0 is -2", "at least 2"}, {{4}, {-2}, {}, {}, {}});
  refuses({"window of dimension 0 is 5", "at most 4"}, {{4}, {5}, {}, {}, {}});
  refuses({"stride of dimension 0 is 0", "at least 1"}, {{4}, {2}, {0}, {}, {}});
  refuses({"stride of dimension 1 is 3", "at most 2"}, {{4, 4}, {4, 2}, {3, 3}, {}, {}});
  refuses({"dilation of dimension 0 is 0", "at least 1"}, {{4}, {2}, {}, {0}, {}});
  refuses({"dilation of dimension 0", "at most 4"}, {{4}, {2}, {}, {kHuge}, {}});
  refuses({"window of dimension 2 is 3", "dilation 2", "at most 5"},
          {{4, 4, 5}, {2, 2, 3}, {}, {1, 2, 2}, {}});
  refuses({"more tokens", "1073741824"}, {{1 << 15, 1 << 15, 2}, {2, 2, 2}, {}, {}, {}});
  refuses({"-1 extra keys", "0 to 1073741820"}, {{4}, {2}, {}, {}, {}, -1});
  refuses({"1073741821 extra keys", "0 to 1073741820"}, {{4}, {2}, {}, {}, {}, 1073741821});
}

TEST(Neighborhood, RefusesOtherLengths) {
  const Mask mask = neighborhood_mask({{4, 6}, {2, 3}, {}, {}, {}, 5});
  const auto refuses = [&](const std::vector<std::string>& parts, const Extent& extent) {
    expect_error(ErrorCategory::invalid_argument, parts, [&] { mask->validate(extent, 1, 1); });
  };
  EXPECT_NO_THROW(mask->validate({24, 29}, 1, 1));
  refuses({"q_len is 25", "4 x 6", "24"}, {25, 29});
  refuses({"kv_len is 24", "4 x 6", "5 extra keys", "29"}, {24, 24});
  refuses({"q_len is 0"}, {0, 0});
}

TEST(Neighborhood, IsAHintWhereNothingElseIsVisible) {
  const Neighborhood of = checked({{4, 6}, {2, 3}, {}, {}, {}});
  const Mask mask = neighborhood_mask(of);
  const Slice slice;
  const auto expect_hint = [&](const Mask& other, bool exact) {
    SCOPED_TRACE(other->to_json());
    const NeighborhoodHint hint = other->neighborhood(slice);
    ASSERT_NE(hint.neighborhood, nullptr);
    EXPECT_EQ(*hint.neighborhood, of);
    EXPECT_EQ(hint.exact, exact);
  };
  const auto expect_none = [&](const Mask& other) {
    SCOPED_TRACE(other->to_json());
    EXPECT_EQ(other->neighborhood(slice).neighborhood, nullptr);
  };
  expect_hint(mask, true);
  expect_hint(all_of_mask({mask}), true);
  expect_hint(all_of_mask({causal_mask(), mask}), false);
  expect_hint(all_of_mask({mask, causal_mask()}), false);
  expect_hint(any_of_mask({mask}), true);
  expect_hint(per_head_mask({mask, dense_mask()}), true);
  expect_hint(mask_from_json(R"({"neighborhood": {"grid": [4, 6], "window": [2, 3]}})"), true);
  expect_none(dense_mask());
  expect_none(all_of_mask({}));
  expect_none(any_of_mask({mask, causal_mask()}));
  expect_none(not_mask(mask));
  expect_none(per_head_mask({dense_mask(), mask}));
  expect_none(documents_mask({{24}, {24}}, mask));
}

// The mean of the window's values.
TEST(Neighborhood, AScaleOfZeroIsAScale) {
  Problem problem;
  problem.query_len = problem.key_len = 6;
  problem.head_dim = problem.value_dim = 8;
  problem.scale = 0.0f;
  problem.mask = neighborhood_mask({{6}, {3}, {}, {}, {}});
  validate(problem);
  EXPECT_EQ(problem.effective_scale(), 0.0f);
  std::vector<float> tensor(6 * 8);
  for (std::size_t i = 0; i < tensor.size(); ++i) tensor[i] = static_cast<float>(i / 8);
  const auto bytes = std::as_bytes(std::span(tensor));
  const ReferenceResult result = reference_attention(problem, {bytes, bytes, bytes});
  const double expected[] = {1, 1, 2, 3, 4, 4};
  for (std::size_t i = 0; i < 6; ++i) EXPECT_DOUBLE_EQ(result.output[8 * i], expected[i]) << i;
}

}  // namespace
}  // namespace clattn
