// A search in three steps: what is tried is first timed a few times against the best so far (the
// incumbent), what may be faster then more and more often, until that is certain either way (a
// race: Maron and Moore, The racing algorithm, 1997), and at the end the incumbent meets the
// heuristic's choice, in times of their own, since the best of many is partly the luckiest.
#include "host/tuning/search.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <utility>

#include "host/tuning/comparison.hpp"
#include "host/tuning/proposals.hpp"

namespace clattn {
namespace {

constexpr std::int64_t kFirstRepeats = 5;   // of what there is nothing to compare with
constexpr std::int64_t kRepeats = 3;        // of a candidate, doubled from question to question
constexpr std::int64_t kMostRepeats = 24;   // in all
constexpr std::int64_t kFinalRepeats = 15;  // likewise, at the end
constexpr std::int64_t kMostFinalRepeats = 60;
// A guided search ends when so many configurations, and this share of all, brought nothing.
constexpr double kPatience = 20;
constexpr double kPatienceShare = 0.15;

constexpr std::size_t kMostMessage = 2000;  // bytes: compilers' logs can be long

constexpr double kFailed = std::numeric_limits<double>::infinity();

// Makes a failure of an answer that can't be used.
void check_times(const Question& question, Answer& answer) {
  const auto check = [&](const std::vector<double>& times, std::size_t repeats) {
    if (answer.outcome != TrialOutcome::correct) return;
    if (times.size() != repeats) {
      answer.outcome = TrialOutcome::runtime;
      answer.message = fmt::format("{} times came of {} launches", times.size(), repeats);
    }
    for (double time : times) {
      if (std::isfinite(time) && time > 0) continue;
      answer.outcome = TrialOutcome::runtime;
      answer.message = fmt::format("a launch took {} seconds", time);
    }
  };
  const auto repeats = static_cast<std::size_t>(question.repeats);
  check(answer.seconds, repeats);
  check(answer.against_seconds, question.against.empty() ? 0 : repeats);
}

void append_log_ratios(const Answer& answer, std::vector<double>& log_ratios) {
  for (std::size_t i = 0; i < answer.seconds.size(); ++i) {
    log_ratios.push_back(std::log(answer.seconds[i] / answer.against_seconds[i]));
  }
}

void append(const std::vector<double>& values, std::vector<double>& all) {
  all.insert(all.end(), values.begin(), values.end());
}

class Search {
 public:
  Search(const Space& space, const TuneBudget& budget, Examiner& examiner,
         const TuneCallback& callback)
      : space_(space),
        budget_(budget),
        examiner_(examiner),
        callback_(callback),
        proposals_(space, budget.strategy, budget.seed) {}

  TuneResult run();

 private:
  // What was tried, by index into Space::configs.
  struct Standing {
    std::size_t trial = 0;
    double log_time = kFailed;  // relative to the baseline
  };

  void explore();
  void contend(std::size_t config);
  bool duel(std::size_t champion);
  void settle(std::size_t best, const std::vector<double>& seconds, double baseline_seconds);

  bool over();
  bool out_of_time() const { return budget_.seconds > 0 && elapsed_ >= budget_.seconds; }
  std::size_t evaluations_left() const;
  std::vector<Observation> observations() const;
  void crown(std::size_t config);
  void fail(std::size_t config);

  // Nothing where `config` failed.
  std::optional<Answer> ask(std::size_t config, std::optional<std::size_t> against,
                            std::int64_t repeats);
  void record(std::size_t config, std::optional<std::size_t> against, const Answer& answer);
  void call_back();
  Trial& trial(std::size_t config) { return result_.trials[standings_.at(config).trial]; }

