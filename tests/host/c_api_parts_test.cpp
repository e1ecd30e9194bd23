// Score modifiers, the parts of problems and block lists in the C API, without a device: who owns
// what, and what is refused.
#include <clattn/clattn.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "tests/host/c_api_support.hpp"

namespace {

using namespace clattn::test;

constexpr clattn_sizes kSizes = {2, 3, 4, 6};  // query 0 stands beside key 2

// ---- Score modifiers

double apply(const ScoreHandle& score, clattn_point point, double value) {
  double result = std::nan("");
  expect_success(clattn_score_apply(score.get(), kSizes, point, value, &result));
  return result;
}

TEST(CApiScore, ModifiersApply) {
  EXPECT_NEAR(apply(make_score(clattn_score_create_softcap, 3.0f), {}, 2.0), 3 * std::tanh(2.0 / 3),
              1e-6);

  std::vector<float> slopes(8);
  expect_success(clattn_alibi_get_slopes(8, slopes.data()));
  EXPECT_FLOAT_EQ(slopes[0], 0.5f);
  EXPECT_FLOAT_EQ(slopes[7], 1.0f / 256);
  slopes = {1, 2, 3, 4, 5, 6};
  const ScoreHandle alibi = make_score(clattn_score_create_alibi, slopes.data(), 6, 2);
  slopes.assign(6, 0);
  EXPECT_DOUBLE_EQ(apply(alibi, {1, 2, 0, 5}, 1.0), 1.0 - 6 * 3);

  std::array<float, 12> bias;
  for (size_t i = 0; i < bias.size(); ++i) bias[i] = 0.25f * static_cast<float>(i);
  const clattn_buffer buffer = {"bias", bias.data(), 12, CLATTN_ELEMENT_TYPE_F32};
  const ScoreHandle biased =
      make_score(clattn_score_create_bias, &buffer, clattn_sizes{2, 1, 1, 6});
  bias.fill(0);
  EXPECT_DOUBLE_EQ(apply(biased, {1, 2, 3, 4}, 1.0), 1.0 + 0.25 * 10);

  const std::array<float, 3> table = {10, 20, 30};
  const ScoreHandle relative =
      make_score(clattn_score_create_relative_position, table.data(), 3, 1);
  EXPECT_DOUBLE_EQ(apply(relative, {0, 0, 0, 2}, 1.0), 21.0);
  EXPECT_DOUBLE_EQ(apply(relative, {0, 0, 0, 5}, 1.0), 31.0);

  const std::array<int64_t, 2> grid = {2, 2}, reach = {1, 0};
  const ScoreHandle on_grid =
      make_score(clattn_score_create_grid_position, table.data(), 3, grid.data(), reach.data(), 2);
  EXPECT_DOUBLE_EQ(apply(on_grid, {0, 0, 1, 2}, 1.0), 31.0);
  EXPECT_DOUBLE_EQ(apply(on_grid, {0, 0, 3, 2}, 1.0), 21.0);
  EXPECT_DOUBLE_EQ(apply(on_grid, {0, 0, 3, 4}, 1.0), 1.0);

  const clattn_expression expression = make_expression("score * 2.0f + key");
  const ScoreHandle own = make_score(clattn_score_create_expression, &expression, nullptr, nullptr);
  EXPECT_DOUBLE_EQ(apply(own, {0, 0, 0, 3}, 1.5), 6.0);
  double factor = 4;
  const clattn_apply_callback callback = [](double value, clattn_point point, clattn_extent extent,
                                            void* user) {
    return value * *static_cast<double*>(user) + static_cast<double>(point.query + extent.key_len);
  };
  const ScoreHandle called =
      make_score(clattn_score_create_expression, &expression, callback, &factor);
  EXPECT_DOUBLE_EQ(apply(called, {0, 0, 2, 3}, 1.5), 14.0);

  const ScoreHandle read = make_score(clattn_score_create_from_json, R"({"softcap": 3})", nullptr);
  char* text = nullptr;
  expect_success(clattn_score_to_json(read.get(), &text));
  EXPECT_EQ(take(text), R"({"softcap":3})");
  auto hooks = sized<clattn_hooks>();
  expect_success(clattn_score_get_hooks(read.get(), &hooks));
  EXPECT_NE(std::string(hooks.expression).find("score"), std::string::npos);
  clattn_hooks_release_parts(&hooks);
}

TEST(CApiScore, BadArgumentsAreErrors) {
  clattn_score* score = nullptr;
  const float value = 1;
  const clattn_buffer buffer = {"bias", &value, 1, CLATTN_ELEMENT_TYPE_F32};
  expect_invalid(clattn_score_create_softcap(0, &score), "0");
  expect_invalid(clattn_score_create_alibi(nullptr, 1, 1, &score), "slopes is null");
  expect_invalid(clattn_score_create_alibi(&value, 1, 2, &score), "2");
  expect_invalid(clattn_score_create_alibi(&value, 1, -1, &score), "-1");
  expect_invalid(clattn_score_create_alibi(&value, 1, 0, &score), "0");
  expect_invalid(clattn_score_create_bias(&buffer, {1, 1, 2, 1}, &score), "bias");
  expect_invalid(clattn_score_create_bias(nullptr, {1, 1, 1, 1}, &score), "buffer is null");
  expect_invalid(clattn_score_create_relative_position(nullptr, 1, 0, &score), "table is null");
  expect_invalid(clattn_score_create_relative_position(&value, 1, 1, &score), "1");
  expect_invalid(clattn_score_create_relative_position(&value, 1, -1, &score), "-1");
  expect_invalid(clattn_score_create_relative_position(&value, 1, INT64_MAX, &score), "");
  const int64_t one = 1;
  expect_invalid(clattn_score_create_grid_position(nullptr, 1, &one, &one, 1, &score),
                 "table is null");
  expect_invalid(clattn_score_create_grid_position(&value, 1, nullptr, &one, 1, &score),
                 "grid is null");
  expect_invalid(clattn_score_create_grid_position(&value, 1, &one, nullptr, 1, &score),
                 "reach is null");
  expect_invalid(clattn_score_create_grid_position(&value, 1, &one, &one, 0, &score),
                 "0 dimensions");
  expect_invalid(clattn_score_create_grid_position(&value, 1, &one, &one, 1, &score), "1 numbers");
  expect_invalid(clattn_score_create_from_json(R"({"sink_logits": [1]})", nullptr, &score),
                 "sink logits");
  expect_invalid(clattn_score_create_from_json(R"({"softcup": 1})", nullptr, &score), "softcap");
  expect_invalid(clattn_score_create_from_json(nullptr, nullptr, &score), "text is null");
  float slopes = 0;
  expect_invalid(clattn_alibi_get_slopes(0, &slopes), "0");
  expect_invalid(clattn_alibi_get_slopes(-1, &slopes), "-1");
  expect_invalid(clattn_alibi_get_slopes(1, nullptr), "slopes is null");
  EXPECT_EQ(score, nullptr);

  const ScoreHandle biased =
      make_score(clattn_score_create_bias, &buffer, clattn_sizes{1, 1, 1, 1});
  const float two[] = {1, 2};
  const ScoreHandle alibi = make_score(clattn_score_create_alibi, two, 2, 1);
  double result = 7;
  expect_success(clattn_score_validate(biased.get(), kSizes));
  expect_invalid(clattn_score_validate(alibi.get(), kSizes), "3");
  expect_invalid(clattn_score_apply(alibi.get(), kSizes, {0, 2, 0, 0}, 1, &result), "3");
  expect_invalid(clattn_score_apply(biased.get(), kSizes, {0, 3, 0, 0}, 1, &result), "head 3");
  EXPECT_EQ(result, 7);

  const clattn_expression expression = make_expression("score");
  auto hooks = sized<clattn_hooks>();
  char* text = nullptr;
  expect_invalid(clattn_score_create_softcap(1, nullptr), "score is null");
  expect_invalid(clattn_score_create_alibi(&value, 1, 1, nullptr), "score is null");
  expect_invalid(clattn_score_create_bias(&buffer, {1, 1, 1, 1}, nullptr), "score is null");
  expect_invalid(clattn_score_create_relative_position(&value, 1, 0, nullptr), "score is null");
  expect_invalid(clattn_score_create_grid_position(&value, 1, &one, &one, 1, nullptr),
                 "score is null");
  expect_invalid(clattn_score_create_expression(&expression, nullptr, nullptr, nullptr),
                 "score is null");
  expect_invalid(clattn_score_create_from_json("{}", nullptr, nullptr), "score is null");
  expect_invalid(clattn_score_to_json(nullptr, &text), "score is null");
  expect_invalid(clattn_score_to_json(biased.get(), nullptr), "text is null");
  expect_invalid(clattn_score_retain(nullptr), "score is null");
  clattn_score_release(nullptr);
  expect_invalid(clattn_score_validate(nullptr, kSizes), "score is null");
  expect_invalid(clattn_score_apply(nullptr, kSizes, {}, 1, &result), "score is null");
  expect_invalid(clattn_score_apply(biased.get(), kSizes, {}, 1, nullptr), "result is null");
  expect_invalid(clattn_score_get_hooks(nullptr, &hooks), "score is null");
  expect_invalid(clattn_score_get_hooks(biased.get(), nullptr), "hooks is null");
  expect_invalid(clattn_expression_init(nullptr, 0), "expression is null");
}

// ---- Problems made of parts

TEST(CApiProblem, CarriesAndLendsItsParts) {
  auto problem = sized<clattn_problem>();
  expect_success(clattn_problem_from_json(
      R"({"heads": 2, "q_len": 4, "kv_len": 6, "head_dim": 8, "mask": {"causal": {}},
          "blocks": {"q_block": 2, "k_block": 3, "heads": 2, "capacity": 1},
          "score": [{"softcap": 30}, {"sink_logits": [1, -2]}, {"alibi": {"slopes": [1, 2]}}]})",
      nullptr, &problem));
  ASSERT_EQ(problem.score_count, 2u);
  ASSERT_EQ(problem.sink_logit_count, 2u);
  EXPECT_EQ(problem.sink_logits[1], -2);
  EXPECT_TRUE(problem.has_blocks);
  EXPECT_EQ(problem.blocks.key_block, 3);
  EXPECT_EQ(problem.blocks.heads, 2);
  EXPECT_EQ(problem.blocks.capacity, 1);
  char* text = nullptr;
  expect_success(clattn_problem_to_json(&problem, &text));
  const std::string first = take(text);

  // The same from parts of our own, of which one was the problem's.
  clattn_score* alibi = problem.scores[1];
  expect_success(clattn_score_retain(alibi));
  clattn_problem own = problem;
  own.owned = nullptr;
  clattn_problem_release_parts(&problem);
  EXPECT_EQ(problem.mask, nullptr);
  EXPECT_EQ(problem.scores, nullptr);
  EXPECT_EQ(problem.score_count, 0u);
  EXPECT_EQ(problem.sink_logit_count, 0u);
  clattn_problem_release_parts(&problem);
  clattn_problem_release_parts(nullptr);
  const MaskHandle causal = make_mask(clattn_mask_create_causal, 0);
  const ScoreHandle softcap = make_score(clattn_score_create_softcap, 30.0f);
  clattn_score* const scores[] = {softcap.get(), alibi};
  const float sink_logits[] = {1, -2};
  own.mask = causal.get();
  own.scores = scores;
  own.sink_logits = sink_logits;
  clattn_problem_release_parts(&own);
  EXPECT_EQ(own.mask, causal.get()) << "nothing of it is the library's";
  expect_success(clattn_problem_validate(&own));
  expect_success(clattn_problem_to_json(&own, &text));
  EXPECT_EQ(take(text), first);

  own.sink_logit_count = 1;
  expect_invalid(clattn_problem_validate(&own), "1 sink logits");
  own.sink_logits = nullptr;
  expect_invalid(clattn_problem_validate(&own), "sink_logits is null");
  own.sink_logit_count = 0;
  own.blocks.query_block = 0;
  expect_invalid(clattn_problem_validate(&own), "q_block is 0");
  own.has_blocks = 0;
  clattn_score* const broken[] = {alibi, nullptr};
  own.scores = broken;
  expect_invalid(clattn_problem_validate(&own), "scores[1] is null");
  own.scores = nullptr;
  expect_invalid(clattn_problem_validate(&own), "scores is null");
  own.score_count = 0;
  expect_success(clattn_problem_validate(&own));
  clattn_score_release(alibi);
}

