#include "tune_table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>

#include "host/tuning/comparison.hpp"
#include "progress.hpp"

namespace clattn::tool {
namespace {

struct Timed {
  const Trial* trial;
  double time;    // median
  double spread;  // median absolute deviation
};

std::vector<Timed> fastest_first(const TuneResult& result) {
  std::vector<Timed> timed;
  for (const Trial& trial : result.trials) {
    if (trial.outcome != TrialOutcome::correct || trial.seconds.empty()) continue;
    timed.push_back({&trial, median(trial.seconds), median_absolute_deviation(trial.seconds)});
  }
  std::ranges::stable_sort(timed, {}, &Timed::time);
  return timed;
}

struct Failures {
  std::int64_t count = 0;
  std::string first;  // message
};

std::map<std::string, Failures> failures(const TuneResult& result) {
  std::map<std::string, Failures> kinds;
  for (const Trial& trial : result.trials) {
    if (trial.outcome == TrialOutcome::correct) continue;
    Failures& kind = kinds[to_string(trial.outcome)];
    if (kind.count++ == 0) kind.first = trial.message;
  }
  return kinds;
}

// Compilers write pages; their first line fits the table.
std::string first_line(const std::string& message) {
  constexpr std::size_t kMost = 100;
  const std::string line = message.substr(0, message.find('\n'));
  return line.size() > kMost ? line.substr(0, kMost) + "..." : line;
}

std::string row(std::size_t rank, const Timed& timed, const TuneResult& result,
                const std::vector<Parameter>& parameters, std::optional<double> heuristic) {
  const Trial& trial = *timed.trial;
  return fmt::format("{:>4} {:>10} {:>7.1f}% {:>7} {:>5}  {}{}{}\n", rank,
                     format_duration(timed.time), 100 * timed.spread / timed.time,
                     heuristic ? fmt::format("{:.2f}x", *heuristic / timed.time) : "",
                     trial.seconds.size(), describe(trial.config, parameters),
                     trial.config == result.heuristic ? "  (heuristic)" : "",
                     trial.config == result.best ? "  (chosen)" : "");
}

std::string verdict(const TuneResult& result) {
  if (result.best_seconds <= 0) return "nothing to choose: no configuration was correct\n";
  if (result.best == result.heuristic) {
    return fmt::format("chosen: the heuristic's, {}; no other is faster by more than the noise\n",
                       format_duration(result.best_seconds));
  }
  if (result.heuristic_seconds <= 0) {
    return fmt::format("chosen: {}; the heuristic's own choice failed\n",
                       format_duration(result.best_seconds));
  }
  return fmt::format(
      "chosen: {} against the heuristic's {}, timed in turns: {:.2f} times as fast, spread "
      "{:.1f}%\n",
      format_duration(result.best_seconds), format_duration(result.heuristic_seconds),
      result.heuristic_seconds / result.best_seconds, 100 * result.spread / result.best_seconds);
}

std::string loss_text(const ValueLoss& value) {
  if (value.tried == 0) return fmt::format("{} not tried", value.value);
  if (!value.loss) return fmt::format("{} failed", value.value);
  return fmt::format("{} +{:.1f}%", value.value, 100 * *value.loss);
}

nlohmann::ordered_json to_json(const Trial& trial) {
  nlohmann::ordered_json json = {{"config", trial.config},
                                 {"outcome", to_string(trial.outcome)},
                                 {"message", trial.message},
                                 {"seconds", trial.seconds},
                                 {"build_seconds", trial.build_seconds},
                                 {"check_seconds", trial.check_seconds},
                                 {"timestamp", trial.timestamp}};
  if (!trial.seconds.empty()) {
    json["median"] = median(trial.seconds);
    json["spread"] = median_absolute_deviation(trial.seconds);
  }
  return json;
}

}  // namespace

std::vector<Influence> influences(const TuneResult& result,
                                  const std::vector<Parameter>& parameters) {
  const std::vector<Timed> timed = fastest_first(result);
  std::vector<Influence> all;
  for (const Parameter& parameter : parameters) {
    std::map<std::int64_t, ValueLoss> values;
    for (const std::int64_t value : parameter.values) values[value].value = value;
    for (const Trial& trial : result.trials) {
      const std::int64_t value = trial.config.at(parameter.name);
      values[value].value = value;
      ++values[value].tried;
    }
    Influence influence{parameter.name, {}, 0};
    for (const Timed& candidate : timed) {
      ValueLoss& value = values[candidate.trial->config.at(parameter.name)];
      if (value.loss) continue;  // a faster one has it
      value.loss = candidate.time / timed.front().time - 1;
      influence.most_lost = std::max(influence.most_lost, *value.loss);
    }
    for (const auto& [number, value] : values) influence.values.push_back(value);
    all.push_back(std::move(influence));
  }
  std::ranges::stable_sort(all, std::greater(), &Influence::most_lost);
  return all;
}

std::string leaders_table(const TuneResult& result, const std::vector<Parameter>& parameters,
                          std::size_t most) {
  const std::vector<Timed> timed = fastest_first(result);
  std::optional<double> heuristic;
  for (const Timed& candidate : timed) {
    if (candidate.trial->config == result.heuristic) heuristic = candidate.time;
  }
  std::string text;
  if (!timed.empty()) {
    text = fmt::format("{:>4} {:>10} {:>8} {:>7} {:>5}  {}\n", "rank", "median", "spread", "gain",
                       "runs", "configuration");
  }
  for (std::size_t i = 0; i < timed.size(); ++i) {
    const KernelConfig& config = timed[i].trial->config;
    if (i < most || config == result.heuristic || config == result.best) {
      text += row(i + 1, timed[i], result, parameters, heuristic);
    }
  }
  const std::map<std::string, Failures> kinds = failures(result);
  std::int64_t failed = 0;
  for (const auto& [kind, failure] : kinds) failed += failure.count;
  text += fmt::format("{} tried, {} failed", result.trials.size(), failed);
  text += result.stop.empty() ? "\n" : fmt::format("; ended: {}\n", result.stop);
  for (const auto& [kind, failure] : kinds) {
    text += fmt::format("  {:<12}{:>4}", kind, failure.count);
    text += failure.first.empty() ? "\n" : fmt::format("  first: {}\n", first_line(failure.first));
  }
  return text + verdict(result);
}

std::string influence_table(const TuneResult& result, const std::vector<Parameter>& parameters) {
  std::string text = "what made the difference: the loss with another value, at best\n";
  std::size_t width = 0;
  for (const Parameter& parameter : parameters) width = std::max(width, parameter.name.size());
  for (const Influence& influence : influences(result, parameters)) {
    std::string best, others;
    for (const ValueLoss& value : influence.values) {
      if (value.loss == 0 && best.empty()) {
        best = fmt::format("{} best", value.value);
      } else {
        others += (others.empty() ? "" : ", ") + loss_text(value);
      }
    }
    text += fmt::format("  {:<{}}  {}{}{}\n", influence.parameter, width, best,
                        best.empty() || others.empty() ? "" : "; ", others);
  }
  return text;
}

nlohmann::ordered_json to_json(const TuneResult& result, const std::vector<Parameter>& parameters) {
  nlohmann::ordered_json trials = nlohmann::ordered_json::array(), losses = trials;
  nlohmann::ordered_json kinds = nlohmann::ordered_json::object();
  for (const Trial& trial : result.trials) trials.push_back(to_json(trial));
  for (const auto& [kind, failure] : failures(result)) kinds[kind] = failure.count;
  for (const Influence& influence : influences(result, parameters)) {
    nlohmann::ordered_json values = nlohmann::ordered_json::array();
    for (const ValueLoss& value : influence.values) {
      values.push_back({{"value", value.value}, {"tried", value.tried}});
      if (value.loss) values.back()["loss"] = *value.loss;
    }
    losses.push_back({{"name", influence.parameter}, {"values", values}});
  }
  return {{"family", result.family},
          {"heuristic", result.heuristic},
          {"best", result.best},
          {"heuristic_seconds", result.heuristic_seconds},
          {"best_seconds", result.best_seconds},
          {"spread", result.spread},
          {"stop", result.stop},
          {"failures", kinds},
          {"parameters", losses},
          {"trials", trials}};
}

}  // namespace clattn::tool
