#include "host/expressions/names.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <set>
#include <string>

#include "host/invalid.hpp"

namespace clattn::expressions {
namespace {

constexpr std::size_t kMostNames = 8;

constexpr std::string_view kVectorElements[] = {"char", "uchar", "short", "ushort", "int", "uint",
                                                "long", "ulong", "float", "double", "half"};
constexpr std::string_view kTypes[] = {
    "bool",     "void",    "size_t",   "ptrdiff_t", "intptr_t", "uintptr_t", "unsigned",
    "signed",   "const",   "volatile", "restrict",  "sizeof",   "global",    "local",
    "constant", "private", "generic",  "__global",  "__local",  "__private", "__constant"};
constexpr std::string_view kKeywords[] = {
    "asm",        "auto",      "break",      "case",          "continue", "default", "do",
    "else",       "enum",      "extern",     "for",           "goto",     "if",      "inline",
    "kernel",     "__kernel",  "register",   "return",        "static",   "struct",  "switch",
    "typedef",    "union",     "while",      "__attribute__", "__asm",    "__asm__", "typeof",
    "__typeof__", "read_only", "write_only", "read_write"};
constexpr std::string_view kConstants[] = {"true",     "false", "INFINITY",  "NAN",
                                           "MAXFLOAT", "NULL",  "HUGE_VALF", "CHAR_BIT"};
constexpr std::string_view kConstantPrefixes[] = {"M_",     "FLT_",   "INT_",   "UINT_",
                                                  "CHAR_",  "SCHAR_", "UCHAR_", "SHRT_",
                                                  "USHRT_", "LONG_",  "ULONG_", "DBL_"};
constexpr std::string_view kFunctions[] = {
    "abs",       "abs_diff", "acos",       "acosh",     "add_sat",   "all",       "any",
    "asin",      "asinh",    "atan",       "atan2",     "atanh",     "atanpi",    "barrier",
    "bitselect", "cbrt",     "ceil",       "clamp",     "clz",       "copysign",  "cos",
    "cosh",      "cospi",    "cross",      "degrees",   "distance",  "dot",       "erf",
    "erfc",      "exp",      "exp10",      "exp2",      "expm1",     "fabs",      "fdim",
    "floor",     "fma",      "fmax",       "fmin",      "fmod",      "fract",     "frexp",
    "hadd",      "hypot",    "ilogb",      "isequal",   "isfinite",  "isgreater", "isinf",
    "isless",    "isnan",    "isnormal",   "isordered", "ldexp",     "length",    "lgamma",
    "log",       "log10",    "log1p",      "log2",      "logb",      "mad",       "mad24",
    "mad_hi",    "mad_sat",  "max",        "maxmag",    "min",       "minmag",    "mix",
    "modf",      "mul24",    "mul_hi",     "nan",       "nextafter", "normalize", "pow",
    "pown",      "powr",     "popcount",   "prefetch",  "printf",    "radians",   "remainder",
    "remquo",    "rhadd",    "rint",       "rootn",     "rotate",    "round",     "rsqrt",
    "select",    "shuffle",  "shuffle2",   "sign",      "signbit",   "sin",       "sincos",
    "sinh",      "sinpi",    "smoothstep", "softcap",   "sqrt",      "step",      "sub_sat",
    "tan",       "tanh",     "tanpi",      "tgamma",    "trunc",     "upsample"};
constexpr std::string_view kFunctionPrefixes[] = {
    "as_",     "convert_", "native_", "half_", "vload",       "vstore",    "get_",
    "atomic_", "atom_",    "async_",  "mem_",  "work_group_", "sub_group_"};
constexpr std::string_view kReserved[] = {"batch",   "head",  "query", "key",   "query_len",
                                          "key_len", "score", "heads", "hooks", "HOOKS"};
constexpr std::string_view kReservedPrefixes[] = {"hook_", "HOOK_", "clattn_", "CLATTN_", "__"};

bool contains(const auto& words, std::string_view word) {
  return std::find(std::begin(words), std::end(words), word) != std::end(words);
}

bool begins_with_one_of(const auto& prefixes, std::string_view word) {
  return std::any_of(std::begin(prefixes), std::end(prefixes),
                     [&](std::string_view prefix) { return word.starts_with(prefix); });
}

bool is_type(std::string_view word) {
  const std::string_view element = word.substr(0, word.find_first_of("0123456789"));
  const std::string_view size = word.substr(element.size());
  return contains(kTypes, word) ||
         (contains(kVectorElements, element) && (size.empty() || size == "2" || size == "3" ||
                                                 size == "4" || size == "8" || size == "16"));
}

bool is_identifier(std::string_view name) {
  const auto letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  return !name.empty() && letter(name[0]) && std::all_of(name.begin(), name.end(), [&](char c) {
    return letter(c) || (c >= '0' && c <= '9');
  });
}

void check_name(const char* what, const std::string& name, std::set<std::string>& names) {
  if (!is_identifier(name)) {
    invalid(
        "the name \"{}\" of a {} must consist of letters, digits and _, and not begin with a "
        "digit",
        name, what);
  }
  const char* kept = nullptr;
  switch (classify_word(name)) {
    case Word::free:
      break;
    case Word::type:
    case Word::keyword:
      kept = "a word of OpenCL C";
      break;
    case Word::constant:
      kept = "a constant of OpenCL C";
      break;
    case Word::function:
      kept = "a function of OpenCL C";
      break;
    case Word::reserved:
      kept = "kept by the library";
      break;
  }
  if (kept) invalid("the name \"{}\" of a {} is {}; choose another", name, what, kept);
  if (!names.insert(name).second) {
    invalid("the name \"{}\" is given to two buffers or scalars of one expression", name);
  }
}

void check_number_of(const char* what, std::size_t count) {
  if (count > kMostNames) {
    invalid("an expression has {} {}, but at most {} are possible", count, what, kMostNames);
  }
}

}  // namespace

Word classify_word(std::string_view word) {
  if (is_type(word)) return Word::type;
  if (contains(kKeywords, word)) return Word::keyword;
  if (contains(kConstants, word) || begins_with_one_of(kConstantPrefixes, word)) {
    return Word::constant;
  }
  if (contains(kFunctions, word) || begins_with_one_of(kFunctionPrefixes, word)) {
    return Word::function;
  }
  if (contains(kReserved, word) || begins_with_one_of(kReservedPrefixes, word)) {
    return Word::reserved;
  }
  return Word::free;
}

void validate(const Buffer& buffer) {
  if (buffer.count < 1) {
    invalid("buffer \"{}\" has {} elements, but must have 1 or more", buffer.name, buffer.count);
  }
  if (buffer.bound_at_launch()) return;
  const std::size_t size = size_of(buffer.type);
  if (buffer.values.size() % size ||
      buffer.values.size() / size != static_cast<std::size_t>(buffer.count)) {
    invalid("buffer \"{}\" has {} bytes of values, but {} elements of {} bytes", buffer.name,
            buffer.values.size(), buffer.count, size);
  }
}

void validate(const Expression& expression) {
  check_number_of("buffers", expression.buffers.size());
  check_number_of("scalars", expression.scalars.size());
  std::set<std::string> names;
  for (const auto& buffer : expression.buffers) {
    if (!buffer) invalid("a buffer of an expression is null");
    check_name("buffer", buffer->name, names);
    if (buffer->type == ElementType::f16 || buffer->type == ElementType::bf16) {
      invalid("buffer \"{}\" is of type {}, but an expression reads u8, i32 and f32 only",
              buffer->name, buffer->type == ElementType::f16 ? "f16" : "bf16");
    }
    validate(*buffer);
  }
  for (const Scalar& scalar : expression.scalars) {
    check_name("scalar", scalar.name, names);
    const float* value = std::get_if<float>(&scalar.value);
    if (value && !std::isfinite(*value)) {
      invalid("scalar \"{}\" is {}, but must be finite", scalar.name, *value);
    }
  }
}

}  // namespace clattn::expressions
