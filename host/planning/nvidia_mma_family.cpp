// The nvidia_mma family's configurations: see kernels_cl/nvidia/mma_tiles.cl for what each
// parameter does. They stand in order of preference for dense attention; the first one that the
// device can hold is taken.
#include <fmt/format.h>

#include <algorithm>
#include <bit>
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
  double speed;  // to the first one of those listed

  std::int64_t work_group() const { return 32 * warps; }

  // A row costs a whole tile, however few queries it has: keys and values come for all warps.
  Tile tile() const { return {query_tile, key_tile, query_tile}; }

  // The kernel's static __local array, in bytes.
  std::int64_t local_memory(const Problem& problem) const {
    const std::int64_t key_chunks = row_chunks(problem.head_dim);
    const std::int64_t value_chunks = row_chunks(problem.value_dim);
    return 16 * (query_tile * key_chunks + 2 * key_tile * (key_chunks + value_chunks));
  }
  // Scores and outputs of a work-item, floats in registers.
  std::int64_t registers(const Problem& problem) const {
    return query_tile / (16 * warps) * (key_tile + problem.value_dim) / 2;
  }
  std::string id() const { return fmt::format("q{}k{}w{}", query_tile, key_tile, warps); }
  Defines defines() const {
    return {{"QUERY_TILE", query_tile}, {"KEY_TILE", key_tile}, {"WARPS", warps}};
  }
};

// There are 255 registers, and the loop runs faster where it has some to load operands ahead into;
// beyond the other limit it holds little else than what it spills.
constexpr std::int64_t kFastRegisters = 176, kMostRegisters = 224;

// With 32 queries a warp, what is loaded of a tile serves twice as many products as with 16, which
// is what registers hold for large dimensions. The last two are for little local memory.
constexpr MmaConfig kConfigs[] = {
    {128, 64, 4, 1.00}, {128, 48, 4, 0.97}, {128, 32, 4, 0.90}, {128, 64, 8, 0.85},
    {128, 32, 8, 0.75}, {64, 64, 4, 0.75},  {64, 32, 4, 0.65},  {64, 16, 4, 0.50},
    {32, 32, 2, 0.25},  {16, 16, 1, 0.10},
};

// Of those that are not listed: as those listed are by their tile of keys; with 32 queries a warp,
// four warps and more keep a compute unit busy, and with 16, as the listed ones do.
double estimated_speed(const MmaConfig& config) {
  double speed = config.key_tile >= 64   ? 1.0
                 : config.key_tile >= 48 ? 0.97
                 : config.key_tile >= 32 ? 0.90
                                         : 0.67;
  if (config.query_tile == 32 * config.warps) {
    speed *= std::min(1.0, double(config.warps) / 4);
  } else {
    speed *= config.warps >= 8 ? 0.85 : config.warps >= 4 ? 0.75 : config.warps >= 2 ? 0.28 : 0.15;
  }
  return speed;
}

MmaConfig asked_config(const KernelConfig& asked) {
  return {asked.at("query_tile"), asked.at("key_tile"), asked.at("warps"), 0};
}

// Registers that the heuristic leaves free are missed.
double asked_speed(const MmaConfig& config, const Problem& problem) {
  const auto listed = std::ranges::find_if(
      kConfigs, [&](const MmaConfig& other) { return other.defines() == config.defines(); });
  const double speed = listed == std::end(kConfigs) ? estimated_speed(config) : listed->speed;
  return speed * std::min(1.0, double(kFastRegisters) / double(config.registers(problem)));
}

