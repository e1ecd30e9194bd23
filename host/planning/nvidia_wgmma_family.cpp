// The nvidia_wgmma family's configurations: see kernels_cl/nvidia/wgmma.cl for what each parameter
// does. Which of them there are for a problem follows from what a work-item's registers and a
// work-group's local memory hold; which of those it gets, from counting what each would compute.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include "host/planning/family.hpp"
#include "host/planning/wgmma_statements.hpp"

namespace clattn {
namespace {

constexpr const char* kMarker = "//WG ";

struct WgmmaConfig {
  std::int64_t query_tile;
  std::int64_t key_tile;
  std::int64_t stages = 0;
  std::int64_t query_stages = 0;
  double speed = 0;  // to the best

  std::int64_t work_group() const { return 2 * query_tile + 128; }
  // Those of a compute unit, shared out among one warpgroup of producers and those of 64 queries.
  std::int64_t producer_registers() const { return query_tile == 192 ? 32 : 40; }
  std::int64_t consumer_registers() const { return query_tile == 192 ? 160 : 232; }
  // A warpgroup of 64 queries that there are not is idle.
  Tile tile(std::int64_t pack) const { return {query_tile / pack, key_tile, 64 / pack}; }

  static std::int64_t pieces(std::int64_t dim) { return (dim + 63) / 64; }
  // `boxes`: whether tiles are boxes of a grid, whose masks ask for the entries of keys.
  std::int64_t local_memory(const Problem& problem, bool boxes) const {
    const std::int64_t qk = pieces(problem.head_dim), v = pieces(problem.value_dim);
    const std::int64_t barriers = 8 * (4 * stages + 2 * query_stages);
    const std::int64_t runs = 16 * 32, rows = 32 * query_stages, next = 16;
    const std::int64_t entries = boxes ? 8 * stages * key_tile : 0;
    return 128 * (query_stages * query_tile * std::max(qk, v) + stages * key_tile * (qk + v)) +
           barriers + runs + rows + next + entries;
  }
  // The stages that the heuristic gives the tiles: the next row's queries are copied ahead where
  // there is room for them; what is left is for keys and values ahead.
  WgmmaConfig with_stages(const Problem& problem, const DeviceFacts& facts, bool boxes) const {
    WgmmaConfig config = *this;
    const auto fits = [&](std::int64_t stages, std::int64_t query_stages) {
      config.stages = stages;
      config.query_stages = query_stages;
      return config.local_memory(problem, boxes) <= facts.local_memory_bytes;
    };
    const std::int64_t query_stages = fits(2, 2) ? 2 : 1;
    std::int64_t stages = 2;
    while (stages < 4 && fits(stages + 1, query_stages)) ++stages;
    config.stages = stages;
    config.query_stages = query_stages;
    return config;
  }
  // Scores, weights and outputs must leave room for what else a consumer holds.
  std::int64_t registers(const Problem& problem) const {
    constexpr std::int64_t kOthers = 32;
    return key_tile / 2 + key_tile / 4 + problem.value_dim / 2 + kOthers;
  }
  Defines defines() const {
    return {{"QUERY_TILE", query_tile},
            {"KEY_TILE", key_tile},
            {"STAGES", stages},
            {"QUERY_STAGES", query_stages}};
  }
};

// What each parameter may be stands beside its macro.
std::optional<Violation> violation_of(const WgmmaConfig& config, const Problem& problem,
                                      const DeviceFacts& facts, bool boxes) {
  if (config.query_tile != 64 && config.query_tile != 128 && config.query_tile != 192) {
    return Violation{
        "range", fmt::format("query_tile is {}, but must be 64, 128 or 192", config.query_tile)};
  }
  if (config.key_tile < 16 || config.key_tile > 128 || config.key_tile % 16 != 0) {
    return Violation{"range", fmt::format("key_tile is {}, but must be a multiple of 16 up to 128",
                                          config.key_tile)};
  }
  if (config.stages < 2 || config.stages > 4) {
    return Violation{"range", fmt::format("stages is {}, but must be 2 to 4", config.stages)};
  }
  if (config.query_stages < 1 || config.query_stages > 2) {
    return Violation{"range",
                     fmt::format("query_stages is {}, but must be 1 or 2", config.query_stages)};
  }
  if (config.registers(problem) > config.consumer_registers()) {
    return Violation{
        "registers",
        fmt::format("{} registers of a consumer for {} keys and {} columns, at most {}",
                    config.registers(problem), config.key_tile, problem.value_dim,
                    config.consumer_registers())};
  }
  return device_violation(config.work_group(), config.local_memory(problem, boxes), facts);
}

// How many query heads of a key head share a row. Few queries leave most rows of a warpgroup idle,
// and each head would read all keys.
std::int64_t pack_of(const Problem& problem) {
  if (problem.blocks || problem.token_order || problem.mask->variation().head) return 1;
  const std::int64_t group = problem.heads / problem.kv_heads;
  const auto granules = [&](std::int64_t pack) {
    return problem.heads / pack * ((problem.query_len * pack + 63) / 64);
  };
  std::int64_t best = 1;
  for (std::int64_t pack = 2; pack <= 64; pack *= 2) {
    if (group % pack == 0 && double(granules(pack)) < 0.8 * double(granules(best))) best = pack;
  }
  return best;
}

// Tiles with the stages that there is room for; speeds are measured on an H200 where both hold the
// problem.
constexpr WgmmaConfig kConfigs[] = {
    {192, 128, 0, 0, 1.00}, {192, 112, 0, 0, 0.985}, {192, 96, 0, 0, 0.97},  {192, 80, 0, 0, 0.955},
    {192, 64, 0, 0, 0.905}, {128, 128, 0, 0, 0.905}, {128, 112, 0, 0, 0.89}, {128, 80, 0, 0, 0.80},
    {128, 64, 0, 0, 0.77},  {64, 128, 0, 0, 0.60},   {64, 64, 0, 0, 0.50},
};

// Speeds of tiles that are not listed lie on a line between those that are; below them steps are
// too short, the more so the shorter.
double speed_of_tile(std::int64_t query_tile, std::int64_t key_tile) {
  const WgmmaConfig* above = nullptr;
  for (const WgmmaConfig& config : kConfigs) {  // longer steps first
    if (config.query_tile != query_tile) continue;
    if (config.key_tile <= key_tile) {
      if (config.key_tile == key_tile) return config.speed;
      const double share =
          double(key_tile - config.key_tile) / double(above->key_tile - config.key_tile);
      return config.speed + share * (above->speed - config.speed);
    }
    above = &config;
  }
  return above->speed * std::sqrt(double(key_tile) / double(above->key_tile));
}

// The masks of boxes want registers, and long steps: measured on an H200, where tiles of three
// warpgroups, whose registers spill, and short ones are slower than the pairs they save.
void keep_for_boxes(std::vector<WgmmaConfig>& configs) {
  const auto keep_most = [&](auto member) {
    if (configs.empty()) return;
    const std::int64_t most = std::invoke(member, std::ranges::max(configs, {}, member));
    std::erase_if(configs,
                  [&](const WgmmaConfig& config) { return std::invoke(member, config) < most; });
  };
  keep_most(&WgmmaConfig::consumer_registers);
  keep_most(&WgmmaConfig::key_tile);
}

// What a tiling's time does not say of a configuration, and the heuristic need not ask: stages that
// are fewer than there is room for, and the tiles that boxes should not be.
double slowdown(const WgmmaConfig& config, const Problem& problem, const DeviceFacts& facts,
                bool boxes) {
  const WgmmaConfig usual = config.with_stages(problem, facts, boxes);
  double factor = 1;
  for (std::int64_t stages = config.stages; stages < usual.stages; ++stages) factor *= 1.03;
  if (config.query_stages < usual.query_stages) factor *= 1.03;
  if (boxes && config.consumer_registers() < 232) factor *= 1.25;
  if (boxes) factor *= std::sqrt(128 / double(config.key_tile));
  return factor;
}

// Rates measured on an H200.
TileSpeed speed_of(const WgmmaConfig& config, std::int64_t pack) {
  TileSpeed speed;
  speed.tile = config.tile(pack);
  speed.tile.granule = speed.tile.queries;  // an idle warpgroup hardly speeds up the others
  speed.speed = config.speed;
  speed.key_step = config.key_tile;
  speed.row_keys = 3 * double(config.key_tile);  // products wait for the first weights
  speed.gathering = 1.9;
  speed.copies_boxes = true;
  speed.mask_flops = 100;
  speed.flops_per_byte = 200;
  return speed;
}

// What the kernel has to know of tiles that are boxes of the tensors.
void add_boxes(const Tiling& tiling, const std::vector<std::int64_t>& grid, KernelChoice& choice) {
  if (tiling.tokens != TokenAccess::gathered || tiling.key_tile.empty()) return;
  choice.defines.emplace_back("BOXES", 1);
  const auto add = [&](const char* name, const std::vector<std::int64_t>& extents) {
    constexpr std::size_t kRank = 3;
    for (std::size_t axis = 0; axis < kRank; ++axis) {  // the last dimension first
      choice.defines.emplace_back(fmt::format("{}_{}", name, "XYZ"[axis]),
                                  axis < extents.size() ? extents[extents.size() - 1 - axis] : 1);
    }
  };
  add("GRID", grid);
  add("QUERY_BOX", tiling.query_tile);
  add("KEY_BOX", tiling.key_tile);
}

class NvidiaWgmmaFamily final : public Family {
 public:
  std::string name() const override { return "nvidia_wgmma"; }

