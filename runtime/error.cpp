#include <fmt/format.h>

#include <clattn/error.hpp>

#include "runtime/status.hpp"

namespace clattn {

const char* to_string(ErrorCategory category) {
  switch (category) {
    case ErrorCategory::invalid_argument:
      return "invalid argument";
    case ErrorCategory::unsupported:
      return "unsupported";
    case ErrorCategory::device_limit:
      return "device limit";
    case ErrorCategory::build_failure:
      return "build failure";
    case ErrorCategory::out_of_memory:
      return "out of memory";
    case ErrorCategory::device_failure:
      return "device failure";
  }
  return "unknown";
}

std::string status_name(cl_int status) {
#define CLATTN_STATUS(name) \
  if (status == name) return fmt::format(#name " ({})", status);
  CLATTN_STATUS(CL_DEVICE_NOT_AVAILABLE)
  CLATTN_STATUS(CL_COMPILER_NOT_AVAILABLE)
  CLATTN_STATUS(CL_MEM_OBJECT_ALLOCATION_FAILURE)
  CLATTN_STATUS(CL_OUT_OF_RESOURCES)
  CLATTN_STATUS(CL_OUT_OF_HOST_MEMORY)
  CLATTN_STATUS(CL_PROFILING_INFO_NOT_AVAILABLE)
  CLATTN_STATUS(CL_BUILD_PROGRAM_FAILURE)
  CLATTN_STATUS(CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST)
  CLATTN_STATUS(CL_INVALID_VALUE)
  CLATTN_STATUS(CL_INVALID_DEVICE)
  CLATTN_STATUS(CL_INVALID_CONTEXT)
  CLATTN_STATUS(CL_INVALID_COMMAND_QUEUE)
  CLATTN_STATUS(CL_INVALID_MEM_OBJECT)
  CLATTN_STATUS(CL_INVALID_BINARY)
  CLATTN_STATUS(CL_INVALID_BUILD_OPTIONS)
  CLATTN_STATUS(CL_INVALID_PROGRAM)
  CLATTN_STATUS(CL_INVALID_PROGRAM_EXECUTABLE)
  CLATTN_STATUS(CL_INVALID_KERNEL_NAME)
  CLATTN_STATUS(CL_INVALID_ARG_VALUE)
  CLATTN_STATUS(CL_INVALID_ARG_SIZE)
  CLATTN_STATUS(CL_INVALID_KERNEL_ARGS)
  CLATTN_STATUS(CL_INVALID_WORK_GROUP_SIZE)
  CLATTN_STATUS(CL_INVALID_WORK_ITEM_SIZE)
  CLATTN_STATUS(CL_INVALID_EVENT_WAIT_LIST)
  CLATTN_STATUS(CL_INVALID_EVENT)
  CLATTN_STATUS(CL_INVALID_BUFFER_SIZE)
#undef CLATTN_STATUS
  return std::to_string(status);
}

void check(cl_int status, std::string_view call) {
  if (status == CL_SUCCESS) return;
  const bool memory = status == CL_MEM_OBJECT_ALLOCATION_FAILURE ||
                      status == CL_OUT_OF_HOST_MEMORY || status == CL_OUT_OF_RESOURCES;
  throw Error(memory ? ErrorCategory::out_of_memory : ErrorCategory::device_failure,
              fmt::format("{} failed with {}", call, status_name(status)));
}

}  // namespace clattn
