// Attention over block lists that come at launch, in every kernel family on every device: lists
// that a builder made and lists brought by hand, against the reference with the same lists as a
// mask. Lists may be broken: then the rows of their blocks are NaN, and nothing else is touched.
#include <clattn/block_builder.hpp>

#include "tests/host/attention_runner.hpp"
#include "tests/host/block_support.hpp"

namespace clattn {
namespace {

using namespace test;

constexpr ErrorCategory kInvalid = ErrorCategory::invalid_argument;

// Lists in device memory; what is empty is not passed.
struct UploadedLists {
  UploadedLists(const Engine& engine, const BlockLists& lists,
                const std::vector<std::int32_t>& row_order = {}) {
    const auto upload = [&](const std::vector<std::int32_t>& array) -> cl_mem {
      if (array.empty()) return nullptr;
      memory.push_back(make_buffer(engine.context(), 4 * array.size(), array.data()));
      return memory.back().get();
    };
    buffers = {upload(lists.partial_count), upload(lists.partial_index), upload(lists.full_count),
               upload(lists.full_index),    upload(lists.key_lengths),   upload(row_order)};
  }
  std::vector<Memory> memory;
  BlockListBuffers buffers;
};

Problem listed_problem(const Extent& extent, const BlockShape& shape, const Mask& mask,
                       std::int64_t batch = 1, std::int64_t heads = 1, std::int64_t kv_heads = 1) {
  Problem problem = make_problem(extent.query_len, extent.key_len, mask);
  problem.batch = batch;
  problem.heads = heads;
  problem.kv_heads = kv_heads;
  problem.blocks = shape;
  return problem;
}

// The problem whose mask says what the lists say.
Problem expected_of(const Problem& problem, const BlockLists& lists) {
  Problem expected = problem;
  expected.mask = block_lists_mask(lists, problem.extent(), problem.mask);
  expected.blocks.reset();
  return expected;
}

template <typename Body>
void on_every_listed_target(Body&& body) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  Random random = make_random();
  for (const Target& target : targets()) {
    SCOPED_TRACE(target.label);
    const Engine engine = make_engine(target.device_index);
    body(engine, AttentionRunner(engine, target.family), random);
  }
}

std::vector<std::int32_t> shuffled_rows(Random& random, std::int64_t rows) {
  std::vector<std::int32_t> order(static_cast<std::size_t>(rows));
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<std::int32_t>(i);
  std::shuffle(order.begin(), order.end(), random);
  return order;
}

// One random set of lists for a problem, checked, run and held to the reference.
Result check_random_lists(const Engine& engine, const AttentionRunner& runner, Random& random,
                          const Problem& problem, bool with_full, bool with_key_lengths) {
  const BlockShape& shape = *problem.blocks;
  const Extent extent = problem.extent();
  SCOPED_TRACE("blocks " + std::to_string(shape.query_block) + " x " +
               std::to_string(shape.key_block) + ", batch " + std::to_string(shape.batch) +
               ", heads " + std::to_string(shape.heads));
  const BlockLists lists = random_lists(random, shape, extent, with_full, with_key_lengths);
  const std::int64_t rows = shape.batch * shape.heads * shape.query_blocks(extent);
  const bool ordered = uniform(random, 0, 1);
  const UploadedLists uploaded(engine, lists,
                               ordered ? shuffled_rows(random, rows) : std::vector<std::int32_t>());
  const Queue queue = make_queue(engine);
  EXPECT_NO_THROW(check_block_lists(queue.get(), problem, uploaded.buffers));
  Case test_case{problem};
  test_case.bind = [&](Tensors& tensors) { tensors.blocks = uploaded.buffers; };
  test_case.expected = expected_of(problem, lists);
  return runner.check(test_case, random);
}

// Blocks smaller than the kernels' tiles, equal, larger, of one token, and ragged at the end.
TEST(Listed, BlocksOfAllSizes) {
  on_every_listed_target([](const Engine& engine, const AttentionRunner& runner, Random& random) {
    const PlanReport tile = runner.report(listed_problem({1000, 1000}, {128, 128}, causal_mask()));
    const std::int64_t query_sizes[] = {
        1, 7, tile.query_tile - 1, tile.query_tile, tile.query_tile + 1, 2 * tile.query_tile};
    const std::int64_t key_sizes[] = {
        1, 5, tile.key_tile - 1, tile.key_tile, tile.key_tile + 1, 3 * tile.key_tile};
    int i = 0;
    for (std::int64_t query_block : query_sizes) {
      for (std::int64_t key_block : key_sizes) {
        const Extent extent{query_block * uniform(random, 1, 3) + uniform(random, 0, 30),
                            key_block * uniform(random, 1, 5) + uniform(random, 0, 30)};
        check_random_lists(engine, runner, random,
                           listed_problem(extent, {query_block, key_block}, causal_mask()),
                           i % 3 != 0, i % 4 == 1);
        ++i;
      }
    }
  });
}

TEST(Listed, BatchesAndHeadsShareListsOrHaveTheirOwn) {
  on_every_listed_target([](const Engine& engine, const AttentionRunner& runner, Random& random) {
    for (std::int64_t batch : {1, 2}) {
      for (std::int64_t heads : {1, 4}) {
        for (std::int64_t kv_heads : {1, 2, 4}) {
          for (const bool with_key_lengths : {false, true}) {
            const BlockShape shape{16, 24, batch, heads, 0};
            check_random_lists(engine, runner, random,
                               listed_problem({70, 131}, shape, causal_mask(), 2, 4, kv_heads),
                               true, with_key_lengths);
          }
        }
      }
    }
    // The mask may vary though the lists do not.
    Problem problem = listed_problem({70, 131}, {16, 24}, causal_mask(), 2, 4, 2);
    problem.mask = per_head_mask({causal_mask(), window_mask(9, 9), dense_mask(), prefix_mask(30)});
    check_random_lists(engine, runner, random, problem, true, false);
  });
}

TEST(Listed, ScoreModifiersAndSinkLogits) {
  on_every_listed_target([](const Engine& engine, const AttentionRunner& runner, Random& random) {
    Problem problem = listed_problem({70, 131}, {16, 24, 1, 2}, causal_mask(), 1, 2, 1);
    problem.scores = {alibi_score(alibi_slopes(2)), softcap_score(3.0f)};
    problem.sink_logits = {0.5f, -1.0f};
    check_random_lists(engine, runner, random, problem, true, false);
  });
}

TEST(Listed, EmptyRowsAndLengths) {
  on_every_listed_target([](const Engine& engine, const AttentionRunner& runner, Random& random) {
    for (const Extent& extent : {Extent{0, 40}, Extent{40, 0}, Extent{40, 40}}) {
      const Problem problem = listed_problem(extent, {16, 16}, causal_mask());
      BlockLists lists;
      lists.shape = *problem.blocks;
      lists.partial_count.resize(lists.shape.query_blocks(extent));
      lists.partial_index.resize(lists.partial_count.size() * lists.shape.key_blocks(extent));
      const UploadedLists uploaded(engine, lists);
      Case test_case{problem};
      test_case.bind = [&](Tensors& tensors) { tensors.blocks = uploaded.buffers; };
      test_case.expected = expected_of(problem, lists);
      const Result result = runner.check(test_case, random);
      if (extent.query_len > 0) {
        EXPECT_EQ(result.lse[0], -std::numeric_limits<float>::infinity());
      }
    }
  });
}

// On a device that runs many work-groups at once, few rows are split into parts of their lists.
TEST(Listed, SplitRowsAreMerged) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  Random random = make_random();
  for (const Target& target : targets()) {
    SCOPED_TRACE(target.label);
    const Engine engine = EngineAccess::with_facts(
        make_engine(target.device_index), [](DeviceFacts& facts) { facts.compute_units = 1024; });
    const AttentionRunner runner(engine, target.family);
    for (std::int64_t query_block : {1, 40, 150}) {
      for (std::int64_t heads : {1, 2}) {
        Problem problem = listed_problem({query_block + query_block / 2, 900},
                                         {query_block, 50, 1, heads}, causal_mask(), 1, 2, 1);
        EXPECT_GT(check_random_lists(engine, runner, random, problem, true, false).report.parts, 2);
        problem.sink_logits = {0.5f, 7.0f};
        EXPECT_GT(
            check_random_lists(engine, runner, random, problem, heads == 1, true).report.parts, 2);
      }
    }
  }
}

