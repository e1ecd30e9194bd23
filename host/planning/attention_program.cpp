#include "host/planning/attention_program.hpp"

#include <fmt/format.h>

namespace clattn {

ProgramRequest attention_program(const Problem& problem, const Decision& decision) {
  const KernelChoice& choice = decision.choice;
  ProgramRequest request{fmt::format("{} {}", decision.family->name(), choice.id), {}, {}};
  for (const char* name : {"common/arguments.h", "common/masks.cl", "common/scores.cl"}) {
    request.files.push_back(kernel_file(name));
  }
  request.files.push_back({"hooks", decision.hooks.source});
  for (const char* name : {"common/storage.cl", "common/softmax.cl", "common/walk.cl"}) {
    request.files.push_back(kernel_file(name));
  }
  request.files.insert(request.files.end(), choice.generated.begin(), choice.generated.end());
  for (const std::string& name : choice.files) request.files.push_back(kernel_file(name));
  request.patch = choice.patch;
  request.files.push_back(kernel_file("common/merge.cl"));
  request.defines = choice.defines;
  request.defines.emplace_back("HEAD_DIM", problem.head_dim);
  request.defines.emplace_back("VALUE_DIM", problem.value_dim);
  request.defines.emplace_back("STORAGE", static_cast<int>(problem.data_type));
  request.defines.emplace_back("LISTED", problem.blocks ? 1 : 0);
  if (choice.pack > 1) request.defines.emplace_back("PACK", choice.pack);
  if (!choice.tilings.empty()) {
    request.defines.emplace_back("TOKENS",
                                 choice.tilings.front().tokens == TokenAccess::gathered ? 1 : 2);
  }
  return request;
}

}  // namespace clattn
