// The generated assembly of wgmma products: every instruction, operand and offset of a statement is
// read back and held to where the elements lie.
#include "host/planning/wgmma_statements.hpp"

// GCC takes parts of std::regex for uninitialized where addresses are sanitized (its bug 105562).
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <regex>

#include "tests/support.hpp"

namespace clattn {
namespace {

// The text of one macro.
std::string macro(const std::string& text, const std::string& name) {
  const std::size_t begin = text.find("#define " + name + "(");
  EXPECT_NE(begin, std::string::npos) << name;
  std::size_t end = begin;
  do end = text.find('\n', end + 1);
  while (text[end - 1] == '\\');
  return text.substr(begin, end - begin);
}

std::vector<std::smatch> matches(const std::string& text, const std::regex& pattern) {
  return {std::sregex_iterator(text.begin(), text.end(), pattern), std::sregex_iterator()};
}

std::int64_t number(const std::ssub_match& match) { return std::stoll(match.str()); }

// "%4,%5,%6" as numbers.
std::vector<std::int64_t> registers(const std::string& list) {
  std::vector<std::int64_t> result;
  static const std::regex operand("%(\\d+)");
  for (const std::smatch& match : matches(list, operand)) result.push_back(number(match[1]));
  return result;
}

std::vector<std::int64_t> range(std::int64_t begin, std::int64_t end) {
  std::vector<std::int64_t> result;
  for (std::int64_t i = begin; i < end; ++i) result.push_back(i);
  return result;
}

std::int64_t count(const std::string& text, const std::string& part) {
  std::int64_t result = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++result;
  }
  return result;
}

void check(const WgmmaShape& shape) {
  const std::string text = wgmma_statements(shape, "//@ ").text;
  const std::string type = shape.type == DataType::f16 ? "f16" : "bf16";
  static const std::regex instruction(
      "//@ wgmma\\.mma_async\\.sync\\.aligned\\.m64n(\\d+)k16\\.f32\\.(\\w+)\\.(\\w+) "
      "\\{([^}]*)\\}, (.*?);");
  // A descriptor: its lower half moved on, and the upper half that all of a statement share.
  static const std::regex addition(
      "add\\.u32 low, %(\\d+), (\\d+); mov\\.b64 ([ab]), \\{low, high\\};");

  // scores = queries * transposed keys, 16 dimensions at a time.
  const std::string scores = macro(text, "WGMMA_SCORES");
  const std::int64_t score_count = shape.key_tile / 2;
  auto products = matches(scores, instruction);
  auto additions = matches(scores, addition);
  const std::int64_t steps = (shape.head_dim + 15) / 16;
  ASSERT_EQ(std::ssize(products), steps);
  ASSERT_EQ(std::ssize(additions), 2 * steps);
  for (std::int64_t step = 0; step < steps; ++step) {
    const auto at = static_cast<std::size_t>(step);
    EXPECT_EQ(number(products[at][1]), shape.key_tile);
    EXPECT_EQ(products[at][2], type);
    EXPECT_EQ(products[at][3], type);
    EXPECT_EQ(registers(products[at][4]), range(0, score_count));
    EXPECT_EQ(products[at][5].str(), step == 0 ? "a, b, 0, 1, 1, 0, 0" : "a, b, 1, 1, 1, 0, 0");
    // Column 16 * step of row 0, in pieces of 64 columns and rows of 128 bytes.
    const std::int64_t in_piece = 16 * step % 64 * 2, piece = 16 * step / 64;
    EXPECT_EQ(additions[2 * at][3], "a");
    EXPECT_EQ(number(additions[2 * at][1]), score_count);
    EXPECT_EQ(16 * number(additions[2 * at][2]), piece * shape.query_tile * 128 + in_piece);
    EXPECT_EQ(additions[2 * at + 1][3], "b");
    EXPECT_EQ(number(additions[2 * at + 1][1]), score_count + 1);
    EXPECT_EQ(16 * number(additions[2 * at + 1][2]), piece * shape.key_tile * 128 + in_piece);
  }
  EXPECT_EQ(count(scores, "\"=f\"(scores["), score_count);
  EXPECT_EQ(count(scores, ": \"r\"(queries), \"r\"(keys) \\\n"), 1);

  // outputs += weights * values, 16 keys at a time.
  const std::string outputs = macro(text, "WGMMA_OUTPUTS");
  const std::int64_t output_count = shape.value_dim / 2, weight_count = shape.key_tile / 4;
  products = matches(outputs, instruction);
  additions = matches(outputs, addition);
  ASSERT_EQ(std::ssize(products), shape.key_tile / 16);
  ASSERT_EQ(products.size(), additions.size());
  std::vector<std::int64_t> weights;
  for (std::int64_t step = 0; step < shape.key_tile / 16; ++step) {
    const auto at = static_cast<std::size_t>(step);
    EXPECT_EQ(number(products[at][1]), shape.value_dim);
    EXPECT_EQ(registers(products[at][4]), range(0, output_count));
    const std::vector<std::int64_t> own = registers(products[at][5]);
    weights.insert(weights.end(), own.begin(), own.end());
    EXPECT_TRUE(products[at][5].str().ends_with("}, b, 1, 1, 1, 1"));
    EXPECT_EQ(additions[at][3], "b");
    EXPECT_EQ(number(additions[at][1]), output_count + weight_count);
    EXPECT_EQ(16 * number(additions[at][2]), 16 * step * 128);  // row 16 * step
  }
  EXPECT_EQ(weights, range(output_count, output_count + weight_count));
  EXPECT_EQ(count(outputs, "\"+f\"(outputs["), output_count);
  EXPECT_EQ(count(outputs, "\"r\"(weights["), weight_count);
  EXPECT_EQ(count(outputs, "]), \"r\"(values) \\\n"), 1);

  // Groups of 8 rows 1024 bytes apart, counted in 16s from bit 32; a swizzle of 128 bytes in
  // bit 62.
  const std::string high = "mov.b32 high, " + std::to_string(1024 / 16 + (1 << 30)) + ";";
  // A fence before and a group behind, in the same statement.
  for (const std::string& statement : {scores, outputs}) {
    EXPECT_EQ(count(statement, "asm volatile("), 1);
    EXPECT_LT(statement.find("//@ wgmma.fence.sync.aligned;"), statement.find("mma_async"));
    EXPECT_EQ(count(statement, high), 1);
    EXPECT_EQ(count(statement, "high,"), 1) << "the upper half is written once";
    EXPECT_LT(statement.find(high), statement.find("{low, high}"));
    EXPECT_GT(statement.find("//@ wgmma.commit_group.sync.aligned;"), statement.rfind("mma_async"));
  }
  EXPECT_EQ(count(macro(text, "WGMMA_WAIT_SCORES"), "\"+f\"(scores["), score_count);
  EXPECT_EQ(count(macro(text, "WGMMA_WAIT_OUTPUTS"), "\"+f\"(outputs["), output_count);
  EXPECT_EQ(count(text, "wgmma."), count(text, "//@ wgmma.")) << "an instruction is not marked";
}

TEST(WgmmaStatements, AreWhatTheTileNeeds) {
  for (const DataType type : {DataType::f16, DataType::bf16}) {
    for (const std::int64_t head_dim : {8, 16, 40, 64, 80, 96, 128, 192, 256}) {
      for (const std::int64_t value_dim : {8, 64, 72, 128, 256}) {
        SCOPED_TRACE(std::to_string(head_dim) + "/" + std::to_string(value_dim));
        check({type, 192, 80, head_dim, value_dim});
        check({type, 128, 128, head_dim, value_dim});
      }
    }
  }
}

}  // namespace
}  // namespace clattn
