// How the library refuses what can never work: an Error whose message states the value and the
// limit.
#pragma once

#include <fmt/format.h>

#include <clattn/error.hpp>
#include <utility>

namespace clattn {

template <typename... Values>
[[noreturn]] void invalid(fmt::format_string<Values...> text, Values&&... values) {
  throw Error(ErrorCategory::invalid_argument, fmt::format(text, std::forward<Values>(values)...));
}

}  // namespace clattn
