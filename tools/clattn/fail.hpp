// How the tool refuses bad input: one clattn::Error, whose message names the value and the limit.
#pragma once

#include <fmt/format.h>

#include <clattn/error.hpp>
#include <utility>

namespace clattn::tool {

template <typename... Values>
[[noreturn]] void fail(fmt::format_string<Values...> text, Values&&... values) {
  throw Error(ErrorCategory::invalid_argument, fmt::format(text, std::forward<Values>(values)...));
}

}  // namespace clattn::tool
