// The engine and its plans as an application uses them: its own context, queues, events and
// threads, and every refusal that comes before a launch.
#include <clattn/engine.hpp>
#include <cmath>
#include <thread>

#include "tests/support.hpp"

namespace clattn {
namespace {

using test::expect_error;

constexpr std::int64_t kDim = 8;

Problem make_problem(std::int64_t query_len = 20, std::int64_t key_len = 30) {
  Problem problem;
  problem.query_len = query_len;
  problem.key_len = key_len;
  problem.head_dim = problem.value_dim = kDim;
  problem.mask = causal_mask();
  problem.lse = true;
  return problem;
}

// Random inputs of a problem on a device, and the exact result.
struct Data {
  Data(const Engine& engine, const Problem& problem, std::uint64_t seed = 1) : problem(problem) {
    test::Random random(seed);
    const auto make = [&](Role role, std::vector<std::byte>& host) {
      host = test::random_elements(random, problem.data_type, tensor_shape(problem, role).span());
      return test::make_buffer(engine.context(), host.size(), host.data());
    };
    query = make(Role::query, host_query);
    key = make(Role::key, host_key);
    value = make(Role::value, host_value);
    const std::size_t rows = problem.batch * problem.heads * problem.query_len;
    count = rows * problem.value_dim;
    const std::vector<float> poison(count, std::nanf(""));
    output = test::make_buffer(engine.context(), count * sizeof(float), poison.data());
    lse = test::make_buffer(engine.context(), rows * sizeof(float));
  }
  Tensors tensors() const {
    return {{query.get()}, {key.get()}, {value.get()}, {output.get()}, {lse.get()}};
  }
  std::vector<float> result(cl_command_queue queue) const {
    return test::read_buffer<float>(queue, output.get(), count);
  }
  bool is_right(cl_command_queue queue) const {
    const ReferenceResult exact = reference_attention(problem, {host_query, host_key, host_value});
    const std::vector<float> actual = result(queue);
    for (std::size_t i = 0; i < count; ++i) {
      if (!(std::abs(actual[i] - exact.output[i]) < 1e-4)) return false;
    }
    return true;
  }

  Problem problem;
  std::vector<std::byte> host_query, host_key, host_value;
  Memory query, key, value, output, lse;
  std::size_t count = 0;
};

template <typename Body>
void on_every_device(Body&& body) {
  for (std::size_t i = 0; i < test::devices().size(); ++i) {
    const Engine engine = test::make_engine(i);
    SCOPED_TRACE(engine.device().facts.name);
    body(engine);
  }
}

cl_int status_of(const Event& event) {
  cl_int status = CL_QUEUED;
  EXPECT_EQ(clGetEventInfo(event.get(), CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof status, &status,
                           nullptr),
            CL_SUCCESS);
  return status;
}

Event user_event(const Engine& engine) {
  return Event::adopt(clCreateUserEvent(engine.context(), nullptr));
}

// Both kinds of queue; the second only where the device has it.
std::vector<Queue> queues_of(const Engine& engine) {
  std::vector<Queue> queues = {test::make_queue(engine)};
  cl_command_queue_properties properties = 0;
  clGetDeviceInfo(engine.device().id, CL_DEVICE_QUEUE_PROPERTIES, sizeof properties, &properties,
                  nullptr);
  if (properties & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE) {
    queues.push_back(test::make_queue(engine, CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE));
  }
  return queues;
}

// A closed gate holds the run back, the call returns nevertheless, and the event tells the end.
TEST(Enqueue, HonoursTheWaitListAndNeverWaits) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  on_every_device([](const Engine& engine) {
    const Problem problem = make_problem();
    const Plan plan = engine.plan(problem);
    for (const Queue& queue : queues_of(engine)) {
      const Data data(engine, problem);
      const Event gates[] = {user_event(engine), user_event(engine)};
      const cl_event waits[] = {gates[0].get(), gates[1].get()};
      const Event done = plan.enqueue(queue.get(), data.tensors(), waits);
      clFlush(queue.get());
      clSetUserEventStatus(waits[0], CL_COMPLETE);
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      EXPECT_NE(status_of(done), CL_COMPLETE) << "the second event was not waited for";
      EXPECT_EQ(status_of(gates[1]), CL_SUBMITTED);
      clSetUserEventStatus(waits[1], CL_COMPLETE);
      const cl_event wait = done.get();
      EXPECT_EQ(clWaitForEvents(1, &wait), CL_SUCCESS);
      EXPECT_EQ(status_of(done), CL_COMPLETE);
      EXPECT_TRUE(data.is_right(queue.get()));
    }
  });
}

TEST(Enqueue, ChainsThroughEventsOnAnyQueue) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  on_every_device([](const Engine& engine) {
    const Problem problem = make_problem();
    const Plan plan = engine.plan(problem);
    for (const Queue& queue : queues_of(engine)) {
      const Data data(engine, problem);
      std::vector<float> copied(data.count);
      const Event first = plan.enqueue(queue.get(), data.tensors());
      const cl_event wait = first.get();
      ASSERT_EQ(clEnqueueReadBuffer(queue.get(), data.output.get(), CL_TRUE, 0,
                                    data.count * sizeof(float), copied.data(), 1, &wait, nullptr),
                CL_SUCCESS);
      EXPECT_EQ(copied, data.result(queue.get()));
      EXPECT_TRUE(data.is_right(queue.get()));
    }
  });
}

