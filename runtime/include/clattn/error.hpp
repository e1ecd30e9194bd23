// The one exception class of clattn. Every failure is an Error with a category and a message that
// states the offending value and the limit it broke; the C API turns it into a status and a
// message.
#pragma once

#include <clattn/export.h>

#include <stdexcept>
#include <string>

namespace clattn {

enum class ErrorCategory {
  invalid_argument,  // the caller passed something that can never work
  unsupported,       // legal, but no kernel family or device here takes it
  device_limit,      // the device is too small for it
  build_failure,     // the OpenCL compiler refused a kernel; the message holds its whole log
  out_of_memory,     // host or device memory ran out
  device_failure,    // an OpenCL call failed; the message names the call and the code
};

CLATTN_API const char* to_string(ErrorCategory category);

class CLATTN_API Error : public std::runtime_error {
 public:
  Error(ErrorCategory category, const std::string& message)
      : std::runtime_error(message), category_(category) {}
  ErrorCategory category() const noexcept { return category_; }

 private:
  ErrorCategory category_;
};

}  // namespace clattn