// ---- Token orders

TEST(CApiTokenOrder, GivesTheTokenAtEachPosition) {
  const clattn_token_order order = {2, {3, 3, 99}, {2, 2, 99}, {0, 2, 99}};
  std::array<int32_t, 10> tokens;
  tokens.fill(-1);
  expect_success(clattn_token_order_get_tokens(order, tokens.data(), tokens.size()));
  EXPECT_EQ(tokens, (std::array<int32_t, 10>{0, 2, 3, 5, 6, 8, 1, 4, 7, -1}));
  tokens.fill(-1);
  expect_invalid(clattn_token_order_get_tokens(order, tokens.data(), 8),
                 "room for 8 tokens, but the order has 9");
  expect_invalid(clattn_token_order_get_tokens(order, nullptr, 9), "tokens is null");
  clattn_token_order bad = order;
  bad.rank = 4;
  expect_invalid(clattn_token_order_get_tokens(bad, tokens.data(), 10), "rank is 4");
  bad = order;
  bad.tile[1] = 0;
  expect_invalid(clattn_token_order_get_tokens(bad, tokens.data(), 10), "tile of dimension 1 is 0");
  EXPECT_EQ(tokens[0], -1);
}

TEST(CApiTokenOrder, ProblemsCarryIt) {
  auto problem = sized<clattn_problem>();
  expect_success(clattn_problem_from_json(
      R"({"q_len": 15, "kv_len": 15, "head_dim": 8,
          "mask": {"neighborhood": {"grid": [3, 5], "window": [2, 2]}},
          "token_order": {"grid": [3, 5], "tile": [2, 4]}})",
      nullptr, &problem));
  EXPECT_TRUE(problem.has_token_order);
  EXPECT_EQ(problem.token_order.rank, 2);
  EXPECT_EQ(problem.token_order.grid[1], 5);
  EXPECT_EQ(problem.token_order.tile[0], 2);
  EXPECT_EQ(problem.token_order.dilation[1], 1);
  expect_success(clattn_problem_validate(&problem));
  problem.token_order.tile[1] = 0;
  expect_invalid(clattn_problem_validate(&problem), "tile of dimension 1 is 0");
  problem.token_order.rank = 0;
  expect_invalid(clattn_problem_validate(&problem), "rank is 0");
  clattn_problem_release_parts(&problem);
}

