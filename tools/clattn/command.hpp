// The subcommands of the tool. Each `add_...` registers its options and returns what to run once
// they are parsed; that gives the exit status, and throws clattn::Error on bad input.
#pragma once

#include <CLI/CLI.hpp>
#include <clattn/engine.hpp>
#include <functional>
#include <string>
#include <vector>

namespace clattn::tool {

constexpr int kSuccess = 0;
constexpr int kCheckFailed = 1;
constexpr int kBadUse = 2;

struct Command {
  CLI::App* app;
  std::function<int()> run;
};

Command add_info(CLI::App& parent);
Command add_run(CLI::App& parent);
Command add_check(CLI::App& parent);
Command add_explain(CLI::App& parent);
Command add_show(CLI::App& parent);
Command add_bench(CLI::App& parent);
Command add_tune_worker(CLI::App& parent);
// The command itself stands behind its subcommands.
std::vector<Command> add_tune(CLI::App& parent);

// Options that several subcommands share.
void add_device_option(CLI::App& app, std::string& selector);
void add_plan_options(CLI::App& app, PlanOptions& options);
void add_json_option(CLI::App& app, bool& json);

}  // namespace clattn::tool
