// The JSON form of a tuning store:
//   {"format": "clattn tuning store", "version": 1, "entries": [...]}
// An entry has the fields of its key and of TuningEntry, a line each, and its trials, a line each.
// The problem is an object where it is JSON. Another meaning of the text needs another version:
// members that this version does not know are errors.
#include <fmt/format.h>

#include "host/json/members.hpp"
#include "host/tuning/store.hpp"

namespace clattn {
namespace {

constexpr const char* kFormat = "clattn tuning store";
constexpr std::int64_t kVersion = 1;

constexpr Names<TrialOutcome> kOutcomes = {
    {"correct", TrialOutcome::correct},         {"compile", TrialOutcome::compile},
    {"runtime", TrialOutcome::runtime},         {"correctness", TrialOutcome::correctness},
    {"constraints", TrialOutcome::constraints}, {"timeout", TrialOutcome::timeout}};

constexpr std::pair<const char*, std::string TuningKey::*> kKeyTexts[] = {
    {"family", &TuningKey::family}, {"source", &TuningKey::source},
    {"vendor", &TuningKey::vendor}, {"device", &TuningKey::device},
    {"driver", &TuningKey::driver}, {"data_type", &TuningKey::data_type},
    {"mask", &TuningKey::mask}};

constexpr std::pair<const char*, std::int64_t TuningKey::*> kKeyNumbers[] = {
    {"head_dim", &TuningKey::head_dim},
    {"value_dim", &TuningKey::value_dim},
    {"group", &TuningKey::group},
    {"heads_bucket", &TuningKey::heads_bucket},
    {"query_bucket", &TuningKey::query_bucket},
    {"key_bucket", &TuningKey::key_bucket},
    {"density_bucket", &TuningKey::density_bucket}};

constexpr std::pair<const char*, double TuningEntry::*> kTimes[] = {
    {"seconds", &TuningEntry::seconds},
    {"heuristic_seconds", &TuningEntry::heuristic_seconds},
    {"spread", &TuningEntry::spread}};

constexpr std::pair<const char*, std::string TuningEntry::*> kTexts[] = {
    {"timestamp", &TuningEntry::timestamp},
    {"version", &TuningEntry::version},
    {"strategy", &TuningEntry::strategy}};

KernelConfig config(const json& value) {
  if (!value.is_object()) wrong_type(value, "an object");
  KernelConfig result;
  for (const auto& [name, number] : value.items()) {
    at_place(name, [&, &name = name, &number = number] { read_value(number, result[name]); });
  }
  return result;
}

KernelConfig config_at(const Members& members, const char* key) {
  return at_place(key, [&] { return config(members.at(key)); });
}

Trial trial(const json& value) {
  const Members members(value, {"config", "outcome", "message", "seconds", "build_seconds",
                                "check_seconds", "timestamp"});
  Trial result;
  result.config = config_at(members, "config");
  result.outcome = members.get("outcome", kOutcomes);
  members.read("message", result.message);
  members.read("seconds", result.seconds);
  members.read("build_seconds", result.build_seconds);
  members.read("check_seconds", result.check_seconds);
  members.read("timestamp", result.timestamp);
  return result;
}

TuningEntry entry(const json& value) {
  std::vector<std::string> legal = {"problem", "config", "heuristic", "trials"};
  for (const auto& [name, member] : kKeyTexts) legal.push_back(name);
  for (const auto& [name, member] : kKeyNumbers) legal.push_back(name);
  for (const auto& [name, member] : kTimes) legal.push_back(name);
  for (const auto& [name, member] : kTexts) legal.push_back(name);
  const Members members(value, std::move(legal));
  TuningEntry result;
  for (const auto& [name, member] : kKeyTexts) {
    result.key.*member = members.get<std::string>(name);
  }
  for (const auto& [name, member] : kKeyNumbers) result.key.*member = members.integer(name);
  const json& problem = at_place("problem", [&]() -> const json& { return members.at("problem"); });
  if (problem.is_object()) {
    result.key.problem = problem.dump();
  } else {
    at_place("problem", [&] { read_value(problem, result.key.problem); });
  }
  result.config = config_at(members, "config");
  result.heuristic = config_at(members, "heuristic");
  for (const auto& [name, member] : kTimes) result.*member = members.get<double>(name);
  for (const auto& [name, member] : kTexts) result.*member = members.get<std::string>(name);
  if (const json* trials = members.find("trials")) {
    at_place("trials", [&] {
      for_each_element(*trials, [&](const json& each) { result.trials.push_back(trial(each)); });
    });
  }
  return result;
}

json to_json(const KernelConfig& config) {
  json object = json::object();
  for (const auto& [name, value] : config) object[name] = value;
  return object;
}

json to_json(const Trial& trial) {
  json object = {{"config", to_json(trial.config)}};
  for (const auto& [name, outcome] : kOutcomes) {
    if (outcome == trial.outcome) object["outcome"] = name;
  }
  if (!trial.message.empty()) object["message"] = trial.message;
  object["seconds"] = trial.seconds;
  object["build_seconds"] = trial.build_seconds;
  object["check_seconds"] = trial.check_seconds;
  object["timestamp"] = trial.timestamp;
  return object;
}

// An object where the text is that of one, so that people can read it.
json problem_json(const std::string& text) {
  json object = json::parse(text, nullptr, false);
  if (object.is_object() && object.dump() == text) return object;
  return text;
}

// Compilers' messages may be no UTF-8.
std::string dump(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string lines(const TuningEntry& entry) {
  std::string text;
  const auto line = [&](const char* name, const json& value) {
    text += fmt::format("{}      \"{}\": {}", text.empty() ? "" : ",\n", name, dump(value));
  };
  for (const auto& [name, member] : kKeyTexts) line(name, entry.key.*member);
  for (const auto& [name, member] : kKeyNumbers) line(name, entry.key.*member);
  line("problem", problem_json(entry.key.problem));
  line("config", to_json(entry.config));
  line("heuristic", to_json(entry.heuristic));
  for (const auto& [name, member] : kTimes) line(name, entry.*member);
  for (const auto& [name, member] : kTexts) line(name, entry.*member);
  const char* separator = "";
  text += ",\n      \"trials\": [";
  for (const Trial& trial : entry.trials) {
    text += fmt::format("{}\n        {}", separator, dump(to_json(trial)));
    separator = ",";
  }
  return text + (entry.trials.empty() ? "]" : "\n      ]");
}

// The text of a store without the lines of its trials, where they stand as `lines` writes them: no
// string of a JSON text goes over the end of a line. Where they don't, they stay.
std::string without_trials(std::string_view text) {
  constexpr std::string_view kBegin = "\n      \"trials\": [\n", kEnd = "\n      ]\n";
  std::string result;
  for (;;) {
    const std::size_t begin = text.find(kBegin);
    const std::size_t end = begin == text.npos ? begin : text.find(kEnd, begin);
    if (end == text.npos) break;
    result += text.substr(0, begin + kBegin.size());
    text.remove_prefix(end);
  }
  return result += text;
}

}  // namespace

TuningStore TuningStore::from_json(std::string_view text, Trials trials) {
  std::string shorter;
  if (trials == Trials::leave_out) text = shorter = without_trials(text);
  const json object = parse_json(text, "the tuning store");
  return at_place("tuning store", [&] {
    if (!object.is_object()) wrong_type(object, "an object");
    // Before the members are looked at: those of a newer version may be others.
    const auto format = object.find("format");
    if (format == object.end() || *format != kFormat) {
      invalid("\"format\" must be \"{}\"", kFormat);
    }
    std::int64_t version = 0;
    if (const auto found = object.find("version"); found != object.end()) {
      at_place("version", [&] { read_value(*found, version); });
    }
    if (version > kVersion) {
      invalid("is of version {}, newer than {}, the newest that this clattn reads", version,
              kVersion);
    }
    if (version < 1) invalid("is of version {}, but must be 1 to {}", version, kVersion);
    const Members members(object, {"format", "version", "entries"});
    TuningStore store;
    at_place("entries", [&] {
      for_each_element(members.at("entries"), [&](const json& each) {
        TuningEntry read = entry(each);
        if (trials == Trials::leave_out) read.trials.clear();
        store.add(std::move(read));
      });
    });
    return store;
  });
}

std::string TuningStore::to_json() const {
  std::string text = fmt::format("{{\n  \"format\": \"{}\",\n  \"version\": {},\n  \"entries\": [",
                                 kFormat, kVersion);
  const char* separator = "";
  for (const TuningEntry& entry : entries_) {
    text += fmt::format("{}\n    {{\n{}\n    }}", separator, lines(entry));
    separator = ",";
  }
  return text + (entries_.empty() ? "]\n}\n" : "\n  ]\n}\n");
}

}  // namespace clattn