  std::string rejection(const DeviceFacts& facts) const override {
    const auto found = facts.instruction_sets.find("wgmma");
    if (found != facts.instruction_sets.end()) return found->second;
    return "the device has no wgmma instructions (NVIDIA, compute capability 9.0)";
  }

  std::vector<Parameter> parameters(const Problem&, const DeviceFacts&) const override {
    return {{"query_tile", {64, 128, 192}},
            {"key_tile", {32, 48, 64, 80, 96, 112, 128}},
            {"stages", {2, 3, 4}},
            {"query_stages", {1, 2}}};
  }

  std::optional<Violation> violation(const KernelConfig& config, const Problem& problem,
                                     const DeviceFacts& facts, bool boxes) const override {
    return violation_of(asked_config(config), problem, facts, boxes);
  }

  std::optional<KernelChoice> choose(const Problem& problem, const DeviceFacts& facts,
                                     const KernelConfig& asked, TileCosts& costs,
                                     std::string& reason) const override {
    if (problem.data_type == DataType::f32) {
      reason = "tensor cores take f16 and bf16, not f32";
      return std::nullopt;
    }
    const bool boxes = costs.grid().has_value();
    const std::int64_t pack = boxes ? 1 : pack_of(problem);
    std::vector<WgmmaConfig> configs;
    if (asked.empty()) {
      for (const WgmmaConfig& tiles : kConfigs) {
        const WgmmaConfig config = tiles.with_stages(problem, facts, boxes);
        if (!violation_of(config, problem, facts, boxes)) configs.push_back(config);
      }
      if (boxes) keep_for_boxes(configs);
      reason = fmt::format("no tile of head_dim {} and value_dim {} fits {} bytes of local memory",
                           problem.head_dim, problem.value_dim, facts.local_memory_bytes);
    } else {
      WgmmaConfig config = asked_config(asked);
      if (const auto broken = violation_of(config, problem, facts, boxes)) {
        reason = broken->reason;
        return std::nullopt;
      }
      config.speed = speed_of_tile(config.query_tile, config.key_tile);
      configs = {config};
    }
    if (configs.empty()) return std::nullopt;
    std::vector<TileSpeed> speeds;
    for (const WgmmaConfig& config : configs) speeds.push_back(speed_of(config, pack));
    KernelChoice choice;
    const auto fitting =
        boxes ? costs.fit_boxes(speeds, choice.tilings, reason) : costs.fit_rows(speeds);
    if (!fitting) return std::nullopt;
    const WgmmaConfig& config = configs[*fitting];
    choice.predicted = (boxes ? choice.tilings.front().cost_flops : costs.time(speeds[*fitting])) *
                       slowdown(config, problem, facts, boxes);
    choice.id = fmt::format("q{}k{}s{}", config.query_tile, config.key_tile, config.stages);
    // Usually there are as many stages of queries as there is room for.
    if (config.query_stages != config.with_stages(problem, facts, boxes).query_stages) {
      choice.id += fmt::format("a{}", config.query_stages);
    }
    choice.defines = config.defines();
    choice.config = config_of(choice.defines);
    choice.defines.emplace_back("PRODUCER_REGISTERS", config.producer_registers());
    choice.defines.emplace_back("CONSUMER_REGISTERS", config.consumer_registers());
    if (boxes) {
      add_boxes(choice.tilings.front(), costs.grid()->slices.front().neighborhood->grid, choice);
    }
    choice.generated = {wgmma_statements({problem.data_type, config.query_tile, config.key_tile,
                                          problem.head_dim, problem.value_dim},
                                         kMarker)};
    choice.files = {"nvidia/ptx.cl", "nvidia/hopper.cl", "nvidia/wgmma_ring.cl",
                    "nvidia/wgmma_producer.cl", "nvidia/wgmma.cl"};
    // A compute unit runs one work-group, which the assembler must know before it takes setmaxnreg.
    const std::string launch = fmt::format(".reqntid {}, 1, 1", config.work_group());
    choice.patch = ProgramPatch{
        kMarker, {{".target sm_90,", ".target sm_90a,"}, {launch, launch + "\n.minnctapersm 1"}}};
    choice.scratch_bytes = 4 * 128;
    choice.dealing = Dealing::taken;
    choice.tile = config.tile(pack);
    choice.pack = pack;
    choice.work_group_size = config.work_group();
    choice.counts_registers = true;
    choice.local_memory_bytes = config.local_memory(problem, boxes);
    choice.why = "wgmma, asynchronous copies and warpgroups that share out the work";
    return choice;
  }

 private:
  static WgmmaConfig asked_config(const KernelConfig& asked) {
    return {asked.at("query_tile"), asked.at("key_tile"), asked.at("stages"),
            asked.at("query_stages")};
  }
};

}  // namespace

const Family& nvidia_wgmma_family() {
  static const NvidiaWgmmaFamily family;
  return family;
}

}  // namespace clattn
