// The trace: valid Chrome trace JSON with ordered times and right numbers, or an error and no file.
#include "runtime/trace.hpp"

#include <atomic>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/support.hpp"

namespace clattn {
namespace {

using nlohmann::json;
using test::expect_error;
using test::TemporaryFolder;

// An engine that traces, a plan and the tensors to run it on.
struct Traced {
  explicit Traced(std::size_t device_index) {
    EngineOptions options;
    options.trace = true;
    options.log = log.callback();
    engine.emplace(test::make_engine(device_index, options));
    problem.heads = 2;
    problem.kv_heads = 1;
    problem.query_len = 6;
    problem.key_len = 10;
    problem.head_dim = problem.value_dim = 8;
    problem.mask = causal_mask();
    plan.emplace(engine->plan(problem));
    const std::vector<char> zeros(4096);
    memory = test::make_buffer(engine->context(), zeros.size(), zeros.data());
  }
  Tensors tensors() const {
    return {{memory.get()}, {memory.get()}, {memory.get()}, {memory.get(), 512}, {}};
  }

  test::LogRecorder log;
  std::optional<Engine> engine;
  std::optional<Plan> plan;
  Problem problem;
  Memory memory;
};

template <typename Body>
void on_every_device(Body&& body) {
  for (std::size_t i = 0; i < test::devices().size(); ++i) {
    Traced traced(i);
    SCOPED_TRACE(traced.engine->device().facts.name);
    body(traced);
  }
}

TEST(Trace, HoldsEveryLaunchInOrder) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  on_every_device([](Traced& traced) {
    const Queue queue = test::make_queue(*traced.engine, CL_QUEUE_PROFILING_ENABLE);
    constexpr int kLaunches = 3;
    for (int i = 0; i < kLaunches; ++i) traced.plan->enqueue(queue.get(), traced.tensors());
    const TemporaryFolder folder;
    const std::string path = (folder.path() / "trace.json").string();
    traced.engine->write_trace(path);  // waits by itself
    EXPECT_TRUE(traced.log.warnings().empty());

    int running = 0, waiting = 0;
    const json trace = json::parse(test::read_file(path));
    for (const json& event : trace.at("traceEvents")) {
      EXPECT_GE(event.at("ts").get<double>(), 0);
      if (event.at("cat") == "waiting") {
        // A pair of one id, from queued to started.
        waiting += event.at("ph") == "b" ? 1 : -1;
        EXPECT_TRUE(event.at("ph") == "b" || event.at("ph") == "e");
        continue;
      }
      EXPECT_EQ(event.at("ph"), "X");
      EXPECT_GE(event.at("dur").get<double>(), 0);
      ++running;
      const json& arguments = event.at("args");
      const double queued = arguments.at("queued_us"), submitted = arguments.at("submitted_us");
      const double started = arguments.at("started_us"), ended = arguments.at("ended_us");
      EXPECT_LE(queued, submitted);
      EXPECT_LE(submitted, started);
      EXPECT_LE(started, ended);
      EXPECT_DOUBLE_EQ(event.at("ts"), started);
      EXPECT_NEAR(event.at("dur"), ended - started, 1e-2);
      // 6 queries see 5 to 10 of 10 keys; f32, each tensor once.
      EXPECT_EQ(arguments.at("flops"), 2 * (8 + 8) * (5 + 6 + 7 + 8 + 9 + 10) * 2);
      EXPECT_EQ(arguments.at("bytes"), 4 * 8 * (2 * 6 + 10 + 10 + 2 * 6));
      EXPECT_EQ(arguments.at("config"),
                traced.plan->report().family + " " + traced.plan->report().config);
    }
    EXPECT_EQ(running, kLaunches);
    EXPECT_EQ(waiting, 0);
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
  });
}

TEST(Trace, OfNothingIsStillATrace) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  on_every_device([](Traced& traced) {
    const TemporaryFolder folder;
    const std::string path = (folder.path() / "trace.json").string();
    test::write_file(path, "an older trace, to be replaced");
    traced.engine->write_trace(path);
    EXPECT_TRUE(json::parse(test::read_file(path)).at("traceEvents").empty());
  });
}

TEST(Trace, QueuesWithoutProfilingAreLeftOutAndSaidSoOnce) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  on_every_device([](Traced& traced) {
    const Queue queue = test::make_queue(*traced.engine);
    for (int i = 0; i < 3; ++i) traced.plan->enqueue(queue.get(), traced.tensors());
    EXPECT_EQ(clFinish(queue.get()), CL_SUCCESS);
    ASSERT_EQ(traced.log.warnings().size(), 1u);
    EXPECT_NE(traced.log.warnings()[0].find("CL_QUEUE_PROFILING_ENABLE"), std::string::npos);
    const TemporaryFolder folder;
    const std::string path = (folder.path() / "trace.json").string();
    traced.engine->write_trace(path);
    EXPECT_TRUE(json::parse(test::read_file(path)).at("traceEvents").empty());
  });
}

TEST(Trace, APathThatCannotBeWrittenIsAnErrorAndLeavesNothing) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  on_every_device([](Traced& traced) {
    const TemporaryFolder folder;
    test::write_file(folder.path() / "file", "");
    std::filesystem::create_directories(folder.path() / "folder" / "full");
    for (const char* name : {"missing/trace.json", "file/trace.json", "folder"}) {
      const std::string path = (folder.path() / name).string();
      expect_error(ErrorCategory::invalid_argument, {"trace", path},
                   [&] { traced.engine->write_trace(path); });
    }
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 2);
  });
}

TEST(Trace, NeedsTheOption) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  const Engine engine = test::make_engine(0);
  expect_error(ErrorCategory::invalid_argument, {"trace"},
               [&] { engine.write_trace("never.json"); });
}

// A thread that waits inside write_trace must not hold up the launches of others: what it waits for
// may come behind them.
TEST(Trace, WritingDoesNotBlockLaunches) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  on_every_device([](Traced& traced) {
    const Queue gated = test::make_queue(*traced.engine, CL_QUEUE_PROFILING_ENABLE);
    const Queue free = test::make_queue(*traced.engine, CL_QUEUE_PROFILING_ENABLE);
    const Event gate = Event::adopt(clCreateUserEvent(traced.engine->context(), nullptr));
    const cl_event wait = gate.get();
    traced.plan->enqueue(gated.get(), traced.tensors(), {&wait, 1});
    const TemporaryFolder folder;
    std::thread writer(
        [&] { traced.engine->write_trace((folder.path() / "trace.json").string()); });
    std::this_thread::sleep_for(std::chrono::milliseconds(100));  // until it waits
    std::atomic<bool> launched = false;
    std::thread launcher([&] {
      traced.plan->enqueue(free.get(), traced.tensors());
      launched = true;
    });
    for (int i = 0; i < 200 && !launched; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    EXPECT_TRUE(launched) << "enqueue waits for write_trace";
    clSetUserEventStatus(gate.get(), CL_COMPLETE);
    writer.join();
    launcher.join();
    clFinish(free.get());
  });
}

}  // namespace
}  // namespace clattn
