// The tuning store: its text gives back exactly what it was made of or is refused with the place,
// newer entries replace older ones, and a lookup takes the nearest entry of the nearest level.
#include <cmath>
#include <limits>

#include "tests/host/tuning_support.hpp"
#include "tests/support.hpp"

namespace clattn {
namespace {

using test::expect_error;
using test::make_entry;
using test::make_key;

TuningStore store_of(const std::vector<TuningEntry>& entries) {
  TuningStore store;
  for (const TuningEntry& entry : entries) store.add(entry);
  return store;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t place = text.find(from);
  EXPECT_NE(place, std::string::npos) << from;
  if (place != std::string::npos) text.replace(place, from.size(), to);
  return text;
}

TuningEntry full_entry() {
  TuningEntry entry = make_entry();
  entry.seconds = 1.0 / 3.0;
  entry.heuristic_seconds = std::nextafter(1.0, 2.0);
  entry.spread = std::numeric_limits<double>::denorm_min();
  entry.config["large"] = std::numeric_limits<std::int64_t>::max();
  entry.config["small"] = std::numeric_limits<std::int64_t>::min();
  entry.trials.push_back({entry.config,
                          TrialOutcome::correct,
                          "",
                          {0.1, 0.2, 2.0 / 3.0, 1},
                          1.5,
                          0.25,
                          "2026-11-22T09:00:00Z"});
  for (TrialOutcome outcome :
       {TrialOutcome::compile, TrialOutcome::runtime, TrialOutcome::correctness,
        TrialOutcome::constraints, TrialOutcome::timeout}) {
    entry.trials.push_back({entry.heuristic,
                            outcome,
                            "line 1\n\"line 2\" \\ \t \xc3\xa4",
                            {},
                            0,
                            0,
                            "2026-11-22T09:00:01Z"});
  }
  return entry;
}

TEST(TuningStoreText, GivesBackWhatItWasMadeOf) {
  const TuningStore store = store_of(
      {full_entry(), make_entry(make_key("no JSON {")), make_entry(make_key(R"({"b": 1})")),
       make_entry(make_key(R"({"mask":{"causal":{}},"q_len":1000})"))});
  const std::string text = store.to_json();
  const TuningStore again = TuningStore::from_json(text);
  EXPECT_EQ(again.entries(), store.entries());
  EXPECT_EQ(again.entries().size(), 4u);
  EXPECT_EQ(again.to_json(), text);
  const TuningStore empty = TuningStore::from_json(TuningStore().to_json());
  EXPECT_TRUE(empty.entries().empty());
}

TEST(TuningStoreText, IsTheSameWhateverTheOrder) {
  TuningKey other = make_key();
  other.device = "another";
  const TuningEntry a = make_entry(), b = make_entry(other), c = make_entry(make_key("{}"));
  EXPECT_EQ(store_of({a, b, c}).to_json(), store_of({c, b, a}).to_json());
}

TEST(TuningStoreText, HasALineForEachMemberAndTrial) {
  const std::string text = store_of({full_entry()}).to_json();
  for (const char* line :
       {"\n      \"head_dim\": 64,\n", "\n      \"problem\": {\"q_len\":1000},\n",
        "\n      \"seconds\": 0.3333333333333333,\n",
        "\n        {\"config\":{\"key_tile\":32,\"query_panels\":4},\"outcome\":\"timeout\","}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << "\n" << text;
  }
}

TEST(TuningStoreText, BytesThatAreNoUtf8DoNotBreakIt) {
  TuningEntry entry = full_entry();
  entry.trials.back().message = "\xff broken";
  const TuningStore again = TuningStore::from_json(store_of({entry}).to_json());
  EXPECT_EQ(again.entries().front().trials.back().message, "\xef\xbf\xbd broken");
}

TEST(TuningStoreText, TrialsCanBeLeftOut) {
  TuningEntry bare = full_entry();
  bare.trials.clear();
  TuningEntry other = full_entry();
  other.key.device = "a second one";
  const std::string text = store_of({full_entry(), other, make_entry(make_key("{}"))}).to_json();
  other.trials.clear();
  const TuningStore expected = store_of({bare, other, make_entry(make_key("{}"))});
  EXPECT_EQ(TuningStore::from_json(text, Trials::leave_out).entries(), expected.entries());
  // Of an entry's trials nothing is looked at, of the rest all.
  const std::string broken = replaced(text, "\"outcome\":\"timeout\"", "\"outcome\":");
  EXPECT_EQ(TuningStore::from_json(broken, Trials::leave_out).entries(), expected.entries());
  for (std::size_t size = 0; size + 1 < text.size(); size += 97) {
    expect_error(ErrorCategory::invalid_argument, {"is not JSON"},
                 [&] { TuningStore::from_json(text.substr(0, size), Trials::leave_out); });
  }
  // Written otherwise, they are read and left out nevertheless.
  std::string flat = text;
  std::erase(flat, '\n');
  EXPECT_EQ(TuningStore::from_json(flat, Trials::leave_out).entries(), expected.entries());
}

TEST(TuningStoreText, RefusesWhatIsNoStore) {
  const std::string text = store_of({full_entry()}).to_json();
  const auto refused = [](const std::string& bad, const std::vector<std::string>& parts) {
    SCOPED_TRACE(bad.substr(0, 400));
    expect_error(ErrorCategory::invalid_argument, parts, [&] { TuningStore::from_json(bad); });
  };
  refused("", {"the tuning store is not JSON", "line 1, column 1"});
  refused(text.substr(0, text.size() / 2), {"the tuning store is not JSON", "column"});
  refused("[]", {"tuning store: must be an object"});
  refused("{}", {"\"format\" must be \"clattn tuning store\""});
  refused(replaced(text, "clattn tuning store", "other"), {"\"format\" must be"});
  refused(replaced(text, "\"version\": 1", "\"version\": 2"), {"version 2", "newer than 1"});
  refused(replaced(text, "\"version\": 1", "\"version\": 0"), {"version 0"});
  refused(replaced(text, "\"version\": 1", "\"version\": \"1\""),
          {"version: must be a whole number, but is \"1\""});
  // Of a newer version nothing is known, so that nothing else is complained of.
  refused(R"({"format": "clattn tuning store", "version": 7, "records": 3})", {"version 7"});
  refused(R"({"format": "clattn tuning store", "version": 1})", {"entries", "is missing"});
  refused(R"({"format": "clattn tuning store", "version": 1, "entries": {}})",
          {"entries", "must be an array"});
  refused(R"({"format": "clattn tuning store", "version": 1, "entries": [], "extra": 1})",
          {"unknown key \"extra\""});
  const auto bad = [&](const std::string& from, const std::string& to,
                       const std::vector<std::string>& parts) {
    refused(replaced(text, from, to), parts);
  };
  bad("\"device\": \"device\"", "\"divice\": \"device\"",
      {"entries[0]", "unknown key \"divice\"", "\"device\""});
  bad("\"device\": \"device\",", "", {"entries[0] device: is missing"});
  bad("\"head_dim\": 64", "\"head_dim\": 64.5", {"entries[0] head_dim: must be a whole number"});
  bad("\"vendor\": \"vendor\"", "\"vendor\": 3", {"entries[0] vendor: must be a string"});
  bad("\"problem\": {\"q_len\":1000}", "\"problem\": 3", {"entries[0] problem: must be a string"});
  bad("\"heuristic\": {\"key_tile\":32", "\"heuristic\": {\"key_tile\":\"32\"",
      {"entries[0] heuristic key_tile: must be a whole number"});
  bad("\"seconds\": 0.3333333333333333", "\"seconds\": -1.0", {"entries[0]", "seconds is -1"});
  bad("\"seconds\": 0.3333333333333333", "\"seconds\": null", {"seconds: must be a number"});
  bad("\"seconds\": 0.3333333333333333", "\"seconds\": 1e999", {"not JSON", "1e999"});
  bad("\"spread\": 5e-324", "\"spread\": -0.5", {"spread is -0.5"});
  bad("\"seconds\":[0.1", "\"seconds\":[-0.1", {"entries[0]", "seconds of a trial is -0.1"});
  bad("\"outcome\":\"timeout\"", "\"outcome\":\"timeouts\"",
      {"entries[0] trials[5] outcome", "unknown value \"timeouts\"", "\"timeout\""});
  bad("\"heuristic\": {\"key_tile\":32,\"query_panels\":4}", "\"heuristic\": 4",
      {"entries[0] heuristic: must be an object"});
  const TuningEntry plain = make_entry();
  refused(replaced(store_of({plain}).to_json(), "\"config\": {\"key_tile\":64,\"query_panels\":2}",
                   "\"config\": {}"),
          {"entries[0]", "the configuration is empty"});
  std::string deep = "1";
  for (int i = 0; i < 100; ++i) deep = "[" + deep + "]";
  refused(deep, {"nested deeper than 64 levels"});
}

TEST(TuningStore, RefusesEntriesThatNoTextCouldHold) {
  const auto refused = [](const auto& change, const char* part) {
    TuningEntry entry = full_entry();
    change(entry);
    TuningStore store;
    expect_error(ErrorCategory::invalid_argument, {part}, [&] { store.add(entry); });
    EXPECT_TRUE(store.entries().empty());
  };
  const double nan = std::nan("");
  const double infinity = std::numeric_limits<double>::infinity();
  refused([](TuningEntry& entry) { entry.config.clear(); }, "the configuration is empty");
  refused([&](TuningEntry& entry) { entry.seconds = nan; }, "seconds is nan");
  refused([&](TuningEntry& entry) { entry.heuristic_seconds = infinity; },
          "heuristic_seconds is inf");
  refused([&](TuningEntry& entry) { entry.spread = -1; }, "spread is -1");
  refused([](TuningEntry& entry) { entry.trials[1].config.clear(); }, "of a trial is empty");
  refused([&](TuningEntry& entry) { entry.trials[0].seconds[1] = nan; }, "of a trial is nan");
  refused([&](TuningEntry& entry) { entry.trials[0].build_seconds = -1; }, "build_seconds");
  refused([&](TuningEntry& entry) { entry.trials[0].check_seconds = nan; }, "check_seconds");
}

TEST(TuningStore, TheNewerEntryOfAProblemStays) {
  const auto with = [](const char* timestamp, double seconds, const char* driver) {
    TuningEntry entry = make_entry(make_key(), timestamp);
    entry.seconds = seconds;
    entry.key.driver = driver;
    entry.key.source = std::string("source of ") + driver;
    return entry;
  };
  TuningStore store;
  store.add(with("2026-11-22T10:00:00Z", 1, "1.0"));
  store.add(with("2026-11-22T09:59:59Z", 2, "1.0"));
  ASSERT_EQ(store.entries().size(), 1u);
  EXPECT_EQ(store.entries()[0].seconds, 1) << "an older one has replaced it";
  store.add(with("2026-11-22T10:00:00Z", 3, "1.0"));
  ASSERT_EQ(store.entries().size(), 1u);
  EXPECT_EQ(store.entries()[0].seconds, 3) << "one of the same time replaces";
  store.add(with("2026-11-23T10:00:00Z", 4, "2.0"));
  ASSERT_EQ(store.entries().size(), 1u) << "another driver or source is no other problem";
  EXPECT_EQ(store.entries()[0].key.driver, "2.0");
  // From a text, too.
  TuningStore merged = store_of({make_entry(make_key("{}"))});
  merged.merge(
      TuningStore::from_json(store_of({with("2026-11-22T10:00:00Z", 1, "1.0")}).to_json()));
  merged.merge(store);
  merged.merge(store_of({with("2025-01-01T00:00:00Z", 5, "3.0")}));
  ASSERT_EQ(merged.entries().size(), 2u);
  EXPECT_EQ(merged.entries()[0].key.problem, R"({"q_len":1000})");
  EXPECT_EQ(merged.entries()[0].seconds, 4);
}

TEST(TuningStore, EveryFieldButDriverAndSourceMakesAnotherEntry) {
  TuningStore store = store_of({make_entry()});
  std::size_t count = 1;
  for (std::string TuningKey::*text :
       {&TuningKey::family, &TuningKey::vendor, &TuningKey::device, &TuningKey::data_type,
        &TuningKey::mask, &TuningKey::problem}) {
    TuningEntry entry = make_entry();
    entry.key.*text = "other";
    store.add(entry);
    EXPECT_EQ(store.entries().size(), ++count);
  }
  for (std::int64_t TuningKey::*number :
       {&TuningKey::head_dim, &TuningKey::value_dim, &TuningKey::group, &TuningKey::heads_bucket,
        &TuningKey::query_bucket, &TuningKey::key_bucket, &TuningKey::density_bucket}) {
    TuningEntry entry = make_entry();
    entry.key.*number = 17;
    store.add(entry);
    EXPECT_EQ(store.entries().size(), ++count);
  }
  EXPECT_TRUE(std::ranges::is_sorted(store.entries(), {},
                                     [](const TuningEntry& entry) { return entry.key.family; }));
  EXPECT_EQ(store.erase_if([](const TuningEntry& entry) { return entry.key.head_dim == 17; }), 1u);
  EXPECT_EQ(store.entries().size(), count - 1);
}

// What `find` has for make_key() in a store of one entry.
std::optional<TuningHit> found_one(const TuningKey& key) {
  return store_of({make_entry(key)}).find(make_key());
}

template <typename Value>
TuningKey key_with(Value TuningKey::*member, const Value& value) {
  TuningKey key = make_key();
  key.*member = value;
  return key;
}

TEST(TuningStoreFind, KnowsItsLevels) {
  const auto level = [](const TuningKey& key) {
    const auto hit = found_one(key);
    return hit ? to_string(hit->level) : "none";
  };
  using Key = TuningKey;
  const auto text = [](std::string Key::*member) { return key_with(member, std::string("other")); };
  EXPECT_STREQ(level(make_key()), "exact");
  EXPECT_STREQ(level(text(&Key::problem)), "bucket");
  EXPECT_STREQ(level(text(&Key::mask)), "device");
  EXPECT_STREQ(level(key_with(&Key::group, std::int64_t{1})), "device");
  for (std::int64_t Key::*bucket :
       {&Key::heads_bucket, &Key::query_bucket, &Key::key_bucket, &Key::density_bucket}) {
    EXPECT_STREQ(level(key_with(bucket, make_key().*bucket + 7)), "device");
    EXPECT_STREQ(level(key_with(bucket, make_key().*bucket - 8)), "none");
  }
  for (std::string Key::*member : {&Key::family, &Key::vendor, &Key::data_type}) {
    EXPECT_STREQ(level(text(member)), "none");
  }
  for (std::int64_t Key::*member : {&Key::head_dim, &Key::value_dim}) {
    EXPECT_STREQ(level(key_with(member, std::int64_t{96})), "none");
  }
  EXPECT_STREQ(level(text(&Key::device)), "vendor");
  TuningKey elsewhere = text(&Key::device);
  elsewhere.problem = "other";
  EXPECT_STREQ(level(elsewhere), "vendor");
  elsewhere.key_bucket += 1;
  EXPECT_STREQ(level(elsewhere), "none");
  EXPECT_FALSE(TuningStore().find(make_key()));
}

TEST(TuningStoreFind, SaysWhatIsStale) {
  EXPECT_FALSE(found_one(make_key())->stale);
  EXPECT_TRUE(found_one(key_with(&TuningKey::driver, std::string("2.0")))->stale);
  EXPECT_TRUE(found_one(key_with(&TuningKey::source, std::string("other")))->stale);
  TuningKey elsewhere = key_with(&TuningKey::device, std::string("other"));
  elsewhere.driver = "of the other";
  EXPECT_FALSE(found_one(elsewhere)->stale);
  elsewhere.source = "other";
  EXPECT_TRUE(found_one(elsewhere)->stale);
}

TEST(TuningStoreFind, TakesTheNearest) {
  // In the order in which they must be found: the first is taken out again and again.
  std::vector<TuningEntry> entries = {make_entry()};
  const auto then = [&](const char* timestamp, const auto& change) {
    TuningEntry entry = make_entry(make_key(), timestamp);
    change(entry.key);
    entry.config["number"] = std::ssize(entries);
    entries.push_back(entry);
  };
  const char* const old = "2020-01-01T00:00:00Z";
  const char* const recent = "2026-01-01T00:00:00Z";
  then(recent, [](TuningKey& key) { key.problem = "a"; });  // bucket
  then(old, [](TuningKey& key) { key.problem = "b"; });
  then(recent, [](TuningKey& key) { key.problem = "c", key.driver = "0.1"; });
  then(old, [](TuningKey& key) { key.problem = "d", key.source = "older"; });
  then(old, [](TuningKey& key) { key.group = 2; });  // device, 1 apart
  then(recent, [](TuningKey& key) { key.query_bucket = 10, key.driver = "0.1"; });
  then(recent, [](TuningKey& key) { key.query_bucket = 10, key.key_bucket = 10; });  // 2 apart
  then(old, [](TuningKey& key) { key.density_bucket = -3; });
  then(recent, [](TuningKey& key) { key.heads_bucket = 0; });                          // 3
  then(recent, [](TuningKey& key) { key.mask = "dense"; });                            // 4
  then(recent, [](TuningKey& key) { key.mask = "window", key.density_bucket = -2; });  // 5
  then(recent, [](TuningKey& key) { key.device = "other"; });                          // vendor
  TuningStore store = store_of(entries);
  ASSERT_EQ(store.entries().size(), entries.size());
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const auto hit = store.find(make_key());
    ASSERT_TRUE(hit);
    EXPECT_EQ(hit->entry, entries[i]) << i << " should be next, not " << hit->entry.key.problem;
    store.erase_if([&](const TuningEntry& entry) { return entry == hit->entry; });
  }
  EXPECT_FALSE(store.find(make_key()));
}

TEST(TuningLayers, NearerLevelsWinAndThenTheFirstLayer) {
  const TuningStore none;
  const TuningStore exact = store_of({make_entry()});
  const TuningStore bucket = store_of({make_entry(make_key("other"))});
  const auto layer = [](const std::vector<TuningLayer>& layers) {
    const auto hit = find(layers, make_key());
    return hit ? hit->layer : "none";
  };
  EXPECT_EQ(layer({}), "none");
  EXPECT_EQ(layer({{"engine", none}, {"user", none}}), "none");
  EXPECT_EQ(layer({{"engine", none}, {"user", bucket}, {"shipped", bucket}}), "user");
  EXPECT_EQ(layer({{"engine", bucket}, {"user", exact}, {"shipped", exact}}), "user");
  EXPECT_EQ(layer({{"engine", exact}, {"user", exact}}), "engine");
}

}  // namespace
}  // namespace clattn
