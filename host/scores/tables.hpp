// What the modifiers with a table of floats share.
#pragma once

#include <clattn/expression.hpp>
#include <string>
#include <vector>

namespace clattn {

// Throws Error (invalid_argument): "{what} 3 is nan, but must be finite".
void require_finite(const char* what, const std::vector<float>& values);

// An OpenCL C pointer to ints, the bits of the values.
std::string float_table(ExpressionWriter& writer, const std::vector<float>& values);

// [[..], [..]] in rows of `columns`.
std::string json_rows(const std::vector<float>& values, std::size_t columns);

}  // namespace clattn
