// clattn info: the OpenCL devices, what each can do, which kernel families it takes and why not the
// others. What only running programs tells, an engine finds out; on other devices none is made.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <clattn/device.hpp>
#include <clattn/engine.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "command.hpp"

namespace clattn::tool {
namespace {

struct Options {
  std::string device;
  bool json = false;
};

nlohmann::ordered_json to_json(const DeviceFacts& facts) {
  nlohmann::ordered_json instruction_sets = nlohmann::ordered_json::object(), families;
  for (const auto& [name, why_not] : facts.instruction_sets) {
    instruction_sets[name] = {{"usable", why_not.empty()}, {"why_not", why_not}};
  }
  for (const std::string& family : family_names()) {
    const std::string rejection = family_rejection(family, facts);
    families[family] = {{"taken", rejection.empty()}, {"why_not", rejection}};
  }
  return {{"name", facts.name},
          {"vendor", facts.vendor},
          {"platform", facts.platform},
          {"platform_version", facts.platform_version},
          {"device_version", facts.device_version},
          {"driver_version", facts.driver_version},
          {"kind", to_string(facts.kind)},
          {"compute_units", facts.compute_units},
          {"max_clock_mhz", facts.max_clock_mhz},
          {"max_work_group_size", facts.max_work_group_size},
          {"max_work_item_size", facts.max_work_item_size},
          {"local_memory_reported", facts.local_memory_reported},
          {"local_memory_bytes", facts.local_memory_bytes},
          {"global_memory_bytes", facts.global_memory_bytes},
          {"max_allocation_bytes", facts.max_allocation_bytes},
          {"native_float_width", facts.native_float_width},
          {"preferred_float_width", facts.preferred_float_width},
          {"half_arithmetic", facts.half_arithmetic},
          {"subgroups", facts.subgroups},
          {"compiler", facts.compiler},
          {"unified_memory", facts.unified_memory},
          {"compute_capability", facts.compute_capability},
          {"instruction_sets", instruction_sets},
          {"quirks", facts.quirks},
          {"families", families}};
}

void print_line(const char* name, const std::string& value) {
  fmt::print("    {:<20}{}\n", name, value);
}

void print_device(std::size_t index, const DeviceFacts& facts, bool is_default) {
  constexpr double kGibibyte = 1 << 30;
  const auto yes_no = [](bool value) { return value ? "yes" : "no"; };
  fmt::print("[{}] {}{}\n", index, facts.name, is_default ? "  (default)" : "");
  print_line("kind", fmt::format("{}, vendor {}", to_string(facts.kind), facts.vendor));
  print_line("platform", fmt::format("{}, {}", facts.platform, facts.platform_version));
  print_line("device version", facts.device_version);
  print_line("driver", facts.driver_version);
  print_line("compute units",
             fmt::format("{} at up to {} MHz", facts.compute_units, facts.max_clock_mhz));
  print_line("work-group", fmt::format("up to {} work-items, {} along the first dimension",
                                       facts.max_work_group_size, facts.max_work_item_size));
  print_line("local memory", fmt::format("{} bytes usable, {} reported", facts.local_memory_bytes,
                                         facts.local_memory_reported));
  print_line("global memory",
             fmt::format("{:.1f} GiB, {:.1f} GiB in one buffer{}",
                         static_cast<double>(facts.global_memory_bytes) / kGibibyte,
                         static_cast<double>(facts.max_allocation_bytes) / kGibibyte,
                         facts.unified_memory ? ", unified with the host's" : ""));
  print_line("float vectors", fmt::format("{} wide, {} preferred", facts.native_float_width,
                                          facts.preferred_float_width));
  print_line("f16 arithmetic", yes_no(facts.half_arithmetic));
  print_line("subgroups", yes_no(facts.subgroups));
  if (facts.compute_capability > 0) {
    print_line("compute capability",
               fmt::format("{}.{}", facts.compute_capability / 10, facts.compute_capability % 10));
  }
  for (const auto& [name, why_not] : facts.instruction_sets) {
    print_line(("instructions " + name).c_str(), why_not.empty() ? "yes" : "no: " + why_not);
  }
  if (!facts.compiler) print_line("compiler", "none");
  print_line("quirks",
             facts.quirks.empty() ? "none" : fmt::format("{}", fmt::join(facts.quirks, ", ")));
  for (const std::string& family : family_names()) {
    const std::string rejection = family_rejection(family, facts);
    print_line(("family " + family).c_str(), rejection.empty() ? "yes" : "no: " + rejection);
  }
}

// The facts, complete where only an engine has them so. A device that makes no engine (its memory
// may be full) is listed all the same.
DeviceFacts complete_facts(const Device& device, std::size_t index) {
  if (device.facts.compute_capability == 0) return device.facts;
  try {
    EngineOptions options;
    options.device = std::to_string(index);
    return Engine(options).device().facts;
  } catch (const Error& error) {
    fmt::print(stderr, "clattn: the instructions of device {} were not tried: {}\n", index,
               error.what());
    return device.facts;
  }
}

int info(const Options& options) {
  const std::vector<Device> devices = list_devices();
  const Device* const best = &select_device(devices, "");
  const Device* const chosen =
      options.device.empty() ? nullptr : &select_device(devices, options.device);
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (std::size_t i = 0; i < devices.size(); ++i) {
    const Device& device = devices[i];
    if (chosen && chosen != &device) continue;
    const DeviceFacts facts = complete_facts(device, i);
    if (!options.json) {
      print_device(i, facts, best == &device);
      continue;
    }
    nlohmann::ordered_json entry = {{"index", i}, {"default", best == &device}};
    entry.update(to_json(facts));
    list.push_back(entry);
  }
  if (options.json) fmt::print("{}\n", nlohmann::ordered_json{{"devices", list}}.dump(2));
  return kSuccess;
}

}  // namespace

Command add_info(CLI::App& parent) {
  CLI::App* const app = parent.add_subcommand("info", "Devices and what each can do");
  app->footer("Example: clattn info --device gpu");
  const auto options = std::make_shared<Options>();
  add_device_option(*app, options->device);
  add_json_option(*app, options->json);
  return {app, [options] { return info(*options); }};
}

}  // namespace clattn::tool
