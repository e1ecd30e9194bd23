// The C API where it needs no device: status and message of every misuse, outputs that a failed
// call leaves alone, problems, the JSON form and the CPU reference.
#include <clattn/clattn.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <array>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "tests/host/c_api_support.hpp"

extern "C" int clattn_c_program(void);

namespace {

using namespace clattn::test;

clattn_problem small_problem() {
  clattn_problem problem;
  expect_success(clattn_problem_init(&problem, sizeof problem));
  problem.query_len = 3;
  problem.key_len = 5;
  problem.head_dim = 16;
  problem.value_dim = 8;
  return problem;
}

TEST(CApi, WorksFromC) { EXPECT_EQ(clattn_c_program(), 0); }

TEST(CApi, VersionIsThatOfTheHeaders) {
  int32_t major = -1, minor = -1, patch = -1;
  clattn_version(&major, &minor, &patch);
  EXPECT_EQ(major, CLATTN_VERSION_MAJOR);
  EXPECT_EQ(minor, CLATTN_VERSION_MINOR);
  EXPECT_EQ(patch, CLATTN_VERSION_PATCH);
  EXPECT_STREQ(clattn_version_string(), CLATTN_VERSION_STRING);
  clattn_version(nullptr, nullptr, nullptr);
}

TEST(CApi, StatusValuesNeverChange) {
  EXPECT_EQ(CLATTN_STATUS_SUCCESS, 0);
  EXPECT_EQ(CLATTN_STATUS_INVALID_ARGUMENT, 1);
  EXPECT_EQ(CLATTN_STATUS_UNSUPPORTED, 2);
  EXPECT_EQ(CLATTN_STATUS_DEVICE_LIMIT, 3);
  EXPECT_EQ(CLATTN_STATUS_BUILD_FAILURE, 4);
  EXPECT_EQ(CLATTN_STATUS_OUT_OF_MEMORY, 5);
  EXPECT_EQ(CLATTN_STATUS_DEVICE_FAILURE, 6);
  EXPECT_EQ(CLATTN_STATUS_INTERNAL_ERROR, 7);
}

TEST(CApi, NamesAreTotal) {
  EXPECT_STREQ(clattn_status_name(CLATTN_STATUS_BUILD_FAILURE), "build failure");
  EXPECT_STREQ(clattn_status_name(-1), "unknown status");
  EXPECT_STREQ(clattn_device_kind_name(CLATTN_DEVICE_KIND_GPU), "gpu");
  EXPECT_STREQ(clattn_device_kind_name(4), "unknown device kind");
  EXPECT_STREQ(clattn_data_type_name(CLATTN_DATA_TYPE_BF16), "bf16");
  EXPECT_STREQ(clattn_data_type_name(-1), "unknown data type");
  EXPECT_STREQ(clattn_role_name(CLATTN_ROLE_OUTPUT), "output");
  EXPECT_STREQ(clattn_role_name(CLATTN_ROLE_COUNT), "unknown role");
}

TEST(CApi, LastErrorIsOfTheThreadAndSurvivesSuccess) {
  expect_invalid(clattn_mask_retain(nullptr), "mask is null");
  size_t bytes = 0;
  expect_success(clattn_data_type_get_size(CLATTN_DATA_TYPE_F16, &bytes));
  EXPECT_EQ(bytes, 2u);
  EXPECT_STREQ(clattn_last_error(), "mask is null");
  std::thread([] { EXPECT_STREQ(clattn_last_error(), ""); }).join();
}

TEST(CApi, NullArgumentsAreErrors) {
  clattn_problem problem = small_problem();
  auto device = sized<clattn_device>();
  auto reference = sized<clattn_reference>();
  auto comparison = sized<clattn_comparison>();
  const double one = 1;
  double number = 0;
  int32_t integer = 0;
  char* text = nullptr;
  const cl_device_id some_device = reinterpret_cast<cl_device_id>(&integer);

  expect_invalid(clattn_device_get_count(nullptr), "count is null");
  expect_invalid(clattn_device_get(0, nullptr), "device is null");
  expect_invalid(clattn_device_select("", nullptr), "device is null");
  expect_invalid(clattn_device_describe(nullptr, &device), "id is null");
  expect_invalid(clattn_device_describe(some_device, nullptr), "device is null");

  expect_invalid(clattn_data_type_get_size(0, nullptr), "bytes is null");
  expect_invalid(clattn_problem_init(nullptr, sizeof problem), "problem is null");
  expect_invalid(clattn_problem_from_json(nullptr, nullptr, &problem), "text is null");
  expect_invalid(clattn_problem_from_json("{}", nullptr, nullptr), "problem is null");
  expect_invalid(clattn_problem_to_json(nullptr, &text), "problem is null");
  expect_invalid(clattn_problem_to_json(&problem, nullptr), "text is null");
  expect_invalid(clattn_problem_validate(nullptr), "problem is null");
  expect_invalid(clattn_problem_get_scale(nullptr, &problem.scale), "problem is null");
  expect_invalid(clattn_problem_get_scale(&problem, nullptr), "scale is null");
  clattn_tensor_shape shape;
  expect_invalid(clattn_problem_get_tensor_shape(nullptr, 0, &shape), "problem is null");
  expect_invalid(clattn_problem_get_tensor_shape(&problem, 0, nullptr), "shape is null");
  expect_invalid(clattn_strides_make_contiguous(0, 1, 1, 1, nullptr), "strides is null");

  clattn_engine* engine = nullptr;
  clattn_plan* plan = nullptr;
  cl_context context = nullptr;
  auto rates = sized<clattn_rates>();
  auto tensors = sized<clattn_tensors>();
  auto report = sized<clattn_plan_report>();
  expect_invalid(clattn_engine_options_init(nullptr, 0), "options is null");
  expect_invalid(clattn_engine_create(nullptr, nullptr), "engine is null");
  expect_invalid(clattn_engine_create_from_context(nullptr, some_device, nullptr, &engine),
                 "context is null");
  expect_invalid(clattn_engine_create_from_context(reinterpret_cast<cl_context>(&integer), nullptr,
                                                   nullptr, &engine),
                 "device is null");
  expect_invalid(clattn_engine_create_from_context(reinterpret_cast<cl_context>(&integer),
                                                   some_device, nullptr, nullptr),
                 "engine is null");
  expect_invalid(clattn_engine_retain(nullptr), "engine is null");
  clattn_engine_release(nullptr);
  expect_invalid(clattn_engine_get_context(nullptr, &context), "engine is null");
  expect_invalid(clattn_engine_get_device(nullptr, &device), "engine is null");
  expect_invalid(clattn_engine_get_rates(nullptr, &rates), "engine is null");
  expect_invalid(clattn_engine_write_trace(nullptr, "trace.json"), "engine is null");
  expect_invalid(clattn_engine_supports(nullptr, &problem, nullptr, &integer, nullptr),
                 "engine is null");
  expect_invalid(clattn_plan_options_init(nullptr, 0), "options is null");
  expect_invalid(clattn_plan_create(nullptr, &problem, nullptr, &plan), "engine is null");
  expect_invalid(clattn_plan_retain(nullptr), "plan is null");
  clattn_plan_release(nullptr);
  expect_invalid(clattn_tensors_init(nullptr, 0), "tensors is null");
  expect_invalid(clattn_plan_enqueue(nullptr, nullptr, &tensors, 0, nullptr, nullptr),
                 "plan is null");
  expect_invalid(clattn_plan_get_problem(nullptr, &problem), "plan is null");
  expect_invalid(clattn_plan_get_report(nullptr, &report), "plan is null");
  expect_invalid(clattn_plan_explain(nullptr, nullptr, &text), "plan is null");

  expect_invalid(clattn_family_get_count(nullptr), "count is null");
  expect_invalid(clattn_family_get_name(0, nullptr), "name is null");
  expect_invalid(clattn_family_get_rejection(nullptr, &device, &text), "family is null");
  expect_invalid(clattn_family_get_rejection("cpu", nullptr, &text), "device is null");
  expect_invalid(clattn_family_get_rejection("cpu", &device, nullptr), "reason is null");

  expect_invalid(clattn_reference_init(nullptr, 0), "reference is null");
  expect_invalid(clattn_reference_compute(nullptr, &reference), "problem is null");
  expect_invalid(clattn_reference_compute(&problem, nullptr), "reference is null");
  expect_invalid(clattn_reference_compare(nullptr, &one, &one, 1, 0, &comparison),
                 "actual is null");
  expect_invalid(clattn_reference_compare(&one, nullptr, &one, 1, 0, &comparison), "exact is null");
  expect_invalid(clattn_reference_compare(&one, &one, nullptr, 1, 0, &comparison), "plain is null");
  expect_invalid(clattn_reference_compare(&one, &one, &one, 1, 0, nullptr), "comparison is null");
  expect_invalid(clattn_element_load(0, nullptr, 0, &number), "base is null");
  expect_invalid(clattn_element_load(0, &one, 0, nullptr), "value is null");
  expect_invalid(clattn_element_store(0, 1.0, nullptr, 0), "base is null");
  clattn_string_free(nullptr);

  EXPECT_EQ(text, nullptr);
  EXPECT_EQ(engine, nullptr);
  EXPECT_EQ(plan, nullptr);
}

TEST(CApi, StructSizesAreChecked) {
  clattn_problem problem;
  std::memset(&problem, 0x5a, sizeof problem);
  expect_invalid(clattn_problem_init(&problem, sizeof problem - 8), "clattn_problem");
  EXPECT_EQ(problem.batch, 0x5a5a5a5a5a5a5a5a) << "a failed call changes nothing";
  expect_invalid(clattn_problem_validate(&problem), "struct_size 6510615555426900570");
  problem = small_problem();
  problem.struct_size = 0;
  expect_invalid(clattn_problem_validate(&problem), "struct_size 0");

  clattn_device device{};
  expect_invalid(clattn_device_get(0, &device), "clattn_device");
  clattn_comparison comparison{};
  expect_invalid(clattn_reference_compare(nullptr, nullptr, nullptr, 0, 0, &comparison),
                 "clattn_comparison");
  problem = small_problem();
  clattn_reference reference{};
  expect_invalid(clattn_reference_compute(&problem, &reference), "clattn_reference");
  clattn_engine_options options{};
  clattn_engine* engine = nullptr;
  expect_invalid(clattn_engine_create(&options, &engine), "clattn_engine_options");
  EXPECT_EQ(engine, nullptr);
}

TEST(CApi, UnknownEnumValuesAreErrorsWithTheValue) {
  clattn_problem problem = small_problem();
  problem.data_type = 7;
  expect_invalid(clattn_problem_validate(&problem), "data type 7");
  problem = small_problem();
  problem.layout = -3;
  expect_invalid(clattn_problem_validate(&problem), "layout -3");
  problem = small_problem();
  clattn_tensor_shape shape;
  expect_invalid(clattn_problem_get_tensor_shape(&problem, CLATTN_ROLE_COUNT, &shape), "role 4");
  clattn_strides strides;
  expect_invalid(clattn_strides_make_contiguous(2, 1, 1, 1, &strides), "layout 2");
  size_t bytes = 0;
  expect_invalid(clattn_data_type_get_size(3, &bytes), "data type 3");
  float element = 0;
  expect_invalid(clattn_element_store(-1, 1.0, &element, 0), "data type -1");
  auto reference = sized<clattn_reference>();
  reference.precision = 2;
  expect_invalid(clattn_reference_compute(&problem, &reference), "precision 2");
  auto device = sized<clattn_device>();
  device.kind = 9;
  char* reason = nullptr;
  expect_invalid(clattn_family_get_rejection("cpu", &device, &reason), "device kind 9");
}

TEST(CApi, ProblemsThatNoDeviceComputesAreRefused) {
  struct Case {
    std::function<void(clattn_problem&)> spoil;
    std::string part;
  };
  const std::vector<Case> cases = {
      {[](auto& p) { p.head_dim = 0; }, "head_dim is 0"},
      {[](auto& p) { p.head_dim = 12; }, "head_dim is 12"},
      {[](auto& p) { p.head_dim = 264; }, "head_dim 264 exceeds the largest supported, 256"},
      {[](auto& p) { p.value_dim = -8; }, "value_dim is -8"},
      {[](auto& p) { p.heads = 6, p.kv_heads = 4; }, "kv_heads 4 does not divide heads 6"},
      {[](auto& p) { p.kv_heads = 0; }, "kv_heads is 0"},
      {[](auto& p) { p.batch = -1; }, "batch is -1"},
      {[](auto& p) { p.query_len = -1; }, "-1"},
      {[](auto& p) { p.key_len = INT64_MAX; }, "9223372036854775807 exceeds"},
      {[](auto& p) { p.has_scale = 1, p.scale = std::nanf(""); }, "scale is nan"},
      {[](auto& p) { p.has_scale = 1, p.scale = HUGE_VALF; }, "scale is inf"},
      {[](auto& p) {
         p.has_strides[CLATTN_ROLE_OUTPUT] = 1;
         p.strides[CLATTN_ROLE_OUTPUT] = {24, 24, 7};
       },
       "output strides overlap"},
      {[](auto& p) {
         p.has_strides[CLATTN_ROLE_KEY] = 1;
         p.strides[CLATTN_ROLE_KEY] = {0, 0, -16};
       },
       "key token stride is -16"},
  };
  for (const Case& bad : cases) {
    SCOPED_TRACE(bad.part);
    clattn_problem problem = small_problem();
    bad.spoil(problem);
    expect_invalid(clattn_problem_validate(&problem), bad.part);
    auto reference = sized<clattn_reference>();
    expect_invalid(clattn_reference_compute(&problem, &reference), bad.part);
  }
}

// Each size is within its own limit, but a tensor spans 2^64 elements or more: wrapped around, a
// small buffer would seem large enough.
TEST(CApi, TensorsBeyond64BitsAreRefused) {
  clattn_problem problem = small_problem();
  problem.batch = 1 << 10;
  problem.heads = problem.kv_heads = 1 << 20;
  problem.query_len = problem.key_len = 1 << 30;
  problem.head_dim = problem.value_dim = 256;
  expect_invalid(clattn_problem_validate(&problem), "");
  for (int role = 0; role < CLATTN_ROLE_COUNT; ++role) {
    SCOPED_TRACE(clattn_role_name(role));
    problem = small_problem();
    problem.query_len = problem.key_len = (1 << 24) + 1;
    problem.has_strides[role] = 1;
    problem.strides[role] = {0, 0, int64_t{1} << 40};
    expect_invalid(clattn_problem_validate(&problem), "");
  }
}

TEST(CApi, JsonRoundTripKeepsTheProblem) {
  auto problem = sized<clattn_problem>();
  expect_success(clattn_problem_from_json(
      R"({"scale": -0.5, "dtype": "f16", "mask": {"window": {"left": 2, "right": 0}}, "lse": true,
          "layout": "blhd", "batch": 2, "heads": 4, "kv_heads": 2, "q_len": 3, "kv_len": 5,
          "head_dim": 16, "value_dim": 8, "k_strides": {"batch": 0, "head": 16, "token": 32}})",
      nullptr, &problem));
  EXPECT_EQ(problem.scale, -0.5f);
  EXPECT_EQ(problem.data_type, CLATTN_DATA_TYPE_F16);
  EXPECT_EQ(problem.layout, CLATTN_LAYOUT_BLHD);
  EXPECT_TRUE(problem.lse);
  EXPECT_FALSE(problem.has_strides[CLATTN_ROLE_QUERY]);
  ASSERT_TRUE(problem.has_strides[CLATTN_ROLE_KEY]);
  EXPECT_EQ(problem.strides[CLATTN_ROLE_KEY].token, 32);
  ASSERT_NE(problem.mask, nullptr);
  char* text = nullptr;
  expect_success(clattn_problem_to_json(&problem, &text));
  const std::string first = take(text);
  auto again = sized<clattn_problem>();
  expect_success(clattn_problem_from_json(first.c_str(), "", &again));
  expect_success(clattn_problem_to_json(&again, &text));
  EXPECT_EQ(take(text), first);
  clattn_problem_release_parts(&problem);
  clattn_problem_release_parts(&again);
}

