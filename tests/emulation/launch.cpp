#include "tests/emulation/launch.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <clattn/reference.hpp>
#include <cmath>
#include <memory>
#include <stdexcept>

#include "host/planning/attention_program.hpp"
#include "host/planning/kernel_arguments.hpp"
#include "tests/emulation/decision.hpp"
#include "tests/emulation/faults.hpp"
#include "tests/emulation/machine.hpp"
#include "tests/emulation/program.hpp"
#include "tests/emulation/tensor.hpp"

namespace clattn::emulation {
namespace {

constexpr int kLaunches = 2;  // with the same scratch memory

template <typename Element>
GuardedMemory upload(const std::vector<Element>& elements) {
  GuardedMemory memory(elements.size() * sizeof(Element), sizeof(std::int32_t));
  if (!elements.empty()) {
    std::memcpy(memory.bytes().data(), elements.data(), elements.size() * sizeof(Element));
  }
  return memory;
}

void* pointer(const GuardedMemory& memory) {
  return memory.bytes().empty() ? nullptr : memory.bytes().data();
}

class CaseRunner {
 public:
  CaseRunner(const Case& test_case, const Problem& problem, const Decision& decision,
             const Program& program)
      : case_(test_case),
        problem_(problem),
        expected_(problem),
        decision_(decision),
        choice_(decision.choice),
        program_(program) {
    arrange_tokens();
    set_arguments();
    problem_.blocks ? list_schedule() : compute_schedule();
    make_tensors();
  }

  bool run(std::uint64_t seed) {
    std::vector<std::span<const std::byte>> readable;
    for (const auto& tensor : inputs_) readable.push_back(tensor->memory());
    for (const GuardedMemory& memory : walk_) readable.push_back(memory.bytes());
    Machine machine(seed, std::move(readable));
    const FaultReport report(machine);
    program_.bind(machine);
    if (!scratch_.bytes().empty()) std::ranges::fill(scratch_.bytes(), std::byte{0});
    bool matches = true;
    for (int i = 0; i < kLaunches; ++i) {
      launch(machine);
      matches &= compare_results();
    }
    if (machine.errors() > 0) fmt::print("  {} errors\n", machine.errors());
    const bool good = matches && machine.errors() == 0;
    if (!good) machine.print_seed();
    return good;
  }

  std::string description() const {
    return fmt::format("{} rows x {}, {} late, {} split, {} work-groups, pack {}", arguments_.rows,
                       arguments_.repeats, arguments_.late_rows, merges_.size(), groups_[0],
                       choice_.pack);
  }

 private:
  // Tensors in the order of the tiles, where the planner chose so.
  void arrange_tokens() {
    inner_ = problem_;
    if (choice_.tilings.empty() || problem_.token_order ||
        choice_.tilings.front().tokens != TokenAccess::permuted) {
      return;
    }
    query_places_ = tokens_in_order(query_order(*decision_.grid, choice_.tilings.front()));
    key_places_ = tokens_in_order(key_order(*decision_.grid, choice_.tilings.front()));
    const auto contiguous = [&](Role role) {
      const TensorShape shape = tensor_shape(problem_, role);
      return contiguous_strides(Layout::bhld, shape.heads, shape.length, shape.dim);
    };
    inner_.query_strides = contiguous(Role::query);
    inner_.key_strides = contiguous(Role::key);
    inner_.value_strides = contiguous(Role::value);
    inner_.output_strides = contiguous(Role::output);
  }

  void set_arguments() {
    arguments_ = make_arguments(inner_, decision_.hooks);
    for (clattn_view* view :
         {&arguments_.query, &arguments_.key, &arguments_.value, &arguments_.output}) {
      view->offset = case_.offset;
    }
    hooks_.push_back(upload(decision_.hooks.tables));
    for (const auto& buffer : decision_.hooks.buffers) hooks_.push_back(upload(buffer->values));
  }

  void compute_schedule() {
    const Schedule schedule = schedule_of(problem_, decision_, case_.compute_units);
    set_schedule(schedule, arguments_);
    merges_ = schedule.merges;
    walk_.push_back(upload(schedule.rows));
    walk_.push_back(upload(schedule.spans));
    walk_.push_back(upload(schedule.bins));
    walk_.push_back(upload(schedule.query_entries));
    walk_.push_back(upload(schedule.key_entries));
  }

