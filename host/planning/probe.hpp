// Instructions beyond OpenCL C, on a device that should have them: small kernels that are made of
// nothing else run once, and their results are compared with exact ones. Whether a driver takes the
// inline assembly, and the patch that some of it needs, is not said by any device query.
#pragma once

#include <clattn/device.hpp>
#include <clattn/handle.hpp>
#include <clattn/log.hpp>
#include <map>
#include <string>

#include "runtime/program.hpp"

namespace clattn {

// As DeviceFacts::instruction_sets. "mma" is tried from compute capability 8.0 on, "wgmma" on 9.0.
// Builds programs and waits for the device. Does not throw: what fails is a reason, of one line,
// and the whole of it goes to `log` (which may be empty) as a warning.
std::map<std::string, std::string> probe_instruction_sets(const Context& context,
                                                          const Device& device,
                                                          ProgramStore& programs,
                                                          const LogCallback& log);

}  // namespace clattn
