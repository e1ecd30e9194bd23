// From text to tree by precedence climbing. What is legal OpenCL C but beyond the language
// (vectors, other built-in functions, 64-bit integers, pointers) ends the parse without an error:
// such a text is opaque to the host. What can't be OpenCL C, or would be ambiguous to its
// compilers, is refused here, where the place of the error can be told.
#include <fmt/format.h>

#include <algorithm>
#include <cfloat>
#include <charconv>
#include <climits>
#include <cmath>
#include <limits>
#include <numbers>
#include <optional>
#include <string>

#include "host/expressions/names.hpp"
#include "host/expressions/tree.hpp"
#include "host/nearest.hpp"

namespace clattn::expressions {

const std::string_view kVariableNames[kVariables] = {"batch",     "head",    "query", "key",
                                                     "query_len", "key_len", "score"};

namespace {

constexpr int kMaxDepth = 4096;  // of the tree: evaluation calls itself at each level

struct BinaryOperator {
  std::string_view sign;
  int precedence;
  Operator op;
  bool swapped = false;  // a > b is b < a
};

constexpr BinaryOperator kBinaryOperators[] = {{"||", 1, Operator::logical_or},
                                               {"&&", 2, Operator::logical_and},
                                               {"|", 3, Operator::bit_or},
                                               {"^", 4, Operator::bit_xor},
                                               {"&", 5, Operator::bit_and},
                                               {"==", 6, Operator::equal},
                                               {"!=", 6, Operator::not_equal},
                                               {"<", 7, Operator::less},
                                               {"<=", 7, Operator::less_equal},
                                               {">", 7, Operator::less, true},
                                               {">=", 7, Operator::less_equal, true},
                                               {"<<", 8, Operator::shift_left},
                                               {">>", 8, Operator::shift_right},
                                               {"+", 9, Operator::add},
                                               {"-", 9, Operator::subtract},
                                               {"*", 10, Operator::multiply},
                                               {"/", 10, Operator::divide},
                                               {"%", 10, Operator::remainder}};

// What a function takes: OpenCL C overloads them, so that a mixture would be ambiguous.
enum class Takes { integers, floats, same };

struct Function {
  std::string_view name;
  std::size_t arguments;
  Takes takes;
  Operator op;
};

constexpr Function kFunctions[] = {
    {"abs", 1, Takes::integers, Operator::absolute}, {"min", 2, Takes::same, Operator::minimum},
    {"max", 2, Takes::same, Operator::maximum},      {"fmin", 2, Takes::floats, Operator::minimum},
    {"fmax", 2, Takes::floats, Operator::maximum},   {"fabs", 1, Takes::floats, Operator::fabs},
    {"floor", 1, Takes::floats, Operator::floor},    {"ceil", 1, Takes::floats, Operator::ceil},
    {"round", 1, Takes::floats, Operator::round},    {"sqrt", 1, Takes::floats, Operator::sqrt},
    {"exp", 1, Takes::floats, Operator::exp},        {"exp2", 1, Takes::floats, Operator::exp2},
    {"log", 1, Takes::floats, Operator::log},        {"log2", 1, Takes::floats, Operator::log2},
    {"sin", 1, Takes::floats, Operator::sin},        {"cos", 1, Takes::floats, Operator::cos},
    {"tanh", 1, Takes::floats, Operator::tanh},      {"pow", 2, Takes::floats, Operator::pow},
    {"fmod", 2, Takes::floats, Operator::fmod}};

struct Constant {
  std::string_view name;
  Type type;
  double value;
};

constexpr Constant kConstants[] = {
    {"true", Type::int_type, 1},
    {"false", Type::int_type, 0},
    {"INT_MAX", Type::int_type, INT_MAX},
    {"INT_MIN", Type::int_type, INT_MIN},
    {"UINT_MAX", Type::uint_type, UINT_MAX},
    {"INFINITY", Type::float_type, std::numeric_limits<double>::infinity()},
    {"FLT_MAX", Type::float_type, FLT_MAX},
    {"M_PI_F", Type::float_type, std::numbers::pi_v<float>},
    {"M_E_F", Type::float_type, std::numbers::e_v<float>},
    {"M_LN2_F", Type::float_type, std::numbers::ln2_v<float>},
    {"M_LOG2E_F", Type::float_type, std::numbers::log2e_v<float>}};

const char* describe(Type type) {
  switch (type) {
    case Type::uchar_type:
      return "a uchar";
    case Type::int_type:
      return "an int";
    case Type::uint_type:
      return "a uint";
    case Type::float_type:
      return "a float";
  }
  return "";
}

template <typename Table>
auto find_named(const Table& table, std::string_view name) {
  const auto found = std::find_if(std::begin(table), std::end(table),
                                  [&](const auto& entry) { return entry.name == name; });
  return found == std::end(table) ? nullptr : &*found;
}

// Thrown, and caught by parse, where the text leaves the language.
struct Opaque {
  std::size_t offset;
};

class Parser {
 public:
  Parser(const Expression& expression, bool with_score)
      : expression_(expression),
        text_(expression.text),
        tokens_(tokenize(text_)),
        variables_(with_score ? kVariables : kVariables - 1) {}

