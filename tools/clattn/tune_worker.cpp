#include "tune_worker.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <iostream>
#include <new>
#include <optional>

#include "command.hpp"
#include "fail.hpp"
#include "host/tuning/device_examiner.hpp"
#include "launch.hpp"
#include "tune_json.hpp"

namespace clattn::tool {
namespace {

using Json = nlohmann::ordered_json;

TokenAccess access_from(const std::string& name) {
  for (const TokenAccess access : {TokenAccess::automatic, TokenAccess::in_place,
                                   TokenAccess::gathered, TokenAccess::permuted}) {
    if (name == to_string(access)) return access;
  }
  fail("the token access '{}' is unknown", name);
}

void say(const Json& json) {
  fmt::print("{}\n", json.dump(-1, ' ', false, Json::error_handler_t::replace));
  std::fflush(stdout);
}

void work(const Json& task) {
  PlanOptions options;
  const Json& plan = task.at("plan");
  options.family = plan.at("family");
  options.tokens = access_from(plan.at("tokens"));
  plan.at("query_tile").get_to(options.query_tile);
  plan.at("key_tile").get_to(options.key_tile);
  const Problem problem = problem_from_json(task.at("problem").get<std::string>());
  const Engine engine = make_engine(task.at("device"), false);
  std::optional<DeviceExaminer> examiner;
  if (task.at("measures").get<bool>()) {
    examiner.emplace(engine, problem, options, task.at("seed").get<std::uint64_t>());
  }
  say({{"ready", true}});
  for (std::string line; std::getline(std::cin, line);) {
    const Json heard = Json::parse(line);
    if (examiner) {
      say(to_json(examiner->ask(question_from_json(heard))));
      continue;
    }
    try {
      options.config = heard.at("build").get<KernelConfig>();
      engine.plan(problem, options);
    } catch (const Error&) {
      // Who measures will meet it again, and say so.
    }
    say({{"built", true}});
  }
}

int tune_worker() {
  std::string line;
  if (!std::getline(std::cin, line)) return kBadUse;
  try {
    work(Json::parse(line));
  } catch (const std::bad_alloc&) {
    say({{"error", "out of memory"}});
  } catch (const std::exception& error) {
    say({{"error", error.what()}});
  }
  return kSuccess;
}

}  // namespace

std::string task_line(const TuneTask& task, bool measures) {
  return Json{{"device", task.device},
              {"problem", problem_to_json(task.problem)},
              {"plan",
               {{"family", task.plan.family},
                {"tokens", to_string(task.plan.tokens)},
                {"query_tile", task.plan.query_tile},
                {"key_tile", task.plan.key_tile}}},
              {"seed", task.seed},
              {"measures", measures}}
      .dump();
}

Command add_tune_worker(CLI::App& parent) {
  CLI::App* const app = parent.add_subcommand("tune-worker", "Measure for clattn tune");
  app->group("");  // not for users
  return {app, [] { return tune_worker(); }};
}

}  // namespace clattn::tool
