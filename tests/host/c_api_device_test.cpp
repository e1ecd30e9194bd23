// The C API on a device: results against the CPU reference, misuse at launch, threads, lifetimes,
// the log, the disk cache and the trace. Runs on the best device, in a context and on queues of its
// own, as an application would.
#include <clattn/clattn.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/host/c_api_device_support.hpp"

namespace {

namespace fs = std::filesystem;

using namespace clattn::test;

// A path that no other test process uses.
fs::path temporary(const std::string& name) {
  return fs::path(testing::TempDir()) / (name + "_" + std::to_string(getpid()));
}

TEST_F(CApiDevice, ListsDevices) {
  size_t count = 0;
  expect_success(clattn_device_get_count(&count));
  ASSERT_GE(count, 1u);
  for (size_t i = 0; i < count; ++i) {
    auto device = sized<clattn_device>();
    expect_success(clattn_device_get(i, &device));
    EXPECT_NE(device.id, nullptr);
    EXPECT_STRNE(device.name, "");
    EXPECT_GE(device.compute_units, 1);
    auto other = sized<clattn_device>();
    expect_success(clattn_device_select(std::to_string(i).c_str(), &other));
    EXPECT_EQ(other.id, device.id);
    expect_success(clattn_device_describe(device.id, &other));
    EXPECT_STREQ(other.driver_version, device.driver_version);
  }
  auto device = sized<clattn_device>();
  expect_invalid(clattn_device_get(count, &device), std::to_string(count));
  expect_invalid(clattn_device_select("no such device", &device), "no such device");
  EXPECT_EQ(device.id, nullptr);
  expect_success(clattn_engine_get_device(engine_, &device));
  EXPECT_EQ(device.id, device_.id);
}

TEST_F(CApiDevice, TunesAndHandsOnWhatItFound) {
  auto problem = sized<clattn_problem>();
  expect_success(clattn_problem_init(&problem, sizeof problem));
  problem.query_len = problem.key_len = 40;
  problem.head_dim = problem.value_dim = 16;
  auto budget = sized<clattn_tune_budget>();
  expect_success(clattn_tune_budget_init(&budget, sizeof budget));
  budget.evaluations = 2;
  auto result = sized<clattn_tune_result>();
  expect_success(clattn_engine_tune(engine_, &problem, nullptr, &budget, &result));
  EXPECT_EQ(result.evaluations, 2);
  EXPECT_EQ(result.failures, 0);
  EXPECT_GT(result.best_seconds, 0);
  EXPECT_LE(result.best_seconds, result.heuristic_seconds);
  char* text = nullptr;
  expect_success(clattn_engine_get_tuning(engine_, &text));
  options_.device = device_.name;
  options_.tuning = text;
  options_.without_default_tuning = 1;
  clattn_engine* engine = nullptr;
  expect_success(clattn_engine_create(&options_, &engine));
  clattn_plan* plan = nullptr;
  expect_success(clattn_plan_create(engine, &problem, nullptr, &plan));
  auto report = sized<clattn_plan_report>();
  expect_success(clattn_plan_get_report(plan, &report));
  EXPECT_NE(std::string(report.config_source).find("tuned for this problem (engine store"),
            std::string::npos)
      << report.config_source;
  clattn_plan_release(plan);
  clattn_engine_release(engine);
  clattn_string_free(text);
  budget.evaluations = -1;
  expect_invalid(clattn_engine_tune(engine_, &problem, nullptr, &budget, nullptr), "-1");
  budget.evaluations = 0;
  budget.strategy = 7;
  expect_invalid(clattn_engine_tune(engine_, &problem, nullptr, &budget, nullptr), "7");
  options_.tuning = "nonsense";
  expect_invalid(clattn_engine_create(&options_, &engine), "not JSON");
}

TEST_F(CApiDevice, EngineFromSelectorHasItsOwnContext) {
  clattn_engine* engine = nullptr;
  options_.device = device_.name;
  expect_success(clattn_engine_create(&options_, &engine));
  cl_context context = nullptr;
  expect_success(clattn_engine_get_context(engine, &context));
  EXPECT_NE(context, nullptr);
  EXPECT_NE(context, context_);
  clattn_engine_release(engine);
  options_.device = "no such device";
  engine = nullptr;
  expect_invalid(clattn_engine_create(&options_, &engine), "no such device");
  EXPECT_EQ(engine, nullptr);
  expect_success(clattn_engine_get_context(engine_, &context));
  EXPECT_EQ(context, context_);
}

// Waits for the caller's event, then computes.
TEST_F(CApiDevice, MatchesTheReference) {
  clattn_mask* causal = nullptr;
  clattn_mask* top_left = nullptr;
  clattn_mask* window = nullptr;
  expect_success(clattn_mask_create_causal(CLATTN_CAUSAL_ALIGN_BOTTOM_RIGHT, &causal));
  expect_success(clattn_mask_create_causal(CLATTN_CAUSAL_ALIGN_TOP_LEFT, &top_left));
  expect_success(clattn_mask_create_window(5, 2, &window));
  const std::vector<std::pair<int32_t, clattn_mask*>> cases = {
      {CLATTN_DATA_TYPE_F32, nullptr},  {CLATTN_DATA_TYPE_F32, causal},
      {CLATTN_DATA_TYPE_F32, top_left}, {CLATTN_DATA_TYPE_F16, window},
      {CLATTN_DATA_TYPE_BF16, causal},
  };
  unsigned seed = 1;
  for (const auto& [type, mask] : cases) {
    SCOPED_TRACE(std::string(clattn_data_type_name(type)) + ", seed " + std::to_string(seed));
    clattn_problem problem = make_problem();
    problem.data_type = type;
    problem.mask = mask;
    problem.has_scale = mask == nullptr;
    problem.scale = -0.25f;
    clattn_plan* plan = make_plan(problem);
    ASSERT_NE(plan, nullptr);
    const Data data = make_data(problem, seed++);
    cl_event start = clCreateUserEvent(context_, nullptr);
    cl_event done = nullptr;
    expect_success(clattn_plan_enqueue(plan, queue_, &data.tensors, 1, &start, &done));
    ASSERT_NE(done, nullptr);
    cl_int state = CL_COMPLETE;
    clGetEventInfo(done, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof state, &state, nullptr);
    EXPECT_NE(state, CL_COMPLETE) << "must wait for its wait list";
    clSetUserEventStatus(start, CL_COMPLETE);
    EXPECT_EQ(clWaitForEvents(1, &done), CL_SUCCESS);
    clReleaseEvent(start);
    clReleaseEvent(done);
    expect_correct(problem, data, queue_);
    clattn_plan_release(plan);
  }
  for (clattn_mask* mask : {causal, top_left, window}) clattn_mask_release(mask);
}

TEST_F(CApiDevice, EmptyProblemsNeedNoBuffers) {
  clattn_problem problem = make_problem();
  problem.query_len = problem.key_len = 0;
  clattn_plan* plan = make_plan(problem);
  auto tensors = sized<clattn_tensors>();
  cl_event done = nullptr;
  expect_success(clattn_plan_enqueue(plan, queue_, &tensors, 0, nullptr, &done));
  EXPECT_EQ(clWaitForEvents(1, &done), CL_SUCCESS);
  clReleaseEvent(done);
  clattn_plan_release(plan);
}

// Every refused launch leaves the output as it was.
TEST_F(CApiDevice, MisuseAtLaunchLaunchesNothing) {
  const clattn_problem problem = make_problem();
  clattn_plan* plan = make_plan(problem);
  const Data data = make_data(problem, 1);
  cl_context other = make_context();
  cl_command_queue foreign_queue = clCreateCommandQueue(other, device_.id, 0, nullptr);
  cl_mem foreign = clCreateBuffer(other, CL_MEM_READ_WRITE, 1 << 20, nullptr, nullptr);
  cl_mem small = upload(Bytes(100));
  cl_event event = nullptr;
  const auto enqueue = [&](const clattn_tensors& tensors) {
    return clattn_plan_enqueue(plan, queue_, &tensors, 0, nullptr, &event);
  };

  expect_invalid(clattn_plan_enqueue(plan, nullptr, &data.tensors, 0, nullptr, &event),
                 "queue is null");
  expect_invalid(clattn_plan_enqueue(plan, queue_, nullptr, 0, nullptr, &event), "tensors is null");
  expect_invalid(clattn_plan_enqueue(plan, queue_, &data.tensors, 1, nullptr, &event),
                 "wait_list is null");
  const cl_event null_event = nullptr;
  expect_invalid(clattn_plan_enqueue(plan, queue_, &data.tensors, 1, &null_event, &event),
                 "wait_list[0] is null");
  expect_invalid(clattn_plan_enqueue(plan, foreign_queue, &data.tensors, 0, nullptr, &event),
                 "another OpenCL context");

  clattn_tensors tensors = data.tensors;
  tensors.struct_size = 0;
  expect_invalid(enqueue(tensors), "clattn_tensors");
  tensors = data.tensors;
  tensors.key.buffer = foreign;
  expect_invalid(enqueue(tensors), "key buffer is of another OpenCL context");
  tensors = data.tensors;
  tensors.value.buffer = small;
  const std::string needed = std::to_string(data.value.size());
  expect_invalid(enqueue(tensors), "value buffer has 100 bytes");
  expect_invalid(enqueue(tensors), needed);
  tensors = data.tensors;
  tensors.query.offset = 1;
  expect_invalid(enqueue(tensors), "query buffer has");
  tensors.query.offset = -1;
  expect_invalid(enqueue(tensors), "offset is -1");
  tensors.query.offset = INT64_MAX;
  expect_invalid(enqueue(tensors), "offset is 9223372036854775807");
  tensors = data.tensors;
  tensors.lse.buffer = nullptr;
  expect_invalid(enqueue(tensors), "lse buffer is null");
  tensors = data.tensors;
  tensors.output.buffer = nullptr;
  expect_invalid(enqueue(tensors), "output buffer is null");

  EXPECT_EQ(event, nullptr);
  clFinish(queue_);
  EXPECT_EQ(download(data.tensors.output.buffer, queue_), Bytes(data.output.size(), 0xff));
  clReleaseMemObject(foreign);
  clReleaseCommandQueue(foreign_queue);
  clReleaseContext(other);
  clattn_plan_release(plan);
}

TEST_F(CApiDevice, BadProblemsAndOptionsAreRefusedAtPlanTime) {
  clattn_plan* plan = nullptr;
  for (int64_t dim : {0, 12, 264}) {
    clattn_problem problem = make_problem();
    problem.head_dim = dim;
    expect_invalid(clattn_plan_create(engine_, &problem, nullptr, &plan), std::to_string(dim));
    int32_t supported = 1;
    char* reason = nullptr;
    expect_success(clattn_engine_supports(engine_, &problem, nullptr, &supported, &reason));
    EXPECT_FALSE(supported);
    EXPECT_NE(take(reason).find(std::to_string(dim)), std::string::npos);
  }
  clattn_problem problem = make_problem();
  clattn_plan_options options;
  expect_success(clattn_plan_options_init(&options, sizeof options));
  options.tokens = 4;
  expect_invalid(clattn_plan_create(engine_, &problem, &options, &plan), "token access 4");
  options.tokens = CLATTN_TOKEN_ACCESS_AUTOMATIC;
  options.family = "tpu";
  expect_invalid(clattn_plan_create(engine_, &problem, &options, &plan), "tpu");
  options.family = "portable";
  options.config = "query_tile=64,key_tile";
  expect_invalid(clattn_plan_create(engine_, &problem, &options, &plan), "\"key_tile\"");
  options.config = "warps=4";
  expect_invalid(clattn_plan_create(engine_, &problem, &options, &plan), "warps");
  options.struct_size = 1;
  expect_invalid(clattn_plan_create(engine_, &problem, &options, &plan), "clattn_plan_options");
  expect_invalid(clattn_plan_create(engine_, nullptr, nullptr, &plan), "problem is null");
  expect_invalid(clattn_plan_create(engine_, &problem, nullptr, nullptr), "plan is null");
  EXPECT_EQ(plan, nullptr);
  int32_t supported = 0;
  expect_success(clattn_engine_supports(engine_, &problem, nullptr, &supported, nullptr));
  EXPECT_TRUE(supported);
  expect_invalid(clattn_engine_supports(engine_, &problem, nullptr, nullptr, nullptr),
                 "supported is null");
  expect_invalid(clattn_engine_get_context(engine_, nullptr), "context is null");
  expect_invalid(clattn_engine_get_device(engine_, nullptr), "device is null");
  expect_invalid(clattn_engine_get_rates(engine_, nullptr), "rates is null");
  expect_invalid(clattn_engine_write_trace(engine_, nullptr), "path is null");
}

TEST_F(CApiDevice, DeviceOutsideTheContextIsRefused) {
  size_t count = 0;
  expect_success(clattn_device_get_count(&count));
  auto other = sized<clattn_device>();
  for (size_t i = 0; i < count && (!other.id || other.id == device_.id); ++i) {
    expect_success(clattn_device_get(i, &other));
  }
  if (other.id == device_.id) GTEST_SKIP() << "needs two OpenCL devices, found " << count;
  clattn_engine* engine = nullptr;
  expect_invalid(clattn_engine_create_from_context(context_, other.id, &options_, &engine),
                 "context");
}

TEST_F(CApiDevice, EveryFamilyOfThisDeviceComputes) {
  size_t count = 0;
  expect_success(clattn_family_get_count(&count));
  for (size_t i = 0; i < count; ++i) {
    char* text = nullptr;
    expect_success(clattn_family_get_name(i, &text));
    const std::string family = take(text);
    SCOPED_TRACE(family);
    expect_success(clattn_family_get_rejection(family.c_str(), &device_, &text));
    if (!take(text).empty()) continue;
    const clattn_problem problem = make_problem();
    clattn_plan_options options;
    expect_success(clattn_plan_options_init(&options, sizeof options));
    options.family = family.c_str();
    clattn_plan* plan = nullptr;
    expect_success(clattn_plan_create(engine_, &problem, &options, &plan));
    ASSERT_NE(plan, nullptr);
    auto report = sized<clattn_plan_report>();
    expect_success(clattn_plan_get_report(plan, &report));
    EXPECT_EQ(report.family, family);
    EXPECT_STREQ(report.config_source, "heuristic");
    options.config = report.parameters;
    clattn_plan* same = nullptr;
    expect_success(clattn_plan_create(engine_, &problem, &options, &same));
    auto same_report = sized<clattn_plan_report>();
    expect_success(clattn_plan_get_report(same, &same_report));
    EXPECT_STREQ(same_report.config, report.config);
    EXPECT_STREQ(same_report.parameters, report.parameters);
    EXPECT_STREQ(same_report.config_source, "asked for");
    clattn_plan_release(same);
    const Data data = make_data(problem, 7);
    expect_success(clattn_plan_enqueue(plan, queue_, &data.tensors, 0, nullptr, nullptr));
    expect_correct(problem, data, queue_);
    clattn_plan_release(plan);
  }
}

TEST_F(CApiDevice, PlanOutlivesItsEngineAndMask) {
  clattn_problem problem = make_problem();
  expect_success(clattn_mask_create_causal(CLATTN_CAUSAL_ALIGN_BOTTOM_RIGHT, &problem.mask));
  clattn_plan* plan = make_plan(problem);
  const Data data = make_data(problem, 3);
  clattn_engine_release(std::exchange(engine_, nullptr));
  clattn_mask_release(problem.mask);
  expect_success(clattn_plan_retain(plan));
  clattn_plan_release(plan);
  expect_success(clattn_plan_enqueue(plan, queue_, &data.tensors, 0, nullptr, nullptr));
  clFinish(queue_);
  auto planned = sized<clattn_problem>();
  expect_success(clattn_plan_get_problem(plan, &planned));
  EXPECT_EQ(planned.key_len, problem.key_len);
  clattn_plan_release(plan);
  expect_correct(planned, data, queue_);
  clattn_problem_release_parts(&planned);
}

TEST_F(CApiDevice, ReportAndExplain) {
  clattn_problem problem = make_problem();
  expect_success(clattn_mask_create_window(4, 0, &problem.mask));
  clattn_plan* plan = make_plan(problem);
  auto report = sized<clattn_plan_report>();
  expect_success(clattn_plan_get_report(plan, &report));
  int32_t found = 0;
  int64_t pairs = 0;
  expect_success(clattn_mask_count_visible_pairs(problem.mask, {2, 4, 37, 53}, {1, 3}, 1 << 20,
                                                 &found, &pairs));
  ASSERT_TRUE(found);
  EXPECT_TRUE(report.pairs_counted);
  EXPECT_EQ(report.visible_pairs, 8.0 * pairs);
  EXPECT_EQ(report.flops, 2.0 * (64 + 40) * pairs * 8);
  EXPECT_GT(report.balance, 0);
  EXPECT_LE(report.balance, 1);
  EXPECT_LE(report.split_rows, report.parts);
  EXPECT_LE(report.tiles_visited, report.tiles_total);
  EXPECT_STRNE(report.config, "");
  EXPECT_STRNE(report.why, "");
  for (size_t i = 0; i < report.rejected_count; ++i) EXPECT_STRNE(report.rejected[i], "");
  auto rates = sized<clattn_rates>();
  expect_success(clattn_engine_get_rates(engine_, &rates));
  EXPECT_GT(rates.flops_per_second, 0);
  EXPECT_GT(rates.bytes_per_second, 0);
  char* text = nullptr;
  expect_success(clattn_plan_explain(plan, nullptr, &text));
  const std::string without = take(text);
  EXPECT_NE(without.find(report.family), std::string::npos);
  expect_success(clattn_plan_explain(plan, &rates, &text));
  EXPECT_GT(take(text).size(), without.size());
  expect_invalid(clattn_plan_explain(plan, nullptr, nullptr), "text is null");
  report.struct_size = 0;
  expect_invalid(clattn_plan_get_report(plan, &report), "clattn_plan_report");
  expect_invalid(clattn_plan_get_report(plan, nullptr), "report is null");
  expect_invalid(clattn_plan_get_problem(plan, nullptr), "problem is null");
  clattn_plan_release(plan);
  clattn_mask_release(problem.mask);
}

TEST_F(CApiDevice, TwoThreadsShareOnePlan) {
  clattn_problem problem = make_problem();
  clattn_plan* plan = make_plan(problem);
  constexpr int kLaunches = 20;
  std::vector<Data> data;
  for (unsigned i = 0; i < 2 * kLaunches; ++i) data.push_back(make_data(problem, i));
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 2; ++thread) {
    threads.emplace_back([&, thread] {
      cl_command_queue queue = clCreateCommandQueue(context_, device_.id, 0, nullptr);
      for (int i = 0; i < kLaunches; ++i) {
        const clattn_tensors& tensors = data[thread * kLaunches + i].tensors;
        expect_success(clattn_plan_enqueue(plan, queue, &tensors, 0, nullptr, nullptr));
      }
      clFinish(queue);
      clReleaseCommandQueue(queue);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Data& one : data) expect_correct(problem, one, queue_);
  clattn_plan_release(plan);
}

// What an engine logged, and a cache folder of the test's own.
struct Log {
  std::mutex mutex;
  std::vector<std::string> warnings;
};

void write_log(clattn_log_level level, const char* message, void* user) {
  auto* log = static_cast<Log*>(user);
  const std::lock_guard lock(log->mutex);
  if (level == CLATTN_LOG_LEVEL_WARNING) log->warnings.push_back(message);
}

TEST_F(CApiDevice, SpoiltCacheFilesAreRebuiltSilently) {
  const fs::path folder = temporary("clattn_c_api_cache");
  fs::remove_all(folder);
  const std::string cache_dir = folder.string();
  Log log;
  options_.cache_dir = cache_dir.c_str();
  options_.log = write_log;
  options_.log_user = &log;
  const clattn_problem problem = make_problem();
  const std::vector<std::string> spoils = {"keep", "foreign", "truncate", "corrupt", "empty"};
  for (const std::string& spoil : spoils) {
    SCOPED_TRACE(spoil);
    if (fs::exists(folder)) {
      for (const auto& entry : fs::recursive_directory_iterator(folder)) {
        if (!entry.is_regular_file()) continue;
        const auto size = fs::file_size(entry);
        if (spoil == "foreign") std::ofstream(entry.path()) << "somebody else's file";
        if (spoil == "truncate") fs::resize_file(entry.path(), size / 2);
        if (spoil == "empty") fs::resize_file(entry.path(), 0);
        if (spoil == "corrupt") {
          std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
          file.seekp(static_cast<std::streamoff>(size - size / 4));
          file << "spoilt";
        }
      }
    }
    clattn_engine* engine = nullptr;
    expect_success(clattn_engine_create_from_context(context_, device_.id, &options_, &engine));
    clattn_plan* plan = nullptr;
    expect_success(clattn_plan_create(engine, &problem, nullptr, &plan));
    const Data data = make_data(problem, 5);
    expect_success(clattn_plan_enqueue(plan, queue_, &data.tensors, 0, nullptr, nullptr));
    expect_correct(problem, data, queue_);
    clattn_plan_release(plan);
    clattn_engine_release(engine);
    EXPECT_TRUE(fs::exists(folder) && !fs::is_empty(folder)) << "nothing was cached";
  }
  EXPECT_TRUE(log.warnings.empty()) << log.warnings.front();
  fs::remove_all(folder);
}

TEST_F(CApiDevice, UnusableCacheFolderIsLoggedOnce) {
  const fs::path file = temporary("clattn_c_api_not_a_folder");
  std::ofstream(file) << "a file";
  const std::string cache_dir = (file / "cache").string();
  Log log;
  options_.cache_dir = cache_dir.c_str();
  options_.log = write_log;
  options_.log_user = &log;
  clattn_engine* engine = nullptr;
  expect_success(clattn_engine_create_from_context(context_, device_.id, &options_, &engine));
  for (int64_t dim : {64, 32}) {  // two programs
    clattn_problem problem = make_problem();
    problem.head_dim = dim;
    clattn_plan* plan = nullptr;
    expect_success(clattn_plan_create(engine, &problem, nullptr, &plan));
    clattn_plan_release(plan);
  }
  clattn_engine_release(engine);
  EXPECT_EQ(log.warnings.size(), 1u);
  fs::remove(file);
}

TEST_F(CApiDevice, TraceHoldsEveryLaunch) {
  expect_invalid(clattn_engine_write_trace(engine_, "trace.json"), "trace");
  options_.trace = 1;
  clattn_engine* engine = nullptr;
  expect_success(clattn_engine_create_from_context(context_, device_.id, &options_, &engine));
  const clattn_problem problem = make_problem();
  clattn_plan* plan = nullptr;
  expect_success(clattn_plan_create(engine, &problem, nullptr, &plan));
  const Data data = make_data(problem, 9);
  for (int i = 0; i < 3; ++i) {
    expect_success(clattn_plan_enqueue(plan, queue_, &data.tensors, 0, nullptr, nullptr));
  }
  const std::string path = temporary("clattn_c_api_trace.json").string();
  expect_success(clattn_engine_write_trace(engine, path.c_str()));
  std::ifstream file(path);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  int launches = 0;
  for (size_t at = text.find("running"); at != std::string::npos;
       at = text.find("running", at + 1)) {
    ++launches;
  }
  EXPECT_GE(launches, 3);
  EXPECT_NE(text.find("traceEvents"), std::string::npos);
  EXPECT_NE(text.find("flops"), std::string::npos);
  fs::remove(path);
  expect_invalid(clattn_engine_write_trace(engine, "/no/such/folder/trace.json"),
                 "/no/such/folder/trace.json");
  clattn_plan_release(plan);
  clattn_engine_release(engine);
}

}  // namespace