  const Space& space_;
  const TuneBudget& budget_;
  Examiner& examiner_;
  const TuneCallback& callback_;
  Proposals proposals_;
  TuneResult result_;
  std::map<std::size_t, Standing> standings_;
  std::optional<std::size_t> baseline_;   // the heuristic's choice, or what took its place
  std::optional<std::size_t> incumbent_;  // the best so far
  std::size_t crowned_ = 0;               // how many had been tried when it became that
  std::int64_t failures_ = 0;
  double elapsed_ = 0;
  bool interrupted_ = false;
};

TuneResult Search::run() {
  result_.family = space_.family;
  result_.heuristic = space_.configs[space_.heuristic];
  result_.best = result_.heuristic;
  explore();
  // Where the incumbent fails, the next best is put to the test.
  while (incumbent_ && !duel(*incumbent_)) {
  }
  if (interrupted_) result_.stop = "interrupted";
  return std::move(result_);
}

void Search::explore() {
  while (!over()) {
    const std::vector<std::size_t> batch = proposals_.next(observations(), evaluations_left());
    std::vector<KernelConfig> configs;
    for (std::size_t config : batch) configs.push_back(space_.configs[config]);
    examiner_.announce(configs);
    for (std::size_t config : batch) {
      contend(config);
      if (over()) return;
    }
  }
}

bool Search::over() {
  const std::size_t tried = result_.trials.size();
  const double patience =
      std::max(kPatience, kPatienceShare * static_cast<double>(space_.configs.size()));
  if (interrupted_) return true;
  if (tried == space_.configs.size()) {
    result_.stop = fmt::format("all {} configurations were tried", tried);
  } else if (evaluations_left() == 0) {
    result_.stop = fmt::format("{} evaluations", tried);
  } else if (out_of_time()) {
    result_.stop = fmt::format("{} seconds", budget_.seconds);
  } else if (budget_.strategy == SearchStrategy::guided &&
             static_cast<double>(tried - crowned_) >= patience) {
    result_.stop = fmt::format("none better in {} evaluations", tried - crowned_);
  }
  return !result_.stop.empty();
}

std::size_t Search::evaluations_left() const {
  if (budget_.evaluations <= 0) return space_.configs.size();
  return static_cast<std::size_t>(budget_.evaluations) - result_.trials.size();
}

std::vector<Observation> Search::observations() const {
  std::vector<Observation> observations;
  for (const auto& [config, standing] : standings_) {
    observations.push_back({config, standing.log_time});
  }
  return observations;
}

// Times a configuration for the first time, and as often as it takes to place it.
void Search::contend(std::size_t config) {
  if (!incumbent_) {
    if (!ask(config, {}, kFirstRepeats)) return;
    standings_.at(config).log_time = 0;
    baseline_ = config;
    crown(config);
    return;
  }
  std::vector<double> log_ratios;
  const double log_time = standings_.at(*incumbent_).log_time;
  for (std::int64_t repeats = kRepeats, done = 0; done < kMostRepeats; repeats = done) {
    const std::optional<Answer> answer = ask(config, incumbent_, repeats);
    if (!answer) return;
    append_log_ratios(*answer, log_ratios);
    standings_.at(config).log_time = log_time + median(log_ratios);
    const RaceVerdict verdict = judge_race(log_ratios);
    if (verdict == RaceVerdict::faster) crown(config);
    if (verdict != RaceVerdict::open || interrupted_ || out_of_time()) return;
    done += repeats;
  }
}

void Search::crown(std::size_t config) {
  incumbent_ = config;
  crowned_ = result_.trials.size();
}

void Search::fail(std::size_t config) {
  standings_.at(config).log_time = kFailed;
  if (config == incumbent_) {
    const auto next = std::ranges::min_element(
        standings_, {}, [](const auto& entry) { return entry.second.log_time; });
    incumbent_.reset();
    if (next->second.log_time < kFailed) incumbent_ = next->first;
  }
  if (config == baseline_) baseline_ = incumbent_;
}

// The last word on the incumbent; false if it fails.
bool Search::duel(std::size_t champion) {
  std::vector<double> seconds;
  std::vector<double> baseline_seconds;
  std::vector<double> log_ratios;
  const bool alone = champion == baseline_;
  RaceVerdict verdict = RaceVerdict::open;
  for (std::int64_t repeats = kFinalRepeats, done = 0; done < kMostFinalRepeats; repeats = done) {
    if (interrupted_) break;
    const std::optional<Answer> answer = ask(champion, alone ? std::nullopt : baseline_, repeats);
    if (!answer) return false;
    append(answer->seconds, seconds);
    if (alone) break;
    append(answer->against_seconds, baseline_seconds);
    append_log_ratios(*answer, log_ratios);
    verdict = judge_race(log_ratios);
    if (verdict != RaceVerdict::open || out_of_time()) break;
    done += repeats;
  }
  if (seconds.empty()) {  // interrupted before: what was found on the way has to do
    seconds = trial(champion).seconds;
    const double ratio = std::exp(standings_.at(champion).log_time);
    settle(champion, seconds, median(seconds) / ratio);
  } else if (alone || verdict == RaceVerdict::faster) {
    settle(champion, seconds, median(alone ? seconds : baseline_seconds));
  } else {
    settle(*baseline_, baseline_seconds, median(baseline_seconds));
  }
  return true;
}

void Search::settle(std::size_t best, const std::vector<double>& seconds, double baseline_seconds) {
  result_.best = space_.configs[best];
  result_.best_seconds = median(seconds);
  result_.spread = median_absolute_deviation(seconds);
  if (baseline_ == space_.heuristic) result_.heuristic_seconds = baseline_seconds;
}

std::optional<Answer> Search::ask(std::size_t config, std::optional<std::size_t> against,
                                  std::int64_t repeats) {
  const Question question{space_.configs[config],
                          against ? space_.configs[*against] : KernelConfig{}, repeats};
  Answer answer = examiner_.ask(question);
  check_times(question, answer);
  if (answer.elapsed > 0) elapsed_ += answer.elapsed;
  record(config, against, answer);
  call_back();
  if (answer.outcome != TrialOutcome::correct) return std::nullopt;
  return answer;
}

void Search::record(std::size_t config, std::optional<std::size_t> against, const Answer& answer) {
  const auto [standing, is_new] = standings_.try_emplace(config);
  if (is_new) {
    standing->second.trial = result_.trials.size();
    Trial& trial = result_.trials.emplace_back();
    trial.config = space_.configs[config];
    trial.timestamp = answer.timestamp;
  }
  Trial& tried = trial(config);
  tried.outcome = answer.outcome;
  tried.message = answer.message.substr(0, kMostMessage);
  tried.build_seconds += answer.build_seconds;
  tried.check_seconds += answer.check_seconds;
  if (answer.outcome != TrialOutcome::correct) {
    ++failures_;
    fail(config);
    return;
  }
  append(answer.seconds, tried.seconds);
  if (against) append(answer.against_seconds, trial(*against).seconds);
}

void Search::call_back() {
  if (!callback_) return;
  TuneProgress progress;
  const auto size = static_cast<std::int64_t>(space_.configs.size());
  progress.evaluations = static_cast<std::int64_t>(result_.trials.size());
  progress.expected = budget_.evaluations > 0 ? std::min(budget_.evaluations, size) : size;
  progress.failures = failures_;
  if (incumbent_) {
    progress.gain = std::exp(-standings_.at(*incumbent_).log_time);
    progress.best_seconds = median(trial(*incumbent_).seconds);
  }
  progress.seconds = elapsed_;
  interrupted_ = !callback_(progress);
}

}  // namespace

TuneResult search(const Space& space, const TuneBudget& budget, Examiner& examiner,
                  const TuneCallback& callback) {
  return Search(space, budget, examiner, callback).run();
}

const char* to_string(SearchStrategy strategy) {
  switch (strategy) {
    case SearchStrategy::exhaustive:
      return "exhaustive";
    case SearchStrategy::random:
      return "random";
    case SearchStrategy::guided:
      return "guided";
  }
  return "unknown";
}

const char* to_string(TrialOutcome outcome) {
  switch (outcome) {
    case TrialOutcome::correct:
      return "correct";
    case TrialOutcome::compile:
      return "compile";
    case TrialOutcome::runtime:
      return "runtime";
    case TrialOutcome::correctness:
      return "correctness";
    case TrialOutcome::constraints:
      return "constraints";
    case TrialOutcome::timeout:
      return "timeout";
  }
  return "unknown";
}

}  // namespace clattn