TEST(CApiTokenOrder, PermutationsNeedTheirArguments) {
  clattn_token_permutation* permutation = nullptr;
  const clattn_tensor_shape shape{};
  expect_invalid(clattn_token_permutation_create(nullptr, {}, 0, 0, &shape, &shape, &permutation),
                 "engine is null");
  expect_invalid(clattn_token_permutation_create(nullptr, {}, 0, 0, &shape, &shape, nullptr),
                 "permutation is null");
  expect_invalid(clattn_token_permutation_retain(nullptr), "permutation is null");
  expect_invalid(clattn_token_permutation_enqueue(nullptr, nullptr, {}, {}, 0, nullptr, nullptr),
                 "permutation is null");
  clattn_token_permutation_release(nullptr);
  EXPECT_EQ(permutation, nullptr);
}

// ---- Block lists

TEST(CApiBlocks, ListsOfAMaskAreItsBlocks) {
  const MaskHandle causal = make_mask(clattn_mask_create_causal, 0);
  const clattn_sizes sizes = {2, 3, 5, 7};
  const clattn_extent extent = {5, 7};
  clattn_block_shape shape = {2, 3, 1, 3, 0};
  int64_t rows = 0, columns = 0, capacity = 0;
  expect_success(clattn_block_shape_get_counts(shape, extent, &rows, &columns, &capacity));
  EXPECT_EQ(rows, 3);
  EXPECT_EQ(columns, 3);
  EXPECT_EQ(capacity, 3);
  expect_success(clattn_block_shape_get_counts(shape, extent, nullptr, nullptr, nullptr));

  auto lists = sized<clattn_block_lists>();
  expect_success(clattn_block_lists_make(causal.get(), shape, sizes, &lists));
  ASSERT_EQ(lists.partial_count.count, 9u);
  ASSERT_EQ(lists.full_index.count, 27u);
  // Queries 0 and 1 see keys up to 2 and 3: block 0 is full, block 1 partial.
  EXPECT_EQ(lists.full_count.values[0], 1);
  EXPECT_EQ(lists.full_index.values[0], 0);
  EXPECT_EQ(lists.partial_count.values[0], 1);
  EXPECT_EQ(lists.partial_index.values[0], 1);
  expect_success(clattn_block_lists_validate(&lists, extent));

  auto transposed = sized<clattn_block_lists>();
  expect_success(clattn_block_lists_transpose(&lists, extent, &transposed));
  EXPECT_EQ(transposed.shape.capacity, 3);
  ASSERT_EQ(transposed.full_count.count, 9u);
  EXPECT_EQ(transposed.full_count.values[0], 3) << "all rows of blocks see key block 0";
  clattn_block_lists_release_parts(&transposed);
  EXPECT_EQ(transposed.full_count.values, nullptr);
  EXPECT_EQ(transposed.full_count.count, 0u);
  clattn_block_lists_release_parts(&transposed);
  clattn_block_lists_release_parts(nullptr);

  const MaskHandle same = make_mask(clattn_mask_create_block_lists, &lists, extent, causal.get());
  const MaskHandle wider = make_mask(clattn_mask_create_block_lists, &lists, extent, nullptr);
  clattn_block_lists_release_parts(&lists);
  EXPECT_EQ(count_pairs(same, sizes), count_pairs(causal, sizes));
  EXPECT_GT(count_pairs(wider, sizes), count_pairs(causal, sizes));

  shape.heads = 2;
  expect_invalid(clattn_block_lists_make(causal.get(), shape, sizes, &lists),
                 "heads of the block shape is 2, but must be 1 or 3");
  shape.heads = 1;
  shape.capacity = INT64_MAX;
  expect_failure(clattn_block_lists_make(causal.get(), shape, sizes, &lists),
                 CLATTN_STATUS_OUT_OF_MEMORY, "memory");
  EXPECT_EQ(lists.owned, nullptr);
}

