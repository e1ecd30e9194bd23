// The subcommands of `clattn tune` that work on stores and measure nothing: show, merge, export,
// import and prune.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "command.hpp"

namespace clattn::tool {

// The store that --store names, or the user's.
std::filesystem::path store_path(const std::string& file);

std::vector<Command> add_tune_store_commands(CLI::App& tune);

}  // namespace clattn::tool
