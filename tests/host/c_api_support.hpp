// What the tests of the C API share: expectations on statuses, and structs ready to be passed.
#pragma once

#include <clattn/clattn.h>
#include <gtest/gtest.h>

#include <string>

namespace clattn::test {

// The status of a call that must fail, held with the part of the message that must be there.
inline void expect_failure(clattn_status status, clattn_status expected, const std::string& part) {
  EXPECT_EQ(status, expected) << clattn_status_name(status) << ": " << clattn_last_error();
  EXPECT_NE(std::string(clattn_last_error()).find(part), std::string::npos)
      << "'" << clattn_last_error() << "' does not say '" << part << "'";
}

inline void expect_invalid(clattn_status status, const std::string& part) {
  expect_failure(status, CLATTN_STATUS_INVALID_ARGUMENT, part);
}

inline void expect_success(clattn_status status) {
  EXPECT_EQ(status, CLATTN_STATUS_SUCCESS) << clattn_last_error();
}

inline std::string take(char* text) {
  const std::string copy = text ? text : "(null)";
  clattn_string_free(text);
  return copy;
}

template <typename Struct>
Struct sized() {
  Struct value{};
  value.struct_size = sizeof value;
  return value;
}

}  // namespace clattn::test
