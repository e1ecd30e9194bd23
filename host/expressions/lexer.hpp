// The words of a user's expression. What could let a text reach out of the parentheses that it is
// put into (braces, semicolons, preprocessor lines, comments, brackets that don't match) ends here,
// whether the host understands the rest or not.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace clattn::expressions {

enum class TokenKind { number, word, sign, end };

struct Token {
  TokenKind kind = TokenKind::end;
  std::string_view text;   // inside the text given to tokenize
  std::size_t offset = 0;  // in that text
};

// Ends with a token of kind `end`. Throws Error (invalid_argument).
std::vector<Token> tokenize(std::string_view text);

// Throws Error (invalid_argument): the message, with line and column of `offset` and the text.
[[noreturn]] void refuse(std::string_view text, std::size_t offset, std::string_view message);

// "line 1, column 7 of the expression "...""
std::string place(std::string_view text, std::size_t offset);

}  // namespace clattn::expressions
