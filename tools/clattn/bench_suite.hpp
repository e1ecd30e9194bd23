// The built-in suites of 'clattn bench': standard shapes, at the lengths that publications give
// them. On a device too slow or too small for that, lengths are halved until one run is bounded by
// half a second and the tensors by a sixteenth of the device's memory.
#pragma once

#include <clattn/engine.hpp>
#include <string>
#include <vector>

namespace clattn::tool {

// "dense"; throws Error (invalid_argument) for another name.
std::vector<Problem> bench_suite(const std::string& name, DataType type, const DeviceFacts& facts,
                                 const DeviceRates& rates);

}  // namespace clattn::tool