// One plan, two builders' worth of lists: nothing is planned again between the launches.
TEST(Listed, BuildersListsMayChangeBetweenLaunches) {
  on_every_listed_target([](const Engine& engine, const AttentionRunner& runner, Random& random) {
    const Queue queue = make_queue(engine);
    const BlockShape shape{16, 24, 1, 4, 0};
    const Problem problem = listed_problem({70, 131}, shape, causal_mask(), 2, 4, 2);
    BlockBuilder builder(engine, problem);
    Case test_case{problem};
    test_case.bind = [&](Tensors& tensors) { tensors.blocks = builder.lists(); };

    builder.build(queue.get());
    Problem whole = problem;
    whole.blocks.reset();
    test_case.expected = whole;
    clFinish(queue.get());
    runner.check(test_case, random);

    const Plan plan = engine.plan(runner.taken(problem), {runner.family()});
    const std::int64_t blocks = 4 * 5 * 6;
    for (int repeat = 0; repeat < 3; ++repeat) {
      std::vector<std::uint8_t> kept(blocks);
      for (std::uint8_t& block : kept) block = uniform(random, 0, 2) == 0;
      const Memory memory = make_buffer(engine.context(), kept.size(), kept.data());
      BlockSelection selection;
      selection.buffer = memory.get();
      builder.build(queue.get(), selection);
      clFinish(queue.get());
      whole.mask = all_of_mask({blocks_mask(shape, 5, 6, kept), causal_mask()});
      test_case.expected = whole;
      runner.check(test_case, random, plan);
      EXPECT_NO_THROW(check_block_lists(queue.get(), problem, builder.lists()));
    }
  });
}

