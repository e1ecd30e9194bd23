// Plans' configurations from tuning stores, decided over made-up devices and stores: what is taken,
// what is refused, and what the decision says of it.
#include "host/planning/tuned.hpp"

#include "tests/host/tuning_support.hpp"
#include "tests/support.hpp"

namespace clattn {
namespace {

DeviceFacts cpu() {
  DeviceFacts facts;
  facts.name = "made-up CPU";
  facts.vendor = "nobody";
  facts.driver_version = "7";
  facts.kind = DeviceKind::cpu;
  facts.compute_units = 16;
  facts.native_float_width = 8;
  facts.max_work_group_size = facts.max_work_item_size = 4096;
  facts.local_memory_reported = facts.local_memory_bytes = 256 * 1024;
  return facts;
}

Problem make_problem(std::int64_t length = 1000) {
  Problem problem;
  problem.heads = problem.kv_heads = 8;
  problem.query_len = problem.key_len = length;
  problem.head_dim = problem.value_dim = 64;
  problem.mask = causal_mask();
  return problem;
}

// A legal configuration other than the heuristic's choice.
KernelConfig other_config(const Problem& problem) {
  KernelConfig config = decide(problem, cpu(), {}).choice.config;
  std::int64_t& keys = config.at("key_tile");
  keys = keys == 32 ? 16 : 32;
  return config;
}

TuningEntry entry_for(const Problem& problem, const KernelConfig& config) {
  TuningEntry entry = test::make_entry(tuning_key(problem, cpu(), "cpu"), "2026-11-22T10:00:00Z");
  entry.config = config;
  entry.seconds = 1;
  entry.heuristic_seconds = 1.125;
  return entry;
}

TuningLookup lookup_of(const std::vector<TuningEntry>& entries) {
  std::vector<TuningLayer> layers = {{"engine", {}}, {"user", {}}};
  for (const TuningEntry& entry : entries) layers[1].store.add(entry);
  return [layers](const TuningKey& key) { return find(layers, key); };
}

TEST(Tuned, WithoutAStoreTheHeuristicChooses) {
  EXPECT_EQ(decide(make_problem(), cpu(), {}).config_source, "heuristic");
  EXPECT_EQ(decide(make_problem(), cpu(), {}, lookup_of({})).config_source, "heuristic");
}

TEST(Tuned, AnExactHitWins) {
  const Problem problem = make_problem();
  const KernelConfig config = other_config(problem);
  const TuningLookup lookup = lookup_of({entry_for(problem, config)});
  for (const char* family : {"", "cpu"}) {
    const Decision decision = decide(problem, cpu(), {.family = family}, lookup);
    EXPECT_EQ(decision.choice.config, config);
    EXPECT_EQ(decision.choice.tile.keys, config.at("key_tile"));
    EXPECT_EQ(decision.config_source,
              "tuned for this problem (user store, 2026-11-22, 1.12 times the heuristic's speed)");
  }
  // What was tuned for one family says nothing of another.
  EXPECT_EQ(decide(problem, cpu(), {.family = "portable"}, lookup).config_source, "heuristic");
}

TEST(Tuned, AnExactHitNeedNotBeExpectedToBeFast) {
  const Problem problem = make_problem();
  KernelConfig config = decide(problem, cpu(), {}).choice.config;
  config["vector_width"] = 4;
  config["query_vectors"] = 2;
  EXPECT_EQ(decide(problem, cpu(), {}, lookup_of({entry_for(problem, config)})).choice.config,
            config);
}

TEST(Tuned, WhatIsAskedForWins) {
  const Problem problem = make_problem();
  const TuningLookup lookup = lookup_of({entry_for(problem, other_config(problem))});
  const KernelConfig heuristic = decide(problem, cpu(), {}).choice.config;
  const Decision decision = decide(problem, cpu(), {.family = "cpu", .config = heuristic}, lookup);
  EXPECT_EQ(decision.choice.config, heuristic);
  EXPECT_EQ(decision.config_source, "asked for");
  Problem grid = make_problem(1024);
  grid.mask = neighborhood_mask({{32, 32}, {5, 5}});
  const TuningLookup of_grid = lookup_of({entry_for(grid, other_config(grid))});
  EXPECT_NE(decide(grid, cpu(), {}, of_grid).config_source, "heuristic");
  for (const PlanOptions& options :
       {PlanOptions{.tokens = TokenAccess::gathered}, PlanOptions{.query_tile = {4, 4}}}) {
    EXPECT_EQ(decide(grid, cpu(), options, of_grid).config_source, "heuristic");
  }
}

TEST(Tuned, StaleHitsSaySo) {
  const Problem problem = make_problem();
  const auto source = [&](const auto& change) {
    TuningEntry entry = entry_for(problem, other_config(problem));
    change(entry.key);
    return decide(problem, cpu(), {}, lookup_of({entry})).config_source;
  };
  const std::string details = " (user store, 2026-11-22, 1.12 times the heuristic's speed)";
  EXPECT_EQ(source([](TuningKey& key) { key.driver = "6"; }),
            "tuned for this problem with another driver" + details);
  EXPECT_EQ(source([](TuningKey& key) { key.source = "6"; }),
            "tuned for this problem with other kernels" + details);
  EXPECT_EQ(source([](TuningKey& key) { key.driver = key.source = "6"; }),
            "tuned for this problem with another driver and other kernels" + details);
}

TEST(Tuned, WhatIsNotLegalIsRefused) {
  const Problem problem = make_problem();
  const KernelConfig heuristic = decide(problem, cpu(), {}).choice.config;
  const auto refused = [&](const KernelConfig& config, const std::string& reason) {
    const Decision decision = decide(problem, cpu(), {}, lookup_of({entry_for(problem, config)}));
    ASSERT_NE(decision.family, nullptr);
    EXPECT_EQ(decision.choice.config, heuristic);
    EXPECT_TRUE(decision.config_source.starts_with("heuristic; what was tuned for this problem ("))
        << decision.config_source;
    EXPECT_NE(decision.config_source.find("does not fit: "), std::string::npos);
    EXPECT_NE(decision.config_source.find(reason), std::string::npos) << decision.config_source;
  };
  KernelConfig config = heuristic;
  config["key_tile"] = 1 << 17;
  refused(config, "private memory");
  config = heuristic;
  config["vector_width"] = 5;
  refused(config, "vector_width is 5");
  config = heuristic;
  config.erase("key_tile");
  refused(config, "key_tile");
  config = heuristic;
  config["of_another_version"] = 1;
  refused(config, "of_another_version");
}

TEST(Tuned, ABucketHitIsTaken) {
  const Problem problem = make_problem(1000);
  const KernelConfig config = other_config(problem);
  const Decision taken =
      decide(problem, cpu(), {}, lookup_of({entry_for(make_problem(900), config)}));
  EXPECT_EQ(taken.choice.config, config);
  EXPECT_EQ(taken.config_source,
            "tuned for a problem like it: causal, 2^3 heads, 2^9 queries, 2^9 keys (bucket, user "
            "store, 2026-11-22, 1.12 times the heuristic's speed)");
}

// With vectors of 8, one panel of one vector fits 8 queries, and of 15 queries each second lane.
TEST(Tuned, WhatIsExpectedToDoWorseHereThanThereIsRefused) {
  const Problem problem = make_problem(15);
  const auto expected = [](const Problem& of, const KernelConfig& config) {
    return decide(of, cpu(), {.family = "cpu", .config = config}).choice.predicted /
           decide(of, cpu(), {}).choice.predicted;
  };
  const Problem tuned = make_problem(8);
  KernelConfig config = decide(tuned, cpu(), {}).choice.config;
  config["key_tile"] = config["key_tile"] == 32 ? 16 : 32;
  const double worse = expected(problem, config) / expected(tuned, config);
  ASSERT_GT(worse, 1.05);
  TuningEntry entry = entry_for(tuned, config);
  entry.heuristic_seconds = 3 * entry.seconds;
  const Decision refused = decide(problem, cpu(), {}, lookup_of({entry}));
  EXPECT_EQ(refused.choice.config, decide(problem, cpu(), {}).choice.config);
  EXPECT_TRUE(refused.config_source.starts_with("heuristic; what was tuned for a problem like it"))
      << refused.config_source;
  EXPECT_NE(refused.config_source.find("is expected to take "), std::string::npos);
}

TEST(Tuned, ALittleWorseMustHaveBeenGained) {
  const Problem tuned = make_problem(900), problem = make_problem(8000);
  const KernelConfig config = other_config(problem);
  TuningEntry entry = entry_for(tuned, config);
  entry.heuristic_seconds = 0.5 * entry.seconds;  // it lost
  EXPECT_EQ(decide(problem, cpu(), {}, lookup_of({entry})).choice.config,
            decide(problem, cpu(), {}).choice.config);
  entry.heuristic_seconds = 1.2 * entry.seconds;
  const Decision taken = decide(problem, cpu(), {}, lookup_of({entry}));
  EXPECT_EQ(taken.choice.config, config);
  EXPECT_NE(taken.config_source.find("(device, user store"), std::string::npos)
      << taken.config_source;
}

TEST(Tuned, WhereTheHeuristicWasBestItIsKept) {
  const Problem problem = make_problem(1000);
  TuningEntry entry = entry_for(make_problem(900), other_config(problem));
  entry.heuristic = entry.config;
  const Decision decision = decide(problem, cpu(), {}, lookup_of({entry}));
  EXPECT_EQ(decision.choice.config, decide(problem, cpu(), {}).choice.config);
  EXPECT_TRUE(decision.config_source.starts_with(
      "heuristic, nothing better was tuned for a problem like it: causal"))
      << decision.config_source;
  // For the problem itself it says what it is.
  entry.key = tuning_key(problem, cpu(), "cpu");
  EXPECT_EQ(decide(problem, cpu(), {}, lookup_of({entry})).choice.config, entry.config);
}

TEST(Tuned, OtherDevicesOfTheVendorAreNamed) {
  const Problem problem = make_problem();
  TuningEntry entry = entry_for(problem, other_config(problem));
  entry.key.device = "its big brother";
  entry.key.driver = "8";
  const Decision decision = decide(problem, cpu(), {}, lookup_of({entry}));
  EXPECT_EQ(decision.choice.config, entry.config);
  EXPECT_EQ(decision.config_source,
            "tuned for a problem like it: causal, 2^3 heads, 2^9 queries, 2^9 keys on its big "
            "brother (vendor, user store, 2026-11-22, 1.12 times the heuristic's speed)");
}

}  // namespace
}  // namespace clattn
