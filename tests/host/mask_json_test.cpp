// The JSON form of masks: what each form means, that it comes back, what it reads from files, and
// how each kind of mistake is named with its place.
#include <clattn/blocks.hpp>
#include <clattn/neighborhood.hpp>
#include <clattn/patterns.hpp>
#include <clattn/problem.hpp>

#include "tests/host/npy_support.hpp"
#include "tests/support.hpp"

namespace clattn {
namespace {

Problem problem_of(const std::string& mask, const std::string& folder = "") {
  return problem_from_json(R"({"q_len": 12, "kv_len": 12, "mask": )" + mask + "}", folder);
}

Mask mask_of(const std::string& mask, const std::string& folder = "") {
  return problem_of(mask, folder).mask;
}

void expect_refused(const std::string& mask, const std::vector<std::string>& parts,
                    const std::string& folder = "") {
  SCOPED_TRACE(mask);
  test::expect_error(ErrorCategory::invalid_argument, parts, [&] { mask_of(mask, folder); });
}

void expect_same_pairs(const Mask& mask, const Mask& expected) {
  constexpr Extent kExtent{12, 12};
  for (std::int64_t pair = 0; pair < 2 * 12 * 12; ++pair) {
    const Point point{0, pair / 144, pair / 12 % 12, pair % 12};
    ASSERT_EQ(mask->allows(point, kExtent), expected->allows(point, kExtent))
        << "head " << point.head << ", query " << point.query << ", key " << point.key;
  }
}

TEST(MaskFromJson, ReadsEveryMask) {
  const std::pair<const char*, Mask> cases[] = {
      {"{}", dense_mask()},
      {R"({"causal": {}})", causal_mask()},
      {R"({"causal": {"align": "bottom_right"}})", causal_mask()},
      {R"({"causal": {"align": "top_left"}})", causal_mask(CausalAlign::top_left)},
      {R"({"window": {"left": 3}})", window_mask(3, {})},
      {R"({"window": {"left": null, "right": 4}})", window_mask({}, 4)},
      {R"({"dilated_window": {"left": 4, "right": 0, "dilation": 2}})",
       dilated_window_mask(4, 0, 2)},
      {R"({"dilated_window": {"right": 0, "dilation": 3}})", dilated_window_mask({}, 0, 3)},
      {R"({"prefix": {"length": 64}})", prefix_mask(64)},
      {R"({"sink": {"tokens": 4}})", sink_mask(4)},
      {R"({"global": {"tokens": [5, 0]}})", global_mask({5, 0})},
      {R"({"documents": {"lengths": [3, 0, 5]}})", documents_mask({{3, 0, 5}, {3, 0, 5}})},
      {R"({"documents": {"lengths": [3, 5], "key_lengths": [1, 9], "mask": {"causal": {}}}})",
       documents_mask({{3, 5}, {1, 9}}, causal_mask())},
      {R"({"documents": {"offsets": [0, 3, 8], "key_offsets": [0, 1, 10]}})",
       documents_mask({{3, 5}, {1, 9}})},
      {R"({"neighborhood": {"grid": [12], "window": [5]}})",
       neighborhood_mask({{12}, {5}, {}, {}, {}})},
      {R"({"neighborhood": {"grid": [3, 48, 80], "window": [3, 24, 20], "stride": [1, 8, 8],
           "dilation": [1, 2, 4], "causal": [true, false, false], "extra_keys": 7}})",
       neighborhood_mask(
           {{3, 48, 80}, {3, 24, 20}, {1, 8, 8}, {1, 2, 4}, {true, false, false}, 7})},
      {R"({"random_blocks": {"q_block": 64, "k_block": 32, "count": 3, "seed": 4294967295}})",
       random_blocks_mask(64, 32, 3, 4294967295u)},
      {R"({"per_head": [{"causal": {}}, {}]})", per_head_mask({causal_mask(), dense_mask()})},
      {R"({"all_of": [{"causal": {}}, {"prefix": {"length": 2}}]})",
       all_of_mask({causal_mask(), prefix_mask(2)})},
      {R"({"any_of": []})", any_of_mask({})},
      {R"({"not": {"not": {"causal": {}}}})", not_mask(not_mask(causal_mask()))},
  };
  for (const auto& [text, mask] : cases) {
    EXPECT_EQ(mask_of(text)->to_json(), mask->to_json());
    EXPECT_EQ(mask_of(mask->to_json())->to_json(), mask->to_json());
  }
}

