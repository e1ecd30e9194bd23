// Every kernel family on every device against the CPU reference. Tensors lie inside larger buffers:
// inputs are surrounded by NaN, also in the gaps of their strides, so that a read beside an element
// shows in the result; outputs are poisoned with NaN, and every byte that is no output element must
// stay as it was. Each combination of dimensions, storage and kind of mask is one more program to
// compile, so the cases share few of them and vary what needs no compiler: lengths, heads, strides.
#include <clattn/engine.hpp>
#include <clattn/reference.hpp>
#include <cmath>
#include <functional>
#include <numeric>
#include <set>

#include "host/planning/plan_state.hpp"
#include "tests/support.hpp"

namespace clattn {

struct EngineAccess {
  // An engine that believes its device to give no more than this.
  static Engine limited(Engine engine, std::int64_t work_group, std::int64_t local_memory) {
    Device device = engine.device();
    device.facts.max_work_group_size = work_group;
    device.facts.local_memory_bytes = local_memory;
    engine.state_ = std::make_shared<Engine::State>(Context::retain(engine.context()), device,
                                                    EngineOptions{.cache_dir = ""});
    return engine;
  }
};

namespace {

using test::Random;
using test::Target;

constexpr std::byte kPoison{0xff};  // NaN in every storage type

// A tensor of a problem on the host: poison, `offset` elements in, the elements, and poison again.
struct HostTensor {
  HostTensor(const Problem& problem, Role role, std::int64_t offset)
      : type(problem.data_type), shape(tensor_shape(problem, role)), offset(offset) {
    bytes.assign((offset + shape.span() + 64) * size_of(type), kPoison);
  }
  std::int64_t index(std::int64_t b, std::int64_t h, std::int64_t t, std::int64_t d) const {
    return offset + b * shape.strides.batch + h * shape.strides.head + t * shape.strides.token + d;
  }
  // Calls `body(index)` for every element, in dense order.
  template <typename Body>
  void for_each(Body&& body) const {
    for (std::int64_t b = 0; b < shape.batch; ++b) {
      for (std::int64_t h = 0; h < shape.heads; ++h) {
        for (std::int64_t t = 0; t < shape.length; ++t) {
          for (std::int64_t d = 0; d < shape.dim; ++d) body(index(b, h, t, d));
        }
      }
    }
  }
  void fill(Random& random, double width) {
    std::normal_distribution<double> normal(0.0, width);
    for_each([&](std::int64_t i) { store_element(type, normal(random), bytes.data(), i); });
  }
  std::span<const std::byte> elements() const {
    return std::span(bytes).subspan(offset * size_of(type), shape.span() * size_of(type));
  }

  DataType type;
  TensorShape shape;
  std::int64_t offset;
  std::vector<std::byte> bytes;
};

struct Case {
  Problem problem;
  double width = 1.0;       // of the inputs' distribution
  std::int64_t offset = 0;  // of every tensor
  // Changes the inputs before the run.
  std::function<void(HostTensor& query, HostTensor& key, HostTensor& value)> edit = nullptr;
};

struct Result {
  std::vector<std::byte> output;  // the whole buffer
  std::vector<float> lse;
  PlanReport report;
};

class AttentionRunner {
 public:
  AttentionRunner(const Engine& engine, std::string family)
      : engine_(engine), family_(std::move(family)), queue_(test::make_queue(engine)) {}

  PlanReport report(const Problem& problem) const {
    return engine_.plan(problem, {family_}).report();
  }

