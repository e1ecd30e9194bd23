#include "tune_plot.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <utility>
#include <vector>

#include "host/tuning/comparison.hpp"
#include "progress.hpp"

namespace clattn::tool {
namespace {

constexpr int kWidth = 1480, kHeight = 728;
constexpr int kText = 2;  // scale
constexpr int kMargin = 32;
constexpr int kTop = 208, kBottom = 640;       // of both panels
constexpr int kLeft = 110, kLeftEnd = 920;     // the left panel
constexpr int kRight = 968, kRightEnd = 1448;  // the right one
constexpr int kStrip = 36;                     // of the left panel, for the failures
constexpr int kTick = 7;

constexpr Color kPaper{255, 255, 255};
constexpr Color kPanel{246, 247, 249};
constexpr Color kGrid{222, 225, 230};
constexpr Color kInk{32, 34, 38};
constexpr Color kMuted{98, 103, 112};

struct Dot {
  double evaluation;
  double time;
  const Trial* trial;
};

std::vector<Dot> correct_trials(const TuneResult& result) {
  std::vector<Dot> dots;
  for (std::size_t i = 0; i < result.trials.size(); ++i) {
    const Trial& trial = result.trials[i];
    if (trial.outcome != TrialOutcome::correct || trial.seconds.empty()) continue;
    dots.push_back({static_cast<double>(i + 1), median(trial.seconds), &trial});
  }
  return dots;
}

// Draws what both panels have: paper, lines at the ticks, and the numbers below.
void draw_panel(Canvas& canvas, const PlotAxis& across, const TunePlotAxes& axes, bool empty,
                const std::string& label) {
  const int width = across.end - across.begin;
  canvas.fill(across.begin, kTop, width + 1, kBottom - kTop, kPanel);
  for (const double tick : across.ticks(8, 1)) {
    const int x = across.at(tick);
    const std::string text = tick_text(tick);
    canvas.fill(x, kTop, 1, kBottom - kTop, kGrid);
    canvas.fill(x, kBottom, 1, kTick, kInk);
    canvas.text(x - text_width(text, kText) / 2, kBottom + 2 * kTick, kText, text, kInk);
  }
  if (!empty) {
    for (const double tick : axes.time.ticks(8)) {
      canvas.fill(across.begin, axes.time.at(tick), width + 1, 1, kGrid);
    }
  }
  canvas.fill(across.begin, kBottom, width + 1, 2, kInk);
  canvas.text(across.begin + (width - text_width(label, kText)) / 2, kBottom + 48, kText, label,
              kMuted);
}

void draw_time_ticks(Canvas& canvas, const TunePlotAxes& axes) {
  for (const double tick : axes.time.ticks(8)) {
    const int y = axes.time.at(tick);
    const std::string text = tick_text(tick);
    canvas.fill(kLeft - kTick, y, kTick, 1, kInk);
    canvas.text(kLeft - 2 * kTick - text_width(text, kText), y - 7, kText, text, kInk);
  }
  canvas.fill(kLeft - 1, kTop, 2, kBottom - kTop, kInk);
  canvas.text(kMargin, kTop - 30, kText,
              fmt::format("median time ({}), logarithmic", axes.unit_name), kMuted);
}

void draw_dashes(Canvas& canvas, int begin, int end, int y) {
  constexpr int kDash = 9, kGap = 6;
  for (int x = begin; x < end; x += kDash + kGap) {
    canvas.fill(x, y - 1, std::min(kDash, end - x), 2, kHeuristicColor);
  }
}

void draw_heuristic(Canvas& canvas, const TuneResult& result, const std::vector<Dot>& dots,
                    const TunePlotAxes& axes) {
  const auto found = std::ranges::find_if(
      dots, [&](const Dot& dot) { return dot.trial->config == result.heuristic; });
  if (found == dots.end()) return;
  const int y = axes.time.at(found->time / axes.unit);
  draw_dashes(canvas, kLeft, kLeftEnd, y);
  draw_dashes(canvas, kRight, kRightEnd, y);
  // Sorted times leave room below the line at the right, or above it at the left.
  constexpr int kGap = 10;
  const std::string label = "heuristic";
  const auto faster =
      std::ranges::count_if(dots, [&](const Dot& dot) { return dot.time < found->time; });
  if (2 * static_cast<std::size_t>(faster) < dots.size()) {
    canvas.text(kRightEnd - kGap - text_width(label, kText), y + kGap, kText, label,
                kHeuristicColor);
  } else {
    canvas.text(kRight + kGap, y - kGap - 14, kText, label, kHeuristicColor);
  }
}

void draw_best_so_far(Canvas& canvas, const std::vector<Dot>& dots, const TunePlotAxes& axes) {
  constexpr int kThick = 3;
  double best = dots.empty() ? 0 : dots[0].time;
  for (std::size_t i = 0; i < dots.size(); ++i) {
    best = std::min(best, dots[i].time);
    const int x = axes.evaluations.at(dots[i].evaluation), y = axes.time.at(best / axes.unit);
    const int end = i + 1 < dots.size() ? axes.evaluations.at(dots[i + 1].evaluation) : kLeftEnd;
    canvas.fill(x, y - 1, end - x + 1, kThick, kBestColor);
    if (i + 1 == dots.size()) break;
    const int next = axes.time.at(std::min(best, dots[i + 1].time) / axes.unit);
    canvas.fill(end - 1, y - 1, kThick, next - y + kThick, kBestColor);
  }
}

double radius_of(std::size_t dots) { return dots <= 150 ? 5 : dots <= 600 ? 4 : 3; }

void draw_chosen(Canvas& canvas, int x, int y, double radius) {
  canvas.disc(x, y, radius + 5, kBestColor);
  canvas.disc(x, y, radius + 2, kPaper);
  canvas.disc(x, y, radius, kTrialColor);
}

void draw_left(Canvas& canvas, const TuneResult& result, const std::vector<Dot>& dots,
               const TunePlotAxes& axes) {
  draw_best_so_far(canvas, dots, axes);
  const double radius = radius_of(dots.size());
  for (const Dot& dot : dots) {
    canvas.disc(axes.evaluations.at(dot.evaluation), axes.time.at(dot.time / axes.unit), radius,
                kTrialColor);
  }
  for (const Dot& dot : dots) {
    if (dot.trial->config != result.best) continue;
    draw_chosen(canvas, axes.evaluations.at(dot.evaluation), axes.time.at(dot.time / axes.unit),
                radius);
  }
  for (std::size_t i = 0; i < result.trials.size(); ++i) {
    if (result.trials[i].outcome == TrialOutcome::correct) continue;
    canvas.fill(axes.evaluations.at(static_cast<double>(i + 1)) - 1, kBottom - kStrip / 2, 2,
                kStrip / 2, kFailureColor);
  }
}

void draw_right(Canvas& canvas, const TuneResult& result, std::vector<Dot> dots,
                const TunePlotAxes& axes) {
  std::ranges::stable_sort(dots, {}, &Dot::time);
  const double radius = radius_of(dots.size());
  const auto place = [&](std::size_t i) {
    const double share = 100 * (static_cast<double>(i) + 0.5) / static_cast<double>(dots.size());
    return std::pair(axes.share.at(share), axes.time.at(dots[i].time / axes.unit));
  };
  for (std::size_t i = 0; i < dots.size(); ++i) {
    const auto [x, y] = place(i);
    canvas.disc(x, y, radius, kTrialColor);
  }
  for (std::size_t i = 0; i < dots.size(); ++i) {
    const auto [x, y] = place(i);
    if (dots[i].trial->config == result.heuristic) {
      canvas.disc(x, y, radius + 4, kHeuristicColor);
      canvas.disc(x, y, radius + 2, kPaper);
      canvas.disc(x, y, radius, kTrialColor);
    }
    if (dots[i].trial->config == result.best) draw_chosen(canvas, x, y, radius);
  }
}

void draw_legend(Canvas& canvas, std::size_t dots, std::size_t failures) {
  constexpr int kSymbol = 30, kGap = 34, kLine = 132;
  int x = kMargin;
  const auto entry = [&](const std::string& text, const auto& symbol) {
    symbol(x, kLine + 6);
    canvas.text(x + kSymbol + 8, kLine, kText, text, kInk);
    x += kSymbol + 8 + text_width(text, kText) + kGap;
  };
  entry(fmt::format("{} correct", dots),
        [&](int left, int y) { canvas.disc(left + kSymbol / 2, y, 5, kTrialColor); });
  entry("best so far", [&](int left, int y) { canvas.fill(left, y - 1, kSymbol, 3, kBestColor); });
  entry("chosen", [&](int left, int y) { draw_chosen(canvas, left + kSymbol / 2, y, 5); });
  entry("heuristic", [&](int left, int y) { draw_dashes(canvas, left, left + kSymbol, y); });
  entry(fmt::format("{} failed", failures), [&](int left, int y) {
    for (int i = 0; i < 3; ++i) canvas.fill(left + 6 + 8 * i, y - 9, 2, 18, kFailureColor);
  });
}

void draw_title(Canvas& canvas, const TuneResult& result, const std::string& subject) {
  std::string title = "no correct configuration";
  if (result.best_seconds > 0 && result.best == result.heuristic) {
    title = fmt::format("the heuristic's choice stays, {}", format_duration(result.best_seconds));
  } else if (result.best_seconds > 0 && result.heuristic_seconds <= 0) {
    title =
        fmt::format("{}, where the heuristic's choice fails", format_duration(result.best_seconds));
  } else if (result.best_seconds > 0) {
    title = fmt::format("{:.2f} times as fast as the heuristic's choice ({}, was {})",
                        result.heuristic_seconds / result.best_seconds,
                        format_duration(result.best_seconds),
                        format_duration(result.heuristic_seconds));
  }
  constexpr int kTitle = 3;  // scale
  canvas.text(kMargin, kMargin, kTitle, result.family + ": " + title, kInk);
  std::vector<std::string> lines = wrapped(subject, kWidth - 2 * kMargin, kText);
  if (lines.size() > 2) lines.resize(2);
  canvas.text_lines(kMargin, kMargin + line_height(kTitle) + 4, kText, lines, kMuted);
}

}  // namespace

TunePlotAxes tune_plot_axes(const TuneResult& result) {
  TunePlotAxes axes;
  const auto count = static_cast<double>(result.trials.size());
  axes.evaluations = {0, std::max(count + 1, std::ceil(1.02 * count)), kLeft, kLeftEnd, false};
  axes.share = {0, 100, kRight, kRightEnd, false};
  double low = 1, high = 1;  // seconds
  if (const std::vector<Dot> dots = correct_trials(result); !dots.empty()) {
    const auto [least, most] = std::ranges::minmax(dots, {}, &Dot::time);
    low = least.time;
    high = most.time;
  }
  constexpr std::array<std::pair<double, const char*>, 3> kUnits = {
      {{1, "s"}, {1e-3, "ms"}, {1e-6, "us"}}};
  for (const auto& [unit, name] : kUnits) {
    axes.unit = unit;
    axes.unit_name = name;
    if (high >= unit) break;
  }
  // Air on both sides, also where all times are alike.
  const double air = std::max(1.02, std::pow(high / low, 0.06));
  axes.time = {low / air / axes.unit, high * air / axes.unit, kBottom - kStrip, kTop, true};
  return axes;
}

Canvas draw_tune_plot(const TuneResult& result, const std::string& subject) {
  const TunePlotAxes axes = tune_plot_axes(result);
  const std::vector<Dot> dots = correct_trials(result);
  Canvas canvas(kWidth, kHeight, kPaper);
  draw_title(canvas, result, subject);
  draw_legend(canvas, dots.size(), result.trials.size() - dots.size());
  draw_panel(canvas, axes.evaluations, axes, dots.empty(), "evaluations");
  draw_panel(canvas, axes.share, axes, dots.empty(), "share of the correct ones (%)");
  if (!dots.empty()) draw_time_ticks(canvas, axes);
  draw_heuristic(canvas, result, dots, axes);
  draw_left(canvas, result, dots, axes);
  draw_right(canvas, result, dots, axes);
  return canvas;
}

}  // namespace clattn::tool
