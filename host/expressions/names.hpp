// The names that users give to the buffers and scalars of an expression, and the words that OpenCL
// C and the library keep for themselves.
#pragma once

#include <clattn/expression.hpp>
#include <string_view>

namespace clattn::expressions {

enum class Word { free, type, constant, keyword, function, reserved };

// What a word means in OpenCL C, as far as expressions meet it: a type (or qualifier), a constant,
// a keyword of statements, a built-in function; reserved: a name of the library.
Word classify_word(std::string_view word);

// Throws Error (invalid_argument) unless names and contents are as expression.hpp says.
void validate(const Expression& expression);

// Throws Error (invalid_argument) where a buffer's values are not as many as its count says.
void validate(const Buffer& buffer);

}  // namespace clattn::expressions