  // Runs a case and holds it to the reference.
  Result check(const Case& test_case, Random& random) const {
    const Problem& problem = test_case.problem;
    SCOPED_TRACE(problem_to_json(problem));
    HostTensor query(problem, Role::query, test_case.offset);
    HostTensor key(problem, Role::key, test_case.offset);
    HostTensor value(problem, Role::value, test_case.offset);
    for (HostTensor* tensor : {&query, &key, &value}) tensor->fill(random, test_case.width);
    if (test_case.edit) test_case.edit(query, key, value);
    HostTensor output(problem, Role::output, test_case.offset);
    const std::size_t rows = problem.batch * problem.heads * problem.query_len;
    std::vector<float> lse(test_case.offset + rows + 16, std::nanf(""));

    Result result;
    const Plan plan = engine_.plan(problem, {family_});
    result.report = plan.report();
    EXPECT_EQ(result.report.family, family_);
    const auto upload = [&](const auto& host) {
      return test::make_buffer(engine_.context(), host.size() * sizeof(host[0]), host.data());
    };
    const Memory buffers[] = {upload(query.bytes), upload(key.bytes), upload(value.bytes),
                              upload(output.bytes), upload(lse)};
    Tensors tensors;
    TensorView* views[] = {&tensors.query, &tensors.key, &tensors.value, &tensors.output,
                           &tensors.lse};
    for (int i = 0; i < 5; ++i) *views[i] = {buffers[i].get(), test_case.offset};
    const Event done = plan.enqueue(queue_.get(), tensors);
    const cl_event wait = done.get();
    EXPECT_EQ(clWaitForEvents(1, &wait), CL_SUCCESS);
    result.output =
        test::read_buffer<std::byte>(queue_.get(), tensors.output.buffer, output.bytes.size());
    result.lse = test::read_buffer<float>(queue_.get(), tensors.lse.buffer, lse.size());

    // Inputs and everything beside the output's elements are as they were.
    EXPECT_TRUE(test::read_buffer<std::byte>(queue_.get(), tensors.query.buffer,
                                             query.bytes.size()) == query.bytes);
    EXPECT_TRUE(test::read_buffer<std::byte>(queue_.get(), tensors.key.buffer, key.bytes.size()) ==
                key.bytes);
    std::vector<double> actual;
    std::vector<std::byte> beside = result.output;
    output.for_each([&](std::int64_t i) {
      actual.push_back(load_element(problem.data_type, result.output.data(), i));
      std::fill_n(beside.begin() + i * size_of(problem.data_type), size_of(problem.data_type),
                  kPoison);
    });
    EXPECT_TRUE(beside == output.bytes) << "something beside the output was written";

    const HostTensors host = {query.elements(), key.elements(), value.elements()};
    const auto exact = reference_attention(problem, host);
    const auto plain = reference_attention(problem, host, ReferencePrecision::storage);
    double largest = 1.0;
    for (double element : exact.output) {
      if (std::isfinite(element)) largest = std::max(largest, std::abs(element));
    }
    expect_pass("output", compare(actual, exact.output, plain.output, 1e-5 * largest));
    const auto first = result.lse.begin() + test_case.offset;
    std::vector<float> beside_lse = result.lse;
    if (problem.lse) {
      expect_pass("LSE", compare(std::vector<double>(first, first + rows), exact.lse, plain.lse,
                                 2e-5 * test_case.width * test_case.width));
      std::fill_n(beside_lse.begin() + test_case.offset, rows, lse[0]);
    }
    EXPECT_EQ(std::memcmp(beside_lse.data(), lse.data(), lse.size() * sizeof(float)), 0)
        << "something beside the LSE was written";
    return result;
  }

 private:
  static void expect_pass(const char* name, const Comparison& comparison) {
    EXPECT_TRUE(comparison.pass) << name << " is off by " << comparison.max_error << ", limit "
                                 << comparison.limit << ", at " << comparison.worst << ": "
                                 << comparison.worst_actual << " instead of "
                                 << comparison.worst_expected << "; " << comparison.non_finite
                                 << " not finite";
  }

  Engine engine_;
  std::string family_;
  Queue queue_;
};

// The dimensions that most cases share: unequal, and no multiple of 16.
Problem make_problem(std::int64_t query_len, std::int64_t key_len,
                     const Mask& mask = dense_mask()) {
  Problem problem;
  problem.query_len = query_len;
  problem.key_len = key_len;
  problem.head_dim = 24;
  problem.value_dim = 8;
  problem.mask = mask;
  problem.lse = true;
  return problem;
}

template <typename Body>
void on_every_target(Body&& body) {
  Random random = test::make_random();
  for (const Target& target : test::targets()) {
    SCOPED_TRACE(target.label);
    body(AttentionRunner(test::make_engine(target.device_index), target.family), random);
  }
}

std::vector<Mask> some_masks() {
  return {dense_mask(), causal_mask(), causal_mask(CausalAlign::top_left), window_mask(5, 3),
          window_mask(100, 0)};
}

// The tile of the plan for long sequences; short ones may get a smaller one.
TEST(Attention, LengthsAroundTheTileEdges) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  on_every_target([](const AttentionRunner& runner, Random& random) {
    const PlanReport report = runner.report(make_problem(1000, 1000));
    for (std::int64_t query_edge : {report.query_tile, 2 * report.query_tile}) {
      for (std::int64_t key_edge : {report.key_tile, 2 * report.key_tile}) {
        for (int query_step : {-1, 0, 1}) {
          for (int key_step : {-1, 0, 1}) {
            for (const Mask& mask : {dense_mask(), causal_mask(), window_mask(5, 3)}) {
              runner.check({make_problem(query_edge + query_step, key_edge + key_step, mask)},
                           random);
            }
          }
        }
      }
    }
  });
}

TEST(Attention, ShortLengths) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  on_every_target([](const AttentionRunner& runner, Random& random) {
    for (std::int64_t query_len : {1, 7, 16}) {
      for (std::int64_t key_len : {1, 2, 9, 63, 64, 65, 150}) {
        for (const Mask& mask : some_masks()) {
          runner.check({make_problem(query_len, key_len, mask)}, random);
        }
      }
    }
  });
}