TEST(CApiBlocks, ListsOfOurOwnAreChecked) {
  const clattn_extent extent = {4, 6};
  const std::array<int32_t, 2> counts = {1, 2};
  std::array<int32_t, 4> indices = {1, 0, 0, 1};
  std::array<int32_t, 2> lengths = {3, 2};
  clattn_block_lists lists;
  expect_success(clattn_block_lists_init(&lists, sizeof lists));
  EXPECT_EQ(lists.shape.query_block, 128);
  lists.shape = {2, 3, 1, 1, 0};
  lists.partial_count = {counts.data(), counts.size()};
  lists.partial_index = {indices.data(), indices.size()};
  lists.key_lengths = {lengths.data(), lengths.size()};
  const MaskHandle mask = make_mask(clattn_mask_create_block_lists, &lists, extent, nullptr);
  clattn_block_lists_release_parts(&lists);
  EXPECT_EQ(lists.partial_count.values, counts.data()) << "nothing of it is the library's";
  EXPECT_EQ(count_pairs(mask, {1, 1, 4, 6}), 2 * 2 + 2 * 5);

  auto transposed = sized<clattn_block_lists>();
  clattn_mask* none = nullptr;
  const auto refuse = [&](const std::string& part) {
    SCOPED_TRACE(part);
    expect_invalid(clattn_block_lists_validate(&lists, extent), part);
    expect_invalid(clattn_block_lists_transpose(&lists, extent, &transposed), part);
    expect_invalid(clattn_mask_create_block_lists(&lists, extent, nullptr, &none), part);
  };
  indices[3] = 2;
  refuse("partial_index of batch 0, head 0, row 1, entry 1 is 2");
  indices[3] = 1;
  lengths[0] = 4;
  refuse("key_lengths");
  lists.key_lengths = {nullptr, 2};
  refuse("key_lengths is null");
  lists.key_lengths = {};
  lists.partial_index.count = 3;
  refuse("partial_index has 3 entries");
  lists.partial_index.count = 4;
  lists.shape.key_block = 0;
  refuse("key_block is 0");
  lists.struct_size = 0;
  refuse("clattn_block_lists");
  EXPECT_EQ(transposed.owned, nullptr);
  EXPECT_EQ(none, nullptr);

  int64_t rows = -1;
  expect_invalid(clattn_block_shape_get_counts({0, 1, 1, 1, 0}, extent, &rows, nullptr, nullptr),
                 "query_block is 0");
  expect_invalid(clattn_block_shape_get_counts({1, 1, 1, 1, -1}, extent, &rows, nullptr, nullptr),
                 "capacity is -1");
  expect_invalid(clattn_block_shape_get_counts({1, 1, 1, 1, 0}, {-1, 0}, &rows, nullptr, nullptr),
                 "query_len is -1");
  EXPECT_EQ(rows, -1);
  expect_invalid(clattn_block_lists_init(nullptr, 0), "lists is null");
  expect_invalid(clattn_block_lists_validate(nullptr, extent), "lists is null");
  expect_invalid(clattn_block_lists_make(nullptr, {1, 1, 1, 1, 0}, {1, 1, 1, 1}, &transposed),
                 "mask is null");
  expect_invalid(clattn_block_lists_make(mask.get(), {1, 1, 1, 1, 0}, {1, 1, 4, 6}, nullptr),
                 "lists is null");
  expect_invalid(clattn_block_lists_transpose(&lists, extent, nullptr), "transposed is null");
}