TEST(Enqueue, WithoutQueriesStillGivesAnEventBehindItsWaitList) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  on_every_device([](const Engine& engine) {
    const Plan plan = engine.plan(make_problem(0, 4));
    const Queue queue = test::make_queue(engine);
    const Memory keys = test::make_buffer(engine.context(), 4 * kDim * sizeof(float));
    const Event gate = user_event(engine);
    const cl_event wait = gate.get();
    const Event done =
        plan.enqueue(queue.get(), {{}, {keys.get()}, {keys.get()}, {}, {}}, {&wait, 1});
    EXPECT_NE(status_of(done), CL_COMPLETE);
    clSetUserEventStatus(wait, CL_COMPLETE);
    const cl_event end = done.get();
    EXPECT_EQ(clWaitForEvents(1, &end), CL_SUCCESS);
  });
}

TEST(Enqueue, RefusesWhatIsOfAnotherContext) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  on_every_device([](const Engine& engine) {
    const Engine other({engine.device().facts.name, "", {}, false});
    const Problem problem = make_problem();
    const Plan plan = engine.plan(problem);
    const Data data(engine, problem), foreign(other, problem);
    const Queue queue = test::make_queue(engine), foreign_queue = test::make_queue(other);
    expect_error(ErrorCategory::invalid_argument, {"queue", "context"},
                 [&] { plan.enqueue(foreign_queue.get(), data.tensors()); });
    expect_error(ErrorCategory::invalid_argument, {"queue", "null"},
                 [&] { plan.enqueue(nullptr, data.tensors()); });
    const std::pair<const char*, TensorView Tensors::*> views[] = {{"query", &Tensors::query},
                                                                   {"key", &Tensors::key},
                                                                   {"value", &Tensors::value},
                                                                   {"output", &Tensors::output},
                                                                   {"lse", &Tensors::lse}};
    for (const auto& [name, view] : views) {
      Tensors tensors = data.tensors();
      tensors.*view = foreign.tensors().*view;
      expect_error(ErrorCategory::invalid_argument, {name, "context"},
                   [&] { plan.enqueue(queue.get(), tensors); });
      tensors.*view = {};
      expect_error(ErrorCategory::invalid_argument, {name, "null"},
                   [&] { plan.enqueue(queue.get(), tensors); });
    }
    for (float element : data.result(queue.get())) EXPECT_TRUE(std::isnan(element));
  });
}

TEST(Enqueue, RefusesBuffersThatAreTooSmallWithBothSizes) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  on_every_device([](const Engine& engine) {
    const Problem problem = make_problem(20, 30);
    const Plan plan = engine.plan(problem);
    const Data data(engine, problem);
    const Queue queue = test::make_queue(engine);
    const Memory small = test::make_buffer(engine.context(), 639);
    const Memory exact = test::make_buffer(engine.context(), 640);  // 20 queries of 8 floats
    Tensors tensors = data.tensors();
    tensors.output = {small.get()};
    expect_error(ErrorCategory::invalid_argument, {"output", "639", "640"},
                 [&] { plan.enqueue(queue.get(), tensors); });
    tensors.output = {exact.get()};
    EXPECT_NO_THROW(plan.enqueue(queue.get(), tensors));
    tensors.output = {exact.get(), 1};
    expect_error(ErrorCategory::invalid_argument, {"output", "640", "644"},
                 [&] { plan.enqueue(queue.get(), tensors); });
    tensors = data.tensors();
    tensors.lse.offset = 1;
    expect_error(ErrorCategory::invalid_argument, {"lse", "80", "84"},
                 [&] { plan.enqueue(queue.get(), tensors); });
    for (std::int64_t offset : {std::numeric_limits<std::int64_t>::max(), std::int64_t{1} << 62}) {
      tensors = data.tensors();
      tensors.key.offset = offset;
      expect_error(ErrorCategory::invalid_argument, {"key", "960"},
                   [&] { plan.enqueue(queue.get(), tensors); });
    }
    tensors = data.tensors();
    tensors.value.offset = -1;
    expect_error(ErrorCategory::invalid_argument, {"value", "-1"},
                 [&] { plan.enqueue(queue.get(), tensors); });
    clFinish(queue.get());
    for (float element : data.result(queue.get())) EXPECT_TRUE(std::isnan(element));
  });
}

