// Masks and expressions in the C API, without a device: who owns what, and what is refused. What
// masks mean is tested with the C++ API: here their JSON says that arguments arrive where they
// belong.
#include <clattn/clattn.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "tests/host/c_api_support.hpp"
#include "tests/host/npy_support.hpp"
#include "tests/support.hpp"

namespace {

using namespace clattn::test;

constexpr clattn_sizes kSizes = {2, 3, 4, 6};  // query 0 stands beside key 2

std::string text_of(const MaskHandle& mask) {
  char* text = nullptr;
  expect_success(clattn_mask_to_json(mask.get(), &text));
  return take(text);
}

MaskHandle mask_from(const char* text) {
  return make_mask(clattn_mask_create_from_json, text, nullptr, nullptr);
}

TEST(CApiMask, Views) {
  const MaskHandle mask = make_mask(clattn_mask_create_window, 1, 0);
  const clattn_slice slice = {1, 2};
  EXPECT_TRUE(allows(mask, kSizes, {1, 2, 0, 1}));
  EXPECT_FALSE(allows(mask, kSizes, {1, 2, 0, 3}));
  int32_t coverage = -1;
  expect_success(clattn_mask_classify(mask.get(), kSizes, slice, {0, 1}, {1, 3}, &coverage));
  EXPECT_EQ(coverage, CLATTN_COVERAGE_ALL);
  expect_success(clattn_mask_classify(mask.get(), kSizes, slice, {0, 1}, {3, 6}, &coverage));
  EXPECT_EQ(coverage, CLATTN_COVERAGE_NONE);
  clattn_range keys = {-1, -1};
  expect_success(clattn_mask_reach(mask.get(), kSizes, slice, {0, 2}, &keys));
  EXPECT_EQ(keys.begin, 1);
  EXPECT_EQ(keys.end, 4);
  EXPECT_EQ(count_pairs(mask, kSizes), 8);
  int32_t batch = -1, head = -1;
  expect_success(clattn_mask_get_variation(mask.get(), &batch, &head));
  EXPECT_EQ(batch, 0);
  EXPECT_EQ(head, 0);

  int32_t found = -1;
  int64_t pairs = -1;
  expect_success(clattn_mask_count_visible_pairs(mask.get(), kSizes, slice, 0, &found, &pairs));
  EXPECT_EQ(found, 0);
  EXPECT_EQ(pairs, -1);
}

TEST(CApiMask, ViewsRefuseWhatIsOutside) {
  const MaskHandle mask = make_mask(clattn_mask_create_dense);
  int32_t allowed = -1, coverage = -1, found = -1;
  int64_t pairs = -1;
  clattn_range keys = {-1, -1};
  const auto at = [&](clattn_point point) {
    return clattn_mask_allows(mask.get(), kSizes, point, &allowed);
  };
  expect_invalid(at({0, 0, 4, 0}), "query 4");
  expect_invalid(at({0, 0, 0, -1}), "key -1");
  expect_invalid(at({2, 0, 0, 0}), "batch 2, head 0 is no slice of batch 2 and heads 3");
  expect_invalid(at({0, -1, 0, 0}), "head -1");
  expect_invalid(clattn_mask_classify(mask.get(), kSizes, {}, {0, 5}, {0, 1}, &coverage),
                 "queries [0, 5)");
  expect_invalid(clattn_mask_classify(mask.get(), kSizes, {}, {0, 1}, {3, 2}, &coverage),
                 "keys [3, 2)");
  expect_invalid(clattn_mask_classify(mask.get(), kSizes, {0, 3}, {0, 1}, {0, 1}, &coverage),
                 "head 3");
  expect_invalid(clattn_mask_reach(mask.get(), {1, 1, -4, 6}, {}, {0, 1}, &keys),
                 "query_len is -4");
  expect_invalid(clattn_mask_validate(mask.get(), {-1, 1, 4, 6}), "batch is -1");
  expect_invalid(
      clattn_mask_count_visible_pairs(mask.get(), {1, 1, 1, INT64_MAX}, {}, 1, &found, &pairs),
      "key_len");
  EXPECT_EQ(allowed, -1);
  EXPECT_EQ(coverage, -1);
  EXPECT_EQ(keys.begin, -1);
  EXPECT_EQ(pairs, -1);
}

// A mask that is laid over sizes that are not its own would read outside its tables.
TEST(CApiMask, ViewsRefuseSizesThatAreNotTheMasks) {
  const std::array<std::pair<const char*, const char*>, 4> cases = {{
      {R"({"per_head": [{}, {"causal": {}}]})", "per_head has 2 masks"},
      {R"({"documents": {"lengths": [2, 1], "key_lengths": [3, 3]}})", "add up to 3"},
      {R"({"blocks": {"q_block": 4, "k_block": 3, "mask": [[["11"]], [["10"]], [["10"]]]}})",
       "batch of the block mask is 3"},
      {R"({"global": {"tokens": [6]}})", "6"},
  }};
  for (const auto& [text, part] : cases) {
    SCOPED_TRACE(text);
    const MaskHandle mask = mask_from(text);
    int32_t result = -1;
    int64_t pairs = -1;
    size_t count = 77;
    clattn_range keys;
    auto lists = sized<clattn_block_lists>();
    expect_invalid(clattn_mask_validate(mask.get(), kSizes), part);
    expect_invalid(clattn_mask_allows(mask.get(), kSizes, {}, &result), part);
    expect_invalid(clattn_mask_classify(mask.get(), kSizes, {}, {0, 1}, {0, 1}, &result), part);
    expect_invalid(clattn_mask_reach(mask.get(), kSizes, {}, {0, 1}, &keys), part);
    expect_invalid(clattn_mask_get_seams(mask.get(), kSizes, {}, nullptr, 0, &count), part);
    expect_invalid(clattn_mask_count_visible_pairs(mask.get(), kSizes, {}, 9, &result, &pairs),
                   part);
    expect_invalid(clattn_block_lists_make(mask.get(), {2, 2, 1, 1, 0}, kSizes, &lists), part);
    EXPECT_EQ(result, -1);
    EXPECT_EQ(count, 77u);
  }
}

TEST(CApiMask, SeamsAreCutAtTheCapacity) {
  const MaskHandle mask = mask_from(R"({"documents": {"lengths": [1, 2, 1]}})");
  const clattn_sizes sizes = {1, 1, 4, 4};
  std::array<int64_t, 3> seams = {-1, -1, -1};
  size_t count = 0;
  expect_success(clattn_mask_get_seams(mask.get(), sizes, {}, seams.data(), 1, &count));
  EXPECT_EQ(count, 2u);
  EXPECT_EQ(seams, (std::array<int64_t, 3>{1, -1, -1}));
  expect_success(clattn_mask_get_seams(mask.get(), sizes, {}, seams.data(), 3, &count));
  EXPECT_EQ(seams, (std::array<int64_t, 3>{1, 3, -1}));
  expect_success(clattn_mask_get_seams(mask.get(), sizes, {}, nullptr, 0, &count));
  EXPECT_EQ(count, 2u);
}

TEST(CApiMask, ConstructorsPassTheirArgumentsOn) {
  const std::array<int64_t, 2> numbers = {3, 1};
  const std::array<int64_t, 2> others = {2, 4};
  const std::array<uint8_t, 6> kept = {1, 0, 1, 0, 0, 7};
  const MaskHandle causal = make_mask(clattn_mask_create_causal, CLATTN_CAUSAL_ALIGN_TOP_LEFT);
  const MaskHandle sink = make_mask(clattn_mask_create_sink, 4);
  clattn_mask* const both[] = {causal.get(), sink.get()};
  const std::string causal_text = R"({"causal":{"align":"top_left"}})";
  const std::string sink_text = R"({"sink":{"tokens":4}})";
  EXPECT_EQ(text_of(causal), causal_text);
  EXPECT_EQ(text_of(sink), sink_text);
  EXPECT_EQ(text_of(make_mask(clattn_mask_create_dense)), "{}");
  EXPECT_EQ(text_of(make_mask(clattn_mask_create_window, 2, CLATTN_WINDOW_UNBOUNDED)),
            R"({"window":{"left":2,"right":null}})");
  EXPECT_EQ(text_of(make_mask(clattn_mask_create_dilated_window, CLATTN_WINDOW_UNBOUNDED, 1, 3)),
            R"({"dilated_window":{"left":null,"right":1,"dilation":3}})");
  EXPECT_EQ(text_of(make_mask(clattn_mask_create_prefix, 64)), R"({"prefix":{"length":64}})");
  EXPECT_EQ(text_of(make_mask(clattn_mask_create_global, others.data(), others.size())),
            R"({"global":{"tokens":[2,4]}})");
  EXPECT_EQ(text_of(make_mask(clattn_mask_create_random_blocks, 2, 3, 1, 9u)),
            R"({"random_blocks":{"q_block":2,"k_block":3,"count":1,"seed":9}})");
  EXPECT_EQ(text_of(make_mask(clattn_mask_create_documents, numbers.data(), nullptr, 2, nullptr)),
            R"({"documents":{"lengths":[3,1]}})");
  EXPECT_EQ(text_of(make_mask(clattn_mask_create_documents, numbers.data(), others.data(), 2,
                              causal.get())),
            R"({"documents":{"lengths":[3,1],"key_lengths":[2,4],"mask":)" + causal_text + "}}");
  const std::string list = "[" + causal_text + "," + sink_text + "]}";
  EXPECT_EQ(text_of(make_mask(clattn_mask_create_per_head, both, 2)), "{\"per_head\":" + list);
  EXPECT_EQ(text_of(make_mask(clattn_mask_create_all_of, both, 2)), "{\"all_of\":" + list);
  EXPECT_EQ(text_of(make_mask(clattn_mask_create_any_of, both, 2)), "{\"any_of\":" + list);
  EXPECT_EQ(text_of(make_mask(clattn_mask_create_not, sink.get())), "{\"not\":" + sink_text + "}");
  EXPECT_EQ(text_of(make_mask(clattn_mask_create_blocks, clattn_block_shape{2, 3, 1, 2, 0}, 1, 3,
                              kept.data(), kept.size())),
            R"({"blocks":{"q_block":2,"k_block":3,"mask":[[["101"],["001"]]]}})");
}

TEST(CApiMask, NeighborhoodsPassTheirArgumentsOn) {
  clattn_neighborhood of = {2, {6, 9}, {2, 3}, {}, {}, {}, 0};
  const std::string shape = R"({"neighborhood":{"grid":[6,9],"window":[2,3])";
  EXPECT_EQ(text_of(make_mask(clattn_mask_create_neighborhood, &of)), shape + "}}");
  of = {2, {6, 9, 7}, {2, 3, 7}, {2, 1, 7}, {3, 2, 7}, {0, 7, 7}, 4};
  const MaskHandle mask = make_mask(clattn_mask_create_neighborhood, &of);
  EXPECT_EQ(text_of(mask), shape + R"(,"stride":[2,1],"dilation":[3,2],"causal":[false,true],)" +
                               R"("extra_keys":4}})");
  EXPECT_TRUE(allows(mask, {1, 1, 54, 58}, {0, 0, 0, 57}));
  EXPECT_EQ(count_pairs(mask, {1, 1, 54, 58}), 54 * 4 + 6 * 2 * (5 * 3 - 3 + 4 * 3 - 3));
  expect_invalid(clattn_mask_validate(mask.get(), kSizes), "q_len is 4");

  clattn_mask* refused = nullptr;
  expect_invalid(clattn_mask_create_neighborhood(nullptr, &refused), "neighborhood is null");
  of.window[1] = 1;
  expect_invalid(clattn_mask_create_neighborhood(&of, &refused), "window of dimension 1 is 1");
  of.rank = 0;
  expect_invalid(clattn_mask_create_neighborhood(&of, &refused), "rank is 0");
  of.rank = 4;
  expect_invalid(clattn_mask_create_neighborhood(&of, &refused), "rank is 4");
  EXPECT_EQ(refused, nullptr);
}

TEST(CApiMask, EmptyArraysMayBeNull) {
  EXPECT_EQ(count_pairs(make_mask(clattn_mask_create_all_of, nullptr, 0), kSizes), 24);
  EXPECT_EQ(count_pairs(make_mask(clattn_mask_create_any_of, nullptr, 0), kSizes), 0);
  EXPECT_EQ(count_pairs(make_mask(clattn_mask_create_global, nullptr, 0), kSizes), 0);
}

TEST(CApiMask, BadArgumentsAreErrors) {
  clattn_mask* mask = nullptr;
  const int64_t negative = -5;
  clattn_mask* const nothing[] = {nullptr};
  const uint8_t kept = 1;
  expect_invalid(clattn_mask_create_causal(2, &mask), "causal align 2");
  expect_invalid(clattn_mask_create_window(-2, 0, &mask), "-2");
  expect_invalid(clattn_mask_create_dilated_window(1, 1, 0, &mask), "0");
  expect_invalid(clattn_mask_create_prefix(-3, &mask), "-3");
  expect_invalid(clattn_mask_create_sink(-3, &mask), "-3");
  expect_invalid(clattn_mask_create_global(&negative, 1, &mask), "-5");
  expect_invalid(clattn_mask_create_global(nullptr, 2, &mask), "tokens is null");
  expect_invalid(clattn_mask_create_random_blocks(0, 1, 1, 1, &mask), "0");
  expect_invalid(clattn_mask_create_documents(&negative, nullptr, 1, nullptr, &mask), "-5");
  expect_invalid(clattn_mask_create_documents(nullptr, nullptr, 1, nullptr, &mask),
                 "query_lengths is null");
  expect_invalid(clattn_mask_create_per_head(nullptr, 0, &mask), "per_head has 0 masks");
  expect_invalid(clattn_mask_create_per_head(nothing, 1, &mask), "masks[0] is null");
  expect_invalid(clattn_mask_create_all_of(nullptr, 1, &mask), "masks is null");
  expect_invalid(clattn_mask_create_any_of(nothing, 1, &mask), "masks[0] is null");
  expect_invalid(clattn_mask_create_not(nullptr, &mask), "inner is null");
  expect_invalid(clattn_mask_create_blocks({1, 1, 1, 1, 0}, 1, 2, &kept, 1, &mask), "1 entries");
  expect_invalid(clattn_mask_create_from_json("{\"casual\": {}}", nullptr, nullptr, &mask),
                 "causal");
  expect_invalid(clattn_mask_create_from_json("{", nullptr, nullptr, &mask), "JSON");
  expect_invalid(clattn_mask_create_from_json(nullptr, nullptr, nullptr, &mask), "text is null");
  EXPECT_EQ(mask, nullptr);

  const MaskHandle dense = make_mask(clattn_mask_create_dense);
  const clattn_block_shape shape = {1, 1, 1, 1, 0};
  const clattn_expression expression = make_expression("1");
  auto lists = sized<clattn_block_lists>();
  auto hooks = sized<clattn_hooks>();
  expect_invalid(clattn_mask_create_dense(nullptr), "mask is null");
  expect_invalid(clattn_mask_create_causal(0, nullptr), "mask is null");
  expect_invalid(clattn_mask_create_window(1, 1, nullptr), "mask is null");
  expect_invalid(clattn_mask_create_dilated_window(1, 1, 1, nullptr), "mask is null");
  expect_invalid(clattn_mask_create_prefix(1, nullptr), "mask is null");
  expect_invalid(clattn_mask_create_sink(1, nullptr), "mask is null");
  expect_invalid(clattn_mask_create_global(nullptr, 0, nullptr), "mask is null");
  expect_invalid(clattn_mask_create_random_blocks(1, 1, 1, 1, nullptr), "mask is null");
  expect_invalid(clattn_mask_create_documents(nullptr, nullptr, 0, nullptr, nullptr),
                 "mask is null");
  expect_invalid(clattn_mask_create_per_head(nullptr, 0, nullptr), "mask is null");
  expect_invalid(clattn_mask_create_all_of(nullptr, 0, nullptr), "mask is null");
  expect_invalid(clattn_mask_create_any_of(nullptr, 0, nullptr), "mask is null");
  expect_invalid(clattn_mask_create_not(dense.get(), nullptr), "mask is null");
  expect_invalid(clattn_mask_create_expression(&expression, nullptr, nullptr, nullptr),
                 "mask is null");
  expect_invalid(clattn_mask_create_blocks(shape, 1, 1, &kept, 1, nullptr), "mask is null");
  expect_invalid(clattn_mask_create_block_lists(&lists, {1, 1}, nullptr, nullptr), "mask is null");
  expect_invalid(clattn_mask_create_from_json("{}", nullptr, nullptr, nullptr), "mask is null");
  int32_t integer = 0;
  int64_t pairs = 0;
  size_t count = 0;
  char* text = nullptr;
  clattn_range range;
  expect_invalid(clattn_mask_to_json(nullptr, &text), "mask is null");
  expect_invalid(clattn_mask_to_json(dense.get(), nullptr), "text is null");
  expect_invalid(clattn_mask_retain(nullptr), "mask is null");
  clattn_mask_release(nullptr);
  expect_invalid(clattn_mask_validate(nullptr, kSizes), "mask is null");
  expect_invalid(clattn_mask_allows(nullptr, kSizes, {}, &integer), "mask is null");
  expect_invalid(clattn_mask_allows(dense.get(), kSizes, {}, nullptr), "allows is null");
  expect_invalid(clattn_mask_classify(nullptr, kSizes, {}, {}, {}, &integer), "mask is null");
  expect_invalid(clattn_mask_classify(dense.get(), kSizes, {}, {}, {}, nullptr),
                 "coverage is null");
  expect_invalid(clattn_mask_reach(nullptr, kSizes, {}, {}, &range), "mask is null");
  expect_invalid(clattn_mask_reach(dense.get(), kSizes, {}, {}, nullptr), "keys is null");
  expect_invalid(clattn_mask_get_variation(nullptr, &integer, &integer), "mask is null");
  expect_invalid(clattn_mask_get_variation(dense.get(), nullptr, &integer), "batch is null");
  expect_invalid(clattn_mask_get_variation(dense.get(), &integer, nullptr), "head is null");
  expect_invalid(clattn_mask_get_seams(nullptr, kSizes, {}, nullptr, 0, &count), "mask is null");
  expect_invalid(clattn_mask_get_seams(dense.get(), kSizes, {}, nullptr, 1, &count),
                 "seams is null");
  expect_invalid(clattn_mask_get_seams(dense.get(), kSizes, {}, nullptr, 0, nullptr),
                 "count is null");
  expect_invalid(clattn_mask_count_visible_pairs(nullptr, kSizes, {}, 1, &integer, &pairs),
                 "mask is null");
  expect_invalid(clattn_mask_count_visible_pairs(dense.get(), kSizes, {}, 1, nullptr, &pairs),
                 "found is null");
  expect_invalid(clattn_mask_count_visible_pairs(dense.get(), kSizes, {}, 1, &integer, nullptr),
                 "pairs is null");
  expect_invalid(clattn_mask_get_hooks(nullptr, &hooks), "mask is null");
  expect_invalid(clattn_mask_get_hooks(dense.get(), nullptr), "hooks is null");
}

TEST(CApiMask, PartsMayBeReleasedBeforeTheWhole) {
  MaskHandle whole;
  {
    const MaskHandle causal = make_mask(clattn_mask_create_causal, 0);
    const MaskHandle prefix = make_mask(clattn_mask_create_prefix, 5);
    const MaskHandle neither = make_mask(clattn_mask_create_not, causal.get());
    std::vector<clattn_mask*> masks = {neither.get(), prefix.get()};
    whole = make_mask(clattn_mask_create_all_of, masks.data(), masks.size());
    expect_success(clattn_mask_retain(causal.get()));
    clattn_mask_release(causal.get());
  }
  // Keys behind a query's position, of the first 5: 2, 1, 0 and 0 of them.
  EXPECT_EQ(count_pairs(whole, kSizes), 3);
}

TEST(CApiMask, JsonMayNameFilesAndNeedTheLengths) {
  const TemporaryFolder folder;
  write_npy<uint8_t>(folder.path() / "kept.npy", "|b1", "(1, 1, 2, 2)", {1, 0, 1, 1});
  const std::string path = folder.path().string();
  const char* text = R"({"blocks": {"q_block": 2, "k_block": 3, "mask": "kept.npy"}})";
  EXPECT_EQ(
      count_pairs(make_mask(clattn_mask_create_from_json, text, path.c_str(), nullptr), kSizes),
      18);
  clattn_mask* none = nullptr;
  expect_invalid(clattn_mask_create_from_json(text, "/no/such/folder", nullptr, &none),
                 "/no/such/folder/kept.npy");
  EXPECT_EQ(count_pairs(mask_from(R"({"streaming_llm": {"sinks": 1, "window": 2}})"), kSizes), 12);

  const char* lists = R"({"block_lists": {"q_block": 4, "k_block": 3, "partial_count": [[[1]]],
                          "partial_index": [[[[1]]]]}})";
  const clattn_extent extent = {4, 6};
  expect_invalid(clattn_mask_create_from_json(lists, nullptr, nullptr, &none), "kv_len");
  EXPECT_EQ(none, nullptr);
  EXPECT_EQ(count_pairs(make_mask(clattn_mask_create_from_json, lists, nullptr, &extent), kSizes),
            12);
}

