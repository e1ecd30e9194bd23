// The nvidia_wgmma family's configurations: see kernels_cl/nvidia/wgmma.cl for what each parameter
// does. Which of them there are for a problem follows from what a work-item's registers and a
// work-group's local memory hold; which of those it gets, from counting what each would compute.
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "host/planning/family.hpp"
#include "host/planning/wgmma_statements.hpp"

namespace clattn {
namespace {

constexpr const char* kMarker = "//WG ";

struct WgmmaConfig {
  std::int64_t query_tile;
  std::int64_t key_tile;
  std::int64_t producer_registers;
  std::int64_t consumer_registers;
  double speed;  // to the best, measured on an H200 where both hold the problem

  std::int64_t work_group() const { return 2 * query_tile + 128; }
  // A warpgroup of 64 queries that there are not is idle.
  Tile tile(std::int64_t pack) const { return {query_tile / pack, key_tile, 64 / pack}; }

  static std::int64_t pieces(std::int64_t dim) { return (dim + 63) / 64; }
  // `boxes`: whether tiles are boxes of a grid, whose masks ask for the entries of keys.
  std::int64_t local_memory(const Problem& problem, std::int64_t stages, std::int64_t query_stages,
                            bool boxes) const {
    const std::int64_t qk = pieces(problem.head_dim), v = pieces(problem.value_dim);
    const std::int64_t barriers = 8 * (4 * stages + 2 * query_stages);
    const std::int64_t runs = 16 * 32, rows = 32 * query_stages, next = 16;
    const std::int64_t entries = boxes ? 8 * stages * key_tile : 0;
    return 128 * (query_stages * query_tile * std::max(qk, v) + stages * key_tile * (qk + v)) +
           barriers + runs + rows + next + entries;
  }
  // The next row's queries are copied ahead where there is room for them; what is left is for keys
  // and values ahead.
  std::int64_t query_stages(const Problem& problem, const DeviceFacts& facts, bool boxes) const {
    return local_memory(problem, 2, 2, boxes) <= facts.local_memory_bytes ? 2 : 1;
  }
  std::int64_t stages(const Problem& problem, const DeviceFacts& facts, bool boxes) const {
    std::int64_t stages = 2;
    while (stages < 4 && local_memory(problem, stages + 1, query_stages(problem, facts, boxes),
                                      boxes) <= facts.local_memory_bytes) {
      ++stages;
    }
    return stages;
  }
  // Scores, weights and outputs must leave room for what else a consumer holds.
  bool fits_registers(const Problem& problem) const {
    constexpr std::int64_t kOthers = 32;
    return key_tile / 2 + key_tile / 4 + problem.value_dim / 2 + kOthers <= consumer_registers;
  }
  bool is_valid(const Problem& problem, const DeviceFacts& facts, bool boxes) const {
    return work_group() <= std::min(facts.max_work_group_size, facts.max_work_item_size) &&
           local_memory(problem, 2, 1, boxes) <= facts.local_memory_bytes &&
           fits_registers(problem);
  }
};

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

constexpr WgmmaConfig kConfigs[] = {
    {192, 128, 32, 160, 1.00}, {192, 112, 32, 160, 0.985}, {192, 96, 32, 160, 0.97},
    {192, 80, 32, 160, 0.955}, {192, 64, 32, 160, 0.905},  {128, 128, 40, 232, 0.905},
    {128, 112, 40, 232, 0.89}, {128, 80, 40, 232, 0.80},   {128, 64, 40, 232, 0.77},
    {64, 128, 40, 232, 0.60},  {64, 64, 40, 232, 0.50},
};

// The masks of boxes want registers, and long steps: measured on an H200, where tiles of three
// warpgroups, whose registers spill, and short ones are slower than the pairs they save.
void keep_for_boxes(std::vector<WgmmaConfig>& configs) {
  const auto keep_most = [&](std::int64_t WgmmaConfig::*member) {
    if (configs.empty()) return;
    const std::int64_t most = std::ranges::max(configs, {}, member).*member;
    std::erase_if(configs, [&](const WgmmaConfig& config) { return config.*member < most; });
  };
  keep_most(&WgmmaConfig::consumer_registers);
  keep_most(&WgmmaConfig::key_tile);
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

  std::optional<KernelChoice> choose(const Problem& problem, const std::optional<GridProblem>& grid,
                                     const DeviceFacts& facts, const PlanOptions& options,
                                     std::string& reason) const override {
    if (problem.data_type == DataType::f32) {
      reason = "tensor cores take f16 and bf16, not f32";
      return std::nullopt;
    }
    const std::int64_t pack = grid ? 1 : pack_of(problem);
    std::vector<WgmmaConfig> configs;
    for (const WgmmaConfig& config : kConfigs) {
      if (config.is_valid(problem, facts, grid.has_value())) configs.push_back(config);
    }
    if (grid) keep_for_boxes(configs);
    if (configs.empty()) {
      reason = fmt::format("no tile of head_dim {} and value_dim {} fits {} bytes of local memory",
                           problem.head_dim, problem.value_dim, facts.local_memory_bytes);
      return std::nullopt;
    }
    std::vector<TileSpeed> speeds;
    for (const WgmmaConfig& config : configs) speeds.push_back(speed_of(config, pack));
    KernelChoice choice;
    const auto fitting = grid ? fit_boxes(problem, *grid, options, speeds, choice.tilings, reason)
                              : fit_rows(problem, speeds);
    if (!fitting) return std::nullopt;
    const WgmmaConfig& config = configs[*fitting];
    const std::int64_t query_stages = config.query_stages(problem, facts, grid.has_value());
    const std::int64_t stages = config.stages(problem, facts, grid.has_value());
    choice.id = fmt::format("q{}k{}s{}", config.query_tile, config.key_tile, stages);
    choice.defines = {{"QUERY_TILE", config.query_tile},
                      {"KEY_TILE", config.key_tile},
                      {"STAGES", stages},
                      {"QUERY_STAGES", query_stages},
                      {"PRODUCER_REGISTERS", config.producer_registers},
                      {"CONSUMER_REGISTERS", config.consumer_registers}};
    if (grid) add_boxes(choice.tilings.front(), grid->slices.front().neighborhood->grid, choice);
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
    choice.local_memory_bytes =
        config.local_memory(problem, stages, query_stages, grid.has_value());
    choice.why = "wgmma, asynchronous copies and warpgroups that share out the work";
    return choice;
  }
};

}  // namespace

const Family& nvidia_wgmma_family() {
  static const NvidiaWgmmaFamily family;
  return family;
}

}  // namespace clattn
