// The portable family's configurations: see kernels_cl/portable/attention.cl for what each
// parameter does. They stand in order of preference; the first one that the device can hold is
// taken.
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <ranges>
#include <vector>

#include "host/planning/family.hpp"

namespace clattn {
namespace {

// More scores, or outputs, of a work-item tend to spill; of more together, an H200's assembler
// spills most.
constexpr std::int64_t kRegisters = 64, kMostRegisters = 192;

struct PortableConfig {
  std::int64_t threads_q;
  std::int64_t threads_k;
  std::int64_t query_tile;
  std::int64_t key_tile;
  std::int64_t depth_chunk;
  std::int64_t key_chunk;

  std::int64_t work_group() const { return threads_q * threads_k; }

  // A row costs a whole tile, however few queries it has.
  Tile tile() const { return {query_tile, key_tile, query_tile}; }

  // Static __local arrays of the kernel, in bytes.
  std::int64_t local_memory(const Problem& problem) const {
    const std::int64_t queries = query_tile * (problem.head_dim / 4 + 1);
    const std::int64_t probabilities = query_tile * (key_tile / 4 + 1);
    const std::int64_t partials = query_tile * ((threads_k + 3) / 4);
    const std::int64_t chunk =
        std::max(key_tile * (depth_chunk / 4 + 1), key_chunk * (problem.value_dim / 4 + 1));
    return 16 * (queries + probabilities + partials + chunk);
  }
  // Of a work-item: queries, and the keys and values' columns that it multiplies with each.
  std::int64_t rows() const { return query_tile / threads_q; }
  std::int64_t keys() const { return key_tile / threads_k; }
  std::int64_t columns(const Problem& problem) const {
    return 4 * ((problem.value_dim / 4 + threads_k - 1) / threads_k);
  }
  // Of a work-item, floats in registers.
  std::int64_t scores() const { return rows() * keys(); }
  std::int64_t outputs(const Problem& problem) const { return rows() * columns(problem); }
  bool fits_registers(const Problem& problem) const {
    return std::max(scores(), outputs(problem)) <= kRegisters;
  }
  std::string id() const {
    return fmt::format("t{}x{}q{}k{}d{}c{}", threads_q, threads_k, query_tile, key_tile,
                       depth_chunk, key_chunk);
  }
  Defines defines() const {
    return {{"THREADS_Q", threads_q}, {"THREADS_K", threads_k},     {"QUERY_TILE", query_tile},
            {"KEY_TILE", key_tile},   {"DEPTH_CHUNK", depth_chunk}, {"KEY_CHUNK", key_chunk}};
  }
  static PortableConfig of(const KernelConfig& config) {
    return {config.at("threads_q"), config.at("threads_k"),   config.at("query_tile"),
            config.at("key_tile"),  config.at("depth_chunk"), config.at("key_chunk")};
  }
  friend bool operator==(const PortableConfig&, const PortableConfig&) = default;
};

// Measured on an H200 where they fit it best (bench/README.md); the smaller ones are shaped alike.
constexpr PortableConfig kConfigs[] = {
    {16, 8, 128, 64, 64, 64}, {8, 8, 64, 32, 64, 32},  {8, 16, 64, 64, 128, 64},
    {8, 16, 64, 64, 32, 16},  {8, 16, 32, 64, 32, 16}, {8, 16, 32, 32, 16, 8},
    {4, 16, 32, 32, 32, 8},   {4, 8, 16, 32, 16, 4},   {2, 16, 8, 32, 16, 4},
    {4, 4, 8, 16, 16, 4},     {2, 2, 8, 16, 16, 4},    {1, 1, 4, 8, 64, 8},
};

// For so few queries that a larger tile would be empty for the most part.
constexpr PortableConfig kShortConfig = {4, 16, 16, 64, 32, 16};

// Dimensions, as a power of two.
std::int64_t depth_of(const Problem& problem) {
  return static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(problem.head_dim)));
}