TEST(MaskFromJson, NeighborhoodsAreWrittenWithoutWhatIsStandard) {
  EXPECT_EQ(neighborhood_mask({{3, 4}, {2, 3}, {}, {}, {}})->to_json(),
            R"({"neighborhood":{"grid":[3,4],"window":[2,3]}})");
  EXPECT_EQ(neighborhood_mask({{3, 8}, {2, 3}, {2, 1}, {1, 2}, {false, true}, 1})->to_json(),
            R"({"neighborhood":{"grid":[3,8],"window":[2,3],"stride":[2,1],"dilation":[1,2],)"
            R"("causal":[false,true],"extra_keys":1}})");
}

// Forms that stand for other masks give their text back, and have the pairs of what they stand for.
TEST(MaskFromJson, ReadsPatternsBlocksAndExpressions) {
  const BlockLists lists = {{6, 4, 1, 1, 2}, {1, 0}, {0, 9, 9, 9}, {1, 2}, {2, 9, 0, 2}, {4, 4, 1}};
  const std::pair<const char*, Mask> cases[] = {
      {R"({"streaming_llm":{"sinks":2,"window":3}})", patterns::streaming_llm(2, 3)},
      {R"({"duo_attention":{"retrieval_heads":[true,false],"sinks":1,"window":2}})",
       patterns::duo_attention({true, false}, 1, 2)},
      {R"({"big_bird":{"length":12,"block":2,"window":3,"global":1,"random":1,"seed":7}})",
       patterns::big_bird(12, 2, 3, 1, 1, 7)},
      {R"({"block_bert":{"length":12,"blocks":3,"shifts":[1,0]}})",
       patterns::block_bert(12, 3, {1, 0})},
      {R"({"power_attention":{"length":12,"block":2,"sink_blocks":1,"window_blocks":1}})",
       patterns::power_attention(12, 2, 1, 1)},
      {R"({"mswa":{"windows":[2,5]}})", patterns::mswa({2, 5})},
      {R"({"dilated":{"window":2,"dilation":3,"causal":true}})",
       patterns::dilated_window(2, 3, true)},
      {R"({"radial":{"frames":4,"frame_tokens":3}})", patterns::radial(4, 3)},
      {R"({"prefix_lm":{"prefix":4}})", patterns::prefix_lm(4)},
      {R"({"document":{"lengths":[5,7],"causal":false}})", patterns::document({5, 7}, false)},
      {R"({"blocks":{"q_block":6,"k_block":4,"mask":[[["011","100"],["000","111"]]]}})",
       blocks_mask({6, 4, 1, 2, 0}, 2, 3, {0, 1, 1, 1, 0, 0, 0, 0, 0, 1, 1, 1})},
      {R"({"block_lists":{"q_block":6,"k_block":4,"partial_count":[[[1,0]]],)"
       R"("partial_index":[[[[0,9],[9,9]]]],"full_count":[[[1,2]]],"full_index":[[[[2,9],[0,2]]]],)"
       R"("key_lengths":[[[4,4,1]]],"mask":{"causal":{}}}})",
       block_lists_mask(lists, {12, 12}, causal_mask())},
      {R"({"opencl":{"expression":"(key & mask) != bits[0]","buffers":{"bits":[2]},)"
       R"("scalars":{"mask":2}}})",
       expression_mask({"key % 4 < 2", {}, {}})},
  };
  for (const auto& [text, mask] : cases) {
    SCOPED_TRACE(text);
    const Mask read = mask_of(text);
    EXPECT_EQ(read->to_json(), text);
    EXPECT_EQ(mask_of(std::string(R"({"not":)") + text + "}")->to_json(),
              std::string(R"({"not":)") + text + "}");
    ASSERT_NO_THROW(read->validate({12, 12}, 1, 2));
    expect_same_pairs(read, mask);
    // The made mask's own text, whatever its form, means the same.
    expect_same_pairs(mask_of(mask->to_json()), mask);
  }
}

