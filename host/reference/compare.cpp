
#include <clattn/reference.hpp>
#include <cmath>

#include "host/invalid.hpp"

namespace clattn {

Comparison compare(std::span<const double> actual, std::span<const double> exact,
                   std::span<const double> plain, double absolute) {
  if (actual.size() != exact.size() || plain.size() != exact.size()) {
    invalid("cannot compare {} elements with {} exact and {} plain ones", actual.size(),
            exact.size(), plain.size());
  }
  Comparison result;
  double plain_error = 0;
  double difference_squared = 0;
  double exact_squared = 0;
  double worst = -1;
  for (std::size_t i = 0; i < exact.size(); ++i) {
    if (std::isfinite(exact[i]) && std::isfinite(plain[i])) {
      plain_error = std::max(plain_error, std::abs(plain[i] - exact[i]));
    }
    double error = std::abs(actual[i] - exact[i]);
    if (!std::isfinite(exact[i]) || !std::isfinite(actual[i])) {
      const bool same = actual[i] == exact[i] || (std::isnan(actual[i]) && std::isnan(exact[i]));
      error = same ? 0.0 : std::numeric_limits<double>::infinity();
      result.non_finite += !same && !std::isfinite(actual[i]);
    } else {
      difference_squared += error * error;
      exact_squared += exact[i] * exact[i];
    }
    if (error > worst) {
      worst = error;
      result.worst = static_cast<std::int64_t>(i);
      result.worst_actual = actual[i];
      result.worst_expected = exact[i];
    }
  }
  result.max_error = std::max(worst, 0.0);
  result.relative_error = exact_squared > 0 ? std::sqrt(difference_squared / exact_squared)
                                            : std::sqrt(difference_squared);
  result.limit = 2 * plain_error + absolute;
  result.pass = result.max_error <= result.limit;
  return result;
}

}  // namespace clattn