TEST(CApi, JsonErrorsNameWhatIsWrongAndChangeNothing) {
  const std::array<std::array<const char*, 3>, 8> cases = {{
      {R"({"head_dims": 64})", "head_dims", "head_dim"},
      {R"({"dtype": "f64"})", "f64", "nearest"},
      {R"({"mask": {"casual": {}}})", "casual", "causal"},
      {R"({"batch": "two"})", "batch", "two"},
      {R"({"batch": 1e999})", "", ""},
      {R"({"scale": 0.5)", "", ""},
      {"[]", "object", ""},
      {"", "", ""},
  }};
  for (const auto& [text, part, other] : cases) {
    SCOPED_TRACE(text);
    clattn_problem problem = small_problem();
    problem.batch = 77;
    expect_invalid(clattn_problem_from_json(text, nullptr, &problem), part);
    EXPECT_NE(std::string(clattn_last_error()).find(other), std::string::npos);
    EXPECT_EQ(problem.batch, 77);
    EXPECT_EQ(problem.mask, nullptr);
    EXPECT_EQ(problem.owned, nullptr);
  }
}

TEST(CApi, ShapesAndStrides) {
  clattn_problem problem = small_problem();
  problem.heads = 4;
  problem.kv_heads = 2;
  problem.layout = CLATTN_LAYOUT_BLHD;
  clattn_tensor_shape shape;
  expect_success(clattn_problem_get_tensor_shape(&problem, CLATTN_ROLE_KEY, &shape));
  EXPECT_EQ(shape.heads, 2);
  EXPECT_EQ(shape.length, 5);
  EXPECT_EQ(shape.dim, 16);
  EXPECT_EQ(shape.strides.token, 2 * 16);
  EXPECT_EQ(shape.elements, 2 * 5 * 16);
  EXPECT_EQ(shape.span, 2 * 5 * 16);
  float scale = 0;
  expect_success(clattn_problem_get_scale(&problem, &scale));
  EXPECT_FLOAT_EQ(scale, 0.25f);
  clattn_strides strides;
  expect_success(clattn_strides_make_contiguous(CLATTN_LAYOUT_BHLD, 4, 3, 16, &strides));
  EXPECT_EQ(strides.batch, 4 * 3 * 16);
  expect_invalid(clattn_strides_make_contiguous(0, INT64_MAX, 2, 2, &strides), "2^62");
  expect_invalid(clattn_strides_make_contiguous(0, 1, -1, 2, &strides), "length -1");
}