  void list_schedule() {
    const BlockShape& shape = *problem_.blocks;
    const Extent extent = problem_.extent();
    merges_ = set_listed_schedule(problem_, choice_.tile.queries, case_.list_parts, arguments_);
    BlockLists lists = make_block_lists(*problem_.mask, shape, extent);
    if (case_.key_lengths) {
      for (std::int64_t i = 0; i < shape.batch * shape.heads * arguments_.key_blocks; ++i) {
        const std::int64_t begin = i % arguments_.key_blocks * shape.key_block;
        const std::int64_t whole = std::min(shape.key_block, problem_.key_len - begin);
        lists.key_lengths.push_back(static_cast<std::int32_t>(i % 3 == 1   ? whole / 2
                                                              : i % 7 == 3 ? 0
                                                                           : shape.key_block));
      }
    }
    expected_.blocks.reset();
    expected_.mask = block_lists_mask(lists, extent, problem_.mask);
    std::vector<std::int32_t> order;
    const std::int64_t rows = shape.batch * shape.heads * arguments_.query_blocks;
    for (std::int64_t row = rows; case_.row_order && row > 0;) {
      order.push_back(static_cast<std::int32_t>(--row));
    }
    if (case_.broken) {
      lists.partial_count[0] = -3;
      lists.partial_index[2 * arguments_.list_capacity] = arguments_.key_blocks + 5;
      broken_rows_ = {0, 2};
    }
    for (const auto* list : {&lists.partial_count, &lists.partial_index, &lists.full_count,
                             &lists.full_index, &lists.key_lengths, &order}) {
      walk_.push_back(upload(*list));
    }
  }

  void make_tensors() {
    Random random(7);  // the same for each seed
    const std::vector<std::int32_t>* places[] = {&query_places_, &key_places_, &key_places_};
    std::vector<std::unique_ptr<Tensor>> originals;
    for (Role role : {Role::query, Role::key, Role::value}) {
      originals.push_back(std::make_unique<Tensor>(problem_, role, 0));
      originals.back()->fill(random);
      inputs_.push_back(std::make_unique<Tensor>(inner_, role, case_.offset));
      inputs_.back()->fill(*originals.back(), *places[inputs_.size() - 1]);
    }
    output_ = std::make_unique<Tensor>(inner_, Role::output, case_.offset);
    lse_ = GuardedMemory(4 * problem_.batch * problem_.heads * problem_.query_len, 4);
    tile_rows_ = choice_.tile.queries * choice_.pack;
    const std::int64_t rows =
        merges_.empty() ? 0 : arguments_.parts * arguments_.repeats * tile_rows_;
    part_outputs_ = GuardedMemory(4 * rows * problem_.value_dim);
    part_lse_ = GuardedMemory(4 * rows);
    const HostTensors tensors = {originals[0]->elements(), originals[1]->elements(),
                                 originals[2]->elements()};
    exact_ = reference_attention(expected_, tensors);
    plain_ = reference_attention(expected_, tensors, ReferencePrecision::storage);

    const std::int64_t count = std::int64_t{arguments_.rows} * arguments_.repeats;
    if (choice_.dealing == Dealing::taken) {
      groups_[0] = std::min(count, case_.compute_units);
    } else {
      groups_[0] = arguments_.rows;
      groups_[1] = arguments_.repeats;
    }
    scratch_ = GuardedMemory(choice_.scratch_bytes * groups_[0] * groups_[1], 128);
  }

  void launch(Machine& machine) {
    output_->poison();
    for (GuardedMemory* memory : {&lse_, &part_outputs_, &part_lse_}) memory->poison();
    std::vector<void*> values = {&arguments_};
    for (const auto& tensor : inputs_) values.push_back(tensor->data());
    for (void* result : {static_cast<void*>(output_->data()), pointer(lse_), pointer(part_outputs_),
                         pointer(part_lse_)}) {
      values.push_back(result);
    }
    if (choice_.scratch_bytes > 0) values.push_back(pointer(scratch_));
    for (const GuardedMemory& memory : walk_) values.push_back(pointer(memory));
    for (const GuardedMemory& memory : hooks_) values.push_back(pointer(memory));
    const auto attention = program_.kernel("attention");
    Launch launch;
    launch.kernel = [&] { attention(values.data()); };
    std::copy_n(groups_, 2, launch.groups);
    launch.work_group_size = choice_.work_group_size;
    launch.local_memory_bytes = choice_.local_memory_bytes;
    launch.resident = case_.compute_units;
    machine.run(launch);

    if (merges_.empty()) return;
    const GuardedMemory merges = upload(merges_);
    auto count = static_cast<int>(merges_.size());
    values = {&arguments_,
              pointer(merges),
              &count,
              pointer(part_outputs_),
              pointer(part_lse_),
              output_->data(),
              pointer(lse_),
              problem_.blocks ? nullptr : pointer(walk_[3])};
    for (const GuardedMemory& memory : hooks_) values.push_back(pointer(memory));
    const auto merge = program_.kernel("merge_parts");
    const std::size_t global[3] = {static_cast<std::size_t>(problem_.value_dim / 8),
                                   static_cast<std::size_t>(tile_rows_),
                                   merges_.size() * static_cast<std::size_t>(arguments_.repeats)};
    machine.run_independent([&] { merge(values.data()); }, global);
  }

