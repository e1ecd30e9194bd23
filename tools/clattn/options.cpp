// Options that several subcommands share.
#include "command.hpp"

namespace clattn::tool {

void add_device_option(CLI::App& app, std::string& selector) {
  app.add_option("--device", selector,
                 "gpu, cpu, accelerator, an index of 'clattn info', or a part of a name (default: "
                 "the best device)");
}

void add_family_option(CLI::App& app, std::string& family) {
  app.add_option("--family", family, "kernel family (default: the planner's choice)");
}

void add_json_option(CLI::App& app, bool& json) {
  app.add_flag("--json", json, "print JSON instead of a table");
}

}  // namespace clattn::tool
