// What can be tuned of a kernel: its parameters, which are macros of it, and configurations, which
// give each of them a value. In texts and maps a parameter has its macro's name in lower case.
#pragma once

#include <clattn/export.h>

#include <clattn/device.hpp>
#include <clattn/engine.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace clattn {

struct Parameter {
  std::string name;
  std::vector<std::int64_t> values;  // rising
};

// A constraint that a configuration breaks.
struct Violation {
  std::string constraint;  // its name: "work-group", "local memory", "registers", ...
  std::string reason;      // the value and the limit
};

// Macros in a fixed order.
using Defines = std::vector<std::pair<std::string, std::int64_t>>;

// A configuration all of whose macros are parameters.
KernelConfig config_of(const Defines& defines);

// "query_tile=128,key_tile=64" and back. Throws Error (invalid_argument) that names the piece which
// is no parameter's value, or the parameter that is there twice.
CLATTN_API KernelConfig parse_config(std::string_view text);
CLATTN_API std::string to_string(const KernelConfig& config);

// Throws Error (invalid_argument) unless `config` has a value for each parameter, and no other.
void check_names(const KernelConfig& config, const std::vector<Parameter>& parameters,
                 const std::string& family);

// Of a work-group: whether the device takes so many work-items, and bytes of local memory.
std::optional<Violation> device_violation(std::int64_t work_items, std::int64_t local_memory,
                                          const DeviceFacts& facts);

// Whether values lie in [1, most]: what else a family asks of them then can't overflow.
std::optional<Violation> range_violation(const KernelConfig& config, std::int64_t most);

}  // namespace clattn