TEST(Engine, RefusesAContextWithoutItsDevice) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  const std::vector<Device> devices = test::devices();
  const Engine engine = test::make_engine(0);
  expect_error(ErrorCategory::invalid_argument, {"context is null"},
               [&] { Engine(nullptr, devices[0].id); });
  expect_error(ErrorCategory::invalid_argument, {"device is null"},
               [&] { Engine(engine.context(), nullptr); });
  if (devices.size() > 1) {
    expect_error(ErrorCategory::invalid_argument, {"not one of"},
                 [&] { Engine(engine.context(), devices[1].id); });
  }
  expect_error(ErrorCategory::invalid_argument, {"no such thing", devices[0].facts.name}, [] {
    Engine({"no such thing", "", {}, false});
  });
}

TEST(Engine, SeveralInOneProcessDoNotMeet) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  on_every_device([](const Engine& first) {
    const Engine second = test::make_engine(0);
    const Problem problem = make_problem();
    const Data a(first, problem, 1), b(second, problem, 2);
    const Queue queue_a = test::make_queue(first), queue_b = test::make_queue(second);
    const Plan plan_a = first.plan(problem), plan_b = second.plan(problem);
    plan_a.enqueue(queue_a.get(), a.tensors());
    plan_b.enqueue(queue_b.get(), b.tensors());
    EXPECT_EQ(clFinish(queue_a.get()), CL_SUCCESS);
    EXPECT_EQ(clFinish(queue_b.get()), CL_SUCCESS);
    EXPECT_TRUE(a.is_right(queue_a.get()));
    EXPECT_TRUE(b.is_right(queue_b.get()));
  });
}

TEST(Engine, ManyThreadsPlanAndRun) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  on_every_device([](const Engine& engine) {
    const Plan shared = engine.plan(make_problem(20, 30));
    std::atomic<int> wrong = 0;
    std::vector<std::thread> threads;
    for (int t = 0; t < 8; ++t) {
      threads.emplace_back([&, t] {
        const Queue queue = test::make_queue(engine);
        for (int i = 0; i < 5; ++i) {
          // The one plan with other tensors, and a plan of its own.
          const Data mine(engine, shared.problem(), 10 * t + i);
          shared.enqueue(queue.get(), mine.tensors());
          const Problem problem = make_problem(20 + t, 40 + i);
          const Data other(engine, problem, 10 * t + i);
          engine.plan(problem).enqueue(queue.get(), other.tensors());
          clFinish(queue.get());
          wrong += !mine.is_right(queue.get()) + !other.is_right(queue.get());
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(wrong, 0);
  });
}

TEST(Plan, OutlivesItsEngine) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  for (std::size_t i = 0; i < test::devices().size(); ++i) {
    std::optional<Engine> engine = test::make_engine(i);
    const Problem problem = make_problem();
    const Plan plan = engine->plan(problem);
    const Data data(*engine, problem);
    const Queue queue = test::make_queue(*engine);
    engine.reset();
    plan.enqueue(queue.get(), data.tensors());
    clFinish(queue.get());
    EXPECT_TRUE(data.is_right(queue.get()));
    EXPECT_NE(plan.explain(), "");
  }
}

TEST(Plan, ReportAddsUp) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  on_every_device([](const Engine& engine) {
    Problem problem = make_problem(100, 150);
    problem.batch = 2;
    problem.heads = 4;
    problem.kv_heads = 2;
    const PlanReport report = engine.plan(problem).report();
    const std::int64_t query_tiles = (100 + report.query_tile - 1) / report.query_tile;
    const std::int64_t key_tiles = (150 + report.key_tile - 1) / report.key_tile;
    EXPECT_EQ(report.tiles_total, 8 * query_tiles * key_tiles);
    EXPECT_LE(report.tiles_masked, report.tiles_visited);
    EXPECT_LE(report.tiles_visited, report.tiles_total);
    EXPECT_EQ(report.visible_pairs, 8 * (100 * 101 / 2 + 100 * 50));
    EXPECT_TRUE(report.pairs_counted);
    EXPECT_EQ(report.flops, 2 * (kDim + kDim) * report.visible_pairs);
    EXPECT_EQ(report.bytes, 4 * kDim * 2 * (4 * 100 + 2 * 150 + 2 * 150 + 4 * 100) + 4 * 8 * 100);
    EXPECT_EQ(report.work_groups, query_tiles * 8);
    EXPECT_GE(report.work_group_size, 1);
    EXPECT_LE(report.work_group_size, engine.device().facts.max_work_group_size);
    EXPECT_LE(report.local_memory_bytes, engine.device().facts.local_memory_bytes);
    EXPECT_GT(report.device_memory_bytes, 0);
    EXPECT_LT(report.device_memory_bytes, 4096);
  });
}

TEST(Plan, ReportsNumbersBeyond64Bits) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  on_every_device([](const Engine& engine) {
    Problem problem = make_problem(1 << 20, 1 << 30);
    problem.mask = dense_mask();
    problem.batch = 1 << 10;
    problem.query_strides = problem.key_strides = problem.value_strides = Strides{0, 0, 8};
    const PlanReport report = engine.plan(problem).report();
    EXPECT_EQ(report.visible_pairs, std::ldexp(1.0, 60));
    EXPECT_EQ(report.flops, std::ldexp(32.0, 60));
  });
}

