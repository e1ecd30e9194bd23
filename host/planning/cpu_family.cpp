// The cpu family's configurations: see kernels_cl/cpu/attention.cl for what each parameter does.
// The choices were measured on an AVX-512 machine; those for narrower vectors follow from the
// number of vector registers that such machines have.
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
  Defines defines() const {
    return {{"VECTOR_WIDTH", vector_width},
            {"QUERY_VECTORS", query_vectors},
            {"QUERY_PANELS", query_panels},
            {"KEY_BLOCK", key_block},
            {"KEY_TILE", key_tile}};
  }
  static CpuConfig of(const KernelConfig& config) {
    return {config.at("vector_width"), config.at("query_vectors"), config.at("query_panels"),
            config.at("key_block"), config.at("key_tile")};
  }
  std::optional<Violation> violation(const Problem& problem) const {
    if (vector_width != 4 && vector_width != 8 && vector_width != 16) {
      return Violation{"range",
                       fmt::format("vector_width is {}, but must be 4, 8 or 16", vector_width)};
    }
    if (key_block != 4 && key_block != 8) {
      return Violation{"range", fmt::format("key_block is {}, but must be 4 or 8", key_block)};
    }
    for (const auto& [name, value] :
         {std::pair("query_vectors", query_vectors), {"query_panels", query_panels}}) {
      if (value >= 1 && value <= 8) continue;
      return Violation{"range", fmt::format("{} is {}, but must be 1 to 8", name, value)};
    }
    if (key_tile < 1 || key_tile > kPrivateBytes || key_tile % key_block != 0) {
      return Violation{"divides", fmt::format("key_tile {} is no multiple of key_block {} up to {}",
                                              key_tile, key_block, kPrivateBytes)};
    }
    if (panel() % 8 != 0) {
      return Violation{"divides",
                       fmt::format("query_vectors {} times vector_width {} is no multiple of 8",
                                   query_vectors, vector_width)};
    }
    if (private_bytes(problem) > kPrivateBytes) {
      return Violation{"private memory",
                       fmt::format("{} bytes of private memory, a work-item may have {}",
                                   private_bytes(problem), kPrivateBytes)};
    }
    return std::nullopt;
  }
};

// Floats in a vector register, as far as the kernel has vectors for them.
std::int64_t native_width(const DeviceFacts& facts) {
  return facts.native_float_width >= 16 ? 16 : facts.native_float_width >= 8 ? 8 : 4;
}

std::int64_t native_key_block(std::int64_t width) { return width == 16 ? 8 : 4; }

