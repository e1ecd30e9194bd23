// The nvidia_mma family's configurations: see kernels_cl/nvidia/mma_tiles.cl for what each
// parameter does. They stand in order of preference for dense attention; the first one that the
// device can hold is taken.
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "host/planning/family.hpp"

namespace clattn {
namespace {

// Chunks of 16 bytes that a row of a local tile takes: swizzled or padded.
std::int64_t row_chunks(std::int64_t dim) {
  const std::int64_t chunks = dim / 8;
  return chunks % 8 == 0 ? chunks : chunks | 1;
}

struct MmaConfig {
  std::int64_t query_tile;
  std::int64_t key_tile;
  std::int64_t warps;
  double speed;  // to the first one

  std::int64_t work_group() const { return 32 * warps; }

  // A row costs a whole tile, however few queries it has: keys and values come for all warps.
  Tile tile() const { return {query_tile, key_tile, query_tile}; }

  // The kernel's static __local array, in bytes.
  std::int64_t local_memory(const Problem& problem) const {
    const std::int64_t key_chunks = row_chunks(problem.head_dim);
    const std::int64_t value_chunks = row_chunks(problem.value_dim);
    return 16 * (query_tile * key_chunks + 2 * key_tile * (key_chunks + value_chunks));
  }
  // Scores and outputs of a work-item, floats in registers: 255 there are, and the loop runs faster
  // where it has some to load operands ahead into.
  bool fits_registers(const Problem& problem) const {
    return query_tile / (16 * warps) * (key_tile + problem.value_dim) / 2 <= 176;
  }
  bool is_valid(const Problem& problem, const DeviceFacts& facts) const {
    return work_group() <= std::min(facts.max_work_group_size, facts.max_work_item_size) &&
           local_memory(problem) <= facts.local_memory_bytes && fits_registers(problem);
  }
  std::string id() const { return fmt::format("q{}k{}w{}", query_tile, key_tile, warps); }
  std::vector<std::pair<std::string, std::int64_t>> defines() const {
    return {{"QUERY_TILE", query_tile}, {"KEY_TILE", key_tile}, {"WARPS", warps}};
  }
};

// With 32 queries a warp, what is loaded of a tile serves twice as many products as with 16, which
// is what registers hold for large dimensions. The last two are for little local memory.
constexpr MmaConfig kConfigs[] = {
    {128, 64, 4, 1.00}, {128, 48, 4, 0.97}, {128, 32, 4, 0.90}, {128, 64, 8, 0.85},
    {128, 32, 8, 0.75}, {64, 64, 4, 0.75},  {64, 32, 4, 0.65},  {64, 16, 4, 0.50},
    {32, 32, 2, 0.25},  {16, 16, 1, 0.10},
};

TileSpeed speed_of(const MmaConfig& config) {
  TileSpeed speed;
  speed.tile = config.tile();
  speed.speed = config.speed;
  speed.key_step = config.key_tile;
  speed.mask_flops = 100;
  speed.flops_per_byte = 80;
  return speed;
}

class NvidiaMmaFamily final : public Family {
 public:
  std::string name() const override { return "nvidia_mma"; }

  std::string rejection(const DeviceFacts& facts) const override {
    if (facts.compute_capability == 0) return "the device is not NVIDIA's";
    if (facts.compute_capability < 80) {
      return fmt::format("the compute capability is {}.{}, mma.sync of bf16 needs 8.0",
                         facts.compute_capability / 10, facts.compute_capability % 10);
    }
    const auto probed = facts.instruction_sets.find("mma");
    return probed == facts.instruction_sets.end() ? "the instructions were not tried on the device"
                                                  : probed->second;
  }

  std::optional<KernelChoice> choose(const Problem& problem, const std::optional<GridProblem>& grid,
                                     const DeviceFacts& facts, const PlanOptions& options,
                                     std::string& reason) const override {
    if (problem.data_type == DataType::f32) {
      reason = "tensor cores take f16 and bf16, not f32";
      return std::nullopt;
    }
    std::vector<MmaConfig> configs;
    std::vector<TileSpeed> speeds;
    for (const MmaConfig& config : kConfigs) {
      if (!config.is_valid(problem, facts)) continue;
      configs.push_back(config);
      speeds.push_back(speed_of(config));
    }
    if (configs.empty()) {
      const MmaConfig& smallest = *std::ranges::min_element(
          kConfigs, {}, [&](const MmaConfig& config) { return config.local_memory(problem); });
      reason = fmt::format(
          "the smallest tile needs {} work-items and {} bytes of local memory, the device has {} "
          "and {}",
          smallest.work_group(), smallest.local_memory(problem), facts.max_work_group_size,
          facts.local_memory_bytes);
      return std::nullopt;
    }
    KernelChoice choice;
    const MmaConfig* config = &configs.front();
    if (grid) {
      const auto fitting = fit_boxes(problem, *grid, options, speeds, choice.tilings, reason);
      if (!fitting) return std::nullopt;
      config = &configs[*fitting];
    } else if (has_seams(problem) || problem.query_len < config->query_tile) {
      config = &configs[fit_rows(problem, speeds)];
    }
    choice.id = config->id();
    choice.defines = config->defines();
    choice.files = {"nvidia/ptx.cl", "nvidia/mma_tiles.cl", "nvidia/mma.cl"};
    choice.tile = config->tile();
    choice.work_group_size = config->work_group();
    choice.local_memory_bytes = config->local_memory(problem);
    choice.dense_efficiency = 5.5;  // an H200's, whose tensor cores are not in its rate
    choice.why =
        fmt::format("tensor cores by mma.sync; the best tile within {} bytes of local memory",
                    facts.local_memory_bytes);
    return choice;
  }
};

}  // namespace

const Family& nvidia_mma_family() {
  static const NvidiaMmaFamily family;
  return family;
}

}  // namespace clattn
