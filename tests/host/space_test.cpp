// The spaces of all families over made-up devices. What is legal is said here once more, from what
// stands beside the macros of each kernel: a space must hold just that, and count the rest.
#include "host/tuning/space.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <clattn/patterns.hpp>
#include <cmath>
#include <functional>

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
  DeviceFacts facts = gpu(4096, 256 << 10);
  facts.kind = DeviceKind::cpu;
  facts.native_float_width = width;
  return facts;
}

DeviceFacts hopper() {
  DeviceFacts facts = gpu(1024, 227 << 10);
  facts.compute_capability = 90;
  facts.instruction_sets = {{"mma", ""}, {"wgmma", ""}};
  return facts;
}

Problem make_problem(DataType type, std::int64_t head_dim, std::int64_t value_dim,
                     std::int64_t length) {
  Problem problem;
  problem.data_type = type;
  problem.batch = 2;
  problem.heads = 8;
  problem.kv_heads = 2;
  problem.query_len = problem.key_len = length;
  problem.head_dim = head_dim;
  problem.value_dim = value_dim;
  return problem;
}

// One a way in which planning goes.
std::vector<Problem> problems(DataType type) {
  std::vector<Problem> problems = {make_problem(type, 64, 64, 1000), make_problem(type, 8, 8, 0),
                                   make_problem(type, 128, 72, 1), make_problem(type, 256, 256, 70),
                                   make_problem(type, 40, 256, 16)};
  Problem problem = make_problem(type, 128, 128, 512);
  problem.mask = causal_mask();
  problems.push_back(problem);
  problem.mask = documents_mask({{100, 412}, {300, 212}}, causal_mask());
  problems.push_back(problem);
  problem.mask = dense_mask();
  problem.blocks = BlockShape{64, 128};
  problems.push_back(problem);
  problem.blocks.reset();
  problem.kv_heads = problem.heads;
  problem.mask = neighborhood_mask({{16, 32}, {5, 9}, {}, {}, {}, 0});
  problems.push_back(problem);
  return problems;
}

struct Setting {
  std::string family;
  DeviceFacts facts;
  DataType type;
};

std::vector<Setting> settings() {
  DeviceFacts ampere = hopper();
  ampere.local_memory_bytes = 99 << 10;
  return {{"cpu", cpu(4), DataType::f32},
          {"cpu", cpu(16), DataType::bf16},
          {"portable", gpu(256, 48 << 10), DataType::f16},
          {"portable", gpu(1, 24 << 10), DataType::f32},
          {"nvidia_mma", ampere, DataType::bf16},
          {"nvidia_wgmma", hopper(), DataType::f16}};
}

void for_each_space(const std::function<void(const Setting&, const Problem&, const Space&)>& body) {
  for (const Setting& setting : settings()) {
    for (const Problem& problem : problems(setting.type)) {
      SCOPED_TRACE(setting.family + " " + problem_to_json(problem));
      body(setting, problem, make_space(problem, setting.facts, {setting.family}));
      if (testing::Test::HasFatalFailure()) return;
    }
  }
}

// What stands beside the macros of kernels_cl/cpu/attention.cl, and 256 KiB of private memory.
bool cpu_takes(const KernelConfig& config, const Problem& problem) {
  const std::int64_t panel = config.at("vector_width") * config.at("query_vectors");
  const std::int64_t queries = panel * config.at("query_panels"), keys = config.at("key_tile");
  const std::int64_t dims = problem.head_dim + problem.value_dim;
  return panel % 8 == 0 && keys % config.at("key_block") == 0 &&
         4 * (queries * (dims + 2) + keys * dims) + 4 * keys * panel <= 256 * 1024;
}

// kernels_cl/portable/attention.cl.
bool portable_takes(const KernelConfig& config, const Problem& problem, const DeviceFacts& facts) {
  const std::int64_t tq = config.at("threads_q"), tk = config.at("threads_k");
  const std::int64_t queries = config.at("query_tile"), keys = config.at("key_tile");
  const std::int64_t depth = config.at("depth_chunk"), chunk = config.at("key_chunk");
  if (tq * tk > facts.max_work_group_size || queries % tq || keys % tk || keys % chunk)
    return false;
  const std::int64_t local_memory =
      16 *
      (queries * (problem.head_dim / 4 + 1) + queries * (keys / 4 + 1) + queries * ((tk + 3) / 4) +
       std::max(keys * (depth / 4 + 1), chunk * (problem.value_dim / 4 + 1)));
  if (local_memory > facts.local_memory_bytes) return false;
  const std::int64_t columns = 4 * ((problem.value_dim / 4 + tk - 1) / tk);
  return queries / tq * (keys / tk + columns) <= 192;
}