CpuConfig choose_dense_config(const Problem& problem, const DeviceFacts& facts) {
  CpuConfig config;
  // 32 registers of 16 floats, or 16 registers of 8 or 4: the accumulators leave a few free.
  config.vector_width = native_width(facts);
  config.key_block = native_key_block(config.vector_width);
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

// Of vectors of the native width, to the best. The others: narrower ones leave lanes idle, wider
// ones take several registers; accumulators that find no register are loaded and stored, and half
// as many as there could be cost as much as a panel of two vectors instead of three does.
double speed_of(const CpuConfig& config, std::int64_t native) {
  const std::int64_t vectors = std::min<std::int64_t>(config.query_vectors, 3);
  double speed = config.vector_width == 4 ? 1.0 : kVectorSpeed[vectors];
  if (config.vector_width < native) speed *= double(config.vector_width) / double(native);
  if (config.key_block < native_key_block(native)) speed *= kVectorSpeed[2];
  const std::int64_t registers = native == 16 ? 32 : 16;
  const std::int64_t needed = (config.key_block * config.query_vectors + config.query_vectors + 1) *
                              std::max<std::int64_t>(config.vector_width / native, 1);
  if (needed > registers) speed *= double(registers) / double(needed);
  return speed;
}

// Each tile of keys rescales the outputs, for as long as about two more keys take: nothing that the
// heuristic asks, all of whose tiles have the same keys.
double with_rescaling(double time, const CpuConfig& config) {
  return time * (1 + 2 / double(config.key_tile));
}

// Where tokens stay in place: panels that a tile's mask hides are not computed.
double time_in_place(const CpuConfig& config, std::int64_t native, TileCosts& costs) {
  const double lanes = costs.cost({config.panel(), config.key_tile, config.panel()}).pairs /
                       speed_of(config, native);
  return lanes + costs.cost(config.tile()).keys * kPackingLanes;
}

// Blocks and documents are best met by rows of their size.
CpuConfig fit_rows(const CpuConfig& largest, std::int64_t native, TileCosts& costs) {
  if (largest.vector_width == 4) return largest;
  CpuConfig best = largest;
  double least = std::numeric_limits<double>::infinity();
  for (const CpuConfig& config : smaller_configs(largest)) {
    const double time = time_in_place(config, native, costs);
    if (time >= least) continue;
    least = time;
    best = config;
  }
  return best;
}

std::vector<TileSpeed> tile_speeds(const std::vector<CpuConfig>& configs, std::int64_t native) {
  std::vector<TileSpeed> speeds;
  for (const CpuConfig& config : configs) {
    TileSpeed& speed = speeds.emplace_back();
    speed.tile = config.tile();
    speed.speed = speed_of(config, native);
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

  // Vectors of the device's width, and of half of it, which some compilers prefer. No more queries
  // than there are.
  std::vector<Parameter> parameters(const Problem& problem,
                                    const DeviceFacts& facts) const override {
    const std::int64_t native = native_width(facts), narrow = std::max<std::int64_t>(native / 2, 4);
    Parameter width{"vector_width", {narrow, native}};
    if (narrow == native) width.values.pop_back();
    Parameter vectors{"query_vectors", {1, 2, 3, 4, 5, 6}}, panels{"query_panels", {1, 2, 4, 8}};
    for (Parameter* parameter : {&vectors, &panels}) {
      std::erase_if(parameter->values, [&](std::int64_t value) {
        return value > 1 && (value - 1) * narrow >= problem.query_len;
      });
    }
    return {width, vectors, panels, {"key_block", {4, 8}}, {"key_tile", {16, 32, 64, 128}}};
  }

  std::optional<Violation> violation(const KernelConfig& config, const Problem& problem,
                                     const DeviceFacts&, bool) const override {
    return CpuConfig::of(config).violation(problem);
  }

  std::optional<KernelChoice> choose(const Problem& problem, const DeviceFacts& facts,
                                     const KernelConfig& asked, TileCosts& costs,
                                     std::string& reason) const override {
    KernelChoice choice;
    CpuConfig config = asked.empty() ? choose_dense_config(problem, facts) : CpuConfig::of(asked);
    if (const auto broken = config.violation(problem)) {
      reason = broken->reason;
      return std::nullopt;
    }
    const std::int64_t native = native_width(facts);
    if (costs.grid()) {
      const std::vector<CpuConfig> configs =
          asked.empty() ? smaller_configs(config) : std::vector{config};
      const auto fitting = costs.fit_boxes(tile_speeds(configs, native), choice.tilings, reason);
      if (!fitting) return std::nullopt;
      config = configs[*fitting];
      choice.predicted = choice.tilings.front().cost_flops;
    } else {
      if (asked.empty() && has_seams(problem)) config = fit_rows(config, native, costs);
      choice.predicted = time_in_place(config, native, costs);
    }
    choice.predicted = with_rescaling(choice.predicted, config);
    choice.id = config.id();
    choice.defines = config.defines();
    choice.config = config_of(choice.defines);
    choice.files = {"cpu/attention.cl"};
    choice.tile = config.tile();
    choice.dealing = Dealing::binned;
    choice.dense_efficiency = 0.85;
    choice.why = fmt::format("the device is a CPU with vectors of {} floats", native);
    return choice;
  }
};

}  // namespace

const Family& cpu_family() {
  static const CpuFamily family;
  return family;
}

}  // namespace clattn
