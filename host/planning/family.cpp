#include "host/planning/family.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <clattn/engine.hpp>

#include "host/invalid.hpp"

namespace clattn {

const std::vector<const Family*>& families() {
  static const std::vector<const Family*> all = {&cpu_family(), &portable_family()};
  return all;
}

bool has_seams(const Problem& problem) {
  return problem.blocks || !problem.mask->seams({}, problem.extent()).empty();
}

TileCost tile_cost(const Problem& problem, const Tile& tile) {
  TileCost cost;
  const auto add = [&](std::int64_t queries, double keys) {
    cost.keys += keys;
    cost.pairs += double((queries + tile.granule - 1) / tile.granule * tile.granule) * keys;
  };
  if (problem.blocks) {
    const std::int64_t block = problem.blocks->query_block;
    for (std::int64_t begin = 0; begin < block; begin += tile.queries) {
      add(std::min(tile.queries, block - begin), 1);
    }
    return cost;
  }
  const Schedule schedule = make_schedule(*problem.mask, problem.extent(), 1, 1, tile, 1);
  for (const clattn_row& row : schedule.rows) {
    for (clattn_int32 s = row.span_begin; s < row.span_end; ++s) {
      const clattn_span& span = schedule.spans[s];
      add(row.query_end - row.query_begin, double(span.key_end - span.key_begin));
    }
  }
  return cost;
}

Decision decide(const Problem& problem, const DeviceFacts& facts, const std::string& wanted) {
  validate(problem);
  const std::vector<std::string> names = family_names();
  if (!wanted.empty() && std::find(names.begin(), names.end(), wanted) == names.end()) {
    invalid("family \"{}\" is unknown; known are {}", wanted, fmt::join(names, ", "));
  }
  Decision decision;
  decision.hooks = make_hooks(problem);
  for (const Family* family : families()) {
    std::string reason;
    if (!facts.compiler) {
      reason = fmt::format("device {} has no OpenCL C compiler", facts.name);
    } else if (!wanted.empty() && family->name() != wanted) {
      reason = fmt::format("{} was asked for", wanted);
    } else if (decision.family) {
      reason = fmt::format("{} is preferred", decision.family->name());
    } else {
      reason = family->rejection(facts);
    }
    if (reason.empty()) {
      if (auto choice = family->choose(problem, facts, reason)) {
        decision.family = family;
        decision.choice = std::move(*choice);
        continue;
      }
      decision.category = ErrorCategory::device_limit;
    }
    decision.rejected.push_back(fmt::format("{}: {}", family->name(), reason));
  }
  return decision;
}

std::vector<std::string> family_names() {
  std::vector<std::string> names;
  for (const Family* family : families()) names.push_back(family->name());
  return names;
}

std::string family_rejection(const std::string& name, const DeviceFacts& facts) {
  for (const Family* family : families()) {
    if (family->name() != name) continue;
    return facts.compiler ? family->rejection(facts) : "the device has no OpenCL C compiler";
  }
  invalid("family \"{}\" is unknown", name);
}

}  // namespace clattn