// One query, two keys with scores ln 3 and 0, hence weights 3/4 and 1/4, and values 1 and 5.
struct SmallReference {
  std::array<float, 8> query{1.0f};
  std::array<float, 16> key{std::log(3.0f)};
  std::array<float, 16> value;
  std::array<double, 8> output{};
  std::array<double, 1> lse{};
  clattn_problem problem = small_problem();
  clattn_reference reference;

  SmallReference() {
    std::fill(value.begin(), value.begin() + 8, 1.0f);
    std::fill(value.begin() + 8, value.end(), 5.0f);
    problem.query_len = 1;
    problem.key_len = 2;
    problem.head_dim = problem.value_dim = 8;
    problem.has_scale = 1;
    problem.scale = 1;
    expect_success(clattn_reference_init(&reference, sizeof reference));
    reference.query = query.data();
    reference.query_bytes = sizeof query;
    reference.key = key.data();
    reference.key_bytes = sizeof key;
    reference.value = value.data();
    reference.value_bytes = sizeof value;
    reference.output = output.data();
    reference.output_count = output.size();
    reference.lse = lse.data();
    reference.lse_count = lse.size();
  }
};

TEST(CApi, ReferenceComputesAKnownResult) {
  SmallReference small;
  expect_success(clattn_reference_compute(&small.problem, &small.reference));
  for (double element : small.output) EXPECT_NEAR(element, 2.0, 1e-6);
  EXPECT_NEAR(small.lse[0], std::log(4.0), 1e-6);

  small.reference.lse = nullptr;
  small.reference.precision = CLATTN_REFERENCE_PRECISION_STORAGE;
  expect_success(clattn_reference_compute(&small.problem, &small.reference));
  for (double element : small.output) EXPECT_NEAR(element, 2.0, 1e-5);
}

