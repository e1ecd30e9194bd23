// Block lists made on devices against those of the host, and selections against a literal
// transcription of what they mean. Each device also runs as a GPU would, with many work-items a
// row. Masks come from few templates, for each is a program to compile.
#include <clattn/block_builder.hpp>
#include <cmath>
#include <numeric>
#include <set>

#include "tests/host/attention_runner.hpp"
#include "tests/host/block_support.hpp"

namespace clattn {
namespace {

using namespace test;
using Kind = BlockSelection::Kind;

constexpr ErrorCategory kInvalid = ErrorCategory::invalid_argument;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// A mask of which the host promises nothing.
class Vague final : public MaskNode {
 public:
  explicit Vague(Mask mask) : mask_(std::move(mask)) {}
  bool allows(const Point& point, const Extent& extent) const override {
    return mask_->allows(point, extent);
  }
  std::string expression(ExpressionWriter& writer) const override {
    return mask_->expression(writer);
  }
  Coverage classify(const Slice&, const Range&, const Range&, const Extent&) const override {
    return Coverage::some;
  }
  Range reach(const Slice&, const Range&, const Extent& extent) const override {
    return {0, extent.key_len};
  }
  Variation variation() const override { return mask_->variation(); }
  std::string to_json() const override { return mask_->to_json(); }

