// Where the host's `classify` promises none or all, blocks need no evaluation; the others are
// evaluated on the device: once, if nothing of the mask is bound at launch, else by each build. A
// mask that shows everything has no classes at all. Buffers are laid out once, by the constructor.
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <clattn/block_builder.hpp>
#include <cstdlib>
#include <mutex>

#include "host/invalid.hpp"
#include "host/masks/blocks.hpp"
#include "host/planning/plan_state.hpp"
#include "runtime/status.hpp"

namespace clattn {
namespace {

// The numbers of kernels_cl/common/blocks.cl.
enum BlockClass : std::uint8_t { kNone, kSome, kAll };

struct BlockMatrix {
  clattn_int32 rows;
  clattn_int32 columns;
  clattn_int32 row_stride;
  clattn_int32 column_stride;
};

// What the host can promise of the blocks of one slice: halves a rectangle of blocks until it is
// wholly visible or hidden, or one block, or the questions run out.
class Hints {
 public:
  Hints(const Problem& problem, const Slice& slice, std::uint8_t* classes)
      : mask_(*problem.mask),
        shape_(*problem.blocks),
        extent_(problem.extent()),
        slice_(slice),
        columns_(shape_.key_blocks(extent_)),
        classes_(classes) {
    const std::int64_t rows = shape_.query_blocks(extent_);
    questions_ = 64 * (rows + columns_);  // the boundary of a band takes far fewer
    if (rows > 0 && columns_ > 0) visit({0, rows}, {0, columns_});
  }

 private:
  void visit(const Range& rows, const Range& columns) {
    const Coverage coverage =
        --questions_ < 0
            ? Coverage::some
            : mask_.classify(slice_, tokens_of(rows, shape_.query_block, extent_.query_len),
                             tokens_of(columns, shape_.key_block, extent_.key_len), extent_);
    if (coverage != Coverage::some || questions_ < 0 || (rows.size() == 1 && columns.size() == 1)) {
      const std::uint8_t hint = coverage == Coverage::none  ? kNone
                                : coverage == Coverage::all ? kAll
                                                            : kSome;
      for (std::int64_t row = rows.begin; row < rows.end; ++row) {
        std::fill_n(classes_ + row * columns_ + columns.begin, columns.size(), hint);
      }
      return;
    }
    Range row_halves[2] = {rows, rows};
    Range column_halves[2] = {columns, columns};
    Range* const longer = rows.size() >= columns.size() ? row_halves : column_halves;
    longer[0].end = longer[1].begin = longer[0].begin + longer[0].size() / 2;
    visit(row_halves[0], column_halves[0]);
    visit(row_halves[1], column_halves[1]);
  }

  const MaskNode& mask_;
  const BlockShape& shape_;
  const Extent extent_;
  const Slice slice_;
  const std::int64_t columns_;
  std::uint8_t* const classes_;
  std::int64_t questions_;
};

// Commands that run one behind another, whatever the order of the queue.
class Sequence {
 public:
  Sequence(const Engine::State& engine, cl_command_queue queue, std::span<const cl_event> wait_list)
      : engine_(engine), queue_(queue), waits_(wait_list.begin(), wait_list.end()) {}

  // `groups` work-groups of `lanes` work-items. Nothing to do is left out.
  template <typename... Arguments>
  void launch(const char* name, const Kernel& kernel, std::int64_t groups, std::int64_t lanes,
              const std::vector<cl_mem>& hooks, const Arguments&... arguments) {
    if (groups == 0) return;
    cl_uint index = 0;
    (set_argument(kernel, index++, sizeof arguments, &arguments), ...);
    set_memories(kernel, index, hooks);
    const auto local = static_cast<std::size_t>(lanes);
    const std::size_t global = static_cast<std::size_t>(groups) * local;
    cl_event raw = nullptr;
    check(clEnqueueNDRangeKernel(queue_, kernel.get(), 1, nullptr, &global, &local, count(),
                                 waits(), &raw),
          "clEnqueueNDRangeKernel");
    follow(raw);
    if (engine_.trace) engine_.trace->record(queue_, last_, {name, "blocks", 0, 0});
  }

  Event end() {
    if (last_) return last_;
    cl_event raw = nullptr;
    check(clEnqueueMarkerWithWaitList(queue_, count(), waits(), &raw),
          "clEnqueueMarkerWithWaitList");
    follow(raw);
    return last_;
  }

 private:
  cl_uint count() const { return static_cast<cl_uint>(waits_.size()); }
  const cl_event* waits() const { return waits_.empty() ? nullptr : waits_.data(); }
  void follow(cl_event raw) {
    last_ = Event::adopt(raw);
    waits_ = {raw};
  }