// ---- Expressions

TEST(CApiMask, ExpressionsCopyWhatTheyAreGiven) {
  MaskHandle mask;
  {
    std::array<int32_t, 6> starts = {0, 0, 1, 1, 4, 5};
    std::string name = "starts";
    std::string text = "starts[key] + shift <= query";
    const clattn_buffer buffer = {name.c_str(), starts.data(), 6, CLATTN_ELEMENT_TYPE_I32};
    const clattn_scalar scalars[] = {{"shift", CLATTN_ELEMENT_TYPE_I32, 1, 9.0f},
                                     {"unused", CLATTN_ELEMENT_TYPE_F32, 9, 0.5f}};
    clattn_expression expression = make_expression(text.c_str());
    expression.buffers = &buffer;
    expression.buffer_count = 1;
    expression.scalars = scalars;
    expression.scalar_count = 2;
    mask = make_mask(clattn_mask_create_expression, &expression, nullptr, nullptr);
    starts.fill(100);
    name = "changed";
    text = "changed";
  }
  for (int64_t query = 0; query < 4; ++query) {
    for (int64_t key = 0; key < 6; ++key) {
      const std::array<int64_t, 6> starts = {0, 0, 1, 1, 4, 5};
      EXPECT_EQ(allows(mask, kSizes, {1, 2, query, key}), starts[key] + 1 <= query);
    }
  }
  EXPECT_NE(text_of(mask).find(R"("unused":0.5)"), std::string::npos) << text_of(mask);
}

