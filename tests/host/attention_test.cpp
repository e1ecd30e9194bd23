// Every kernel family on every device against the CPU reference. Each combination of dimensions,
// storage and kind of mask is one more program to compile, so the cases share few of them and vary
// what needs no compiler: lengths, heads, strides.
#include <numeric>
#include <set>

#include "tests/host/attention_runner.hpp"

namespace clattn {
namespace {

using namespace test;

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
          EngineAccess::with_facts(test::make_engine(device), [&](DeviceFacts& facts) {
            facts.max_work_group_size = work_group;
            facts.local_memory_bytes = local_memory;
          });
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

std::vector<float> random_floats(Random& random, std::int64_t count) {
  std::normal_distribution<float> normal;
  std::vector<float> floats(static_cast<std::size_t>(count));
  for (float& value : floats) value = normal(random);
  return floats;
}

// Each modifier alone, all of them in two orders; those with sinks, too.
TEST(Attention, ScoreModifiersAndSinkLogits) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  on_every_target([](const AttentionRunner& runner, Random& random) {
    Problem problem = make_problem(70, 131, causal_mask());
    problem.batch = 2;
    problem.heads = 4;
    problem.kv_heads = 2;
    const auto bias = std::make_shared<Buffer>(
        Buffer{"bias", ElementType::f16, 4 * 70 * 131,
               test::random_elements(random, DataType::f16, 4 * 70 * 131)});
    const std::vector<Score> all = {
        softcap_score(2.0f), alibi_score(random_floats(random, 8), 2),
        bias_score(bias, {1, 4, 70, 131}),
        relative_position_score(random_floats(random, 4 * 21), 10),
        expression_score({"score * factor + 0.01f * (query % 3)", {}, {{"factor", 0.5f}}})};
    std::vector<std::vector<Score>> lists = {{}, all, {all.rbegin(), all.rend()}};
    for (const Score& score : all) lists.push_back({score});
    for (const auto& scores : lists) {
      problem.scores = scores;
      problem.sink_logits.clear();
      if (scores.size() != 1) problem.sink_logits = {-1.0f, 0.0f, 3.5f, 80.0f};
      runner.check({problem}, random);
    }
    // Nothing is visible: the sink alone is left.
    problem.scores.clear();
    problem.sink_logits = {-1.0f, 0.0f, 3.5f, 80.0f};
    problem.mask = not_mask(dense_mask());
    const Result result = runner.check({problem}, random);
    EXPECT_FLOAT_EQ(result.lse[70], 0.0f);
    EXPECT_FLOAT_EQ(result.lse[2 * 70], 3.5f);
  });
}

// A bias by the distance on a grid counts tokens where they are in the grid, however the kernels
// come to them. Extra keys have none.
TEST(Attention, GridPositionWithinANeighborhood) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  Random random = test::make_random();
  const Neighborhood image = {{9, 13}, {5, 4}, {}, {1, 2}, {}, 5};
  Problem problem = make_problem(image.tokens(), image.tokens() + 5, neighborhood_mask(image));
  problem.heads = 2;
  problem.scores = {grid_position_score(random_floats(random, 2 * 5 * 9), image.grid, {2, 4})};
  Problem ordered = problem;
  ordered.token_order = TokenOrder{image.grid, {3, 4}, image.dilation};
  for (const Target& target : test::targets()) {
    SCOPED_TRACE(target.label);
    const Engine engine = test::make_engine(target.device_index);
    const AttentionRunner runner(engine, target.family);
    for (TokenAccess tokens :
         {TokenAccess::in_place, TokenAccess::gathered, TokenAccess::permuted}) {
      SCOPED_TRACE(to_string(tokens));
      runner.check({problem}, random, engine.plan(runner.taken(problem), {target.family, tokens}));
    }
    SCOPED_TRACE("in an order of tiles");
    runner.check({ordered}, random);
  }
}