// kernels_cl/nvidia/mma_tiles.cl.
bool mma_takes(const KernelConfig& config, const Problem& problem, const DeviceFacts& facts) {
  const std::int64_t queries = config.at("query_tile"), keys = config.at("key_tile");
  const std::int64_t warps = config.at("warps");
  if (queries != 16 * warps && queries != 32 * warps) return false;
  if (32 * warps > facts.max_work_group_size) return false;
  if (queries / (16 * warps) * (keys + problem.value_dim) / 2 > 224) return false;
  const auto stride = [](std::int64_t dim) { return dim % 64 == 0 ? dim / 8 : dim / 8 | 1; };
  return 16 * (queries * stride(problem.head_dim) +
               2 * keys * (stride(problem.head_dim) + stride(problem.value_dim))) <=
         facts.local_memory_bytes;
}

// kernels_cl/nvidia/wgmma_ring.cl: LOCAL_BYTES, and what a consumer's registers hold.
bool wgmma_takes(const KernelConfig& config, const Problem& problem, const DeviceFacts& facts) {
  const std::int64_t queries = config.at("query_tile"), keys = config.at("key_tile");
  const std::int64_t stages = config.at("stages"), query_stages = config.at("query_stages");
  const bool boxes = problem.mask->neighborhood({}).neighborhood != nullptr;
  const std::int64_t qk = (problem.head_dim + 63) / 64, v = (problem.value_dim + 63) / 64;
  const std::int64_t barriers =
      query_stages * queries * 128 * std::max(qk, v) + stages * keys * 128 * (qk + v);
  const std::int64_t entries =
      barriers + 8 * (4 * stages + 2 * query_stages) + 32 * 16 + 32 * query_stages + 16;
  if (entries + (boxes ? 8 * stages * keys : 0) > facts.local_memory_bytes) return false;
  return 3 * keys / 4 + problem.value_dim / 2 + 32 <= (queries == 192 ? 160 : 232);
}

bool takes(const Setting& setting, const KernelConfig& config, const Problem& problem) {
  if (setting.family == "cpu") return cpu_takes(config, problem);
  if (setting.family == "portable") return portable_takes(config, problem, setting.facts);
  if (setting.family == "nvidia_mma") return mma_takes(config, problem, setting.facts);
  return wgmma_takes(config, problem, setting.facts);
}

const Family& family_named(const std::string& name) {
  return **std::ranges::find(families(), name, [](const Family* each) { return each->name(); });
}

TEST(Space, HoldsTheHeuristicsChoice) {
  for_each_space([](const Setting& setting, const Problem& problem, const Space& space) {
    const Decision chosen = decide(problem, setting.facts, {setting.family});
    EXPECT_EQ(chosen.config_source, "heuristic");
    ASSERT_LT(space.heuristic, space.configs.size());
    const KernelConfig& config = space.configs[space.heuristic];
    EXPECT_EQ(config, chosen.choice.config);
    EXPECT_EQ(space.predicted[space.heuristic], chosen.choice.predicted);
    const Decision forced =
        decide(problem, setting.facts, {.family = setting.family, .config = config});
    ASSERT_NE(forced.family, nullptr);
    EXPECT_EQ(forced.config_source, "asked for");
    EXPECT_EQ(forced.choice.id, chosen.choice.id);
    EXPECT_EQ(forced.choice.defines, chosen.choice.defines);
    EXPECT_EQ(forced.choice.config, config);
    EXPECT_EQ(forced.choice.predicted, chosen.choice.predicted);
  });
}

TEST(Space, IsWhatTheKernelTakesAndCountsTheRest) {
  for_each_space([](const Setting& setting, const Problem& problem, const Space& space) {
    ASSERT_EQ(space.predicted.size(), space.configs.size());
    double size = 1;
    for (const Parameter& parameter : space.parameters) {
      EXPECT_EQ(std::ranges::adjacent_find(parameter.values, std::ranges::greater_equal()),
                parameter.values.end())
          << parameter.name << " does not rise";
      size *= double(parameter.values.size());
    }
    EXPECT_EQ(space.size, size);
    double counted = double(space.configs.size());
    for (const auto& [constraint, count] : space.pruned) {
      EXPECT_NE(constraint, "");
      EXPECT_GT(count, 0);
      counted += double(count);
    }
    EXPECT_EQ(counted, size);

    // Every combination, by counting in the mixed base of the numbers of values.
    const bool boxes = problem.mask->neighborhood({}).neighborhood != nullptr;
    std::size_t next = 0;
    for (std::int64_t n = 0; n < std::int64_t(size); ++n) {
      KernelConfig config;
      std::int64_t rest = n;
      for (auto parameter = space.parameters.rbegin(); parameter != space.parameters.rend();
           ++parameter) {
        const auto count = static_cast<std::int64_t>(parameter->values.size());
        config[parameter->name] = parameter->values[static_cast<std::size_t>(rest % count)];
        rest /= count;
      }
      const bool listed = next < space.configs.size() && space.configs[next] == config;
      const auto broken =
          family_named(setting.family).violation(config, problem, setting.facts, boxes);
      ASSERT_EQ(listed, !broken) << describe(config, space.parameters);
      if (broken) {
        EXPECT_TRUE(space.pruned.contains(broken->constraint)) << broken->constraint;
        EXPECT_NE(broken->reason, "");
      }
      // Portable configurations that are listed for small devices may need any registers.
      if (setting.facts.max_work_group_size > 1) {
        ASSERT_EQ(listed, takes(setting, config, problem)) << describe(config, space.parameters);
      }
      if (!listed) continue;
      EXPECT_TRUE(std::isfinite(space.predicted[next]));
      EXPECT_TRUE(space.predicted[next] > 0 || problem.query_len == 0);
      ++next;
    }
    EXPECT_EQ(next, space.configs.size());
  });
}