TEST(CApiMask, CallbacksAnswerForTheDevice) {
  const clattn_expression expression = make_expression("popcount(query ^ key) < 2");
  const MaskHandle opaque = make_mask(clattn_mask_create_expression, &expression, nullptr, nullptr);
  int32_t allowed = -1;
  expect_failure(clattn_mask_allows(opaque.get(), kSizes, {}, &allowed), CLATTN_STATUS_UNSUPPORTED,
                 "popcount");

  struct Seen {
    clattn_point point;
    clattn_extent extent;
  } seen = {};
  const clattn_allows_callback callback = [](clattn_point point, clattn_extent extent,
                                             void* user) -> int32_t {
    *static_cast<Seen*>(user) = {point, extent};
    return point.key == 5 ? 2 : 0;
  };
  const MaskHandle mask = make_mask(clattn_mask_create_expression, &expression, callback, &seen);
  expect_success(clattn_mask_allows(mask.get(), kSizes, {1, 2, 3, 5}, &allowed));
  EXPECT_EQ(allowed, 1);
  EXPECT_EQ(seen.point.batch, 1);
  EXPECT_EQ(seen.point.head, 2);
  EXPECT_EQ(seen.point.query, 3);
  EXPECT_EQ(seen.point.key, 5);
  EXPECT_EQ(seen.extent.query_len, 4);
  EXPECT_EQ(seen.extent.key_len, 6);
  EXPECT_FALSE(allows(mask, kSizes, {0, 0, 0, 0}));
}

