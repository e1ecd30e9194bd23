#include "clattn/tune_progress.hpp"

#include <gtest/gtest.h>

namespace clattn::tool {
namespace {

TuneProgress progress(std::int64_t evaluations, std::int64_t expected, double seconds) {
  TuneProgress made;
  made.evaluations = evaluations;
  made.expected = expected;
  made.seconds = seconds;
  return made;
}

TuneBudget budget(double seconds) {
  TuneBudget made;
  made.seconds = seconds;
  return made;
}

TEST(TuneProgress, TheTimeLeftIsTheLessOfBothBudgets) {
  EXPECT_EQ(seconds_left(progress(0, 100, 0), budget(0)), std::nullopt);
  EXPECT_EQ(seconds_left(progress(0, 100, 5), budget(60)), 55);
  EXPECT_EQ(seconds_left(progress(25, 100, 10), budget(0)), 30);
  EXPECT_EQ(seconds_left(progress(25, 100, 10), budget(60)), 30);
  EXPECT_EQ(seconds_left(progress(25, 100, 10), budget(20)), 10);
  EXPECT_EQ(seconds_left(progress(100, 100, 30), budget(20)), 0);
  // More than was expected: nothing is known of the rest.
  EXPECT_EQ(seconds_left(progress(101, 100, 30), budget(0)), std::nullopt);
}

TEST(TuneProgress, TheLineSaysWhatIsKnown) {
  TuneProgress made = progress(0, 120, 0);
  EXPECT_EQ(tune_progress_line(made, budget(0)), "tune 0/120");
  made = progress(37, 120, 37 * 2);
  EXPECT_EQ(tune_progress_line(made, budget(0)), "tune 37/120, 2 min 46 s left");
  made.best_seconds = 1.234e-3;
  made.gain = 1.228;
  made.failures = 2;
  EXPECT_EQ(tune_progress_line(made, budget(274)),
            "tune 37/120, best 1.23 times the heuristic (1.23 ms), 2 failed, 2 min 46 s left");
  EXPECT_EQ(tune_progress_line(made, budget(74.5)),
            "tune 37/120, best 1.23 times the heuristic (1.23 ms), 2 failed, 0 s left");
}

}  // namespace
}  // namespace clattn::tool