TEST(Attention, RandomMasksAndLengths) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  on_every_target([](const AttentionRunner& runner, Random& random) {
    for (int repeat = 0; repeat < 40; ++repeat) {
      const Extent extent{test::uniform(random, 40, 200), test::uniform(random, 1, 200)};
      runner.check(
          {make_problem(extent.query_len, extent.key_len, test::random_mask(random, extent))},
          random);
    }
  });
}

TEST(Attention, RowsWithoutAVisibleKey) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  on_every_target([](const AttentionRunner& runner, Random& random) {
    // Whole tiles and parts of one see nothing: more queries than keys, and keys out of the window.
    for (const Mask& mask : {causal_mask(), window_mask(3, 0), window_mask(0, 2)}) {
      const Result result = runner.check({make_problem(150, 13, mask)}, random);
      EXPECT_EQ(result.lse[0], -std::numeric_limits<float>::infinity());
    }
  });
}

TEST(Attention, NoKeysGiveZerosAndNoQueriesNothing) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  on_every_target([](const AttentionRunner& runner, Random& random) {
    for (const Mask& mask : some_masks()) {
      runner.check({make_problem(70, 0, mask)}, random);
      runner.check({make_problem(0, 70, mask)}, random);
      runner.check({make_problem(0, 0, mask)}, random);
    }
    Problem no_batch = make_problem(5, 5);
    no_batch.batch = 0;
    runner.check({no_batch}, random);
  });
}

TEST(Attention, GroupedAndMultiQueryHeads) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  on_every_target([](const AttentionRunner& runner, Random& random) {
    for (std::int64_t kv_heads : {1, 2, 6}) {
      Problem problem = make_problem(50, 70, causal_mask());
      problem.batch = 3;
      problem.heads = 6;
      problem.kv_heads = kv_heads;
      runner.check({problem}, random);
    }
  });
}

TEST(Attention, LayoutsStridesAndOffsets) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  on_every_target([](const AttentionRunner& runner, Random& random) {
    Problem problem = make_problem(50, 70, window_mask(20, 20));
    problem.batch = 2;
    problem.heads = 4;
    problem.kv_heads = 2;
    problem.layout = Layout::blhd;
    runner.check({problem}, random);
    runner.check({.problem = problem, .offset = 13}, random);

    // Odd strides with gaps everywhere, a batch that lies innermost, a broadcast head.
    problem.query_strides = {9001, 2111, 37};
    problem.key_strides = {24, 70 * 53, 53};
    problem.value_strides = {0, 0, 11};
    problem.output_strides = {5003, 1201, 9};
    runner.check({.problem = problem, .offset = 1}, random);
    problem.key_strides = problem.value_strides = Strides{0, 0, 0};  // one token for all
    runner.check({.problem = problem, .offset = 2}, random);
  });
}

TEST(Attention, Scales) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  on_every_target([](const AttentionRunner& runner, Random& random) {
    for (float scale : {0.0f, -0.5f, 1.0f, 1e-30f}) {
      for (const Mask& mask : {dense_mask(), causal_mask()}) {
        Problem problem = make_problem(50, 70, mask);
        problem.scale = scale;
        runner.check({problem}, random);
      }
    }
  });
}

TEST(Attention, LargeScores) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  on_every_target([](const AttentionRunner& runner, Random& random) {
    for (const Mask& mask : {dense_mask(), causal_mask()}) {
      runner.check({.problem = make_problem(50, 200, mask), .width = 8.0}, random);
    }
  });
}

TEST(Attention, WithoutLse) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  on_every_target([](const AttentionRunner& runner, Random& random) {
    Problem problem = make_problem(50, 70);
    problem.lse = false;
    runner.check({problem}, random);
  });
}