TEST(CApi, ReferenceChecksSizes) {
  SmallReference small;
  small.reference.key_bytes -= 1;
  expect_invalid(clattn_reference_compute(&small.problem, &small.reference), "63 bytes");
  small.reference.key_bytes += 1;
  small.reference.value = nullptr;
  expect_invalid(clattn_reference_compute(&small.problem, &small.reference), "value is null");
  small.reference.value_bytes = 0;
  expect_invalid(clattn_reference_compute(&small.problem, &small.reference), "0 bytes");
  small = SmallReference();
  small.reference.output_count = 7;
  expect_invalid(clattn_reference_compute(&small.problem, &small.reference),
                 "output has room for 7 doubles, but needs 8");
  EXPECT_EQ(small.output[0], 0.0);
}

TEST(CApi, ReferenceComputesSomeQueries) {
  SmallReference small;
  small.problem.query_len = 3;
  std::array<float, 24> query{};
  query[16] = 1.0f;  // the last one is as above, the others see both keys alike
  small.reference.query = query.data();
  small.reference.query_bytes = sizeof query;
  const std::array<int64_t, 2> queries = {2, 0};
  small.reference.queries = queries.data();
  small.reference.query_count = queries.size();
  std::array<double, 16> output{};
  std::array<double, 2> lse{};
  small.reference.output = output.data();
  small.reference.output_count = output.size();
  small.reference.lse = lse.data();
  small.reference.lse_count = lse.size();
  expect_success(clattn_reference_compute(&small.problem, &small.reference));
  EXPECT_NEAR(output[0], 2.0, 1e-6);
  EXPECT_NEAR(output[8], 3.0, 1e-6);
  EXPECT_NEAR(lse[0], std::log(4.0), 1e-6);
  EXPECT_NEAR(lse[1], std::log(2.0), 1e-6);

  const int64_t outside = 3;
  small.reference.query_count = 1;
  small.reference.queries = &outside;
  expect_invalid(clattn_reference_compute(&small.problem, &small.reference), "query 3");
  small.reference.queries = nullptr;
  expect_invalid(clattn_reference_compute(&small.problem, &small.reference), "queries is null");
  small.reference.query_count = 0;
  expect_invalid(clattn_reference_compute(&small.problem, &small.reference),
                 "output has room for 16 doubles, but needs 24");
}