// Smaller tiles are slower: on an H200 (bench/README.md) those of 64 queries reach 0.91 of what 128
// do, and each further halving costs a third.
double speed_of_tile(std::int64_t query_tile) {
  const double halvings = std::max(0.0, std::log2(64.0 / double(query_tile)));
  return query_tile >= 128 ? 1.0 : 0.91 * std::pow(0.67, halvings);
}

// The configurations that the heuristic weighs for a problem.
std::vector<PortableConfig> listed_configs(const Problem& problem) {
  std::vector<PortableConfig> configs;
  if (problem.query_len <= kShortConfig.query_tile) configs.push_back(kShortConfig);
  configs.insert(configs.end(), std::begin(kConfigs), std::end(kConfigs));
  // Room for more dimensions than there are would be wasted; powers of two load fastest.
  for (PortableConfig& config : configs) {
    config.depth_chunk = std::min(config.depth_chunk, depth_of(problem));
  }
  return configs;
}

// The others are slower than those listed for their tile: by what the register blocks load from
// local memory for each multiplication, against blocks of 8 x 8, by two barriers a chunk, each
// about half a key's time, by the lanes of a GPU that small work-groups leave idle, and by what
// spills.
double speed_of(const PortableConfig& config, const Problem& problem, const DeviceFacts& facts) {
  double speed = speed_of_tile(config.query_tile);
  const std::vector<PortableConfig> listed = listed_configs(problem);
  if (std::ranges::find(listed, config) != listed.end()) return speed;
  const double loads = (2 / double(config.rows()) + 1 / double(config.keys()) +
                        1 / double(config.columns(problem))) /
                       2;
  speed *= std::min(1.0, (1 + 0.25) / (1 + loads));
  const double chunks = double((problem.head_dim + config.depth_chunk - 1) / config.depth_chunk +
                               config.key_tile / config.key_chunk);
  speed /= 1 + chunks / double(config.key_tile);
  constexpr double kLanes = 32;
  if (facts.kind == DeviceKind::gpu) speed *= std::min(1.0, double(config.work_group()) / kLanes);
  return speed * std::min(1.0, double(kRegisters) /
                                   double(std::max(config.scores(), config.outputs(problem))));
}

std::vector<TileSpeed> tile_speeds(const std::vector<PortableConfig>& configs,
                                   const Problem& problem, const DeviceFacts& facts) {
  std::vector<TileSpeed> speeds;
  for (const PortableConfig& config : configs) {
    TileSpeed& speed = speeds.emplace_back();
    speed.tile = config.tile();
    speed.speed = speed_of(config, problem, facts);
    speed.key_step = config.key_tile;
    speed.mask_flops = 40;
    speed.flops_per_byte = 10;
  }
  return speeds;
}

// What each parameter may be stands beside its macro.
std::optional<Violation> violation_of(const PortableConfig& config, const Problem& problem,
                                      const DeviceFacts& facts) {
  constexpr std::int64_t kMost = 1 << 16;
  if (const auto broken = range_violation(config_of(config.defines()), kMost)) return broken;
  const auto indivisible = [](const char* name, std::int64_t value, const char* divisor_name,
                              std::int64_t divisor) {
    return Violation{
        "divides", fmt::format("{} {} is no multiple of {}{}", name, value, divisor_name, divisor)};
  };
  if (config.query_tile % config.threads_q != 0) {
    return indivisible("query_tile", config.query_tile, "threads_q ", config.threads_q);
  }
  if (config.key_tile % config.threads_k != 0) {
    return indivisible("key_tile", config.key_tile, "threads_k ", config.threads_k);
  }
  if (config.key_tile % config.key_chunk != 0) {
    return indivisible("key_tile", config.key_tile, "key_chunk ", config.key_chunk);
  }
  if (config.key_tile % 8 != 0) return indivisible("key_tile", config.key_tile, "", 8);
  if (config.depth_chunk % 8 != 0) return indivisible("depth_chunk", config.depth_chunk, "", 8);
  if (config.key_chunk % 4 != 0) return indivisible("key_chunk", config.key_chunk, "", 4);
  if (const auto broken =
          device_violation(config.work_group(), config.local_memory(problem), facts)) {
    return broken;
  }
  // Those that are listed for devices that hold no better ones may spill more than others.
  const std::vector<PortableConfig> listed = listed_configs(problem);
  const std::int64_t registers = config.scores() + config.outputs(problem);
  if (registers > kMostRegisters && std::ranges::find(listed, config) == listed.end()) {
    return Violation{"registers", fmt::format("{} scores and outputs of a work-item, at most {}",
                                              registers, kMostRegisters)};
  }
  return std::nullopt;
}

