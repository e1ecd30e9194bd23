// Vendor oddities, in one table: which devices, what is wrong, what clattn does about it. Nothing
// else in the library asks for a vendor by name.
#pragma once

#include <clattn/device.hpp>
#include <span>

namespace clattn {

struct Quirk {
  const char* id;
  const char* reason;  // what the device does, and what clattn does instead
  bool (*applies)(const DeviceFacts& facts);
  void (*apply)(DeviceFacts& facts);
};

std::span<const Quirk> quirks();

// Applies every entry that fits to `facts` and lists their ids in facts.quirks. Pure.
void apply_quirks(DeviceFacts& facts);

}  // namespace clattn
