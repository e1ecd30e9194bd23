// What masks, score modifiers and sink logits become in a kernel program: generated functions, and
// the numbers and buffers that these read. Pure.
#pragma once

#include <clattn/problem.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace clattn {

struct Hooks {
  // Defines the struct hooks_t, HOOK_PARAMETERS for a kernel's signature, HOOKS(arguments) to
  // initialise the struct in it, SCORE_MODIFIERS and SINK_LOGITS (0 or 1), and the functions
  //   int mask_allows(hooks, batch, head, query, key)
  //   float modify_score(hooks, score, batch, head, query, key)   natural units
  //   float sink_logit(hooks, head)                               base 2; -inf without sink logits
  std::string source;
  std::vector<std::int32_t> values;                    // clattn_arguments::values
  std::vector<std::int32_t> tables;                    // argument `tables`, then:
  std::vector<std::shared_ptr<const Buffer>> buffers;  // an argument each
  std::vector<std::string> notes;                      // expressions of users, for build errors
};

// The definitions of the functions that an expression calls.
std::string define_functions(const ExpressionWriter& writer);

// Throws Error (unsupported) for a mask that no kernel can evaluate. Without `mask`, mask_allows is
// never called.
Hooks make_hooks(const Problem& problem, bool mask = true);

}  // namespace clattn
