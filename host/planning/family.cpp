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

Decision decide(const Problem& problem, const DeviceFacts& facts, const std::string& wanted) {
  validate(problem);
  const std::vector<std::string> names = family_names();
  if (!wanted.empty() && std::find(names.begin(), names.end(), wanted) == names.end()) {
    invalid("family \"{}\" is unknown; known are {}", wanted, fmt::join(names, ", "));
  }
  Decision decision;
  ExpressionWriter writer;
  decision.mask_expression = problem.mask->expression(writer, problem.extent());
  decision.mask_values = writer.values();
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
