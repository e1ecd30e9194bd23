#include "host/planning/wgmma_statements.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace clattn {
namespace {

constexpr std::int64_t kDepth = 16;           // of one instruction
constexpr std::int64_t kPiece = 64;           // columns
constexpr std::int64_t kPieceRow = 128;       // bytes
constexpr std::int64_t kDescriptorUnit = 16;  // bytes that an address in a descriptor counts

// Groups of 8 rows are 1024 bytes apart, chunks swizzled over 128 bytes.
constexpr std::int64_t kDescriptorHigh = (1024 / kDescriptorUnit) | std::int64_t{1} << 30;

// "%4,%5,%6": operands of a statement.
std::string operands(std::int64_t begin, std::int64_t end) {
  std::vector<std::string> names;
  for (std::int64_t i = begin; i < end; ++i) names.push_back(fmt::format("%{}", i));
  return fmt::format("{}", fmt::join(names, ","));
}

// "\"+f\"(name[0]),\"+f\"(name[1])": what the operands of an array are.
std::string constraints(const char* constraint, const char* name, std::int64_t count) {
  std::vector<std::string> texts;
  for (std::int64_t i = 0; i < count; ++i) {
    texts.push_back(fmt::format("\"{}\"({}[{}])", constraint, name, i));
  }
  return fmt::format("{}", fmt::join(texts, ","));
}

// One asm statement of several lines as a macro.
std::string macro(const std::string& head, const std::vector<std::string>& lines,
                  const std::string& outputs, const std::string& inputs) {
  std::string text = fmt::format("#define {} \\\n  asm volatile( \\\n", head);
  for (const std::string& line : lines) text += fmt::format("      \"{}\\n\\t\" \\\n", line);
  return text + fmt::format("      : {} \\\n      : {} \\\n      : \"memory\")\n", outputs, inputs);
}

class Statements {
 public:
  Statements(const WgmmaShape& shape, const char* marker)
      : shape_(shape), marker_(marker), type_(shape.type == DataType::f16 ? "f16" : "bf16") {}

  std::string scores() const {
    const std::int64_t count = shape_.key_tile / 2;
    std::vector<std::string> lines = begin();
    const std::int64_t steps = (shape_.head_dim + kDepth - 1) / kDepth;
    for (std::int64_t step = 0; step < steps; ++step) {
      // Four steps a piece, of 32 bytes each within its rows.
      const auto offset = [&](std::int64_t rows) {
        return (step * kDepth / kPiece * rows * kPieceRow + step % 4 * 2 * kDepth) /
               kDescriptorUnit;
      };
      lines.push_back(descriptor("a", count, offset(shape_.query_tile)));
      lines.push_back(descriptor("b", count + 1, offset(shape_.key_tile)));
      // The first step does not add to what the registers held.
      lines.push_back(fmt::format(
          "{}wgmma.mma_async.sync.aligned.m64n{}k{}.f32.{}.{} {{{}}}, a, b, {}, 1, 1, 0, 0;",
          marker_, shape_.key_tile, kDepth, type_, type_, operands(0, count), step > 0 ? 1 : 0));
    }
    end(lines);
    return macro("WGMMA_SCORES(scores, queries, keys)", lines, constraints("=f", "scores", count),
                 "\"r\"(queries), \"r\"(keys)");
  }

  std::string outputs() const {
    const std::int64_t count = shape_.value_dim / 2, weights = shape_.key_tile / 4;
    std::vector<std::string> lines = begin();
    for (std::int64_t step = 0; step < shape_.key_tile / kDepth; ++step) {
      // Values lie transposed: 16 keys are 16 rows.
      lines.push_back(
          descriptor("b", count + weights, step * kDepth * kPieceRow / kDescriptorUnit));
      const std::int64_t first = count + 4 * step;
      lines.push_back(fmt::format(
          "{}wgmma.mma_async.sync.aligned.m64n{}k{}.f32.{}.{} {{{}}}, {{{}}}, b, 1, 1, 1, 1;",
          marker_, shape_.value_dim, kDepth, type_, type_, operands(0, count),
          operands(first, first + 4)));
    }
    end(lines);
    return macro("WGMMA_OUTPUTS(outputs, weights, values)", lines,
                 constraints("+f", "outputs", count),
                 constraints("r", "weights", weights) + ", \"r\"(values)");
  }

  // The registers are outputs of the wait, so that nothing reads them before it.
  std::string wait(const char* name, const char* array, std::int64_t count) const {
    return fmt::format(
        "#define {}(pending, {}) \\\n"
        "  asm volatile(\"{}wgmma.wait_group.sync.aligned \" #pending \";\" \\\n"
        "      : {} \\\n      : \\\n      : \"memory\")\n",
        name, array, marker_, constraints("+f", array, count));
  }

 private:
  std::vector<std::string> begin() const {
    return {fmt::format("{}wgmma.fence.sync.aligned;", marker_),
            "{ .reg .b64 a, b; .reg .b32 low, high;",
            fmt::format("mov.b32 high, {};", kDescriptorHigh)};
  }
  // A descriptor whose lower half is an operand, moved on by an offset.
  static std::string descriptor(const char* name, std::int64_t operand, std::int64_t offset) {
    return fmt::format("add.u32 low, %{}, {}; mov.b64 {}, {{low, high}};", operand, offset, name);
  }
  void end(std::vector<std::string>& lines) const {
    lines.push_back("}");
    lines.push_back(fmt::format("{}wgmma.commit_group.sync.aligned;", marker_));
  }

  const WgmmaShape& shape_;
  const char* marker_;
  const char* type_;
};

}  // namespace

SourceFile wgmma_statements(const WgmmaShape& shape, const char* marker) {
  const Statements statements(shape, marker);
  return {"wgmma_statements",
          statements.scores() + statements.outputs() +
              statements.wait("WGMMA_WAIT_SCORES", "scores", shape.key_tile / 2) +
              statements.wait("WGMMA_WAIT_OUTPUTS", "outputs", shape.value_dim / 2)};
}

}  // namespace clattn