// A row of lists that cannot be is NaN, whichever way it is broken; the others are as they were,
// and nothing beside the output is written.
TEST(Listed, BrokenListsMakeTheirRowsNan) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  Random random = make_random();
  constexpr std::int32_t kLargest = std::numeric_limits<std::int32_t>::max();
  constexpr std::int32_t kSmallest = std::numeric_limits<std::int32_t>::min();
  struct Offence {
    bool count;
    bool full;
    std::int32_t value;
  };
  const Offence offences[] = {
      {true, false, 7},       {true, false, -1},        {true, true, 1000},
      {true, true, kLargest}, {true, false, kLargest},  {true, true, kSmallest},
      {false, false, 6},      {false, false, -1},       {false, true, kLargest},
      {false, true, 6},       {false, false, kSmallest}};
  for (const Target& target : targets()) {
    for (const std::int64_t compute_units : {1, 1024}) {  // whole rows and split ones
      SCOPED_TRACE(target.label + ", compute units " + std::to_string(compute_units));
      const Engine engine = EngineAccess::with_facts(
          make_engine(target.device_index),
          [&](DeviceFacts& facts) { facts.compute_units = compute_units; });
      const AttentionRunner runner(engine, target.family);
      const Queue queue = make_queue(engine);
      const BlockShape shape{16, 24, 1, 2, 0};  // 5 rows and 6 key blocks a head
      const Problem problem = listed_problem({70, 131}, shape, causal_mask(), 1, 2, 1);
      for (const Offence& offence : offences) {
        SCOPED_TRACE(std::string(offence.full ? "full_" : "partial_") +
                     (offence.count ? "count " : "index ") + std::to_string(offence.value));
        BlockLists lists = make_block_lists(*causal_mask(), shape, problem.extent());
        Case test_case{problem};
        test_case.expected = expected_of(problem, lists);
        constexpr std::int64_t kRow = 7;  // of head 1
        auto& counts = offence.full ? lists.full_count : lists.partial_count;
        auto& indices = offence.full ? lists.full_index : lists.partial_index;
        ASSERT_GE(counts[kRow], 1);
        const std::string name =
            std::string(offence.full ? "full" : "partial") + (offence.count ? "_count" : "_index");
        (offence.count ? counts[kRow] : indices[kRow * 6 + counts[kRow] - 1]) = offence.value;
        const UploadedLists uploaded(engine, lists);
        expect_error(kInvalid, {name, "head 1, row 2", std::to_string(offence.value)},
                     [&] { check_block_lists(queue.get(), problem, uploaded.buffers); });
        test_case.bind = [&](Tensors& tensors) { tensors.blocks = uploaded.buffers; };
        test_case.edit_expected = [&](ReferenceResult& result) {
          for (std::int64_t query = 70 + 32; query < 70 + 48; ++query) {
            result.lse[query] = std::nan("");
            std::fill_n(result.output.begin() + query * problem.value_dim, problem.value_dim,
                        std::nan(""));
          }
        };
        const Result result = runner.check(test_case, random);
        EXPECT_EQ(result.report.parts > 0, compute_units > 1);
      }
    }
  }
}

