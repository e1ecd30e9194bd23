// A search as a picture. Left: every correct trial by its median time, in the order of the
// evaluations, with the best so far as a line, and failures as ticks below. Right: the same times,
// sorted, which is how they spread over the space. Both share the axis of time, which is
// logarithmic. Pure but for the canvas.
#pragma once

#include <clattn/tuning.hpp>
#include <string>

#include "canvas.hpp"
#include "plot_axis.hpp"

namespace clattn::tool {

inline constexpr Color kTrialColor{66, 118, 186};
inline constexpr Color kBestColor{224, 122, 32};
inline constexpr Color kHeuristicColor{70, 74, 82};
inline constexpr Color kFailureColor{196, 44, 58};

struct TunePlotAxes {
  PlotAxis evaluations;  // 1 is the first trial
  PlotAxis share;        // percent of the correct trials; of m, the i-th lies at (i + 1/2) / m
  PlotAxis time;         // in units of `unit`
  double unit = 1;       // seconds
  std::string unit_name;
};

TunePlotAxes tune_plot_axes(const TuneResult& result);

// `subject` says what was tuned, on what device.
Canvas draw_tune_plot(const TuneResult& result, const std::string& subject);

}  // namespace clattn::tool
