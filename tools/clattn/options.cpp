// Options that several subcommands share.
#include "command.hpp"
#include "host/planning/parameters.hpp"

namespace clattn::tool {

void add_device_option(CLI::App& app, std::string& selector) {
  app.add_option("--device", selector,
                 "gpu, cpu, accelerator, an index of 'clattn info', or a part of a name (default: "
                 "the best device)");
}

void add_plan_options(CLI::App& app, PlanOptions& options) {
  app.add_option("--family", options.family, "kernel family (default: the planner's choice)");
  app.add_option_function<std::string>(
         "--config", [&options](const std::string& text) { options.config = parse_config(text); },
         "a value for each parameter of the family's kernel (default: the planner's choice)")
      ->type_name("NAME=VALUE,...")
      ->needs("--family");
  app.add_option("--tokens", options.tokens,
                 "how tiles of a neighborhood's grid come about (default: the planner's choice)")
      ->transform(CLI::CheckedTransformer(
          std::map<std::string, TokenAccess>{{"in_place", TokenAccess::in_place},
                                             {"gathered", TokenAccess::gathered},
                                             {"permuted", TokenAccess::permuted}}));
  app.add_option("--query-tile", options.query_tile,
                 "tile of queries of a neighborhood's grid, such as 8,8")
      ->delimiter(',');
  app.add_option("--key-tile", options.key_tile, "tile of keys, where tokens are permuted")
      ->delimiter(',');
}

void add_json_option(CLI::App& app, bool& json) {
  app.add_flag("--json", json, "print JSON instead of a table");
}

}  // namespace clattn::tool
