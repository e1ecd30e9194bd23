#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <clattn/device.hpp>
#include <clattn/error.hpp>
#include <tuple>

#include "runtime/quirks.hpp"
#include "runtime/status.hpp"

namespace clattn {
namespace {

// Of cl_nv_device_attribute_query and cl_khr_icd, whose headers need not be installed.
constexpr cl_device_info kComputeCapabilityMajor = 0x4000;
constexpr cl_device_info kComputeCapabilityMinor = 0x4001;
constexpr cl_int kPlatformNotFound = -1001;

std::string trimmed(std::string text) {
  while (!text.empty() && (text.back() == '\0' || text.back() == ' ')) text.pop_back();
  text.erase(0, std::min(text.find_first_not_of(' '), text.size()));
  return text;
}

template <typename Object, typename Query>
std::string string_info(Object object, Query query, cl_uint name) {
  std::size_t size = 0;
  check(query(object, name, 0, nullptr, &size), "reading the length of a device description");
  std::string text(size, '\0');
  check(query(object, name, size, text.data(), nullptr), "reading a device description");
  return trimmed(text);
}

template <typename Value>
Value info(cl_device_id id, cl_device_info name) {
  Value value{};
  check(clGetDeviceInfo(id, name, sizeof value, &value, nullptr), "clGetDeviceInfo");
  return value;
}

DeviceKind kind_of(cl_device_type type) {
  if (type & CL_DEVICE_TYPE_CPU) return DeviceKind::cpu;
  if (type & CL_DEVICE_TYPE_GPU) return DeviceKind::gpu;
  if (type & CL_DEVICE_TYPE_ACCELERATOR) return DeviceKind::accelerator;
  return DeviceKind::other;
}

std::string lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(),
                 [](unsigned char letter) { return std::tolower(letter); });
  return result;
}

}  // namespace

const char* to_string(DeviceKind kind) {
  switch (kind) {
    case DeviceKind::cpu:
      return "cpu";
    case DeviceKind::gpu:
      return "gpu";
    case DeviceKind::accelerator:
      return "accelerator";
    case DeviceKind::other:
      return "other";
  }
  return "other";
}

Device describe_device(cl_device_id id) {
  Device device;
  device.id = id;
  device.platform = info<cl_platform_id>(id, CL_DEVICE_PLATFORM);
  DeviceFacts& facts = device.facts;
  facts.name = string_info(id, clGetDeviceInfo, CL_DEVICE_NAME);
  facts.vendor = string_info(id, clGetDeviceInfo, CL_DEVICE_VENDOR);
  facts.device_version = string_info(id, clGetDeviceInfo, CL_DEVICE_VERSION);
  facts.driver_version = string_info(id, clGetDeviceInfo, CL_DRIVER_VERSION);
  facts.platform = string_info(device.platform, clGetPlatformInfo, CL_PLATFORM_NAME);
  facts.platform_version = string_info(device.platform, clGetPlatformInfo, CL_PLATFORM_VERSION);
  facts.kind = kind_of(info<cl_device_type>(id, CL_DEVICE_TYPE));
  facts.compute_units = info<cl_uint>(id, CL_DEVICE_MAX_COMPUTE_UNITS);
  facts.max_clock_mhz = info<cl_uint>(id, CL_DEVICE_MAX_CLOCK_FREQUENCY);
  facts.max_work_group_size = info<std::size_t>(id, CL_DEVICE_MAX_WORK_GROUP_SIZE);
  const auto dimensions = info<cl_uint>(id, CL_DEVICE_MAX_WORK_ITEM_DIMENSIONS);
  std::vector<std::size_t> sizes(dimensions);
  check(clGetDeviceInfo(id, CL_DEVICE_MAX_WORK_ITEM_SIZES, sizes.size() * sizeof sizes[0],
                        sizes.data(), nullptr),
        "clGetDeviceInfo");
  facts.max_work_item_size = sizes.empty() ? 1 : sizes.front();
  facts.local_memory_reported = info<cl_ulong>(id, CL_DEVICE_LOCAL_MEM_SIZE);
  facts.local_memory_bytes = facts.local_memory_reported;
  facts.global_memory_bytes = info<cl_ulong>(id, CL_DEVICE_GLOBAL_MEM_SIZE);
  facts.max_allocation_bytes = info<cl_ulong>(id, CL_DEVICE_MAX_MEM_ALLOC_SIZE);
  facts.native_float_width = info<cl_uint>(id, CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT);
  facts.preferred_float_width = info<cl_uint>(id, CL_DEVICE_PREFERRED_VECTOR_WIDTH_FLOAT);
  facts.compiler = info<cl_bool>(id, CL_DEVICE_COMPILER_AVAILABLE);
  facts.unified_memory = info<cl_bool>(id, CL_DEVICE_HOST_UNIFIED_MEMORY);
  const std::string extensions = " " + string_info(id, clGetDeviceInfo, CL_DEVICE_EXTENSIONS) + " ";
  const auto has = [&](std::string_view name) {
    return extensions.find(fmt::format(" {} ", name)) != std::string::npos;
  };
  facts.half_arithmetic = has("cl_khr_fp16");
  facts.subgroups = has("cl_khr_subgroups") || has("cl_intel_subgroups");
  if (has("cl_nv_device_attribute_query")) {
    facts.compute_capability = 10 * info<cl_uint>(id, kComputeCapabilityMajor) +
                               info<cl_uint>(id, kComputeCapabilityMinor);
  }
  apply_quirks(facts);
  return device;
}