  Tree parse() {
    Tree tree;
    check_words(tree);
    try {
      conditional();
      if (peek().kind != TokenKind::end) unexpected("an operator");
      tree.nodes = std::move(nodes_);
    } catch (const Opaque& opaque) {
      tree.opaque = place(text_, opaque.offset);
    }
    return tree;
  }

 private:
  using Index = std::int32_t;

  // Every word that is not a known name is an error, wherever it stands.
  void check_words(Tree& tree) const {
    for (std::size_t i = 0; tokens_[i].kind != TokenKind::end; ++i) {
      const Token& token = tokens_[i];
      if (token.kind != TokenKind::word || (i > 0 && tokens_[i - 1].text == ".")) continue;
      const bool called = tokens_[i + 1].text == "(";
      if (const auto variable = variable_named(token.text)) {
        tree.variables.push_back(*variable);
      } else if (!find_buffer(token.text) && !find_scalar(token.text)) {
        switch (classify_word(token.text)) {
          case Word::type:
          case Word::constant:
            continue;
          case Word::keyword:
            refuse(
                text_, token.offset,
                fmt::format("\"{}\" can't be part of it; an expression only computes", token.text));
          case Word::function:
          case Word::free:
            if (called) continue;
            [[fallthrough]];
          case Word::reserved:
            unknown_name(token);
        }
      }
      if (called) {
        refuse(text_, token.offset, fmt::format("\"{}\" is not a function", token.text));
      }
    }
  }

  [[noreturn]] void unknown_name(const Token& token) const {
    std::vector<std::string> known(kVariableNames, kVariableNames + variables_);
    for (const auto& buffer : expression_.buffers) known.push_back(buffer->name);
    for (const Scalar& scalar : expression_.scalars) known.push_back(scalar.name);
    refuse(text_, token.offset,
           fmt::format("unknown name \"{}\"; the nearest known one is \"{}\"", token.text,
                       nearest(token.text, known)));
  }

  std::optional<Variable> variable_named(std::string_view name) const {
    const auto end = kVariableNames + variables_;
    const auto found = std::find(kVariableNames, end, name);
    if (found == end) return std::nullopt;
    return static_cast<Variable>(found - kVariableNames);
  }

  const Scalar* find_scalar(std::string_view name) const {
    return find_named(expression_.scalars, name);
  }

  std::optional<Index> find_buffer(std::string_view name) const {
    for (std::size_t i = 0; i < expression_.buffers.size(); ++i) {
      if (expression_.buffers[i]->name == name) return static_cast<Index>(i);
    }
    return std::nullopt;
  }

  const Token& peek() const { return tokens_[next_]; }
  const Token& take() { return tokens_[next_++]; }
  bool take_if(std::string_view sign) {
    if (peek().text != sign) return false;
    ++next_;
    return true;
  }
  void expect(std::string_view sign) {
    if (peek().text == ",") throw Opaque{peek().offset};  // a vector, or C's comma
    if (!take_if(sign)) unexpected(fmt::format("\"{}\"", sign));
  }
  [[noreturn]] void unexpected(std::string_view expected) const {
    const std::string found =
        peek().kind == TokenKind::end ? "it ends" : fmt::format("\"{}\" stands", peek().text);
    refuse(text_, peek().offset, fmt::format("{} where {} must be", found, expected));
  }