// The node that keeps a text passes every view on.
TEST(MaskFromJson, GivenTextChangesNoView) {
  const Mask mask = patterns::duo_attention({true, false}, 1, 2);
  const Mask read =
      mask_of(R"({"duo_attention":{"retrieval_heads":[true,false],"sinks":1,"window":2}})");
  constexpr Extent kExtent{12, 12};
  const Slice slice{0, 1};
  EXPECT_TRUE(read->variation().head);
  EXPECT_FALSE(read->variation().batch);
  ExpressionWriter writer, read_writer;
  EXPECT_EQ(read->expression(read_writer), mask->expression(writer));
  EXPECT_EQ(read_writer.functions(), writer.functions());
  EXPECT_EQ(read->reach(slice, {4, 6}, kExtent), mask->reach(slice, {4, 6}, kExtent));
  EXPECT_EQ(read->classify(slice, {4, 6}, {9, 12}, kExtent), Coverage::none);
  EXPECT_THROW(read->validate(kExtent, 1, 3), Error);
  const Mask packed = mask_of(R"({"document":{"lengths":[5,7],"causal":true}})");
  EXPECT_EQ(packed->seams({}, kExtent), std::vector<std::int64_t>{5});
}

TEST(MaskFromJson, ReadsFilesOfTheFolder) {
  const test::TemporaryFolder folder;
  const auto path = [&](const char* name) { return (folder.path() / name).string(); };
  test::write_npy(path("kept.npy"), "|b1", "(1, 2, 2, 3)",
                  std::vector<std::uint8_t>{0, 1, 1, 1, 0, 0, 0, 0, 0, 1, 1, 1});
  test::write_npy(path("count.npy"), "<i8", "(1, 1, 2)", std::vector<std::int64_t>{1, 2});
  test::write_npy(path("index.npy"), "<i4", "(1, 1, 2, 3)",
                  std::vector<std::int32_t>{1, -1, -1, 0, 2, -1});
  test::write_npy(path("table.npy"), "<f4", "(2, 2)", std::vector<float>{0, 1, 1, 0});
  const std::pair<const char*, Mask> cases[] = {
      {R"({"blocks":{"q_block":6,"k_block":4,"mask":"kept.npy"}})",
       blocks_mask({6, 4, 1, 2, 0}, 2, 3, {0, 1, 1, 1, 0, 0, 0, 0, 0, 1, 1, 1})},
      {R"({"block_lists":{"q_block":6,"k_block":4,"partial_count":"count.npy",)"
       R"("partial_index":"index.npy"}})",
       blocks_mask({6, 4, 1, 1, 0}, 2, 3, {0, 1, 0, 1, 0, 1})},
      {R"({"opencl":{"expression":"table[2 * (query / 6) + key / 6] > 0.5",)"
       R"("buffers":{"table":"table.npy"}}})",
       blocks_mask({6, 6, 1, 1, 0}, 2, 2, {0, 1, 1, 0})},
  };
  for (const auto& [text, mask] : cases) {
    SCOPED_TRACE(text);
    const Mask read = mask_of(text, folder.path().string());
    EXPECT_EQ(read->to_json(), text);
    expect_same_pairs(read, mask);
    expect_refused(text, {"cannot read", ".npy"});  // in the working directory
  }
  const std::string in_folder = folder.path().string();
  expect_refused(R"({"blocks":{"q_block":6,"k_block":4,"mask":"count.npy"}})",
                 {"mask blocks mask: ", "count.npy", "shape (1, 1, 2)", "not 4"}, in_folder);
  expect_refused(R"({"blocks":{"q_block":6,"k_block":4,"mask":"index.npy"}})",
                 {"index.npy", "bool or u8"}, in_folder);
  expect_refused(R"({"block_lists":{"q_block":6,"k_block":4,"partial_count":"count.npy",)"
                 R"("partial_index":"kept.npy"}})",
                 {"block_lists partial_index: ", "kept.npy", "'<i4'"}, in_folder);
  const std::string absolute = R"({"blocks":{"q_block":6,"k_block":4,"mask":")" + path("kept.npy");
  EXPECT_NO_THROW(mask_of(absolute + "\"}}", "/nowhere"));
}

