#include "clattn/tune_store.hpp"

#include "clattn/tune_store_commands.hpp"
#include "host/tuning/store_file.hpp"
#include "tests/support.hpp"
#include "tests/tools/tuning_samples.hpp"

namespace clattn::tool {
namespace {

using test::made_up_device;
using test::made_up_entry;

// 2025-03-11T12:00:00Z, ten days after the entries.
const auto kNow = std::chrono::system_clock::from_time_t(1741694400);

void expect_part(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << "no '" << part << "' in:\n" << text;
}

// Two entries of one device, with a correct and a failed trial each, and one of another.
TuningStore sample() {
  TuningStore store;
  for (const std::int64_t query_len : {8, 16}) {
    TuningEntry entry = made_up_entry(made_up_device("Left One"), query_len);
    entry.trials = {
        test::correct_trial(entry.config, {2e-3}),
        test::failed_trial({{"key_tile", 8}, {"query_tile", 8}}, TrialOutcome::timeout, "hung")};
    store.add(entry);
  }
  store.add(made_up_entry(made_up_device("Right One"), 8));
  return store;
}

TEST(TuneStore, FreshnessIsOfDriverAndKernel) {
  const DeviceFacts device = made_up_device("Left One");
  TuningEntry entry = made_up_entry(device, 8);
  EXPECT_EQ(freshness(entry, {}), "no device");
  EXPECT_EQ(freshness(entry, {made_up_device("Right One")}), "no device");
  EXPECT_EQ(freshness(entry, {made_up_device("Right One"), device}), "fresh");
  DeviceFacts updated = device;
  updated.driver_version = "1.1";
  EXPECT_EQ(freshness(entry, {updated}), "stale: driver");
  entry.key.source += "x";
  EXPECT_EQ(freshness(entry, {device}), "stale: kernel");
}

TEST(TuneStore, TableAndJson) {
  const std::vector<DeviceFacts> present = {made_up_device("Left One")};
  const std::string text = store_table(sample(), present);
  expect_part(text, "Left One, driver 1.0\n");
  expect_part(text, "Right One, driver 1.0\n");
  expect_part(text,
              "  portable       1.50x       2 ms  2025-03-01  fresh              2  dense f32 B1 "
              "H1/1 Q8 K64 D32/32");
  expect_part(text, " key_tile=32 query_tile=16\n");
  expect_part(text, "no device          0  dense");
  expect_part(text, "3 entries of 2 devices and drivers, 0 stale, 4 trials\n");
  EXPECT_EQ(store_table(TuningStore(), {}),
            "0 entries of 0 devices and drivers, 0 stale, 0 trials\n");

  const nlohmann::ordered_json json = store_json(sample(), present);
  ASSERT_EQ(json.size(), 3u);
  EXPECT_EQ(json[0]["device"], "Left One");
  EXPECT_EQ(json[0]["gain"], 3e-3 / 2e-3);
  EXPECT_EQ(json[0]["problem"]["q_len"], 8);
  EXPECT_EQ(json[0]["state"], "fresh");
  EXPECT_EQ(json[0]["trials"], 2);
}

TEST(TuneStore, AProblemThatCannotBeReadIsShownAsItIs) {
  TuningEntry entry = made_up_entry(made_up_device("Left One"), 8);
  entry.key.problem = R"({"mask":{"hash":"abc"}})";
  TuningStore store;
  store.add(entry);
  expect_part(store_table(store, {made_up_device("Left One")}),
              "fresh              0  mask:hash:abc\n");
}

TEST(TuneStore, WithoutATimeThereIsNoGain) {
  TuningEntry entry = made_up_entry(made_up_device("Left One"), 8);
  entry.heuristic_seconds = 0;
  TuningStore store;
  store.add(entry);
  expect_part(store_table(store, {}), "  portable                   2 ms  2025-03-01  no device");
  entry.seconds = 0;
  store.add(entry);
  expect_part(store_table(store, {}), "  portable                 failed  2025-03-01  no device");
  EXPECT_TRUE(store_json(store, {})[0]["gain"].is_null());
}

TEST(TuneStore, PruneDropsWhatMeetsAllConditions) {
  const auto left_of = [](const PruneOptions& options, const std::vector<DeviceFacts>& present) {
    TuningStore store = sample();
    const std::size_t dropped = prune(store, options, present, kNow);
    EXPECT_EQ(store.entries().size(), 3 - dropped);
    return store.entries().size();
  };
  PruneOptions options;
  options.device = "LEFT";
  EXPECT_EQ(left_of(options, {}), 1u);
  options.device = "maker / r";
  EXPECT_EQ(left_of(options, {}), 2u);
  options.older_than_days = 11;
  EXPECT_EQ(left_of(options, {}), 3u);
  options.older_than_days = 9.5;
  EXPECT_EQ(left_of(options, {}), 2u);
  options.device = "";
  EXPECT_EQ(left_of(options, {}), 0u);

  PruneOptions stale;
  stale.stale = true;
  DeviceFacts updated = made_up_device("Left One");
  EXPECT_EQ(left_of(stale, {updated}), 3u);
  updated.driver_version = "1.1";
  EXPECT_EQ(left_of(stale, {updated}), 1u);
  EXPECT_EQ(left_of(stale, {}), 3u);
}

TEST(TuneStore, PruneKeepsFailedTrials) {
  TuningStore store = sample();
  PruneOptions options;
  options.trials = true;
  EXPECT_EQ(prune(store, options, {}, kNow), 2u);
  ASSERT_EQ(store.entries().size(), 3u);
  for (const TuningEntry& entry : store.entries()) {
    for (const Trial& trial : entry.trials) EXPECT_EQ(trial.outcome, TrialOutcome::timeout);
  }
  EXPECT_EQ(store.entries()[0].trials.size(), 1u);
  EXPECT_EQ(prune(store, options, {}, kNow), 0u);
}

// The commands, in a folder of their own.
class TuneStoreCommands : public testing::Test {
 protected:
  int run(const std::string& arguments) {
    CLI::App tune;
    const std::vector<Command> commands = add_tune_store_commands(tune);
    tune.parse(arguments);
    for (const Command& command : commands) {
      if (command.app->parsed()) return command.run();
    }
    return kBadUse;
  }
  std::string path(const char* name) const { return folder_.path() / name; }
  void write(const char* name, const TuningStore& store) const {
    update_store(path(name), [&](TuningStore& file) { file.merge(store); });
  }
  void expect_bad(const std::string& arguments, const std::vector<std::string>& words) {
    test::expect_error(ErrorCategory::invalid_argument, words, [&] { run(arguments); });
  }

