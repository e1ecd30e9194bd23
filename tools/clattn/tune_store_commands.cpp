#include "tune_store_commands.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <span>

#include "fail.hpp"
#include "host/json/members.hpp"
#include "host/tuning/store_file.hpp"
#include "output_file.hpp"
#include "t4.hpp"
#include "tune_store.hpp"

namespace clattn::tool {
namespace {

struct Options {
  std::string store;  // a file; empty: the user's
  std::string file;
  std::vector<std::string> files;
  PruneOptions prune;
  bool json = false;
};

// What is told of entries without any OpenCL is worth telling.
std::vector<DeviceFacts> present_devices() {
  std::vector<DeviceFacts> facts;
  try {
    for (const Device& device : list_devices()) facts.push_back(device.facts);
  } catch (const Error& error) {
    fmt::print(stderr, "clattn: what is stale is not known: {}\n", error.what());
  }
  return facts;
}

std::vector<TuningLayer> shown_layers(const Options& options) {
  if (!options.store.empty()) return {{options.store, read_store(options.store)}};
  return default_layers(
      [](LogLevel, const std::string& line) { fmt::print(stderr, "clattn: {}\n", line); });
}

int show(const Options& options) {
  const std::vector<TuningLayer> layers = shown_layers(options);
  const std::vector<DeviceFacts> present = present_devices();
  json list = json::array();
  for (const TuningLayer& layer : layers) {
    if (options.json) {
      list.push_back({{"store", layer.name}, {"entries", store_json(layer.store, present)}});
    } else {
      fmt::print("store: {}\n{}", layer.name, store_table(layer.store, present));
    }
  }
  if (options.json) {
    fmt::print("{}\n", json{{"stores", list}}.dump(2));
  } else if (layers.empty()) {
    fmt::print("there is no store\n");
  }
  return kSuccess;
}

// What `change` did to the store of `path`, in numbers.
template <typename Change>
int change_store(const std::filesystem::path& path, const Change& change) {
  std::size_t before = 0, added = 0, replaced = 0;
  update_store(path, [&](TuningStore& store) {
    const std::vector<TuningEntry> old = store.entries();
    change(store);
    before = old.size();
    added = store.entries().size() - old.size();
    for (const TuningEntry& entry : old) {
      replaced += std::ranges::find(store.entries(), entry) == store.entries().end();
    }
  });
  fmt::print("{}: {} entries, {} of them new, {} replaced\n", path.string(), before + added, added,
             replaced);
  return kSuccess;
}

int merge(const Options& options) {
  TuningStore all;
  for (const std::string& file : options.files) all.merge(read_store(file));
  return change_store(options.file, [&](TuningStore& store) { store.merge(all); });
}

int export_store(const Options& options) {
  const TuningStore store = read_store(store_path(options.store));
  // Messages of compilers may be no UTF-8.
  const std::string text = to_t4(store).dump(1, ' ', false, json::error_handler_t::replace) + '\n';
  OutputFile file(options.file);
  file.write(std::as_bytes(std::span(text)));
  file.commit();
  return kSuccess;
}

int import_store(const Options& options) {
  std::ifstream file(options.file, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  if (!file) fail("cannot read '{}'", options.file);
  const TuningStore store = at_place(options.file, [&] { return from_t4(parse_json(text)); });
  return change_store(store_path(options.store), [&](TuningStore& kept) { kept.merge(store); });
}

int prune_store(const Options& options) {
  const PruneOptions& prune_options = options.prune;
  if (!prune_options.trials && !prune_options.stale && !prune_options.older_than_days &&
      prune_options.device.empty()) {
    fail("prune needs --trials, --stale, --older-than or --device: else nothing would be left");
  }
  const std::filesystem::path path = store_path(options.store);
  if (!std::filesystem::exists(path)) fail("there is no store '{}'", path.string());
  const std::vector<DeviceFacts> present =
      prune_options.stale ? present_devices() : std::vector<DeviceFacts>();
  std::size_t dropped = 0;
  update_store(path, [&](TuningStore& store) {
    dropped = prune(store, prune_options, present, std::chrono::system_clock::now());
  });
  fmt::print("{}: {} {} dropped\n", path.string(), dropped,
             prune_options.trials ? "trials" : "entries");
  return kSuccess;
}

void add_store_option(CLI::App& app, std::string& store, const char* otherwise) {
  app.add_option("--store", store,
                 fmt::format("tuning store, a JSON file (default: {})", otherwise));
}

}  // namespace

std::filesystem::path store_path(const std::string& file) {
  if (!file.empty()) return file;
  const std::filesystem::path path = user_store_path();
  if (path.empty()) fail("neither XDG_DATA_HOME nor HOME says where the store is; give --store");
  return path;
}

std::vector<Command> add_tune_store_commands(CLI::App& tune) {
  std::vector<Command> commands;
  const auto add = [&](const char* name, const char* help, int (*run)(const Options&)) {
    const auto options = std::make_shared<Options>();
    CLI::App* const app = tune.add_subcommand(name, help);
    commands.push_back({app, [options, run] { return run(*options); }});
    return std::pair<CLI::App&, Options&>(*app, *options);
  };
  constexpr const char* kUsers = "the user's";
  {
    auto [app, options] = add("show", "What stores hold", show);
    add_store_option(app, options.store, "all that plans ask");
    add_json_option(app, options.json);
  }
  {
    auto [app, options] = add("merge", "Put the entries of stores into one; newer ones win", merge);
    app.add_option("out", options.file, "the store to change; it need not be there")->required();
    app.add_option("in", options.files, "the stores to take entries from")->required();
  }
  {
    auto [app, options] = add("export", "Write a store in the T4 results format", export_store);
    app.add_option("file", options.file, "the JSON file to write")->required();
    add_store_option(app, options.store, kUsers);
  }
  {
    auto [app, options] = add("import", "Put the entries of an export into a store", import_store);
    app.add_option("file", options.file, "a T4 results file that 'export' wrote")->required();
    add_store_option(app, options.store, kUsers);
  }
  {
    auto [app, options] =
        add("prune", "Drop the entries that meet all conditions, or their trials", prune_store);
    add_store_option(app, options.store, kUsers);
    PruneOptions& prune = options.prune;
    app.add_flag("--trials", prune.trials, "drop the correct trials, keep entries and failures");
    app.add_flag("--stale", prune.stale, "those of another driver or kernel than the device's now");
    app.add_option("--older-than", prune.older_than_days, "those of more than so many days ago")
        ->check(CLI::NonNegativeNumber);
    app.add_option("--device", prune.device, "those of devices with this in their names");
  }
  return commands;
}

}  // namespace clattn::tool