// What each parameter may be stands beside its macro.
std::optional<Violation> violation_of(const MmaConfig& config, const Problem& problem,
                                      const DeviceFacts& facts) {
  if (config.warps < 1 || config.warps > 32 ||
      !std::has_single_bit(static_cast<std::uint64_t>(config.warps))) {
    return Violation{
        "range", fmt::format("warps is {}, but must be a power of two from 1 to 32", config.warps)};
  }
  if (config.key_tile < 16 || config.key_tile > 64 || config.key_tile % 16 != 0) {
    return Violation{"range", fmt::format("key_tile is {}, but must be a multiple of 16 up to 64",
                                          config.key_tile)};
  }
  if (config.query_tile != 16 * config.warps && config.query_tile != 32 * config.warps) {
    return Violation{"divides", fmt::format("query_tile {} is neither 16 nor 32 times warps {}",
                                            config.query_tile, config.warps)};
  }
  if (config.registers(problem) > kMostRegisters) {
    return Violation{"registers", fmt::format("{} scores and outputs of a work-item, at most {}",
                                              config.registers(problem), kMostRegisters)};
  }
  return device_violation(config.work_group(), config.local_memory(problem), facts);
}

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

  std::vector<Parameter> parameters(const Problem&, const DeviceFacts&) const override {
    return {{"query_tile", {16, 32, 64, 128, 256}},
            {"key_tile", {16, 32, 48, 64}},
            {"warps", {1, 2, 4, 8}}};
  }

  std::optional<Violation> violation(const KernelConfig& config, const Problem& problem,
                                     const DeviceFacts& facts, bool) const override {
    return violation_of(asked_config(config), problem, facts);
  }

  std::optional<KernelChoice> choose(const Problem& problem, const DeviceFacts& facts,
                                     const KernelConfig& asked, TileCosts& costs,
                                     std::string& reason) const override {
    if (problem.data_type == DataType::f32) {
      reason = "tensor cores take f16 and bf16, not f32";
      return std::nullopt;
    }
    std::vector<MmaConfig> configs;
    if (asked.empty()) {
      const MmaConfig& smallest = *std::ranges::min_element(
          kConfigs, {}, [&](const MmaConfig& config) { return config.local_memory(problem); });
      reason = fmt::format(
          "the smallest tile needs {} work-items and {} bytes of local memory, the device has {} "
          "and {}",
          smallest.work_group(), smallest.local_memory(problem), facts.max_work_group_size,
          facts.local_memory_bytes);
      for (const MmaConfig& config : kConfigs) {
        if (config.registers(problem) > kFastRegisters) continue;
        if (!violation_of(config, problem, facts)) configs.push_back(config);
      }
    } else {
      MmaConfig config = asked_config(asked);
      if (const auto broken = violation_of(config, problem, facts)) {
        reason = broken->reason;
        return std::nullopt;
      }
      config.speed = asked_speed(config, problem);
      configs = {config};
    }
    if (configs.empty()) return std::nullopt;
    std::vector<TileSpeed> speeds;
    for (const MmaConfig& config : configs) speeds.push_back(speed_of(config));
    KernelChoice choice;
    std::size_t chosen = 0;
    if (costs.grid()) {
      const auto fitting = costs.fit_boxes(speeds, choice.tilings, reason);
      if (!fitting) return std::nullopt;
      chosen = *fitting;
      choice.predicted = choice.tilings.front().cost_flops;
    } else {
      if (has_seams(problem) || problem.query_len < configs.front().query_tile) {
        chosen = costs.fit_rows(speeds);
      }
      choice.predicted = costs.time(speeds[chosen]);
    }
    const MmaConfig& config = configs[chosen];
    choice.id = config.id();
    choice.defines = config.defines();
    choice.config = config_of(choice.defines);
    choice.files = {"nvidia/ptx.cl", "nvidia/mma_tiles.cl", "nvidia/mma.cl"};
    choice.tile = config.tile();
    choice.work_group_size = config.work_group();
    choice.local_memory_bytes = config.local_memory(problem);
    choice.dense_efficiency = 5.5;  // an H200's, whose tensor cores are not in its rate
    choice.why = "tensor cores by mma.sync";
    if (asked.empty()) {
      choice.why +=
          fmt::format("; the best tile within {} bytes of local memory", facts.local_memory_bytes);
    }
    return choice;
  }
};

}  // namespace

const Family& nvidia_mma_family() {
  static const NvidiaMmaFamily family;
  return family;
}

}  // namespace clattn