TEST(Space, ConfigurationsThatDifferHaveDifferentNames) {
  for (const Setting& setting : settings()) {
    const Problem problem = problems(setting.type).front();
    const Space space = make_space(problem, setting.facts, {setting.family});
    std::map<std::string, KernelConfig> names;
    for (const KernelConfig& config : space.configs) {
      const Decision decision =
          decide(problem, setting.facts, {.family = setting.family, .config = config});
      ASSERT_NE(decision.family, nullptr);
      EXPECT_EQ(decision.choice.config, config);
      EXPECT_TRUE(names.emplace(decision.choice.id, config).second) << decision.choice.id;
    }
  }
}

TEST(Space, ListedConfigurationsKeepTheirRank) {
  // Dense attention of long rows, where nothing but the speed counts.
  const auto predicted = [](const Setting& setting, const char* config) {
    const Problem problem = make_problem(setting.type, 64, 64, 1536);
    const Decision decision =
        decide(problem, setting.facts, {.family = setting.family, .config = parse_config(config)});
    EXPECT_NE(decision.family, nullptr) << config;
    return decision.choice.predicted;
  };
  const Setting mma{"nvidia_mma", hopper(), DataType::f16};
  const double best = predicted(mma, "query_tile=128,key_tile=64,warps=4");
  EXPECT_NEAR(predicted(mma, "query_tile=64,key_tile=64,warps=4"), best / 0.75, 1e-9 * best);
  EXPECT_GT(predicted(mma, "query_tile=16,key_tile=16,warps=1"), 9 * best);
  const Setting wgmma{"nvidia_wgmma", hopper(), DataType::f16};
  const double all = predicted(wgmma, "query_tile=192,key_tile=128,stages=4,query_stages=2");
  EXPECT_GT(predicted(wgmma, "query_tile=192,key_tile=128,stages=2,query_stages=1"), all);
  EXPECT_GT(predicted(wgmma, "query_tile=192,key_tile=32,stages=4,query_stages=2"), all);
  const Setting wide{"cpu", cpu(16), DataType::f32};
  const auto panel = [&](int vectors, int block) {
    return predicted(wide, fmt::format("vector_width=16,query_vectors={},query_panels=1,"
                                       "key_block={},key_tile=64",
                                       vectors, block)
                               .c_str());
  };
  EXPECT_LT(panel(3, 8), panel(1, 8));
  EXPECT_LT(panel(3, 8), panel(3, 4));
  EXPECT_LT(panel(3, 8), panel(6, 8)) << "accumulators beyond the registers";
}

TEST(Space, TakesTheFamilyThatThePlannerTakes) {
  EXPECT_EQ(make_space(problems(DataType::f32).front(), cpu(8), {}).family, "cpu");
  EXPECT_EQ(make_space(problems(DataType::f16).front(), hopper(), {}).family, "nvidia_wgmma");
  expect_error(ErrorCategory::unsupported, {"no kernel family", "not a CPU"},
               [] { make_space(problems(DataType::f32).front(), gpu(64, 32 << 10), {"cpu"}); });
}

TEST(Space, ATileOfTheGridThatWasAskedForPrunes) {
  const Problem problem = problems(DataType::f32).back();
  const Space space = make_space(
      problem, cpu(8), {.family = "cpu", .tokens = TokenAccess::gathered, .query_tile = {4, 8}});
  EXPECT_GT(space.pruned.at("tile"), 0);
  for (const KernelConfig& config : space.configs) {
    EXPECT_GE(config.at("vector_width") * config.at("query_vectors") * config.at("query_panels"),
              32);
  }
}

