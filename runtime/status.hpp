// OpenCL status codes as exceptions.
#pragma once

#include <CL/cl.h>

#include <string>
#include <string_view>

namespace clattn {

// "CL_INVALID_VALUE (-30)"; the bare number for a code that the 1.2 headers don't name.
std::string status_name(cl_int status);

// Throws Error if `status` is not CL_SUCCESS: out_of_memory for exhausted host or device memory,
// device_failure otherwise. `call` names what failed.
void check(cl_int status, std::string_view call);

}  // namespace clattn
