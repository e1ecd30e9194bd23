// Measures what a device really reaches, so that a bound means something: a chain of multiply-adds
// for arithmetic and a large copy for memory.
#pragma once

#include <clattn/device.hpp>
#include <clattn/handle.hpp>

#include "runtime/program.hpp"

namespace clattn {

// Takes some tenths of a second. Throws Error.
DeviceRates measure_rates(const Context& context, const Device& device, ProgramStore& programs);

}  // namespace clattn