  Index push(Node node) {
    int depth = 0;
    if (node.op != Operator::literal && node.op != Operator::variable) {
      for (std::size_t i = node.op == Operator::element; i < 3; ++i) {
        if (node.operands[i] < 0) continue;
        depth = std::max(depth, depths_[static_cast<std::size_t>(node.operands[i])] + 1);
      }
    }
    if (depth > kMaxDepth) too_deep(node.offset);
    nodes_.push_back(node);
    depths_.push_back(depth);
    return static_cast<Index>(nodes_.size() - 1);
  }
  [[noreturn]] void too_deep(std::size_t offset) const {
    refuse(text_, offset, fmt::format("more than {} operators build on each other", kMaxDepth));
  }
  Type type(Index node) const { return nodes_[static_cast<std::size_t>(node)].type; }

  Index literal(Type type, double value, std::size_t offset) {
    return push({Operator::literal, type, {-1, -1, -1}, value, offset});
  }
  Index converted(Index node, Type to, std::size_t offset) {
    return type(node) == to ? node : push({Operator::convert, to, {node, -1, -1}, 0, offset});
  }
  Index promoted(Index node, std::size_t offset) {
    return type(node) == Type::uchar_type ? converted(node, Type::int_type, offset) : node;
  }
  // C's usual arithmetic conversions.
  Type common(Index a, Index b) const { return std::max({type(a), type(b), Type::int_type}); }

  void need_integers(const Token& token, Index a, Index b) const {
    if (type(a) == Type::float_type || type(b) == Type::float_type) {
      refuse(text_, token.offset,
             fmt::format("\"{}\" takes integers, but gets a float", token.text));
    }
  }

  Index conditional() {
    const Index condition = binary(1);
    const std::size_t offset = peek().offset;
    if (!take_if("?")) return condition;
    if (++conditionals_ > kMaxDepth) too_deep(offset);
    Index yes = conditional();
    if (!take_if(":")) unexpected("\":\"");
    Index no = conditional();
    const Type to = common(yes, no);
    yes = converted(yes, to, offset);
    no = converted(no, to, offset);
    return push({Operator::conditional, to, {condition, yes, no}, 0, offset});
  }

  Index binary(int lowest) {
    Index left = unary();
    while (true) {
      const Token& token = peek();
      const auto found = std::find_if(std::begin(kBinaryOperators), std::end(kBinaryOperators),
                                      [&](const auto& op) { return op.sign == token.text; });
      if (found == std::end(kBinaryOperators) || found->precedence < lowest) return left;
      take();
      const Index right = binary(found->precedence + 1);
      left = binary_node(*found, token, left, right);
    }
  }

  Index binary_node(const BinaryOperator& sign, const Token& token, Index left, Index right) {
    const std::size_t offset = token.offset;
    Type operands = common(left, right);
    Type result = operands;
    switch (sign.op) {
      case Operator::logical_and:
      case Operator::logical_or:
        return push({sign.op, Type::int_type, {left, right, -1}, 0, offset});
      case Operator::shift_left:
      case Operator::shift_right:
        need_integers(token, left, right);
        left = promoted(left, offset);
        return push({sign.op, type(left), {left, promoted(right, offset), -1}, 0, offset});
      case Operator::remainder:
      case Operator::bit_and:
      case Operator::bit_xor:
      case Operator::bit_or:
        need_integers(token, left, right);
        break;
      case Operator::less:
      case Operator::less_equal:
      case Operator::equal:
      case Operator::not_equal:
        result = Type::int_type;
        break;
      default:
        break;
    }
    left = converted(left, operands, offset);
    right = converted(right, operands, offset);
    if (sign.swapped) std::swap(left, right);
    return push({sign.op, result, {left, right, -1}, 0, offset});
  }

  Index unary() {
    // Signs and casts in front of an operand are kept in a list, for a text may hold many of them.
    std::vector<std::size_t> prefixes;  // tokens
    while (true) {
      const std::string_view text = peek().text;
      if (text == "&" || text == "*") throw Opaque{peek().offset};
      if (text == "+" || text == "-" || text == "~" || text == "!") {
        prefixes.push_back(next_++);
      } else if (text == "(" && classify_word(tokens_[next_ + 1].text) == Word::type) {
        if (!cast_type(next_ + 1)) throw Opaque{tokens_[next_ + 1].offset};
        prefixes.push_back(next_ + 1);
        next_ += 3;
      } else {
        break;
      }
    }
    Index node = primary();
    for (auto prefix = prefixes.rbegin(); prefix != prefixes.rend(); ++prefix) {
      node = prefixed(*prefix, node);
    }
    return node;
  }