TEST(CApi, ReferenceReportsProgressAndStops) {
  SmallReference small;
  small.reference.progress = [](int64_t done, int64_t total, void* user) -> int32_t {
    *static_cast<int64_t*>(user) = done;
    return done < total;
  };
  int64_t done = -1;
  small.reference.progress_user = &done;
  expect_success(clattn_reference_compute(&small.problem, &small.reference));
  EXPECT_EQ(done, 1);
}

// Broadcast keys make a problem whose inputs are small but whose work does not fit in memory.
TEST(CApi, ReferenceThatDoesNotFitIsOutOfMemory) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "AddressSanitizer aborts on an allocation that fails";
#endif
  SmallReference small;
  small.problem.key_len = int64_t{1} << 30;
  small.problem.head_dim = small.problem.value_dim = 256;
  small.problem.query_len = 512;
  for (int role = 0; role < CLATTN_ROLE_OUTPUT; ++role) small.problem.has_strides[role] = 1;
  const std::vector<float> zeros(256);
  std::vector<double> output(512 * 256);
  small.reference.query = small.reference.key = small.reference.value = zeros.data();
  small.reference.query_bytes = small.reference.key_bytes = small.reference.value_bytes =
      zeros.size() * sizeof(float);
  small.reference.output = output.data();
  small.reference.output_count = output.size();
  small.reference.lse = nullptr;
  // A machine that grants any request would end the test instead of failing the allocation.
  rlimit old{};
  ASSERT_EQ(getrlimit(RLIMIT_AS, &old), 0);
  const rlimit limited{rlim_t{64} << 30, old.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_AS, &limited), 0);
  expect_failure(clattn_reference_compute(&small.problem, &small.reference),
                 CLATTN_STATUS_OUT_OF_MEMORY, "memory");
  ASSERT_EQ(setrlimit(RLIMIT_AS, &old), 0);
}

