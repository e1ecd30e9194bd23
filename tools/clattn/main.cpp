// The command-line tool: one subcommand a job. Exit status: 0; 1 when a check failed; 2 for bad
// use, bad input or a device that fails; 128 + signal when interrupted. Results go to stdout, one
// line 'clattn: message' to stderr on an error.
#include <clattn/version.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <iterator>
#include <new>
#include <vector>

#include "command.hpp"
#include "interrupt.hpp"

namespace clattn::tool {

namespace {

int bad_use(const std::string& message) {
  fmt::print(stderr, "clattn: {}\n", message);
  return kBadUse;
}

int run(int argc, char** argv) {
  CLI::App app("Attention on any OpenCL device: exact softmax attention, checked and timed.",
               "clattn");
  app.set_version_flag("--version", "clattn " CLATTN_VERSION_STRING);
  app.require_subcommand(1);
  std::vector<Command> commands = {add_info(app),       add_run(app),  add_check(app),
                                   add_explain(app),    add_show(app), add_bench(app),
                                   add_tune_worker(app)};
  std::ranges::move(add_tune(app), std::back_inserter(commands));
  // CLI11 would only say that a subcommand is required.
  if (argc > 1 && argv[1][0] != '-' && std::ranges::none_of(commands, [&](const Command& command) {
        return command.app->get_name() == argv[1];
      })) {
    return bad_use(fmt::format("unknown subcommand '{}' (see 'clattn --help')", argv[1]));
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help and --version
    return bad_use(fmt::format("{} (see 'clattn --help')", error.what()));
  }
  for (const Command& command : commands) {
    if (command.app->parsed()) return command.run();
  }
  return kBadUse;
}

}  // namespace
}  // namespace clattn::tool

int main(int argc, char** argv) {
  using namespace clattn::tool;
  try {
    catch_interrupts();
    const int status = run(argc, argv);
    if (std::fflush(stdout) != 0 || std::ferror(stdout)) return bad_use("cannot write to stdout");
    return status;
  } catch (const Interrupted& interrupt) {
    return 128 + interrupt.signal;
  } catch (const std::bad_alloc&) {
    return bad_use("out of memory");
  } catch (const std::exception& error) {
    return bad_use(error.what());
  }
}
