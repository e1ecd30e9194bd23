// What is said of the ways to tile a neighborhood, made-up ones.
#include "host/planning/explain_tilings.hpp"

#include "tests/support.hpp"

namespace clattn {
namespace {

PlanReport report_of(std::size_t tilings) {
  PlanReport report;
  report.visible_pairs = 1e6;
  report.dense_efficiency = 0.5;
  for (std::size_t i = 0; i < tilings; ++i) {
    report.tilings.push_back({.tokens = TokenAccess::permuted,
                              .query_tile = {16, 8},
                              .key_tile = {8, 8},
                              .bound = 7.5,
                              .masked_share = 0.25,
                              .permutation_bytes = 3e6,
                              .cost_flops = 1e9 * static_cast<double>(i + 1)});
  }
  return report;
}

TEST(ExplainTilings, SaysNothingOfOtherMasks) {
  EXPECT_EQ(explain_tilings(report_of(0), 1e7, DeviceRates{1e12, 1e11}), "");
}

TEST(ExplainTilings, HoldsEveryColumn) {
  PlanReport report = report_of(1);
  report.tilings.push_back({TokenAccess::in_place, {}, {}, 1.5, 0, 0, 8e9});
  const std::string text = explain_tilings(report, 1e7, DeviceRates{1e12, 1e11});
  for (const char* words : {"at most 10 times as fast as dense", "permuted", "16x8", "8x8", "7.50x",
                            "25.0%", "3.00 MB", " 2 ms", "in_place", " - ", "1.50x", " 16 ms"}) {
    EXPECT_NE(text.find(words), std::string::npos) << words << " in\n" << text;
  }
  EXPECT_LT(text.find("permuted"), text.find("in_place"));
}

TEST(ExplainTilings, PredictsNothingWithoutRates) {
  const std::string text = explain_tilings(report_of(1), 1e7, {});
  EXPECT_EQ(text.find("predicted"), std::string::npos) << text;
  EXPECT_EQ(text.find(" ms"), std::string::npos) << text;
}

TEST(ExplainTilings, CutsLongTables) {
  const std::string text = explain_tilings(report_of(11), 1e7, DeviceRates{1e12, 1e11});
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2 + 8 + 1) << text;
  EXPECT_NE(text.find("and 3 more"), std::string::npos) << text;
}

}  // namespace
}  // namespace clattn