TEST(CApi, CompareFindsTheWorstElement) {
  const std::array<double, 3> exact = {1, 2, 3};
  const std::array<double, 3> plain = {1, 2.01, 3};
  std::array<double, 3> actual = {1, 2, 3.5};
  auto comparison = sized<clattn_comparison>();
  expect_success(
      clattn_reference_compare(actual.data(), exact.data(), plain.data(), 3, 1e-6, &comparison));
  EXPECT_FALSE(comparison.pass);
  EXPECT_EQ(comparison.worst, 2);
  EXPECT_EQ(comparison.worst_actual, 3.5);
  EXPECT_NEAR(comparison.limit, 0.02, 1e-5);
  actual[2] = std::numeric_limits<double>::quiet_NaN();
  expect_success(
      clattn_reference_compare(actual.data(), exact.data(), plain.data(), 3, 1, &comparison));
  EXPECT_FALSE(comparison.pass);
  EXPECT_EQ(comparison.non_finite, 1);
  expect_success(clattn_reference_compare(nullptr, nullptr, nullptr, 0, 0, &comparison));
  EXPECT_TRUE(comparison.pass);
  EXPECT_EQ(comparison.worst, -1);
}

TEST(CApi, ElementsRoundToNearestEven) {
  std::array<uint16_t, 2> storage = {};
  double value = 0;
  expect_success(clattn_element_store(CLATTN_DATA_TYPE_BF16, 1.0 + 1.0 / 256, storage.data(), 1));
  expect_success(clattn_element_load(CLATTN_DATA_TYPE_BF16, storage.data(), 1, &value));
  EXPECT_EQ(value, 1.0);
  expect_success(clattn_element_store(CLATTN_DATA_TYPE_F16, 65504, storage.data(), 0));
  EXPECT_EQ(storage[0], 0x7bff);
  expect_invalid(clattn_element_load(CLATTN_DATA_TYPE_F16, storage.data(), -1, &value), "-1");
}