TEST(MaskFromJson, BuffersAndScalarsHaveTheTypesOfTheirNumbers) {
  const Mask mask = mask_of(
      R"({"opencl":{"expression":"key < ints[0] + (int)(reals[0] + later[0] + bytes[1]) + whole + part",
          "buffers":{"ints":[1,2],"reals":[1,2.0],"later":{"type":"u8","count":7},
                     "bytes":{"type":"u8","values":[1,255]}},
          "scalars":{"whole":3,"part":3.0}}})");
  ExpressionWriter writer;
  mask->expression(writer);
  std::vector<std::tuple<std::string, ElementType, std::int64_t, bool>> buffers;
  for (const auto& buffer : writer.buffers()) {
    buffers.emplace_back(buffer->name, buffer->type, buffer->count, buffer->bound_at_launch());
  }
  std::ranges::sort(buffers);
  EXPECT_EQ(buffers, (std::vector<std::tuple<std::string, ElementType, std::int64_t, bool>>{
                         {"bytes", ElementType::u8, 2, false},
                         {"ints", ElementType::i32, 2, false},
                         {"later", ElementType::u8, 7, true},
                         {"reals", ElementType::f32, 2, false}}));
  std::int32_t bits_of_three = 0;
  constexpr float kThree = 3;
  std::memcpy(&bits_of_three, &kThree, sizeof kThree);
  EXPECT_EQ(std::ranges::count(writer.values(), 3), 1);
  EXPECT_EQ(std::ranges::count(writer.values(), bits_of_three), 1);
}

TEST(MaskFromJson, ErrorsNameThePlaceAndTheNearestKey) {
  expect_refused(R"({"casual": {}})", {"mask: ", "\"casual\"", "\"causal\""});
  expect_refused(R"({"windows": {}})", {"\"windows\"", "\"window\""});
  expect_refused(R"({"window": {"letf": 1}})", {"mask window: ", "\"letf\"", "\"left\""});
  expect_refused(R"({"causal": {"align": {}, "x": 1}})", {"\"x\"", "\"align\""});
  expect_refused(R"({"causal": {"align": "top"}})",
                 {"mask causal align: ", "\"top\"", "\"top_left\""});
  expect_refused(R"({"all_of": [{}, {"window": {"left": 1.5}}]})",
                 {"mask all_of[1] window left: must be a whole number, but is 1.5"});
  expect_refused(R"({"per_head": [{"not": {"any_of": [{"prefix": {}}]}}]})",
                 {"mask per_head[0] not any_of[0] prefix length: is missing"});
  expect_refused(R"({"documents": {"lengths": [3, "4"]}})",
                 {"mask documents lengths[1]: must be a whole number, but is \"4\""});
  expect_refused(R"({"documents": {"lengths": [3], "mask": {"sink": {"tokens": -1}}}})",
                 {"mask documents mask sink: ", "-1"});
  expect_refused(R"({"neighborhood": {"grid": [4], "windows": [2]}})",
                 {"mask neighborhood: ", "\"windows\"", "\"window\""});
  expect_refused(R"({"neighborhood": {"grid": [4]}})", {"mask neighborhood window: is missing"});
  expect_refused(R"({"big_bird": {"lenght": 8}})", {"mask big_bird: ", "\"length\""});
  expect_refused(R"({"opencl": {"expression": "1", "scalars": {"big": 2147483648}}})",
                 {"mask opencl scalars big: 2147483648 is not within -2147483648 to 2147483647"});
  expect_refused(R"({"opencl": {"expression": "1", "buffers": {"b": [1, 2147483648]}}})",
                 {"mask opencl buffers b[1]: 2147483648"});
  expect_refused(
      R"({"opencl": {"expression": "1", "buffers": {"b": {"type": "f16", "count": 1}}}})",
      {"mask opencl buffers b type: ", "\"f16\""});
}

