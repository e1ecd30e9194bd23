// Statuses, the last error of each thread, and the version.
#include <new>
#include <stdexcept>
#include <string>

#include "host/c_api/shared.hpp"

namespace clattn::c_api {
namespace {

// The message of the last failure. `message` points into `text`, or to static text where even that
// could not be allocated.
struct LastError {
  std::string text;
  const char* message = "";
};
thread_local LastError last_error;

clattn_status keep(clattn_status status, const char* message) noexcept {
  try {
    last_error.text = message;
    last_error.message = last_error.text.c_str();
  } catch (...) {
    last_error.message = "host memory ran out, also for the message of the error";
  }
  return status;
}

clattn_status status_of(ErrorCategory category) {
  switch (category) {
    case ErrorCategory::invalid_argument:
      return CLATTN_STATUS_INVALID_ARGUMENT;
    case ErrorCategory::unsupported:
      return CLATTN_STATUS_UNSUPPORTED;
    case ErrorCategory::device_limit:
      return CLATTN_STATUS_DEVICE_LIMIT;
    case ErrorCategory::build_failure:
      return CLATTN_STATUS_BUILD_FAILURE;
    case ErrorCategory::out_of_memory:
      return CLATTN_STATUS_OUT_OF_MEMORY;
    case ErrorCategory::device_failure:
      return CLATTN_STATUS_DEVICE_FAILURE;
  }
  return CLATTN_STATUS_INTERNAL_ERROR;
}

}  // namespace

clattn_status fail() noexcept {
  try {
    throw;
  } catch (const Error& error) {
    return keep(status_of(error.category()), error.what());
  } catch (const std::bad_alloc&) {
    return keep(CLATTN_STATUS_OUT_OF_MEMORY, "host memory ran out");
  } catch (const std::length_error&) {  // a container beyond its max_size
    return keep(CLATTN_STATUS_OUT_OF_MEMORY, "host memory cannot hold that much");
  } catch (const std::exception& error) {
    return keep(CLATTN_STATUS_INTERNAL_ERROR, error.what());
  } catch (...) {
    return keep(CLATTN_STATUS_INTERNAL_ERROR, "unknown exception");
  }
}

}  // namespace clattn::c_api

const char* clattn_status_name(int32_t status) {
  switch (status) {
    case CLATTN_STATUS_SUCCESS:
      return "success";
    case CLATTN_STATUS_INVALID_ARGUMENT:
      return "invalid argument";
    case CLATTN_STATUS_UNSUPPORTED:
      return "unsupported";
    case CLATTN_STATUS_DEVICE_LIMIT:
      return "device limit";
    case CLATTN_STATUS_BUILD_FAILURE:
      return "build failure";
    case CLATTN_STATUS_OUT_OF_MEMORY:
      return "out of memory";
    case CLATTN_STATUS_DEVICE_FAILURE:
      return "device failure";
    case CLATTN_STATUS_INTERNAL_ERROR:
      return "internal error";
    default:
      return "unknown status";
  }
}

const char* clattn_last_error(void) { return clattn::c_api::last_error.message; }

void clattn_version(int32_t* major, int32_t* minor, int32_t* patch) {
  if (major) *major = CLATTN_VERSION_MAJOR;
  if (minor) *minor = CLATTN_VERSION_MINOR;
  if (patch) *patch = CLATTN_VERSION_PATCH;
}

const char* clattn_version_string(void) { return CLATTN_VERSION_STRING; }

void clattn_string_free(char* text) { std::free(text); }
