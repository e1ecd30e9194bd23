// The expressions that the host understands: the scalar part of OpenCL C without statements, as a
// tree whose operands are converted as C's usual arithmetic conversions say. Numbers of every type
// are held in a double, which is exact for the integer types; they wrap at 32 bits. A float is a
// double here and not rounded: the host's values are those of the formula, not of one device.
#pragma once

#include <clattn/expression.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "host/expressions/lexer.hpp"

namespace clattn::expressions {

enum class Type { uchar_type, int_type, uint_type, float_type };

enum class Variable { batch, head, query, key, query_len, key_len, score };
constexpr std::size_t kVariables = 7;
extern const std::string_view kVariableNames[kVariables];

enum class Operator {
  literal,   // value
  variable,  // operands[0]: a Variable
  element,   // operands[0]: a buffer of the expression, operands[1]: the index
  convert,   // to the node's type
  add,
  subtract,
  multiply,
  divide,
  remainder,
  shift_left,
  shift_right,
  bit_and,
  bit_xor,
  bit_or,
  less,
  less_equal,
  equal,
  not_equal,
  logical_and,
  logical_or,
  conditional,
  minimum,  // of two
  maximum,
  absolute,  // of an integer; unsigned
  fabs,
  floor,
  ceil,
  round,
  sqrt,
  exp,
  exp2,
  log,
  log2,
  sin,
  cos,
  tanh,
  pow,
  fmod,
};

struct Node {
  Operator op = Operator::literal;
  Type type = Type::int_type;
  std::int32_t operands[3] = {-1, -1, -1};  // nodes in front of this one
  double value = 0;
  std::size_t offset = 0;  // in the text
};

struct Tree {
  std::vector<Node> nodes;  // the last one is the root; none: the text is beyond the language
  std::string opaque;       // what it is that the host does not understand, and where
  std::vector<Variable> variables;  // that the text names, in any order
};

// Throws Error (invalid_argument) for what can't be an expression of OpenCL C over these names.
Tree parse(const Expression& expression, bool with_score);

// The operator on numbers of type `type`, as OpenCL C defines it on 32 bits. An integer divisor
// must not be 0.
double compute(Operator op, Type type, double a, double b);

// `value` as a number of another type. Floats beyond an integer type's range become its nearest
// number, NaN 0, which C leaves undefined.
double convert(double value, Type to, Type from);

// One element of a buffer that has values.
double load(const Buffer& buffer, std::int64_t index);

Type type_of(ElementType type);

}  // namespace clattn::expressions
