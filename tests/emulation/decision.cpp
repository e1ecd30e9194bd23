#include "tests/emulation/decision.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <stdexcept>

namespace clattn::emulation {

Problem problem_of(const Case& test_case) {
  Problem problem = problem_from_json("{" + test_case.problem + "}");
  problem.data_type = test_case.type;
  problem.lse = true;
  problem.blocks = test_case.blocks;
  return problem;
}

Decision decide_case(const std::string& family, const Problem& problem, const Case& test_case) {
  DeviceFacts facts;
  facts.name = "H200";
  facts.kind = DeviceKind::gpu;
  facts.compute_units = test_case.compute_units;
  facts.max_work_group_size = facts.max_work_item_size = test_case.work_items;
  facts.local_memory_reported = facts.local_memory_bytes = test_case.local_memory;
  facts.compute_capability = 90;
  facts.instruction_sets = {{"mma", ""}, {"wgmma", ""}};
  Decision decision = clattn::decide(
      problem, facts, {.family = family, .tokens = test_case.tokens, .config = test_case.config});
  if (!decision.family)
    throw std::runtime_error(fmt::format("{}", fmt::join(decision.rejected, "; ")));
  return decision;
}

}  // namespace clattn::emulation
