// The parts of problems in the C API, on a device: composed masks, expressions with buffers that
// are bound at launch, score modifiers, sink logits, block lists from a builder, and kernels of an
// application's own that evaluate a mask or a modifier.
#include <array>
#include <cstring>
#include <string>
#include <vector>

#include "tests/host/c_api_device_support.hpp"

namespace {

using namespace clattn::test;

template <typename Element>
Bytes bytes_of(const std::vector<Element>& values) {
  Bytes bytes(values.size() * sizeof(Element));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

class CApiParts : public CApiDevice {
 protected:
  BuilderHandle make_builder(const clattn_problem& problem) const {
    clattn_block_builder* builder = nullptr;
    expect_success(clattn_block_builder_create(engine_, &problem, &builder));
    return BuilderHandle(builder);
  }

  std::vector<int32_t> download_ints(cl_mem buffer) const {
    const Bytes bytes = download(buffer, queue_);
    std::vector<int32_t> values(bytes.size() / sizeof(int32_t));
    std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
  }

  // What `hooks` give at each [head, query, key] of batch 1 and these sizes, in a kernel of the
  // test's own; a modifier gets score_at(key).
  std::vector<float> evaluate(const clattn_hooks& hooks, const clattn_sizes& sizes) {
    const std::string source =
        std::string(hooks.helpers) +
        "#define HOOK_VALUE(i) (hooks->values[i])\n"
        "typedef struct hooks_t {\n"
        "  __global const int *values;\n"
        "  __global const int *tables;\n" +
        (hooks.buffer_count ? "  __global const float *buffer0;\n" : "") + "} hooks_t;\n" +
        hooks.functions +
        "__kernel void evaluate(__global const int *values, __global const int *tables,\n"
        "                       __global const float *buffer0, int query_len, int key_len,\n"
        "                       __global float *result) {\n"
        "  const hooks_t own = {values, tables" +
        (hooks.buffer_count ? ", buffer0" : "") +
        "};\n"
        "  const hooks_t *hooks = &own;\n"
        "  const int batch = 1, head = get_global_id(2), query = get_global_id(1);\n"
        "  const int key = get_global_id(0);\n"
        "  const float score = 0.25f * key;\n"
        "  result[(head * query_len + query) * key_len + key] = " +
        hooks.expression + ";\n}\n";
    const char* text = source.c_str();
    cl_program program = clCreateProgramWithSource(context_, 1, &text, nullptr, nullptr);
    const cl_int built = clBuildProgram(program, 1, &device_.id, nullptr, nullptr, nullptr);
    std::vector<char> log(1 << 16);
    clGetProgramBuildInfo(program, device_.id, CL_PROGRAM_BUILD_LOG, log.size() - 1, log.data(),
                          nullptr);
    EXPECT_EQ(built, CL_SUCCESS) << source << log.data();
    cl_kernel kernel = clCreateKernel(program, "evaluate", nullptr);
    // A buffer of no bytes is not legal.
    const auto numbers = [&](const int32_t* values, size_t count) {
      std::vector<int32_t> copy(values, values + count);
      copy.push_back(0);
      return upload(bytes_of(copy));
    };
    const cl_mem values = numbers(hooks.values, hooks.value_count);
    const cl_mem tables = numbers(hooks.tables, hooks.table_count);
    const cl_mem buffer =
        hooks.buffer_count
            ? numbers(static_cast<const int32_t*>(hooks.buffers[0].values), hooks.buffers[0].count)
            : values;
    const auto query_len = static_cast<cl_int>(sizes.query_len);
    const auto key_len = static_cast<cl_int>(sizes.key_len);
    std::vector<float> result(static_cast<size_t>(sizes.heads * sizes.query_len * sizes.key_len));
    const cl_mem target = upload(bytes_of(result));
    cl_uint index = 0;
    for (const cl_mem& memory : {values, tables, buffer}) {
      EXPECT_EQ(clSetKernelArg(kernel, index++, sizeof memory, &memory), CL_SUCCESS);
    }
    clSetKernelArg(kernel, index++, sizeof query_len, &query_len);
    clSetKernelArg(kernel, index++, sizeof key_len, &key_len);
    clSetKernelArg(kernel, index++, sizeof target, &target);
    const std::array<size_t, 3> global = {static_cast<size_t>(sizes.key_len),
                                          static_cast<size_t>(sizes.query_len),
                                          static_cast<size_t>(sizes.heads)};
    EXPECT_EQ(clEnqueueNDRangeKernel(queue_, kernel, 3, nullptr, global.data(), nullptr, 0, nullptr,
                                     nullptr),
              CL_SUCCESS);
    const Bytes bytes = download(target, queue_);
    std::memcpy(result.data(), bytes.data(), bytes.size());
    clReleaseKernel(kernel);
    clReleaseProgram(program);
    return result;
  }

  static double score_at(int64_t key) { return 0.25 * static_cast<double>(key); }
};

// Two launches of one plan with other contents, each against the reference of a problem in which
// the buffers have these contents.
TEST_F(CApiParts, MasksScoresSinksAndBuffersAtLaunchMatchTheReference) {
  const MaskHandle causal = make_mask(clattn_mask_create_causal, CLATTN_CAUSAL_ALIGN_BOTTOM_RIGHT);
  const MaskHandle window = make_mask(clattn_mask_create_window, 9, 2);
  const MaskHandle sink = make_mask(clattn_mask_create_sink, 3);
  clattn_mask* const windowed[] = {window.get(), causal.get(), window.get(), sink.get()};
  const MaskHandle per_head = make_mask(clattn_mask_create_per_head, windowed, 4);
  const std::vector<float> slopes = {0.5f, 0.25f, 0.125f, 0.0625f};
  const std::vector<float> sink_logits = {0.5f, -1.0f, 3.0f, 0.0f};

  struct Parts {
    MaskHandle mask;
    std::vector<ScoreHandle> scores;
    std::vector<clattn_score*> list;
    clattn_problem problem;
  };
  // Null contents: bound at launch.
  const auto make_parts = [&](const uint8_t* kept, const float* bias) {
    Parts parts;
    const clattn_buffer kept_buffer = {"kept", kept, 53, CLATTN_ELEMENT_TYPE_U8};
    const clattn_buffer bias_buffer = {"bias", bias, 4 * 53, CLATTN_ELEMENT_TYPE_F32};
    const clattn_scalar last = {"last", CLATTN_ELEMENT_TYPE_I32, 40, 0};
    clattn_expression expression = make_expression("kept[key] != 0 && key < last");
    expression.buffers = &kept_buffer;
    expression.buffer_count = 1;
    expression.scalars = &last;
    expression.scalar_count = 1;
    const MaskHandle own = make_mask(clattn_mask_create_expression, &expression, nullptr, nullptr);
    clattn_mask* const any[] = {per_head.get(), own.get()};
    parts.mask = make_mask(clattn_mask_create_any_of, any, 2);
    parts.scores.push_back(make_score(clattn_score_create_softcap, 5.0f));
    parts.scores.push_back(make_score(clattn_score_create_alibi, slopes.data(), 4, 1));
    parts.scores.push_back(
        make_score(clattn_score_create_bias, &bias_buffer, clattn_sizes{1, 4, 1, 53}));
    clattn_expression modifier = make_expression("kept[key] ? score + 0.5f : score");
    modifier.buffers = &kept_buffer;
    modifier.buffer_count = 1;
    parts.scores.push_back(make_score(clattn_score_create_expression, &modifier, nullptr, nullptr));
    for (const ScoreHandle& score : parts.scores) parts.list.push_back(score.get());
    parts.problem = make_problem();
    parts.problem.mask = parts.mask.get();
    parts.problem.scores = parts.list.data();
    parts.problem.score_count = parts.list.size();
    parts.problem.sink_logits = sink_logits.data();
    parts.problem.sink_logit_count = sink_logits.size();
    return parts;
  };

  PlanHandle plan;
  {
    const Parts parts = make_parts(nullptr, nullptr);
    plan.reset(make_plan(parts.problem));
  }
  ASSERT_NE(plan, nullptr);
  std::mt19937 random(11);
  for (unsigned launch = 0; launch < 2; ++launch) {
    SCOPED_TRACE(launch);
    std::vector<uint8_t> kept(53);
    for (uint8_t& one : kept) one = random() % 3 == 0 ? 200 : 0;
    std::vector<float> bias(4 * 53);
    for (float& one : bias) one = std::normal_distribution<float>()(random);
    const Parts parts = make_parts(kept.data(), bias.data());
    Data data = make_data(parts.problem, launch);
    const clattn_named_memory buffers[] = {{"bias", upload(bytes_of(bias))},
                                           {"kept", upload(bytes_of(kept))}};
    data.tensors.buffers = buffers;
    data.tensors.buffer_count = 1;
    expect_invalid(clattn_plan_enqueue(plan.get(), queue_, &data.tensors, 0, nullptr, nullptr),
                   "kept");
    data.tensors.buffer_count = 2;
    expect_success(clattn_plan_enqueue(plan.get(), queue_, &data.tensors, 0, nullptr, nullptr));
    expect_correct(parts.problem, data, queue_);

    const clattn_named_memory nameless = {nullptr, buffers[0].buffer};
    data.tensors.buffers = &nameless;
    data.tensors.buffer_count = 1;
    expect_invalid(clattn_plan_enqueue(plan.get(), queue_, &data.tensors, 0, nullptr, nullptr),
                   "the name of buffers[0] is null");
    data.tensors.buffers = nullptr;
    expect_invalid(clattn_plan_enqueue(plan.get(), queue_, &data.tensors, 0, nullptr, nullptr),
                   "buffers is null");
  }

  // The plan lends what was planned, and nothing of it can be computed on the host.
  auto planned = sized<clattn_problem>();
  expect_success(clattn_plan_get_problem(plan.get(), &planned));
  ASSERT_EQ(planned.score_count, 4u);
  ASSERT_EQ(planned.sink_logit_count, 4u);
  EXPECT_EQ(planned.sink_logits[2], 3.0f);
  int32_t allowed = -1;
  expect_invalid(clattn_mask_allows(planned.mask, {2, 4, 37, 53}, {0, 3, 0, 20}, &allowed), "kept");
  clattn_problem_release_parts(&planned);
}

TEST_F(CApiParts, BuiltListsMatchTheReference) {
  const MaskHandle causal = make_mask(clattn_mask_create_causal, CLATTN_CAUSAL_ALIGN_BOTTOM_RIGHT);
  clattn_problem problem = make_problem();
  problem.mask = causal.get();
  problem.has_blocks = 1;
  problem.blocks = {8, 16, 2, 4, 0};
  const clattn_sizes sizes = {2, 4, 37, 53};
  const clattn_extent extent = {37, 53};
  const BuilderHandle builder = make_builder(problem);
  ASSERT_NE(builder, nullptr);
  const PlanHandle plan(make_plan(problem));
  ASSERT_NE(plan, nullptr);

  std::mt19937 random(5);
  std::vector<float> estimates(2 * 4 * 5 * 4);
  for (float& one : estimates) one = std::normal_distribution<float>()(random);
  clattn_block_selection selection;
  expect_success(clattn_block_selection_init(&selection, sizeof selection));
  selection.kind = CLATTN_SELECTION_KIND_TOP_K;
  selection.count = 2;
  selection.buffer = upload(bytes_of(estimates));

  for (const clattn_block_selection* chosen : {&selection, (clattn_block_selection*)nullptr}) {
    SCOPED_TRACE(chosen ? "top 2" : "all");
    Data data = make_data(problem, 3);
    cl_event start = clCreateUserEvent(context_, nullptr);
    cl_event built = nullptr;
    expect_success(
        clattn_block_builder_build(builder.get(), queue_, chosen, nullptr, 0, 1, &start, &built));
    expect_success(clattn_block_builder_get_lists(builder.get(), &data.tensors.blocks));
    expect_success(clattn_plan_enqueue(plan.get(), queue_, &data.tensors, 1, &built, nullptr));
    clSetUserEventStatus(start, CL_COMPLETE);
    clFinish(queue_);
    clReleaseEvent(start);
    clReleaseEvent(built);
    expect_success(clattn_block_list_buffers_check(queue_, &problem, &data.tensors.blocks));

    auto lists = sized<clattn_block_lists>();
    expect_success(clattn_block_builder_download(builder.get(), queue_, &lists));
    ASSERT_EQ(lists.partial_count.count, 40u);
    ASSERT_EQ(lists.full_count.count, 40u);
    int64_t listed = 0;
    for (size_t row = 0; row < 40; ++row) {
      listed += lists.partial_count.values[row] + lists.full_count.values[row];
      if (chosen) {
        EXPECT_LE(lists.partial_count.values[row] + lists.full_count.values[row], 2);
      }
    }
    auto expected = sized<clattn_block_lists>();
    expect_success(clattn_block_lists_make(causal.get(), problem.blocks, sizes, &expected));
    int64_t all = 0;
    for (size_t row = 0; row < 40; ++row) {
      all += expected.partial_count.values[row] + expected.full_count.values[row];
    }
    clattn_block_lists_release_parts(&expected);
    EXPECT_GT(listed, 0);
    if (chosen) {
      EXPECT_LT(listed, all);
    } else {
      EXPECT_EQ(listed, all);
    }

    // The transposed lists are those of the host.
    expect_success(clattn_block_lists_transpose(&lists, extent, &expected));
    clattn_block_list_buffers transposed = {};
    expect_success(clattn_block_builder_get_transposed(builder.get(), &transposed));
    const std::vector<int32_t> counts = download_ints(transposed.full_count);
    const std::vector<int32_t> indices = download_ints(transposed.full_index);
    for (size_t row = 0; row < expected.full_count.count; ++row) {
      ASSERT_EQ(counts[row], expected.full_count.values[row]) << row;
      for (int32_t entry = 0; entry < counts[row]; ++entry) {
        EXPECT_EQ(indices[row * 5 + entry], expected.full_index.values[row * 5 + entry]) << row;
      }
    }
    clattn_block_lists_release_parts(&expected);

    clattn_problem listed_problem = problem;
    const MaskHandle mask = make_mask(clattn_mask_create_block_lists, &lists, extent, causal.get());
    clattn_block_lists_release_parts(&lists);
    listed_problem.has_blocks = 0;
    listed_problem.mask = mask.get();
    expect_correct(listed_problem, data, queue_);
  }
}

TEST_F(CApiParts, MisuseOfBuildersIsRefused) {
  clattn_problem problem = make_problem();
  clattn_block_builder* none = nullptr;
  expect_invalid(clattn_block_builder_create(engine_, &problem, &none), "no blocks");
  expect_invalid(clattn_block_builder_create(engine_, nullptr, &none), "problem is null");
  EXPECT_EQ(none, nullptr);
  problem.has_blocks = 1;
  problem.blocks = {8, 16, 1, 1, 0};
  const BuilderHandle builder = make_builder(problem);
  ASSERT_NE(builder, nullptr);
  expect_success(clattn_block_builder_retain(builder.get()));
  clattn_block_builder_release(builder.get());

  cl_event event = nullptr;
  clattn_block_selection selection;
  expect_success(clattn_block_selection_init(&selection, sizeof selection));
  const auto build = [&] {
    return clattn_block_builder_build(builder.get(), queue_, &selection, nullptr, 0, 0, nullptr,
                                      &event);
  };
  expect_invalid(build(), "selection buffer is null");
  selection.buffer = upload(Bytes(19));
  expect_invalid(build(), "19 bytes");
  selection.kind = 4;
  expect_invalid(build(), "selection kind 4");
  selection.struct_size = 0;
  expect_invalid(build(), "clattn_block_selection");
  expect_invalid(
      clattn_block_builder_build(builder.get(), nullptr, nullptr, nullptr, 0, 0, nullptr, nullptr),
      "queue is null");
  expect_invalid(
      clattn_block_builder_build(builder.get(), queue_, nullptr, nullptr, 0, 1, nullptr, nullptr),
      "wait_list is null");
  expect_invalid(
      clattn_block_builder_build(builder.get(), queue_, nullptr, nullptr, 1, 0, nullptr, nullptr),
      "buffers is null");
  EXPECT_EQ(event, nullptr);
  auto lists = sized<clattn_block_lists>();
  expect_invalid(clattn_block_builder_get_lists(builder.get(), nullptr), "lists is null");
  expect_invalid(clattn_block_builder_get_transposed(builder.get(), nullptr), "lists is null");
  expect_invalid(clattn_block_builder_download(builder.get(), nullptr, &lists), "queue is null");
  expect_invalid(clattn_block_builder_download(builder.get(), queue_, nullptr), "lists is null");

  clattn_block_list_buffers buffers = {};
  expect_invalid(clattn_block_list_buffers_check(queue_, &problem, nullptr), "lists is null");
  expect_invalid(clattn_block_list_buffers_check(queue_, nullptr, &buffers), "problem is null");
  expect_invalid(clattn_block_list_buffers_check(queue_, &problem, &buffers),
                 "partial_count buffer is null");
  buffers.partial_count = upload(bytes_of(std::vector<int32_t>{1, 1, 1, 1, 1}));
  buffers.partial_index = upload(bytes_of(std::vector<int32_t>(20, 4)));
  expect_invalid(clattn_block_list_buffers_check(queue_, &problem, &buffers),
                 "partial_index of batch 0, head 0, row 0, entry 0 is 4");

  // A launch needs its lists.
  const PlanHandle plan(make_plan(problem));
  const Data data = make_data(problem, 1);
  expect_invalid(clattn_plan_enqueue(plan.get(), queue_, &data.tensors, 0, nullptr, nullptr),
                 "partial_count buffer is null");
}

TEST_F(CApiParts, BuilderOutlivesItsEngineAndMask) {
  clattn_problem problem = make_problem();
  MaskHandle causal = make_mask(clattn_mask_create_causal, 0);
  problem.mask = causal.get();
  problem.has_blocks = 1;
  problem.blocks = {8, 16, 1, 1, 0};
  const BuilderHandle builder = make_builder(problem);
  ASSERT_NE(builder, nullptr);
  causal.reset();
  clattn_engine_release(std::exchange(engine_, nullptr));
  expect_success(
      clattn_block_builder_build(builder.get(), queue_, nullptr, nullptr, 0, 0, nullptr, nullptr));
  auto lists = sized<clattn_block_lists>();
  expect_success(clattn_block_builder_download(builder.get(), queue_, &lists));
  ASSERT_EQ(lists.full_count.count, 5u);
  EXPECT_EQ(lists.full_count.values[0], 1) << "query 0 sees 17 keys, query 7 sees 24";
  EXPECT_EQ(lists.partial_count.values[0], 1);
  clattn_block_lists_release_parts(&lists);
}

TEST_F(CApiParts, PermutationsMoveTokens) {
  const clattn_token_order order = {2, {3, 5, 0}, {2, 2, 0}, {1, 1, 0}};
  const std::array<int32_t, 16> tokens = {0, 1, 5, 6, 2, 3, 7, 8, 4, 9, 10, 11, 12, 13, 14, 15};
  const clattn_tensor_shape shape = {1, 1, 16, 1, {16, 16, 1}, 0, 0};
  std::vector<float> values(17), expected(17, -1);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i) - 1;
  for (size_t i = 0; i < tokens.size(); ++i) expected[i] = static_cast<float>(tokens[i]);
  const auto make = [&](int32_t direction, int32_t type, const clattn_tensor_shape& target) {
    clattn_token_permutation* permutation = nullptr;
    clattn_token_permutation_create(engine_, order, direction, type, &shape, &target, &permutation);
    return PermutationHandle(permutation);
  };
  const auto into = make(CLATTN_PERMUTATION_DIRECTION_INTO_ORDER, CLATTN_DATA_TYPE_F32, shape);
  const auto out = make(CLATTN_PERMUTATION_DIRECTION_OUT_OF_ORDER, CLATTN_DATA_TYPE_F32, shape);
  ASSERT_TRUE(into && out) << clattn_last_error();
  clattn_engine_release(std::exchange(engine_, nullptr));

  const std::vector<float> poison(17, -1);
  const cl_mem source = upload(bytes_of(values)), target = upload(bytes_of(poison));
  const cl_mem back = upload(bytes_of(poison));
  cl_event done = nullptr;
  expect_success(clattn_token_permutation_enqueue(into.get(), queue_, {source, 1}, {target, 0}, 0,
                                                  nullptr, &done));
  expect_success(clattn_token_permutation_enqueue(out.get(), queue_, {target, 0}, {back, 1}, 1,
                                                  &done, nullptr));
  clReleaseEvent(done);
  EXPECT_EQ(download(target, queue_), bytes_of(expected));
  EXPECT_EQ(download(back, queue_), bytes_of(values));
  expect_invalid(clattn_token_permutation_enqueue(into.get(), queue_, {source, 2}, {target, 0}, 0,
                                                  nullptr, nullptr),
                 "source buffer has 68 bytes");
  expect_invalid(clattn_token_permutation_enqueue(into.get(), nullptr, {source, 0}, {target, 0}, 0,
                                                  nullptr, nullptr),
                 "queue is null");
}

TEST_F(CApiParts, PermutationsRefuseWhatIsNone) {
  const clattn_token_order order = {2, {3, 5, 0}, {2, 2, 0}, {1, 1, 0}};
  const clattn_tensor_shape shape = {1, 1, 15, 8, {120, 120, 8}, 0, 0};
  clattn_tensor_shape narrow = shape;
  narrow.dim = 4;
  clattn_token_permutation* permutation = nullptr;
  expect_invalid(
      clattn_token_permutation_create(engine_, order, 2, 0, &shape, &shape, &permutation),
      "direction 2");
  expect_invalid(
      clattn_token_permutation_create(engine_, order, 0, 3, &shape, &shape, &permutation),
      "data type 3");
  expect_invalid(
      clattn_token_permutation_create(engine_, order, 0, 0, &shape, nullptr, &permutation),
      "target is null");
  expect_invalid(
      clattn_token_permutation_create(engine_, order, 0, 0, &shape, &narrow, &permutation),
      "source dim is 8, but target dim is 4");
  EXPECT_EQ(permutation, nullptr);
}

TEST_F(CApiParts, HooksServeKernelsOfTheApplication) {
  const clattn_sizes sizes = {2, 3, 7, 12};
  std::vector<float> limits(12);
  for (size_t i = 0; i < limits.size(); ++i) limits[i] = static_cast<float>(i * 5 % 7);
  const clattn_buffer buffer = {"limits", limits.data(), 12, CLATTN_ELEMENT_TYPE_F32};
  clattn_expression expression = make_expression("limits[key] > query + head");
  expression.buffers = &buffer;
  expression.buffer_count = 1;
  const MaskHandle own = make_mask(clattn_mask_create_expression, &expression, nullptr, nullptr);
  const MaskHandle documents = make_mask(
      clattn_mask_create_from_json,
      R"({"documents": {"lengths": [3, 4], "key_lengths": [7, 5], "mask": {"causal": {}}}})",
      nullptr, nullptr);
  clattn_mask* const any[] = {own.get(), documents.get()};
  const MaskHandle mask = make_mask(clattn_mask_create_any_of, any, 2);
  auto hooks = sized<clattn_hooks>();
  expect_success(clattn_mask_get_hooks(mask.get(), &hooks));
  ASSERT_EQ(hooks.buffer_count, 1u);
  const std::vector<float> visible = evaluate(hooks, sizes);
  clattn_hooks_release_parts(&hooks);

  const std::vector<float> slopes = {1.0f, 0.5f, 0.25f};
  const ScoreHandle score = make_score(clattn_score_create_alibi, slopes.data(), 3, 1);
  expect_success(clattn_score_get_hooks(score.get(), &hooks));
  ASSERT_EQ(hooks.buffer_count, 0u);
  const std::vector<float> scores = evaluate(hooks, sizes);
  clattn_hooks_release_parts(&hooks);

  int64_t pairs = 0;
  for (int64_t head = 0; head < sizes.heads; ++head) {
    for (int64_t query = 0; query < sizes.query_len; ++query) {
      for (int64_t key = 0; key < sizes.key_len; ++key) {
        const auto at = static_cast<size_t>((head * sizes.query_len + query) * sizes.key_len + key);
        const clattn_point point = {1, head, query, key};
        const bool expected = allows(mask, sizes, point);
        EXPECT_EQ(visible[at] != 0, expected) << head << ", " << query << ", " << key;
        pairs += expected;
        double modified = 0;
        expect_success(clattn_score_apply(score.get(), sizes, point, score_at(key), &modified));
        EXPECT_NEAR(scores[at], modified, 1e-5) << head << ", " << query << ", " << key;
      }
    }
  }
  EXPECT_GT(pairs, 0);
  EXPECT_LT(pairs, sizes.heads * sizes.query_len * sizes.key_len);
}

}  // namespace
