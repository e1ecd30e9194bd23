// OpenCL devices of all platforms and what clattn needs to know of them. Facts are plain data, so
// that planning can be tested without a device.
#pragma once

#include <CL/cl.h>
#include <clattn/export.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace clattn {

enum class DeviceKind { cpu, gpu, accelerator, other };

CLATTN_API const char* to_string(DeviceKind kind);

struct DeviceFacts {
  std::string name;
  std::string vendor;
  std::string platform;          // platform name
  std::string platform_version;  // as the platform says it, "OpenCL 3.0 ..."
  std::string device_version;
  std::string driver_version;
  DeviceKind kind = DeviceKind::other;
  std::int64_t compute_units = 1;
  std::int64_t max_clock_mhz = 0;
  std::int64_t max_work_group_size = 1;    // work-items
  std::int64_t max_work_item_size = 1;     // work-items along the first dimension
  std::int64_t local_memory_reported = 0;  // bytes, as the device says
  std::int64_t local_memory_bytes = 0;     // bytes that kernels can really use (runtime/quirks)
  std::int64_t global_memory_bytes = 0;
  std::int64_t max_allocation_bytes = 0;
  int native_float_width = 1;  // floats in one vector register
  int preferred_float_width = 1;
  bool half_arithmetic = false;  // cl_khr_fp16; f16 storage needs no extension
  bool subgroups = false;        // cl_khr_subgroups or cl_intel_subgroups
  bool compiler = true;          // CL_DEVICE_COMPILER_AVAILABLE
  bool unified_memory = false;
  int compute_capability = 0;  // NVIDIA: 10 * major + minor, else 0
  // Instructions beyond OpenCL C that a probe tried when an engine was made, "mma" and "wgmma" of
  // NVIDIA: empty where results were right, else why they can't be used; absent: not tried.
  std::map<std::string, std::string> instruction_sets;
  std::vector<std::string> quirks;  // ids of the entries of runtime/quirks that apply
};

struct Device {
  cl_platform_id platform = nullptr;
  cl_device_id id = nullptr;
  DeviceFacts facts;
};

// Rates that small kernels reached on the device, for bounds.
struct DeviceRates {
  double flops_per_second = 0;  // f32 multiply-add, two operations each
  double bytes_per_second = 0;  // copy, bytes read plus bytes written
};

// Every device of every platform, in the loader's order. Throws Error (unsupported) where there is
// no OpenCL platform or no device at all. Thread-safe.
CLATTN_API std::vector<Device> list_devices();

// The facts of one device. Throws Error (device_failure). Thread-safe.
CLATTN_API Device describe_device(cl_device_id id);

// Picks from `devices` (which must not be empty). The selector is empty (the best device: GPU
// before accelerator before CPU, then more compute units; without a compiler last), a kind ("gpu",
// "cpu", "accelerator"), an index into `devices`, or a part of "platform / name", without regard to
// case. Throws Error (invalid_argument) that lists the devices when nothing matches.
CLATTN_API const Device& select_device(const std::vector<Device>& devices,
                                       std::string_view selector);

}  // namespace clattn
