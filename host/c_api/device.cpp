// Devices and their facts, and the kernel families that take them.
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <sstream>

#include "host/c_api/convert.hpp"

namespace clattn::c_api {
namespace {

static_assert(same(DeviceKind::cpu, CLATTN_DEVICE_KIND_CPU) &&
              same(DeviceKind::gpu, CLATTN_DEVICE_KIND_GPU) &&
              same(DeviceKind::accelerator, CLATTN_DEVICE_KIND_ACCELERATOR) &&
              same(DeviceKind::other, CLATTN_DEVICE_KIND_OTHER));

template <std::size_t size>
void copy_cut(char (&target)[size], const std::string& text) {
  const std::size_t length = std::min(text.size(), size - 1);
  std::memcpy(target, text.data(), length);
  target[length] = '\0';
}

template <std::size_t size>
std::string read_text(const char (&text)[size]) {
  return std::string(text, std::find(text, text + size, '\0'));
}

constexpr const char* kUsable = "yes";

std::string write_instruction_sets(const DeviceFacts& facts) {
  std::string text;
  for (const auto& [name, why_not] : facts.instruction_sets) {
    text += fmt::format("{}{}: {}", text.empty() ? "" : "\n", name,
                        why_not.empty() ? kUsable : why_not);
  }
  return text;
}

// Of a line that was cut, what is left is the reason.
std::map<std::string, std::string> read_instruction_sets(const std::string& text) {
  std::map<std::string, std::string> result;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t colon = std::min(line.find(": "), line.size());
    const std::string outcome = line.substr(std::min(colon + 2, line.size()));
    if (!outcome.empty()) result[line.substr(0, colon)] = outcome == kUsable ? "" : outcome;
  }
  return result;
}

}  // namespace

void write_device(const Device& source, clattn_device& target) {
  const DeviceFacts& facts = source.facts;
  // What may throw stands first: a failed call changes nothing.
  const std::string instruction_sets = write_instruction_sets(facts);
  copy_cut(target.quirks, fmt::format("{}", fmt::join(facts.quirks, ",")));
  copy_cut(target.instruction_sets, instruction_sets);
  target.platform = source.platform;
  target.id = source.id;
  copy_cut(target.name, facts.name);
  copy_cut(target.vendor, facts.vendor);
  copy_cut(target.platform_name, facts.platform);
  copy_cut(target.platform_version, facts.platform_version);
  copy_cut(target.device_version, facts.device_version);
  copy_cut(target.driver_version, facts.driver_version);
  target.compute_units = facts.compute_units;
  target.max_clock_mhz = facts.max_clock_mhz;
  target.max_work_group_size = facts.max_work_group_size;
  target.max_work_item_size = facts.max_work_item_size;
  target.local_memory_reported = facts.local_memory_reported;
  target.local_memory_bytes = facts.local_memory_bytes;
  target.global_memory_bytes = facts.global_memory_bytes;
  target.max_allocation_bytes = facts.max_allocation_bytes;
  target.kind = static_cast<std::int32_t>(facts.kind);
  target.native_float_width = facts.native_float_width;
  target.preferred_float_width = facts.preferred_float_width;
  target.compute_capability = facts.compute_capability;
  target.half_arithmetic = facts.half_arithmetic;
  target.subgroups = facts.subgroups;
  target.compiler = facts.compiler;
  target.unified_memory = facts.unified_memory;
}

DeviceFacts read_facts(const clattn_device& source) {
  DeviceFacts facts;
  facts.name = read_text(source.name);
  facts.vendor = read_text(source.vendor);
  facts.platform = read_text(source.platform_name);
  facts.platform_version = read_text(source.platform_version);
  facts.device_version = read_text(source.device_version);
  facts.driver_version = read_text(source.driver_version);
  const std::string quirks = read_text(source.quirks);
  for (std::size_t begin = 0; begin < quirks.size();) {
    const std::size_t end = std::min(quirks.find(',', begin), quirks.size());
    facts.quirks.push_back(quirks.substr(begin, end - begin));
    begin = end + 1;
  }
  facts.instruction_sets = read_instruction_sets(read_text(source.instruction_sets));
  facts.compute_units = source.compute_units;
  facts.max_clock_mhz = source.max_clock_mhz;
  facts.max_work_group_size = source.max_work_group_size;
  facts.max_work_item_size = source.max_work_item_size;
  facts.local_memory_reported = source.local_memory_reported;
  facts.local_memory_bytes = source.local_memory_bytes;
  facts.global_memory_bytes = source.global_memory_bytes;
  facts.max_allocation_bytes = source.max_allocation_bytes;
  facts.kind = to_enum(source.kind, DeviceKind::other, "device kind");
  facts.native_float_width = source.native_float_width;
  facts.preferred_float_width = source.preferred_float_width;
  facts.compute_capability = source.compute_capability;
  facts.half_arithmetic = source.half_arithmetic;
  facts.subgroups = source.subgroups;
  facts.compiler = source.compiler;
  facts.unified_memory = source.unified_memory;
  return facts;
}

}  // namespace clattn::c_api

using namespace clattn::c_api;
using clattn::invalid;

const char* clattn_device_kind_name(int32_t kind) {
  if (kind < CLATTN_DEVICE_KIND_CPU || kind > CLATTN_DEVICE_KIND_OTHER) {
    return "unknown device kind";
  }
  return clattn::to_string(static_cast<clattn::DeviceKind>(kind));
}

clattn_status clattn_device_get_count(size_t* count) {
  return guarded([&] {
    require(count, "count");
    *count = clattn::list_devices().size();
  });
}

clattn_status clattn_device_get(size_t index, clattn_device* device) {
  return guarded([&] {
    require_struct(device, "device", "clattn_device");
    const std::vector<clattn::Device> devices = clattn::list_devices();
    if (index >= devices.size()) {
      invalid("device index {} is not below the number of devices, {}", index, devices.size());
    }
    write_device(devices[index], *device);
  });
}

clattn_status clattn_device_select(const char* selector, clattn_device* device) {
  return guarded([&] {
    require_struct(device, "device", "clattn_device");
    const std::vector<clattn::Device> devices = clattn::list_devices();
    write_device(clattn::select_device(devices, selector ? selector : ""), *device);
  });
}

clattn_status clattn_device_describe(cl_device_id id, clattn_device* device) {
  return guarded([&] {
    require(id, "id");
    require_struct(device, "device", "clattn_device");
    write_device(clattn::describe_device(id), *device);
  });
}

clattn_status clattn_family_get_count(size_t* count) {
  return guarded([&] {
    require(count, "count");
    *count = clattn::family_names().size();
  });
}

clattn_status clattn_family_get_name(size_t index, char** name) {
  return guarded([&] {
    require(name, "name");
    const std::vector<std::string> names = clattn::family_names();
    if (index >= names.size()) {
      invalid("family index {} is not below the number of families, {}", index, names.size());
    }
    *name = duplicate(names[index]);
  });
}

clattn_status clattn_family_get_rejection(const char* family, const clattn_device* device,
                                          char** reason) {
  return guarded([&] {
    require(family, "family");
    require_struct(device, "device", "clattn_device");
    require(reason, "reason");
    *reason = duplicate(clattn::family_rejection(family, read_facts(*device)));
  });
}