  // Of `type)` from this token on, where it is one that the language knows.
  std::optional<Type> cast_type(std::size_t token) const {
    if (tokens_[token + 1].text != ")") return std::nullopt;
    const std::string_view name = tokens_[token].text;
    if (name == "int") return Type::int_type;
    if (name == "uint" || name == "unsigned") return Type::uint_type;
    if (name == "uchar") return Type::uchar_type;
    if (name == "float") return Type::float_type;
    return std::nullopt;
  }

  Index prefixed(std::size_t prefix, Index node) {
    const Token& token = tokens_[prefix];
    const std::size_t offset = token.offset;
    if (token.kind == TokenKind::word) return converted(node, *cast_type(prefix), offset);
    if (token.text == "!") {
      const Index zero = literal(type(node), 0, offset);
      return push({Operator::equal, Type::int_type, {node, zero, -1}, 0, offset});
    }
    node = promoted(node, offset);
    if (token.text == "+") return node;
    // In two's complement -x is x * -1 (which, of floats, keeps the sign of 0) and ~x is -1 - x.
    const Type of = type(node);
    const Index ones = literal(of, of == Type::uint_type ? UINT_MAX : -1.0, offset);
    if (token.text == "-") return push({Operator::multiply, of, {node, ones, -1}, 0, offset});
    need_integers(token, node, node);
    return push({Operator::subtract, of, {ones, node, -1}, 0, offset});
  }

  Index primary() {
    const Token token = peek();
    if (token.kind == TokenKind::number) {
      take();
      return after(number(token));
    }
    if (token.kind == TokenKind::word) {
      take();
      return after(word(token));
    }
    if (take_if("(")) {
      const Index node = conditional();
      expect(")");
      return after(node);
    }
    unexpected("an operand");
  }

  // A member or an element of something behind an operand is of vectors and pointers.
  Index after(Index node) const {
    if (peek().text == "." || peek().text == "->" || peek().text == "[") {
      throw Opaque{peek().offset};
    }
    return node;
  }

  Index word(const Token& token) {
    if (const auto variable = variable_named(token.text)) {
      const Type of = *variable == Variable::score ? Type::float_type : Type::int_type;
      return push(
          {Operator::variable, of, {static_cast<Index>(*variable), -1, -1}, 0, token.offset});
    }
    if (const Scalar* scalar = find_scalar(token.text)) {
      if (const auto* real = std::get_if<float>(&scalar->value)) {
        return literal(Type::float_type, *real, token.offset);
      }
      return literal(Type::int_type, std::get<std::int32_t>(scalar->value), token.offset);
    }
    if (const auto buffer = find_buffer(token.text)) {
      if (!take_if("[")) {
        refuse(text_, token.offset,
               fmt::format("\"{}\" is a buffer: write {}[index]", token.text, token.text));
      }
      const Index index = conditional();
      expect("]");
      if (type(index) == Type::float_type) {
        refuse(text_, token.offset, fmt::format("the index of \"{}\" is a float", token.text));
      }
      const auto& elements = *expression_.buffers[static_cast<std::size_t>(*buffer)];
      return push(
          {Operator::element, type_of(elements.type), {*buffer, index, -1}, 0, token.offset});
    }
    if (const Constant* constant = find_named(kConstants, token.text)) {
      return literal(constant->type, constant->value, token.offset);
    }
    if (peek().text == "(") return call(token);
    throw Opaque{token.offset};
  }

  Index call(const Token& token) {
    const Function* function = find_named(kFunctions, token.text);
    const bool to_int = token.text == "convert_int";
    const bool to_float = token.text == "convert_float";
    const bool clamps = token.text == "clamp";
    if (!function && !to_int && !to_float && !clamps) throw Opaque{token.offset};
    take();
    std::vector<Index> arguments;
    if (peek().text != ")") {
      do {
        arguments.push_back(conditional());
      } while (take_if(","));
    }
    expect(")");
    const std::size_t wanted = function ? function->arguments : clamps ? 3 : 1;
    if (arguments.size() != wanted) {
      refuse(text_, token.offset,
             fmt::format("{} takes {} argument{}, but gets {}", token.text, wanted,
                         wanted > 1 ? "s" : "", arguments.size()));
    }
    if (to_int || to_float) {
      return converted(arguments[0], to_int ? Type::int_type : Type::float_type, token.offset);
    }
    check_arguments(token, clamps ? Takes::same : function->takes, arguments);
    const Type of = type(arguments[0]);
    if (clamps) {
      const Index above =
          push({Operator::maximum, of, {arguments[0], arguments[1], -1}, 0, token.offset});
      return push({Operator::minimum, of, {above, arguments[2], -1}, 0, token.offset});
    }
    const Type result =
        function->op == Operator::absolute && of == Type::int_type ? Type::uint_type : of;
    return push({function->op,
                 result,
                 {arguments[0], wanted > 1 ? arguments[1] : -1, -1},
                 0,
                 token.offset});
  }

