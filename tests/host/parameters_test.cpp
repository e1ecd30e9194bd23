#include "host/planning/parameters.hpp"

#include <fmt/format.h>

#include "tests/support.hpp"

namespace clattn {
namespace {

using test::expect_error;

TEST(Parameters, AConfigurationIsTextAndBack) {
  const KernelConfig config = {{"key_tile", 64}, {"query_tile", 128}, {"warps", 4}};
  EXPECT_EQ(to_string(config), "key_tile=64,query_tile=128,warps=4");
  EXPECT_EQ(parse_config("warps=4,query_tile=128,key_tile=64"), config);
  EXPECT_EQ(parse_config(to_string(config)), config);
  EXPECT_EQ(parse_config("a=-3"), (KernelConfig{{"a", -3}}));
  EXPECT_EQ(parse_config(""), KernelConfig());
  EXPECT_EQ(to_string(KernelConfig()), "");
}

TEST(Parameters, TextThatIsNoneNamesThePiece) {
  for (const char* piece : {"key_tile", "key_tile=", "=64", "key_tile=6x", "key_tile=6.5",
                            "key_tile= 6", "key_tile=99999999999999999999", ""}) {
    expect_error(ErrorCategory::invalid_argument, {fmt::format("\"{}\"", piece)},
                 [&] { parse_config(fmt::format("warps=4,{}", piece)); });
  }
  expect_error(ErrorCategory::invalid_argument, {"warps is given twice"},
               [] { parse_config("warps=4,warps=4"); });
}

TEST(Parameters, NamesOfMacros) {
  EXPECT_EQ(config_of({{"QUERY_TILE", 8}, {"WARPS", 2}}),
            (KernelConfig{{"query_tile", 8}, {"warps", 2}}));
}

}  // namespace
}  // namespace clattn