// On a device that runs many work-groups at once, few rows are split and merged.
TEST(Attention, SplitRowsAreMerged) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  Random random = test::make_random();
  for (const Target& target : test::targets()) {
    SCOPED_TRACE(target.label);
    const Engine engine =
        EngineAccess::with_facts(test::make_engine(target.device_index),
                                 [](DeviceFacts& facts) { facts.compute_units = 64; });
    const AttentionRunner runner(engine, target.family);
    for (std::int64_t query_len : {1, 50, 200}) {
      for (const Mask& mask : {dense_mask(), window_mask(700, 3), causal_mask()}) {
        Problem problem = make_problem(query_len, 1500, mask);
        problem.heads = 2;
        EXPECT_GT(runner.check({problem}, random).report.parts, 2);
        problem.sink_logits = {0.5f, 7.0f};
        problem.data_type = DataType::f16;
        EXPECT_GT(runner.check({problem}, random).report.parts, 2);
      }
    }
    // Parts and whole rows in the tables of two heads that differ, and rows that see nothing.
    Problem problem = make_problem(300, 1000);
    problem.batch = 2;
    problem.heads = 2;
    problem.mask =
        per_head_mask({prefix_mask(900), all_of_mask({causal_mask(), window_mask(3, 0)})});
    EXPECT_GT(runner.check({problem}, random).report.parts, 2);

    // Boxes of a grid, where rows of a part are not those of the tensors.
    const Neighborhood image = {{16, 40}, {15, 30}, {}, {}, {}, 0};
    problem = make_problem(640, 640, neighborhood_mask(image));
    for (TokenAccess tokens : {TokenAccess::gathered, TokenAccess::permuted}) {
      const Plan plan = engine.plan(runner.taken(problem), {target.family, tokens});
      EXPECT_GT(runner.check({problem}, random, plan).report.parts, 2) << to_string(tokens);
    }
  }
}

// Launches of a plan that permutes into copies of its own, on two queues, do not meet.
TEST(Attention, LaunchesShareCopiesOneBehindAnother) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  Random random = test::make_random();
  const Neighborhood image = {{24, 30}, {7, 5}, {}, {}, {}, 0};
  const Problem problem = make_problem(720, 720, neighborhood_mask(image));
  for (const Target& target : test::targets()) {
    SCOPED_TRACE(target.label);
    const Engine engine = test::make_engine(target.device_index);
    if (!engine.supports(problem, {target.family}).supported) continue;  // not f32's
    const Plan plan = engine.plan(problem, {target.family, TokenAccess::permuted});
    constexpr int kLaunches = 6;
    const Queue queues[] = {make_queue(engine), make_queue(engine)};
    std::vector<Memory> memory;
    std::vector<Tensors> launches;
    const auto upload = [&](std::size_t count) {
      const std::vector<float> values = random_floats(random, static_cast<std::int64_t>(count));
      memory.push_back(make_buffer(engine.context(), 4 * count, values.data()));
      return TensorView{memory.back().get(), 0};
    };
    for (int i = 0; i < kLaunches; ++i) {
      launches.push_back(
          {upload(720 * 24), upload(720 * 24), upload(720 * 8), upload(720 * 8), upload(720)});
    }
    const auto results = [&] {
      std::vector<std::vector<float>> outputs;
      for (const Tensors& tensors : launches) {
        outputs.push_back(read_buffer<float>(queues[0].get(), tensors.output.buffer, 720 * 8));
        outputs.push_back(read_buffer<float>(queues[0].get(), tensors.lse.buffer, 720));
      }
      return outputs;
    };
    const auto finish = [&] {
      for (const Queue& queue : queues) EXPECT_EQ(clFinish(queue.get()), CL_SUCCESS);
    };
    for (const Tensors& tensors : launches) {
      plan.enqueue(queues[0].get(), tensors);
      finish();
    }
    const auto alone = results();
    for (const Tensors& tensors : launches) {
      for (const TensorView& view : {tensors.output, tensors.lse}) {
        const float poison = std::nanf("");
        EXPECT_EQ(clEnqueueFillBuffer(queues[0].get(), view.buffer, &poison, sizeof poison, 0,
                                      4 * 720, 0, nullptr, nullptr),
                  CL_SUCCESS);
      }
    }
    finish();
    for (int i = 0; i < kLaunches; ++i) {
      const cl_command_queue queue = queues[i % 2].get();
      plan.enqueue(queue, launches[static_cast<std::size_t>(i)]);
      EXPECT_EQ(clFlush(queue), CL_SUCCESS);
    }
    finish();
    EXPECT_TRUE(results() == alone);
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