TEST(CApiMask, BadExpressionsAreErrors) {
  clattn_mask* mask = nullptr;
  clattn_score* score = nullptr;
  const auto refuse = [&](const clattn_expression& expression, const std::string& part) {
    SCOPED_TRACE(part);
    expect_invalid(clattn_mask_create_expression(&expression, nullptr, nullptr, &mask), part);
    expect_invalid(clattn_score_create_expression(&expression, nullptr, nullptr, &score), part);
  };
  expect_invalid(clattn_mask_create_expression(nullptr, nullptr, nullptr, &mask),
                 "expression is null");
  clattn_expression expression = make_expression("1");
  expression.struct_size = 8;
  refuse(expression, "clattn_expression");
  refuse(make_expression(nullptr), "text of the expression is null");
  refuse(make_expression("no_such_name"), "no_such_name");
  expression = make_expression("1");
  expression.buffer_count = 1;
  refuse(expression, "buffers is null");
  expression.buffer_count = 0;
  expression.scalar_count = 1;
  refuse(expression, "scalars is null");

  const auto refuse_buffer = [&](const clattn_buffer& buffer, const std::string& part) {
    clattn_expression bad = make_expression("1");
    bad.buffers = &buffer;
    bad.buffer_count = 1;
    refuse(bad, part);
  };
  const std::array<int32_t, 2> values = {1, 2};
  refuse_buffer({nullptr, values.data(), 2, CLATTN_ELEMENT_TYPE_I32}, "name of a buffer is null");
  refuse_buffer({"b", values.data(), -2, CLATTN_ELEMENT_TYPE_I32}, "-2");
  refuse_buffer({"b", nullptr, 0, CLATTN_ELEMENT_TYPE_I32}, "b");
  refuse_buffer({"b", values.data(), 2, 7}, "element type 7");
  refuse_buffer({"b", values.data(), 2, CLATTN_ELEMENT_TYPE_BF16}, "b");
  refuse_buffer({"query", values.data(), 2, CLATTN_ELEMENT_TYPE_I32}, "query");
  const auto refuse_scalar = [&](const clattn_scalar& scalar, const std::string& part) {
    clattn_expression bad = make_expression("1");
    bad.scalars = &scalar;
    bad.scalar_count = 1;
    refuse(bad, part);
  };
  refuse_scalar({nullptr, CLATTN_ELEMENT_TYPE_I32, 1, 0}, "name of a scalar is null");
  refuse_scalar({"s", CLATTN_ELEMENT_TYPE_U8, 1, 0}, "scalar \"s\" is 0");
  refuse_scalar({"s", CLATTN_ELEMENT_TYPE_F32, 1, HUGE_VALF}, "inf");
  EXPECT_EQ(mask, nullptr);
  EXPECT_EQ(score, nullptr);
}

