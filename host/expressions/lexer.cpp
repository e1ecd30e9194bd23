#include "host/expressions/lexer.hpp"

#include <algorithm>
#include <cctype>

#include "host/invalid.hpp"

namespace clattn::expressions {
namespace {

constexpr std::size_t kMaxNesting = 128;  // the parser calls itself at each level

// Longer ones first.
constexpr std::string_view kSigns[] = {
    "<<=", ">>=", "//", "/*", "->", "++", "--", "<<", ">>", "<=", ">=", "==", "!=",
    "&&",  "||",  "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "+",  "-",  "*",
    "/",   "%",   "<",  ">",  "=",  "!",  "~",  "&",  "^",  "|",  "?",  ":",  ",",
    "(",   ")",   "[",  "]",  ".",  "{",  "}",  ";",  "#",  "\"", "'",  "\\"};

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_word_begin(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

// C's preprocessing number: what begins like a number and is not separated.
std::size_t number_size(std::string_view text) {
  std::size_t size = 0;
  while (size < text.size()) {
    const char c = text[size];
    const bool sign_of_exponent =
        (c == '+' || c == '-') && std::string_view("eEpP").find(text[size - 1]) != text.npos &&
        (text.starts_with("0x") || text.starts_with("0X")
             ? std::tolower(static_cast<unsigned char>(text[size - 1])) == 'p'
             : true);
    if (!is_digit(c) && !is_word_begin(c) && c != '.' && !sign_of_exponent) break;
    ++size;
  }
  return size;
}

void check_sign(std::string_view text, const Token& token) {
  const std::string_view sign = token.text;
  if (sign == "//" || sign == "/*") refuse(text, token.offset, "a comment can't be part of it");
  if (sign == "{" || sign == "}" || sign == ";" || sign == "#" || sign == "\"" || sign == "'" ||
      sign == "\\") {
    refuse(text, token.offset, fmt::format("'{}' can't be part of it", sign));
  }
  const bool compares = sign == "==" || sign == "!=" || sign == "<=" || sign == ">=";
  if (sign == "++" || sign == "--" || (sign.back() == '=' && !compares)) {
    refuse(text, token.offset, fmt::format("\"{}\" assigns; an expression only computes", sign));
  }
}

void check_brackets(std::string_view text, const std::vector<Token>& tokens) {
  std::vector<Token> open;
  for (const Token& token : tokens) {
    if (token.text == "(" || token.text == "[") {
      if (open.size() == kMaxNesting) {
        refuse(text, token.offset, fmt::format("nested deeper than {} levels", kMaxNesting));
      }
      open.push_back(token);
    } else if (token.text == ")" || token.text == "]") {
      const std::string_view opened = token.text == ")" ? "(" : "[";
      if (open.empty() || open.back().text != opened) {
        refuse(text, token.offset, fmt::format("\"{}\" closes no \"{}\"", token.text, opened));
      }
      open.pop_back();
    } else if (token.text == "," && open.empty()) {
      refuse(text, token.offset, "\",\" outside parentheses");
    }
  }
  if (!open.empty()) {
    refuse(text, open.back().offset, fmt::format("\"{}\" is not closed", open.back().text));
  }
}

}  // namespace

std::string place(std::string_view text, std::size_t offset) {
  constexpr std::size_t kShown = 200;  // bytes
  const std::string_view before = text.substr(0, offset);
  const auto line = std::count(before.begin(), before.end(), '\n') + 1;
  const std::size_t line_begin = before.rfind('\n') == before.npos ? 0 : before.rfind('\n') + 1;
  return fmt::format("line {}, column {} of the expression \"{}{}\"", line, offset - line_begin + 1,
                     text.substr(0, kShown), text.size() > kShown ? "..." : "");
}

void refuse(std::string_view text, std::size_t offset, std::string_view message) {
  invalid("{}: {}", place(text, offset), message);
}

std::vector<Token> tokenize(std::string_view text) {
  std::vector<Token> tokens;
  std::size_t offset = 0;
  while (true) {
    while (offset < text.size() && is_space(text[offset])) ++offset;
    const std::string_view rest = text.substr(offset);
    if (rest.empty()) break;
    Token token{TokenKind::sign, rest.substr(0, 1), offset};
    if (is_digit(rest[0]) || (rest.size() > 1 && rest[0] == '.' && is_digit(rest[1]))) {
      token.kind = TokenKind::number;
      token.text = rest.substr(0, number_size(rest));
    } else if (is_word_begin(rest[0])) {
      const auto past = std::find_if_not(rest.begin(), rest.end(),
                                         [](char c) { return is_word_begin(c) || is_digit(c); });
      token.kind = TokenKind::word;
      token.text = rest.substr(0, static_cast<std::size_t>(past - rest.begin()));
    } else {
      const auto sign = std::find_if(std::begin(kSigns), std::end(kSigns),
                                     [&](std::string_view s) { return rest.starts_with(s); });
      if (sign == std::end(kSigns)) {
        refuse(text, offset,
               fmt::format("byte 0x{:02x} can't be part of it",
                           static_cast<unsigned>(static_cast<unsigned char>(rest[0]))));
      }
      token.text = rest.substr(0, sign->size());
      check_sign(text, token);
    }
    tokens.push_back(token);
    offset += token.text.size();
  }
  if (tokens.empty()) invalid("the expression is empty");
  check_brackets(text, tokens);
  tokens.push_back({TokenKind::end, {}, text.size()});
  return tokens;
}

}  // namespace clattn::expressions
