// What neighborhood attention is held to on a CPU device, each line a ratio taken in this one run:
// its gain over dense attention to the gain that tiles of the plan's size allow, boxes of the grid
// against consecutive tokens, and the permutation of tokens against a plain copy. Runs that are
// compared alternate, and the median of their ratios counts.
#include <fmt/ranges.h>

#include <algorithm>
#include <clattn/permutation.hpp>
#include <functional>
#include <numeric>

#include "bench_case.hpp"

namespace clattn::tool {
namespace {

using Sizes = std::vector<std::int64_t>;

constexpr std::int64_t kHeads = 8, kDim = 32;

std::string name_of(const Sizes& sizes) { return fmt::format("{}", fmt::join(sizes, "x")); }

Problem problem_of(const Neighborhood& neighborhood, Mask mask) {
  Problem problem = square_problem(kHeads, neighborhood.tokens(), std::move(mask));
  problem.head_dim = problem.value_dim = kDim;
  return problem;
}

// All boxes of so many tokens that fit into the grid.
std::vector<Sizes> boxes_of(std::int64_t tokens, const Sizes& grid) {
  std::vector<Sizes> boxes = {{}};
  for (const std::int64_t length : grid) {
    std::vector<Sizes> longer;
    for (const Sizes& box : boxes) {
      for (std::int64_t size = 1; size <= std::min(length, tokens); ++size) {
        longer.push_back(box);
        longer.back().push_back(size);
      }
    }
    boxes = std::move(longer);
  }
  std::erase_if(boxes, [&](const Sizes& box) {
    return std::accumulate(box.begin(), box.end(), std::int64_t{1}, std::multiplies<>()) != tokens;
  });
  return boxes;
}

struct TileBound {
  double bound = 0;
  Sizes query_tile, key_tile;
};

// The largest gain that tiles of the plan's numbers of queries and keys allow, whatever their
// shape.
TileBound best_tile_bound(const Neighborhood& neighborhood, const PlanReport& report) {
  TileBound best;
  for (const Sizes& queries : boxes_of(report.query_tile, neighborhood.grid)) {
    for (const Sizes& keys : boxes_of(report.key_tile, neighborhood.grid)) {
      const double bound = simulate_tiles(neighborhood, queries, keys).tile_bound;
      if (bound > best.bound) best = {bound, queries, keys};
    }
  }
  return best;
}

std::string describe(const Tiling& tiling) {
  if (tiling.tokens == TokenAccess::in_place) return to_string(tiling.tokens);
  std::string text = fmt::format("{} {}", to_string(tiling.tokens), name_of(tiling.query_tile));
  if (!tiling.key_tile.empty()) text += " by " + name_of(tiling.key_tile);
  return text;
}

// About so many consecutive tokens, in rows that are whole but for the first dimension not of 1.
Sizes run_of(std::int64_t tokens, const Sizes& grid) {
  Sizes run(grid.size(), 1);
  for (std::size_t d = grid.size(); d-- > 0 && tokens > 1; tokens /= grid[d]) {
    run[d] = std::min(tokens, grid[d]);
  }
  return run;
}

void bench_gain(const Launcher& launcher, const Neighborhood& neighborhood, double target) {
  const Problem problem = problem_of(neighborhood, neighborhood_mask(neighborhood));
  const Case dense(launcher, problem_of(neighborhood, dense_mask()));
  const Case planned(launcher, problem);
  const PlanReport report = planned.report();
  const Tiling& tiling = report.tilings.front();
  const TileBound best = best_tile_bound(neighborhood, report);
  const double gain = ratio(dense, planned);
  std::string name =
      fmt::format("{}, window {}", name_of(neighborhood.grid), name_of(neighborhood.window));
  if (!neighborhood.stride.empty()) name += ", stride " + name_of(neighborhood.stride);
  print_line(name + ", gain to bound", 100 * gain / best.bound, Sense::at_least, target, "%",
             fmt::format("{:.3g}x over dense, bound {:.3g}x by tiles of {} and {}; {:.0f}% of {} "
                         "tiles' own bound {:.3g}x",
                         gain, best.bound, name_of(best.query_tile), name_of(best.key_tile),
                         100 * gain / tiling.bound, describe(tiling), tiling.bound));
  if (!neighborhood.stride.empty()) return;
  const auto planned_as = [&](const PlanOptions& options) {
    return Case(launcher, problem, options);
  };
  // Consecutive tokens as the general path for masks takes them, and as tiles that are runs of the
  // grid's tokens: the same tokens, but masked by boxes and in no larger tiles.
  PlanOptions runs;
  runs.tokens = TokenAccess::permuted;  // which leaves runs as they lie
  runs.query_tile = run_of(report.query_tile, neighborhood.grid);
  runs.key_tile = run_of(report.key_tile, neighborhood.grid);
  const Case in_place = planned_as({.tokens = TokenAccess::in_place});
  const Case flattened = planned_as(runs);
  print_line("  over consecutive tokens", ratio(in_place, planned), Sense::at_least, 1.5, "x", "");
  print_line("  over runs of tokens", ratio(flattened, planned), Sense::at_least, 1.5, "x",
             fmt::format("{}, bound {:.3g}x", describe(flattened.report().tilings.front()),
                         flattened.report().tilings.front().bound));
  const Case permuted = planned_as({.tokens = TokenAccess::permuted});
  fmt::print("{:<52} {:>8.3g}x {:16} {}\n", "  time of the best permuted tiling to this",
             ratio(permuted, planned), "", describe(permuted.report().tilings.front()));
}

// Seconds until the queue has done what `enqueue` enqueues.
double seconds_of(const Launcher& launcher, const std::function<void()>& enqueue) {
  const auto start = Clock::now();
  enqueue();
  check_opencl(clFinish(launcher.queue()), "clFinish");
  return seconds_since(start);
}

// There and back again, a tensor that no cache holds.
void bench_permutation(const Launcher& launcher, const TokenOrder& order) {
  const std::int64_t tokens = order.tokens();
  const TensorShape shape = {1, kHeads, tokens, kDim,
                             contiguous_strides(Layout::bhld, kHeads, tokens, kDim)};
  std::vector<float> values(static_cast<std::size_t>(shape.elements())), result(values.size());
  std::iota(values.begin(), values.end(), 0.0f);
  const std::size_t bytes = values.size() * sizeof(float);
  const auto make_buffer = [&](std::vector<float>& content) {
    cl_int code = CL_SUCCESS;
    auto buffer = Memory::adopt(clCreateBuffer(launcher.engine().context(), CL_MEM_COPY_HOST_PTR,
                                               bytes, content.data(), &code));
    check_opencl(code, "clCreateBuffer");
    return buffer;
  };
  const Memory source = make_buffer(values), target = make_buffer(result);
  const auto copy = [&] {
    check_opencl(clEnqueueCopyBuffer(launcher.queue(), source.get(), target.get(), 0, 0, bytes, 0,
                                     nullptr, nullptr),
                 "clEnqueueCopyBuffer");
  };
  const std::vector<std::int32_t> token_at = tokens_in_order(order);
  for (const auto direction :
       {PermutationDirection::into_order, PermutationDirection::out_of_order}) {
    const TokenPermutation permutation(launcher.engine(), order, direction, DataType::f32, shape,
                                       shape);
    const auto permute = [&] {
      permutation.enqueue(launcher.queue(), {source.get()}, {target.get()});
    };
    permute();
    check_opencl(clEnqueueReadBuffer(launcher.queue(), target.get(), CL_TRUE, 0, bytes,
                                     result.data(), 0, nullptr, nullptr),
                 "clEnqueueReadBuffer");
    const bool into = direction == PermutationDirection::into_order;
    for (std::size_t row = 0; row < values.size() / kDim; ++row) {
      const std::size_t position = row % token_at.size(), head = row - position;
      const std::size_t token = head + static_cast<std::size_t>(token_at[position]);
      const auto from = values.begin() + static_cast<std::ptrdiff_t>((into ? token : row) * kDim);
      const auto to = result.begin() + static_cast<std::ptrdiff_t>((into ? row : token) * kDim);
      if (std::equal(to, to + kDim, from)) continue;
      throw Error(ErrorCategory::device_failure, "not timed, for the permutation is wrong");
    }
    copy();
    std::vector<double> ratios, times;
    for (int round = 0; round < 31; ++round) {
      times.push_back(seconds_of(launcher, copy));
      ratios.push_back(times.back() / seconds_of(launcher, permute));
    }
    print_line(fmt::format("{} {} tiles of {}, rate to a copy's", name_of(order.grid),
                           into ? "into" : "out of", name_of(order.tile)),
               100 * median(ratios), Sense::at_least, 70, "%",
               fmt::format("{:.3g} MiB, copied at {:.3g} GB/s", double(bytes) / (1 << 20),
                           2e-9 * double(bytes) / median(times)));
  }
}

int bench(const std::string& device) {
  const Launcher launcher(device);
  const DeviceFacts& facts = launcher.engine().device().facts;
  fmt::print("{}, {}, driver {}, {} compute units; H{} D{} f32\n", facts.platform, facts.name,
             facts.driver_version, facts.compute_units, kHeads, kDim);
  const Sizes plane = {64, 64}, volume = {16, 24, 24};
  bench_gain(launcher, {plane, {13, 13}, {}, {}, {}}, 60);
  bench_gain(launcher, {plane, {13, 13}, {8, 8}, {}, {}}, 85);
  bench_gain(launcher, {volume, {6, 8, 8}, {}, {}, {}}, 50);
  bench_gain(launcher, {volume, {6, 8, 8}, {4, 4, 4}, {}, {}}, 80);
  bench_permutation(launcher, {{256, 256}, {8, 8}, {}});
  bench_permutation(launcher, {{32, 48, 48}, {4, 4, 4}, {}});
  return 0;
}

}  // namespace
}  // namespace clattn::tool

int main(int argc, char** argv) {
  return clattn::tool::bench_main(argc, argv, clattn::tool::bench);
}
