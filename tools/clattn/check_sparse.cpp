#include "check_sparse.hpp"

#include <algorithm>
#include <array>
#include <clattn/patterns.hpp>
#include <clattn/reference.hpp>
#include <cstring>
#include <functional>
#include <numeric>
#include <random>

namespace clattn::tool {
namespace {

using Random = std::mt19937_64;

constexpr std::array kDataTypes = {DataType::f32, DataType::f16, DataType::bf16};

std::vector<float> normal_floats(Random& random, std::int64_t count) {
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& value : values) value = normal(random);
  return values;
}

template <typename Element>
std::shared_ptr<const Buffer> buffer_of(const char* name, ElementType type,
                                        const std::vector<Element>& elements) {
  Buffer buffer{name, type, static_cast<std::int64_t>(elements.size()), {}};
  buffer.values.resize(elements.size() * sizeof(Element));
  std::memcpy(buffer.values.data(), elements.data(), buffer.values.size());
  return std::make_shared<Buffer>(std::move(buffer));
}

// `count` lengths, some of them 0, that add up to `total`.
std::vector<std::int64_t> random_lengths(Random& random, std::int64_t total, int count) {
  std::vector<std::int64_t> cuts = {0, total};
  while (static_cast<int>(cuts.size()) <= count) {
    cuts.push_back(std::uniform_int_distribution<std::int64_t>(0, total)(random));
  }
  std::ranges::sort(cuts);
  std::vector<std::int64_t> lengths;
  for (std::size_t i = 1; i < cuts.size(); ++i) lengths.push_back(cuts[i] - cuts[i - 1]);
  return lengths;
}

Mask random_documents(Random& random, const Problem& problem, const Mask& inside) {
  return documents_mask(
      {random_lengths(random, problem.query_len, 5), random_lengths(random, problem.key_len, 5)},
      inside);
}

BlockShape shape_of(const Problem& problem, std::int64_t query_block, std::int64_t key_block,
                    bool per_head) {
  return {query_block, key_block, per_head ? problem.batch : 1, per_head ? problem.heads : 1, 0};
}

Mask random_block_mask(Random& random, const Problem& problem, std::int64_t query_block,
                       std::int64_t key_block, bool per_head) {
  const BlockShape shape = shape_of(problem, query_block, key_block, per_head);
  const std::int64_t rows = shape.query_blocks(problem.extent());
  const std::int64_t columns = shape.key_blocks(problem.extent());
  std::vector<std::uint8_t> kept(
      static_cast<std::size_t>(shape.batch * shape.heads * rows * columns));
  for (std::uint8_t& block : kept) block = random() % 3 == 0;
  return blocks_mask(shape, rows, columns, kept);
}

// The lists of a causal pattern over random blocks, with some keys of each block cut away.
Mask random_block_lists(Random& random, const Problem& problem) {
  const Mask blocks = random_block_mask(random, problem, 32, 16, true);
  const Mask pattern = all_of_mask({blocks, causal_mask()});
  BlockLists lists = make_block_lists(*pattern, shape_of(problem, 32, 16, true), problem.extent());
  const std::int64_t columns = lists.shape.key_blocks(problem.extent());
  for (std::int64_t i = 0; i < lists.shape.batch * lists.shape.heads * columns; ++i) {
    lists.key_lengths.push_back(static_cast<std::int32_t>(random() % 17));
  }
  return block_lists_mask(lists, problem.extent(), causal_mask());
}

using MakeMask = std::function<Mask(Random&, const Problem&)>;

// One a mask; where a mask depends on heads or lengths it is made for those of the problem.
std::vector<MakeMask> all_masks() {
  const auto fixed = [](const Mask& mask) {
    return [mask](Random&, const Problem&) { return mask; };
  };
  return {
      fixed(prefix_mask(21)),
      fixed(sink_mask(5)),
      fixed(dilated_window_mask(7, 4, 3)),
      fixed(dilated_window_mask(std::nullopt, 0, 16)),
      fixed(global_mask({0, 3, 4, 40})),
      fixed(random_blocks_mask(16, 16, 2, 7)),
      fixed(any_of_mask({window_mask(9, 0), sink_mask(3), random_blocks_mask(32, 8, 1, 3)})),
      fixed(all_of_mask({window_mask(70, 30), not_mask(dilated_window_mask(50, 50, 4))})),
      fixed(patterns::streaming_llm(4, 40)),
      fixed(expression_mask({"(query / 16 + key / 8) % 3 != 0", {}, {}})),
      fixed(expression_mask(
          {"key <= query + key_len - query_len || levels[key & 7] > cut",
           {buffer_of<float>("levels", ElementType::f32, {0.5f, -1, 2, 0, 0, 3, -2, 1})},
           {{"cut", 0.75f}}})),
      [](Random& random, const Problem& problem) {
        return random_documents(random, problem, dense_mask());
      },
      [](Random& random, const Problem& problem) {
        return random_documents(random, problem, causal_mask());
      },
      [](Random& random, const Problem& problem) {
        return random_block_mask(random, problem, 64, 32, false);
      },
      [](Random& random, const Problem& problem) {
        return random_block_mask(random, problem, 24, 40, true);
      },
      [](Random& random, const Problem& problem) { return random_block_lists(random, problem); },
      [](Random&, const Problem& problem) {
        std::vector<Mask> heads;
        for (std::int64_t head = 0; head < problem.heads; ++head) {
          heads.push_back(head % 3 == 0 ? causal_mask() : window_mask(10 * head, head));
        }
        return per_head_mask(heads);
      }};
}

using Modify = std::function<void(Random&, Problem&)>;

std::vector<Modify> all_modifiers() {
  const auto bias = [](ElementType type, bool whole) {
    return [type, whole](Random& random, Problem& problem) {
      BiasShape shape{1, problem.heads, 1, problem.key_len};
      if (whole) shape = {problem.batch, problem.heads, problem.query_len, problem.key_len};
      const std::int64_t count = shape.batch * shape.heads * shape.query_len * shape.key_len;
      const std::vector<float> values = normal_floats(random, count);
      Buffer buffer{"bias", type, count, std::vector<std::byte>(count * size_of(type))};
      const DataType stored = type == ElementType::f32   ? DataType::f32
                              : type == ElementType::f16 ? DataType::f16
                                                         : DataType::bf16;
      for (std::int64_t i = 0; i < count; ++i) {
        store_element(stored, values[i], buffer.values.data(), i);
      }
      problem.scores.push_back(bias_score(std::make_shared<Buffer>(std::move(buffer)), shape));
    };
  };
  return {[](Random&, Problem& problem) { problem.scores.push_back(softcap_score(3)); },
          [](Random& random, Problem& problem) {
            problem.scores.push_back(
                alibi_score(normal_floats(random, problem.batch * problem.heads), problem.batch));
          },
          bias(ElementType::bf16, true),
          bias(ElementType::f32, false),
          [](Random& random, Problem& problem) {
            problem.scores.push_back(
                relative_position_score(normal_floats(random, problem.heads * 41), 20));
          },
          [](Random& random, Problem& problem) {
            problem.sink_logits = normal_floats(random, problem.heads);
          },
          [](Random& random, Problem& problem) {
            problem.scores.push_back(expression_score(
                {"score * gain[head] - 0.125f * ((query + key) % 3)",
                 {buffer_of("gain", ElementType::f32, normal_floats(random, problem.heads))},
                 {}}));
          }};
}

// Unequal dimensions, grouped heads.
Problem base(DataType type, std::int64_t query_len, std::int64_t key_len) {
  Problem problem;
  problem.data_type = type;
  problem.batch = 2;
  problem.heads = 4;
  problem.kv_heads = 2;
  problem.query_len = query_len;
  problem.key_len = key_len;
  problem.head_dim = 40;
  problem.value_dim = 24;
  problem.lse = true;
  return problem;
}

}  // namespace