  // Rows whose lists are none are NaN; in place of them the reference's stand in `actual`.
  bool compare_results() const {
    const std::int64_t rows = problem_.batch * problem_.heads * problem_.query_len;
    std::vector<double> output(exact_.output.size()), lse(exact_.lse.size());
    // Rows come in the order of the tiles.
    const auto* lse_values = reinterpret_cast<const float*>(lse_.bytes().data());
    output_->for_each(
        [&](std::int64_t i, std::int64_t b, std::int64_t h, std::int64_t t, std::int64_t d) {
          const std::int64_t slice = (b * problem_.heads + h) * problem_.query_len;
          const std::int64_t row = slice + Tensor::place(query_places_, t);
          output[row * problem_.value_dim + d] = output_->get(i);
          lse[row] = lse_values[slice + t];
        });
    bool good = true;
    for (std::int64_t row = 0; row < rows; ++row) {
      if (!is_broken(row)) continue;
      bool nan = std::isnan(lse[row]);
      lse[row] = exact_.lse[row];
      for (std::int64_t i = row * problem_.value_dim; i < (row + 1) * problem_.value_dim; ++i) {
        nan &= std::isnan(output[i]);
        output[i] = exact_.output[i];
      }
      if (!nan) good = false;
    }
    if (!good) fmt::print("  rows of broken lists are not NaN\n");
    if (!output_->beside_is_poison()) {
      fmt::print("  something beside the output was written\n");
      good = false;
    }
    double largest = 1.0;
    for (double element : exact_.output) largest = std::max(largest, std::abs(element));
    good &=
        passes("output", problem_.value_dim, output, exact_.output, plain_.output, 1e-5 * largest);
    good &= passes("LSE", 1, lse, exact_.lse, plain_.lse, 2e-5);
    return good;
  }

  bool is_broken(std::int64_t row) const {
    if (broken_rows_.empty()) return false;
    const std::int64_t head = row / problem_.query_len, query = row % problem_.query_len;
    const std::int64_t slice =
        (arguments_.schedule_batch > 1 ? head / problem_.heads : 0) * arguments_.schedule_heads +
        (arguments_.schedule_heads > 1 ? head % problem_.heads : 0);
    const std::int64_t block_row = slice * arguments_.query_blocks + query / arguments_.query_block;
    return std::ranges::find(broken_rows_, block_row) != broken_rows_.end();
  }

  bool passes(const char* name, std::int64_t columns, const std::vector<double>& actual,
              const std::vector<double>& exact, const std::vector<double>& plain,
              double absolute) const {
    const Comparison comparison = compare(actual, exact, plain, absolute);
    if (comparison.pass) return true;
    const std::int64_t row = comparison.worst / columns;
    fmt::print(
        "  {} is off by {}, limit {}, at slice {}, query {}, column {}: {} instead of {}; {} not "
        "finite\n",
        name, comparison.max_error, comparison.limit, row / problem_.query_len,
        row % problem_.query_len, comparison.worst % columns, comparison.worst_actual,
        comparison.worst_expected, comparison.non_finite);
    return false;
  }

  const Case& case_;
  const Problem& problem_;
  Problem expected_;  // without lists that come at launch
  Problem inner_;     // as the kernel sees it
  const Decision& decision_;
  const KernelChoice& choice_;
  const Program& program_;

  clattn_arguments arguments_ = {};
  std::int64_t groups_[2] = {1, 1};
  std::int64_t tile_rows_ = 0;
  std::vector<clattn_merge> merges_;
  std::vector<std::int32_t> query_places_, key_places_;  // of a position, its token
  std::vector<std::int64_t> broken_rows_;
  std::vector<GuardedMemory> walk_, hooks_;
  std::vector<std::unique_ptr<Tensor>> inputs_;
  std::unique_ptr<Tensor> output_;
  GuardedMemory lse_, part_outputs_, part_lse_, scratch_;
  ReferenceResult exact_, plain_;
};

}  // namespace

bool run_case(const std::string& family, const Case& test_case, std::uint64_t first_seed,
              std::uint64_t seeds, const std::filesystem::path& folder) {
  const Problem problem = problem_of(test_case);
  const Decision decision = decide_case(family, problem, test_case);
  const Program program(attention_program(problem, decision), folder);
  CaseRunner runner(test_case, problem, decision, program);
  fmt::print("  {}: {}\n", decision.choice.id, runner.description());
  bool good = true;
  for (std::uint64_t seed = first_seed; seed < first_seed + seeds; ++seed) {
    good &= runner.run(seed);
  }
  return good;
}

}  // namespace clattn::emulation
