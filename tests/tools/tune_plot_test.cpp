// What must be on the picture is looked up where the axes put it.
#include "clattn/tune_plot.hpp"

#include <cmath>

#include "tests/support.hpp"
#include "tests/tools/tuning_samples.hpp"

namespace clattn::tool {
namespace {

using test::correct_trial;
using test::failed_trial;

KernelConfig config(std::int64_t tile) { return {{"tile", tile}}; }

// The heuristic is the first, the best the last; the second fails.
TuneResult sample() {
  TuneResult result;
  result.family = "portable";
  result.trials = {correct_trial(config(0), {5e-3, 4e-3, 9e-3}),
                   failed_trial(config(1), TrialOutcome::runtime, "lost"),
                   correct_trial(config(2), {20e-3}),
                   correct_trial(config(3), {3e-3}),
                   correct_trial(config(4), {80e-3}),
                   correct_trial(config(5), {2e-3})};
  result.heuristic = config(0);
  result.best = config(5);
  result.heuristic_seconds = 5e-3;
  result.best_seconds = 2e-3;
  return result;
}

std::ptrdiff_t count(const Canvas& canvas, Color color, int begin, int end) {
  std::ptrdiff_t found = 0;
  for (int y = 0; y < canvas.height(); ++y) {
    for (int x = begin; x < end; ++x) found += canvas.at(x, y) == color;
  }
  return found;
}

// Pixels below the legend, from column to column.
int rows_of(const Canvas& canvas, Color color, int x, const TunePlotAxes& axes) {
  for (int y = axes.time.end; y < canvas.height(); ++y) {
    if (canvas.at(x, y) == color) return y;
  }
  return -1;
}

TEST(PlotAxis, TicksAreMultiplesOfOneTwoAndFive) {
  const auto expect_ticks = [](const PlotAxis& axis, int most, double least,
                               const std::vector<double>& expected) {
    const std::vector<double> ticks = axis.ticks(most, least);
    ASSERT_EQ(ticks.size(), expected.size());
    for (std::size_t i = 0; i < ticks.size(); ++i) {
      EXPECT_NEAR(ticks[i], expected[i], 1e-9 * std::abs(expected[i]));
      EXPECT_FALSE(std::signbit(ticks[i]));
    }
  };
  expect_ticks({0, 100, 0, 10, false}, 8, 0, {0, 20, 40, 60, 80, 100});
  expect_ticks({0, 7, 0, 10, false}, 10, 0, {0, 1, 2, 3, 4, 5, 6, 7});
  expect_ticks({0, 2, 0, 10, false}, 8, 1, {0, 1, 2});
  expect_ticks({0, 0.3, 0, 10, false}, 3, 0, {0, 0.1, 0.2, 0.3});
  expect_ticks({0.9, 11, 0, 10, true}, 8, 0, {1, 2, 5, 10});
  expect_ticks({1, 1e6, 0, 10, true}, 8, 0, {1, 10, 100, 1e3, 1e4, 1e5, 1e6});
  expect_ticks({1e-3, 1e12, 0, 10, true}, 8, 0, {1e-2, 1, 1e2, 1e4, 1e6, 1e8, 1e10, 1e12});
  expect_ticks({1.01, 1.09, 0, 10, true}, 8, 0,
               {1.01, 1.02, 1.03, 1.04, 1.05, 1.06, 1.07, 1.08, 1.09});
}

TEST(PlotAxis, ValuesLieBetweenTheEnds) {
  const PlotAxis linear{0, 10, 100, 300, false}, logarithmic{1, 100, 500, 100, true};
  EXPECT_EQ(linear.at(0), 100);
  EXPECT_EQ(linear.at(5), 200);
  EXPECT_EQ(linear.at(10), 300);
  EXPECT_EQ(logarithmic.at(1), 500);
  EXPECT_EQ(logarithmic.at(10), 300);
  EXPECT_EQ(logarithmic.at(100), 100);
  EXPECT_EQ(tick_text(0.05), "0.05");
  EXPECT_EQ(tick_text(3 * 0.1), "0.3");
}

TEST(TunePlot, EveryTrialIsWhereTheAxesSay) {
  const TuneResult result = sample();
  const TunePlotAxes axes = tune_plot_axes(result);
  EXPECT_EQ(axes.unit_name, "ms");
  const Canvas canvas = draw_tune_plot(result, "subject");
  const std::vector<std::pair<int, double>> left = {{1, 5}, {3, 20}, {4, 3}, {5, 80}, {6, 2}};
  for (const auto& [evaluation, time] : left) {
    EXPECT_EQ(canvas.at(axes.evaluations.at(evaluation), axes.time.at(time)), kTrialColor)
        << evaluation;
  }
  const std::vector<double> sorted = {2, 3, 5, 20, 80};
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    const int x = axes.share.at(100 * (static_cast<double>(i) + 0.5) / 5);
    EXPECT_EQ(canvas.at(x, axes.time.at(sorted[i])), kTrialColor) << i;
  }
  const int tick = axes.evaluations.at(2);
  EXPECT_NE(rows_of(canvas, kFailureColor, tick, axes), -1);
  for (const int other : {1, 3, 4, 5, 6}) {
    EXPECT_EQ(rows_of(canvas, kFailureColor, axes.evaluations.at(other), axes), -1) << other;
  }
  // The heuristic's line passes both panels.
  const int row = axes.time.at(5);
  int dashes = 0;
  for (int x = 0; x < canvas.width(); ++x) dashes += canvas.at(x, row) == kHeuristicColor;
  EXPECT_GT(dashes, canvas.width() / 3);
}

TEST(TunePlot, TheBestSoFarOnlyFalls) {
  const TuneResult result = sample();
  const TunePlotAxes axes = tune_plot_axes(result);
  const Canvas canvas = draw_tune_plot(result, "subject");
  int row = 0;
  for (int x = axes.evaluations.at(1) + 9; x < axes.evaluations.at(6) - 12; ++x) {
    const int here = rows_of(canvas, kBestColor, x, axes);
    if (here == -1) continue;  // behind a dot
    EXPECT_GE(here, row) << x;
    row = here;
  }
  const int between = (axes.evaluations.at(2) + axes.evaluations.at(3)) / 2;
  EXPECT_EQ(canvas.at(between, axes.time.at(5)), kBestColor);
  const int later = (axes.evaluations.at(4) + axes.evaluations.at(5)) / 2;
  EXPECT_EQ(canvas.at(later, axes.time.at(3)), kBestColor);
  EXPECT_EQ(canvas.at(axes.evaluations.end - 4, axes.time.at(2)), kBestColor);
}

TEST(TunePlot, OddResultsAreDrawn) {
  TuneResult result = sample();
  result.trials.resize(1);
  TunePlotAxes axes = tune_plot_axes(result);
  EXPECT_EQ(draw_tune_plot(result, "").at(axes.evaluations.at(1), axes.time.at(5)), kTrialColor);

  result = sample();
  for (Trial& trial : result.trials) trial = failed_trial(trial.config, TrialOutcome::compile, "");
  result.best_seconds = 0;
  axes = tune_plot_axes(result);
  Canvas canvas = draw_tune_plot(result, "subject");
  EXPECT_EQ(count(canvas, kTrialColor, axes.share.begin, axes.share.end), 0);
  EXPECT_NE(rows_of(canvas, kFailureColor, axes.evaluations.at(6), axes), -1);

  result = sample();
  for (Trial& trial : result.trials) trial = correct_trial(trial.config, {7e-6, 7e-6});
  axes = tune_plot_axes(result);
  EXPECT_EQ(axes.unit_name, "us");
  canvas = draw_tune_plot(result, std::string(1000, 'x'));
  EXPECT_EQ(canvas.at(axes.evaluations.at(3), axes.time.at(7)), kTrialColor);

  result.trials.clear();
  canvas = draw_tune_plot(result, "subject");
  EXPECT_EQ(count(canvas, kTrialColor, axes.share.begin, axes.share.end), 0);
}

}  // namespace
}  // namespace clattn::tool