TEST(CApi, FamiliesSayWhyTheyAreOut) {
  size_t count = 0;
  expect_success(clattn_family_get_count(&count));
  ASSERT_GE(count, 2u);
  auto device = sized<clattn_device>();  // no compiler
  char* text = nullptr;
  for (size_t i = 0; i < count; ++i) {
    expect_success(clattn_family_get_name(i, &text));
    const std::string name = take(text);
    expect_success(clattn_family_get_rejection(name.c_str(), &device, &text));
    EXPECT_NE(take(text).find("compiler"), std::string::npos) << name;
  }
  text = nullptr;
  expect_invalid(clattn_family_get_name(count, &text), std::to_string(count));
  expect_invalid(clattn_family_get_rejection("tpu", &device, &text), "tpu");
  EXPECT_EQ(text, nullptr);
}

// The loader reads its folder of vendors once a process, so this test runs itself in another one.
TEST(CApi, NoPlatformIsUnsupported) {
  if (!std::getenv("CLATTN_TEST_WITHOUT_PLATFORM")) {
    const std::string program = std::filesystem::read_symlink("/proc/self/exe").string();
    const std::string command =
        "env -u OCL_ICD_FILENAMES CLATTN_TEST_WITHOUT_PLATFORM=1 OCL_ICD_VENDORS=/no/such/folder "
        "'" +
        program + "' --gtest_filter=CApi.NoPlatformIsUnsupported";
    EXPECT_EQ(std::system(command.c_str()), 0);
    return;
  }
  size_t count = 77;
  expect_failure(clattn_device_get_count(&count), CLATTN_STATUS_UNSUPPORTED, "no OpenCL platform");
  EXPECT_EQ(count, 77u);
  auto device = sized<clattn_device>();
  expect_failure(clattn_device_select(nullptr, &device), CLATTN_STATUS_UNSUPPORTED, "platform");
  clattn_engine* engine = nullptr;
  expect_failure(clattn_engine_create(nullptr, &engine), CLATTN_STATUS_UNSUPPORTED, "platform");
  EXPECT_EQ(engine, nullptr);
}

}  // namespace