std::vector<CheckCase> sparse_cases(bool reduced) {
  Random random(20240613);
  std::vector<CheckCase> cases;
  const auto add = [&](Problem problem, const MakeMask& make,
                       const std::vector<Modify>& modifiers) {
    if (reduced) {
      problem.batch = 1;
      problem.heads = 2;
      problem.kv_heads = 1;
      problem.head_dim = 16;
      problem.value_dim = 8;
    }
    problem.mask = make(random, problem);
    for (const Modify& modify : modifiers) modify(random, problem);
    cases.push_back({problem, 1, 16384 + 3 * static_cast<std::int64_t>(cases.size() % 2), true});
  };
  const std::vector<MakeMask> masks = all_masks();
  const std::vector<Modify> modifiers = all_modifiers();
  const MakeMask causal = [](Random&, const Problem&) { return causal_mask(); };
  const MakeMask per_head_blocks = masks[14], documents = masks[12], user = masks[10];

  // Lists that the device makes, in blocks smaller and larger than the tiles.
  const auto add_listed = [&](const MakeMask& make, std::int64_t query_block,
                              std::int64_t key_block, bool per_head) {
    add(base(DataType::f32, reduced ? 40 : 150, reduced ? 50 : 201), make, {});
    Problem& problem = cases.back().problem;
    problem.blocks = shape_of(problem, query_block, key_block, per_head);
  };
  if (reduced) {
    for (const MakeMask& make : {documents, per_head_blocks, user, masks[5], masks[16]}) {
      add(base(DataType::f32, 40, 50), make, {});
    }
    add(base(DataType::f16, 40, 50), causal, modifiers);
    add_listed(per_head_blocks, 16, 24, true);
    return cases;
  }
  for (std::size_t i = 0; i < masks.size(); ++i) {
    const DataType type = kDataTypes[i % kDataTypes.size()];
    add(base(type, 97, 133), masks[i], {});
    add(base(type, 150, 61), masks[i], {});
    add(base(type, 1, 300), masks[i], {});
    add(base(type, 385, 260), masks[i], {});
  }
  for (std::size_t i = 0; i < modifiers.size(); ++i) {
    const DataType type = kDataTypes[i % kDataTypes.size()];
    for (const MakeMask& make : {masks[0], causal}) {
      add(base(type, 97, 133), make, {modifiers[i]});
      add(base(type, 65, 190), make, {modifiers[i]});
    }
  }
  const std::vector<std::vector<Modify>> combinations = {{modifiers[0], modifiers[1]},
                                                         {modifiers[3], modifiers[0], modifiers[5]},
                                                         {modifiers.rbegin(), modifiers.rend()}};
  for (const MakeMask& make : {documents, per_head_blocks, user, masks[16]}) {
    for (std::size_t i = 0; i < combinations.size(); ++i) {
      add(base(kDataTypes[i], 130, 129), make, combinations[i]);
    }
  }
  for (const auto& [query_block, key_block] :
       {std::pair(128, 128), {64, 32}, {16, 48}, {200, 7}, {1, 1}}) {
    add_listed(causal, query_block, key_block, false);
    add_listed(per_head_blocks, query_block, key_block, true);
  }
  add_listed(user, 64, 64, false);
  return cases;
}

}  // namespace clattn::tool
