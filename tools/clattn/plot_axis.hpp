// An axis of a plot: where values lie in pixels, and which of them get a tick: whole multiples of
// 1, 2 or 5 times a power of ten. Pure.
#pragma once

#include <string>
#include <vector>

namespace clattn::tool {

struct PlotAxis {
  double low = 0;  // less than `high`; both above 0 where the axis is logarithmic
  double high = 1;
  int begin = 0;  // pixels of `low` and `high`
  int end = 1;
  bool logarithmic = false;

  int at(double value) const;
  // Rising, within the axis; about `most` of them at most, none of them closer than `least_step`
  // on a linear axis. A logarithmic axis whose ends lie close together is marked as a linear one.
  std::vector<double> ticks(int most, double least_step = 0) const;
};

// "0.5", "20", "1e+06".
std::string tick_text(double value);

}  // namespace clattn::tool
