// Exports are held to a list of the fields of the published schema (Open Autotuning Results Schema
// 1.0.0), written by hand, and to giving the same store and the same text again.
#include "clattn/t4.hpp"

#include <algorithm>
#include <functional>
#include <set>

#include "tests/support.hpp"
#include "tests/tools/tuning_samples.hpp"

namespace clattn::tool {
namespace {

using json = nlohmann::ordered_json;

struct Field {
  const char* name;
  bool (json::*is)() const noexcept;
  bool required;
};

// Wrong and unknown fields, as far as the schema goes into them.
void expect_fields(const json& object, const std::vector<Field>& fields) {
  ASSERT_TRUE(object.is_object()) << object;
  std::set<std::string> known;
  for (const Field& field : fields) {
    known.insert(field.name);
    EXPECT_TRUE(!field.required || object.contains(field.name)) << field.name;
    if (object.contains(field.name)) {
      EXPECT_TRUE((object.at(field.name).*field.is)()) << field.name;
    }
  }
  for (const auto& [name, value] : object.items()) EXPECT_TRUE(known.contains(name)) << name;
}

void expect_schema(const json& t4) {
  expect_fields(t4,
                {{"schema_version", &json::is_string, true}, {"results", &json::is_array, true}});
  EXPECT_EQ(t4["schema_version"], "1.0.0");
  const std::set<std::string> invalidities = {"timeout",     "compile",     "runtime",
                                              "correctness", "constraints", "correct"};
  for (const json& result : t4["results"]) {
    expect_fields(result, {{"timestamp", &json::is_string, false},
                           {"configuration", &json::is_object, true},
                           {"objectives", &json::is_array, false},
                           {"times", &json::is_object, true},
                           {"invalidity", &json::is_string, true},
                           {"correctness", &json::is_number, true},
                           {"measurements", &json::is_array, false}});
    expect_fields(result["times"], {{"compilation_time", &json::is_number, false},
                                    {"runtimes", &json::is_array, false},
                                    {"framework", &json::is_number, false},
                                    {"search_algorithm", &json::is_number, false},
                                    {"validation", &json::is_number, false}});
    EXPECT_TRUE(invalidities.contains(result["invalidity"])) << result["invalidity"];
    for (const json& measured : result["measurements"]) {
      const json& value = measured.at("value");
      EXPECT_TRUE(measured.at("name").is_string() && measured.at("unit").is_string()) << measured;
      EXPECT_TRUE(value.is_number() || value.is_string() || value.is_array()) << measured;
    }
  }
}

const json* measurement(const json& result, const std::string& name) {
  for (const json& measured : result["measurements"]) {
    if (measured["name"] == name) return &measured;
  }
  return nullptr;
}

TEST(T4, ExportsHaveTheFieldsOfTheSchema) {
  expect_schema(to_t4(test::made_up_store()));
  expect_schema(to_t4(TuningStore()));
}

TEST(T4, ImportGivesTheSameStoreAndExportTheSameText) {
  const TuningStore store = test::made_up_store();
  ASSERT_EQ(store.entries().size(), 6u);
  const std::string text = to_t4(store).dump(1);
  const TuningStore again = from_t4(json::parse(text));
  EXPECT_EQ(again.entries(), store.entries());
  EXPECT_EQ(to_t4(again).dump(1), text);
  EXPECT_TRUE(from_t4(to_t4(TuningStore())).entries().empty());
}

// Seconds that are not the same again after times 1000 and by 1000 are not lost either.
TEST(T4, TimesComeBackToTheLastBit) {
  test::RandomTimes times;
  TuningEntry entry = test::made_up_entry(test::made_up_device("A"), 8);
  const std::vector<double> seconds = times.some(1000);
  entry.trials = {test::correct_trial(entry.config, seconds)};
  TuningStore store;
  store.add(entry);
  EXPECT_FALSE(std::ranges::all_of(seconds, [](double s) { return s * 1e3 / 1e3 == s; }));
  EXPECT_EQ(from_t4(json::parse(to_t4(store).dump())).entries().at(0).trials.at(0).seconds,
            seconds);
}

TEST(T4, AResultSaysWhatOtherToolsRead) {
  TuningEntry entry = test::made_up_entry(test::made_up_device("A"), 8);
  entry.trials = {
      test::correct_trial({{"key_tile", 8}, {"query_tile", 4}}, {0.25, 0.5, 0.125}),
      test::failed_trial({{"key_tile", 16}, {"query_tile", 4}}, TrialOutcome::timeout, "hung")};
  entry.trials[0].build_seconds = 2;
  entry.trials[0].check_seconds = 4;
  TuningStore store;
  store.add(entry);
  const json results = to_t4(store)["results"];
  ASSERT_EQ(results.size(), 3u);  // the winner, and a trial each
  EXPECT_EQ(results[0]["configuration"], json(entry.config));
  EXPECT_EQ(measurement(results[0], "time")->at("value"), 2.0);
  EXPECT_EQ(measurement(results[0], "clattn.role")->at("value"), "winner");
  EXPECT_EQ(results[1]["configuration"], (json{{"key_tile", 8}, {"query_tile", 4}}));
  EXPECT_EQ(results[1]["times"]["runtimes"], (json{250.0, 500.0, 125.0}));
  EXPECT_EQ(results[1]["times"]["compilation_time"], 2000.0);
  EXPECT_EQ(results[1]["times"]["validation"], 4000.0);
  EXPECT_EQ(results[1]["invalidity"], "correct");
  EXPECT_EQ(results[1]["correctness"], 1);
  EXPECT_EQ(*measurement(results[1], "time"),
            (json{{"name", "time"}, {"value", 250.0}, {"unit", "ms"}}));
  EXPECT_EQ(measurement(results[1], "clattn.device")->at("value"), "A");
  EXPECT_EQ(results[2]["invalidity"], "timeout");
  EXPECT_EQ(results[2]["correctness"], 0);
  EXPECT_EQ(measurement(results[2], "time"), nullptr);
  EXPECT_EQ(measurement(results[2], "clattn.message")->at("value"), "hung");
}

TEST(T4, AWinnerThatFailedIsNotCorrect) {
  TuningEntry entry = test::made_up_entry(test::made_up_device("A"), 8);
  entry.seconds = entry.heuristic_seconds = 0;
  entry.trials = {test::failed_trial(entry.config, TrialOutcome::compile, "no")};
  TuningStore store;
  store.add(entry);
  const json t4 = to_t4(store);
  expect_schema(t4);
  EXPECT_EQ(t4["results"][0]["invalidity"], "compile");
  EXPECT_EQ(t4["results"][0]["correctness"], 0);
  EXPECT_TRUE(t4["results"][0]["times"]["runtimes"].empty());
  EXPECT_EQ(from_t4(t4).entries(), store.entries());
}

TEST(T4, ErrorsNameTheResultAndTheField) {
  const json good = to_t4(test::made_up_store());
  const std::size_t trial = 1 + 1;  // the first entry has no trials
  ASSERT_EQ(measurement(good["results"][trial], "clattn.role")->at("value"), "trial");
  const auto refused = [&](const std::vector<std::string>& words,
                           const std::function<void(json&)>& spoil) {
    json bad = good;
    spoil(bad);
    test::expect_error(ErrorCategory::invalid_argument, words, [&] { from_t4(bad); });
  };
  const std::string place = "[2]";
  refused({"schema_version", "missing"}, [](json& t4) { t4.erase("schema_version"); });
  refused({"2.0.0", "1.0.0"}, [](json& t4) { t4["schema_version"] = "2.0.0"; });
  refused({"results", "missing"}, [](json& t4) { t4.erase("results"); });
  refused({"an object"}, [](json& t4) { t4 = json::array(); });
  for (const char* field : {"configuration", "times", "invalidity", "correctness", "timestamp"}) {
    refused({place, field, "missing"}, [&](json& t4) { t4["results"][trial].erase(field); });
  }
  refused({place, "invalidity", "\"broken\""},
          [&](json& t4) { t4["results"][trial]["invalidity"] = "broken"; });
  refused({place, "configuration", "key_tile", "whole number"},
          [&](json& t4) { t4["results"][trial]["configuration"]["key_tile"] = "a"; });
  for (const char* name : {"clattn.seconds", "clattn.role", "clattn.entry"}) {
    refused({place, name}, [&](json& t4) {
      for (json& measured : t4["results"][trial]["measurements"]) {
        if (measured["name"] == name) measured["value"] = nullptr;
      }
    });
  }
  refused({"no winner", "1"}, [&](json& t4) { t4["results"].erase(1); });
  refused({"[1]", "second winner"},
          [&](json& t4) { t4["results"].insert(t4["results"].begin(), t4["results"][0]); });
}

// As Kernel Tuner writes it for another kernel.
TEST(T4, ExportsOfOtherTunersAreRefusedWithAReason) {
  const json foreign = json::parse(R"({"schema_version": "1.0.0", "results": [
      {"timestamp": "2024-01-01 00:00:00", "configuration": {"block_size_x": 64},
       "objectives": ["time"], "times": {"compilation": 1.5, "runtimes": [0.5]},
       "invalidity": "correct", "correctness": 1,
       "measurements": [{"name": "time", "value": 0.5, "unit": "ms"}]}]})");
  test::expect_error(ErrorCategory::invalid_argument,
                     {"[0]", "clattn.entry", "only exports of clattn", "the problem, the device"},
                     [&] { from_t4(foreign); });
}

}  // namespace
}  // namespace clattn::tool
