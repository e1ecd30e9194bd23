// Configurations that are asked for, on every device: a sample of what each family's space holds
// must build and be right.
#include <algorithm>

#include "host/tuning/space.hpp"
#include "tests/host/attention_runner.hpp"

namespace clattn {
namespace {

using test::AttentionRunner;
using test::Case;
using test::Random;

Problem small_problem() {
  Problem problem;
  problem.heads = 4;
  problem.kv_heads = 2;
  problem.query_len = 77;
  problem.key_len = 150;
  problem.head_dim = 40;
  problem.value_dim = 24;
  problem.lse = true;
  problem.mask = causal_mask();
  return problem;
}

TEST(Configurations, AnyOfTheSpaceIsRight) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  constexpr std::size_t kSample = 6;
  for (const test::Target& target : test::targets()) {
    SCOPED_TRACE(target.label);
    const Engine engine = test::make_engine(target.device_index);
    const AttentionRunner runner(engine, target.family);
    const Problem problem = runner.taken(small_problem());
    const Space space = make_space(problem, engine.device().facts, {target.family});
    Random random = test::make_random();
    std::vector<KernelConfig> sample;
    std::ranges::sample(space.configs, std::back_inserter(sample), kSample, random);
    for (const KernelConfig& config : sample) {
      SCOPED_TRACE(to_string(config));
      const Plan plan = engine.plan(problem, {.family = target.family, .config = config});
      EXPECT_EQ(plan.report().parameters, config);
      EXPECT_EQ(plan.report().config_source, "asked for");
      EXPECT_NE(plan.explain().find("(" + to_string(config) + "): asked for"), std::string::npos);
      runner.check({.problem = problem}, random, plan);
    }
  }
}

TEST(Configurations, WhatTheDeviceCannotHoldIsRefusedByThePlan) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  for (const test::Target& target : test::targets()) {
    if (target.family != "portable") continue;
    const Engine engine = test::make_engine(target.device_index);
    const KernelConfig config = parse_config(
        "threads_q=256,threads_k=256,query_tile=256,key_tile=256,depth_chunk=8,key_chunk=8");
    test::expect_error(ErrorCategory::device_limit, {"work-group of 65536 work-items"}, [&] {
      engine.plan(small_problem(), {.family = "portable", .config = config});
    });
  }
}

}  // namespace
}  // namespace clattn