class PortableFamily final : public Family {
 public:
  std::string name() const override { return "portable"; }

  std::string rejection(const DeviceFacts&) const override { return ""; }

  std::vector<Parameter> parameters(const Problem& problem, const DeviceFacts&) const override {
    Parameter depth{"depth_chunk", {8, 16, 32, 64, 128, 256}};
    std::erase_if(depth.values, [&](std::int64_t value) {
      return value > depth_of(problem) || value < std::min<std::int64_t>(16, depth_of(problem));
    });
    return {{"threads_q", {1, 2, 4, 8, 16}},
            {"threads_k", {1, 2, 4, 8, 16, 32}},
            {"query_tile", {8, 16, 32, 64, 128}},
            {"key_tile", {16, 32, 64, 128}},
            depth,
            {"key_chunk", {8, 16, 32, 64, 128}}};
  }

  std::optional<Violation> violation(const KernelConfig& config, const Problem& problem,
                                     const DeviceFacts& facts, bool) const override {
    return violation_of(PortableConfig::of(config), problem, facts);
  }

  std::optional<KernelChoice> choose(const Problem& problem, const DeviceFacts& facts,
                                     const KernelConfig& asked, TileCosts& costs,
                                     std::string& reason) const override {
    std::vector<PortableConfig> configs;
    if (asked.empty()) {
      configs = listed_configs(problem);
      const std::int64_t smallest =
          std::ranges::min(configs | std::views::transform([&](const auto& config) {
                             return config.local_memory(problem);
                           }));
      reason = fmt::format("the smallest tile needs {} bytes of local memory, the device has {}",
                           smallest, facts.local_memory_bytes);
    } else {
      configs = {PortableConfig::of(asked)};
    }
    std::erase_if(configs, [&](const PortableConfig& config) {
      const auto broken = violation_of(config, problem, facts);
      if (broken && !asked.empty()) reason = broken->reason;
      return broken.has_value();
    });
    if (configs.empty()) return std::nullopt;
    // The first one whose registers suffice, else the first one that works.
    std::ranges::stable_partition(
        configs, [&](const auto& config) { return config.fits_registers(problem); });
    const std::vector<TileSpeed> speeds = tile_speeds(configs, problem, facts);
    KernelChoice choice;
    std::size_t chosen = 0;
    if (costs.grid()) {
      const auto fitting = costs.fit_boxes(speeds, choice.tilings, reason);
      if (!fitting) return std::nullopt;
      chosen = *fitting;
      choice.predicted = choice.tilings.front().cost_flops;
    } else {
      if (has_seams(problem)) chosen = costs.fit_rows(speeds);
      choice.predicted = costs.time(speeds[chosen]);
    }
    const PortableConfig& config = configs[chosen];
    choice.id = config.id();
    choice.defines = config.defines();
    choice.config = config_of(choice.defines);
    choice.files = {"portable/attention.cl"};
    choice.tile = config.tile();
    choice.work_group_size = config.work_group();
    choice.local_memory_bytes = config.local_memory(problem);
    choice.dense_efficiency = 0.55;  // an H200's
    choice.why = "any OpenCL 1.2 device";
    if (asked.empty()) {
      choice.why += fmt::format("; the best tile within {} work-items and {} bytes of local memory",
                                facts.max_work_group_size, facts.local_memory_bytes);
    }
    return choice;
  }
};

}  // namespace

const Family& portable_family() {
  static const PortableFamily family;
  return family;
}

}  // namespace clattn
