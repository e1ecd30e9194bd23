#include "host/planning/family.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <clattn/engine.hpp>

#include "host/invalid.hpp"
#include "host/planning/tuned.hpp"

namespace clattn {

const std::vector<const Family*>& families() {
  static const std::vector<const Family*> all = {&nvidia_wgmma_family(), &nvidia_mma_family(),
                                                 &cpu_family(), &portable_family()};
  return all;
}

namespace {

void check_tile(const char* name, const std::vector<std::int64_t>& tile, const GridProblem& grid) {
  if (tile.empty()) return;
  const std::size_t rank = grid.slices.front().neighborhood->rank();
  if (tile.size() != rank) {
    invalid("the {} has {} dimensions, but the grid has {}", name, tile.size(), rank);
  }
  for (std::size_t d = 0; d < rank; ++d) {
    if (tile[d] < 1 || tile[d] > Problem::kMaxLength) {
      invalid("the {} of dimension {} is {}, but must be 1 to {}", name, d, tile[d],
              Problem::kMaxLength);
    }
  }
}

bool asks_for_tiles(const PlanOptions& options) {
  return options.tokens != TokenAccess::automatic || !options.query_tile.empty() ||
         !options.key_tile.empty();
}

// The grid whose boxes may be tiles, in view of what was asked for.
std::optional<GridProblem> choose_grid(const Problem& problem, const PlanOptions& options) {
  const bool asked = asks_for_tiles(options);
  if (problem.token_order && asked) {
    invalid("the tensors lie in an order of their own: its tiles and access can't be chosen");
  }
  std::optional<GridProblem> grid = grid_problem(problem);
  if (!grid) {
    if (asked) {
      invalid(
          "tokens \"{}\" and tiles of a grid are for masks within one neighborhood, whose "
          "blocks are not listed",
          to_string(options.tokens));
    }
    return std::nullopt;
  }
  check_tile("query tile", options.query_tile, *grid);
  check_tile("key tile", options.key_tile, *grid);
  if (options.tokens == TokenAccess::permuted && !grid->permutable) {
    invalid("tokens can't be permuted: the dilations of the heads or batches differ");
  }
  if (!options.key_tile.empty() && options.tokens != TokenAccess::permuted) {
    invalid("a key tile is for tokens that are permuted, but they are {}",
            to_string(options.tokens));
  }
  if (options.tokens == TokenAccess::in_place) {
    if (!options.query_tile.empty()) {
      invalid("a query tile of the grid is for tokens that are gathered or permuted");
    }
    return std::nullopt;
  }
  return grid;
}

}  // namespace

Decision decide(const Problem& problem, const DeviceFacts& facts, const PlanOptions& options,
                const TuningLookup& tuned) {
  validate(problem);
  const std::string& wanted = options.family;
  const std::vector<std::string> names = family_names();
  if (!wanted.empty() && std::find(names.begin(), names.end(), wanted) == names.end()) {
    invalid("family \"{}\" is unknown; known are {}", wanted, fmt::join(names, ", "));
  }
  if (!options.config.empty() && wanted.empty()) {
    invalid("a configuration ({}) is for a family that is asked for, too",
            to_string(options.config));
  }
  Decision decision;
  decision.config_source = options.config.empty() ? "heuristic" : "asked for";
  decision.grid = choose_grid(problem, options);
  decision.hooks = make_hooks(problem, !decision.grid || !decision.grid->boxes_suffice);
  TileCosts costs(problem, decision.grid, options);
  for (const Family* family : families()) {
    std::string reason;
    if (!options.config.empty() && family->name() == wanted) {
      check_names(options.config, family->parameters(problem, facts), wanted);
    }
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
      if (auto choice = family->choose(problem, facts, options.config, costs, reason)) {
        decision.family = family;
        decision.choice = std::move(*choice);
        if (tuned && options.config.empty() && !asks_for_tiles(options)) {
          take_tuned(problem, facts, tuned, costs, decision);
        }
        continue;
      }
      decision.category = ErrorCategory::device_limit;
    }
    decision.rejected.push_back(fmt::format("{}: {}", family->name(), reason));
  }
  return decision;
}

void require_family(const Decision& decision, const DeviceFacts& facts) {
  if (decision.family) return;
  throw Error(decision.category, fmt::format("no kernel family takes this problem on {}: {}",
                                             facts.name, fmt::join(decision.rejected, "; ")));
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
