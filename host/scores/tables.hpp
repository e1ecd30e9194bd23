// What the modifiers with a table of floats share.
#pragma once

#include <clattn/expression.hpp>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace clattn {

// Throws Error (invalid_argument): "{what} 3 is nan, but must be finite".
void require_finite(const char* what, const std::vector<float>& values);

// An OpenCL C pointer to ints, the bits of the values.
std::string float_table(ExpressionWriter& writer, const std::vector<float>& values);

// Arrays in arrays, in C order: [[..], [..]] with one size, that of the inner ones, and so on. The
// size of the outermost follows.
std::string json_arrays(std::span<const float> values, std::span<const std::int64_t> sizes);

}  // namespace clattn