  const Engine::State& engine_;
  cl_command_queue queue_;
  std::vector<cl_event> waits_;
  Event last_;
};

struct ListMemory {
  Memory partial_count, partial_index, full_count, full_index;
  BlockListBuffers buffers() const {
    return {partial_count.get(),
            partial_index.get(),
            full_count.get(),
            full_index.get(),
            nullptr,
            nullptr};
  }
};

void check_selection(const BlockSelection& selection, std::int64_t columns) {
  using Kind = BlockSelection::Kind;
  if (selection.kind == Kind::nonzero || selection.kind == Kind::threshold) return;
  if (selection.kind != Kind::top_k && selection.kind != Kind::top_p) {
    invalid("selection kind {} is unknown; known are nonzero (0) to top_p (3)",
            static_cast<int>(selection.kind));
  }
  constexpr std::int64_t kMostColumns = std::int64_t{1} << 24;  // f32 counts them
  if (columns > kMostColumns) {
    invalid("a row has {} key blocks, but the highest of at most {} can be selected", columns,
            kMostColumns);
  }
  check_at_least("the selection's count", selection.count, 0);
  if (!(selection.share >= 0 && selection.share <= 1)) {
    invalid("the selection's share is {}, but must be within 0 and 1", selection.share);
  }
}

template <typename Element>
std::vector<Element> read(cl_command_queue queue, cl_mem buffer, std::int64_t count) {
  std::vector<Element> elements(static_cast<std::size_t>(count));
  if (count == 0) return elements;
  check(clEnqueueReadBuffer(queue, buffer, CL_TRUE, 0, elements.size() * sizeof(Element),
                            elements.data(), 0, nullptr, nullptr),
        "clEnqueueReadBuffer");
  return elements;
}

BlockLists read_lists(cl_command_queue queue, const Problem& problem,
                      const BlockListBuffers& buffers) {
  const BlockShape& shape = *problem.blocks;
  const Extent extent = problem.extent();
  const std::int64_t slices = shape.batch * shape.heads;
  const std::int64_t rows = slices * shape.query_blocks(extent);
  const std::int64_t entries = rows * shape.row_capacity(extent);
  const auto list = [&](cl_mem buffer, std::int64_t count) {
    return read<std::int32_t>(queue, buffer, buffer ? count : 0);
  };
  return {shape,
          list(buffers.partial_count, rows),
          list(buffers.partial_index, entries),
          list(buffers.full_count, rows),
          list(buffers.full_index, entries),
          list(buffers.key_lengths, slices * shape.key_blocks(extent))};
}

}  // namespace

struct BlockBuilder::State {
  State(std::shared_ptr<Engine::State> engine, const Problem& problem);

  void classify(Sequence& sequence, const std::vector<cl_mem>& hooks, cl_mem kept) const;
  void list(Sequence& sequence, bool by_columns, cl_mem kept) const;
  Event build(cl_command_queue queue, const BlockSelection* selection,
              std::span<const cl_event> wait_list, std::span<const NamedMemory> buffers) const;

  std::shared_ptr<Engine::State> engine;
  Problem problem;  // without scores: masks alone make lists
  clattn_int32 slices, query_blocks, key_blocks, capacity;
  clattn_int32 mask_batch, mask_heads;  // slices that the mask tells apart
  std::int64_t lanes;