TEST(Plan, ExplainTellsTheChoiceTheRejectedAndTheBound) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  on_every_device([](const Engine& engine) {
    const Plan plan = engine.plan(make_problem());
    const PlanReport report = plan.report();
    const std::string words = plan.explain();
    EXPECT_EQ(report.rejected.size() + 1, family_names().size());
    for (const std::string& part : {report.family, report.config, report.rejected.at(0),
                                    engine.device().facts.name, std::string("causal")}) {
      EXPECT_NE(words.find(part), std::string::npos) << part << " is not in:\n" << words;
    }
    EXPECT_EQ(words.find("bound"), std::string::npos);
    EXPECT_NE(plan.explain(DeviceRates{1e12, 1e11}).find("bound"), std::string::npos);
  });
}

TEST(Engine, RatesArePositiveAndKept) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  on_every_device([](const Engine& engine) {
    const DeviceRates rates = engine.rates();
    EXPECT_GT(rates.flops_per_second, 1e8);
    EXPECT_LT(rates.flops_per_second, 1e16);
    EXPECT_GT(rates.bytes_per_second, 1e8);
    EXPECT_LT(rates.bytes_per_second, 1e15);
    EXPECT_EQ(engine.rates().flops_per_second, rates.flops_per_second);
  });
}

// A mask that no kernel can evaluate.
class Greedy final : public MaskNode {
 public:
  bool allows(const Point&, const Extent&) const override { return true; }
  std::string expression(ExpressionWriter& writer) const override {
    return writer.integer(std::int64_t{1} << 40);
  }
  Coverage classify(const Slice&, const Range&, const Range&, const Extent&) const override {
    return Coverage::all;
  }
  Range reach(const Slice&, const Range&, const Extent& extent) const override {
    return {0, extent.key_len};
  }
  std::string to_json() const override { return "{}"; }
};

TEST(Engine, SupportsAndPlanAgree) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  on_every_device([](const Engine& engine) {
    std::vector<std::pair<Problem, PlanOptions>> cases = {{make_problem(), {}},
                                                          {make_problem(0, 0), {}},
                                                          {make_problem(), {"cpu"}},
                                                          {make_problem(0, 5), {"portable"}},
                                                          {make_problem(), {"no family"}}};
    Problem bad = make_problem();
    bad.head_dim = 12;
    cases.push_back({bad, {}});
    bad = make_problem();
    bad.mask = std::make_shared<Greedy>();
    cases.push_back({bad, {}});
    for (const auto& [problem, options] : cases) {
      const Support support = engine.supports(problem, options);
      EXPECT_EQ(support.supported, support.reason.empty());
      bool planned = true;
      std::string why;
      try {
        engine.plan(problem, options);
      } catch (const Error& error) {
        planned = false;
        why = error.what();
      }
      EXPECT_EQ(support.supported, planned) << support.reason << " / " << why;
      if (!planned) {
        EXPECT_NE(why.find(support.reason), std::string::npos) << support.reason << " / " << why;
      }
    }
  });
}

// Neither an error nor a log line for a cache that can't be used; one warning, and results.
TEST(Engine, WorksWithoutItsCacheFolder) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  for (std::size_t i = 0; i < test::devices().size(); ++i) {
    test::LogRecorder log;
    EngineOptions options;
    options.cache_dir = "/proc/self/clattn";
    options.log = log.callback();
    const Engine engine = test::make_engine(i, options);
    Problem problem = make_problem();
    const Data data(engine, problem);
    const Queue queue = test::make_queue(engine);
    engine.plan(problem).enqueue(queue.get(), data.tensors());
    EXPECT_TRUE(data.is_right(queue.get()));
    problem.mask = dense_mask();
    engine.plan(problem);
    EXPECT_EQ(log.warnings().size(), 1u);
  }
}

}  // namespace
}  // namespace clattn