TEST(MaskFromJson, WrongTypes) {
  expect_refused(R"("causal")", {"mask: must be an object, but is \"causal\""});
  expect_refused("null", {"object", "null"});
  expect_refused(R"({"causal": true})", {"causal: must be an object, but is true"});
  expect_refused(R"({"window": [1, 2]})", {"window: must be an object"});
  expect_refused(R"({"all_of": {}})", {"all_of: must be an array, but is {}"});
  expect_refused(R"({"global": {"tokens": 3}})", {"tokens: must be an array, but is 3"});
  expect_refused(R"({"random_blocks": {"q_block": 1, "k_block": 1, "count": 1, "seed": -1}})",
                 {"seed: -1 is not within 0 to 4294967295"});
  expect_refused(R"({"neighborhood": {"grid": 4, "window": [2]}})",
                 {"grid: must be an array, but is 4"});
  expect_refused(R"({"neighborhood": {"grid": [4], "window": [2], "causal": [0]}})",
                 {"causal[0]: must be true or false, but is 0"});
  expect_refused(R"({"prefix": {"length": 18446744073709551616}})", {"length", "whole number"});
  expect_refused(R"({"prefix": {"length": 9223372036854775808}})",
                 {"length: 9223372036854775808 is not within"});
  expect_refused(R"({"duo_attention": {"retrieval_heads": [1], "sinks": 1, "window": 1}})",
                 {"retrieval_heads[0]: must be true or false, but is 1"});
  expect_refused(R"({"opencl": {"expression": 1}})", {"expression: must be a string, but is 1"});
  expect_refused(R"({"opencl": {"expression": "1", "scalars": [1]}})",
                 {"scalars: must be an object"});
  expect_refused(R"({"opencl": {"expression": "1", "buffers": {"b": 1}}})", {"buffers b: "});
}

TEST(MaskFromJson, MasksThatMakeNoSense) {
  expect_refused(R"({"causal": {}, "window": {}})", {"one mask"});
  expect_refused(R"({"window": {"left": -1, "right": 0}})", {"left", "-1"});
  expect_refused(R"({"neighborhood": {"grid": [4], "window": [5]}})",
                 {"mask neighborhood: ", "window of dimension 0 is 5", "at most 4"});
  expect_refused(R"({"documents": {}})", {"\"lengths\" or \"offsets\""});
  expect_refused(R"({"documents": {"lengths": [1], "offsets": [0, 1]}})", {"both"});
  expect_refused(R"({"documents": {"offsets": [1, 2]}})", {"documents: "});
  const auto blocks = [](const char* mask) {
    return R"({"blocks": {"q_block": 6, "k_block": 6, "mask": )" + std::string(mask) + "}}";
  };
  expect_refused(blocks(R"([[["01", "1"]]])"), {"blocks mask: ", "\"1\"", "2 characters"});
  expect_refused(blocks(R"([[["01", "12"]]])"), {"\"12\""});
  expect_refused(blocks(R"([[["01", "10"], ["11"]]])"),
                 {"blocks mask[0][1]: has 1 entries, but the arrays before it have 2"});
  expect_refused(blocks(R"([["01", "10"]])"), {"mask[0][0]: must be an array"});
  expect_refused(R"({"blocks": {"q_block": 6, "mask": [[["1"]]]}})", {"k_block: is missing"});
  const std::string lists = R"({"block_lists": {"q_block": 6, "k_block": 6, "partial_count":
      [[[1, 1]]], "partial_index": [[[[0, 0], [2, 0]]]]}})";
  expect_refused(lists, {"block_lists: ", "partial_index", "row 1", "is 2"});
  test::expect_error(ErrorCategory::invalid_argument, {"\"q_len\" and \"kv_len\""},
                     [&] { problem_from_json("{\"mask\": " + lists + "}"); });
}

}  // namespace
}  // namespace clattn
