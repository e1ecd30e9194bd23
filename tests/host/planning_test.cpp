// The planner's decisions over made-up devices: every choice must be legal for its kernel and fit
// the device, for every head and value dimension.
#include <clattn/engine.hpp>
#include <map>

#include "host/planning/family.hpp"
#include "tests/support.hpp"

namespace clattn {
namespace {

using test::expect_error;

DeviceFacts gpu(std::int64_t work_items, std::int64_t local_memory) {
  DeviceFacts facts;
  facts.name = "made-up GPU";
  facts.kind = DeviceKind::gpu;
  facts.compute_units = 16;
  facts.max_work_group_size = facts.max_work_item_size = work_items;
  facts.local_memory_reported = facts.local_memory_bytes = local_memory;
  return facts;
}

DeviceFacts cpu(int width) {
  DeviceFacts facts = gpu(4096, 256 * 1024);
  facts.name = "made-up CPU";
  facts.kind = DeviceKind::cpu;
  facts.native_float_width = width;
  return facts;
}

DeviceFacts nvidia(int compute_capability, std::int64_t local_memory) {
  DeviceFacts facts = gpu(1024, local_memory);
  facts.name = "made-up NVIDIA GPU";
  facts.compute_capability = compute_capability;
  facts.instruction_sets = {{"mma", ""}};
  return facts;
}

Problem make_problem(std::int64_t head_dim, std::int64_t value_dim, std::int64_t length = 1000) {
  Problem problem;
  problem.query_len = problem.key_len = length;
  problem.head_dim = head_dim;
  problem.value_dim = value_dim;
  return problem;
}

std::map<std::string, std::int64_t> defines_of(const KernelChoice& choice) {
  const std::map<std::string, std::int64_t> result(choice.defines.begin(), choice.defines.end());
  EXPECT_EQ(result.size(), choice.defines.size()) << "a macro is defined twice";
  return result;
}

// Why a decision is not for a family; empty if it is.
std::string reason_against(const Decision& decision, const std::string& family) {
  for (const std::string& rejected : decision.rejected) {
    if (rejected.starts_with(family + ": ")) return rejected.substr(family.size() + 2);
  }
  return "";
}

// The legal values beside each macro of kernels_cl/portable/attention.cl, and its local memory.
void check_portable(const KernelChoice& choice, const Problem& problem, const DeviceFacts& facts) {
  const auto defines = defines_of(choice);
  const std::int64_t threads_q = defines.at("THREADS_Q"), threads_k = defines.at("THREADS_K");
  const std::int64_t query_tile = defines.at("QUERY_TILE"), key_tile = defines.at("KEY_TILE");
  const std::int64_t depth = defines.at("DEPTH_CHUNK"), keys = defines.at("KEY_CHUNK");
  EXPECT_EQ(choice.tile.queries, query_tile);
  EXPECT_EQ(choice.tile.keys, key_tile);
  EXPECT_EQ(choice.work_group_size, threads_q * threads_k);
  EXPECT_LE(choice.work_group_size, facts.max_work_group_size);
  EXPECT_LE(choice.work_group_size, facts.max_work_item_size);
  EXPECT_EQ(query_tile % threads_q, 0);
  EXPECT_EQ(key_tile % threads_k, 0);
  EXPECT_EQ(key_tile % 8, 0);
  EXPECT_EQ(depth % 8, 0);
  EXPECT_EQ(keys % 4, 0);
  EXPECT_EQ(key_tile % keys, 0);
  const std::int64_t needed =
      16 * (query_tile * (problem.head_dim / 4 + 1) + query_tile * (key_tile / 4 + 1) +
            query_tile * ((threads_k + 3) / 4) +
            std::max(key_tile * (depth / 4 + 1), keys * (problem.value_dim / 4 + 1)));
  EXPECT_EQ(choice.local_memory_bytes, needed);
  EXPECT_LE(needed, facts.local_memory_bytes);
}

TEST(PortableFamily, EveryDimensionFitsEveryDevice) {
  for (const DeviceFacts& facts : {gpu(256, 16 << 10), gpu(1024, 48 << 10), gpu(1024, 224 << 10),
                                   gpu(64, 32 << 10), gpu(1, 16 << 10), cpu(8)}) {
    for (std::int64_t head_dim = 8; head_dim <= 256; head_dim += 8) {
      for (std::int64_t value_dim = 8; value_dim <= 256; value_dim += 8) {
        const Problem problem = make_problem(head_dim, value_dim);
        const Decision decision = decide(problem, facts, {"portable"});
        ASSERT_NE(decision.family, nullptr) << head_dim << ", " << value_dim;
        check_portable(decision.choice, problem, facts);
        if (testing::Test::HasFailure()) FAIL() << head_dim << ", " << value_dim;
      }
    }
  }
}

TEST(PortableFamily, FitsShortSequencesToo) {
  for (const DeviceFacts& facts : {gpu(256, 16 << 10), gpu(1024, 48 << 10), gpu(1, 16 << 10)}) {
    for (std::int64_t length : {1, 15, 16, 17, 100}) {
      for (std::int64_t dim : {8, 64, 128, 256}) {
        const Problem problem = make_problem(dim, 264 - dim, length);
        const Decision decision = decide(problem, facts, {"portable"});
        ASSERT_NE(decision.family, nullptr) << length << ", " << dim;
        check_portable(decision.choice, problem, facts);
      }
    }
  }
}

TEST(PortableFamily, ALimitAlongTheFirstDimensionCounts) {
  DeviceFacts facts = gpu(1024, 64 << 10);
  facts.max_work_item_size = 8;
  EXPECT_LE(decide(make_problem(64, 64), facts, {}).choice.work_group_size, 8);
}

TEST(PortableFamily, TooLittleLocalMemoryIsRejectedWithBothNumbers) {
  const Decision decision = decide(make_problem(256, 256), gpu(256, 4096), {"portable"});
  EXPECT_EQ(decision.family, nullptr);
  const std::string reason = reason_against(decision, "portable");
  EXPECT_NE(reason.find("the device has 4096"), std::string::npos) << reason;
  EXPECT_NE(reason.find("bytes of local memory"), std::string::npos) << reason;
  EXPECT_EQ(decision.category, ErrorCategory::device_limit);
}

// The legal values beside each macro of kernels_cl/nvidia/mma_tiles.cl, and the local memory of
// mma.cl.
void check_mma(const KernelChoice& choice, const Problem& problem, const DeviceFacts& facts) {
  const auto defines = defines_of(choice);
  const std::int64_t query_tile = defines.at("QUERY_TILE"), key_tile = defines.at("KEY_TILE");
  const std::int64_t warps = defines.at("WARPS");
  EXPECT_EQ(choice.tile.queries, query_tile);
  EXPECT_EQ(choice.tile.keys, key_tile);
  EXPECT_EQ(choice.work_group_size, 32 * warps);
  EXPECT_LE(choice.work_group_size, facts.max_work_group_size);
  EXPECT_GE(warps, 1);
  EXPECT_LE(warps, 32);
  EXPECT_TRUE(query_tile == 16 * warps || query_tile == 32 * warps) << query_tile;
  EXPECT_EQ(key_tile % 16, 0);
  EXPECT_GE(key_tile, 16);
  EXPECT_LE(key_tile, 64);
  EXPECT_LE(query_tile / (16 * warps) * (key_tile + problem.value_dim) / 2, 176);
  const auto stride = [](std::int64_t chunks) { return chunks % 8 == 0 ? chunks : chunks | 1; };
  const std::int64_t key_stride = stride(problem.head_dim / 8),
                     value_stride = stride(problem.value_dim / 8);
  const std::int64_t needed =
      16 * (query_tile * key_stride + 2 * key_tile * (key_stride + value_stride));
  EXPECT_EQ(choice.local_memory_bytes, needed);
  EXPECT_LE(needed, facts.local_memory_bytes);
}

TEST(NvidiaMmaFamily, EveryDimensionFitsEveryDevice) {
  for (const DeviceFacts& facts :
       {nvidia(80, 48 << 10), nvidia(86, 99 << 10), nvidia(90, 224 << 10)}) {
    for (std::int64_t head_dim = 8; head_dim <= 256; head_dim += 8) {
      for (std::int64_t value_dim = 8; value_dim <= 256; value_dim += 8) {
        for (std::int64_t length : {1, 64, 1000}) {
          Problem problem = make_problem(head_dim, value_dim, length);
          problem.data_type = head_dim % 16 ? DataType::f16 : DataType::bf16;
          const Decision decision = decide(problem, facts, {"nvidia_mma"});
          ASSERT_NE(decision.family, nullptr) << head_dim << ", " << value_dim;
          check_mma(decision.choice, problem, facts);
          if (testing::Test::HasFailure()) FAIL() << head_dim << ", " << value_dim;
        }
      }
    }
  }
}

TEST(NvidiaMmaFamily, FitsTheTileToSeams) {
  Problem problem = make_problem(128, 128);
  problem.data_type = DataType::bf16;
  const DeviceFacts facts = nvidia(90, 224 << 10);
  EXPECT_EQ(decide(problem, facts, {"nvidia_mma"}).choice.tile.queries, 128);
  for (std::int64_t block : {64, 128}) {
    problem.blocks = BlockShape{block, 128};
    const Decision decision = decide(problem, facts, {"nvidia_mma"});
    check_mma(decision.choice, problem, facts);
    EXPECT_EQ(decision.choice.tile.queries, block);
  }
  problem.blocks.reset();
  problem.query_len = 1;
  EXPECT_EQ(decide(problem, facts, {"nvidia_mma"}).choice.tile.queries, 64);
}

TEST(NvidiaMmaFamily, SaysWhatKeepsItOff) {
  Problem problem = make_problem(64, 64);
  problem.data_type = DataType::f16;
  const auto reason = [&](const DeviceFacts& facts) {
    const Decision decision = decide(problem, facts, {"nvidia_mma"});
    EXPECT_EQ(decision.family, nullptr);
    return reason_against(decision, "nvidia_mma");
  };
  EXPECT_EQ(reason(gpu(1024, 48 << 10)), "the device is not NVIDIA's");
  EXPECT_NE(reason(nvidia(75, 48 << 10)).find("7.5"), std::string::npos);
  DeviceFacts facts = nvidia(80, 48 << 10);
  facts.instruction_sets.clear();
  EXPECT_NE(reason(facts).find("not tried"), std::string::npos);
  facts.instruction_sets = {{"mma", "wrong results"}};
  EXPECT_EQ(reason(facts), "wrong results");
  EXPECT_NE(reason(nvidia(80, 2 << 10)).find("2048"), std::string::npos);
  problem.data_type = DataType::f32;
  EXPECT_NE(reason(nvidia(80, 48 << 10)).find("f32"), std::string::npos);
}

TEST(NvidiaMmaFamily, IsPreferredToThePortableOne) {
  Problem problem = make_problem(64, 64);
  problem.data_type = DataType::f16;
  EXPECT_EQ(decide(problem, nvidia(86, 48 << 10), {}).family->name(), "nvidia_mma");
  problem.data_type = DataType::f32;
  EXPECT_EQ(decide(problem, nvidia(86, 48 << 10), {}).family->name(), "portable");
}

// The legal values beside each macro of kernels_cl/nvidia/wgmma_ring.cl, and its LOCAL_BYTES.
void check_wgmma(const KernelChoice& choice, const Problem& problem, const DeviceFacts& facts) {
  const auto defines = defines_of(choice);
  const std::int64_t query_tile = defines.at("QUERY_TILE"), key_tile = defines.at("KEY_TILE");
  const std::int64_t stages = defines.at("STAGES"), query_stages = defines.at("QUERY_STAGES");
  const std::int64_t consumers = query_tile / 64;
  EXPECT_EQ(query_tile % 64, 0);
  EXPECT_EQ(choice.tile.queries * choice.pack, query_tile);
  EXPECT_EQ(choice.tile.granule * choice.pack, 64);
  EXPECT_EQ(choice.tile.keys, key_tile);
  EXPECT_EQ(key_tile % 16, 0);
  EXPECT_LE(key_tile, 128);
  EXPECT_TRUE(stages >= 2 && stages <= 4) << stages;
  EXPECT_TRUE(query_stages == 1 || query_stages == 2) << query_stages;
  EXPECT_EQ(choice.work_group_size, 128 * (consumers + 1));
  EXPECT_LE(choice.work_group_size, facts.max_work_group_size);
  for (const char* name : {"PRODUCER_REGISTERS", "CONSUMER_REGISTERS"}) {
    EXPECT_EQ(defines.at(name) % 8, 0);
    EXPECT_GE(defines.at(name), 24);
    EXPECT_LE(defines.at(name), 256);
  }
  EXPECT_LE(defines.at("PRODUCER_REGISTERS") + consumers * defines.at("CONSUMER_REGISTERS"), 512);
  const std::int64_t keys = (problem.head_dim + 63) / 64, values = (problem.value_dim + 63) / 64;
  const std::int64_t tiles = 128 * (query_stages * query_tile * std::max(keys, values) +
                                    stages * key_tile * (keys + values));
  EXPECT_GE(choice.local_memory_bytes, tiles + 32 * stages + 16 * query_stages + 16 * 32);
  EXPECT_LE(choice.local_memory_bytes, facts.local_memory_bytes);
}

DeviceFacts hopper() {
  DeviceFacts facts = nvidia(90, 227 << 10);
  facts.instruction_sets = {{"mma", ""}, {"wgmma", ""}};
  return facts;
}

Problem half_problem(std::int64_t head_dim, std::int64_t value_dim, std::int64_t length) {
  Problem problem = make_problem(head_dim, value_dim, length);
  problem.data_type = DataType::bf16;
  return problem;
}

TEST(NvidiaWgmmaFamily, EveryDimensionFits) {
  for (std::int64_t head_dim = 8; head_dim <= 256; head_dim += 8) {
    for (std::int64_t value_dim = 8; value_dim <= 256; value_dim += 8) {
      for (std::int64_t length : {1, 64, 1000, 9000}) {
        const Problem problem = half_problem(head_dim, value_dim, length);
        const Decision decision = decide(problem, hopper(), {});
        ASSERT_NE(decision.family, nullptr) << head_dim << ", " << value_dim;
        EXPECT_EQ(decision.family->name(), "nvidia_wgmma");
        check_wgmma(decision.choice, problem, hopper());
        if (testing::Test::HasFailure()) FAIL() << head_dim << ", " << value_dim;
      }
    }
  }
}

TEST(NvidiaWgmmaFamily, PacksTheHeadsOfFewQueries) {
  const auto pack_of = [](Problem problem, std::int64_t heads, std::int64_t kv_heads,
                          std::int64_t query_len) {
    problem.heads = heads;
    problem.kv_heads = kv_heads;
    problem.query_len = query_len;
    const Decision decision = decide(problem, hopper(), {});
    check_wgmma(decision.choice, problem, hopper());
    return decision.choice.pack;
  };
  const Problem problem = half_problem(128, 128, 4096);
  EXPECT_EQ(pack_of(problem, 32, 8, 1), 4);
  EXPECT_EQ(pack_of(problem, 64, 1, 1), 64);
  EXPECT_EQ(pack_of(problem, 32, 8, 32), 2) << "two heads fill a warpgroup";
  EXPECT_EQ(pack_of(problem, 24, 2, 1), 4) << "a divisor of 12 and of 64";
  EXPECT_EQ(pack_of(problem, 21, 3, 1), 1);
  EXPECT_EQ(pack_of(problem, 32, 32, 1), 1);
  EXPECT_EQ(pack_of(problem, 32, 8, 4096), 1);
  Problem blocks = problem;
  blocks.blocks = BlockShape{128, 128};
  EXPECT_EQ(pack_of(blocks, 32, 8, 1), 1);
}

TEST(NvidiaWgmmaFamily, TakesBoxesOfTensorsThatTheGridIsMadeOf) {
  const auto neighborhood_of = [](std::vector<std::int64_t> grid,
                                  std::vector<std::int64_t> window) {
    Neighborhood neighborhood;
    neighborhood.grid = std::move(grid);
    neighborhood.window = std::move(window);
    return neighborhood;
  };
  const auto decide_for = [](Neighborhood neighborhood, std::int64_t extra, Layout layout) {
    std::int64_t tokens = 1;
    for (std::int64_t extent : neighborhood.grid) tokens *= extent;
    Problem problem = half_problem(64, 64, tokens);
    problem.key_len += extra;
    problem.batch = problem.heads = problem.kv_heads = 2;
    problem.layout = layout;
    neighborhood.extra_keys = extra;
    problem.mask = neighborhood_mask(neighborhood);
    const Decision decision = decide(problem, hopper(), {.tokens = TokenAccess::gathered});
    check_wgmma(decision.choice, problem, hopper());
    return decision.choice;
  };
  const auto product = [](const std::vector<std::int64_t>& tile) {
    std::int64_t result = 1;
    for (std::int64_t extent : tile) result *= extent;
    return result;
  };
  for (const Neighborhood& neighborhood :
       {neighborhood_of({48, 80}, {25, 41}), neighborhood_of({6, 16, 24}, {5, 9, 9}),
        neighborhood_of({5, 8, 16}, {5, 5, 5})}) {
    const std::vector<std::int64_t>& grid = neighborhood.grid;
    const KernelChoice choice = decide_for(neighborhood, 0, Layout::bhld);
    const Tiling& tiling = choice.tilings.front();
    EXPECT_EQ(tiling.tokens, TokenAccess::gathered);
    EXPECT_EQ(product(tiling.query_tile), choice.tile.queries);
    ASSERT_EQ(product(tiling.key_tile), choice.tile.keys);
    const auto defines = defines_of(choice);
    EXPECT_EQ(defines.at("BOXES"), 1);
    const char* const axes[] = {"X", "Y", "Z"};
    for (std::size_t axis = 0; axis < 3; ++axis) {
      const bool exists = axis < grid.size();
      const std::size_t d = exists ? grid.size() - 1 - axis : 0;
      const auto extent = [&](const char* name) {
        return defines.at(std::string(name) + axes[axis]);
      };
      EXPECT_EQ(extent("GRID_"), exists ? grid[d] : 1);
      EXPECT_EQ(extent("QUERY_BOX_"), exists ? tiling.query_tile[d] : 1);
      EXPECT_EQ(extent("KEY_BOX_"), exists ? tiling.key_tile[d] : 1);
      EXPECT_EQ(extent("GRID_") % extent("QUERY_BOX_"), 0);
      EXPECT_EQ(extent("GRID_") % extent("KEY_BOX_"), 0);
    }
  }
  // What a box of the tensors cannot be.
  const auto one_by_one = [&](const KernelChoice& choice) {
    return choice.tilings.front().key_tile.empty() && !defines_of(choice).contains("BOXES");
  };
  const Neighborhood even = neighborhood_of({48, 80}, {25, 41});
  EXPECT_TRUE(one_by_one(decide_for(neighborhood_of({47, 79}, {25, 41}), 0, Layout::bhld)))
      << "nothing divides the grid";
  EXPECT_TRUE(one_by_one(decide_for(even, 3, Layout::bhld))) << "extra keys";
  Neighborhood dilated = even;
  dilated.dilation = {2, 1};
  dilated.window = {23, 41};
  EXPECT_TRUE(one_by_one(decide_for(dilated, 0, Layout::bhld))) << "dilation";
  EXPECT_TRUE(one_by_one(decide_for(even, 0, Layout::blhd))) << "heads of two batches are no axis";
}

TEST(NvidiaWgmmaFamily, TilesFitBlocks) {
  Problem problem = half_problem(128, 128, 4096);
  for (std::int64_t block : {64, 128}) {
    problem.blocks = BlockShape{block, 128};
    const Decision decision = decide(problem, hopper(), {});
    check_wgmma(decision.choice, problem, hopper());
    EXPECT_EQ(decision.choice.tile.queries, block);
    EXPECT_EQ(128 % decision.choice.tile.keys, 0);
  }
}

TEST(NvidiaWgmmaFamily, FallsBackToMma) {
  DeviceFacts facts = hopper();
  facts.instruction_sets["wgmma"] = "wrong results";
  const Decision decision = decide(half_problem(64, 64, 100), facts, {});
  EXPECT_EQ(decision.family->name(), "nvidia_mma");
  EXPECT_EQ(reason_against(decision, "nvidia_wgmma"), "wrong results");
}

TEST(CpuFamily, IsLegalForEveryWidthAndLength) {
  for (int width : {1, 2, 4, 8, 16, 32}) {
    for (std::int64_t length : {0, 1, 8, 17, 100, 1 << 20}) {
      for (std::int64_t head_dim = 8; head_dim <= 256; head_dim += 8) {
        const Decision decision =
            decide(make_problem(head_dim, 264 - head_dim, length), cpu(width), {});
        ASSERT_NE(decision.family, nullptr);
        EXPECT_EQ(decision.family->name(), "cpu");
        const auto defines = defines_of(decision.choice);
        const std::int64_t lanes = defines.at("VECTOR_WIDTH");
        EXPECT_TRUE(lanes == 4 || lanes == 8 || lanes == 16);
        if (width >= 4 && width <= 16) {
          EXPECT_EQ(lanes, width);
        }
        EXPECT_GE(defines.at("QUERY_VECTORS"), 1);
        EXPECT_LE(defines.at("QUERY_VECTORS"), 4);
        EXPECT_GE(defines.at("QUERY_PANELS"), 1);
        EXPECT_LE(defines.at("QUERY_PANELS"), 8);
        EXPECT_TRUE(defines.at("KEY_BLOCK") == 4 || defines.at("KEY_BLOCK") == 8);
        EXPECT_EQ(defines.at("KEY_TILE") % defines.at("KEY_BLOCK"), 0);
        EXPECT_EQ(decision.choice.tile.keys, defines.at("KEY_TILE"));
        EXPECT_EQ(decision.choice.tile.queries,
                  lanes * defines.at("QUERY_VECTORS") * defines.at("QUERY_PANELS"));
        EXPECT_EQ(decision.choice.work_group_size, 1);
      }
    }
  }
}

TEST(Decide, PrefersTheFamilyOfTheDevice) {
  const Decision on_cpu = decide(make_problem(64, 64), cpu(8), {});
  EXPECT_EQ(on_cpu.family->name(), "cpu");
  EXPECT_EQ(reason_against(on_cpu, "portable"), "cpu is preferred");
  const Decision on_gpu = decide(make_problem(64, 64), gpu(256, 32 << 10), {});
  EXPECT_EQ(on_gpu.family->name(), "portable");
  EXPECT_EQ(reason_against(on_gpu, "cpu"), "the device is a gpu, not a CPU");
}

TEST(Decide, TakesTheFamilyThatWasAskedForOrNone) {
  EXPECT_EQ(decide(make_problem(64, 64), cpu(8), {"portable"}).family->name(), "portable");
  const Decision none = decide(make_problem(64, 64), gpu(256, 32 << 10), {"cpu"});
  EXPECT_EQ(none.family, nullptr);
  EXPECT_EQ(none.rejected.size(), family_names().size());
  EXPECT_EQ(none.category, ErrorCategory::unsupported);
}

TEST(Decide, UnknownFamilyNamesTheKnownOnes) {
  expect_error(ErrorCategory::invalid_argument, {"\"cuda\"", "cpu, portable"},
               [] { decide(make_problem(64, 64), cpu(8), {"cuda"}); });
  expect_error(ErrorCategory::invalid_argument, {"cuda"}, [] { family_rejection("cuda", cpu(8)); });
}

TEST(Decide, WithoutCompilerNothingFits) {
  DeviceFacts facts = cpu(8);
  facts.compiler = false;
  const Decision decision = decide(make_problem(64, 64), facts, {});
  EXPECT_EQ(decision.family, nullptr);
  EXPECT_EQ(decision.category, ErrorCategory::unsupported);
  ASSERT_EQ(decision.rejected.size(), family_names().size());
  for (const std::string& rejected : decision.rejected) {
    EXPECT_NE(rejected.find("no OpenCL C compiler"), std::string::npos) << rejected;
  }
  for (const std::string& family : family_names()) {
    EXPECT_NE(family_rejection(family, facts), "");
  }
}

TEST(Decide, RefusesInvalidProblems) {
  expect_error(ErrorCategory::invalid_argument, {"head_dim is 12"},
               [] { decide(make_problem(12, 8), cpu(8), {}); });
}

TEST(Decide, ConfigurationsThatDifferHaveDifferentNames) {
  std::map<std::string, std::map<std::string, std::int64_t>> seen;
  for (const DeviceFacts& facts :
       {gpu(256, 16 << 10), gpu(1024, 224 << 10), gpu(1, 16 << 10), gpu(16, 16 << 10), cpu(4),
        cpu(8), cpu(16), nvidia(80, 48 << 10), nvidia(90, 224 << 10)}) {
    for (std::int64_t dim : {8, 64, 128, 256}) {
      for (std::int64_t length : {1, 20, 1000}) {
        Problem problem = make_problem(dim, dim, length);
        if (facts.compute_capability) problem.data_type = DataType::bf16;
        const Decision decision = decide(problem, facts, {});
        ASSERT_NE(decision.family, nullptr);
        const auto defines = defines_of(decision.choice);
        const auto [entry, fresh] =
            seen.emplace(decision.family->name() + decision.choice.id, defines);
        EXPECT_EQ(entry->second, defines) << decision.choice.id;
      }
    }
  }
  EXPECT_GT(seen.size(), 5u);
}

}  // namespace
}  // namespace clattn
