// Engines.
#include "host/c_api/convert.hpp"

namespace clattn::c_api {
namespace {

static_assert(same(LogLevel::info, CLATTN_LOG_LEVEL_INFO) &&
              same(LogLevel::warning, CLATTN_LOG_LEVEL_WARNING));

EngineOptions read_options(const clattn_engine_options* source) {
  EngineOptions options;
  if (!source) return options;
  require_struct(source, "options", "clattn_engine_options");
  if (source->device) options.device = source->device;
  if (source->cache_dir) options.cache_dir = source->cache_dir;
  if (source->log) {
    options.log = [log = source->log, user = source->log_user](LogLevel level,
                                                               const std::string& message) {
      log(static_cast<clattn_log_level>(level), message.c_str(), user);
    };
  }
  options.trace = source->trace;
  if (source->tuning) options.tuning = source->tuning;
  options.default_tuning = !source->without_default_tuning;
  return options;
}

}  // namespace
}  // namespace clattn::c_api

using namespace clattn::c_api;

clattn_status clattn_engine_options_init(clattn_engine_options* options, size_t struct_size) {
  return init(options, struct_size, "options", "clattn_engine_options", {});
}

clattn_status clattn_engine_create(const clattn_engine_options* options, clattn_engine** engine) {
  return create(engine, "engine", [&] { return clattn::Engine(read_options(options)); });
}

clattn_status clattn_engine_create_from_context(cl_context context, cl_device_id device,
                                                const clattn_engine_options* options,
                                                clattn_engine** engine) {
  return create(engine, "engine", [&] {
    require(context, "context");
    require(device, "device");
    return clattn::Engine(context, device, read_options(options));
  });
}

clattn_status clattn_engine_retain(clattn_engine* engine) { return retain(engine, "engine"); }

void clattn_engine_release(clattn_engine* engine) { release(engine); }

clattn_status clattn_engine_get_context(const clattn_engine* engine, cl_context* context) {
  return guarded([&] {
    require(engine, "engine");
    require(context, "context");
    *context = engine->object.context();
  });
}

clattn_status clattn_engine_get_device(const clattn_engine* engine, clattn_device* device) {
  return guarded([&] {
    require(engine, "engine");
    require_struct(device, "device", "clattn_device");
    write_device(engine->object.device(), *device);
  });
}

clattn_status clattn_engine_get_rates(const clattn_engine* engine, clattn_rates* rates) {
  return guarded([&] {
    require(engine, "engine");
    require_struct(rates, "rates", "clattn_rates");
    const clattn::DeviceRates measured = engine->object.rates();
    rates->flops_per_second = measured.flops_per_second;
    rates->bytes_per_second = measured.bytes_per_second;
  });
}

clattn_status clattn_engine_get_tuning(const clattn_engine* engine, char** text) {
  return guarded([&] {
    require(engine, "engine");
    require(text, "text");
    *text = duplicate(engine->object.tuning());
  });
}

clattn_status clattn_engine_write_trace(const clattn_engine* engine, const char* path) {
  return guarded([&] {
    require(engine, "engine");
    require(path, "path");
    engine->object.write_trace(path);
  });
}
