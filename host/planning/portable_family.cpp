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
  // A work-item's scores and outputs, floats in registers: more than 64 of either tend to spill.
  bool fits_registers(const Problem& problem) const {
    const std::int64_t rows = query_tile / threads_q;
    const std::int64_t columns = (problem.value_dim / 4 + threads_k - 1) / threads_k;
    return rows * key_tile / threads_k <= 64 && rows * 4 * columns <= 64;
  }
  bool is_valid(const Problem& problem, const DeviceFacts& facts) const {
    return work_group() <= std::min(facts.max_work_group_size, facts.max_work_item_size) &&
           local_memory(problem) <= facts.local_memory_bytes;
  }
  std::string id() const {
    return fmt::format("t{}x{}q{}k{}d{}c{}", threads_q, threads_k, query_tile, key_tile,
                       depth_chunk, key_chunk);
  }
  std::vector<std::pair<std::string, std::int64_t>> defines() const {
    return {{"THREADS_Q", threads_q}, {"THREADS_K", threads_k},     {"QUERY_TILE", query_tile},
            {"KEY_TILE", key_tile},   {"DEPTH_CHUNK", depth_chunk}, {"KEY_CHUNK", key_chunk}};
  }
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

// Smaller tiles are slower: on an H200 (bench/README.md) those of 64 queries reach 0.91 of what 128
// do, and each further halving costs a third.
double speed_of(const PortableConfig& config) {
  const double halvings = std::max(0.0, std::log2(64.0 / double(config.query_tile)));
  return config.query_tile >= 128 ? 1.0 : 0.91 * std::pow(0.67, halvings);
}

std::vector<TileSpeed> tile_speeds(const std::vector<PortableConfig>& configs) {
  std::vector<TileSpeed> speeds;
  for (const PortableConfig& config : configs) {
    TileSpeed& speed = speeds.emplace_back();
    speed.tile = config.tile();
    speed.speed = speed_of(config);
    speed.key_step = config.key_tile;
    speed.mask_flops = 40;
    speed.flops_per_byte = 10;
  }
  return speeds;
}

class PortableFamily final : public Family {
 public:
  std::string name() const override { return "portable"; }

  std::string rejection(const DeviceFacts&) const override { return ""; }

  std::optional<KernelChoice> choose(const Problem& problem, const std::optional<GridProblem>& grid,
                                     const DeviceFacts& facts, const PlanOptions& options,
                                     std::string& reason) const override {
    std::vector<PortableConfig> configs;
    if (problem.query_len <= kShortConfig.query_tile) configs.push_back(kShortConfig);
    configs.insert(configs.end(), std::begin(kConfigs), std::end(kConfigs));
    for (PortableConfig& config : configs) {
      // Room for more dimensions than there are would be wasted; powers of two load fastest.
      const auto depth = std::bit_ceil(static_cast<std::uint64_t>(problem.head_dim));
      config.depth_chunk = std::min(config.depth_chunk, static_cast<std::int64_t>(depth));
    }
    const std::int64_t smallest =
        std::ranges::min(configs | std::views::transform([&](const auto& config) {
                           return config.local_memory(problem);
                         }));
    std::erase_if(configs, [&](const auto& config) { return !config.is_valid(problem, facts); });
    // The first one whose registers suffice, else the first one that works.
    std::ranges::stable_partition(
        configs, [&](const auto& config) { return config.fits_registers(problem); });
    if (configs.empty()) {
      reason = fmt::format("the smallest tile needs {} bytes of local memory, the device has {}",
                           smallest, facts.local_memory_bytes);
      return std::nullopt;
    }
    KernelChoice choice;
    const PortableConfig* config = &configs.front();
    if (grid) {
      const auto fitting =
          fit_boxes(problem, *grid, options, tile_speeds(configs), choice.tilings, reason);
      if (!fitting) return std::nullopt;
      config = &configs[*fitting];
    } else if (has_seams(problem)) {
      config = &configs[fit_rows(problem, tile_speeds(configs))];
    }
    choice.id = config->id();
    choice.defines = config->defines();
    choice.files = {"portable/attention.cl"};
    choice.tile = config->tile();
    choice.work_group_size = config->work_group();
    choice.local_memory_bytes = config->local_memory(problem);
    choice.dense_efficiency = 0.55;  // an H200's
    choice.why = fmt::format(
        "any OpenCL 1.2 device; the best tile within {} work-items and {} "
        "bytes of local memory",
        facts.max_work_group_size, facts.local_memory_bytes);
    return choice;
  }
};

}  // namespace

const Family& portable_family() {
  static const PortableFamily family;
  return family;
}

}  // namespace clattn