// Lengths outside of a block are cut to it, and rows past the last one to that: nothing is read
// beyond the tensors.
TEST(Listed, KeyLengthsBeyondTheBlockAreCut) {
  on_every_listed_target([](const Engine& engine, const AttentionRunner& runner, Random& random) {
    constexpr std::int32_t kLargest = std::numeric_limits<std::int32_t>::max();
    constexpr std::int32_t kSmallest = std::numeric_limits<std::int32_t>::min();
    const Problem problem = listed_problem({70, 131}, {16, 24}, causal_mask());
    BlockLists lists = make_block_lists(*causal_mask(), *problem.blocks, problem.extent());
    lists.key_lengths = {24, 0, 7, 24, 24, 11};
    Case test_case{problem};
    test_case.expected = expected_of(problem, lists);
    lists.key_lengths = {kLargest, kSmallest, 7, 25, kLargest, 11};
    const UploadedLists uploaded(engine, lists);
    test_case.bind = [&](Tensors& tensors) { tensors.blocks = uploaded.buffers; };
    runner.check(test_case, random);
  });
}

TEST(Listed, RefusesListsThatAreMissingOrSmall) {
  on_every_listed_target([](const Engine& engine, const AttentionRunner& runner, Random&) {
    const Queue queue = make_queue(engine);
    const Problem problem = listed_problem({70, 131}, {16, 24, 1, 2}, causal_mask(), 1, 2, 1);
    const Plan plan = engine.plan(runner.taken(problem), {runner.family()});
    const Memory tensor = make_buffer(engine.context(), 2 * 131 * 24 * 4);
    const Memory entries = make_buffer(engine.context(), 2 * 5 * 6 * 4);
    const Memory small = make_buffer(engine.context(), 2 * 5 * 4 - 1);
    const Engine other = make_engine(0);
    const Memory foreign = make_buffer(other.context(), 2 * 5 * 6 * 4);
    Tensors tensors;
    for (TensorView* view :
         {&tensors.query, &tensors.key, &tensors.value, &tensors.output, &tensors.lse}) {
      view->buffer = tensor.get();
    }
    cl_mem BlockListBuffers::*const members[] = {
        &BlockListBuffers::partial_count, &BlockListBuffers::partial_index,
        &BlockListBuffers::full_count,    &BlockListBuffers::full_index,
        &BlockListBuffers::key_lengths,   &BlockListBuffers::row_order};
    const char* const names[] = {"partial_count", "partial_index", "full_count",
                                 "full_index",    "key_lengths",   "row_order"};
    for (int i = 0; i < 6; ++i) {
      BlockListBuffers good;
      for (const auto member : members) good.*member = entries.get();
      const auto refuse = [&](cl_mem buffer, const char* part) {
        tensors.blocks = good;
        tensors.blocks.*members[i] = buffer;
        expect_error(kInvalid, {names[i], part}, [&] { plan.enqueue(queue.get(), tensors); });
      };
      if (i < 4) refuse(nullptr, "null");
      refuse(small.get(), "39");
      refuse(foreign.get(), "another OpenCL context");
    }
  });
}

}  // namespace
}  // namespace clattn
