// Whether one kernel is faster than another, from times that were taken in turns. What disturbs a
// measurement (clocks, other work) disturbs neighbors in time alike and mostly makes them slower,
// so the ratios of pairs are compared, and by their median. Pure.
#pragma once

#include <vector>

namespace clattn {

// Of at least one value.
double median(std::vector<double> values);
// Median absolute deviation from the median.
double median_absolute_deviation(const std::vector<double>& values);

enum class RaceVerdict { faster, not_faster, open };

// Of the natural logarithms of the ratios, candidate to the one to beat, of pairs. `faster` by more
// than the noise and than what is worth a change; `not_faster` where that can be ruled out.
RaceVerdict judge_race(const std::vector<double>& log_ratios);

}  // namespace clattn