std::vector<Device> list_devices() {
  cl_uint platform_count = 0;
  const cl_int status = clGetPlatformIDs(0, nullptr, &platform_count);
  if (status == kPlatformNotFound || (status == CL_SUCCESS && platform_count == 0)) {
    throw Error(ErrorCategory::unsupported,
                "no OpenCL platform is installed; on Debian and Ubuntu the package "
                "pocl-opencl-icd makes the CPU one");
  }
  check(status, "clGetPlatformIDs");
  std::vector<cl_platform_id> platforms(platform_count);
  check(clGetPlatformIDs(platform_count, platforms.data(), nullptr), "clGetPlatformIDs");
  std::vector<Device> devices;
  for (cl_platform_id platform : platforms) {
    cl_uint count = 0;
    const cl_int found = clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 0, nullptr, &count);
    if (found == CL_DEVICE_NOT_FOUND) continue;
    check(found, "clGetDeviceIDs");
    std::vector<cl_device_id> ids(count);
    check(clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, count, ids.data(), nullptr),
          "clGetDeviceIDs");
    for (cl_device_id id : ids) devices.push_back(describe_device(id));
  }
  if (devices.empty()) {
    throw Error(
        ErrorCategory::unsupported,
        fmt::format("{} OpenCL platform(s) are installed, but none has a device", platform_count));
  }
  return devices;
}

const Device& select_device(const std::vector<Device>& devices, std::string_view selector) {
  const std::string wanted = lower(selector);
  const auto rank = [&](const Device& device) {
    const int kind = device.facts.kind == DeviceKind::gpu           ? 2
                     : device.facts.kind == DeviceKind::accelerator ? 1
                                                                    : 0;
    return std::tuple(device.facts.compiler, kind, device.facts.compute_units);
  };
  std::size_t index = 0;
  const auto [end, error] = std::from_chars(wanted.data(), wanted.data() + wanted.size(), index);
  if (error == std::errc() && end == wanted.data() + wanted.size() && index < devices.size()) {
    return devices[index];
  }
  // The name of a kind never means a device that only has it in its name.
  const bool by_kind = wanted == to_string(DeviceKind::cpu) ||
                       wanted == to_string(DeviceKind::gpu) ||
                       wanted == to_string(DeviceKind::accelerator);
  const Device* best = nullptr;
  for (const Device& device : devices) {
    const std::string label = lower(device.facts.platform + " / " + device.facts.name);
    const bool matches =
        by_kind ? wanted == to_string(device.facts.kind) : label.find(wanted) != std::string::npos;
    if (matches && (!best || rank(device) > rank(*best))) best = &device;
  }
  if (best) return *best;
  std::string list;
  for (std::size_t i = 0; i < devices.size(); ++i) {
    const DeviceFacts& facts = devices[i].facts;
    list +=
        fmt::format("\n  {}: {} / {} ({})", i, facts.platform, facts.name, to_string(facts.kind));
  }
  throw Error(ErrorCategory::invalid_argument,
              fmt::format("no OpenCL device matches '{}'; there are:{}", selector, list));
}

}  // namespace clattn
