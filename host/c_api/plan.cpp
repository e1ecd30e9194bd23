// Plans: making them, launching them, and what they tell.
#include <algorithm>
#include <clattn/tuning.hpp>

#include "host/c_api/convert.hpp"
#include "host/planning/parameters.hpp"

namespace clattn::c_api {
namespace {

static_assert(same(TokenAccess::automatic, CLATTN_TOKEN_ACCESS_AUTOMATIC) &&
              same(TokenAccess::in_place, CLATTN_TOKEN_ACCESS_IN_PLACE) &&
              same(TokenAccess::gathered, CLATTN_TOKEN_ACCESS_GATHERED) &&
              same(TokenAccess::permuted, CLATTN_TOKEN_ACCESS_PERMUTED));

PlanOptions read_options(const clattn_plan_options* source) {
  PlanOptions options;
  if (!source) return options;
  require_struct(source, "options", "clattn_plan_options");
  if (source->family) options.family = source->family;
  options.tokens = to_enum(source->tokens, TokenAccess::permuted, "token access");
  const auto read_tile = [&](const std::int64_t* tile, const char* name) {
    return tile ? copy_array(tile, source->tile_rank, name) : std::vector<std::int64_t>();
  };
  options.query_tile = read_tile(source->query_tile, "query_tile");
  options.key_tile = read_tile(source->key_tile, "key_tile");
  if (source->config) options.config = clattn::parse_config(source->config);
  return options;
}

static_assert(same(SearchStrategy::exhaustive, CLATTN_SEARCH_STRATEGY_EXHAUSTIVE) &&
              same(SearchStrategy::random, CLATTN_SEARCH_STRATEGY_RANDOM) &&
              same(SearchStrategy::guided, CLATTN_SEARCH_STRATEGY_GUIDED));

TuneBudget read_budget(const clattn_tune_budget* source) {
  TuneBudget budget;
  if (!source) return budget;
  require_struct(source, "budget", "clattn_tune_budget");
  budget.strategy = to_enum(source->strategy, SearchStrategy::guided, "search strategy");
  budget.evaluations = source->evaluations;
  budget.seconds = source->seconds;
  budget.seed = source->seed;
  return budget;
}

Tensors read_tensors(const clattn_tensors* source) {
  require_struct(source, "tensors", "clattn_tensors");
  const auto view = [](const clattn_tensor& tensor) {
    return TensorView{tensor.buffer, tensor.offset};
  };
  return {view(source->query),
          view(source->key),
          view(source->value),
          view(source->output),
          view(source->lse),
          read_list_buffers(source->blocks),
          read_named_memory(source->buffers, source->buffer_count)};
}

}  // namespace
}  // namespace clattn::c_api

using namespace clattn::c_api;

clattn_status clattn_engine_supports(const clattn_engine* engine, const clattn_problem* problem,
                                     const clattn_plan_options* options, int32_t* supported,
                                     char** reason) {
  return guarded([&] {
    require(engine, "engine");
    require(supported, "supported");
    const clattn::Support support =
        engine->object.supports(read_problem(problem), read_options(options));
    if (reason) *reason = duplicate(support.reason);
    *supported = support.supported;
  });
}

clattn_status clattn_plan_options_init(clattn_plan_options* options, size_t struct_size) {
  return init(options, struct_size, "options", "clattn_plan_options", {});
}

clattn_status clattn_tune_budget_init(clattn_tune_budget* budget, size_t struct_size) {
  clattn_tune_budget defaults = {};
  defaults.seed = clattn::TuneBudget().seed;
  defaults.strategy = CLATTN_SEARCH_STRATEGY_GUIDED;
  return init(budget, struct_size, "budget", "clattn_tune_budget", defaults);
}

