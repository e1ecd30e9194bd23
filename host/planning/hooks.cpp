#include "host/planning/hooks.hpp"

#include <fmt/format.h>

#include <bit>

namespace clattn {
namespace {

constexpr const char* kInts = "int batch, int head, int query, int key";

const char* pointee(ElementType type) {
  switch (type) {
    case ElementType::u8:
      return "uchar";
    case ElementType::i32:
      return "int";
    case ElementType::f32:
      return "float";
    case ElementType::f16:
      return "half";
    case ElementType::bf16:
      return "ushort";
  }
  return "void";
}

// mask_allows or modify_score: a function that knows the lengths.
std::string entry(const std::string& head, const std::string& body) {
  return fmt::format(
      "static inline {} {{\n"
      "  const int query_len = hooks->arguments->query_len;\n"
      "  const int key_len = hooks->arguments->key_len;\n"
      "  {}\n}}\n",
      head, body);
}

}  // namespace

std::string define_functions(const ExpressionWriter& writer) {
  std::string source;
  for (std::size_t i = 0; i < writer.functions().size(); ++i) {
    const auto& [result, body] = writer.functions()[i];
    source += fmt::format(
        "static inline {} hook_function{}(const hooks_t *hooks, {}{}, int query_len, int key_len) "
        "{{\n{}\n}}\n",
        result, i, result == "float" ? "float score, " : "", kInts, body);
  }
  return source;
}

Hooks make_hooks(const Problem& problem, bool with_mask) {
  ExpressionWriter writer;
  const std::string mask = with_mask ? problem.mask->expression(writer) : "1";
  std::string modify;
  for (const Score& score : problem.scores) {
    modify += fmt::format("score = {};\n  ", score->expression(writer));
  }
  std::string sinks;
  if (!problem.sink_logits.empty()) {
    std::vector<std::int32_t> bits;
    for (float logit : problem.sink_logits) {
      bits.push_back(std::bit_cast<std::int32_t>(logit * 1.44269504088896341f));
    }
    sinks = writer.table(bits);
  }

  Hooks hooks{"", writer.values(), writer.tables(), writer.buffers(), writer.notes()};
  std::string members, parameters, initialisers;
  for (std::size_t i = 0; i < hooks.buffers.size(); ++i) {
    const char* type = pointee(hooks.buffers[i]->type);
    members += fmt::format("  __global const {} *buffer{};\n", type, i);
    parameters += fmt::format(", __global const {} *buffer{}", type, i);
    initialisers += fmt::format(", buffer{}", i);
  }
  hooks.source = fmt::format(
      "#define HOOK_VALUE(i) (hooks->arguments->values[i])\n"
      "#define SCORE_MODIFIERS {}\n"
      "#define SINK_LOGITS {}\n"
      "typedef struct hooks_t {{\n"
      "  const clattn_arguments *arguments;\n"
      "  __global const int *tables;\n{}"
      "}} hooks_t;\n"
      "#define HOOK_PARAMETERS , __global const int *tables{}\n"
      "#define HOOKS(arguments) {{&(arguments), tables{}}}\n",
      problem.scores.empty() ? 0 : 1, sinks.empty() ? 0 : 1, members, parameters, initialisers);
  hooks.source +=
      define_functions(writer) +
      entry(fmt::format("int mask_allows(const hooks_t *hooks, {})", kInts),
            fmt::format("return ({}) != 0;", mask)) +
      entry(fmt::format("float modify_score(const hooks_t *hooks, float score, {})", kInts),
            modify + "return score;") +
      fmt::format(
          "static inline float sink_logit(const hooks_t *hooks, int head) {{\n  return {};\n}}\n",
          sinks.empty() ? "-INFINITY" : fmt::format("as_float({}[head])", sinks));
  return hooks;
}

}  // namespace clattn
