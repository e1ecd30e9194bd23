// The cpu family's configuration: see kernels_cl/cpu/attention.cl for what each parameter does. The
// choices were measured on an AVX-512 machine; those for narrower vectors follow from the number of
// vector registers that such machines have.
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "host/planning/family.hpp"

namespace clattn {
namespace {

// A work-item's arrays lie on the stack of a thread of the OpenCL implementation.
constexpr std::int64_t kPrivateBytes = 256 * 1024;

struct CpuConfig {
  std::int64_t vector_width = 0;
  std::int64_t query_vectors = 0;
  std::int64_t query_panels = 0;
  std::int64_t key_block = 0;
  std::int64_t key_tile = 0;

  std::int64_t panel() const { return vector_width * query_vectors; }
  std::int64_t query_tile() const { return panel() * query_panels; }
  Tile tile() const { return {query_tile(), key_tile, panel()}; }
  std::int64_t private_bytes(const Problem& problem) const {
    const std::int64_t dims = problem.head_dim + problem.value_dim;
    return 4 * (query_tile() * (dims + 2) + key_tile * (dims + panel()));
  }
  std::string id() const {
    return fmt::format("w{}v{}p{}b{}k{}", vector_width, query_vectors, query_panels, key_block,
                       key_tile);
  }
  std::vector<std::pair<std::string, std::int64_t>> defines() const {
    return {{"VECTOR_WIDTH", vector_width},
            {"QUERY_VECTORS", query_vectors},
            {"QUERY_PANELS", query_panels},
            {"KEY_BLOCK", key_block},
            {"KEY_TILE", key_tile}};
  }
};

CpuConfig choose_dense_config(const Problem& problem, const DeviceFacts& facts) {
  CpuConfig config;
  // 32 registers of 16 floats, or 16 registers of 8 or 4: the accumulators leave a few free.
  config.vector_width = facts.native_float_width >= 16 ? 16 : facts.native_float_width >= 8 ? 8 : 4;
  config.key_block = config.vector_width == 16 ? 8 : 4;
  config.query_vectors = config.vector_width == 4 ? 2 : 3;
  const std::int64_t vectors = (problem.query_len + config.vector_width - 1) / config.vector_width;
  if (config.vector_width > 4) {
    config.query_vectors = std::clamp<std::int64_t>(vectors, 1, config.query_vectors);
  }
  // Panels share a packed key tile, which saves packing, as long as every core has a few tiles.
  const std::int64_t panels = (problem.query_len + config.panel() - 1) / config.panel();
  for (std::int64_t query_panels : {4, 2, 1}) {
    config.query_panels = query_panels;
    const std::int64_t tiles =
        (panels + query_panels - 1) / query_panels * problem.batch * problem.heads;
    if (query_panels > 1 && tiles < 4 * facts.compute_units) continue;
    for (std::int64_t key_tile : {64, 32, 16}) {
      config.key_tile = key_tile;
      if (config.private_bytes(problem) <= kPrivateBytes) return config;
    }
  }
  return config;  // one panel and 16 keys fit for every legal dimension
}

// Measured, dense attention of 64 dimensions: smaller panels are slower a lane, and packing a key
// costs as much as 8 lanes take for it.
constexpr double kVectorSpeed[] = {0, 0.80, 0.93, 1.0};
constexpr double kPackingLanes = 8;

// The largest configuration and those of smaller panels, and fewer of them.
std::vector<CpuConfig> smaller_configs(const CpuConfig& largest) {
  std::vector<CpuConfig> configs;
  // Panels of narrow vectors come in one size.
  const std::int64_t least = largest.vector_width == 4 ? largest.query_vectors : 1;
  for (std::int64_t vectors = largest.query_vectors; vectors >= least; --vectors) {
    for (std::int64_t panels = largest.query_panels; panels >= 1; panels /= 2) {
      CpuConfig& config = configs.emplace_back(largest);
      config.query_vectors = vectors;
      config.query_panels = panels;
    }
  }
  return configs;
}

double speed_of(const CpuConfig& config) {
  return config.vector_width == 4 ? 1.0 : kVectorSpeed[config.query_vectors];
}

// Blocks and documents are best met by rows of their size.
CpuConfig fit_rows(const Problem& problem, const CpuConfig& largest) {
  if (largest.vector_width == 4) return largest;
  CpuConfig best = largest;
  double least = std::numeric_limits<double>::infinity();
  for (const CpuConfig& config : smaller_configs(largest)) {
    // Panels that a tile's mask hides are not computed.
    const double lanes =
        tile_cost(problem, {config.panel(), config.key_tile, config.panel()}).pairs /
        speed_of(config);
    const double cost = lanes + tile_cost(problem, config.tile()).keys * kPackingLanes;
    if (cost >= least) continue;
    least = cost;
    best = config;
  }
  return best;
}

std::vector<TileSpeed> tile_speeds(const std::vector<CpuConfig>& configs) {
  std::vector<TileSpeed> speeds;
  for (const CpuConfig& config : configs) {
    TileSpeed& speed = speeds.emplace_back();
    speed.tile = config.tile();
    speed.speed = speed_of(config);
    speed.key_step = config.key_block;
    speed.key_queries = kPackingLanes;
    speed.mask_flops = 40;
    speed.flops_per_byte = 30;
  }
  return speeds;
}

class CpuFamily final : public Family {
 public:
  std::string name() const override { return "cpu"; }

  std::string rejection(const DeviceFacts& facts) const override {
    if (facts.kind == DeviceKind::cpu) return "";
    return fmt::format("the device is a {}, not a CPU", to_string(facts.kind));
  }

  std::optional<KernelChoice> choose(const Problem& problem, const std::optional<GridProblem>& grid,
                                     const DeviceFacts& facts, const PlanOptions& options,
                                     std::string& reason) const override {
    KernelChoice choice;
    CpuConfig config = choose_dense_config(problem, facts);
    if (grid) {
      const std::vector<CpuConfig> configs = smaller_configs(config);
      const auto fitting =
          fit_boxes(problem, *grid, options, tile_speeds(configs), choice.tilings, reason);
      if (!fitting) return std::nullopt;
      config = configs[*fitting];
    } else if (has_seams(problem)) {
      config = fit_rows(problem, config);
    }
    choice.id = config.id();
    choice.defines = config.defines();
    choice.files = {"cpu/attention.cl"};
    choice.tile = config.tile();
    choice.dealing = Dealing::binned;
    choice.dense_efficiency = 0.85;
    choice.why = fmt::format("the device is a CPU with vectors of {} floats", config.vector_width);
    return choice;
  }
};

}  // namespace

const Family& cpu_family() {
  static const CpuFamily family;
  return family;
}

}  // namespace clattn