clattn_status clattn_engine_tune(clattn_engine* engine, const clattn_problem* problem,
                                 const clattn_plan_options* options,
                                 const clattn_tune_budget* budget, clattn_tune_result* result) {
  return guarded([&] {
    require(engine, "engine");
    if (result) require_struct(result, "result", "clattn_tune_result");
    const clattn::TuneResult found =
        engine->object.tune(read_problem(problem), read_budget(budget), read_options(options));
    if (!result) return;
    result->heuristic_seconds = found.heuristic_seconds;
    result->best_seconds = found.best_seconds;
    result->evaluations = static_cast<int64_t>(found.trials.size());
    result->failures = std::ranges::count_if(found.trials, [](const clattn::Trial& trial) {
      return trial.outcome != clattn::TrialOutcome::correct;
    });
  });
}

clattn_status clattn_plan_create(const clattn_engine* engine, const clattn_problem* problem,
                                 const clattn_plan_options* options, clattn_plan** plan) {
  return create(plan, "plan", [&] {
    require(engine, "engine");
    return engine->object.plan(read_problem(problem), read_options(options));
  });
}

clattn_status clattn_plan_retain(clattn_plan* plan) { return retain(plan, "plan"); }

void clattn_plan_release(clattn_plan* plan) { release(plan); }

clattn_status clattn_tensors_init(clattn_tensors* tensors, size_t struct_size) {
  return init(tensors, struct_size, "tensors", "clattn_tensors", {});
}

clattn_status clattn_plan_enqueue(const clattn_plan* plan, cl_command_queue queue,
                                  const clattn_tensors* tensors, cl_uint num_wait,
                                  const cl_event* wait_list, cl_event* event) {
  return guarded([&] {
    require(plan, "plan");
    require(queue, "queue");
    clattn::Event last =
        plan->object.enqueue(queue, read_tensors(tensors), read_wait_list(num_wait, wait_list));
    if (event) *event = last.release();
  });
}

clattn_status clattn_plan_get_problem(const clattn_plan* plan, clattn_problem* problem) {
  return guarded([&] {
    require(plan, "plan");
    require_struct(problem, "problem", "clattn_problem");
    write_problem(plan->object.problem(), *problem);
  });
}

clattn_status clattn_plan_get_report(const clattn_plan* plan, clattn_plan_report* report) {
  return guarded([&] {
    require(plan, "plan");
    require_struct(report, "report", "clattn_plan_report");
    const clattn::PlanReport& source = plan->report();
    report->family = source.family.c_str();
    report->config = source.config.c_str();
    report->parameters = plan->parameters().c_str();
    report->config_source = source.config_source.c_str();
    report->why = source.why.c_str();
    report->rejected = plan->rejected().data();
    report->rejected_count = plan->rejected().size();
    report->query_tile = source.query_tile;
    report->key_tile = source.key_tile;
    report->tiles_total = source.tiles_total;
    report->tiles_visited = source.tiles_visited;
    report->tiles_masked = source.tiles_masked;
    report->visible_pairs = source.visible_pairs;
    report->pairs_counted = source.pairs_counted;
    report->flops = source.flops;
    report->bytes = source.bytes;
    report->balance = source.balance;
    report->split_rows = source.split_rows;
    report->parts = source.parts;
    report->work_groups = source.work_groups;
    report->work_group_size = source.work_group_size;
    report->local_memory_bytes = source.local_memory_bytes;
    report->device_memory_bytes = source.device_memory_bytes;
    report->tilings = plan->tilings().data();
    report->tiling_count = plan->tilings().size();
    report->dense_efficiency = source.dense_efficiency;
  });
}

clattn_status clattn_plan_explain(const clattn_plan* plan, const clattn_rates* rates, char** text) {
  return guarded([&] {
    require(plan, "plan");
    require(text, "text");
    std::optional<clattn::DeviceRates> measured;
    if (rates) {
      require_struct(rates, "rates", "clattn_rates");
      measured = {rates->flops_per_second, rates->bytes_per_second};
    }
    *text = duplicate(plan->object.explain(measured));
  });
}
