#include "check_neighborhood.hpp"

#include <array>
#include <clattn/neighborhood.hpp>
#include <random>

namespace clattn::tool {
namespace {

using Random = std::mt19937_64;

std::int64_t draw(Random& random, std::int64_t low, std::int64_t high) {
  return std::uniform_int_distribution<std::int64_t>(low, high)(random);
}

// Any neighborhood of the grid.
Neighborhood random_neighborhood(Random& random, const std::vector<std::int64_t>& grid) {
  Neighborhood result;
  result.grid = grid;
  for (std::int64_t length : grid) {
    const std::int64_t window = draw(random, 2, length);
    result.window.push_back(window);
    result.stride.push_back(draw(random, 1, window));
    result.dilation.push_back(draw(random, 1, length / window));
    result.causal.push_back(random() % 3 == 0);
  }
  result.extra_keys = random() % 4 == 0 ? draw(random, 1, 20) : 0;
  return result;
}

// Dimensions and data types come in three pairs, since each is a kernel of its own.
Problem problem_of(const Neighborhood& neighborhood, std::size_t turn, const Mask& mask) {
  struct Storage {
    DataType type;
    std::int64_t head_dim, value_dim;
  };
  constexpr std::array<Storage, 3> kStorage = {
      {{DataType::f32, 32, 32}, {DataType::f16, 24, 40}, {DataType::bf16, 64, 8}}};
  constexpr std::array<std::array<std::int64_t, 3>, 3> kHeads = {{{1, 2, 2}, {2, 4, 2}, {1, 3, 1}}};
  const Storage& storage = kStorage[turn % kStorage.size()];
  const auto& [batch, heads, kv_heads] = kHeads[turn / kStorage.size() % kHeads.size()];
  Problem problem;
  problem.data_type = storage.type;
  problem.head_dim = storage.head_dim;
  problem.value_dim = storage.value_dim;
  problem.batch = batch;
  problem.heads = heads;
  problem.kv_heads = kv_heads;
  problem.query_len = neighborhood.tokens();
  problem.key_len = problem.query_len + neighborhood.extra_keys;
  problem.mask = mask ? mask : neighborhood_mask(neighborhood);
  problem.lse = turn % 5 != 0;
  problem.layout = turn % 2 == 0 ? Layout::bhld : Layout::blhd;
  return problem;
}

// A bias for each head and each distance on the grid, up to a reach that is shorter than the
// longest distances.
Score random_bias(Random& random, const std::vector<std::int64_t>& grid, std::int64_t heads) {
  std::vector<std::int64_t> reach;
  std::int64_t entries = heads;
  for (std::int64_t length : grid) {
    reach.push_back(length / 4);
    entries *= 2 * reach.back() + 1;
  }
  std::vector<float> table;
  std::normal_distribution<float> normal;
  while (std::ssize(table) < entries) table.push_back(normal(random));
  return grid_position_score(std::move(table), grid, reach);
}

// The same as a user may write it, by the distance in rows of `width` tokens.
Score distance_bias(std::int64_t width) {
  return expression_score(
      {"score - 0.125f * (abs(query / width - key / width) + "
       "abs(query % width - key % width))",
       {},
       {{"width", static_cast<std::int32_t>(width)}}});
}

}  // namespace

std::vector<CheckCase> neighborhood_cases(bool reduced) {
  Random random(20250422);
  std::vector<CheckCase> cases;
  const auto add = [&](const Neighborhood& neighborhood, TokenAccess tokens,
                       const Mask& mask = nullptr) -> Problem& {
    const std::size_t turn = cases.size();
    CheckCase check;
    check.problem = problem_of(checked(neighborhood), turn, mask);
    if (reduced) {
      check.problem.batch = 1;
      check.problem.heads = 2;
      check.problem.kv_heads = 1;
      check.problem.head_dim = 8;
      check.problem.value_dim = 16;
    }
    check.guard = 16384 + 3 * static_cast<std::int64_t>(turn % 2);
    check.thin = turn % 2 == 0;
    check.plan.tokens = tokens;
    cases.push_back(check);
    return cases.back().problem;
  };
  // Tensors that lie in an order of tiles already.
  const auto add_ordered = [&](const Neighborhood& neighborhood,
                               const std::vector<std::int64_t>& tile) {
    Problem& problem = add(neighborhood, TokenAccess::automatic);
    problem.token_order = TokenOrder{neighborhood.grid, tile, neighborhood.dilation};
  };
  constexpr TokenAccess kGathered = TokenAccess::gathered, kPermuted = TokenAccess::permuted,
                        kInPlace = TokenAccess::in_place;
  if (reduced) {
    const Neighborhood image = {{7, 9}, {4, 3}, {2, 1}, {1, 3}, {false, true}, 3};
    for (const TokenAccess tokens : {kGathered, kPermuted, kInPlace}) add(image, tokens);
    add_ordered(image, {3, 4});
    add({{40}, {9}, {}, {}, {}, 0}, kGathered);
    add({{3, 4, 6}, {2, 3, 3}, {}, {1, 1, 2}, {}, 0}, kGathered);
    Problem& biased = add(image, kGathered, all_of_mask({neighborhood_mask(image), causal_mask()}));
    biased.scores = {random_bias(random, image.grid, biased.heads)};
    return cases;
  }

  const std::vector<Neighborhood> fixed = {
      {{256}, {255}, {82}, {}, {}, 0},
      {{128}, {3}, {2}, {10}, {}, 0},
      {{67, 80}, {12, 7}, {8, 4}, {5, 11}, {}, 0},
      {{13, 11, 9}, {3, 4, 3}, {2, 3, 3}, {3, 2, 2}, {}, 0},
      {{24, 40}, {13, 13}, {}, {}, {}, 0},
      {{24, 40}, {16, 24}, {8, 8}, {}, {}, 7},
      {{6, 12, 20}, {4, 6, 10}, {2, 3, 4}, {}, {true, false, false}, 0},
      {{500}, {70}, {}, {}, {true}, 0},
  };
  for (const Neighborhood& neighborhood : fixed) {
    for (const TokenAccess tokens : {kGathered, kPermuted}) add(neighborhood, tokens);
  }
  add(fixed[3], kInPlace);
  add(fixed[4], kInPlace);
  add_ordered(fixed[4], {8, 8});
  add_ordered(fixed[5], {16, 16});  // larger than any kernel's tile
  add_ordered(fixed[6], {2, 4, 5});
  add_ordered(checked(fixed[2]), {8, 6});

  // Lengths around the edges of tiles.
  for (const std::int64_t length :
       {4, 7, 8, 9, 15, 16, 17, 31, 33, 47, 48, 49, 63, 64, 65, 191, 193}) {
    const std::int64_t window = std::min<std::int64_t>(length, 5);
    add({{length}, {window}, {}, {}, {}, 0}, kGathered);
    if (length < 50) {
      add({{length, 12}, {window, 4}, {}, {}, {}, 0}, length % 2 ? kGathered : kPermuted);
      add({{3, 9, length}, {2, 5, window}, {1, 2, 2}, {}, {}, 1}, kGathered);
    }
  }
  for (int i = 0; i < 12; ++i) {
    add(random_neighborhood(random, {draw(random, 4, 1500)}), kGathered);
    add(random_neighborhood(random, {draw(random, 4, 50), draw(random, 4, 50)}), kGathered);
    add(random_neighborhood(random,
                            {draw(random, 2, 12), draw(random, 2, 12), draw(random, 2, 12)}),
        kGathered);
    add(random_neighborhood(random, {draw(random, 4, 30), draw(random, 4, 30)}), kPermuted);
    add(random_neighborhood(random, {draw(random, 2, 9), draw(random, 2, 9), draw(random, 2, 9)}),
        kPermuted);
    const Neighborhood ordered =
        random_neighborhood(random, {draw(random, 2, 9), draw(random, 2, 9), draw(random, 2, 9)});
    add_ordered(ordered, {draw(random, 1, 5), draw(random, 1, 5), draw(random, 1, 9)});
  }

  // Composed: what is visible lies within a neighborhood, or does not.
  const Neighborhood image = {{20, 24}, {7, 9}, {}, {2, 1}, {}, 0};
  const Mask window = neighborhood_mask(image);
  for (const TokenAccess tokens : {kGathered, kPermuted}) {
    add(image, tokens, all_of_mask({window, causal_mask()}));
    Problem& problem = add(image, tokens);
    problem.scores = {softcap_score(3), tokens == kGathered
                                            ? random_bias(random, image.grid, problem.heads)
                                            : distance_bias(24)};
    problem.sink_logits.assign(static_cast<std::size_t>(problem.heads), 0.5f);
  }
  add(image, TokenAccess::automatic, any_of_mask({window, prefix_mask(30)}));
  add(image, TokenAccess::automatic, not_mask(window));
  for (int i = 0; i < 2; ++i) {
    Neighborhood other = image;
    other.window = {3, 12};
    if (i == 0) other.dilation = {1, 2};
    Problem& problem = add(image, i == 0 ? kGathered : kPermuted);
    std::vector<Mask> heads;
    for (std::int64_t head = 0; head < problem.heads; ++head) {
      heads.push_back(head % 2 ? neighborhood_mask(other) : window);
    }
    problem.mask = per_head_mask(heads);
  }
  return cases;
}

}  // namespace clattn::tool