TEST(Attention, StorageTypesAndDimensions) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  struct Shape {
    DataType type;
    std::int64_t head_dim, value_dim;
  };
  on_every_target([](const AttentionRunner& runner, Random& random) {
    for (const Shape& shape : {Shape{DataType::f16, 24, 8}, {DataType::bf16, 136, 40}}) {
      Problem problem = make_problem(70, 130, causal_mask());
      problem.data_type = shape.type;
      problem.head_dim = shape.head_dim;
      problem.value_dim = shape.value_dim;
      problem.heads = 2;
      runner.check({problem}, random);
      problem.layout = Layout::blhd;
      runner.check({.problem = problem, .width = 4.0, .offset = 3}, random);
    }
  });
}

// A GPU may give less than the devices here do: other configurations then.
TEST(Attention, PortableOnSmallDevices) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  const std::pair<std::int64_t, std::int64_t> limits[] = {{1, 16 << 10},  {4, 16 << 10},
                                                          {16, 16 << 10}, {32, 16 << 10},
                                                          {64, 32 << 10}, {128, 48 << 10}};
  Random random = test::make_random();
  for (std::size_t device = 0; device < test::devices().size(); ++device) {
    std::set<std::string> configs;
    for (const auto& [work_group, local_memory] : limits) {
      const Engine engine =
          EngineAccess::limited(test::make_engine(device), work_group, local_memory);
      Problem problem = make_problem(67, 131, causal_mask());
      problem.head_dim = 136;
      problem.value_dim = 72;
      const PlanReport report = AttentionRunner(engine, "portable").check({problem}, random).report;
      EXPECT_LE(report.work_group_size, work_group);
      EXPECT_LE(report.local_memory_bytes, local_memory);
      configs.insert(report.config);
    }
    EXPECT_EQ(configs.size(), std::size(limits));
  }
}

TEST(Attention, RunsAreRepeatable) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  on_every_target([](const AttentionRunner& runner, Random&) {
    const Case test_case = {make_problem(150, 170, causal_mask())};
    Random first(7), second(7);
    const Result a = runner.check(test_case, first);
    const Result b = runner.check(test_case, second);
    EXPECT_TRUE(a.output == b.output);
    EXPECT_EQ(std::memcmp(a.lse.data(), b.lse.data(), a.lse.size() * sizeof(float)), 0);
  });
}

// Keys that a query doesn't see take no part in its row, whatever they hold: the reference says so.
void poison_from(HostTensor& tensor, std::int64_t first, double poison) {
  for (std::int64_t t = first; t < tensor.shape.length; ++t) {
    for (std::int64_t d = 0; d < tensor.shape.dim; ++d) {
      store_element(tensor.type, poison, tensor.bytes.data(), tensor.index(0, 0, t, d));
    }
  }
}

TEST(Attention, WhatHiddenKeysHoldDoesNotLeak) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  const double infinity = std::numeric_limits<double>::infinity();
  on_every_target([&](const AttentionRunner& runner, Random& random) {
    for (double poison : {std::nan(""), infinity, -infinity}) {
      // From key 60 on, in the middle of a tile, for queries before and after it.
      for (const Mask& mask : {causal_mask(), causal_mask(CausalAlign::top_left)}) {
        runner.check({.problem = make_problem(100, 100, mask),
                      .edit = [&](auto&, auto& key, auto&) { poison_from(key, 60, poison); }},
                     random);
      }
    }
  });
}

// A value is multiplied with its weight, 0 where it is hidden, so that what is not finite does
// reach hidden rows of a tile that is visited. Tiles that no query sees are never read at all.
TEST(Attention, WhatHiddenTilesHoldDoesNotLeak) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  on_every_target([&](const AttentionRunner& runner, Random& random) {
    const Mask mask = causal_mask(CausalAlign::top_left);
    const PlanReport report = runner.report(make_problem(1000, 1000, mask));
    const std::int64_t edge = std::lcm(report.query_tile, report.key_tile);
    runner.check({.problem = make_problem(edge, edge + report.key_tile, mask),
                  .edit =
                      [&](auto&, auto& key, auto& value) {
                        poison_from(key, edge, std::nan(""));
                        poison_from(value, edge, std::nan(""));
                      }},
                 random);
  });
}

// NaN in one query must fill its row and leave its neighbours in the tile alone.
TEST(Attention, ANanQuerySpoilsItsOwnRowOnly) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  on_every_target([](const AttentionRunner& runner, Random& random) {
    runner.check({.problem = make_problem(50, 70),
                  .edit =
                      [](auto& query, auto&, auto&) {
                        store_element(query.type, std::nan(""), query.bytes.data(),
                                      query.index(0, 0, 17, 3));
                      }},
                 random);
  });
}

}  // namespace
}  // namespace clattn