TEST(Space, DescribesInTheOrderOfTheParameters) {
  EXPECT_EQ(describe({{"a", 1}, {"b", 2}}, {{"b", {2}}, {"a", {1}}}), "b=2 a=1");
}

TEST(ForcedConfiguration, IsRefusedWithValueAndLimit) {
  const auto reason = [](const std::string& family, const DeviceFacts& facts, const char* config) {
    const Problem problem =
        make_problem(facts.compute_capability ? DataType::f16 : DataType::f32, 128, 128, 500);
    const Decision decision =
        decide(problem, facts, {.family = family, .config = parse_config(config)});
    EXPECT_EQ(decision.family, nullptr);
    EXPECT_EQ(decision.category, ErrorCategory::device_limit);
    for (const std::string& rejected : decision.rejected) {
      if (rejected.starts_with(family + ": ")) return rejected.substr(family.size() + 2);
    }
    return std::string();
  };
  EXPECT_EQ(
      reason("portable", gpu(256, 48 << 10),
             "threads_q=16,threads_k=32,query_tile=16,key_tile=32,depth_chunk=16,key_chunk=8"),
      "work-group of 512 work-items, the device has 256");
  EXPECT_EQ(
      reason("portable", gpu(256, 16 << 10),
             "threads_q=8,threads_k=16,query_tile=64,key_tile=64,depth_chunk=32,key_chunk=16"),
      "64512 bytes of local memory, the device has 16384");
  EXPECT_EQ(
      reason("portable", gpu(256, 48 << 10),
             "threads_q=3,threads_k=16,query_tile=64,key_tile=64,depth_chunk=32,key_chunk=16"),
      "query_tile 64 is no multiple of threads_q 3");
  EXPECT_EQ(reason("cpu", cpu(8),
                   "vector_width=12,query_vectors=3,query_panels=1,key_block=4,key_tile=64"),
            "vector_width is 12, but must be 4, 8 or 16");
  EXPECT_EQ(reason("cpu", cpu(16),
                   "vector_width=16,query_vectors=6,query_panels=8,key_block=8,key_tile=128"),
            "972800 bytes of private memory, a work-item may have 262144");
  EXPECT_EQ(reason("nvidia_mma", hopper(), "query_tile=96,key_tile=32,warps=3"),
            "warps is 3, but must be a power of two from 1 to 32");
  EXPECT_EQ(reason("nvidia_mma", hopper(), "query_tile=128,key_tile=80,warps=4"),
            "key_tile is 80, but must be a multiple of 16 up to 64");
  EXPECT_EQ(reason("nvidia_wgmma", hopper(), "query_tile=192,key_tile=144,stages=2,query_stages=1"),
            "key_tile is 144, but must be a multiple of 16 up to 128");
  EXPECT_EQ(reason("nvidia_wgmma", hopper(), "query_tile=192,key_tile=128,stages=2,query_stages=1"),
            "192 registers of a consumer for 128 keys and 128 columns, at most 160");
  EXPECT_EQ(reason("nvidia_wgmma", hopper(), "query_tile=128,key_tile=128,stages=4,query_stages=2"),
            "328432 bytes of local memory, the device has 232448");
}

TEST(ForcedConfiguration, NoNumberIsTooStrange) {
  for (const Setting& setting : settings()) {
    const Problem problem = problems(setting.type).front();
    const KernelConfig sound = decide(problem, setting.facts, {setting.family}).choice.config;
    for (const auto& [name, value] : sound) {
      for (const std::int64_t strange :
           {std::int64_t{0}, std::int64_t{-1}, -value, std::int64_t{1} << 62,
            std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max()}) {
        KernelConfig config = sound;
        config[name] = strange;
        EXPECT_EQ(
            decide(problem, setting.facts, {.family = setting.family, .config = config}).family,
            nullptr)
            << setting.family << " " << to_string(config);
      }
    }
  }
}

TEST(ForcedConfiguration, NamesMustBeTheFamilys) {
  const Problem problem = problems(DataType::f16).front();
  const auto refuses = [&](const char* family, const char* config,
                           const std::vector<std::string>& words) {
    expect_error(ErrorCategory::invalid_argument, words, [&] {
      decide(problem, hopper(), {.family = family, .config = parse_config(config)});
    });
  };
  refuses("nvidia_mma", "query_tile=128,key_tile=64,warp=4",
          {"warp is no parameter of family \"nvidia_mma\"", "query_tile, key_tile, warps"});
  refuses("nvidia_mma", "query_tile=128,key_tile=64",
          {"has no warps", "query_tile, key_tile, warps"});
  refuses("cpu", "warps=4", {"warps is no parameter", "vector_width"});
  refuses("", "query_tile=128,key_tile=64,warps=4", {"for a family that is asked for"});
}

}  // namespace
}  // namespace clattn