TEST(CApiBlocks, BuildersNeedTheirArguments) {
  auto problem = sized<clattn_problem>();
  auto lists = sized<clattn_block_lists>();
  clattn_block_builder* builder = nullptr;
  clattn_block_list_buffers buffers = {};
  clattn_block_selection selection;
  expect_success(clattn_block_selection_init(&selection, sizeof selection));
  EXPECT_EQ(selection.kind, CLATTN_SELECTION_KIND_NONZERO);
  EXPECT_TRUE(selection.keep_crossing);
  expect_invalid(clattn_block_selection_init(nullptr, 0), "selection is null");
  expect_invalid(clattn_block_builder_create(nullptr, &problem, &builder), "engine is null");
  expect_invalid(clattn_block_builder_create(nullptr, &problem, nullptr), "builder is null");
  expect_invalid(clattn_block_builder_retain(nullptr), "builder is null");
  clattn_block_builder_release(nullptr);
  expect_invalid(
      clattn_block_builder_build(nullptr, nullptr, nullptr, nullptr, 0, 0, nullptr, nullptr),
      "builder is null");
  expect_invalid(clattn_block_builder_get_lists(nullptr, &buffers), "builder is null");
  expect_invalid(clattn_block_builder_get_transposed(nullptr, &buffers), "builder is null");
  expect_invalid(clattn_block_builder_download(nullptr, nullptr, &lists), "builder is null");
  expect_invalid(clattn_block_list_buffers_check(nullptr, &problem, &buffers), "queue is null");
  EXPECT_EQ(builder, nullptr);
}

}  // namespace
