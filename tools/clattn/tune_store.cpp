#include "tune_store.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <ctime>

#include "problem_input.hpp"
#include "progress.hpp"

namespace clattn::tool {
namespace {

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

std::string short_problem(const TuningKey& key) {
  try {
    return describe(problem_from_json(key.problem));
  } catch (const Error&) {
    // Of another version, or with a mask that is too large for a key and can't be read back.
    std::string text = key.problem;
    std::erase_if(text, [](char c) { return c == '{' || c == '}' || c == '"'; });
    return text;
  }
}

// The family's kernels as they are now.
std::string source_now(const DeviceFacts& facts, const std::string& family) {
  Problem any;  // a key's source is of the family, not of the problem
  any.query_len = any.key_len = any.head_dim = any.value_dim = 8;
  return tuning_key(any, facts, family).source;
}

// A store's entry may be of a version whose kernel had other parameters, so names stand with all.
std::string words(const KernelConfig& config) {
  std::string text;
  for (const auto& [name, value] : config) {
    text += fmt::format("{}{}={}", text.empty() ? "" : " ", name, value);
  }
  return text;
}

// Where the heuristic's choice or all configurations fail, there is none: they have no time.
std::optional<double> gain(const TuningEntry& entry) {
  if (entry.seconds <= 0 || entry.heuristic_seconds <= 0) return {};
  return entry.heuristic_seconds / entry.seconds;
}

std::string counted(std::size_t count, const char* one, const char* many) {
  return fmt::format("{} {}", count, count == 1 ? one : many);
}

std::string rows_of(const TuningEntry& entry, const std::string& state) {
  const std::string date = entry.timestamp.substr(0, std::string("2000-01-01").size());
  const std::optional<double> faster = gain(entry);
  return fmt::format("  {:<12} {:>7} {:>10}  {:<10}  {:<13} {:>6}  {}\n{:65}{}\n", entry.key.family,
                     faster ? fmt::format("{:.2f}x", *faster) : "",
                     entry.seconds > 0 ? format_duration(entry.seconds) : "failed", date, state,
                     entry.trials.size(), short_problem(entry.key), "", words(entry.config));
}

}  // namespace

std::string freshness(const TuningEntry& entry, const std::vector<DeviceFacts>& present) {
  const TuningKey& key = entry.key;
  const auto facts = std::ranges::find_if(present, [&](const DeviceFacts& device) {
    return device.vendor == key.vendor && device.name == key.device;
  });
  if (facts == present.end()) return "no device";
  if (facts->driver_version != key.driver) return "stale: driver";
  if (source_now(*facts, key.family) != key.source) return "stale: kernel";
  return "fresh";
}

std::string store_table(const TuningStore& store, const std::vector<DeviceFacts>& present) {
  std::vector<const TuningEntry*> entries;
  for (const TuningEntry& entry : store.entries()) entries.push_back(&entry);
  const auto device = [](const TuningEntry* entry) {
    return fmt::format("{}, driver {}", entry->key.device, entry->key.driver);
  };
  std::ranges::stable_sort(entries, {}, device);
  std::string text, group;
  std::size_t trials = 0, stale = 0, devices = 0;
  for (const TuningEntry* const entry : entries) {
    if (device(entry) != group || devices == 0) {
      group = device(entry);
      ++devices;
      text += fmt::format("{}\n  {:<12} {:>7} {:>10}  {:<10}  {:<13} {:>6}  {}\n", group, "family",
                          "gain", "time", "date", "state", "trials", "problem, configuration");
    }
    const std::string state = freshness(*entry, present);
    text += rows_of(*entry, state);
    trials += entry->trials.size();
    stale += state.starts_with("stale");
  }
  return text + fmt::format("{} of {}, {} stale, {}\n", counted(entries.size(), "entry", "entries"),
                            counted(devices, "device and driver", "devices and drivers"), stale,
                            counted(trials, "trial", "trials"));
}

nlohmann::ordered_json store_json(const TuningStore& store,
                                  const std::vector<DeviceFacts>& present) {
  nlohmann::ordered_json entries = nlohmann::ordered_json::array();
  for (const TuningEntry& entry : store.entries()) {
    auto problem = nlohmann::ordered_json::parse(entry.key.problem, nullptr, false);
    if (!problem.is_object()) problem = entry.key.problem;
    const std::optional<double> faster = gain(entry);
    entries.push_back({{"device", entry.key.device},
                       {"vendor", entry.key.vendor},
                       {"driver", entry.key.driver},
                       {"family", entry.key.family},
                       {"problem", problem},
                       {"config", entry.config},
                       {"heuristic", entry.heuristic},
                       {"seconds", entry.seconds},
                       {"heuristic_seconds", entry.heuristic_seconds},
                       {"gain", faster ? nlohmann::ordered_json(*faster) : nullptr},
                       {"spread", entry.spread},
                       {"timestamp", entry.timestamp},
                       {"version", entry.version},
                       {"strategy", entry.strategy},
                       {"state", freshness(entry, present)},
                       {"trials", entry.trials.size()}});
  }
  return entries;
}

std::size_t prune(TuningStore& store, const PruneOptions& options,
                  const std::vector<DeviceFacts>& present,
                  std::chrono::system_clock::time_point now) {
  std::string cutoff;  // timestamps compare as text
  if (options.older_than_days) {
    constexpr double kSecondsPerDay = 86400;
    const auto seconds = static_cast<std::time_t>(*options.older_than_days * kSecondsPerDay);
    cutoff =
        fmt::format("{:%FT%T}", fmt::gmtime(std::chrono::system_clock::to_time_t(now) - seconds));
  }
  const auto meant = [&](const TuningEntry& entry) {
    return (!options.stale || freshness(entry, present).starts_with("stale")) &&
           (!options.older_than_days || entry.timestamp < cutoff) &&
           lower(entry.key.vendor + " / " + entry.key.device).find(lower(options.device)) !=
               std::string::npos;
  };
  if (!options.trials) return store.erase_if(meant);
  std::size_t dropped = 0;
  TuningStore thinned;
  for (TuningEntry entry : store.entries()) {
    if (meant(entry)) {
      dropped += std::erase_if(
          entry.trials, [](const Trial& trial) { return trial.outcome == TrialOutcome::correct; });
    }
    thinned.add(std::move(entry));
  }
  store = std::move(thinned);
  return dropped;
}

}  // namespace clattn::tool