TEST(CApiMask, HooksLendTheirPartsUntilReleased) {
  const std::array<float, 2> values = {0.5f, 2.0f};
  const clattn_buffer buffers[] = {{"bound", nullptr, 6, CLATTN_ELEMENT_TYPE_U8},
                                   {"kept", values.data(), 2, CLATTN_ELEMENT_TYPE_F32}};
  clattn_expression expression = make_expression("bound[key] && kept[query & 1] > 1.0f");
  expression.buffers = buffers;
  expression.buffer_count = 2;
  auto hooks = sized<clattn_hooks>();
  {
    const MaskHandle own = make_mask(clattn_mask_create_expression, &expression, nullptr, nullptr);
    const MaskHandle documents =
        mask_from(R"({"documents": {"lengths": [1, 3], "key_lengths": [4, 2]}})");
    clattn_mask* const both[] = {own.get(), documents.get()};
    const MaskHandle mask = make_mask(clattn_mask_create_all_of, both, 2);
    expect_success(clattn_mask_get_hooks(mask.get(), &hooks));
  }
  ASSERT_EQ(hooks.buffer_count, 2u);
  EXPECT_STREQ(hooks.buffers[0].name, "bound");
  EXPECT_EQ(hooks.buffers[0].values, nullptr);
  EXPECT_EQ(hooks.buffers[0].type, CLATTN_ELEMENT_TYPE_U8);
  EXPECT_EQ(hooks.buffers[1].count, 2);
  EXPECT_EQ(std::memcmp(hooks.buffers[1].values, values.data(), sizeof values), 0);
  EXPECT_GT(hooks.value_count, 0u);
  EXPECT_GT(hooks.table_count, 0u);
  EXPECT_NE(std::string(hooks.functions).find("hook_function0"), std::string::npos);
  EXPECT_NE(std::string(hooks.helpers).find("mask_enter_document"), std::string::npos);
  EXPECT_STRNE(hooks.expression, "");
  clattn_hooks_release_parts(&hooks);
  EXPECT_EQ(hooks.owned, nullptr);
  EXPECT_EQ(hooks.functions, nullptr);
  EXPECT_EQ(hooks.struct_size, sizeof hooks);
  clattn_hooks_release_parts(&hooks);
  clattn_hooks_release_parts(nullptr);
  hooks.struct_size = 0;
  const ScoreHandle score = make_score(clattn_score_create_softcap, 3.0f);
  expect_invalid(clattn_score_get_hooks(score.get(), &hooks), "clattn_hooks");
}

}  // namespace
