// What every tensor of the library is held to, whatever it is for: sizes and strides of which no
// product overflows, and no two elements of a written tensor in one place.
#pragma once

#include <clattn/problem.hpp>
#include <cstdint>

namespace clattn {

// Throw Error (invalid_argument) with the name, the value and the limit.
void check_count(const char* name, std::int64_t value, std::int64_t low, std::int64_t high);
void check_data_type(DataType type);
// Strides. The sizes were checked: dim is 1 or more.
void check_strides(const char* name, const TensorShape& shape, bool written);

}  // namespace clattn
