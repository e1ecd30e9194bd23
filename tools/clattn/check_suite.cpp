#include "check_suite.hpp"

#include <fmt/format.h>

#include <array>
#include <optional>
#include <utility>

#include "check_neighborhood.hpp"
#include "check_sparse.hpp"
#include "fail.hpp"
#include "problem_input.hpp"

namespace clattn::tool {
namespace {

constexpr std::array kDataTypes = {DataType::f32, DataType::f16, DataType::bf16};
constexpr std::array<std::int64_t, 16> kLengths = {1,  15, 16, 17, 31, 32,  33,  47,
                                                   48, 49, 63, 64, 65, 127, 128, 129};
// Value dimensions that differ from the head dimension; each value stands on both sides.
constexpr std::array<std::pair<std::int64_t, std::int64_t>, 18> kDims = {{{8, 8},
                                                                          {32, 32},
                                                                          {40, 40},
                                                                          {64, 64},
                                                                          {80, 80},
                                                                          {96, 96},
                                                                          {128, 128},
                                                                          {192, 192},
                                                                          {256, 256},
                                                                          {8, 96},
                                                                          {32, 8},
                                                                          {40, 128},
                                                                          {64, 32},
                                                                          {80, 192},
                                                                          {96, 40},
                                                                          {128, 64},
                                                                          {192, 256},
                                                                          {256, 80}}};

// Axes that need no other kernel. `turn` walks through them.
constexpr std::array<std::array<std::int64_t, 3>, 5> kHeads = {  // batch, heads, kv_heads
    {{1, 1, 1}, {2, 2, 2}, {1, 4, 2}, {2, 4, 1}, {1, 6, 3}}};
constexpr std::array<std::optional<float>, 7> kScales = {std::nullopt, 0.0f, std::nullopt, -0.25f,
                                                         std::nullopt, 0.5f, std::nullopt};
enum class Placement { bhld, blhd, padded, broadcast };
constexpr std::array kPlacements = {Placement::bhld, Placement::blhd, Placement::padded,
                                    Placement::broadcast};

// Masks of one kind differ in numbers only, which are arguments of one kernel.
constexpr std::size_t kDense = 0, kCausal = 1, kWindow = 3;
std::vector<Mask> all_masks() {
  return {dense_mask(),
          causal_mask(CausalAlign::bottom_right),
          causal_mask(CausalAlign::top_left),
          window_mask(20, 9),
          window_mask(1000, 1000),
          window_mask(35, std::nullopt),
          window_mask(std::nullopt, 3)};
}

// Which data type stands for a mask in the thin part, the same for masks of one kind.
constexpr std::size_t thin_data_type(std::size_t mask) {
  constexpr std::array<std::size_t, 7> kTypes = {0, 1, 1, 2, 2, 0, 1};
  return kTypes[mask];
}

// Rows and heads that don't touch and don't start at aligned elements.
Strides padded_strides(std::int64_t heads, std::int64_t length, std::int64_t dim) {
  const std::int64_t token = dim + 3;
  const std::int64_t head = length * token + 5;
  return {heads * head + 7, head, token};
}

void place(Problem& problem, Placement placement) {
  const std::int64_t heads = problem.heads, kv_heads = problem.kv_heads;
  switch (placement) {
    case Placement::bhld:
      break;
    case Placement::blhd:
      problem.layout = Layout::blhd;
      break;
    case Placement::padded:
      problem.query_strides = padded_strides(heads, problem.query_len, problem.head_dim);
      problem.key_strides = padded_strides(kv_heads, problem.key_len, problem.head_dim);
      problem.value_strides = padded_strides(kv_heads, problem.key_len, problem.value_dim);
      problem.output_strides = padded_strides(heads, problem.query_len, problem.value_dim);
      break;
    case Placement::broadcast:
      problem.query_strides = {0, problem.query_len * problem.head_dim, problem.head_dim};
      problem.key_strides = {0, 0, problem.head_dim};
      problem.value_strides = {problem.key_len * problem.value_dim, 0, problem.value_dim};
      break;
  }
}

// Varies what no kernel is built for. Lengths repeat every sixteen turns: a shift after each round
// of them keeps the other axes from repeating with them.
CheckCase make_case(Problem problem, std::size_t turn, bool thin) {
  turn += turn / kLengths.size();
  const auto& [batch, heads, kv_heads] = kHeads[turn % kHeads.size()];
  problem.batch = batch;
  problem.heads = heads;
  problem.kv_heads = kv_heads;
  problem.scale = kScales[turn % kScales.size()];
  problem.lse = turn % 11 != 0;
  place(problem, kPlacements[turn % kPlacements.size()]);
  const bool aligned = turn / kPlacements.size() % 2 == 0;
  // A guard holds a whole tile of the largest dimension.
  return {problem, turn % 3 == 0 ? 8.0 : 1.0, aligned ? 16384 : 16387, thin};
}

Problem shape(DataType type, const Mask& mask, std::int64_t query_len, std::int64_t key_len,
              std::pair<std::int64_t, std::int64_t> dims) {
  Problem problem;
  problem.data_type = type;
  problem.mask = mask;
  problem.query_len = query_len;
  problem.key_len = key_len;
  problem.head_dim = dims.first;
  problem.value_dim = dims.second;
  return problem;
}

std::vector<CheckCase> full_suite() {
  std::vector<CheckCase> cases;
  const auto add = [&](const Problem& problem, bool thin) {
    cases.push_back(make_case(problem, cases.size(), thin));
  };
  const std::vector<Mask> masks = all_masks();

  // Masks x data types x lengths. Seven and sixteen share no factor, so that every length stands
  // on both sides, beside another neighbour in every mask.
  for (std::size_t i = 0; i < masks.size(); ++i) {
    for (std::size_t j = 0; j < kDataTypes.size(); ++j) {
      // Masks of one kind share a kernel, so a kind has one data type in the thin part.
      const bool thin = j == thin_data_type(i);
      for (std::size_t k = 0; k < kLengths.size(); ++k) {
        const std::int64_t key_len = kLengths[(7 * k + 3 * i + j) % kLengths.size()];
        add(shape(kDataTypes[j], masks[i], kLengths[k], key_len, {64, 64}), thin);
      }
    }
  }
  // Dimensions, with two data types where the two are equal.
  for (std::size_t i = 0; i < kDims.size(); ++i) {
    const auto& [head_dim, value_dim] = kDims[i];
    for (std::size_t j = 0; j < (head_dim == value_dim ? 2 : 1); ++j) {
      const DataType type = kDataTypes[(i + j) % kDataTypes.size()];
      const Mask& mask = masks[i % 2];
      const bool thin = head_dim != value_dim && i % 3 == 0;
      add(shape(type, mask, 49, 129, kDims[i]), thin);
      add(shape(type, mask, 97, 64, kDims[i]), thin);
      add(shape(type, mask, 130, 31, kDims[i]), thin);
    }
  }
  // No queries, no keys, many tiles with far more queries than keys (rows that see nothing), and
  // the edges of the largest tiles.
  for (const std::size_t i : {kDense, kCausal, kWindow}) {
    constexpr std::pair<std::int64_t, std::int64_t> kExtremes[] = {
        {0, 33},   {33, 0},   {0, 0},    {700, 150}, {150, 700}, {1, 1000},
        {1000, 1}, {191, 63}, {192, 64}, {193, 65},  {383, 130}, {385, 200}};
    for (const auto& [query_len, key_len] : kExtremes) {
      add(shape(kDataTypes[thin_data_type(i)], masks[i], query_len, key_len, {64, 64}), true);
    }
  }
  return cases;
}

std::vector<CheckCase> reduced_suite() {
  std::vector<CheckCase> cases;
  const auto add = [&](const Problem& problem) {
    cases.push_back(make_case(problem, cases.size(), true));
  };
  for (const Mask& mask : {dense_mask(), causal_mask(), window_mask(20, 9)}) {
    for (const DataType type : kDataTypes) {
      add(shape(type, mask, 50, 67, {8, 16}));
      add(shape(type, mask, 67, 33, {16, 8}));
    }
  }
  add(shape(DataType::f32, dense_mask(), 1, 1, {8, 16}));
  add(shape(DataType::f32, dense_mask(), 3, 0, {8, 16}));
  add(shape(DataType::f32, causal_mask(), 5, 2, {8, 16}));
  return cases;
}

}  // namespace

std::vector<CheckCase> check_suite(const std::string& name) {
  for (const bool reduced : {false, true}) {
    if (name != (reduced ? "reduced" : "full")) continue;
    std::vector<CheckCase> cases = reduced ? reduced_suite() : full_suite();
    std::ranges::move(sparse_cases(reduced), std::back_inserter(cases));
    std::ranges::move(neighborhood_cases(reduced), std::back_inserter(cases));
    return cases;
  }
  fail("unknown suite '{}'; known are full and reduced", name);
}

std::string describe(const CheckCase& check) {
  const std::string spread = check.spread == 1 ? "" : fmt::format(" x{}", check.spread);
  const bool chosen = check.plan.tokens != TokenAccess::automatic;
  return describe(check.problem) + spread +
         (chosen ? fmt::format(" {}", to_string(check.plan.tokens)) : "");
}

}  // namespace clattn::tool