 private:
  Mask mask_;
};

Problem problem_of(const Extent& extent, const BlockShape& shape, Mask mask) {
  Problem problem;
  problem.query_len = extent.query_len;
  problem.key_len = extent.key_len;
  problem.head_dim = problem.value_dim = 8;
  problem.mask = std::move(mask);
  problem.blocks = shape;
  return problem;
}

BlockLists read_lists(cl_command_queue queue, const BlockListBuffers& buffers,
                      const BlockShape& shape, std::int64_t rows, std::int64_t capacity) {
  BlockLists lists;
  lists.shape = shape;
  const auto read = [&](cl_mem buffer, std::int64_t count) {
    return count ? read_buffer<std::int32_t>(queue, buffer, count) : std::vector<std::int32_t>();
  };
  lists.partial_count = read(buffers.partial_count, rows);
  lists.partial_index = read(buffers.partial_index, rows * capacity);
  lists.full_count = read(buffers.full_count, rows);
  lists.full_index = read(buffers.full_index, rows * capacity);
  return lists;
}

// All but what stands past the counts.
void expect_equal(const BlockLists& actual, const BlockLists& expected, std::int64_t capacity) {
  ASSERT_EQ(actual.partial_count, expected.partial_count);
  ASSERT_EQ(actual.full_count, expected.full_count);
  for (std::size_t row = 0; row < expected.partial_count.size(); ++row) {
    ASSERT_EQ(row_of(actual.partial_count, actual.partial_index, row, capacity),
              row_of(expected.partial_count, expected.partial_index, row, capacity));
    ASSERT_EQ(row_of(actual.full_count, actual.full_index, row, capacity),
              row_of(expected.full_count, expected.full_index, row, capacity));
  }
}

// Everything that a builder filled, against the lists of the host.
void expect_built(const BlockBuilder& builder, cl_command_queue queue, const Extent& extent,
                  const BlockLists& expected) {
  const BlockShape& shape = expected.shape;
  const std::int64_t slices = shape.batch * shape.heads;
  const std::int64_t rows = slices * shape.query_blocks(extent);
  const std::int64_t capacity = shape.row_capacity(extent);
  expect_equal(builder.download(queue), expected, capacity);
  const BlockLists turned = transpose(expected, extent);
  expect_equal(read_lists(queue, builder.transposed(), turned.shape,
                          slices * shape.key_blocks(extent), shape.query_blocks(extent)),
               turned, shape.query_blocks(extent));
  if (rows == 0) return;
  const auto order = read_buffer<std::int32_t>(queue, builder.lists().row_order, rows);
  EXPECT_EQ(std::set<std::int32_t>(order.begin(), order.end()).size(), order.size());
  std::int32_t longest = std::numeric_limits<std::int32_t>::max();
  for (std::int32_t row : order) {
    ASSERT_TRUE(row >= 0 && row < rows) << row;
    const std::int32_t length = expected.partial_count[row] + expected.full_count[row];
    EXPECT_LE(length, longest);
    longest = length;
  }
}

TEST(BlockBuilder, ListsEqualThoseOfTheHost) {
  on_every_engine([](const Engine& engine, Random& random) {
    const Queue queue = make_queue(engine);
    const std::pair<std::int64_t, std::int64_t> sizes[] = {{1, 1}, {3, 5}, {16, 9}, {90, 70}};
    std::int64_t partial = 0, full = 0;
    for (int i = 0; i < 8; ++i) {
      const std::uint64_t shape_seed = random();
      const auto& [query_block, key_block] = sizes[i % 4];
      for (int repeat = 0; repeat < 4; ++repeat) {
        const Extent extent{uniform(random, 1, 20 * std::min<std::int64_t>(query_block, 10)),
                            uniform(random, 1, 20 * std::min<std::int64_t>(key_block, 10))};
        Random shape_random(shape_seed);
        Mask mask = MaskMaker(shape_random, random, 2, 3).any(extent, i % 3);
        const Variation variation = mask->variation();
        if (repeat % 2 == 0) mask = std::make_shared<Vague>(mask);
        const BlockShape shape{query_block, key_block, variation.batch ? 2 : uniform(random, 1, 2),
                               variation.head ? 3 : 1 + 2 * uniform(random, 0, 1), 0};
        Problem problem = problem_of(extent, shape, mask);
        problem.batch = 2;
        problem.heads = 3;
        SCOPED_TRACE(mask->to_json() + " over " + std::to_string(extent.query_len) + " x " +
                     std::to_string(extent.key_len));
        const BlockLists expected = make_block_lists(*mask, shape, extent);
        BlockBuilder builder(engine, problem);
        builder.build(queue.get());
        expect_built(builder, queue.get(), extent, expected);
        for (std::int32_t count : expected.partial_count) partial += count;
        for (std::int32_t count : expected.full_count) full += count;
      }
    }
    EXPECT_GT(partial, 500);
    EXPECT_GT(full, 500);
  });
}

TEST(BlockBuilder, NoTokensGiveNoBlocks) {
  on_every_engine([](const Engine& engine, Random&) {
    const Queue queue = make_queue(engine);
    for (const Extent& extent : {Extent{0, 5}, Extent{5, 0}, Extent{0, 0}}) {
      for (const Mask& mask : {dense_mask(), causal_mask()}) {
        BlockBuilder builder(engine, problem_of(extent, {2, 2, 1, 1, 0}, mask));
        builder.build(queue.get());
        expect_built(builder, queue.get(), extent,
                     make_block_lists(*mask, {2, 2, 1, 1, 0}, extent));
      }
    }
  });
}

// The blocks of one row that a selection keeps, as its comment says.
std::vector<bool> selected_on_host(const BlockSelection& selection,
                                   const std::vector<float>& scores) {
  std::vector<bool> kept(scores.size());
  std::vector<std::size_t> falling;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    if (!std::isnan(scores[i])) falling.push_back(i);
  }
  std::stable_sort(falling.begin(), falling.end(),
                   [&](std::size_t a, std::size_t b) { return scores[a] > scores[b]; });
  float total = 0;
  for (std::size_t i : falling) total += scores[i];
  float sum = 0;
  std::int64_t count = 0;
  for (std::size_t i : falling) {
    switch (selection.kind) {
      case Kind::nonzero:
        break;
      case Kind::threshold:
        kept[i] = scores[i] >= selection.threshold;
        break;
      case Kind::top_k:
        kept[i] = count++ < selection.count;
        break;
      case Kind::top_p: {
        const float before = sum;
        sum += scores[i];
        kept[i] = before < selection.share * total &&
                  (selection.keep_crossing || sum <= selection.share * total);
        break;
      }
    }
  }
  return kept;
}

TEST(BlockBuilder, SelectionsKeepWhatTheySay) {
  on_every_engine([](const Engine& engine, Random& random) {
    const Queue queue = make_queue(engine);
    const float any_scores[] = {-kInfinity, -2.5f, -1e-30f,   -0.0f,        0.0f,
                                1.0f,       1.5f,  kInfinity, std::nanf("")};
    // Sums of these are exact in any order.
    const float exact_scores[] = {0.0f, -0.0f, 0.25f, 0.5f, 1.0f, 7.0f, std::nanf("")};
    std::int64_t kept_blocks = 0, blocks = 0;
    for (std::int64_t columns : {1, 15, 16, 33, 200, 1500}) {
      const Extent extent{7, columns};
      const BlockShape shape{2, 1, 1, 2, 0};  // 4 rows a slice, the last one ragged
      constexpr std::int64_t kRows = 8;
      const Mask mask = columns == 33 ? causal_mask() : dense_mask();
      Problem problem = problem_of(extent, shape, mask);
      problem.heads = 2;
      BlockBuilder builder(engine, problem);
      const BlockLists all = make_block_lists(*mask, shape, extent);
      for (int repeat = 0; repeat < 24; ++repeat) {
        BlockSelection selection;
        selection.kind = static_cast<Kind>(repeat % 4);
        selection.threshold = any_scores[uniform(random, 0, 7)];
        selection.count = uniform(random, 0, 3) ? uniform(random, 0, columns + 1) : 1;
        selection.share = static_cast<float>(uniform(random, 0, 8)) / 8;
        selection.keep_crossing = repeat / 4 % 2 == 0;
        std::vector<float> scores(kRows * columns);
        const bool distinct = uniform(random, 0, 1);
        for (float& score : scores) {
          if (selection.kind == Kind::top_p) {
            score = exact_scores[uniform(random, 0, 6)];
          } else {
            score = distinct ? std::normal_distribution<float>()(random)
                             : any_scores[uniform(random, 0, 8)];
          }
        }
        if (repeat >= 20) std::fill_n(scores.begin(), columns, repeat % 2 ? 0.0f : 0.5f);
        std::vector<std::uint8_t> bytes(scores.size());
        for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(uniform(random, -1, 1));
        const bool nonzero = selection.kind == Kind::nonzero;
        const Memory buffer = nonzero
                                  ? make_buffer(engine.context(), bytes.size(), bytes.data())
                                  : make_buffer(engine.context(), 4 * scores.size(), scores.data());
        selection.buffer = buffer.get();
        SCOPED_TRACE(std::to_string(columns) + " columns, selection " + std::to_string(repeat % 4) +
                     ", repeat " + std::to_string(repeat));
        builder.build(queue.get(), selection);

        BlockLists expected = all;
        expected.partial_count.assign(kRows, 0);
        expected.full_count.assign(kRows, 0);
        for (std::int64_t row = 0; row < kRows; ++row) {
          std::vector<bool> kept(bytes.begin() + row * columns,
                                 bytes.begin() + (row + 1) * columns);
          if (!nonzero) {
            kept = selected_on_host(
                selection, {scores.begin() + row * columns, scores.begin() + (row + 1) * columns});
          }
          const auto keep = [&](const auto& counts, const auto& indices, auto& new_counts,
                                auto& new_indices) {
            for (std::int32_t column : row_of(counts, indices, row, columns)) {
              if (kept[column]) new_indices[row * columns + new_counts[row]++] = column;
            }
            kept_blocks += new_counts[row];
          };
          keep(all.partial_count, all.partial_index, expected.partial_count,
               expected.partial_index);
          keep(all.full_count, all.full_index, expected.full_count, expected.full_index);
        }
        blocks += kRows * columns;
        expect_built(builder, queue.get(), extent, expected);
      }
    }
    EXPECT_GT(kept_blocks, blocks / 4);
    EXPECT_LT(kept_blocks, blocks * 3 / 4);
  });
}

// A share of real scores: sums are rounded, so that only what they mean is asked.
TEST(BlockBuilder, SharesOfRealScoresAreReached) {
  on_every_engine([](const Engine& engine, Random& random) {
    const Queue queue = make_queue(engine);
    constexpr std::int64_t kColumns = 700;
    BlockBuilder builder(engine, problem_of({1, kColumns}, {1, 1, 1, 1, 0}, dense_mask()));
    for (float share : {0.1f, 0.5f, 0.9f, 0.999f, 1.0f}) {
      std::vector<float> scores(kColumns);
      for (float& score : scores) score = std::exp(std::normal_distribution<float>(0, 3)(random));
      const double total = std::accumulate(scores.begin(), scores.end(), 0.0);
      const Memory buffer = make_buffer(engine.context(), 4 * kColumns, scores.data());
      for (bool keep_crossing : {true, false}) {
        BlockSelection selection{Kind::top_p, buffer.get(), 0, 0, share, keep_crossing};
        builder.build(queue.get(), selection);
        const BlockLists lists = builder.download(queue.get());
        double sum = 0, smallest = kInfinity;
        for (std::int32_t column : row_of(lists.full_count, lists.full_index, 0, kColumns)) {
          sum += scores[column];
          smallest = std::min<double>(smallest, scores[column]);
        }
        std::vector<float> falling = scores;
        std::sort(falling.rbegin(), falling.rend());
        const std::int32_t count = lists.full_count[0];
        ASSERT_GE(count, keep_crossing ? 1 : 0);
        if (count == 0) {
          EXPECT_GT(falling[0], share * total);
          continue;
        }
        EXPECT_FLOAT_EQ(float(smallest), falling[count - 1]) << "not the highest";
        const double slack = 1e-5 * total;
        if (keep_crossing) {
          EXPECT_GE(sum, share * total - slack);
          EXPECT_LE(sum - smallest, share * total + slack);
        } else {
          EXPECT_LE(sum, share * total + slack);
        }
      }
    }
  });
}

// Buffers that are bound at launch make other lists without another builder; unselected blocks are
// not evaluated, but those that any slice keeps are.
TEST(BlockBuilder, BuffersBoundAtLaunchMakeOtherLists) {
  on_every_engine([](const Engine& engine, Random& random) {
    const Queue queue = make_queue(engine);
    constexpr std::int64_t kLength = 75;
    const Extent extent{kLength, kLength};
    const auto unbound =
        std::make_shared<const Buffer>(Buffer{"document", ElementType::i32, kLength, {}});
    const BlockShape shape{10, 7, 1, 3, 0};
    Problem problem = problem_of(
        extent, shape, expression_mask({"document[query] == document[key]", {unbound}, {}}));
    problem.heads = 3;
    BlockBuilder builder(engine, problem);
    for (int repeat = 0; repeat < 4; ++repeat) {
      std::vector<std::int32_t> documents(kLength);
      for (std::int64_t i = 1; i < kLength; ++i) {
        documents[i] = documents[i - 1] + (uniform(random, 0, 20) == 0);
      }
      const auto bytes = std::as_bytes(std::span(documents));
      const auto bound = std::make_shared<const Buffer>(
          Buffer{"document", ElementType::i32, kLength, {bytes.begin(), bytes.end()}});
      const Mask mask = expression_mask({"document[query] == document[key]", {bound}, {}});
      std::vector<std::uint8_t> kept(3 * 8 * 11);
      for (std::uint8_t& block : kept) block = uniform(random, 0, 2) == 0;
      const Memory memory = make_buffer(engine.context(), bytes.size(), documents.data());
      const Memory selected = make_buffer(engine.context(), kept.size(), kept.data());
      const NamedMemory named[] = {{"document", memory.get()}};
      builder.build(queue.get(), {}, named);
      expect_built(builder, queue.get(), extent, make_block_lists(*mask, shape, extent));
      BlockSelection selection;
      selection.buffer = selected.get();
      builder.build(queue.get(), selection, {}, named);
      expect_built(
          builder, queue.get(), extent,
          make_block_lists(*all_of_mask({blocks_mask(shape, 8, 11, kept), mask}), shape, extent));
    }
    expect_error(kInvalid, {"document", "bound at launch"}, [&] { builder.build(queue.get()); });
  });
}

TEST(BlockBuilder, RowsOverTheCapacityAreNamed) {
  on_every_engine([](const Engine& engine, Random&) {
    const Queue queue = make_queue(engine);
    // Row i of 4 has 3 i full blocks and 3 partial ones.
    Problem problem = problem_of({12, 12}, {3, 1, 1, 1, 8}, causal_mask());
    BlockBuilder builder(engine, problem);
    builder.build(queue.get());
    EXPECT_EQ(read_buffer<std::int32_t>(queue.get(), builder.lists().full_count, 4),
              (std::vector<std::int32_t>{1, 4, 7, -10}));
    expect_error(kInvalid, {"full_count", "batch 0, head 0, row 3", "10", "8"},
                 [&] { builder.download(queue.get()); });
    problem.blocks->capacity = 10;
    BlockBuilder larger(engine, problem);
    larger.build(queue.get());
    EXPECT_EQ(larger.download(queue.get()).full_count, (std::vector<std::int32_t>{1, 4, 7, 10}));
  });
}

TEST(BlockBuilder, HonoursTheWaitListAndAnyOrderOfTheQueue) {
  on_every_engine([](const Engine& engine, Random&) {
    const Queue queue = make_queue(engine, CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE);
    const Extent extent{40, 40};
    BlockBuilder builder(engine, problem_of(extent, {8, 8, 1, 1, 0}, causal_mask()));
    cl_int status = CL_SUCCESS;
    const auto gate = Event::adopt(clCreateUserEvent(engine.context(), &status));
    ASSERT_EQ(status, CL_SUCCESS);
    const cl_event wait = gate.get();
    const Event done = builder.build(queue.get(), std::span(&wait, 1));
    clFlush(queue.get());
    cl_int state = CL_COMPLETE;
    clGetEventInfo(done.get(), CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof state, &state, nullptr);
    EXPECT_NE(state, CL_COMPLETE);
    clSetUserEventStatus(wait, CL_COMPLETE);
    const cl_event last = done.get();
    EXPECT_EQ(clWaitForEvents(1, &last), CL_SUCCESS);
    expect_built(builder, queue.get(), extent,
                 make_block_lists(*causal_mask(), {8, 8, 1, 1, 0}, extent));
  });
}

TEST(BlockBuilder, RefusesWhatItCannotBuild) {
  on_every_engine([](const Engine& engine, Random&) {
    const Queue queue = make_queue(engine);
    Problem problem = problem_of({8, 8}, {2, 2, 1, 1, 0}, dense_mask());
    problem.heads = 2;
    problem.mask = per_head_mask({causal_mask(), dense_mask()});
    expect_error(kInvalid, {"varies with the head", "must be 2"},
                 [&] { BlockBuilder(engine, problem); });
    problem.blocks.reset();
    expect_error(kInvalid, {"no blocks"}, [&] { BlockBuilder(engine, problem); });

    problem.blocks = BlockShape{2, 2, 1, 2, 0};
    BlockBuilder builder(engine, problem);
    const Engine other = make_engine(0);
    const Memory small = make_buffer(engine.context(), 2 * 16 * 4 - 1);
    const Memory large = make_buffer(engine.context(), 2 * 16 * 4);
    const Memory foreign = make_buffer(other.context(), 2 * 16 * 4);
    const auto refuse = [&](const BlockSelection& selection,
                            const std::vector<std::string>& parts) {
      expect_error(kInvalid, parts, [&] { builder.build(queue.get(), selection); });
    };
    refuse({Kind::threshold, nullptr}, {"selection", "null"});
    refuse({Kind::threshold, small.get()}, {"selection", "127", "128"});
    refuse({Kind::threshold, foreign.get()}, {"selection", "another OpenCL context"});
    refuse({Kind::top_k, large.get(), 0, -1}, {"count", "-1"});
    refuse({Kind::top_p, large.get(), 0, 0, 1.5f}, {"share", "1.5"});
    refuse({Kind::top_p, large.get(), 0, 0, std::nanf("")}, {"share", "nan"});
    expect_error(kInvalid, {"queue", "null"}, [&] { builder.build(nullptr); });
    const Queue foreign_queue = make_queue(other);
    expect_error(kInvalid, {"queue", "another OpenCL context"},
                 [&] { builder.build(foreign_queue.get()); });
  });
}

TEST(CheckBlockLists, NamesWhatIsWrong) {
  on_every_engine([](const Engine& engine, Random&) {
    const Queue queue = make_queue(engine);
    Problem problem = problem_of({8, 8}, {2, 2, 1, 1, 3}, dense_mask());
    const std::vector<std::int32_t> partial_count = {0, 1, 2, 3}, full_count = {0, 0, 1, 0};
    const std::vector<std::int32_t> partial_index = {-9, -9, -9, 0, -9, -9, 1, 3, -9, 0, 1, 2};
    const std::vector<std::int32_t> full_index = {-9, -9, -9, -9, -9, -9, 2, -9, -9, -9, -9, -9};
    const std::vector<std::int32_t> order = {3, 0, 1, 2}, lengths = {2, 0, 1, 2};
    struct Edit {
      int array;  // 0: none
      int index;
      std::int32_t value;
      std::vector<std::string> parts;
    };
    const Edit edits[] = {{0, 0, 0, {}},
                          {1, 2, 4, {"partial_count", "row 2", "4", "3"}},
                          {1, 0, -1, {"partial_count", "row 0", "-1"}},
                          {2, 7, 4, {"partial_index", "row 2", "entry 1", "4"}},
                          {2, 10, 0, {"partial_index", "row 3", "entry 1"}},
                          {3, 1, 2000, {"full_count", "row 1", "2000"}},
                          {4, 6, 3, {"full_index", "row 2", "partial_index"}},
                          {5, 1, 3, {"key_lengths", "row 1", "3", "2"}},
                          {6, 2, 4, {"row_order", "4", "3"}},
                          {6, 2, 3, {"row_order", "3", "twice"}}};
    for (const Edit& edit : edits) {
      std::vector<std::int32_t> arrays[] = {{},         partial_count, partial_index, full_count,
                                            full_index, lengths,       order};
      if (edit.array) arrays[edit.array][edit.index] = edit.value;
      std::vector<Memory> memory;
      for (const auto& array : arrays) {
        memory.push_back(array.empty()
                             ? Memory()
                             : make_buffer(engine.context(), 4 * array.size(), array.data()));
      }
      const BlockListBuffers lists = {memory[1].get(), memory[2].get(), memory[3].get(),
                                      memory[4].get(), memory[5].get(), memory[6].get()};
      if (edit.array) {
        expect_error(kInvalid, edit.parts, [&] { check_block_lists(queue.get(), problem, lists); });
      } else {
        EXPECT_NO_THROW(check_block_lists(queue.get(), problem, lists));
        BlockListBuffers short_lists = lists;
        short_lists.partial_index = lists.partial_count;
        expect_error(kInvalid, {"partial_index", "16", "48"},
                     [&] { check_block_lists(queue.get(), problem, short_lists); });
        short_lists.partial_index = nullptr;
        expect_error(kInvalid, {"partial_index", "null"},
                     [&] { check_block_lists(queue.get(), problem, short_lists); });
      }
    }
  });
}

}  // namespace
}  // namespace clattn
