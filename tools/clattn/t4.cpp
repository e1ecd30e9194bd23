#include "t4.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "fail.hpp"
#include "host/json/members.hpp"
#include "host/tuning/comparison.hpp"

namespace clattn::tool {
namespace {

constexpr const char* kVersion = "1.0.0";
constexpr double kMilli = 1e3;

// Measurements of ours. Those of an entry:
constexpr const char* kStore = "clattn.store";  // a store's text with this entry alone, less trials
// Of entries and of trials:
constexpr const char* kRole = "clattn.role";  // "winner" or "trial"
constexpr const char* kEntry =
    "clattn.entry";  // its number, which holds an entry's results together
// Of trials, what T4 has in milliseconds:
constexpr const char* kSeconds = "clattn.seconds";
constexpr const char* kBuildSeconds = "clattn.build_seconds";
constexpr const char* kCheckSeconds = "clattn.check_seconds";
constexpr const char* kMessage = "clattn.message";  // of a failure

constexpr std::array kOutcomes = {TrialOutcome::correct,     TrialOutcome::compile,
                                  TrialOutcome::runtime,     TrialOutcome::correctness,
                                  TrialOutcome::constraints, TrialOutcome::timeout};

json measurement(const char* name, json value, const char* unit = "") {
  return {{"name", name}, {"value", std::move(value)}, {"unit", unit}};
}

json milliseconds(const std::vector<double>& seconds) {
  json list = json::array();
  for (const double time : seconds) list.push_back(time * kMilli);
  return list;
}

// What the results of an entry and of its trials have alike.
json result(const TuningKey& key, std::size_t entry, const char* role, const Trial& trial) {
  // What the search itself cost is not kept for single configurations.
  const json times = {{"compilation_time", trial.build_seconds * kMilli},
                      {"runtimes", milliseconds(trial.seconds)},
                      {"framework", 0},
                      {"search_algorithm", 0},
                      {"validation", trial.check_seconds * kMilli}};
  json measurements = json::array();
  if (!trial.seconds.empty()) {
    measurements.push_back(measurement("time", median(trial.seconds) * kMilli, "ms"));
  }
  measurements.push_back(measurement("clattn.family", key.family));
  measurements.push_back(measurement("clattn.device", key.device));
  measurements.push_back(measurement("clattn.driver", key.driver));
  measurements.push_back(measurement("clattn.problem", key.problem));
  measurements.push_back(measurement(kRole, role));
  measurements.push_back(measurement(kEntry, entry));
  return {{"timestamp", trial.timestamp},
          {"configuration", trial.config},
          {"objectives", {"time"}},
          {"times", times},
          {"invalidity", to_string(trial.outcome)},
          {"correctness", trial.outcome == TrialOutcome::correct ? 1 : 0},
          {"measurements", measurements}};
}

json winner_result(TuningEntry entry, std::size_t index) {
  Trial winner;
  winner.config = entry.config;
  if (entry.seconds > 0) {
    winner.seconds = {entry.seconds};
  } else {  // all failed
    const auto tried = std::ranges::find(entry.trials, entry.config, &Trial::config);
    winner.outcome = tried == entry.trials.end() ? TrialOutcome::runtime : tried->outcome;
  }
  winner.timestamp = entry.timestamp;
  json made = result(entry.key, index, "winner", winner);
  entry.trials.clear();
  TuningStore alone;
  alone.add(std::move(entry));
  // In one line: it is text within text.
  made["measurements"].push_back(measurement(kStore, json::parse(alone.to_json()).dump()));
  return made;
}

json trial_result(const TuningKey& key, std::size_t index, const Trial& trial) {
  json made = result(key, index, "trial", trial);
  json& measurements = made["measurements"];
  measurements.push_back(measurement(kSeconds, trial.seconds, "s"));
  measurements.push_back(measurement(kBuildSeconds, trial.build_seconds, "s"));
  measurements.push_back(measurement(kCheckSeconds, trial.check_seconds, "s"));
  if (!trial.message.empty()) measurements.push_back(measurement(kMessage, trial.message));
  return made;
}

const json& member(const json& object, const char* key) {
  if (!object.is_object()) wrong_type(object, "an object");
  const auto found = object.find(key);
  if (found == object.end()) fail("\"{}\" is missing", key);
  return *found;
}

const json& array_member(const json& object, const char* key) {
  const json& value = member(object, key);
  if (!value.is_array()) at_place(key, [&] { wrong_type(value, "an array"); });
  return value;
}

double number(const json& value) {
  if (!value.is_number()) wrong_type(value, "a number");
  return value.get<double>();
}

std::string string(const json& value) {
  if (!value.is_string()) wrong_type(value, "a string");
  return value.get<std::string>();
}

using Measurements = std::map<std::string, json>;

Measurements measurements_of(const json& result) {
  Measurements found;
  if (!result.contains("measurements")) return found;
  for_each_element(array_member(result, "measurements"), [&](const json& measured) {
    found.insert_or_assign(string(member(measured, "name")), member(measured, "value"));
  });
  return found;
}

// The value of a measurement of ours, by `read`.
template <typename Read>
auto ours(const Measurements& measurements, const char* name, const Read& read) {
  const auto found = measurements.find(name);
  if (found == measurements.end()) {
    fail(
        "has no measurement \"{}\": only exports of clattn can be imported, since those of other "
        "tuners don't tell the problem, the device and the kernel that a result is of",
        name);
  }
  return at_place(fmt::format("measurement \"{}\"", name), [&] { return read(found->second); });
}

std::int64_t integer(const json& value) {
  std::int64_t read = 0;
  read_value(value, read);
  return read;
}

std::vector<double> numbers(const json& value) {
  std::vector<double> read;
  for_each_element(value, [&](const json& element) { read.push_back(number(element)); });
  return read;
}

TrialOutcome outcome(const json& value) {
  std::vector<std::string> legal;
  for (const TrialOutcome known : kOutcomes) {
    if (value == to_string(known)) return known;
    legal.emplace_back(to_string(known));
  }
  unknown("value", string(value), legal);
}

KernelConfig configuration(const json& value) {
  if (!value.is_object()) wrong_type(value, "an object");
  KernelConfig config;
  for (const auto& [name, setting] : value.items()) {
    config[name] = at_place(name, [&] { return integer(setting); });
  }
  return config;
}

Trial read_trial(const json& result, const Measurements& measurements) {
  Trial trial;
  trial.config =
      at_place("configuration", [&] { return configuration(member(result, "configuration")); });
  trial.outcome = at_place("invalidity", [&] { return outcome(member(result, "invalidity")); });
  trial.timestamp = at_place("timestamp", [&] { return string(member(result, "timestamp")); });
  trial.seconds = ours(measurements, kSeconds, numbers);
  trial.build_seconds = ours(measurements, kBuildSeconds, number);
  trial.check_seconds = ours(measurements, kCheckSeconds, number);
  if (measurements.contains(kMessage)) trial.message = ours(measurements, kMessage, string);
  return trial;
}

TuningEntry read_entry(const Measurements& measurements) {
  return ours(measurements, kStore, [](const json& text) {
    const TuningStore store = TuningStore::from_json(string(text));
    if (store.entries().size() != 1) fail("has {} entries, not 1", store.entries().size());
    return store.entries().front();
  });
}

}  // namespace

nlohmann::ordered_json to_t4(const TuningStore& store) {
  json results = json::array();
  for (std::size_t i = 0; i < store.entries().size(); ++i) {
    const TuningEntry& entry = store.entries()[i];
    results.push_back(winner_result(entry, i));
    for (const Trial& trial : entry.trials) results.push_back(trial_result(entry.key, i, trial));
  }
  return {{"schema_version", kVersion}, {"results", results}};
}

TuningStore from_t4(const nlohmann::ordered_json& t4) {
  const std::string version =
      at_place("schema_version", [&] { return string(member(t4, "schema_version")); });
  if (!version.starts_with("1.")) {
    fail("schema_version is \"{}\", but what is known of T4 is 1.0.0", version);
  }
  std::map<std::int64_t, TuningEntry> entries;
  std::map<std::int64_t, std::vector<Trial>> trials;
  at_place("results", [&] {
    for_each_element(array_member(t4, "results"), [&](const json& result) {
      for (const char* required : {"configuration", "times", "invalidity", "correctness"}) {
        member(result, required);
      }
      const Measurements measurements = measurements_of(result);
      const std::int64_t entry = ours(measurements, kEntry, integer);
      const std::string role = ours(measurements, kRole, string);
      if (role == "trial") {
        trials[entry].push_back(read_trial(result, measurements));
      } else if (role != "winner") {
        fail("measurement \"{}\" is \"{}\", neither \"winner\" nor \"trial\"", kRole, role);
      } else if (!entries.emplace(entry, read_entry(measurements)).second) {
        fail("is the second winner of {} {}", kEntry, entry);
      }
    });
  });
  for (auto& [entry, tried] : trials) {
    const auto found = entries.find(entry);
    if (found == entries.end()) fail("results: there is no winner of {} {}", kEntry, entry);
    found->second.trials = std::move(tried);
  }
  TuningStore store;
  for (auto& [index, entry] : entries) store.add(std::move(entry));
  return store;
}

}  // namespace clattn::tool