 private:
  test::TemporaryFolder folder_;
  test::ScopedEnvironment home_{"XDG_DATA_HOME", folder_.path()};
};

TEST_F(TuneStoreCommands, MergeKeepsTheNewer) {
  TuningStore newer;
  TuningEntry entry = sample().entries()[0];
  entry.timestamp = "2026-01-01T00:00:00Z";
  newer.add(entry);
  newer.add(made_up_entry(made_up_device("Third"), 8));
  write("a.json", sample());
  write("b.json", newer);
  EXPECT_EQ(run("merge " + path("out.json") + " " + path("b.json") + " " + path("a.json")), 0);
  TuningStore expected = sample();
  expected.merge(newer);
  const TuningStore merged = read_store(path("out.json"));
  EXPECT_EQ(merged.entries(), expected.entries());
  EXPECT_EQ(merged.entries()[0], entry);
  EXPECT_EQ(merged.entries().size(), 4u);
  expect_bad("merge " + path("out.json") + " " + path("none.json"), {"none.json"});
}

TEST_F(TuneStoreCommands, ExportAndImportGiveTheSameStore) {
  write("a.json", sample());
  EXPECT_EQ(run("export " + path("t4.json") + " --store " + path("a.json")), 0);
  EXPECT_EQ(run("import " + path("t4.json") + " --store " + path("b.json")), 0);
  EXPECT_EQ(read_store(path("b.json")).entries(), sample().entries());
  EXPECT_EQ(run("export " + path("again.json") + " --store " + path("b.json")), 0);
  EXPECT_EQ(test::read_file(path("again.json")), test::read_file(path("t4.json")));
  test::write_file(path("bad.json"), R"({"schema_version": "1.0.0", "results": [{}]})");
  expect_bad("import " + path("bad.json"), {"bad.json", "[0]", "configuration"});
  expect_bad("import " + path("none.json"), {"cannot read", "none.json"});
}

TEST_F(TuneStoreCommands, WithoutStoreItIsTheUsers) {
  expect_bad("prune --trials", {"no store", user_store_path().string()});
  std::filesystem::create_directories(user_store_path().parent_path());
  update_store(user_store_path(), [](TuningStore& store) { store.merge(sample()); });
  EXPECT_EQ(run("prune --device left"), 0);
  EXPECT_EQ(read_store(user_store_path()).entries().size(), 1u);
  testing::internal::CaptureStdout();
  EXPECT_EQ(run("show --json"), 0);
  const auto shown = nlohmann::json::parse(testing::internal::GetCapturedStdout());
  EXPECT_EQ(shown["stores"][0]["entries"][0]["device"], "Right One");
  expect_bad("prune", {"--trials", "--older-than"});
}

TEST_F(TuneStoreCommands, PruneOfAFile) {
  write("a.json", sample());
  EXPECT_EQ(run("prune --trials --store " + path("a.json")), 0);
  EXPECT_EQ(read_store(path("a.json")).entries()[0].trials.size(), 1u);
  EXPECT_EQ(run("prune --older-than 1 --store " + path("a.json")), 0);
  EXPECT_TRUE(read_store(path("a.json")).entries().empty());
}

}  // namespace
}  // namespace clattn::tool