  Kernel classify_kernel, select_kernel, list_kernel, order_kernel;
  clattn_arguments arguments = {};
  HookMemory hooks;
  bool evaluated_by_build = false;
  Memory hints, classes;  // null: every pair is visible
  Memory kept, starts, row_order;
  ListMemory lists, transposed;
  mutable std::mutex launch_mutex;  // of the kernels' arguments
};

BlockBuilder::State::State(std::shared_ptr<Engine::State> engine_, const Problem& whole)
    : engine(std::move(engine_)), problem(whole) {
  validate(problem);
  if (!problem.blocks) invalid("the problem has no blocks, of which lists could be built");
  problem.scores.clear();
  problem.sink_logits.clear();
  const BlockShape& shape = *problem.blocks;
  const Extent extent = problem.extent();
  const Variation variation = problem.mask->variation();
  const auto number = [](std::int64_t value) { return static_cast<clattn_int32>(value); };
  slices = number(shape.batch * shape.heads);
  query_blocks = number(shape.query_blocks(extent));
  key_blocks = number(shape.key_blocks(extent));
  capacity = number(shape.row_capacity(extent));
  mask_batch = number(variation.batch ? problem.batch : 1);
  mask_heads = number(variation.head ? problem.heads : 1);
  if (mask_batch > shape.batch || mask_heads > shape.heads) {
    const bool batch = mask_batch > shape.batch;
    invalid("the mask varies with the {0}: then blocks {1} must be {2}, but it is 1",
            batch ? "batch" : "head", batch ? "batch" : "heads", batch ? mask_batch : mask_heads);
  }
  const std::int64_t rows = std::int64_t{slices} * query_blocks;
  const std::int64_t columns = std::int64_t{slices} * key_blocks;
  const std::int64_t blocks = rows * key_blocks;

  const DeviceFacts& facts = engine->device.facts;
  constexpr std::int64_t kLanes = 64;
  lanes =
      facts.kind == DeviceKind::cpu
          ? 1
          : std::int64_t(std::bit_floor(std::size_t(std::min(kLanes, facts.max_work_group_size))));
  const std::int64_t query_lanes =
      std::min(lanes, std::int64_t(std::bit_floor(std::size_t(shape.query_block))));
  const Hooks hook = make_hooks(problem);
  const Program program = engine->programs.get(
      {"block lists",
       {kernel_file("common/arguments.h"),
        kernel_file("common/masks.cl"),
        {"hooks", hook.source},
        kernel_file("common/blocks.cl")},
       {{"LANES", lanes},
        {"QUERY_LANES", query_lanes},
        {"QUERY_ROUND", std::clamp<std::int64_t>(shape.query_block / query_lanes, 1, 8)},
        {"VECTOR_WIDTH", lanes == 1 ? facts.native_float_width : 1}}});
  classify_kernel = make_kernel(program, "classify_blocks");
  select_kernel = make_kernel(program, "select_blocks");
  list_kernel = make_kernel(program, "list_blocks");
  order_kernel = make_kernel(program, "order_rows");

  arguments.query_len = number(problem.query_len);
  arguments.key_len = number(problem.key_len);
  arguments.schedule_batch = number(shape.batch);
  arguments.schedule_heads = number(shape.heads);
  arguments.query_block = number(shape.query_block);
  arguments.key_block = number(shape.key_block);
  arguments.query_blocks = query_blocks;
  arguments.key_blocks = key_blocks;
  std::copy(hook.values.begin(), hook.values.end(), arguments.values);

  DeviceMemory memory(engine->context.get());
  constexpr std::int64_t kInt = sizeof(clattn_int32);
  kept = memory.allocate(blocks);
  starts = memory.allocate((std::int64_t{key_blocks} + 1) * kInt);
  row_order = memory.allocate(rows * kInt);
  lists = {memory.allocate(rows * kInt), memory.allocate(rows * capacity * kInt),
           memory.allocate(rows * kInt), memory.allocate(rows * capacity * kInt)};
  transposed = {memory.allocate(columns * kInt), memory.allocate(blocks * kInt),
                memory.allocate(columns * kInt), memory.allocate(blocks * kInt)};
  hooks = HookMemory(hook, memory);

  const std::int64_t slice_blocks = std::int64_t{query_blocks} * key_blocks;
  std::vector<std::uint8_t> known(mask_batch * mask_heads * slice_blocks);
  for (std::int64_t slice = 0; slice < mask_batch * mask_heads; ++slice) {
    Hints(problem, {slice / mask_heads, slice % mask_heads}, known.data() + slice * slice_blocks);
  }
  if (std::all_of(known.begin(), known.end(), [](std::uint8_t hint) { return hint == kAll; })) {
    return;
  }
  classes = memory.upload(known);
  if (std::find(known.begin(), known.end(), kSome) == known.end()) return;
  evaluated_by_build = hooks.bound_at_launch();
  if (evaluated_by_build) {
    hints = memory.upload(known);
    return;
  }
  hints = classes;
  cl_int status = CL_SUCCESS;
  const auto queue =
      Queue::adopt(clCreateCommandQueue(engine->context.get(), engine->device.id, 0, &status));
  check(status, "clCreateCommandQueue");
  Sequence sequence(*engine, queue.get(), {});
  classify(sequence, hooks.arguments(engine->context.get(), {}), nullptr);
  check(clFinish(queue.get()), "clFinish");
}

void BlockBuilder::State::classify(Sequence& sequence, const std::vector<cl_mem>& hook_memory,
                                   cl_mem selected) const {
  // Small blocks share a work-group, for it costs as much as some hundred pairs.
  constexpr std::int64_t kPairs = 1 << 16;
  const std::int64_t pairs = problem.blocks->query_block * problem.blocks->key_block;
  const auto group_columns = static_cast<clattn_int32>(
      std::clamp<std::int64_t>(kPairs / pairs, 1, std::max(key_blocks, 1)));
  const std::int64_t groups = (std::int64_t{key_blocks} + group_columns - 1) / group_columns;
  sequence.launch("classify_blocks", classify_kernel,
                  groups * mask_batch * mask_heads * query_blocks, lanes, hook_memory, arguments,
                  mask_batch, mask_heads, group_columns, hints.get(), selected, classes.get());
}

void BlockBuilder::State::list(Sequence& sequence, bool by_columns, cl_mem selected) const {
  const BlockMatrix matrix = by_columns ? BlockMatrix{key_blocks, query_blocks, 1, key_blocks}
                                        : BlockMatrix{query_blocks, key_blocks, key_blocks, 1};
  const BlockListBuffers target = (by_columns ? transposed : lists).buffers();
  sequence.launch("list_blocks", list_kernel, std::int64_t{slices} * matrix.rows, lanes, {}, matrix,
                  arguments.schedule_heads, mask_batch, mask_heads,
                  by_columns ? query_blocks : capacity, classes.get(), selected,
                  target.partial_count, target.partial_index, target.full_count, target.full_index);
}

Event BlockBuilder::State::build(cl_command_queue queue, const BlockSelection* selection,
                                 std::span<const cl_event> wait_list,
                                 std::span<const NamedMemory> buffers) const {
  using Kind = BlockSelection::Kind;
  const cl_context context = engine->context.get();
  check_queue(*engine, queue);
  const std::vector<cl_mem> hook_memory = hooks.arguments(context, buffers);
  const clattn_int32 rows = slices * query_blocks;
  cl_mem selected = nullptr;
  if (selection) {
    check_selection(*selection, key_blocks);
    const bool bytes = selection->kind == Kind::nonzero;
    check_buffer(context, "selection", selection->buffer, std::int64_t{rows} * key_blocks,
                 bytes ? 1 : sizeof(float));
    selected = bytes ? selection->buffer : kept.get();
  }

  const std::lock_guard lock(launch_mutex);
  Sequence sequence(*engine, queue, wait_list);
  if (selection && selection->kind != Kind::nonzero && key_blocks > 0) {
    const auto count =
        static_cast<clattn_int32>(std::min<std::int64_t>(selection->count, key_blocks));
    const auto kind = static_cast<clattn_int32>(selection->kind);
    const clattn_int32 keep_crossing = selection->keep_crossing;
    sequence.launch("select_blocks", select_kernel, rows, lanes, {}, selection->buffer, key_blocks,
                    kind, selection->threshold, count, selection->share, keep_crossing, selected);
  }
  if (evaluated_by_build) classify(sequence, hook_memory, selected);
  list(sequence, false, selected);
  list(sequence, true, selected);
  sequence.launch("order_rows", order_kernel, rows > 0, lanes, {}, rows, key_blocks,
                  lists.partial_count.get(), lists.full_count.get(), starts.get(), row_order.get());
  return sequence.end();
}

BlockBuilder::BlockBuilder(const Engine& engine, const Problem& problem)
    : state_(std::make_shared<State>(engine.state_, problem)) {}

Event BlockBuilder::build(cl_command_queue queue, std::span<const cl_event> wait_list,
                          std::span<const NamedMemory> buffers) {
  return state_->build(queue, nullptr, wait_list, buffers);
}

Event BlockBuilder::build(cl_command_queue queue, const BlockSelection& selection,
                          std::span<const cl_event> wait_list,
                          std::span<const NamedMemory> buffers) {
  return state_->build(queue, &selection, wait_list, buffers);
}

BlockListBuffers BlockBuilder::lists() const {
  BlockListBuffers buffers = state_->lists.buffers();
  buffers.row_order = state_->row_order.get();
  return buffers;
}

BlockListBuffers BlockBuilder::transposed() const { return state_->transposed.buffers(); }

BlockLists BlockBuilder::download(cl_command_queue queue) const {
  const State& state = *state_;
  check_queue(*state.engine, queue);
  BlockLists result = read_lists(queue, state.problem, state.lists.buffers());
  for (std::vector<std::int32_t>* counts : {&result.partial_count, &result.full_count}) {
    for (std::int32_t& count : *counts) count = std::abs(count);
  }
  validate(result, state.problem.extent());
  return result;
}

void check_block_lists(cl_command_queue queue, const Problem& problem,
                       const BlockListBuffers& lists) {
  validate(problem);
  if (!problem.blocks) invalid("the problem has no blocks, hence no lists");
  if (!queue) invalid("the command queue is null");
  cl_context context = nullptr;
  check(clGetCommandQueueInfo(queue, CL_QUEUE_CONTEXT, sizeof context, &context, nullptr),
        "clGetCommandQueueInfo");
  check_block_list_buffers(context, problem, lists);
  const BlockLists host = read_lists(queue, problem, lists);
  validate(host, problem.extent());
  if (!lists.row_order) return;
  const auto rows = static_cast<std::int64_t>(host.partial_count.size());
  std::vector<bool> found(host.partial_count.size());
  for (std::int32_t row : read<std::int32_t>(queue, lists.row_order, rows)) {
    if (row < 0 || row >= rows) {
      invalid("row_order holds {}, but must hold rows within 0 and {}", row, rows - 1);
    }
    if (found[row]) invalid("row_order holds row {} twice", row);
    found[row] = true;
  }
}

}  // namespace clattn
