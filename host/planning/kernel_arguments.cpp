#include "host/planning/kernel_arguments.hpp"

#include <algorithm>

namespace clattn {
namespace {

clattn_int32 narrow(std::int64_t value) { return static_cast<clattn_int32>(value); }

clattn_view view_of(const Problem& problem, Role role) {
  const Strides strides = tensor_shape(problem, role).strides;
  return {0, strides.batch, strides.head, strides.token};
}

}  // namespace

clattn_arguments make_arguments(const Problem& problem, const Hooks& hooks) {
  clattn_arguments arguments = {};
  arguments.query = view_of(problem, Role::query);
  arguments.key = view_of(problem, Role::key);
  arguments.value = view_of(problem, Role::value);
  arguments.output = view_of(problem, Role::output);
  arguments.heads = narrow(problem.heads);
  arguments.kv_heads = narrow(problem.kv_heads);
  arguments.query_len = narrow(problem.query_len);
  arguments.key_len = narrow(problem.key_len);
  constexpr float kLog2E = 1.44269504088896341f;
  arguments.query_scale = problem.effective_scale() * (problem.scores.empty() ? kLog2E : 1.0f);
  std::copy(hooks.values.begin(), hooks.values.end(), arguments.values);
  return arguments;
}

Schedule schedule_of(const Problem& problem, const Decision& decision, std::int64_t workers) {
  const KernelChoice& choice = decision.choice;
  if (choice.tilings.empty()) {
    return make_schedule(*problem.mask, problem.extent(), problem.batch,
                         problem.heads / choice.pack, choice.tile, workers, choice.dealing);
  }
  return make_grid_schedule(problem, *decision.grid, choice.tilings.front(), choice.tile, workers,
                            choice.dealing);
}

void set_schedule(const Schedule& schedule, clattn_arguments& arguments) {
  arguments.schedule_batch = narrow(schedule.batch);
  arguments.schedule_heads = narrow(schedule.heads);
  arguments.rows = narrow(std::ssize(schedule.rows));
  arguments.repeats = narrow(schedule.repeats);
  arguments.late_rows = narrow(schedule.late_rows);
  arguments.parts = narrow(schedule.parts);
}

std::vector<clattn_merge> set_listed_schedule(const Problem& problem, std::int64_t query_tile,
                                              std::int64_t parts, clattn_arguments& arguments) {
  const BlockShape& shape = *problem.blocks;
  const Extent extent = problem.extent();
  const std::int64_t slices = shape.batch * shape.heads;
  const std::int64_t block_rows = slices * shape.query_blocks(extent);
  const std::int64_t tiles = (shape.query_block + query_tile - 1) / query_tile;
  const std::int64_t rows = block_rows * tiles * parts;
  arguments.schedule_batch = narrow(shape.batch);
  arguments.schedule_heads = narrow(shape.heads);
  arguments.query_block = narrow(shape.query_block);
  arguments.key_block = narrow(shape.key_block);
  arguments.query_blocks = narrow(shape.query_blocks(extent));
  arguments.key_blocks = narrow(shape.key_blocks(extent));
  arguments.list_capacity = narrow(shape.row_capacity(extent));
  arguments.list_parts = narrow(parts);
  arguments.rows = narrow(rows);
  arguments.repeats = narrow(slices ? problem.batch * problem.heads / slices : 0);
  arguments.parts = narrow(parts > 1 ? rows : 0);

  std::vector<clattn_merge> merges;
  for (std::int64_t row = 0; parts > 1 && row < block_rows; ++row) {
    const std::int64_t block_begin = row % arguments.query_blocks * shape.query_block;
    const std::int64_t block_end = std::min(block_begin + shape.query_block, problem.query_len);
    for (std::int64_t t = 0; t < tiles; ++t) {
      const std::int64_t begin = block_begin + t * query_tile;
      if (begin >= block_end) break;
      const std::int64_t part = (row * tiles + t) * parts;
      merges.push_back({narrow(row / arguments.query_blocks),
                        {narrow(begin), narrow(std::min(begin + query_tile, block_end)), 0, 0},
                        narrow(part),
                        narrow(part + parts)});
    }
  }
  return merges;
}

}  // namespace clattn