  void check_arguments(const Token& token, Takes takes, const std::vector<Index>& arguments) const {
    for (std::size_t i = 0; i < arguments.size(); ++i) {
      const Type of = type(arguments[i]);
      if (takes == Takes::floats && of != Type::float_type) {
        refuse(text_, token.offset,
               fmt::format("{} takes floats, but argument {} is {}: write (float)(...)", token.text,
                           i + 1, describe(of)));
      }
      if (takes == Takes::integers && of == Type::float_type) {
        refuse(text_, token.offset,
               fmt::format("{} takes integers, but gets a float: write fabs", token.text));
      }
      if (takes == Takes::same && of != type(arguments[0])) {
        refuse(text_, token.offset,
               fmt::format("{} takes arguments of one type, but gets {} and {}: cast one of them",
                           token.text, describe(type(arguments[0])), describe(of)));
      }
    }
  }

  Index number(const Token& token) {
    const std::string_view text = token.text;
    const bool hexadecimal = text.starts_with("0x") || text.starts_with("0X");
    const bool real =
        text.find('.') != text.npos || text.find_first_of(hexadecimal ? "pP" : "eE") != text.npos;
    return real ? real_number(token, hexadecimal) : integer(token, hexadecimal);
  }

  Index real_number(const Token& token, bool hexadecimal) {
    double value = 0;
    const char* begin = token.text.data() + (hexadecimal ? 2 : 0);
    const char* end = token.text.data() + token.text.size();
    const auto [past, error] = std::from_chars(
        begin, end, value, hexadecimal ? std::chars_format::hex : std::chars_format::general);
    const std::string_view suffix(past, end);
    if (error == std::errc::invalid_argument ||
        !(suffix.empty() || suffix == "f" || suffix == "F")) {
      refuse(text_, token.offset, fmt::format("\"{}\" is not a number", token.text));
    }
    if (error != std::errc() || std::isinf(static_cast<float>(value))) {
      refuse(text_, token.offset, fmt::format("{} does not fit a float", token.text));
    }
    return literal(Type::float_type, static_cast<float>(value), token.offset);
  }

  Index integer(const Token& token, bool hexadecimal) {
    const bool octal = !hexadecimal && token.text.starts_with('0') && token.text.size() > 1;
    std::uint64_t value = 0;
    const char* end = token.text.data() + token.text.size();
    const auto [past, error] =
        std::from_chars(token.text.data() + (hexadecimal ? 2 : 0), end, value,
                        hexadecimal ? 16
                        : octal     ? 8
                                    : 10);
    const std::string_view suffix(past, end);
    const bool is_unsigned = suffix == "u" || suffix == "U";
    const bool is_long =
        !suffix.empty() && suffix.size() <= 3 && suffix.find_first_not_of("uUlL") == suffix.npos;
    if (error == std::errc::invalid_argument || !(suffix.empty() || is_unsigned || is_long)) {
      refuse(text_, token.offset, fmt::format("\"{}\" is not a number", token.text));
    }
    const bool fits_int = value <= INT_MAX;
    const bool fits_uint = value <= UINT_MAX && (is_unsigned || hexadecimal || octal);
    if (error != std::errc() || (is_long && !is_unsigned) || !(fits_int || fits_uint)) {
      throw Opaque{token.offset};  // a long
    }
    return literal(is_unsigned || !fits_int ? Type::uint_type : Type::int_type,
                   static_cast<double>(value), token.offset);
  }

  const Expression& expression_;
  std::string_view text_;
  std::vector<Token> tokens_;
  std::size_t variables_;  // how many of kVariableNames the text may name
  std::size_t next_ = 0;
  std::vector<Node> nodes_;
  std::vector<int> depths_;
  int conditionals_ = 0;  // parsed by recursion
};

}  // namespace

Tree parse(const Expression& expression, bool with_score) {
  return Parser(expression, with_score).parse();
}

}  // namespace clattn::expressions
