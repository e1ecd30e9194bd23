#include "plot_axis.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace clattn::tool {
namespace {

// Rounding must not lose a tick that lies at an end.
constexpr double kSlack = 1e-9;

// The least 1, 2 or 5 times a power of ten that is not less.
double nice_step(double step) {
  const double power = std::pow(10, std::floor(std::log10(step) + kSlack));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= step * (1 - kSlack)) return factor * power;
  }
  return 10 * power;
}

std::vector<double> linear_ticks(double low, double high, int most, double least_step) {
  const double step = nice_step(std::max((high - low) / most, least_step));
  std::vector<double> ticks;
  const double last = std::floor(high / step + kSlack);
  for (double i = std::ceil(low / step - kSlack); i <= last; ++i) {
    ticks.push_back(i * step + 0.0);  // not -0
  }
  return ticks;
}

std::vector<double> logarithmic_ticks(double low, double high, int most) {
  const double decades = std::log10(high / low);
  const int every = std::max(1, static_cast<int>(std::ceil(decades / most)));
  std::vector<double> ticks;
  const int last = static_cast<int>(std::floor(std::log10(high)));
  for (int exponent = static_cast<int>(std::floor(std::log10(low))); exponent <= last; ++exponent) {
    if (exponent % every != 0) continue;
    for (const double factor : {1.0, 2.0, 5.0}) {
      if (factor > 1 && 3 * decades > most) break;
      const double tick = factor * std::pow(10, exponent);
      if (tick >= low * (1 - kSlack) && tick <= high * (1 + kSlack)) ticks.push_back(tick);
    }
  }
  return ticks;
}

}  // namespace

int PlotAxis::at(double value) const {
  const double part =
      logarithmic ? std::log(value / low) / std::log(high / low) : (value - low) / (high - low);
  return begin + static_cast<int>(std::lround(part * (end - begin)));
}

std::vector<double> PlotAxis::ticks(int most, double least_step) const {
  constexpr std::size_t kFewest = 4;
  if (logarithmic) {
    std::vector<double> ticks = logarithmic_ticks(low, high, most);
    if (ticks.size() >= kFewest) return ticks;
  }
  return linear_ticks(low, high, most, least_step);
}

std::string tick_text(double value) { return fmt::format("{:.6g}", value); }

}  // namespace clattn::tool
